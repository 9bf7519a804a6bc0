"""
A list of tickets as its address says it: the API's parameters, `assigned_to=me`, and days.

`Asked` is what an address has, `Wanted` what it means for who asks. A ticket's page carries
the list that one came from as its parameter `list`, the same text as behind `/tickets?`.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, time
from typing import Annotated, Any, Literal
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from pullse.errors import Invalid, Refusal
from pullse.kit import reading
from pullse.kit.db import Database, Db, Struct
from pullse.kit.events import Actor
from pullse.tickets import listing
from pullse.tickets.model import (
    URGENCY,
    Cursor,
    Limit,
    Moment,
    Order,
    Priority,
    Status,
    TicketQuery,
)

LIVE = (("status", "open"), ("status", "in_progress"))
ME = "me"
FILTERS = ("status", "priority", "assigned_to", "team_id")
MOMENTS = ("created_after", "created_before", "updated_after", "updated_before")
REVERSED = {
    Order.NEWEST: Order.OLDEST,
    Order.LAST_UPDATED: Order.FIRST_UPDATED,
    Order.MOST_URGENT: Order.LEAST_URGENT,
}
REVERSED |= {after: before for before, after in REVERSED.items()}
Day = Annotated[str, Meta(max_length=40)]
Pairs = tuple[tuple[str, str], ...]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of `/tickets`; the last ones are for pieces of the page."""

    status: list[Status] = []
    priority: list[Priority] = []
    assigned_to: Annotated[list[str], Meta(max_length=10)] = []
    team_id: Annotated[list[str], Meta(max_length=10)] = []
    created_after: Day | None = None
    created_before: Day | None = None
    updated_after: Day | None = None
    updated_before: Day | None = None
    q: Annotated[str, Meta(max_length=300)] | None = None
    sort: Order = Order.NEWEST
    limit: Limit = 50
    cursor: Cursor | None = None
    fragment: Literal["more", "rows", "people"] | None = None
    id: Annotated[list[UUID], Meta(max_length=100)] = []
    edit: int | None = None
    open: Literal["look"] | None = None
    done: Annotated[str, Meta(max_length=1000)] | None = None


class Wanted(Struct, frozen=True):
    """
    A list, for who asks. `name` is that of its entry in the side bar, "" for all others;
    `pairs` are its filters and its sort as in an address, without what is usual.
    """

    name: str
    pairs: Pairs
    query: TicketQuery

    @property
    def text(self) -> str:
        return urlencode(self.pairs)

    @property
    def path(self) -> str:
        return f"/tickets?{self.text}" if self.pairs else "/tickets"

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.pairs if key == name]

    def without(self, *names: str) -> Pairs:
        return tuple(pair for pair in self.pairs if pair[0] not in names)


class Ticket(msgspec.Struct, frozen=True):
    """A row, with the names of who and what it belongs to."""

    id: UUID
    number: int
    title: str
    status: Status
    priority: Priority
    assigned_to: UUID | None
    team_id: UUID | None
    created_at: datetime
    updated_at: datetime
    version: int
    assignee: str | None = None
    team: str | None = None
    deleted_at: datetime | None = None


def agent_of(actor: Actor) -> UUID | None:
    """Who asks, if that is an agent."""
    kind, _, id_ = actor.id.partition(":")
    return UUID(id_) if kind == "agent" else None


def read(text: str, actor: Actor, zone: str) -> Wanted:
    """The list that `text` names, as behind `/tickets?`. Raises `Invalid` or `Malformed`."""
    return wanted(asked_in(text.encode("utf-8")), actor, zone)


def find(text: str | None, actor: Actor, zone: str) -> Wanted | None:
    """The same for a part of an address: None for none, and for nonsense."""
    try:
        return None if text is None else read(text, actor, zone)
    except Refusal:
        return None


def asked_in(raw: bytes) -> Asked:
    """A field that a form left empty is as good as none."""
    given = [pair for pair in reading.pairs(raw, "query string") if pair[1]]
    return reading.query(urlencode(given).encode(), Asked)


def has_blanks(raw: bytes) -> bool:
    return any(not value for _, value in reading.pairs(raw, "query string"))


def home(actor: Actor) -> Asked:
    """What is one's own to do; for who is no agent, what there is to do."""
    mine = [ME] if agent_of(actor) else []
    return Asked(status=[Status.OPEN, Status.IN_PROGRESS], assigned_to=mine)


