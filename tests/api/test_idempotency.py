"""`Idempotency-Key`: a POST that is sent again gets the answer that the first one got."""

import asyncio

import httpx
import pytest

from pullse.kit.db import Database
from pullse.kit.idempotency import forget
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

TICKET = {"title": "Help", "description": "It broke."}
AGENT = {"name": "Ada", "email": "ada@example.org"}
KEY = {"Idempotency-Key": "a-key"}


async def age(database: Database, hours: float) -> None:
    """As if all keys had been used so long ago."""
    async with database.session() as db:
        await db.run(
            "UPDATE idempotency_keys SET created_at = now() - make_interval(secs => $1 * 3600)",
            hours,
        )


@pytest.mark.parametrize(("path", "body"), [("/api/tickets", TICKET), ("/api/agents", AGENT)])
async def test_a_repeat_gets_the_same_answer_and_does_nothing(
    client: httpx.AsyncClient, database: Database, path: str, body: dict[str, str]
) -> None:
    first = await client.post(path, json=body, headers=KEY)
    assert first.status_code == 201
    assert "idempotency-replayed" not in first.headers
    for _ in range(2):
        again = await client.post(path, json=body, headers=KEY)

        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["idempotency-replayed"] == "true"
        for name in ("etag", "content-type", "content-length"):
            assert again.headers[name] == first.headers[name]
        assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert len(await facts(database)) == 1


async def test_a_repeat_gets_the_first_answer_also_when_the_ticket_has_changed_since(
    client: httpx.AsyncClient,
) -> None:
    first = await client.post("/api/tickets", json=TICKET, headers=KEY)
    await change(client, first.json()["data"], status="closed")
    await delete(client, first.json()["data"])

    again = await client.post("/api/tickets", json=TICKET, headers=KEY)

    assert again.content == first.content


async def test_a_restoration_is_repeated_too(client: httpx.AsyncClient, database: Database) -> None:
    ticket = await new_ticket(client)
    await delete(client, ticket)
    path = f"/api/tickets/{ticket['id']}/restore"

    answers = [await client.post(path, headers=KEY) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[1].headers["idempotency-replayed"] == "true"
    assert answers[0].content == answers[1].content
    assert len(await facts(database, ticket)) == 3


async def test_another_payload_or_address_is_refused(
    client: httpx.AsyncClient, database: Database
) -> None:
    ticket = await new_ticket(client)
    await client.post("/api/tickets", json=TICKET, headers=KEY)
    for path, body in (
        ("/api/tickets", {**TICKET, "priority": "high"}),
        ("/api/agents", AGENT),
        (f"/api/tickets/{ticket['id']}/restore", None),
    ):
        answer = await client.post(path, json=body, headers=KEY)

        refused(answer, 422, "idempotency_key_reused")
    assert len(await facts(database)) == 2


async def test_another_key_is_another_request(client: httpx.AsyncClient) -> None:
    for key in ("one", "two"):
        await client.post("/api/tickets", json=TICKET, headers={"Idempotency-Key": key})

    assert await titles(client) == ["Help", "Help"]


async def test_without_a_key_each_is_another_request(client: httpx.AsyncClient) -> None:
    for _ in range(2):
        await client.post("/api/tickets", json=TICKET)

    assert await titles(client) == ["Help", "Help"]


@pytest.mark.parametrize(("path", "body"), [("/api/tickets", TICKET), ("/api/agents", AGENT)])
async def test_of_many_at_once_one_works_and_all_get_its_answer(
    client: httpx.AsyncClient, database: Database, path: str, body: dict[str, str]
) -> None:
    answers = await asyncio.gather(*(client.post(path, json=body, headers=KEY) for _ in range(12)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    replayed = [answer.headers.get("idempotency-replayed") for answer in answers]
    assert sorted(replayed, key=str) == [None] + 11 * ["true"]
    assert len(await facts(database)) == 1


async def test_a_key_is_free_after_a_refusal(client: httpx.AsyncClient) -> None:
    for wrong in ({"title": ""}, {**TICKET, "assigned_to": UNKNOWN}):
        answer = await client.post("/api/tickets", json=wrong, headers=KEY)
        assert answer.status_code == 400

    answer = await client.post("/api/tickets", json=TICKET, headers=KEY)

    assert answer.status_code == 201
    assert "idempotency-replayed" not in answer.headers


async def test_a_key_is_free_after_a_conflict(client: httpx.AsyncClient) -> None:
    taken = await new_agent(client, **AGENT)
    refused(await client.post("/api/agents", json=AGENT, headers=KEY), 409, "email_taken")
    await delete(client, taken)

    assert (await client.post("/api/agents", json=AGENT, headers=KEY)).status_code == 201


async def test_a_key_holds_for_24_hours(client: httpx.AsyncClient, database: Database) -> None:
    await client.post("/api/tickets", json=TICKET, headers=KEY)
    await age(database, 23.9)
    assert (
        "idempotency-replayed"
        in (await client.post("/api/tickets", json=TICKET, headers=KEY)).headers
    )
    await age(database, 24.1)

    answer = await client.post("/api/tickets", json={**TICKET, "title": "New"}, headers=KEY)

    assert answer.status_code == 201
    assert "idempotency-replayed" not in answer.headers
    again = await client.post("/api/tickets", json={**TICKET, "title": "New"}, headers=KEY)
    assert again.content == answer.content


async def test_old_keys_are_forgotten_in_the_background(
    client: httpx.AsyncClient, database: Database
) -> None:
    await client.post("/api/tickets", json=TICKET, headers=KEY)
    await age(database, 24.1)
    await client.post("/api/tickets", json=TICKET, headers={"Idempotency-Key": "young"})

    await forget.run(database)

    async with database.session() as db:
        rows = await db.rows("SELECT key FROM idempotency_keys")
    assert [row[0] for row in rows] == ["young"]


@pytest.mark.parametrize("key", ["", " ", "a b", "a\tb", "é", "k" * 256, "a\x7f"])
async def test_a_key_that_does_not_fit_is_refused(client: httpx.AsyncClient, key: str) -> None:
    for path, body in (("/api/tickets", TICKET), ("/api/agents", AGENT)):
        answer = await client.post(
            path, json=body, headers={"Idempotency-Key": key.encode("latin-1")}
        )

        refused(answer, 400, "invalid")
        assert list(problems(answer)) == ["Idempotency-Key"]
    assert (await get(client, "/api/tickets"))["records"] == []


async def test_a_key_may_have_255_characters_of_any_visible_kind(client: httpx.AsyncClient) -> None:
    for key in ("k" * 255, "".join(map(chr, range(0x21, 0x7F)))):
        answer = await client.post("/api/tickets", json=TICKET, headers={"Idempotency-Key": key})

        assert answer.status_code == 201


async def test_the_fact_has_the_id_of_the_request_that_worked(
    client: httpx.AsyncClient, database: Database
) -> None:
    for request_id in ("first", "second"):
        await client.post("/api/tickets", json=TICKET, headers={**KEY, "X-Request-Id": request_id})

    (fact,) = await facts(database)
    assert fact.request_id == "first"
