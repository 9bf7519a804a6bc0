"""A ticket's history: its facts, oldest first, by pages."""

import asyncio

import httpx

from tests.api.calls import Body, change, delete, get, new_ticket, problems, refused


async def settled(client: httpx.AsyncClient, path: str, count: int) -> Body:
    """Facts are shown once no transaction that began before them runs, on the whole server."""
    while True:
        found = await get(client, path, limit=200)
        if len(found["records"]) >= count:
            return found
        await asyncio.sleep(0.02)


async def test_each_change_is_there_with_who_and_when(client: httpx.AsyncClient) -> None:
    other = await new_ticket(client)
    ticket = await new_ticket(client)
    await change(client, other, status="closed")
    await client.patch(
        f"/api/tickets/{ticket['id']}",
        json={"status": "closed"},
        headers={"X-Request-Id": "from-me"},
    )

    found = await settled(client, f"/api/tickets/{ticket['id']}/events", 2)

    created, changed = found["records"]
    assert (created["name"], changed["name"]) == ("ticket.created", "ticket.changed")
    assert list(changed) == [
        "cursor",
        "id",
        "name",
        "ticket_id",
        "actor",
        "data",
        "request_id",
        "at",
    ]
    assert changed["ticket_id"] == ticket["id"]
    assert (changed["actor"], changed["request_id"]) == ("owner", "from-me")
    assert changed["data"]["changes"] == {"status": ["open", "closed"]}
    assert created["at"] == ticket["created_at"]
    assert found["next_cursor"] is None
    assert found["cursor"] == changed["cursor"]


async def test_it_is_found_by_number_too(client: httpx.AsyncClient) -> None:
    ticket = await new_ticket(client)

    by_id = await settled(client, f"/api/tickets/{ticket['id']}/events", 1)

    assert await settled(client, f"/api/tickets/{ticket['number']}/events", 1) == by_id


async def test_it_has_pages_and_goes_on_from_where_one_was(client: httpx.AsyncClient) -> None:
    ticket = await new_ticket(client)
    path = f"/api/tickets/{ticket['id']}/events"
    for number in range(6):
        await change(client, ticket, title=str(number))
    whole = await settled(client, path, 7)

    seen: list[Body] = []
    found = await get(client, path, limit=3)
    seen += found["records"]
    while found["next_cursor"]:
        found = await get(client, path, limit=3, after=found["next_cursor"])
        seen += found["records"]

    assert seen == whole["records"]
    versions = [each["data"]["version"] for each in seen]
    assert versions == list(range(1, 8))
    assert (await get(client, path, after=found["cursor"]))["records"] == []


async def test_a_restored_ticket_has_its_whole_history(client: httpx.AsyncClient) -> None:
    ticket = await new_ticket(client)
    await delete(client, ticket)
    await client.post(f"/api/tickets/{ticket['id']}/restore")

    found = await settled(client, f"/api/tickets/{ticket['id']}/events", 3)

    names = [each["name"] for each in found["records"]]
    assert names == ["ticket.created", "ticket.deleted", "ticket.restored"]


async def test_what_it_does_not_know_is_refused(client: httpx.AsyncClient) -> None:
    ticket = await new_ticket(client)
    path = f"/api/tickets/{ticket['id']}/events"
    for query, field in (
        ("after=x", "after"),
        ("after=1.2", "after"),
        ("after=1.99999999999999999999.1", "after"),
        ("limit=0", "limit"),
        ("name=ticket.created", "name"),
        ("ticket_id=1", "ticket_id"),
    ):
        answer = await client.get(f"{path}?{query}")

        refused(answer, 400, "invalid")
        assert list(problems(answer)) == [field]
    refused(await client.get(f"{path}?after=9.1.1"), 410, "start_over")
    refused(await client.get("/api/tickets/42/events"), 404, "not_found")
    refused(await client.get("/api/tickets/nonsense/events"), 404, "not_found")
