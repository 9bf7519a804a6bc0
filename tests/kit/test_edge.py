"""What holds for every request before any handler sees it."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from pullse.kit.db import Database
from pullse.kit.edge import BODY_AT_MOST, Edge
from tests.cli.settling import settled

JSON = {"content-type": "application/json"}
TICKET = {"title": "Help", "description": "It broke."}


# -- request ids --


async def test_a_request_id_comes_back_and_goes_into_the_fact(
    client: httpx.AsyncClient, database: Database
) -> None:
    headers = {"x-request-id": "checkout:42.a_b-c"}
    made = await client.post("/api/tickets", json=TICKET, headers=headers)

    assert made.headers["x-request-id"] == "checkout:42.a_b-c"
    await settled(database)
    (fact,) = (await client.get("/api/events")).json()["data"]["records"]
    assert fact["request_id"] == "checkout:42.a_b-c"


async def test_a_request_id_that_can_not_be_kept_is_replaced(client: httpx.AsyncClient) -> None:
    seen = {(await client.get("/health/live")).headers["x-request-id"]}
    for sent in ("", "with space", "x" * 129, "semi;colon", "üml"):
        headers = {"x-request-id": sent.encode()}
        seen.add((await client.get("/health/live", headers=headers)).headers["x-request-id"])

    assert len(seen) == 6
    assert all(re.fullmatch("[0-9a-f]{24}", each) for each in seen)


async def test_every_answer_has_an_id_and_is_not_cached(client: httpx.AsyncClient) -> None:
    for path in ("/api/tickets", "/api/tickets/x", "/nothing", "/health/live", "/metrics"):
        answer = await client.get(path)
        assert answer.headers["x-request-id"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "private, no-cache"


# -- methods --


async def test_head_is_get_without_a_body(client: httpx.AsyncClient) -> None:
    made = await client.post("/api/tickets", json=TICKET)
    path = f"/api/tickets/{made.json()['data']['id']}"
    got, head = await client.get(path), await client.head(path)

    assert (head.status_code, head.content) == (200, b"")
    for name in ("etag", "content-type", "content-length"):
        assert head.headers[name] == got.headers[name]


async def test_an_unknown_method_is_told_which_there_are(client: httpx.AsyncClient) -> None:
    for method in ("PUT", "BREW", "TRACE", "CONNECT"):
        answer = await client.request(method, "/api/tickets")
        assert answer.status_code == 405
        assert answer.headers["allow"] == "POST, GET, HEAD, OPTIONS"


# -- bodies --


def body(size: int) -> bytes:
    start = b'{"title": "Help", "description": "'
    return start + b"x" * (size - len(start) - 2) + b'"}'


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 50_000):
        yield content[start : start + 50_000]


def whole(content: bytes) -> bytes:
    return content


@pytest.mark.parametrize("form", [whole, pieces])
async def test_a_body_of_more_than_a_mebibyte_is_refused(
    client: httpx.AsyncClient, live: httpx.AsyncClient, form: Callable[[bytes], Any]
) -> None:
    for each in (client, live):
        content = form(body(BODY_AT_MOST + 1))
        answer = await each.post("/api/tickets", content=content, headers=JSON)

        assert answer.status_code == 413
        assert answer.json()["code"] == "too_large"
        assert answer.headers["x-request-id"]
    assert (await client.get("/api/tickets")).json()["data"]["records"] == []


@pytest.mark.parametrize("form", [whole, pieces])
async def test_a_body_of_just_a_mebibyte_is_read(
    live: httpx.AsyncClient, form: Callable[[bytes], Any]
) -> None:
    answer = await live.post("/api/tickets", content=form(body(BODY_AT_MOST)), headers=JSON)
    assert answer.status_code == 400
    assert "description" in answer.text


async def test_a_length_that_is_none_is_refused(client: httpx.AsyncClient) -> None:
    for length in ("-1", "1e3", "9" * 40, "٣", "0x10", " "):
        headers = JSON | {"content-length": length}
        raw = {name: value.encode() for name, value in headers.items()}
        answer = await client.post("/api/tickets", content=b"{}", headers=raw)
        assert answer.status_code in (400, 413), length


# -- the count of requests under way --


async def test_a_stop_waits_for_requests_under_way(client: httpx.AsyncClient, edge: Edge) -> None:
    database = edge.services.database
    made = (await client.post("/api/tickets", json=TICKET)).json()["data"]
    async with database.transaction() as db:
        await db.run("LOCK TABLE tickets IN ACCESS EXCLUSIVE MODE")
        asking = asyncio.create_task(client.get(f"/api/tickets/{made['number']}"))
        while not edge.under_way:
            await asyncio.sleep(0.001)
        assert not await edge.idle(0.05)
    assert await edge.idle(5)
    assert (await asking).status_code == 200
    assert edge.under_way == 0


async def test_a_request_that_fails_is_no_longer_under_way(
    client: httpx.AsyncClient, edge: Edge
) -> None:
    edge.services.database.pool.terminate()
    assert (await client.get("/api/tickets")).status_code == 503
    assert edge.under_way == 0
