"""
The feed tells a ticket's changes in the order in which they were made.

It is read by transaction; a transaction that began before another may come to a ticket after
it. Each test holds such an older one open, as a batch of changes or a slow request would.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import UUID

import httpx
import pytest

from pullse import app
from pullse.kit import events
from pullse.kit.db import Database, Db, open_database
from pullse.kit.events import START, Actor
from pullse.kit.guard import LocalOwner
from pullse.kit.tail import Tail
from pullse.tickets import actions, departures
from pullse.tickets.model import Status, TicketChanges
from tests.api.calls import Body, change, delete, facts, new_agent, new_ticket

LATE = Actor("late")


@pytest.fixture
async def older(database: Database) -> AsyncIterator[Db]:
    """A transaction that is older than all that the test does; committed by the test's end."""
    async with database.transaction() as db:
        await db.value("SELECT pg_current_xact_id()")
        yield db


async def told(db: Db, ticket: Body) -> list[tuple[int, str]]:
    """Version and actor, as the feed has them."""
    rows = await db.rows(
        "SELECT (data->>'version')::integer, actor FROM events"
        " WHERE ticket_id = $1 ORDER BY tx, id",
        UUID(ticket["id"]),
    )
    return [(version, actor) for version, actor in rows]


async def test_of_changes(client: httpx.AsyncClient, older: Db) -> None:
    ticket = await new_ticket(client)
    await change(client, ticket, status="resolved")

    await actions.change(older, UUID(ticket["id"]), TicketChanges(status=Status.CLOSED), by=LATE)

    assert await told(older, ticket) == [(1, "owner"), (2, "owner"), (3, "late")]


async def test_of_changes_that_come_together(client: httpx.AsyncClient, older: Db) -> None:
    ticket = await new_ticket(client)
    await change(client, ticket, status="resolved")
    wish = actions.Wish(UUID(ticket["id"]), TicketChanges(title="Later"), None, LATE)

    await actions.changing.change_unhindered(older, [wish])

    assert await told(older, ticket) == [(1, "owner"), (2, "owner"), (3, "late")]


async def test_of_a_deletion(client: httpx.AsyncClient, older: Db) -> None:
    ticket = await new_ticket(client)

    await actions.delete(older, UUID(ticket["id"]), by=LATE)

    assert await told(older, ticket) == [(1, "owner"), (2, "late")]


async def test_of_a_restoration(client: httpx.AsyncClient, older: Db) -> None:
    ticket = await new_ticket(client)
    await delete(client, ticket)

    await actions.restore(older, UUID(ticket["id"]), by=LATE)

    assert await told(older, ticket) == [(1, "owner"), (2, "owner"), (3, "late")]


async def test_of_an_agent_who_leaves(client: httpx.AsyncClient, older: Db) -> None:
    ada = await new_agent(client)
    ticket = await new_ticket(client, assigned_to=ada["id"])
    await change(client, ticket, status="in_progress")

    await departures.dismiss(older, UUID(ada["id"]), by=LATE)

    assert await told(older, ticket) == [(1, "owner"), (2, "owner"), (3, "late")]


async def test_a_reader_sees_nothing_of_it_too_early_and_all_in_the_end(
    client: httpx.AsyncClient, database: Database
) -> None:
    async with database.transaction() as older:
        await older.value("SELECT pg_current_xact_id()")
        ticket = await new_ticket(client)
        changes = TicketChanges(status=Status.CLOSED)
        await actions.change(older, UUID(ticket["id"]), changes, by=LATE)
        async with database.session() as db:
            assert await events.since(db, START) == []

    seen: list[str] = []
    while len(seen) < 2:  # other tests' transactions on this server hold readers back too
        async with database.session() as db:
            seen = [fact.name for fact in await events.since(db, START)]
    assert seen == ["ticket.created", "ticket.changed"]


async def test_whatever_several_processes_do_at_once(
    client: httpx.AsyncClient, database: Database, database_url: str
) -> None:
    tickets = [await new_ticket(client, str(number)) for number in range(40)]
    words = ["open", "in_progress", "resolved", "closed"]
    async with AsyncExitStack() as stack:

        async def process() -> httpx.AsyncClient:
            other = await open_database(database_url, size=3)
            stack.push_async_callback(other.close)
            edge = app.build(other, Tail(other), LocalOwner())
            transport = httpx.ASGITransport(edge)  # type: ignore[arg-type]
            there = httpx.AsyncClient(transport=transport, base_url="http://localhost")
            return await stack.enter_async_context(there)

        async def work(client: httpx.AsyncClient, step: int) -> None:
            for turn in range(8):
                await asyncio.gather(
                    *(
                        change(client, ticket, status=words[(turn * step + number) % 4])
                        for number, ticket in enumerate(tickets)
                    )
                )

        await asyncio.gather(*[work(await process(), step) for step in (1, 2, 3, 5)])

    for ticket in tickets:
        steps = (await facts(database, ticket))[1:]
        assert [fact.data["version"] for fact in steps] == list(range(2, len(steps) + 2))