def wanted(asked: Asked, actor: Actor, zone: str) -> Wanted:
    """Raises `Invalid` for what is no moment, and no id."""
    query = TicketQuery(
        status=asked.status,
        priority=asked.priority,
        assigned_to=assigned_to(asked.assigned_to, actor),
        team_id=asked.team_id,
        q=asked.q,
        sort=asked.sort,
        limit=asked.limit,
        cursor=asked.cursor,
        **{name: moment(name, getattr(asked, name), zone) for name in MOMENTS},
    )
    for name, what in (("assigned_to", "agents"), ("team_id", "teams")):
        listing.ids(name, getattr(query, name), what)
    pairs = pairs_of(asked)
    return Wanted(name_of(pairs), pairs, query)


def pairs_of(asked: Asked) -> Pairs:
    several = [(name, str(each)) for name in FILTERS for each in getattr(asked, name)]
    single = [(name, value) for name in (*MOMENTS, "q") if (value := getattr(asked, name))]
    sort = [] if asked.sort is Order.NEWEST else [("sort", str(asked.sort))]
    return tuple(dict.fromkeys([*several, *single, *sort]))


def name_of(pairs: Pairs) -> str:
    """Which of the lists in the side bar it is, in whatever order."""
    filters = frozenset(pair for pair in pairs if pair[0] != "sort")
    if filters == {("status", "resolved")}:
        return "resolved"
    if not filters >= set(LIVE):
        return ""
    match [*(filters - set(LIVE))]:
        case []:
            return "open"
        case [("assigned_to", "me")]:
            return "mine"
        case [("assigned_to", "none")]:
            return "unassigned"
        case [("team_id", team)] if team != listing.NOBODY:
            return team
    return ""


def assigned_to(given: Sequence[str], actor: Actor) -> list[str]:
    """Who is no agent has no tickets: that finds what is assigned to an id that nobody has."""
    me = str(agent_of(actor) or UUID(int=0))
    return [me if each == ME else each for each in given]


def moment(name: str, given: str | None, zone: str) -> datetime | None:
    """A moment as the API takes it, or the beginning of a day where the agent is."""
    if given is None:
        return None
    try:
        if len(given) == 10:
            day = datetime.fromisoformat(given).date()
            return datetime.combine(day, time.min, ZoneInfo(zone))
        return msgspec.convert(given, Moment)
    except (ValueError, OverflowError):
        raise Invalid.field(name, "A day, as 2026-11-28, or a moment with its offset.") from None


def session(database: Database, wanted: Wanted | None) -> AbstractAsyncContextManager[Db]:
    """To read a list in. Free text needs a plan of its own: see listing.search."""
    if wanted is not None and wanted.query.q:
        return database.transaction()
    return database.session()


async def page(db: Db, query: TicketQuery, actor: Actor) -> tuple[list[Ticket], str | None]:
    """Rows, and the cursor of those after them."""
    found = await listing.search(db, query, actor.teams, brief=True)
    return tickets_in(found), found.next_cursor


async def belonging(db: Db, query: TicketQuery, ids: Sequence[UUID], actor: Actor) -> list[Ticket]:
    """Those of `ids` that are on the list, wherever."""
    among = msgspec.structs.replace(query, cursor=None, limit=200)
    return tickets_in(await listing.search(db, among, actor.teams, brief=True, among=ids))


async def by_id(db: Db, ids: Sequence[UUID], actor: Actor) -> list[Ticket]:
    """Those that are there, whatever list they are on."""
    return await belonging(db, TicketQuery(), ids, actor)


def tickets_in(page: listing.Page) -> list[Ticket]:
    return msgspec.json.decode(f"[{page.bodies}]", type=list[Ticket])


async def neighbours(
    db: Db, query: TicketQuery, ticket: Any, seen: frozenset[UUID] | None
) -> tuple[int | None, int | None]:
    """
    The numbers of the tickets before and after a ticket in a list, also of one that is not on
    it (any more). `ticket` has id, priority, created_at and updated_at, as `Ticket` has.

    Of words by the last change none are known: all that have them would have to be read.
    """
    if query.q and query.sort.endswith("updated"):
        return None, None
    at = ticket.updated_at if query.sort.endswith("updated") else ticket.created_at
    found: list[int | None] = []
    for order in (REVERSED[query.sort], query.sort):
        cursor = listing.make_cursor(order, URGENCY[Priority(ticket.priority)], at, ticket.id)
        one = msgspec.structs.replace(query, sort=order, cursor=cursor, limit=1)
        next_to = tickets_in(await listing.search(db, one, seen, brief=True))
        found.append(next_to[0].number if next_to else None)
    return found[0], found[1]
