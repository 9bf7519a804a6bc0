"""`/`, `/tickets` and `/trash`: lists of tickets."""

from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import quote, urlencode
from uuid import UUID

import msgspec
from msgspec import Meta

from pullse.desk import columns, lists, queries
from pullse.desk.columns import Column
from pullse.desk.lists import Asked, Wanted
from pullse.desk.pages import story
from pullse.kit.db import Struct
from pullse.kit.pages import Shown, see, showing
from pullse.kit.web import Request
from pullse.tickets import listing
from pullse.tickets.model import Cursor, Order, Priority, Status
from pullse.web.frame import frame_of, shown

HERE = "/tickets"
TRASH = "/trash"
ON_A_PAGE = 50


class Home(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    done: Annotated[str, Meta(max_length=1000)] | None = None


class InTrash(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cursor: Cursor | None = None
    done: Annotated[str, Meta(max_length=1000)] | None = None


class Head(Struct, frozen=True):
    """A column's head: where a click leads, and how it is sorted now (as `aria-sort`)."""

    name: str
    href: str | None = None
    sorted: str | None = None


class Chip(Struct, frozen=True):
    """A filter that is set, and the list without it."""

    name: str
    value: str
    href: str


async def home(request: Request) -> Shown:
    request.read_query(Home)
    return await page(request, lists.home(request.actor))


async def index(request: Request) -> Shown:
    raw = request.scope["query_string"]
    asked = lists.asked_in(raw)
    if lists.has_blanks(raw) and asked.fragment is None:
        # What a form left empty is not in the address that one keeps or sends to somebody.
        return see(at(pairs_of_page(asked)))
    if asked.fragment == "rows":
        return await rows(request, asked)
    return await page(request, asked)


async def page(request: Request, asked: Asked) -> Shown:
    preferences = await frame_of(request).preferences(request)
    wanted = lists.wanted(asked, request.actor, preferences.zone)
    chosen = columns.chosen(preferences.columns)
    # Free text needs a plan of its own: see listing.search.
    database = request.database
    async with database.transaction() if wanted.query.q else database.session() as db:
        tickets, cursor = await lists.page(db, wanted.query, request.actor)
        if asked.fragment == "more":
            choices = []
        else:
            choices = await queries.choices(
                db, ids(wanted, "assigned_to"), ids(wanted, "team_id"), request.actor.teams
            )
        emptiness = {} if tickets else await story.emptiness(db, request)
    return await shown(
        request,
        "desk/list_more.html" if asked.fragment == "more" else "desk/list.html",
        list=wanted,
        here=wanted.name,
        back=quote(wanted.text, safe=""),
        tickets=tickets,
        is_first=asked.cursor is None,
        more=cursor and at((*wanted.pairs, ("cursor", cursor))),
        columns=chosen,
        heads=[head(each, wanted) for each in chosen],
        chips=chips(wanted),
        names={str(each.id): each.name for each in choices},
        agents=offered(choices, "agent"),
        teams=offered(choices, "team"),
        is_agent=lists.agent_of(request.actor) is not None,
        statuses=list(Status),
        priorities=list(Priority),
        orders=list(Order),
        **emptiness,
    )


async def rows(request: Request, asked: Asked) -> Shown:
    """Tickets that a page shows or might: as they are now, and whether they are on the list."""
    preferences = await frame_of(request).preferences(request)
    wanted = lists.wanted(asked, request.actor, preferences.zone)
    database = request.database
    async with database.transaction() if wanted.query.q else database.session() as db:
        on_it = await lists.belonging(db, wanted.query, asked.id, request.actor)
        there = {each.id for each in on_it}
        others = [each for each in asked.id if each not in there]
        off_it = await lists.by_id(db, others, request.actor) if others else []
    return await shown(
        request,
        "desk/list_rows.html",
        back=quote(wanted.text, safe=""),
        tickets=[*on_it, *off_it],
        off={str(each.id) for each in off_it},
        columns=columns.chosen(preferences.columns),
    )


async def trash(request: Request) -> Shown:
    asked = request.read_query(InTrash)
    async with request.database.session() as db:
        found = await listing.trash(db, asked.cursor, ON_A_PAGE, request.actor.teams, brief=True)
    chosen = [*columns.chosen(["number", "title", "status", "assignee", "team"]), columns.DELETED]
    return await shown(
        request,
        "desk/trash.html",
        here="trash",
        tickets=lists.tickets_in(found),
        is_first=asked.cursor is None,
        more=found.next_cursor and f"{TRASH}?cursor={found.next_cursor}",
        columns=chosen,
        heads=[Head(each.name) for each in chosen],
    )


def at(pairs: Sequence[tuple[str, str]]) -> str:
    return f"{HERE}?{urlencode(pairs)}" if pairs else HERE


def pairs_of_page(asked: Asked) -> list[tuple[str, str]]:
    pairs = list(lists.pairs_of(asked))
    return pairs if asked.cursor is None else [*pairs, ("cursor", asked.cursor)]


def head(column: Column, wanted: Wanted) -> Head:
    """A second click turns the order round."""
    if column.first is None or column.other is None:
        return Head(column.name)
    now = wanted.query.sort
    following = column.other if now is column.first else column.first
    sort = [] if following is Order.NEWEST else [("sort", str(following))]
    direction = None
    if now in (column.first, column.other):
        direction = "descending" if now.startswith("-") else "ascending"
    return Head(column.name, at([*wanted.without("sort"), *sort]), direction)


def chips(wanted: Wanted) -> list[Chip]:
    return [
        Chip(name, value, at([pair for pair in wanted.pairs if pair != (name, value)]))
        for name, value in wanted.without("sort")
    ]


def ids(wanted: Wanted, name: str) -> list[UUID]:
    """Those that a filter names, so that they are named by more than an id."""
    return listing.ids(name, [each for each in wanted.values(name) if each != lists.ME], "agents")


def offered(choices: Sequence[queries.Choice], kind: str) -> list[queries.Choice]:
    return [each for each in choices if each.kind == kind and each.is_open]


pages: list[Any] = [
    showing("/", home, "tickets:read", query=Home),
    showing(HERE, index, "tickets:read", query=Asked),
    showing(TRASH, trash, "tickets:read", query=InTrash),
]
