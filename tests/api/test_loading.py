"""Requests of a kind share statements; nobody notices but by the speed."""

import asyncio

import httpx

from pullse.kit.db import Database
from tests.api.calls import UNKNOWN, Body, facts, get, new_agent, new_ticket, problems

COUNT = 150


async def test_what_one_has_written_one_reads_at_once(client: httpx.AsyncClient) -> None:
    async def write_and_read(number: int) -> None:
        made = await new_ticket(client, f"New {number}")
        assert await get(client, f"/api/tickets/{made['id']}") == made
        path = f"/api/tickets/{made['number']}"
        answer = await client.patch(path, json={"title": f"Changed {number}"})
        assert (await get(client, path)) == answer.json()["data"]
        assert (await get(client, path))["title"] == f"Changed {number}"
        assert (await client.delete(path)).status_code == 200
        assert (await client.get(path)).status_code == 404

    await asyncio.gather(*(write_and_read(number) for number in range(COUNT)))


async def test_each_of_many_readers_gets_what_it_asked_for(client: httpx.AsyncClient) -> None:
    tickets = [await new_ticket(client, str(number)) for number in range(20)]

    async def read(number: int) -> Body:
        ticket = tickets[number % 20]
        return await get(client, f"/api/tickets/{ticket[('id', 'number')[number % 2]]}")

    found, missing = await asyncio.gather(
        asyncio.gather(*(read(number) for number in range(COUNT))),
        asyncio.gather(*(client.get(f"/api/tickets/{UNKNOWN}") for _ in range(20))),
    )

    assert found == [tickets[number % 20] for number in range(COUNT)]
    assert {answer.status_code for answer in missing} == {404}


async def test_each_of_many_writers_gets_its_own_ticket(
    client: httpx.AsyncClient, database: Database
) -> None:
    made = await asyncio.gather(*(new_ticket(client, str(number)) for number in range(COUNT)))

    assert [ticket["title"] for ticket in made] == [str(number) for number in range(COUNT)]
    assert len({ticket["id"] for ticket in made}) == COUNT
    assert {ticket["number"] for ticket in made} == set(range(1, COUNT + 1))
    told = {fact.ticket_id: fact.data["title"] for fact in await facts(database)}
    assert told == {ticket["id"]: ticket["title"] for ticket in made}


async def test_one_who_is_refused_takes_no_other_along(
    client: httpx.AsyncClient, database: Database
) -> None:
    agent = await new_agent(client)

    def create(number: int) -> dict[str, object]:
        assigned_to = {7: UNKNOWN, 8: agent["id"], 31: UNKNOWN}.get(number)
        return {"title": str(number), "description": "It broke.", "assigned_to": assigned_to}

    answers = await asyncio.gather(
        *(client.post("/api/tickets", json=create(number)) for number in range(50))
    )

    assert [n for n, answer in enumerate(answers) if answer.status_code != 201] == [7, 31]
    for number in (7, 31):
        assert problems(answers[number]) == {"assigned_to": "There is no such agent."}
    assert answers[8].json()["data"]["assigned_to"] == agent["id"]
    assert len((await get(client, "/api/tickets", limit=200))["records"]) == 48
    assert len(await facts(database)) == 49


async def test_one_who_changes_in_vain_takes_no_other_along(client: httpx.AsyncClient) -> None:
    tickets = [await new_ticket(client, str(number)) for number in range(20)]

    def change(number: int) -> dict[str, object]:
        return {"status": "closed", **({"assigned_to": UNKNOWN} if number == 3 else {})}

    answers = await asyncio.gather(
        *(
            client.patch(f"/api/tickets/{ticket['id']}", json=change(number))
            for number, ticket in enumerate(tickets)
        ),
        client.patch(f"/api/tickets/{UNKNOWN}", json={"status": "closed"}),
    )

    assert [answer.status_code for answer in answers] == 3 * [200] + [400] + 16 * [200] + [404]
    assert (await get(client, f"/api/tickets/{tickets[3]['id']}"))["status"] == "open"


async def test_one_who_hangs_up_takes_no_other_along(client: httpx.AsyncClient) -> None:
    tickets = [await new_ticket(client, str(number)) for number in range(30)]
    asked = [
        asyncio.ensure_future(get(client, f"/api/tickets/{ticket['id']}")) for ticket in tickets
    ]
    await asyncio.sleep(0.001)
    for each in asked[::3]:
        each.cancel()

    found = await asyncio.gather(*asked, return_exceptions=True)

    for number, ticket in enumerate(tickets):
        if number % 3:
            assert found[number] == ticket
