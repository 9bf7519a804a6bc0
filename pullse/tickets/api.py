"""/api/tickets and /api/trash."""

from uuid import UUID

from pullse.errors import NotFound, Stale
from pullse.kit import etags, idempotency
from pullse.kit.db import Db
from pullse.kit.events import may_read
from pullse.kit.loader import gather
from pullse.kit.web import Answer, Call, Request, encoded, ok
from pullse.tickets import actions, listing, queries
from pullse.tickets.model import (
    NewTicket,
    Ticket,
    TicketChanges,
    TicketPage,
    TicketQuery,
    TrashPage,
    TrashQuery,
)

EXAMPLE = {
    "id": "019aa4ae-5f0c-7cc2-8d6e-0a3f5b1c9e70",
    "number": 42,
    "title": "The invoice shows the wrong address",
    "description": "We moved in March, but the invoice of May still has the old street.",
    "status": "open",
    "priority": "high",
    "assigned_to": None,
    "team_id": None,
    "created_at": "2026-11-22T09:30:00.123456+00:00",
    "updated_at": "2026-11-22T09:30:00.123456+00:00",
    "version": 1,
}


async def create(request: Request) -> Answer:
    new = await request.read_body(NewTicket)

    async def run(db: Db) -> Answer:
        return shown(request, await actions.create(db, new, by=request.actor))

    if idempotency.key_of(request) is not None:
        return await idempotency.post(request, run)
    made = await actions.create_soon(request.database, new, by=request.actor)
    request.services.tail.wake()
    return shown(request, made)


async def index(request: Request) -> Answer:
    query = request.read_query(TicketQuery)
    database = request.database
    async with database.transaction() if query.q else database.session() as db:
        return page(request, await listing.search(db, query, request.actor.teams))


async def show(request: Request) -> Answer:
    ticket = await find(request)
    return etags.unchanged(request, ticket.version) or shown(request, ticket)


async def update(request: Request) -> Answer:
    changes = await request.read_body(TicketChanges)
    if_match = etags.if_match(request)
    done = await actions.change_soon(
        request.database,
        await id_in_path(request),
        changes,
        if_match=if_match,
        by=request.actor,
    )
    if done.is_changed:
        request.services.tail.wake()
    return ok(request, done.body, etags.etag(done.version))


async def delete(request: Request) -> Answer:
    if_match = etags.if_match(request)
    ticket_id = await id_in_path(request)
    async with request.database.session() as db:
        await actions.delete(db, ticket_id, if_match=if_match, by=request.actor)
    request.services.tail.wake()
    return ok(request)


async def trash(request: Request) -> Answer:
    query = request.read_query(TrashQuery)
    async with request.database.session() as db:
        return page(
            request, await listing.trash(db, query.cursor, query.limit, request.actor.teams)
        )


async def restore(request: Request) -> Answer:
    ticket_id = await id_in_path(request)

    async def run(db: Db) -> Answer:
        return shown(request, await actions.restore(db, ticket_id, by=request.actor))

    return await idempotency.post(request, run)


async def find(request: Request) -> queries.Shown:
    """The ticket that the path names, by id or number; read together with others asked for now."""
    text = request.path_params["ticket"]
    number = as_number(text)
    if number is not None:
        ticket = await gather(request.database, queries.get_many_by_number, number)
    else:
        ticket = await gather(request.database, queries.get_many, as_id(text))
    if ticket is None or not may_read(ticket.circle, request.actor.teams):
        raise actions.no_ticket()
    return ticket


async def id_in_path(request: Request) -> UUID:
    """The id of the ticket that the path names by id or number; it may be in the trash."""
    text = request.path_params["ticket"]
    number = as_number(text)
    if number is None:
        return as_id(text)
    async with request.database.session() as db:
        found = await queries.find_id(db, number, request.actor.teams)
    if found is None:
        raise actions.no_ticket()
    return found


def as_number(text: str) -> int | None:
    is_number = text.isascii() and text.isdigit() and len(text) < 19
    return int(text) if is_number else None


def as_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("There is no such ticket.") from None


def shown(request: Request, ticket: queries.Shown) -> Answer:
    return ok(request, ticket.body, etags.etag(ticket.version))


def page(request: Request, found: listing.Page) -> Answer:
    cursor = encoded(found.next_cursor)
    return ok(request, f'{{"records":[{found.bodies}],"next_cursor":{cursor}}}')


calls = [
    Call(
        "POST",
        "/api/tickets",
        create,
        "Create a ticket",
        "Ticket has been created.",
        status=201,
        body=NewTicket,
        data=Ticket,
        example=EXAMPLE,
        tag="tickets",
        permission="tickets:write",
    ),
    Call(
        "GET",
        "/api/tickets",
        index,
        "List and search tickets",
        "Tickets have been fetched.",
        query=TicketQuery,
        data=TicketPage,
        example={"records": [EXAMPLE], "next_cursor": None},
        tag="tickets",
        permission="tickets:read",
    ),
    Call(
        "GET",
        "/api/tickets/{ticket}",
        show,
        "Get one ticket",
        "Ticket has been fetched.",
        data=Ticket,
        example=EXAMPLE,
        tag="tickets",
        conditional=True,
        permission="tickets:read",
    ),
    Call(
        "PATCH",
        "/api/tickets/{ticket}",
        update,
        "Change a ticket",
        "Ticket has been updated.",
        body=TicketChanges,
        data=Ticket,
        example={**EXAMPLE, "status": "resolved", "version": 2},
        tag="tickets",
        refuses=[Stale],
        conditional=True,
        permission="tickets:write",
    ),
    Call(
        "DELETE",
        "/api/tickets/{ticket}",
        delete,
        "Delete a ticket: it goes to the trash, for 30 days",
        "Ticket has been deleted.",
        tag="tickets",
        refuses=[Stale],
        conditional=True,
        permission="tickets:write",
    ),
    Call(
        "GET",
        "/api/trash/tickets",
        trash,
        "List deleted tickets, the last deleted first",
        "Deleted tickets have been fetched.",
        query=TrashQuery,
        data=TrashPage,
        example={
            "records": [{**EXAMPLE, "deleted_at": "2026-11-22T10:00:00+00:00"}],
            "next_cursor": None,
        },
        tag="tickets",
        permission="tickets:read",
    ),
    Call(
        "POST",
        "/api/tickets/{ticket}/restore",
        restore,
        "Take a ticket out of the trash",
        "Ticket has been restored.",
        data=Ticket,
        example={**EXAMPLE, "version": 3},
        tag="tickets",
        permission="tickets:write",
    ),
]
