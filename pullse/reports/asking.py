"""What somebody wants to know of days past, found, and put into tables with names."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from pullse.errors import Invalid, NotFound
from pullse.kit.db import Database, Struct
from pullse.kit.events import Actor
from pullse.reports import durations
from pullse.reports import insight_queries as queries
from pullse.reports.insight_queries import Filter, Flow, Group, Progress, Waiting
from pullse.reports.lists import agent_of
from pullse.tickets.model import URGENCY

NOBODY, ME = "none", "me"
WEEK = 7
AGES: dict[int, int | None] = {0: 0, 1: 2, 3: 6, 7: 29, 30: 89, 90: None}
"""Of what is not done yet: days since it was created, from and to."""
PRIORITIES = ("urgent", "high", "medium", "low")
URGENCIES = {urgency: priority.value for priority, urgency in URGENCY.items()}


class InsightQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    days: Annotated[int, Meta(ge=1, le=366, description="Up to today, which counts (UTC).")] = 30
    team_id: Annotated[
        str, Meta(max_length=36, description="A team's id, or `none` for tickets of no team.")
    ] = ""
    assigned_to: Annotated[
        str, Meta(max_length=36, description="An agent's id, `me`, or `none` for nobody.")
    ] = ""


class Took(Struct, frozen=True):
    """How many, and how many seconds the half and nine tenths of them took at most."""

    count: int = 0
    p50: float | None = None
    p90: float | None = None


class Line(Struct, frozen=True):
    """Of a team or an agent; with no id, of tickets of no team, or of nobody."""

    id: UUID | None
    name: str | None
    created: int
    backlog: int
    assigned: Took
    resolved: Took


class Span(Struct, frozen=True):
    """Of a stretch of days."""

    first: date
    took: Took


class Insight(Struct, frozen=True):
    first: date
    last: date
    step: int
    """Days in a stretch of `assigned` and `resolved`."""
    flow: Sequence[Flow]
    backlog: dict[tuple[int, str], int]
    """By the least age, and priority."""
    assigned: Sequence[Span]
    resolved: Sequence[Span]
    total: Line
    teams: Sequence[Line]
    agents: Sequence[Line]
    progress: Progress


class Table(Struct, frozen=True):
    """Of values as programs want them."""

    columns: tuple[str, ...]
    rows: list[tuple[str | int | float | None, ...]]


async def ask(
    database: Database, actor: Actor, query: InsightQuery, today: date | None = None
) -> Insight:
    """Only of what the actor may see."""
    wanted = filter_of(actor, query)
    last = today or datetime.now(UTC).date()
    first = last - timedelta(days=query.days - 1)
    step = 1 if query.days <= 31 else WEEK
    async with database.session() as db:
        flow = await queries.flow(db, wanted, first, last)
        waiting = await queries.backlog(db, wanted)
        groups = await queries.groups(db, wanted, first, last, step=step)
        teams = {each.id: each.name for each in await queries.team_names(db, actor.teams)}
        ids = {each.assigned_to for each in groups if each.assigned_to is not None}
        agents = {each.id: each.name for each in await queries.agent_names(db, list(ids))}
        progress = await queries.progress(db)
    (total,) = lines([each for each in groups if each.kind == "all"], "", {}) or [NOTHING]
    return Insight(
        first,
        last,
        step,
        flow,
        by_age(waiting, last),
        spans(groups, "assigned", first, last, step),
        spans(groups, "resolved", first, last, step),
        total,
        lines([each for each in groups if each.kind == "teams"], "team_id", teams),
        lines([each for each in groups if each.kind == "agents"], "assigned_to", agents),
        progress,
    )


NOTHING = Line(None, None, 0, 0, Took(), Took())


def filter_of(actor: Actor, query: InsightQuery) -> Filter:
    team_id = id_in("team_id", query.team_id, "A team's id, or none.")
    if query.assigned_to == ME:
        agent_id = agent_of(actor)
        if agent_id is None:
            raise Invalid.field("assigned_to", "Only an agent is somebody whom tickets go to.")
    else:
        agent_id = id_in("assigned_to", query.assigned_to, "An agent's id, me, or none.")
    return Filter(actor.teams, bool(query.team_id), team_id, bool(query.assigned_to), agent_id)


def id_in(field: str, text: str, what: str) -> UUID | None:
    if text in ("", NOBODY):
        return None
    try:
        return UUID(text)
    except ValueError:
        raise Invalid.field(field, what) from None


def by_age(waiting: Sequence[Waiting], today: date) -> dict[tuple[int, str], int]:
    found = {(age, priority): 0 for age in AGES for priority in PRIORITIES}
    for each in waiting:
        days = max((today - each.day).days, 0)
        age = max(age for age in AGES if age <= days)
        found[age, URGENCIES[each.urgency]] += each.count
    return found


def spans(groups: Sequence[Group], measure: str, first: date, last: date, step: int) -> list[Span]:
    """Also those in which there was nothing. The last one is whole, the first what remains."""
    found = {
        each.day: took(each) for each in groups if (each.kind, each.measure) == ("days", measure)
    }
    days = (last - first).days + 1
    starts = [last - timedelta(days=back - 1) for back in range(days // step * step, 0, -step)]
    starts = starts if days % step == 0 else [first, *starts]
    return [Span(start, found.get(start, Took())) for start in starts]


def lines(groups: Sequence[Group], id_: str, names: dict[UUID, str]) -> list[Line]:
    """By name; what has none comes last."""
    found: dict[UUID | None, dict[str, Group]] = {}
    for each in groups:
        found.setdefault(getattr(each, id_) if id_ else None, {})[each.measure] = each
    made = [
        Line(
            key,
            names.get(key) if key else None,
            measures["created"].count if "created" in measures else 0,
            measures["backlog"].count if "backlog" in measures else 0,
            took(measures.get("assigned")),
            took(measures.get("resolved")),
        )
        for key, measures in found.items()
    ]
    return sorted(made, key=lambda line: (line.id is None, (line.name or "").lower(), str(line.id)))


def took(group: Group | None) -> Took:
    if group is None:
        return Took()
    return Took(group.count, durations.seconds(group.p50), durations.seconds(group.p90))


def table(insight: Insight, name: str) -> Table:
    """Raises `NotFound` for a name that is none."""
    make = TABLES.get(name)
    if make is None:
        raise NotFound(f"There is {', '.join(TABLES)}.")
    return make(insight)


def flow_table(insight: Insight) -> Table:
    rows = [(each.day.isoformat(), each.created, each.resolved) for each in insight.flow]
    return Table(("day", "created", "resolved"), [*rows])


def backlog_table(insight: Insight) -> Table:
    rows = []
    for age, most in AGES.items():
        counts = [insight.backlog[age, priority] for priority in PRIORITIES]
        rows.append((age, most, *counts, sum(counts)))
    return Table(("from_days", "to_days", *PRIORITIES, "total"), [*rows])


def spans_table(spans: Sequence[Span]) -> Table:
    rows = [(each.first.isoformat(), *measured(each.took)) for each in spans]
    return Table(("from", "tickets", "p50_seconds", "p90_seconds"), [*rows])


def lines_table(lines: Sequence[Line], id_: str, name: str) -> Table:
    columns = (id_, name, "created", "backlog", *prefixed("assigned"), *prefixed("resolved"))
    rows = [
        (
            str(each.id) if each.id else None,
            each.name,
            each.created,
            each.backlog,
            *measured(each.assigned),
            *measured(each.resolved),
        )
        for each in lines
    ]
    return Table(columns, [*rows])


def prefixed(measure: str) -> tuple[str, ...]:
    return (measure, f"{measure}_p50_seconds", f"{measure}_p90_seconds")


def measured(took: Took) -> tuple[int, float | None, float | None]:
    return took.count, rounded(took.p50), rounded(took.p90)


def rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds)


TABLES: dict[str, Callable[[Insight], Table]] = {
    "flow": flow_table,
    "backlog": backlog_table,
    "assignment": lambda insight: spans_table(insight.assigned),
    "resolution": lambda insight: spans_table(insight.resolved),
    "teams": lambda insight: lines_table(insight.teams, "team_id", "team"),
    "agents": lambda insight: lines_table(insight.agents, "assigned_to", "agent"),
}
