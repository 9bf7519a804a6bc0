"""/tickets/{number}: one ticket, what happened to it, and the ways to change it."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode
from uuid import UUID

import msgspec
from minijinja import safe
from msgspec import UNSET, Meta, UnsetType

from pullse.desk import choosing, collisions, lists
from pullse.desk import ticket_queries as queries
from pullse.desk.lists import Wanted
from pullse.desk.merging import FIELDS, Conflict
from pullse.desk.ticket_queries import Ticket
from pullse.desk.timeline import kinds, reading
from pullse.desk.timeline.model import Entry, Page, Word
from pullse.kit.db import Db, Struct
from pullse.kit.events import Actor
from pullse.kit.pages import EMPTY, Form, Shown, see, showing
from pullse.kit.web import Request
from pullse.realtime.projection import PRIVATE
from pullse.tickets.actions import no_ticket
from pullse.tickets.api import as_id, as_number
from pullse.tickets.model import Order, Priority, Status
from pullse.tickets.rendering import html_of
from pullse.web.frame import frame_of, piece, shown

HERE = "/tickets/{ticket}"
GIVEN = "/tickets/given"
ListText = Annotated[str, Meta(max_length=4000)]
PlaceText = Annotated[str, Meta(max_length=40)]
Done = Literal["created", "changed", "undone", "deleted", "restored", "nothing"]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    fact: Annotated[int, Meta(ge=1)] | None = None
    before: PlaceText | None = None
    after: PlaceText | None = None
    edit: Literal["text"] | None = None
    list: ListText | None = None
    """The one that one came from: see lists.find and lists.neighbours."""
    done: Done | None = None
    fragment: Literal["parts", "timeline"] | None = None


class AskedGiven(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: Annotated[int, Meta(ge=1)]


class Ways(Struct, frozen=True):
    """From a ticket to others of the list that one came from; `text` is that list, as `list`."""

    text: str
    path: str
    name: str
    previous: int | None
    next: int | None


PIECES = {"parts": "desk/ticket_parts.html", "timeline": "desk/ticket_timeline.html"}
MARKS = ("\0mine", "\0theirs")
"""Texts can't have NUL, so a template finds these, and names both sides in its language."""


async def show(request: Request) -> Shown:
    asked = request.read_query(Asked)
    number = as_number(request.path_params["ticket"])
    if number is None:
        return await lead_on(request)
    return await page(request, asked)


async def lead_on(request: Request) -> Shown:
    """From the id, which programs have, to the number, which people say."""
    ticket_id = as_id(request.path_params["ticket"])
    async with request.database.session() as db:
        number = await queries.number_of(db, ticket_id, request.actor.teams)
    if number is None:
        raise no_ticket()
    query = request.scope["query_string"].decode("latin-1")
    return see(f"/tickets/{number}" + (f"?{query}" if query else ""))


async def page(
    request: Request,
    asked: Asked,
    status: int = 200,
    *,
    form: Form = EMPTY,
    preview: str | None = None,
    conflicts: Sequence[Conflict] = (),
    has_saved: bool = False,
) -> Shown:
    """The ticket as it is now, with what was typed and what is to say about that."""
    preferences = await frame_of(request).preferences(request)
    wanted = lists.find(asked.list, request.actor, preferences.zone)
    async with lists.session(request.database, wanted) as db:
        ticket = await find(db, request)
        ways = await ways_of(db, wanted, ticket, request.actor)
        history = await history_of(db, ticket, asked)
        words = [word for each in history.entries for word in reading.words_in(each)]
        words += collisions.words_in(conflicts)
        words += [word for word in (agent(ticket.assigned_to), team(ticket.team_id)) if word]
        known = await reading.names_of(db, words, request.actor.teams)
        choices = await queries.choices(db, ticket.team_id)
        agents = await choosing.agents(db, choices, form, ticket.team_id, request.actor.teams)
    text = await html_of(
        request.database, ticket.id, ticket.version, ticket.description, ticket.html
    )
    entries = [reading.named_entry(each, known) for each in history.entries]
    may_write = "tickets:write" in request.actor.rights
    given: dict[str, Any] = {
        "form": form,
        "fields": FIELDS,
        "ticket": ticket,
        "ways": ways,
        "list_text": "" if ways is None else ways.text,
        "more": "" if ways is None else f"&list={quote(ways.text, safe='')}",
        "assignee": reading.named(agent(ticket.assigned_to), known),
        "team": reading.named(team(ticket.team_id), known),
        "is_many": choosing.is_many(choices),
        "who": choosing.still_typed(form, agents),
        "agents": choosing.with_all(
            agents, [ticket.assigned_to, *choosing.minds(conflicts)], known
        ),
        "teams": choosing.with_all([c for c in choices if c.is_team], [ticket.team_id], known),
        "statuses": list(Status),
        "priorities": list(Priority),
        "channel": channel_of(ticket),
        "actor": request.actor.id,
        "me": own_id(request.actor),
        "history": msgspec.structs.replace(history, entries=entries),
        "undo_key": undo_key(request.actor, entries) if may_write and not history.later else None,
        "pointed": asked.fact,
        "may_write": may_write,
        "is_edited": asked.edit == "text" and may_write and may_edit(ticket, form),
        "done": asked.done,
        "preview": None if preview is None else safe(preview),
        "text": safe(text),
        "conflicts": [collisions.collision(each, known) for each in conflicts],
        "has_saved": has_saved,
        "marks": MARKS,
    }
    if asked.fragment is not None:
        return await piece(request, PIECES[asked.fragment], **given)
    return await shown(request, "desk/ticket.html", status, **given)


