"""Changing tickets: what is sent is changed, and nothing else."""

import asyncio
from typing import Any

import httpx
import pytest

from pullse.kit.db import Database
from tests.api.calls import (
    UNKNOWN,
    change,
    delete,
    facts,
    get,
    new_agent,
    new_ticket,
    problems,
    refused,
    titles,
)

OTHER = {
    "title": "Help again",
    "description": "It broke again.",
    "status": "resolved",
    "priority": "urgent",
}


async def test_a_change_comes_back_as_the_contract_says(client: httpx.AsyncClient) -> None:
    ticket = await new_ticket(client)

    answer = await client.patch(f"/api/tickets/{ticket['id']}", json={"status": "resolved"})

    assert answer.status_code == 200
    assert answer.headers["etag"] == '"2"'
    body = answer.json()
    assert (body["status"], body["message"]) == (True, "Ticket has been updated.")
    changed = body["data"]
    assert changed == {
        **ticket,
        "status": "resolved",
        "version": 2,
        "updated_at": changed["updated_at"],
    }
    assert changed["updated_at"] > ticket["updated_at"]
    assert await get(client, f"/api/tickets/{ticket['id']}") == changed


@pytest.mark.parametrize("field", OTHER)
async def test_one_field_changes_alone(
    client: httpx.AsyncClient, database: Database, field: str
) -> None:
    ticket = await new_ticket(client)

    changed = await change(client, ticket, **{field: OTHER[field]})

    assert {name for name in ticket if ticket[name] != changed[name]} == {
        field,
        "version",
        "updated_at",
    }
    assert changed[field] == OTHER[field]
    assert (await facts(database, ticket))[-1].data["changes"] == {
        field: [ticket[field], OTHER[field]]
    }


async def test_several_fields_change_together(
    client: httpx.AsyncClient, database: Database
) -> None:
    ada = await new_agent(client)
    ticket = await new_ticket(client)

    changed = await change(client, ticket, **OTHER, assigned_to=ada["id"])

    assert changed["version"] == 2
    wanted = {**OTHER, "assigned_to": ada["id"]}
    assert {name: changed[name] for name in wanted} == wanted
    created, fact = await facts(database, ticket)
    assert created.name == "ticket.created"
    assert (fact.name, fact.actor) == ("ticket.changed", "owner")
    assert fact.data == {
        "number": ticket["number"],
        **{
            name: changed[name]
            for name in ("title", "status", "priority", "assigned_to", "team_id")
        },
        "version": 2,
        "changes": {name: [ticket[name], value] for name, value in wanted.items()},
    }


async def test_a_ticket_is_changed_by_its_number_too(client: httpx.AsyncClient) -> None:
    ticket = await new_ticket(client)

    answer = await client.patch(f"/api/tickets/{ticket['number']}", json={"priority": "high"})

    assert answer.json()["data"]["priority"] == "high"


async def test_a_ticket_goes_from_one_agent_to_another_and_to_nobody(
    client: httpx.AsyncClient, database: Database
) -> None:
    ada, ben = await new_agent(client, "Ada"), await new_agent(client, "Ben")
    ticket = await new_ticket(client, assigned_to=ada["id"])

    assert (await change(client, ticket, assigned_to=ben["id"]))["assigned_to"] == ben["id"]
    assert (await change(client, ticket, assigned_to=None))["assigned_to"] is None
    assert (await change(client, ticket, assigned_to=ada["id"]))["assigned_to"] == ada["id"]

    steps = [fact.data["changes"]["assigned_to"] for fact in (await facts(database, ticket))[1:]]
    assert steps == [[ada["id"], ben["id"]], [ben["id"], None], [None, ada["id"]]]


@pytest.mark.parametrize("same", [{}, {"status": "open"}, {"title": "Help", "assigned_to": None}])
async def test_writing_what_is_there_already_changes_and_records_nothing(
    client: httpx.AsyncClient, database: Database, same: dict[str, Any]
) -> None:
    ticket = await new_ticket(client)

    answer = await client.patch(f"/api/tickets/{ticket['id']}", json=same)

    assert answer.status_code == 200
    assert answer.json()["data"] == ticket
    assert answer.headers["etag"] == '"1"'
    assert len(await facts(database, ticket)) == 1


