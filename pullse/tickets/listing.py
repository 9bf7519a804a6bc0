"""
The list of tickets: any filter, three orders, and page 1,000 at the price of page 1.

Each status and urgency (or assignee and status) that is asked for is a branch of a UNION
ALL that an index yields in the wanted order; PostgreSQL merges the branches and stops at
the limit. With free text, the planner weighs the words' index against walking in order; for
the orders that only branches have an index for, we do, by its estimate.
The text of a statement depends on the filter's shape alone; values are parameters.
"""

import base64
import binascii
import itertools
import json
import re
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

import msgspec

from pullse.errors import Invalid
from pullse.kit.db import Db, Struct
from pullse.tickets.access import visible
from pullse.tickets.model import URGENCY, Order, Status, TicketQuery
from pullse.tickets.queries import COLUMNS

NOBODY = "none"
BRIEF = """id, number, title, status, priority, assigned_to, team_id,
               created_at, updated_at, version"""
"""For a page that shows many: without the descriptions, which may be large."""
NAMES = """,
                          (SELECT name FROM agents WHERE agents.id = t.assigned_to) AS assignee,
                          (SELECT name FROM teams WHERE teams.id = t.team_id) AS team"""
"""What a page says of the ids."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CURSOR = struct.Struct(">Bhq16s")
ORDERS = list(Order)
BY_CREATION = (Order.NEWEST, Order.OLDEST)
COMMON = 20_000
"""Tickets with the words, up to which it does not take long to sort them all."""
SHARE = 0.05
"""Of all tickets. Words that fewer have may be in old ones alone, and walking finds none."""
NEGATIONS = re.compile(r"-[-\s!&|()<]*-")
"""Minus signs, with what PostgreSQL skips between them: more than 32 are an error to it."""


class Shape(Struct, frozen=True):
    """What the text of the statement depends on."""

    order: Order
    statuses: int = 0
    urgencies: int = 0
    agents: int = 0
    nobody: bool = False
    teams: int = 0
    no_team: bool = False
    is_limited: bool = False
    ranges: tuple[str, ...] = ()
    has_words: bool = False
    are_common: bool = False
    """Are there so many with these words that it is better to look for them in the order?"""
    has_cursor: bool = False
    at_most: int = 51
    is_brief: bool = False
    is_among: bool = False


class Page(Struct, frozen=True):
    """`bodies`: the records as JSON text, joined by commas."""

    bodies: str
    next_cursor: str | None


class Row(Struct, frozen=True):
    """The one row of a page, with the place of its last record."""

    bodies: str | None
    has_more: bool
    urgency: int | None
    moment: datetime | None
    id: UUID | None


async def search(
    db: Db,
    query: TicketQuery,
    seen: frozenset[UUID] | None,
    *,
    brief: bool = False,
    among: Sequence[UUID] | None = None,
) -> Page:
    """
    A page of tickets that are not in the trash; `seen` are the caller's teams, as in `Actor`.

    `brief` is without descriptions, with the names of assignee and team; `among` looks at
    these tickets alone.
    """
    shape, values = take_apart(query, seen, brief=brief, among=among)
    if query.q:
        # What a plan costs depends on how common the words are: never a generic one.
        await db.run("SET LOCAL plan_cache_mode = force_custom_plan")
        has_index = shape.order in BY_CREATION or shape.is_among
        if not has_index and await are_common(db, query.q):
            shape = msgspec.structs.replace(shape, are_common=True)
    return page(await db.one(Row, statement(shape), *values, query.limit), query.sort)


async def are_common(db: Db, words: str) -> bool:
    """By the planner's estimate, half a millisecond; to count them would take what is saved."""
    plan = json.loads(await db.value(ESTIMATE_SQL, bearable(words)))
    found: float = plan[0]["Plan"]["Plan Rows"]
    if found <= COMMON:
        return False
    all_ = await db.value("SELECT reltuples FROM pg_class WHERE oid = 'tickets'::regclass")
    return bool(found > SHARE * all_)


def page(row: Row, order: Order) -> Page:
    if not row.has_more or row.urgency is None or row.moment is None or row.id is None:
        return Page(row.bodies or "", None)
    return Page(row.bodies or "", make_cursor(order, row.urgency, row.moment, row.id))


