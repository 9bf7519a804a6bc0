"""
Charts as numbers: where what stands in a picture of so many units by so many. The templates draw
it (reports/templates/charts.html), once wide and once for a phone.
"""

import math
from collections.abc import Sequence
from datetime import date
from itertools import pairwise

from pullse.kit.db import Struct
from pullse.reports.asking import AGES, PRIORITIES, WEEK, Insight, Span, Took
from pullse.reports.insight_queries import Flow

WIDE, NARROW = 720, 300
HEIGHT = 220
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 12, 26
DAYS_AT_MOST = 120
GAP = 0.28
"""Of the place that a bar has."""
MOMENTS: tuple[float, ...] = (
    1,
    10,
    60,
    600,
    3600,
    6 * 3600,
    86_400,
    7 * 86_400,
    30 * 86_400,
    365 * 86_400,
)
"""Seconds that people know, for the axis of durations."""


class Mark(Struct, frozen=True):
    """On an axis: where, and what it stands for."""

    at: float
    value: float


class DayMark(Struct, frozen=True):
    at: float
    day: date
    anchor: str


class Bar(Struct, frozen=True):
    x: float
    y: float
    width: float
    height: float


class Day(Struct, frozen=True):
    """A day's place from top to bottom, the bar in it, and what both stand for."""

    day: date
    x: float
    width: float
    bar: Bar
    created: int
    resolved: int


class FlowChart(Struct, frozen=True):
    width: int
    height: int
    step: int
    """Days that are one here."""
    gap: float
    """Before each bar, in the place that it has."""
    days: Sequence[Day]
    line: str
    """Points of a polyline, of what was resolved."""
    dots: Sequence[tuple[float, float]]
    values: Sequence[Mark]
    dates: Sequence[DayMark]


class Point(Struct, frozen=True):
    day: date
    x: float
    p50: float
    p90: float
    took: Took


class TimesChart(Struct, frozen=True):
    """Lines end where there was nothing, and go on after it."""

    width: int
    height: int
    points: Sequence[Point]
    p50: Sequence[str]
    p90: Sequence[str]
    values: Sequence[Mark]
    dates: Sequence[DayMark]


class Cell(Struct, frozen=True):
    x: float
    y: float
    width: float
    count: int
    priority: str


class Row(Struct, frozen=True):
    age: int
    most: int | None
    y: float
    cells: Sequence[Cell]
    total: int


class BacklogChart(Struct, frozen=True):
    width: int
    height: int
    columns: Sequence[tuple[float, str]]
    total_at: float
    rows: Sequence[Row]
    bar: float
    """How high a bar is."""


class Range(Struct, frozen=True):
    """In hundredths of the way: where the half and where nine tenths are."""

    p50: float
    p90: float


def flow(insight: Insight, width: int) -> FlowChart:
    """By day as long as days can be told apart, else by week."""
    step = 1 if len(insight.flow) <= DAYS_AT_MOST else WEEK
    found = summed(insight.flow, step)
    most = max([1, *(max(each.created, each.resolved) for each in found)])
    marks = steps(most)
    top = marks[-1]
    place = (width - LEFT - RIGHT) / len(found)
    days, dots = [], []
    for index, each in enumerate(found):
        x = LEFT + index * place
        y = down(each.created / top)
        bar = Bar(rounded(x + place * GAP / 2), y, rounded(place * (1 - GAP)), rounded(foot() - y))
        days.append(Day(each.day, rounded(x), rounded(place), bar, each.created, each.resolved))
        dots.append((rounded(x + place / 2), down(each.resolved / top)))
    return FlowChart(
        width,
        HEIGHT,
        step,
        rounded(place * GAP / 2),
        days,
        points(dots),
        dots if place > 6 else [],
        [Mark(down(mark / top), mark) for mark in marks],
        dates([each.day for each in found], width),
    )


def summed(flow: Sequence[Flow], step: int) -> list[Flow]:
    """The last stretch is whole, and the first one is what remains."""
    rest = len(flow) % step
    starts = [*([0] if rest else []), *range(rest, len(flow), step)]
    return [
        Flow(
            part[0].day,
            sum(each.created for each in part),
            sum(each.resolved for each in part),
        )
        for part in (flow[at:end] for at, end in pairwise([*starts, len(flow)]))
    ]


