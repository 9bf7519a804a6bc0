"""Every no has one shape, the right status and a code; none tells of our insides."""

import logging

import httpx
import pytest

from pullse.kit.db import Database
from tests.api.calls import (
    UNKNOWN,
    change,
    delete,
    new_agent,
    new_ticket,
    problems,
    refused,
)

JSON = {"Content-Type": "application/json"}
TICKET = {"title": "Help", "description": "It broke."}


async def test_each_kind_has_its_status_and_code(client: httpx.AsyncClient) -> None:
    ticket = await new_ticket(client)
    agent = await new_agent(client)
    await change(client, ticket, status="closed")
    path = f"/api/tickets/{ticket['id']}"
    key = {"Idempotency-Key": "a-key"}
    await client.post("/api/tickets", json=TICKET, headers=key)
    taken = {"name": "A", "email": agent["email"]}
    other = {**TICKET, "priority": "high"}
    for method, where, asked, status, code in (
        ("POST", "/api/tickets", {"json": {}}, 400, "invalid"),
        ("POST", "/api/tickets", {"content": "{", "headers": JSON}, 400, "malformed"),
        ("GET", "/api/tickets?a=1", {}, 400, "invalid"),
        ("GET", f"/api/tickets/{UNKNOWN}", {}, 404, "not_found"),
        ("GET", "/api/nothing", {}, 404, "not_found"),
        ("PUT", path, {}, 405, "method_not_allowed"),
        ("POST", "/api/agents", {"json": taken}, 409, "email_taken"),
        ("GET", "/api/events?after=99.1.1", {}, 410, "start_over"),
        ("PATCH", path, {"json": {}, "headers": {"If-Match": '"1"'}}, 412, "stale"),
        ("POST", "/api/agents", {"content": " " * (2 << 20), "headers": JSON}, 413, "too_large"),
        ("POST", "/api/agents", {"content": "{}"}, 415, "unsupported_media_type"),
        ("POST", "/api/tickets", {"json": other, "headers": key}, 422, "idempotency_key_reused"),
        ("GET", "/api/tickets", {"headers": {"Host": "evil.example"}}, 403, "foreign_host"),
    ):
        answer = await client.request(method, where, **asked)

        refused(answer, status, code)
        assert answer.headers["content-type"] == "application/json"
        assert int(answer.headers["content-length"]) == len(answer.content)


async def test_a_database_that_is_away_is_told_and_when_to_try_again(
    client: httpx.AsyncClient, database: Database
) -> None:
    ticket = await new_ticket(client)
    await database.close()
    for method, path, body in (
        ("GET", f"/api/tickets/{ticket['id']}", None),
        ("GET", "/api/tickets", None),
        ("POST", "/api/tickets", TICKET),
        ("PATCH", f"/api/tickets/{ticket['id']}", {"status": "closed"}),
        ("DELETE", f"/api/tickets/{ticket['id']}", None),
        ("GET", "/api/agents", None),
    ):
        answer = await client.request(method, path, json=body)

        refused(answer, 503, "unavailable")
        assert answer.headers["retry-after"] == "1"


async def test_a_bug_is_logged_once_and_tells_nothing_outside(
    client: httpx.AsyncClient, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async with database.session() as db:
        await db.script("ALTER TABLE tickets RENAME COLUMN title TO secret_column")

        with caplog.at_level(logging.ERROR, "pullse"):
            answer = await client.get("/api/tickets", headers={"X-Request-Id": "from-me"})

        await db.script("ALTER TABLE tickets RENAME COLUMN secret_column TO title")

    refused(answer, 500, "internal")
    assert problems(answer) == {}
    assert "title" not in answer.text
    assert answer.headers["x-request-id"] == "from-me"
    (record,) = caplog.records
    assert record.request_id == "from-me"  # type: ignore[attr-defined]


async def test_a_method_that_is_not_taken_is_told_which_are(client: httpx.AsyncClient) -> None:
    ticket, agent = await new_ticket(client), await new_agent(client)
    for path, allowed in (
        ("/api/tickets", "POST, GET, HEAD, OPTIONS"),
        (f"/api/tickets/{ticket['id']}", "GET, PATCH, DELETE, HEAD, OPTIONS"),
        (f"/api/tickets/{ticket['id']}/restore", "POST, OPTIONS"),
        (f"/api/tickets/{ticket['id']}/events", "GET, HEAD, OPTIONS"),
        ("/api/trash/tickets", "GET, HEAD, OPTIONS"),
        ("/api/agents", "POST, GET, HEAD, OPTIONS"),
        (f"/api/agents/{agent['id']}", "GET, PATCH, DELETE, HEAD, OPTIONS"),
        ("/api/me", "GET, HEAD, OPTIONS"),
        ("/api/tokens", "POST, GET, HEAD, OPTIONS"),
        ("/api/tokens/1", "DELETE, OPTIONS"),
        ("/api/tokens/1/rotate", "POST, OPTIONS"),
        ("/api/events", "GET, HEAD, OPTIONS"),
        ("/api/openapi.json", "GET, HEAD, OPTIONS"),
    ):
        known = {"GET", "POST", "PATCH", "PUT", "DELETE", "TRACE", "QUERY", "PROPFIND"}
        for method in sorted(known - set(allowed.split(", "))):
            answer = await client.request(method, path)

            refused(answer, 405, "method_not_allowed")
            assert set(answer.headers["allow"].split(", ")) == set(allowed.split(", "))
        answer = await client.request("OPTIONS", path)
        assert (answer.status_code, answer.content) == (204, b"")
        assert set(answer.headers["allow"].split(", ")) == set(allowed.split(", "))


@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/api/",
        "/api/ticket",
        "/api/tickets/1/2",
        "/api/tickets/1/restore/2",
        "/api/trash",
        "/API/TICKETS",
        "/api/agents/1/tickets",
        "/docs",
        "/schema",
        "/%00",
        "/%FF",
        "/" + "a" * 5000,
    ],
)
async def test_an_unknown_address_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    for method in ("GET", "POST", "DELETE", "PUT", "BREW"):
        refused(await client.request(method, path), 404, "not_found")


async def test_what_is_refused_for_its_state_leaves_no_trace(
    client: httpx.AsyncClient, database: Database
) -> None:
    ticket = await new_ticket(client)
    await delete(client, ticket)
    for _ in range(2):
        await client.delete(f"/api/tickets/{ticket['id']}")
        await client.patch(f"/api/tickets/{ticket['id']}", json={"status": "closed"})

    async with database.session() as db:
        assert await db.value("SELECT count(*) FROM events") == 2
        assert await db.value("SELECT count(*) FROM idempotency_keys") == 0
