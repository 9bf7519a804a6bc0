"""
/api/events: every fact, as JSON pages and as Server-Sent Events.

Both go by the same cursor, so a client can always catch up: it resumes exactly where it
was, or is told to start over. A ticket's own history is /api/tickets/{ticket}/events.
"""

import asyncio
from collections.abc import Container, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from pullse.errors import Gone, Invalid, Unavailable
from pullse.kit import events
from pullse.kit.edge import NotLetIn
from pullse.kit.events import Fact, Place
from pullse.kit.streams import gone, push
from pullse.kit.tail import Follower
from pullse.kit.web import Answer, Call, Receive, Request, Scope, Send, encoded, ok
from pullse.realtime.projection import CONFIDENTIAL
from pullse.tickets.actions import no_ticket
from pullse.tickets.api import id_in_path
from pullse.tickets.queries import get_many

HEARTBEAT = 15.0
RETRY = 1000
"""Milliseconds after which a client that was cut comes back."""
NOW = "now"
STREAM = [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no")]
CATCH_UP = 500
"""Facts read at once while a stream catches up."""
PIECE = 64_000
"""Characters sent at once: what a client that does not read can hold of a stream."""
RECHECK = 0.5
"""Seconds between two looks at whether a stream's reader may still read."""
GRACE = 1.0
"""Seconds that a stream which is to end has for what it is sending."""

NAMES = (
    "ticket.created",
    "ticket.changed",
    "ticket.deleted",
    "ticket.restored",
    "ticket.purged",
    "agent.created",
    "agent.changed",
    "agent.deleted",
    "team.created",
    "team.changed",
    "team.deleted",
    "team.joined",
    "team.left",
    "token.created",
    "token.revoked",
    "token.rotated",
)


class Event(msgspec.Struct, frozen=True):
    """A fact. `data.changes` has, for each field that changed, what it was and what it became."""

    cursor: Annotated[str, Meta(description="Where to go on after this fact.")]
    id: int
    name: str
    ticket_id: UUID | None
    actor: str
    data: dict[str, Any]
    request_id: str | None
    at: datetime


class EventPage(msgspec.Struct, frozen=True):
    records: list[Event]
    next_cursor: Annotated[str | None, Meta(description="Null when there is nothing more now.")]
    cursor: Annotated[str, Meta(description="Where to go on later, also after an empty page.")]


After = Annotated[
    str,
    Meta(
        max_length=100,
        description="A cursor: facts after it. Without one, JSON begins with the first fact and "
        "a stream with the next one; `now` is the end.",
    ),
]


class EventQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    after: After | None = None
    ticket_id: Annotated[UUID, Meta(description="Facts about this ticket only.")] | None = None
    name: Annotated[list[str], Meta(description="Facts of these names only.")] = []
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class HistoryQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    after: After | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


async def index(request: Request) -> Any:
    query = request.read_query(EventQuery)
    unknown = [name for name in query.name if name not in NAMES]
    if unknown:
        raise Invalid.field("name", f"Unknown: {unknown[0]}. One of {', '.join(NAMES)}.")
    if "text/event-stream" in (request.header(b"accept") or ""):
        if request.scope.get("is_head"):
            return Answer(200, b"", STREAM)
        return await stream(request, query)
    return await pages(request, query.after, query.limit, query.ticket_id, query.name)


async def history(request: Request) -> Answer:
    query = request.read_query(HistoryQuery)
    ticket_id = await id_in_path(request)
    async with request.database.session() as db:
        ticket = (await get_many(db, [ticket_id]))[0]
    if ticket is None or not events.may_read(ticket.circle, request.actor.teams):
        raise no_ticket()
    return await pages(request, query.after, query.limit, ticket_id, [])


async def pages(
    request: Request, after: str | None, limit: int, ticket_id: UUID | None, names: list[str]
) -> Answer:
    async with request.database.session() as db:
        newest = await events.end(db)
        place = events.START if after is None else start_of(after, newest)
        found = await events.page(
            db,
            place,
            limit=limit,
            ticket_id=ticket_id,
            names=names,
            hidden=hidden_from(request),
            teams=request.actor.teams,
        )
    records = ",".join(with_cursor(fact, newest.epoch) for fact in found.facts)
    cursor = encoded(events.cursor(newest.epoch, found.place))
    following = "null" if found.is_end else cursor
    return ok(request, f'{{"records":[{records}],"next_cursor":{following},"cursor":{cursor}}}')


def hidden_from(request: Request) -> tuple[str, ...]:
    """How the names of facts begin that this caller may not read."""
    return () if "audit:read" in request.actor.rights else CONFIDENTIAL


def start_of(after: str, newest: events.Position) -> Place:
    return newest.place if after == NOW else events.place_of(after, newest)


def with_cursor(fact: Fact, epoch: int) -> str:
    return f'{{"cursor":"{events.cursor(epoch, fact.place)}",{fact.body[1:]}'


async def stream(request: Request, query: EventQuery) -> "Stream":
    """Answer with a stream that begins after the given place, or the next fact."""
    asked = NOW if query.after is None else query.after
    after = request.header(b"last-event-id") or asked
    async with request.database.session() as db:
        newest = await events.end(db)
    has_moved = False
    try:
        place = start_of(after, newest)
    except Gone:
        place, has_moved = newest.place, True
    return Stream(request, place, newest.epoch, query, has_moved=has_moved)


class Stream:
    """One client's stream: catches up from the database, then follows the tail."""

    def __init__(
        self, request: Request, place: Place, epoch: int, query: EventQuery, *, has_moved: bool
    ) -> None:
        self._request = request
        self._place = place
        self._epoch = epoch
        self._ticket_id = query.ticket_id
        self._names = query.name
        self._has_moved = has_moved
        self._hidden = hidden_from(request)
        self._teams = request.actor.teams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        tail = self._request.services.tail
        follower = await tail.follow(self._wants)
        writing = asyncio.ensure_future(self._write(follower, send))
        leaving = asyncio.ensure_future(gone(receive))
        stuck = asyncio.ensure_future(over(follower))
        refused = asyncio.ensure_future(no_longer(self._request))
        tasks = (writing, leaving, stuck, refused)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if refused.done():  # it ends as at the end of the process
                follower.close()
                await asyncio.wait((writing, leaving, stuck), return_when=asyncio.FIRST_COMPLETED)
            if writing.done():
                writing.result()
        finally:
            tail.leave(follower)
            for task in tasks:
                task.cancel()

    async def _write(self, follower: Follower, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": STREAM})
        # The first event has no data, so browsers only take its id: a stream that is cut
        # before the first fact resumes where it began.
        start = f"retry: {RETRY}\nid: {events.cursor(self._epoch, self._place)}\n\n"
        if self._has_moved:
            start += "event: start_over\ndata: {}\n\n"
        await push(send, start)
        try:
            await self._catch_up(follower, send)
            await self._follow(follower, send)
        except Unavailable:
            pass  # the client comes back by its cursor
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _catch_up(self, follower: Follower, send: Send) -> None:
        is_end = False
        while not (is_end or follower.is_over):
            async with self._request.database.session() as db:
                page = await events.page(
                    db,
                    self._place,
                    limit=CATCH_UP,
                    ticket_id=self._ticket_id,
                    names=self._names,
                    hidden=self._hidden,
                    teams=self._teams,
                )
            await self._push(page.facts, send)
            self._place, is_end = page.place, page.is_end

    async def _follow(self, follower: Follower, send: Send) -> None:
        while not follower.is_over:
            facts = await follower.take(HEARTBEAT)
            if facts:
                await self._push(facts, send)
            elif not follower.is_over:
                await push(send, ": still here\n\n")

    async def _push(self, facts: Sequence[Fact], send: Send) -> None:
        """Those after the present place, in pieces of whole events."""
        text = ""
        for fact in facts:
            if fact.place <= self._place:
                continue
            text += (
                f"id: {events.cursor(self._epoch, fact.place)}\n"
                f"data: {with_cursor(fact, self._epoch)}\n\n"
            )
            self._place = fact.place
            if len(text) > PIECE:
                await push(send, text)
                text = ""
        if text:
            await push(send, text)

    def _wants(self, fact: Any) -> bool:
        return (
            isinstance(fact, Fact)
            and (not self._names or fact.name in self._names)
            and not fact.name.startswith(self._hidden)
            and events.may_read(fact.circle, self._teams)
            and (self._ticket_id is None or fact.ticket_id == self._ticket_id)
        )


async def over(follower: Follower) -> None:
    """Until the stream has to end and had time to; a client that does not read holds it up."""
    await follower.ended.wait()
    await asyncio.sleep(GRACE)


async def no_longer(request: Request) -> None:
    """
    Until who asked may no longer, or something else than before: its token was revoked, its
    role or its teams changed, its time is over.
    """
    scope, had = request.scope, (listed(request.actor.rights), request.actor.teams)
    while True:
        await asyncio.sleep(RECHECK)
        try:
            visitor = await scope["edge"].guard.admit(scope, dict(scope["headers"]))
        except NotLetIn:
            return
        except Unavailable:
            continue
        has = (listed(visitor.rights), visitor.teams)
        if visitor.id != request.actor.id or has != had:
            return


def listed(rights: Container[str]) -> list[bool]:
    return [each in rights for each in ("events:read", "audit:read")]


EXAMPLE = {
    "cursor": "1.754.12",
    "id": 12,
    "name": "ticket.changed",
    "ticket_id": "019aa4ae-5f0c-7cc2-8d6e-0a3f5b1c9e70",
    "actor": "owner",
    "data": {
        "title": "The invoice shows the wrong address",
        "number": 42,
        "status": "resolved",
        "priority": "high",
        "assigned_to": None,
        "version": 2,
        "changes": {"status": ["open", "resolved"]},
    },
    "request_id": "6f1d0c9b8a7e",
    "at": "2026-11-22T09:45:00.123456+00:00",
}
EXAMPLE_PAGE = {"records": [EXAMPLE], "next_cursor": None, "cursor": "1.754.12"}

calls = [
    Call(
        "GET",
        "/api/events",
        index,
        "Read or follow the feed of facts",
        "Events have been fetched.",
        query=EventQuery,
        data=EventPage,
        example=EXAMPLE_PAGE,
        tag="events",
        refuses=[Gone],
        description="With `Accept: text/event-stream` a stream that never ends; a browser's "
        "EventSource resumes by itself. The event `start_over` says that the place asked for no "
        "longer exists: read the present state anew.",
        also={"text/event-stream": "Facts as they are committed, a comment each 15 s."},
        permission="events:read",
    ),
    Call(
        "GET",
        "/api/tickets/{ticket}/events",
        history,
        "A ticket's history, oldest first",
        "Events have been fetched.",
        query=HistoryQuery,
        data=EventPage,
        example=EXAMPLE_PAGE,
        tag="events",
        refuses=[Gone],
        permission="tickets:read",
    ),
]
