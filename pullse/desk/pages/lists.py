"""
`/` and `/tickets`: lists of tickets.

An address that can't be is answered by the list's page too: it has no rows, says beside each
field what is wrong with it, and leads on to the list without that.
"""

from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from msgspec import Meta

from pullse.desk import columns, lists, queries, straying
from pullse.desk.columns import Column
from pullse.desk.heads import HERE, at, chips, head, sorted_by
from pullse.desk.lists import Asked, Ticket, Wanted
from pullse.desk.pages import story
from pullse.desk.telling import told
from pullse.errors import Invalid, Refusal
from pullse.kit.db import Db
from pullse.kit.pages import (
    EMPTY,
    FRAGMENT,
    Form,
    Shown,
    see,
    showing,
    status_of,
    wants_page,
)
from pullse.kit.reading import Malformed
from pullse.kit.web import Request
from pullse.tickets import listing
from pullse.tickets.model import Order, Priority, Status
from pullse.web.frame import Preferences, frame_of, piece, shown


class Home(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    done: Annotated[str, Meta(max_length=1000)] | None = None


async def home(request: Request) -> Shown:
    asked = request.read_query(Home)
    return await page(request, lists.home(request.actor), done=asked.done)


async def index(request: Request) -> Shown:
    raw = request.scope["query_string"]
    try:
        return await asked_for(request, raw)
    except (Invalid, Malformed) as error:
        if FRAGMENT in raw or not wants_page(request.scope):
            raise
        return await astray(request, raw, error)


async def asked_for(request: Request, raw: bytes) -> Shown:
    asked = lists.asked_in(raw)
    if asked.fragment is not None:
        return await PIECES[asked.fragment](request, asked)
    typed = [each for each in asked.assigned_to if is_typed(each)]
    if typed or lists.has_blanks(raw):
        # What a form left empty is not in the address that one keeps or sends to somebody.
        return see(at(pairs_of_page(await with_ids(request, asked, typed))))
    return await page(request, asked, done=asked.done)


async def with_ids(request: Request, asked: Asked, typed: Sequence[str]) -> Asked:
    """Agents that were typed, where there are too many to choose from."""
    if not typed:
        return asked
    async with request.database.session() as db:
        found = {each: str(await queries.agent_called(db, each)) for each in typed}
    agents = [found.get(each, each) for each in asked.assigned_to]
    return msgspec.structs.replace(asked, assigned_to=agents)


async def page(
    request: Request,
    asked: Asked,
    form: Form = EMPTY,
    status: int = 200,
    *,
    done: str | None = None,
) -> Shown:
    preferences = await frame_of(request).preferences(request)
    wanted = lists.wanted(asked, request.actor, preferences.zone)
    given = Form(wanted.pairs)
    async with lists.session(request.database, wanted) as db:
        tickets, cursor = await lists.page(db, wanted.query, request.actor)
        choices = await choices_of(db, request, given)
        found = await found_by(db, request, typed_in(given, form))
        emptiness = {} if tickets else await story.emptiness(db, request)
    return await drawn(
        request,
        status,
        given,
        wanted,
        preferences,
        choices,
        found,
        rows=(tickets, cursor),
        is_astray=False,
        is_first=asked.cursor is None,
        edit=asked.edit,
        open=asked.open,
        **emptiness,
        **told(request, form, done),
    )


async def astray(request: Request, raw: bytes, error: Refusal) -> Shown:
    """No list: what was given, and what is wrong with it."""
    preferences = await frame_of(request).preferences(request)
    given, wanted = straying.parted(raw, error, request.actor, preferences.zone)
    async with request.database.session() as db:
        choices = await choices_of(db, request, given)
        found = await found_by(db, request, typed_in(given, EMPTY))
    return await drawn(
        request,
        status_of(error),
        given,
        wanted,
        preferences,
        choices,
        found,
        rows=((), None),
        is_astray=True,
        is_first=True,
        edit=None,
        open=None,
        is_desk_empty=False,
        **told(request, EMPTY, None),
    )


async def choices_of(db: Db, request: Request, given: Form) -> list[queries.Choice]:
    """Whom and what the page offers, and has to name."""
    agents, teams = (straying.ids(given.values(name)) for name in ("assigned_to", "team_id"))
    return await queries.choices(db, agents, teams, request.actor.teams)


def typed_in(given: Form, form: Form) -> list[str]:
    """Who was looked for, and not found by that alone."""
    typed = given.values("assigned_to") if given.problem("assigned_to") else []
    typed = [each for each in typed if is_typed(each)]
    return [*typed, form.value("who")] if form.problem("assigned_to") else typed


def is_typed(text: str) -> bool:
    return text not in (lists.ME, listing.NOBODY) and not straying.ids([text])


async def found_by(db: Db, request: Request, typed: Sequence[str]) -> list[queries.Choice]:
    found = [await queries.people(db, each, None, request.actor.teams) for each in typed if each]
    return list({each.id: each for several in found for each in several}.values())


async def drawn(
    request: Request,
    status: int,
    given: Form,
    wanted: Wanted,
    preferences: Preferences,
    choices: Sequence[queries.Choice],
    found: Sequence[queries.Choice],
    *,
    rows: tuple[Sequence[Ticket], str | None],
    **more: Any,
) -> Shown:
    """The page of a list; `given` is what its filters hold."""
    chosen = columns.chosen(preferences.columns)
    agents = offered(choices, "agent")
    is_many = len(agents) > queries.AT_MOST
    return await shown(
        request,
        "desk/list.html",
        status,
        list=wanted,
        given=given,
        heads=[head(each, wanted) for each in chosen],
        chips=chips(wanted),
        names={str(each.id): each.name for each in choices},
        agents=found if is_many else agents,
        is_many=is_many,
        found=found,
        teams=offered(choices, "team"),
        is_agent=lists.agent_of(request.actor) is not None,
        orders=[(str(each), at(sorted_by(wanted, each))) for each in Order],
        all_columns=columns.all_of(preferences.columns),
        **rows_of(*rows, wanted, chosen),
        **more,
    )


async def more(request: Request, asked: Asked) -> Shown:
    """The rows after `cursor`."""
    preferences = await frame_of(request).preferences(request)
    wanted = lists.wanted(asked, request.actor, preferences.zone)
    async with lists.session(request.database, wanted) as db:
        tickets, cursor = await lists.page(db, wanted.query, request.actor)
    chosen = columns.chosen(preferences.columns)
    given = rows_of(tickets, cursor, wanted, chosen)
    return await piece(request, "desk/list_more.html", form=EMPTY, edit=None, **given)


async def rows(request: Request, asked: Asked) -> Shown:
    """Tickets that a page shows or might: as they are now, and whether they are on the list."""
    preferences = await frame_of(request).preferences(request)
    wanted = lists.wanted(asked, request.actor, preferences.zone)
    async with lists.session(request.database, wanted) as db:
        on_it = await lists.belonging(db, wanted.query, asked.id, request.actor)
        there = {each.id for each in on_it}
        others = [each for each in asked.id if each not in there]
        off_it = await lists.by_id(db, others, request.actor) if others else []
    given = rows_of([*on_it, *off_it], None, wanted, columns.chosen(preferences.columns))
    off = {str(each.id): True for each in off_it}
    return await piece(request, "desk/list_rows.html", form=EMPTY, edit=None, off=off, **given)


async def people(request: Request, asked: Asked) -> Shown:
    """Whom a ticket can be given to, by how a name begins; `team_id` is that of the ticket."""
    team = listing.ids("team_id", asked.team_id, "teams")
    async with request.database.session() as db:
        found = await queries.people(
            db, asked.q or "", team[0] if team else None, request.actor.teams
        )
    return await piece(request, "desk/list_people.html", agents=found, starts=not asked.q)


def rows_of(
    tickets: Sequence[Ticket], cursor: str | None, wanted: Wanted, chosen: Sequence[Column]
) -> dict[str, Any]:
    return {
        "tickets": tickets,
        "more": cursor and at((*wanted.pairs, ("cursor", cursor))),
        "columns": chosen,
        "back": quote(wanted.text, safe=""),
        "text": wanted.text,
        "statuses": list(Status),
        "priorities": list(Priority),
    }


def pairs_of_page(asked: Asked) -> list[tuple[str, str]]:
    pairs = list(lists.pairs_of(asked))
    return pairs if asked.cursor is None else [*pairs, ("cursor", asked.cursor)]


def offered(choices: Sequence[queries.Choice], kind: str) -> list[queries.Choice]:
    return [each for each in choices if each.kind == kind and each.is_open]


PIECES = {"more": more, "rows": rows, "people": people}

pages: list[Any] = [
    showing("/", home, "tickets:read", query=Home),
    showing(HERE, index, "tickets:read", query=Asked),
]
