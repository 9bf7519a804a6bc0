"""Request ids: taken from the caller when they fit, made otherwise, told in every answer."""

import re

import httpx
import pytest

from pullse.kit.db import Database
from tests.api.calls import change, facts, new_ticket

MADE = re.compile(r"[0-9a-f]{24}")


@pytest.mark.parametrize("given", ["a", "a-b_c.d:E9", "x" * 128])
async def test_the_callers_id_is_kept(client: httpx.AsyncClient, given: str) -> None:
    answer = await client.get("/api/tickets", headers={"X-Request-Id": given})

    assert answer.headers["x-request-id"] == given


@pytest.mark.parametrize("given", [None, "", " ", "a b", "a/b", "é", "x" * 129, '"', "a\tb", "<a>"])
async def test_one_is_made_for_what_does_not_fit(
    client: httpx.AsyncClient, given: str | None
) -> None:
    headers = {} if given is None else {"X-Request-Id": given.encode()}

    answers = [await client.get("/api/tickets", headers=headers) for _ in range(2)]

    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == 2
    assert all(MADE.fullmatch(each) for each in ids)


async def test_every_answer_has_one(client: httpx.AsyncClient) -> None:
    for method, path in (
        ("GET", "/api/tickets"),
        ("GET", "/api/tickets/42"),
        ("GET", "/api/tickets?limit=0"),
        ("GET", "/nowhere"),
        ("PUT", "/api/tickets"),
        ("POST", "/api/tickets"),
        ("OPTIONS", "/api/tickets"),
        ("GET", "/api/openapi.json"),
        ("GET", "/health/live"),
    ):
        answer = await client.request(method, path, headers={"X-Request-Id": "from-me"})

        assert answer.headers["x-request-id"] == "from-me", (method, path)

    answer = await client.get(
        "/api/tickets", headers={"Host": "evil.example", "X-Request-Id": "from-me"}
    )
    assert (answer.status_code, answer.headers["x-request-id"]) == (403, "from-me")


async def test_the_facts_of_a_request_carry_it(
    client: httpx.AsyncClient, database: Database
) -> None:
    client.headers["X-Request-Id"] = "first"
    ticket = await new_ticket(client)
    client.headers["X-Request-Id"] = "second"
    await change(client, ticket, status="closed")

    assert [fact.request_id for fact in await facts(database)] == ["first", "second"]