def take_apart(
    query: TicketQuery,
    seen: frozenset[UUID] | None,
    *,
    brief: bool = False,
    among: Sequence[UUID] | None = None,
) -> tuple[Shape, list[Any]]:
    """The shape, and the values of its parameters in their order."""
    statuses = list(dict.fromkeys(query.status))
    urgencies = list(dict.fromkeys(URGENCY[each] for each in query.priority))
    agents = ids("assigned_to", query.assigned_to, "agents")
    teams = ids("team_id", query.team_id, "teams")
    ranges = {
        name: in_utc(name, value)
        for name in ("created_after", "created_before", "updated_after", "updated_before")
        if (value := getattr(query, name)) is not None
    }
    place = None if query.cursor is None else read_cursor(query.cursor, query.sort)
    shape = Shape(
        order=query.sort,
        statuses=len(statuses) if len(statuses) < len(Status) else 0,
        urgencies=len(urgencies) if len(urgencies) < len(URGENCY) else 0,
        agents=len(agents),
        nobody=NOBODY in query.assigned_to,
        teams=len(teams),
        no_team=NOBODY in query.team_id,
        is_limited=seen is not None,
        ranges=tuple(ranges),
        has_words=bool(query.q),
        has_cursor=place is not None,
        at_most=next(most + 1 for most in (1, 50, 200) if query.limit <= most),
        is_brief=brief,
        is_among=among is not None,
    )
    values: list[Any] = []
    if shape.statuses:
        values += statuses
    if shape.urgencies:
        values += urgencies
    values += agents
    values += teams
    if seen is not None:
        values.append(seen)
    values += ranges.values()
    if query.q:
        values.append(bearable(query.q))
    if among is not None:
        values.append(among)
    if place is not None:
        values += place if by_priority(query.sort) else place[1:]
    return shape, values


@cache
def statement(shape: Shape) -> str:
    """
    The statement for a shape. Parameters: statuses, urgencies, agents, teams, the caller's
    teams, ranges, words, ids, cursor (urgency when ordered by it, moment, id), and the limit.
    """
    numbers = itertools.count(1)
    statuses = [f"${next(numbers)}" for _ in range(shape.statuses)]
    urgencies = [f"${next(numbers)}" for _ in range(shape.urgencies)]
    agents = [f"${next(numbers)}" for _ in range(shape.agents)]
    teams = [f"${next(numbers)}" for _ in range(shape.teams)]
    common = ["deleted_at IS NULL"]
    if shape.is_limited:
        common.append(visible(f"${next(numbers)}::uuid[]"))
    for name in shape.ranges:
        column, _, side = name.partition("_")
        common.append(f"{column}_at {'>=' if side == 'after' else '<'} ${next(numbers)}")
    if shape.has_words:
        common.append(with_words(f"${next(numbers)}"))
    if shape.is_among:
        common.append(f"id = ANY(${next(numbers)}::uuid[])")
    keys = sort_keys(shape.order)
    direction = "DESC" if shape.order.startswith("-") else "ASC"
    if shape.has_cursor:
        sign = "<" if direction == "DESC" else ">"
        places = ", ".join(f"${next(numbers)}" for _ in keys)
        common.append(f"({', '.join(keys)}) {sign} ({places})")
    ordering = ", ".join(f"{key} {direction}" for key in keys)
    columns, names = (BRIEF, NAMES) if shape.is_brief else (COLUMNS, "")
    # Each branch has its own order and limit, so that each is planned for its own index; the
    # limit is in the text, because the planner takes an unknown one for a tenth of the table.
    branches = "\n             UNION ALL\n".join(
        f"           (SELECT {columns}, urgency\n"
        f"              FROM tickets\n"
        f"             WHERE {' AND '.join([*common, *branch])}\n"
        f"          ORDER BY {ordering}\n"
        f"             LIMIT {shape.at_most})"
        for branch in conditions(shape, statuses, urgencies, agents, teams)
    )
    moment = "updated_at" if "updated_at" in keys else "created_at"
    limit = f"${next(numbers)}::integer"
    # One row comes back, the records joined: fifty rows would cost the driver three times as much.
    return f"""
        SELECT array_to_string((array_agg(body))[1:{limit}], ',') AS bodies,
               count(*) > {limit} AS has_more,
               (array_agg(urgency))[{limit}] AS urgency,
               (array_agg(moment))[{limit}] AS moment,
               (array_agg(id))[{limit}] AS id
          FROM (SELECT (SELECT row_to_json(shown)::text
                          FROM (SELECT {prefixed(columns, "t")}{names}) AS shown) AS body,
                       urgency, {moment} AS moment, id
                  FROM (
{branches}
                       ) AS t
              ORDER BY {ordering}
                 LIMIT {limit} + 1) AS page
        """


def conditions(
    shape: Shape, statuses: list[str], urgencies: list[str], agents: list[str], teams: list[str]
) -> list[list[str]]:
    """The branches: what each adds to the conditions that all share."""
    is_default = shape.order in BY_CREATION
    by_agent = [f"assigned_to = {each}" for each in agents]
    by_agent += ["assigned_to IS NULL"] if shape.nobody else []
    by_team = [f"team_id = {each}" for each in teams]
    by_team += ["team_id IS NULL"] if shape.no_team else []
    if (
        (shape.has_words and not shape.are_common)
        or shape.is_among
        or (is_default and not (statuses or urgencies or by_agent or by_team))
    ):
        return [
            [
                *one_of("status", statuses),
                *one_of("urgency", urgencies),
                *any_of(by_agent),
                *any_of(by_team),
            ]
        ]
    by_status = [f"status = {each}" for each in statuses or quoted(Status)]
    if by_agent:
        rest = [*one_of("urgency", urgencies), *any_of(by_team)]
        return [[*pair, *rest] for pair in itertools.product(by_agent, by_status)]
    if by_team and is_default and not shape.no_team:
        rest = one_of("urgency", urgencies)
        return [[*pair, *rest] for pair in itertools.product(by_team, by_status)]
    rest = any_of(by_team)
    by_urgency = [f"urgency = {each}" for each in urgencies or URGENCY.values()]
    if by_priority(shape.order):
        # The index (status, urgency, created_at, id) is in this order already.
        return [[each, *one_of("urgency", urgencies), *rest] for each in by_status]
    return [[*pair, *rest] for pair in itertools.product(by_status, by_urgency)]


