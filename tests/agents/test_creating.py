"""Creating agents, one for each e-mail address."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest

from pullse.kit.db import Database
from tests.api.calls import delete, facts, get, new_agent, problems, refused

ADA = {"name": "Ada Brandt", "email": "ada@example.org"}


async def test_an_agent_comes_back_as_the_contract_says(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/agents", json=ADA)

    assert answer.status_code == 201
    assert answer.headers["etag"] == '"1"'
    body = answer.json()
    assert list(body) == ["status", "message", "data"]
    assert (body["status"], body["message"]) == (True, "Agent has been created.")
    agent = body["data"]
    order = ["id", "name", "email", "created_at", "updated_at", "version", "role", "state"]
    assert list(agent) == order
    assert UUID(agent["id"]).version == 7
    assert {name: agent[name] for name in ADA} == ADA
    assert agent["created_at"] == agent["updated_at"]
    assert agent["version"] == 1


async def test_one_fact_tells_of_it(client: httpx.AsyncClient, database: Database) -> None:
    answer = await client.post("/api/agents", json=ADA, headers={"X-Request-Id": "from-me"})

    (fact,) = await facts(database)
    assert (fact.name, fact.ticket_id) == ("agent.created", None)
    assert (fact.actor, fact.request_id) == ("owner", "from-me")
    assert fact.data == {"agent_id": answer.json()["data"]["id"], **ADA, "role": "agent"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": " \t"},
        {"name": "a" * 201},
        {"name": 1},
        {"name": None},
        {"email": ""},
        {"email": "ada"},
        {"email": "@example.org"},
        {"email": "ada@"},
        {"email": "ada@example@org"},
        {"email": "ada @example.org"},
        {"email": "Ada <ada@example.org>"},
        {"email": "ada@example.org\n"},
        {"email": "a" * 250 + "@b.de"},
        {"email": ["ada@example.org"]},
        {"id": "1"},
        {"role": "boss"},
        {"state": "active"},
    ],
    ids=lambda wrong: repr(wrong)[:40],
)
async def test_a_field_that_does_not_fit_is_named(
    client: httpx.AsyncClient, database: Database, wrong: dict[str, Any]
) -> None:
    answer = await client.post("/api/agents", json={**ADA, **wrong})

    refused(answer, 400, "invalid")
    assert list(problems(answer)) == list(wrong)
    assert await facts(database) == []


async def test_all_problems_are_told_at_once(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/agents", json={"email": "ada", "role": "boss"})

    assert problems(answer).keys() == {"name", "email", "role"}


@pytest.mark.parametrize("email", ["ada@example.org", "ADA@Example.ORG"])
async def test_an_address_is_given_once_whatever_its_case(
    client: httpx.AsyncClient, database: Database, email: str
) -> None:
    await new_agent(client, **ADA)

    answer = await client.post("/api/agents", json={"name": "Another", "email": email})

    refused(answer, 409, "email_taken")
    assert problems(answer) == {"email": "Another agent has this e-mail address."}
    assert len(await facts(database)) == 1


async def test_of_many_who_ask_for_an_address_at_once_exactly_one_gets_it(
    client: httpx.AsyncClient, database: Database
) -> None:
    answers = await asyncio.gather(
        *(client.post("/api/agents", json={**ADA, "name": f"Ada {n}"}) for n in range(8))
    )

    assert sorted(answer.status_code for answer in answers) == [201] + 7 * [409]
    assert len((await get(client, "/api/agents"))["records"]) == 1
    assert len(await facts(database)) == 1


async def test_the_address_of_one_who_has_left_is_free_again(client: httpx.AsyncClient) -> None:
    first = await new_agent(client, **ADA)
    await delete(client, first)

    second = await new_agent(client, **ADA)

    assert second["id"] != first["id"]
    refused(await client.get(f"/api/agents/{first['id']}"), 404, "not_found")


async def test_names_may_repeat(client: httpx.AsyncClient) -> None:
    await new_agent(client, "Ada", email="one@example.org")
    await new_agent(client, "Ada", email="two@example.org")

    assert [each["name"] for each in (await get(client, "/api/agents"))["records"]] == ["Ada"] * 2
