"""Changing agents: name and address."""

import asyncio

import httpx
import pytest

from pullse.kit.db import Database
from tests.api.calls import facts, get, new_agent, problems, refused


async def test_a_change_comes_back_and_one_fact_tells_of_it(
    client: httpx.AsyncClient, database: Database
) -> None:
    agent = await new_agent(client, "Ada")

    answer = await client.patch(
        f"/api/agents/{agent['id']}",
        json={"name": "Ada B", "email": "ada@example.com"},
        headers={"X-Request-Id": "from-me"},
    )

    assert answer.status_code == 200
    assert answer.headers["etag"] == '"2"'
    body = answer.json()
    assert (body["status"], body["message"]) == (True, "Agent has been updated.")
    changed = body["data"]
    wanted = {"name": "Ada B", "email": "ada@example.com", "version": 2}
    assert changed == {**agent, **wanted, "updated_at": changed["updated_at"]}
    assert await get(client, f"/api/agents/{agent['id']}") == changed
    fact = (await facts(database))[-1]
    assert (fact.name, fact.actor, fact.request_id) == ("agent.changed", "owner", "from-me")
    assert fact.data == {
        "agent_id": agent["id"],
        "changes": {
            "name": ["Ada", "Ada B"],
            "email": ["ada@example.org", "ada@example.com"],
        },
    }


async def test_one_field_changes_alone(client: httpx.AsyncClient) -> None:
    agent = await new_agent(client)

    answer = await client.patch(f"/api/agents/{agent['id']}", json={"name": "Ada B"})

    assert answer.json()["data"]["email"] == agent["email"]


async def test_writing_what_is_there_already_changes_and_records_nothing(
    client: httpx.AsyncClient, database: Database
) -> None:
    agent = await new_agent(client)
    for same in ({}, {"name": agent["name"]}, {"name": agent["name"], "email": agent["email"]}):
        answer = await client.patch(f"/api/agents/{agent['id']}", json=same)

        assert (answer.status_code, answer.json()["data"]) == (200, agent)
    assert len(await facts(database)) == 1


async def test_the_case_of_ones_own_address_may_change(client: httpx.AsyncClient) -> None:
    agent = await new_agent(client)

    answer = await client.patch(f"/api/agents/{agent['id']}", json={"email": "ADA@example.org"})

    assert answer.json()["data"]["email"] == "ADA@example.org"


async def test_anothers_address_is_taken(client: httpx.AsyncClient, database: Database) -> None:
    await new_agent(client, "Ada")
    ben = await new_agent(client, "Ben")

    answer = await client.patch(
        f"/api/agents/{ben['id']}", json={"name": "B", "email": "Ada@example.org"}
    )

    refused(answer, 409, "email_taken")
    assert problems(answer) == {"email": "Another agent has this e-mail address."}
    assert await get(client, f"/api/agents/{ben['id']}") == ben
    assert len(await facts(database)) == 2


async def test_of_two_who_take_an_address_at_once_one_gets_it(client: httpx.AsyncClient) -> None:
    agents = [await new_agent(client, name) for name in ("Ada", "Ben", "Cem")]

    answers = await asyncio.gather(
        *(client.patch(f"/api/agents/{each['id']}", json={"email": "x@y.de"}) for each in agents)
    )

    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"name": None}, {"email": "ada"}, {"email": None}, {"id": "1"}]
)
async def test_a_field_that_does_not_fit_is_named(
    client: httpx.AsyncClient, wrong: dict[str, object]
) -> None:
    agent = await new_agent(client)

    answer = await client.patch(f"/api/agents/{agent['id']}", json={"name": "Ada B", **wrong})

    refused(answer, 400, "invalid")
    assert list(problems(answer)) == list(wrong)
    assert await get(client, f"/api/agents/{agent['id']}") == agent
