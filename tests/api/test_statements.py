"""How many statements a call costs: no list grows with its records, no read asks twice."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from pullse.kit.db import Database
from tests.api.calls import change, delete, new_agent, new_ticket

ASIDE = re.compile(r"NOTIFY|LISTEN|WITH RECURSIVE typeinfo_tree|SELECT .*set_config\('jit'")
"""The tail's, and what the driver asks once a connection about types of arrays."""

Count = Callable[[Awaitable[httpx.Response]], Awaitable[list[str]]]


@pytest.fixture
async def statements(database: Database) -> Count:
    """What the pool's connections send while a call is answered."""

    async def count(call: Awaitable[httpx.Response]) -> list[str]:
        seen: list[str] = []

        def note(record: Any) -> None:
            seen.append(" ".join(record.query.split()))

        connections = [await database.pool.acquire() for _ in range(8)]
        inner = [connection._con for connection in connections]
        for connection in inner:
            connection.add_query_logger(note)
        for connection in connections:
            await database.pool.release(connection)
        answer = await call
        for connection in inner:
            connection.remove_query_logger(note)
        assert answer.is_success, answer.text
        return [query for query in seen if not ASIDE.match(query)]

    return count


async def fill(client: httpx.AsyncClient) -> dict[str, Any]:
    ada = await new_agent(client)
    for number in range(30):
        await new_ticket(client, str(number), assigned_to=ada["id"] if number % 2 else None)
    return ada


@pytest.mark.parametrize("limit", [1, 30])
async def test_a_list_is_one_statement(
    client: httpx.AsyncClient, statements: Count, limit: int
) -> None:
    ada = await fill(client)
    await delete(client, await new_ticket(client))
    for path in (
        "/api/tickets?",
        "/api/tickets?sort=-priority&status=open&priority=low,high&",
        f"/api/tickets?assigned_to={ada['id']},none&",
        "/api/trash/tickets?",
        "/api/agents?",
    ):
        sent = await statements(client.get(f"{path}limit={limit}"))

        assert len(sent) == 1, sent


async def test_a_search_is_one_statement_that_is_planned_for_its_words(
    client: httpx.AsyncClient, statements: Count
) -> None:
    await fill(client)

    begin, planned, searched, commit = await statements(client.get("/api/tickets?q=broke"))

    assert (begin, commit) == ("BEGIN;", "COMMIT;")
    assert planned.startswith("SET LOCAL plan_cache_mode")
    assert "websearch_to_tsquery" in searched


async def test_one_thing_is_one_statement(client: httpx.AsyncClient, statements: Count) -> None:
    ticket, agent = await new_ticket(client), await new_agent(client)
    for path in (
        f"/api/tickets/{ticket['id']}",
        f"/api/tickets/{ticket['number']}",
        f"/api/agents/{agent['id']}",
    ):
        sent = await statements(client.get(path))

        assert len(sent) == 1, sent


async def test_writing_a_ticket_with_its_fact_is_one_statement(
    client: httpx.AsyncClient, statements: Count
) -> None:
    ticket, agent = await new_ticket(client), await new_agent(client)
    path = f"/api/tickets/{ticket['id']}"
    body = {"title": "Help", "description": "It broke.", "assigned_to": agent["id"]}
    for method, where, asked in (
        ("POST", "/api/tickets", {"json": body}),
        ("PATCH", path, {"json": {"status": "closed"}, "headers": {"If-Match": '"1"'}}),
        ("PATCH", path, {"json": {"assigned_to": agent["id"]}}),
        ("DELETE", path, {}),
    ):
        sent = await statements(client.request(method, where, **asked))

        assert len(sent) == 1, sent


async def test_a_ticket_that_is_opened_again_is_one_statement_unless_it_has_an_agent(
    client: httpx.AsyncClient, statements: Count
) -> None:
    agent = await new_agent(client)
    for assigned_to, count in ((None, 1), (agent["id"], 2)):
        ticket = await new_ticket(client, status="closed", assigned_to=assigned_to)

        sent = await statements(
            client.patch(f"/api/tickets/{ticket['id']}", json={"status": "open"})
        )

        assert len(sent) == count


async def test_an_agent_with_many_tickets_leaves_by_few_statements(
    client: httpx.AsyncClient, statements: Count
) -> None:
    ada = await fill(client)

    sent = await statements(client.delete(f"/api/agents/{ada['id']}"))

    # three of them for the audit trail: its lock, its end, the row
    assert len([query for query in sent if query not in ("BEGIN;", "COMMIT;")]) == 8


async def test_a_change_of_nothing_is_one_statement_too(
    client: httpx.AsyncClient, statements: Count
) -> None:
    ticket = await new_ticket(client)
    await change(client, ticket, status="closed")

    sent = await statements(client.patch(f"/api/tickets/{ticket['id']}", json={"status": "closed"}))

    assert len(sent) == 1