def with_words(parameter: str) -> str:
    """Separates as the column `words` does, or an address would not be found again."""
    words = f"translate({parameter}, '_@/', ',,,')"
    return f"words @@ websearch_to_tsquery('pg_catalog.english', {words})"


def bearable(words: str) -> str:
    return NEGATIONS.sub("-", words)


def any_of(conditions: list[str]) -> list[str]:
    return [f"({' OR '.join(conditions)})"] if conditions else []


def one_of(column: str, places: list[str]) -> list[str]:
    return [f"{column} IN ({', '.join(places)})"] if places else []


def quoted(words: Any) -> list[str]:
    return [f"'{word}'" for word in words]


def prefixed(columns: str, table: str) -> str:
    return ", ".join(f"{table}.{name.strip()}" for name in columns.split(","))


def by_priority(order: Order) -> bool:
    return order in (Order.MOST_URGENT, Order.LEAST_URGENT)


def sort_keys(order: Order) -> tuple[str, ...]:
    if by_priority(order):
        return ("urgency", "created_at", "id")
    return (("updated_at" if order.endswith("updated") else "created_at"), "id")


def ids(field: str, given: Sequence[str], what: str) -> list[UUID]:
    found = []
    for text in dict.fromkeys(given):
        if text != NOBODY:
            try:
                found.append(UUID(text))
            except ValueError:
                raise Invalid.field(field, f"Ids of {what}, or none.") from None
    return list(dict.fromkeys(found))


def in_utc(name: str, moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise Invalid.field(name, "This moment is outside of the calendar.") from None


def make_cursor(order: Order, urgency: int, at: datetime, id_: UUID) -> str:
    """The place after a row, in this order; opaque to clients."""
    micros = (at - EPOCH) // timedelta(microseconds=1)
    packed = CURSOR.pack(ORDERS.index(order), urgency, micros, id_.bytes)
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def read_cursor(text: str, order: Order) -> tuple[int, datetime, UUID]:
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        kind, urgency, micros, id_ = CURSOR.unpack(base64.b64decode(padded, b"-_", validate=True))
        at = EPOCH + timedelta(microseconds=micros)
        same = ORDERS[kind] is order
    except (ValueError, binascii.Error, struct.error, OverflowError, IndexError):
        raise Invalid.field("cursor", "This is not a cursor of this list.") from None
    if not same:
        raise Invalid.field("cursor", "This cursor belongs to another sort.")
    return urgency, at, UUID(bytes=id_)


async def trash(
    db: Db, cursor: str | None, limit: int, seen: frozenset[UUID] | None, *, brief: bool = False
) -> Page:
    """What was deleted last comes first; `brief` as in `search`."""
    place = None if cursor is None else read_cursor(cursor, Order.NEWEST)
    sql = BRIEF_TRASH_SQL if brief else TRASH_SQL
    row = await db.one(Row, sql, place and place[1], place and place[2], limit, seen)
    return page(row, Order.NEWEST)


def trash_sql(columns: str, names: str = "") -> str:
    return f"""
        SELECT array_to_string((array_agg(body))[1:$3::integer], ',') AS bodies,
               count(*) > $3 AS has_more,
               0 AS urgency,
               (array_agg(deleted_at))[$3] AS moment,
               (array_agg(id))[$3] AS id
          FROM (SELECT row_to_json(t)::text AS body, deleted_at, id
                  FROM (SELECT {columns}, deleted_at{names}
                          FROM tickets AS t
                         WHERE deleted_at IS NOT NULL
                           AND {visible("$4::uuid[]")}
                           AND ($1::timestamptz IS NULL OR (deleted_at, id) < ($1, $2::uuid))
                      ORDER BY deleted_at DESC, id DESC
                         LIMIT $3 + 1) AS t) AS page
        """


ESTIMATE_SQL = f"""
    EXPLAIN (FORMAT JSON)
        SELECT FROM tickets WHERE deleted_at IS NULL AND {with_words("$1")}
        """
LIST_SQL = statement(Shape(order=Order.NEWEST))
TRASH_SQL = trash_sql(COLUMNS)
BRIEF_TRASH_SQL = trash_sql(BRIEF, NAMES)