async def test_only_what_differs_is_recorded(client: httpx.AsyncClient, database: Database) -> None:
    ticket = await new_ticket(client)

    await change(client, ticket, title="Help", status="open", priority="high", assigned_to=None)

    assert (await facts(database, ticket))[-1].data["changes"] == {"priority": ["low", "high"]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": ""},
        {"title": " "},
        {"title": "a" * 301},
        {"title": None},
        {"description": "\n"},
        {"description": "a" * 100_001},
        {"status": "new"},
        {"status": None},
        {"priority": 1},
        {"assigned_to": UNKNOWN},
        {"assigned_to": "none"},
        {"assigned_to": ""},
        {"number": 7},
        {"version": 1},
        {"deleted_at": None},
        {"colour": "red"},
    ],
    ids=lambda wrong: repr(wrong)[:40],
)
async def test_a_field_that_does_not_fit_is_named_and_nothing_changes(
    client: httpx.AsyncClient, database: Database, wrong: dict[str, Any]
) -> None:
    ticket = await new_ticket(client)

    answer = await client.patch(f"/api/tickets/{ticket['id']}", json={"priority": "high", **wrong})

    refused(answer, 400, "invalid")
    assert list(problems(answer)) == list(wrong)
    assert await get(client, f"/api/tickets/{ticket['id']}") == ticket
    assert len(await facts(database, ticket)) == 1


async def test_an_agent_who_has_left_gets_nothing(client: httpx.AsyncClient) -> None:
    ada = await new_agent(client)
    ticket = await new_ticket(client)
    await delete(client, ada)

    answer = await client.patch(
        f"/api/tickets/{ticket['id']}", json={"assigned_to": ada["id"], "status": "closed"}
    )

    refused(answer, 400, "invalid")
    assert problems(answer) == {"assigned_to": "There is no such agent."}
    assert (await get(client, f"/api/tickets/{ticket['id']}"))["status"] == "open"


async def test_changes_to_different_fields_at_once_are_all_kept(
    client: httpx.AsyncClient, database: Database
) -> None:
    ada = await new_agent(client)
    for _ in range(5):
        ticket = await new_ticket(client)
        wanted = {**OTHER, "assigned_to": ada["id"]}

        await asyncio.gather(
            *(change(client, ticket, **{name: value}) for name, value in wanted.items())
        )

        now = await get(client, f"/api/tickets/{ticket['id']}")
        assert {name: now[name] for name in wanted} == wanted
        assert now["version"] == 1 + len(wanted)
        told: dict[str, Any] = {}
        for fact in (await facts(database, ticket))[1:]:
            told |= fact.data["changes"]
        assert told == {name: [ticket[name], value] for name, value in wanted.items()}


async def test_many_changes_of_many_tickets_at_once_are_each_made_and_told(
    client: httpx.AsyncClient, database: Database
) -> None:
    tickets = [await new_ticket(client, str(number)) for number in range(10)]
    words = ["open", "in_progress", "resolved", "closed"]

    answers = await asyncio.gather(
        *(
            client.patch(f"/api/tickets/{ticket['id']}", json={"status": words[turn % 4]})
            for turn in range(12)
            for ticket in tickets
        )
    )

    assert {answer.status_code for answer in answers} == {200}
    for ticket in tickets:
        steps = sorted(
            (fact.data["version"], *fact.data["changes"]["status"])
            for fact in (await facts(database, ticket))[1:]
        )
        assert [version for version, _, _ in steps] == list(range(2, len(steps) + 2))
        assert [before for _, before, _ in steps] == ["open", *(after for _, _, after in steps)][
            : len(steps)
        ]
        now = await get(client, f"/api/tickets/{ticket['id']}")
        assert (now["version"], now["status"]) == (len(steps) + 1, steps[-1][2])


async def test_a_ticket_in_the_trash_is_not_changed(client: httpx.AsyncClient) -> None:
    ticket = await new_ticket(client)
    await delete(client, ticket)
    for name in (ticket["id"], ticket["number"]):
        answer = await client.patch(f"/api/tickets/{name}", json={"status": "closed"})

        refused(answer, 404, "not_found")
    assert await titles(client) == []
