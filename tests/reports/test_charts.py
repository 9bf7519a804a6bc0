"""Charts as numbers: scales that people can read, and all that is there within the picture."""

from datetime import date, timedelta
from itertools import pairwise

import pytest

from pullse.reports import asking, charts
from pullse.reports.asking import Span, Took
from pullse.reports.charts import NARROW, WIDE, Scale
from pullse.reports.insight_queries import Flow, Group

LAST = date(2026, 11, 28)


def days(count: int) -> list[date]:
    return [LAST - timedelta(days=back) for back in range(count - 1, -1, -1)]


@pytest.mark.parametrize("most", [1, 2, 3, 5, 7, 10, 11, 49, 99, 100, 101, 999, 1000, 123_456])
def test_an_axis_has_few_round_steps_and_ends_above_the_most(most: int) -> None:
    found = charts.steps(most)
    assert found[0] == 0
    assert found[-1] >= most
    assert found[-2] < most
    assert 2 <= len(found) <= 6
    assert len({after - before for before, after in pairwise(found)}) == 1


def test_a_scale_of_durations_holds_them_all() -> None:
    for p50, p90 in ((0, 0), (0, 5), (30, 90), (7000, 7000), (86_400, 1e6), (4e7, 9e8)):
        scale = Scale.of([Took(3, p50, p90)])
        assert 0 <= scale.part(p50) <= scale.part(p90) <= 1
        assert list(scale.marks) == sorted(set(scale.marks))
        assert scale.range(Took()) is None


@pytest.mark.parametrize("count", [1, 7, 30, 90, 365, 366])
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_dates_are_apart_and_the_last_day_is_among_them(count: int, width: int) -> None:
    marks = charts.dates(days(count), width)
    assert marks[-1].day == LAST
    places = [mark.at for mark in marks]
    assert all(after - before > 30 for before, after in pairwise(places))
    assert all(charts.LEFT <= place <= width - charts.RIGHT for place in places)


def test_weeks_end_with_today_and_lose_nothing() -> None:
    flow = [Flow(day, 1, 2) for day in days(366)]
    found = charts.summed(flow, 7)
    assert sum(each.created for each in found) == 366
    assert [each.created for each in found] == [2] + [7] * 52
    assert found[-1].day == LAST - timedelta(days=6)
    assert charts.summed(flow[:14], 7) == [Flow(flow[0].day, 7, 14), Flow(flow[7].day, 7, 14)]
    assert charts.summed(flow[:3], 1) == flow[:3]


def test_stretches_are_those_of_the_statement() -> None:
    first = LAST - timedelta(days=89)
    starts = [first, *(LAST - timedelta(days=back) for back in range(83, 0, -7))]
    groups = [
        Group("days", "resolved", start, None, None, index + 1, 10, 20)
        for index, start in enumerate(starts)
    ]
    found = asking.spans(groups, "resolved", first, LAST, 7)
    assert [each.first for each in found] == starts
    assert [each.took.count for each in found] == list(range(1, len(starts) + 1))


def test_a_line_ends_where_there_was_nothing() -> None:
    counts = [1, 1, 0, 0, 1, 1, 1, 0, 1]
    spans = [
        Span(day, Took(count, 60, 600) if count else Took())
        for day, count in zip(days(len(counts)), counts, strict=True)
    ]
    chart = charts.times(spans, WIDE)
    assert chart is not None
    assert [len(line.split()) for line in chart.p50] == [2, 3]
    assert len(chart.points) == 6
    assert charts.times([Span(LAST, Took())], WIDE) is None