def times(spans: Sequence[Span], width: int) -> TimesChart | None:
    """None where there is nothing to show."""
    known = [each.took for each in spans if each.took.count]
    if not known:
        return None
    scale = Scale.of(known)
    place = (width - LEFT - RIGHT) / len(spans)
    found = [
        Point(
            each.first,
            rounded(LEFT + (index + 0.5) * place),
            down(scale.part(each.took.p50)),
            down(scale.part(each.took.p90)),
            each.took,
        )
        for index, each in enumerate(spans)
    ]
    runs = joined(found)
    return TimesChart(
        width,
        HEIGHT,
        [each for each in found if each.took.count],
        [points([(each.x, each.p50) for each in run]) for run in runs],
        [points([(each.x, each.p90) for each in run]) for run in runs],
        [Mark(down(scale.part(mark)), mark) for mark in scale.marks],
        dates([each.first for each in spans], width),
    )


def backlog(insight: Insight, width: int) -> BacklogChart:
    first = 104 if width == WIDE else 72
    last = 56 if width == WIDE else 28
    row, head = 30, 26
    place = (width - first - last) / len(PRIORITIES)
    number = 40 if width == WIDE else 30
    most = max([1, *insight.backlog.values()])
    rows = []
    for index, (age, oldest) in enumerate(AGES.items()):
        y = head + index * row
        counts = [insight.backlog[age, each] for each in PRIORITIES]
        cells = [
            Cell(
                rounded(first + column * place),
                y,
                rounded(max((place - number) * count / most, 1.5)) if count else 0,
                count,
                priority,
            )
            for column, (priority, count) in enumerate(zip(PRIORITIES, counts, strict=True))
        ]
        rows.append(Row(age, oldest, y, cells, sum(counts)))
    columns = [(rounded(first + place * index), each) for index, each in enumerate(PRIORITIES)]
    return BacklogChart(width, head + row * len(AGES) + 4, columns, width - 4, rows, 16)


class Scale(Struct, frozen=True):
    """Logarithmic, from one known moment to another."""

    marks: tuple[float, ...]

    @classmethod
    def of(cls, known: Sequence[Took]) -> "Scale":
        least = min(each.p50 or 0 for each in known)
        most = max(each.p90 or 0 for each in known)
        low: float = max([mark for mark in MOMENTS if mark <= least] or [MOMENTS[0]])
        high: float = min([mark for mark in MOMENTS if mark >= most and mark > low] or [most])
        return cls((*(mark for mark in MOMENTS if low <= mark < high), high))

    def part(self, seconds: float | None) -> float:
        low, high = self.marks[0], self.marks[-1]
        within = min(max(seconds or 0, low), high)
        return math.log(within / low) / math.log(high / low)

    def range(self, took: Took) -> Range | None:
        if not took.count:
            return None
        return Range(rounded(self.part(took.p50) * 100), rounded(self.part(took.p90) * 100))


def joined(found: Sequence[Point]) -> list[list[Point]]:
    runs: list[list[Point]] = [[]]
    for each in found:
        if each.took.count:
            runs[-1].append(each)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if len(run) > 1]


def steps(most: int) -> list[int]:
    """Zero and up to five round numbers, the last of them no less than the most."""
    size = 10 ** int(math.log10(most))
    for step in sorted({size * part // 10 for part in (1, 2, 5, 10, 20)} - {0}):
        if step * 5 >= most:
            return [*range(0, most + step, step)][: math.ceil(most / step) + 1]
    return [0, most]


def dates(days: Sequence[date], width: int) -> list[DayMark]:
    """As many as fit, the last day among them."""
    place = (width - LEFT - RIGHT) / len(days)
    every = max(1, math.ceil(56 / place))
    shown = range((len(days) - 1) % every, len(days), every)
    return [
        DayMark(
            rounded(LEFT + (index + 0.5) * place),
            days[index],
            "end" if index == len(days) - 1 and place < 40 else "middle",
        )
        for index in shown
        if index * place >= 12 or place >= 40
    ]


def foot() -> float:
    return HEIGHT - BOTTOM


def down(part: float) -> float:
    """The height of a part of the whole, counted from above."""
    return rounded(foot() - part * (foot() - TOP))


def points(found: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in found)


def rounded(number: float) -> float:
    return round(number, 1)