def channel_of(ticket: Ticket) -> str:
    """Where those who look at it are present; see decision 0014."""
    circle = "" if ticket.circle is None else f"{PRIVATE}{ticket.circle}:"
    return f"{circle}ticket:{ticket.id}"


async def ways_of(db: Db, wanted: Wanted | None, ticket: Ticket, actor: Actor) -> Ways | None:
    if wanted is None:
        return None
    previous, following = await lists.neighbours(db, wanted.query, ticket, actor.teams)
    # A form can't send an empty text: the list without filters is named by its sort.
    text = wanted.text or urlencode({"sort": Order.NEWEST})
    return Ways(text, f"{wanted.path}#t{ticket.number}", wanted.name, previous, following)


async def led_on(
    request: Request,
    number: int,
    done: Done,
    team_id: UUID | UnsetType | None = UNSET,
    list_text: str | None = None,
) -> Shown:
    """
    What was to do is done; on with the ticket, and the list that one came from. Who has given
    it to a private team may not see it any more.
    """
    if isinstance(team_id, UUID):
        async with request.database.session() as db:
            if await queries.find(db, number, request.actor.teams) is None:
                return see(f"{GIVEN}?number={number}")
    query = {"done": done} | ({"list": list_text} if list_text else {})
    return see(f"/tickets/{number}?{urlencode(query)}")


async def show_given(request: Request) -> Shown:
    """To a private team, by one who is not in it."""
    asked = request.read_query(AskedGiven)
    return await shown(request, "desk/given.html", number=asked.number)


def may_edit(ticket: Ticket, form: Form) -> bool:
    """What somebody typed stays, also where the ticket was deleted meanwhile."""
    return ticket.deleted_at is None or bool(form.given)


async def find(db: Db, request: Request) -> Ticket:
    """The one that the path names, also in the trash, if it may be seen."""
    number = as_number(request.path_params["ticket"])
    if number is None:
        number = await queries.number_of(
            db, as_id(request.path_params["ticket"]), request.actor.teams
        )
    ticket = None if number is None else await queries.find(db, number, request.actor.teams)
    if ticket is None:
        raise no_ticket()
    return ticket


async def history_of(db: Db, ticket: Ticket, asked: Asked) -> Page:
    if asked.fact is not None:
        found = await reading.around(db, ticket, asked.fact)
        if found is not None:
            return found
    if asked.before is not None:
        return await reading.before(db, ticket, reading.place_of(asked.before, "before"))
    if asked.after is not None:
        return await reading.after(db, ticket, reading.place_of(asked.after, "after"))
    return await reading.newest(db, ticket)


def undo_key(actor: Actor, entries: Sequence[Entry]) -> int | None:
    """The fact that the key for it undoes: one's own last change, if that can be undone."""
    own = [each for each in entries if each.actor == actor.id and each.is_change]
    return own[-1].id if own and own[-1].is_undoable else None


def agent(id_: UUID | None) -> Word | None:
    return None if id_ is None else Word("agent", str(id_))


def team(id_: UUID | None) -> Word | None:
    return None if id_ is None else Word("team", str(id_))


def own_id(actor: Actor) -> str | None:
    """Of who looks, if that is an agent."""
    word = kinds.actor(actor.id)
    return word.value if word.kind == "agent" else None


pages = [
    showing(HERE, show, "tickets:read", query=Asked),
    showing(GIVEN, show_given, "tickets:write", query=AskedGiven),
]
