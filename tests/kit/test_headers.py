"""What is in the head of every answer."""

from typing import Any

import httpx
import pytest

from pullse.gateway.keys import DEV_KEY
from pullse.kit.edge import Edge
from pullse.kit.guard import LocalOwner
from pullse.kit.metrics import Metrics
from pullse.kit.web import Answer

POLICY = "default-src 'none'; frame-ancestors 'none'"
TICKET = {"title": "Help", "description": "It broke."}
HTTPS = "https://localhost"


async def of_each_kind(client: httpx.AsyncClient) -> list[httpx.Response]:
    """Answers of handlers, of the router, of the guard and of the edge."""
    foreign = {"host": "evil.example"}
    large = {"content-length": "9999999"}
    answers = [
        await client.post("/api/tickets", json=TICKET),
        await client.get("/api/tickets/1"),
        await client.head("/api/tickets/1"),
        await client.delete("/api/tickets/1"),
        await client.get("/api/openapi.json"),
        await client.get("/metrics"),
        await client.get("/health/live"),
        await client.get("/nothing"),
        await client.put("/api/tickets"),
        await client.options("/api/tickets"),
        await client.post("/api/tickets", content=b"{", headers=foreign),
        await client.post("/api/tickets", content=b"{", headers=large),
    ]
    assert len({each.status_code for each in answers}) >= 6
    return answers


async def test_no_answer_is_framed_run_or_embedded(client: httpx.AsyncClient) -> None:
    for answer in await of_each_kind(client):
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_each_header_is_there_once(client: httpx.AsyncClient) -> None:
    for answer in await of_each_kind(client):
        names = [name.lower() for name, _ in answer.headers.raw]
        assert len(set(names)) == len(names)


async def test_only_over_tls_it_is_asked_to_stay_with_tls(client: httpx.AsyncClient) -> None:
    for answer in await of_each_kind(client):
        assert "strict-transport-security" not in answer.headers
    for path in ("/api/tickets", "/nothing", "/health/live", "/time"):
        secure = await client.get(HTTPS + path)
        expected = "max-age=31536000; includeSubDomains"
        assert secure.headers["strict-transport-security"] == expected


async def test_a_page_that_may_read_an_answer_may_embed_it(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/tickets", headers={"origin": "http://localhost:5173"})
    assert answer.headers["access-control-allow-origin"] == "http://localhost:5173"
    assert "cross-origin-resource-policy" not in answer.headers
    assert answer.headers["content-security-policy"] == POLICY


@pytest.mark.parametrize("path", ["/time", "/channels/x/messages", "/channels/a/b/c/d"])
async def test_the_gateway_is_as_its_clients_know_it(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, auth=tuple(DEV_KEY.text.split(":", 1)))  # type: ignore[arg-type]
    assert answer.headers["x-content-type-options"] == "nosniff"
    for name in ("content-security-policy", "cross-origin-resource-policy", "referrer-policy"):
        assert name not in answer.headers


async def test_a_stream_has_them_too(live: httpx.AsyncClient) -> None:
    async with live.stream("GET", "/api/events", headers={"accept": "text/event-stream"}) as got:
        assert got.headers["content-security-policy"] == POLICY
        assert got.headers["cross-origin-resource-policy"] == "same-origin"


async def test_what_is_constant_is_not_changed_by_an_answer() -> None:
    """Headers of one request never show up in the next."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await Answer(200, b"", [])(scope, receive, send)

    edge = Edge(app, None, LocalOwner(), Metrics())  # type: ignore[arg-type]
    transport = httpx.ASGITransport(edge)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        plain = await client.get("/")
        await client.get(f"{HTTPS}/", headers={"origin": "http://localhost:1"})
        again = await client.get("/")
    assert set(again.headers) == set(plain.headers)
