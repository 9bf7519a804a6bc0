"""The HTML of descriptions: made when they are written, never stale, and never in the API."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest

from pullse.kit import markdown
from pullse.kit.db import Database
from pullse.tickets import rendering
from tests.api.calls import change, facts, get, new_ticket

BOLD = '<p dir="auto"><strong>It</strong> broke.</p>\n'
PLAIN = '<p dir="auto">It broke.</p>\n'


async def kept(database: Database, ticket: dict[str, Any]) -> tuple[str | None, int | None]:
    async with database.session() as db:
        (row,) = await db.rows(
            "SELECT description_html, description_html_version FROM tickets WHERE id = $1",
            UUID(ticket["id"]),
        )
    return tuple(row)


async def write(database: Database, ticket: dict[str, Any], columns: str) -> None:
    """As an older release, or somebody with SQL, would."""
    async with database.session() as db:
        await db.run(f"UPDATE tickets SET {columns} WHERE id = $1", UUID(ticket["id"]))


async def shown(database: Database, ticket: dict[str, Any]) -> str:
    async with database.session() as db:
        ((version, text, html),) = await db.rows(
            f"SELECT version, description, {rendering.HTML} FROM tickets WHERE id = $1",
            UUID(ticket["id"]),
        )
    return await rendering.html_of(database, UUID(ticket["id"]), version, text, html)


async def test_a_description_is_rendered_when_it_is_written(
    client: httpx.AsyncClient, database: Database
) -> None:
    ticket = await new_ticket(client, description="**It** broke.")
    assert await kept(database, ticket) == (BOLD, markdown.VERSION)
    await change(client, ticket, description="It broke.")
    assert await kept(database, ticket) == (PLAIN, markdown.VERSION)


async def test_also_of_many_that_come_at_once(
    client: httpx.AsyncClient, database: Database
) -> None:
    made = await asyncio.gather(
        *(new_ticket(client, description=f"**{number}**") for number in range(20))
    )
    for number, ticket in enumerate(made):
        html, _ = await kept(database, ticket)
        assert html == f'<p dir="auto"><strong>{number}</strong></p>\n'
    await asyncio.gather(*(change(client, each, description="It broke.") for each in made))
    assert {await kept(database, each) for each in made} == {(PLAIN, markdown.VERSION)}


async def test_with_an_idempotency_key_too(client: httpx.AsyncClient, database: Database) -> None:
    body = {"title": "Help", "description": "**It** broke."}
    answer = await client.post("/api/tickets", json=body, headers={"Idempotency-Key": "a"})
    assert await kept(database, answer.json()["data"]) == (BOLD, markdown.VERSION)


async def test_other_changes_leave_it(client: httpx.AsyncClient, database: Database) -> None:
    ticket = await new_ticket(client, description="**It** broke.")
    await change(client, ticket, title="Other", description="**It** broke.", status="closed")
    await change(client, ticket, priority="high")
    assert await kept(database, ticket) == (BOLD, markdown.VERSION)


async def test_neither_the_api_nor_the_facts_tell_of_it(
    client: httpx.AsyncClient, database: Database
) -> None:
    ticket = await new_ticket(client, description="**It** broke.")
    ticket = await change(client, ticket, description="It broke.")
    assert "description_html" not in ticket
    for path in ("", f"/{ticket['id']}", f"/{ticket['number']}"):
        assert "_html" not in str(await get(client, f"/api/tickets{path}"))
    assert "<p" not in str(await facts(database))


async def test_what_an_older_release_changes_is_not_shown_as_it_was(
    client: httpx.AsyncClient, database: Database
) -> None:
    ticket = await new_ticket(client, description="**It** broke.")
    await write(database, ticket, "description = 'It broke.', version = version + 1")
    assert await kept(database, ticket) == (None, None)
    assert await shown(database, ticket) == PLAIN
    assert await kept(database, ticket) == (PLAIN, markdown.VERSION)


async def test_what_came_in_bulk_is_rendered_by_who_reads_it_first(
    client: httpx.AsyncClient, database: Database
) -> None:
    ticket = await new_ticket(client, description="**It** broke.")
    await write(database, ticket, "description_html = NULL, description_html_version = NULL")
    before = await get(client, f"/api/tickets/{ticket['id']}")
    told = len(await facts(database))

    assert await shown(database, ticket) == BOLD

    assert await kept(database, ticket) == (BOLD, markdown.VERSION)
    assert await get(client, f"/api/tickets/{ticket['id']}") == before
    assert len(await facts(database)) == told


async def test_what_another_renderer_made_is_not_trusted(
    client: httpx.AsyncClient, database: Database
) -> None:
    ticket = await new_ticket(client, description="**It** broke.")
    for version in (markdown.VERSION - 1, markdown.VERSION + 1):
        await write(
            database,
            ticket,
            f"description_html = '<script>', description_html_version = {version}",
        )
        assert await shown(database, ticket) == BOLD
        assert await kept(database, ticket) == (BOLD, markdown.VERSION)


async def test_a_reader_who_was_slow_keeps_nothing_stale(
    client: httpx.AsyncClient, database: Database
) -> None:
    ticket = await new_ticket(client, description="**It** broke.")
    await change(client, ticket, description="It broke.")
    async with database.session() as db:
        await rendering.keep(db, UUID(ticket["id"]), ticket["version"], BOLD)
    assert await kept(database, ticket) == (PLAIN, markdown.VERSION)


async def test_a_reader_waits_for_nobody(client: httpx.AsyncClient, database: Database) -> None:
    ticket = await new_ticket(client, description="**It** broke.")
    id_ = UUID(ticket["id"])
    await write(database, ticket, "description_html = NULL, description_html_version = NULL")
    async with database.transaction() as writer:
        await writer.run("UPDATE tickets SET title = 'Later' WHERE id = $1", id_)
        async with asyncio.timeout(5):
            assert await shown(database, ticket) == BOLD
    assert await kept(database, ticket) == (None, None)


@pytest.mark.parametrize("text", ["", " ", "a\r\nb", "<b>", "x" * 100_000])
async def test_the_api_renders_as_pages_do(client: httpx.AsyncClient, text: str) -> None:
    answer = await client.post("/api/markdown", json={"text": text})
    assert answer.json()["data"] == {"html": markdown.render(text)}


async def test_a_preview_has_the_bounds_of_a_description(client: httpx.AsyncClient) -> None:
    for body in ({"text": "x" * 100_001}, {"text": 1}, {}, {"text": "", "more": 1}):
        answer = await client.post("/api/markdown", json=body)
        assert answer.status_code == 400
        assert answer.json()["errors"]
