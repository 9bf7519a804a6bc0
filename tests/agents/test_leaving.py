"""An agent leaves: what is open goes to nobody, what is done keeps the name."""

import asyncio

import httpx

from pullse.kit.db import Database
from tests.api.calls import change, delete, facts, get, new_agent, new_ticket, refused

STATUSES = ("open", "in_progress", "resolved", "closed")


async def test_leaving_answers_and_one_fact_tells_of_it(
    client: httpx.AsyncClient, database: Database
) -> None:
    agent = await new_agent(client)

    answer = await client.delete(f"/api/agents/{agent['id']}", headers={"X-Request-Id": "from-me"})

    assert answer.status_code == 200
    assert answer.json() == {"status": True, "message": "Agent has been deleted."}
    fact = (await facts(database))[-1]
    assert (fact.name, fact.actor, fact.request_id) == ("agent.deleted", "owner", "from-me")
    assert fact.data == {
        "agent_id": agent["id"],
        "name": agent["name"],
        "email": agent["email"],
    }
    refused(await client.delete(f"/api/agents/{agent['id']}"), 404, "not_found")
    assert (await get(client, "/api/agents"))["records"] == []


async def test_only_what_is_open_becomes_unassigned(
    client: httpx.AsyncClient, database: Database
) -> None:
    ada, ben = await new_agent(client, "Ada"), await new_agent(client, "Ben")
    mine = [await new_ticket(client, status=each, assigned_to=ada["id"]) for each in STATUSES]
    other = await new_ticket(client, assigned_to=ben["id"])
    trashed = await new_ticket(client, assigned_to=ada["id"])
    await delete(client, trashed)

    await delete(client, ada)

    for ticket in mine:
        now = await get(client, f"/api/tickets/{ticket['id']}")
        told = await facts(database, ticket)
        if ticket["status"] in ("open", "in_progress"):
            assert (now["assigned_to"], now["version"]) == (None, 2)
            assert now["updated_at"] > ticket["updated_at"]
            fact = told[-1]
            assert (fact.name, fact.actor) == ("ticket.changed", "owner")
            assert fact.data == {
                "number": now["number"],
                "title": now["title"],
                "status": now["status"],
                "priority": now["priority"],
                "assigned_to": None,
                "team_id": None,
                "version": 2,
                "changes": {"assigned_to": [ada["id"], None]},
            }
        else:
            assert now == ticket
            assert len(told) == 1
    assert await get(client, f"/api/tickets/{other['id']}") == other
    found = await get(client, "/api/tickets", assigned_to=ada["id"])
    assert {each["status"] for each in found["records"]} == {"resolved", "closed"}


async def test_what_is_opened_again_goes_to_nobody(
    client: httpx.AsyncClient, database: Database
) -> None:
    ada = await new_agent(client)
    for was in ("resolved", "closed"):
        for becomes in ("open", "in_progress"):
            agent = await new_agent(client, f"{was} {becomes}")
            ticket = await new_ticket(client, status=was, assigned_to=agent["id"])
            kept = await new_ticket(client, status=was, assigned_to=ada["id"])
            await delete(client, agent)

            changed = await change(client, ticket, status=becomes)

            assert changed["assigned_to"] is None
            fact = (await facts(database, ticket))[-1]
            assert fact.data["changes"] == {
                "status": [was, becomes],
                "assigned_to": [agent["id"], None],
            }
            assert (await change(client, kept, status=becomes))["assigned_to"] == ada["id"]


async def test_what_is_done_stays_with_the_name_whatever_else_changes(
    client: httpx.AsyncClient,
) -> None:
    ada = await new_agent(client)
    ticket = await new_ticket(client, status="resolved", assigned_to=ada["id"])
    await delete(client, ada)

    changed = await change(client, ticket, status="closed", title="Done", priority="high")

    assert changed["assigned_to"] == ada["id"]


async def test_what_is_opened_again_may_go_to_another_at_once(client: httpx.AsyncClient) -> None:
    ada, ben = await new_agent(client, "Ada"), await new_agent(client, "Ben")
    ticket = await new_ticket(client, status="closed", assigned_to=ada["id"])
    await delete(client, ada)

    changed = await change(client, ticket, status="open", assigned_to=ben["id"])

    assert changed["assigned_to"] == ben["id"]


async def test_what_comes_out_of_the_trash_goes_to_nobody_unless_it_is_done(
    client: httpx.AsyncClient,
) -> None:
    ada = await new_agent(client)
    tickets = [await new_ticket(client, status=each, assigned_to=ada["id"]) for each in STATUSES]
    for ticket in tickets:
        await delete(client, ticket)
    await delete(client, ada)
    for ticket in tickets:
        answer = await client.post(f"/api/tickets/{ticket['id']}/restore")

        kept = ada["id"] if ticket["status"] in ("resolved", "closed") else None
        assert answer.json()["data"]["assigned_to"] == kept


async def test_leaving_at_once_leaves_once(client: httpx.AsyncClient, database: Database) -> None:
    agent = await new_agent(client)
    await new_ticket(client, assigned_to=agent["id"])

    answers = await asyncio.gather(*(client.delete(f"/api/agents/{agent['id']}") for _ in range(5)))

    assert sorted(answer.status_code for answer in answers) == [200] + 4 * [404]
    assert len(await facts(database)) == 4
