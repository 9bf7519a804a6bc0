"""Deleting tickets, the trash, and the way back."""

import asyncio

import httpx
import pytest

from pullse.kit.db import Database
from tests.api.calls import (
    change,
    delete,
    facts,
    get,
    new_agent,
    new_ticket,
    pages,
    refused,
    titles,
)


async def test_a_deletion_answers_as_the_contract_says(client: httpx.AsyncClient) -> None:
    ticket = await new_ticket(client)

    answer = await client.delete(f"/api/tickets/{ticket['id']}")

    assert answer.status_code == 200
    assert answer.json() == {"status": True, "message": "Ticket has been deleted."}


async def test_a_deleted_ticket_is_gone_for_every_read(client: httpx.AsyncClient) -> None:
    ada = await new_agent(client)
    ticket = await new_ticket(client, "Zebra", assigned_to=ada["id"], priority="high")
    kept = await new_ticket(client, "Kept")

    await client.delete(f"/api/tickets/{ticket['number']}")

    for path in (f"/api/tickets/{ticket['id']}", f"/api/tickets/{ticket['number']}"):
        refused(await client.get(path), 404, "not_found")
        refused(await client.get(f"{path}/events"), 404, "not_found")
        refused(await client.delete(path), 404, "not_found")
    for params in ({}, {"status": "open"}, {"sort": "-priority"}, {"sort": "updated"}):
        assert await titles(client, **params) == ["Kept"]
    for params in ({"q": "zebra"}, {"priority": "high"}, {"assigned_to": ada["id"]}):
        assert await titles(client, **params) == []
    assert await get(client, f"/api/tickets/{kept['id']}") == kept


async def test_the_fact_of_it_says_what_it_was(
    client: httpx.AsyncClient, database: Database
) -> None:
    ticket = await new_ticket(client, priority="high")

    await client.delete(f"/api/tickets/{ticket['id']}", headers={"X-Request-Id": "from-me"})

    fact = (await facts(database, ticket))[-1]
    assert (fact.name, fact.actor, fact.request_id) == ("ticket.deleted", "owner", "from-me")
    shown = ("number", "title", "status", "priority", "assigned_to", "team_id")
    assert fact.data == {**{name: ticket[name] for name in shown}, "version": 2}


async def test_deleting_at_once_deletes_once(client: httpx.AsyncClient, database: Database) -> None:
    ticket = await new_ticket(client)
    path = f"/api/tickets/{ticket['id']}"

    answers = await asyncio.gather(*(client.delete(path) for _ in range(6)))

    assert sorted(answer.status_code for answer in answers) == [200] + 5 * [404]
    assert len(await facts(database, ticket)) == 2


async def test_the_trash_shows_the_last_deleted_first(client: httpx.AsyncClient) -> None:
    tickets = [await new_ticket(client, str(number)) for number in range(3)]
    for number in (1, 2, 0):
        await delete(client, tickets[number])

    answer = await client.get("/api/trash/tickets")

    body = answer.json()
    assert (body["status"], body["message"]) == (True, "Deleted tickets have been fetched.")
    records = body["data"]["records"]
    assert [each["title"] for each in records] == ["0", "2", "1"]
    assert body["data"]["next_cursor"] is None
    first = records[0]
    assert first["deleted_at"] > tickets[0]["created_at"]
    assert first == {**tickets[0], "version": 2, "deleted_at": first["deleted_at"]}


async def test_the_trash_has_pages(client: httpx.AsyncClient, database: Database) -> None:
    await new_ticket(client, "Kept")
    for number in range(7):
        await delete(client, await new_ticket(client, str(number)))
    async with database.session() as db:  # all at the same moment
        await db.run("UPDATE tickets SET deleted_at = now() WHERE deleted_at IS NOT NULL")
    whole = (await get(client, "/api/trash/tickets"))["records"]

    split = [page async for page in pages(client, "/api/trash/tickets", limit=3)]

    assert [len(page) for page in split] == [3, 3, 1]
    assert [each for page in split for each in page] == whole


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "status=open", "q=a", "limit=1&limit=2"])
async def test_the_trash_refuses_what_it_does_not_know(
    client: httpx.AsyncClient, query: str
) -> None:
    refused(await client.get(f"/api/trash/tickets?{query}"), 400, "invalid")


async def test_a_restored_ticket_is_back_as_it_was(
    client: httpx.AsyncClient, database: Database
) -> None:
    ada = await new_agent(client)
    ticket = await new_ticket(client, "Zebra", assigned_to=ada["id"], status="in_progress")
    await delete(client, ticket)

    answer = await client.post(
        f"/api/tickets/{ticket['id']}/restore", headers={"X-Request-Id": "from-me"}
    )

    assert answer.status_code == 200
    assert answer.headers["etag"] == '"3"'
    body = answer.json()
    assert body["message"] == "Ticket has been restored."
    back = body["data"]
    assert back == {**ticket, "version": 3, "updated_at": back["updated_at"]}
    assert await get(client, f"/api/tickets/{ticket['id']}") == back
    assert await titles(client, q="zebra") == ["Zebra"]
    assert (await get(client, "/api/trash/tickets"))["records"] == []
    fact = (await facts(database, ticket))[-1]
    assert (fact.name, fact.actor, fact.request_id) == ("ticket.restored", "owner", "from-me")
    shown = ("number", "title", "status", "priority", "assigned_to", "team_id", "version")
    assert fact.data == {name: back[name] for name in shown}


async def test_a_ticket_is_restored_by_its_number_too(client: httpx.AsyncClient) -> None:
    ticket = await new_ticket(client)
    await delete(client, ticket)

    answer = await client.post(f"/api/tickets/{ticket['number']}/restore")

    assert answer.json()["data"]["id"] == ticket["id"]


async def test_what_is_not_in_the_trash_is_not_restored(client: httpx.AsyncClient) -> None:
    ticket = await new_ticket(client)
    for name in (ticket["id"], ticket["number"], 42, "nonsense"):
        refused(await client.post(f"/api/tickets/{name}/restore"), 404, "not_found")


async def test_restoring_at_once_restores_once(
    client: httpx.AsyncClient, database: Database
) -> None:
    ticket = await new_ticket(client)
    await delete(client, ticket)
    path = f"/api/tickets/{ticket['id']}/restore"

    answers = await asyncio.gather(*(client.post(path) for _ in range(4)))

    assert sorted(answer.status_code for answer in answers) == [200, 404, 404, 404]
    assert len(await facts(database, ticket)) == 3


async def test_there_and_back_again(client: httpx.AsyncClient, database: Database) -> None:
    ticket = await new_ticket(client)
    for _ in range(3):
        await delete(client, ticket)
        await client.post(f"/api/tickets/{ticket['id']}/restore")
    await change(client, ticket, status="closed")

    told = [fact.name for fact in await facts(database, ticket)]
    assert told == [
        "ticket.created",
        *3 * ["ticket.deleted", "ticket.restored"],
        "ticket.changed",
    ]
