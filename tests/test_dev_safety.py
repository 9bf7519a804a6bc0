"""
`pullse dev` has no login: what is tried here is every way that a stranger could come in by.

That it binds loopback addresses alone is in tests/cli/test_commands.py.
"""

import asyncio
from typing import Any

import httpx

from pullse.kit.db import Database
from pullse.kit.guard import FORWARDING

TICKET = {"title": "Help", "description": "It broke."}
FRONT_END = "http://localhost:5173"


async def raw(live: httpx.AsyncClient, *lines: str, path: str = "/api/tickets") -> tuple[int, str]:
    """A request by hand, with exactly these header lines: status and whole answer."""
    reader, writer = await asyncio.open_connection(live.base_url.host, live.base_url.port)
    head = "\r\n".join([f"GET {path} HTTP/1.1", *lines, "Connection: close"])
    writer.write(f"{head}\r\n\r\n".encode())
    async with asyncio.timeout(5):
        answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return int(answer.split()[1]), answer


async def test_the_owner_comes_in(live: httpx.AsyncClient) -> None:
    assert (await raw(live, "Host: localhost:3000"))[0] == 200
    assert (await raw(live, "host: 127.0.0.1"))[0] == 200
    assert (await raw(live, "HOST: [::1]:80"))[0] == 200


FOREIGN_HOSTS = [
    "evil.example",
    "evil.example:3000",
    "localhost.evil.example",
    "localhost:3000@evil.example",
    "evil.example:80@localhost",
    "user:password@localhost:3000",
    "localhost:3000, evil.example",
    "localhost:3000:80",
    "localhost:99999999",
    "localhost.",
    "127.0.0.1.nip.io",
    "2130706433",
    "0.0.0.0:3000",
    "192.168.1.5:3000",
    "",
]


async def test_a_foreign_host_is_refused(live: httpx.AsyncClient) -> None:
    """A page whose name was bound anew to 127.0.0.1 still says its own name."""
    for host in FOREIGN_HOSTS:
        status, answer = await raw(live, f"Host: {host}")
        assert status in (400, 403), host
        assert "records" not in answer, host


async def test_a_missing_or_second_host_is_refused(live: httpx.AsyncClient) -> None:
    assert (await raw(live))[0] in (400, 403)
    for two in (("localhost", "evil.example"), ("evil.example", "localhost")):
        status, answer = await raw(live, *(f"Host: {each}" for each in two))
        assert status in (400, 403)
        assert "records" not in answer


async def test_the_name_in_the_address_does_not_help(live: httpx.AsyncClient) -> None:
    status, _ = await raw(live, "Host: evil.example", path="http://localhost/api/tickets")
    assert status in (400, 403)


STRANGERS: list[dict[str, str]] = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://localhost.evil.example"},
    {"origin": "http://localhost:5173@evil.example"},
    {"origin": "https://evil.example", "sec-fetch-site": "same-origin"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
    *({name.decode(): "203.0.113.9"} for name in sorted(FORWARDING)),
    {"x-forwarded-for": "127.0.0.1"},
    {"x-forwarded-host": "localhost"},
    {"x-forwarded-proto": "http"},
    {"x-forwarded-new": ""},
]


async def test_who_is_refused_changes_and_learns_nothing(
    client: httpx.AsyncClient, database: Database
) -> None:
    tries: list[tuple[str, str, Any]] = [
        ("GET", "/api/tickets", None),
        ("GET", "/api/events", None),
        ("GET", "/metrics", None),
        ("GET", "/nothing", None),
        ("POST", "/api/tickets", TICKET),
        ("DELETE", "/api/tickets/1", None),
    ]
    for headers in STRANGERS:
        for method, path, body in tries:
            answer = await client.request(method, path, json=body, headers=headers)
            assert answer.status_code == 403, headers
            assert answer.json()["code"] in ("cross_site", "forwarded")
            assert "access-control-allow-origin" not in answer.headers
    async with database.session() as db:
        assert await db.value("SELECT count(*) FROM tickets") == 0


async def test_a_form_of_another_site_is_refused(client: httpx.AsyncClient) -> None:
    """A form can be sent across sites without asking first, but only with a form's media types."""
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        headers = {"content-type": media_type, "sec-fetch-site": "none"}
        content = '{"title": "Help", "description": "="}'
        answer = await client.post("/api/tickets", content=content, headers=headers)
        assert answer.status_code == 415


# -- a front end under development, on another port --


async def test_a_front_end_on_this_machine_may_read_and_write(client: httpx.AsyncClient) -> None:
    for origin in (FRONT_END, "http://127.0.0.1:8080", "https://[::1]:3001"):
        await may_read_and_write(client, origin)


async def may_read_and_write(client: httpx.AsyncClient, origin: str) -> None:
    headers = {"origin": origin, "sec-fetch-site": "cross-site"}
    asked = await client.options(
        "/api/tickets", headers=headers | {"access-control-request-method": "POST"}
    )
    assert (asked.status_code, asked.content) == (204, b"")
    assert asked.headers["access-control-allow-origin"] == origin
    assert {"GET", "POST", "PATCH", "DELETE"} <= set(
        asked.headers["access-control-allow-methods"].split(", ")
    )
    allowed = asked.headers["access-control-allow-headers"].lower().split(", ")
    assert {"content-type", "if-match", "if-none-match", "idempotency-key"} <= set(allowed)
    assert "access-control-allow-credentials" not in asked.headers

    made = await client.post("/api/tickets", json=TICKET, headers=headers)
    missing = await client.get("/api/tickets/999", headers=headers)
    unknown = await client.get("/nothing", headers=headers)
    wrong = await client.post("/api/tickets", json={}, headers=headers)
    assert [each.status_code for each in (made, missing, unknown, wrong)] == [201, 404, 404, 400]
    for answer in (made, missing, unknown, wrong):
        assert answer.headers["access-control-allow-origin"] == origin
        assert answer.headers["vary"] == "Origin"
        assert "ETag" in answer.headers["access-control-expose-headers"]


async def test_a_front_end_may_follow_the_feed(live: httpx.AsyncClient) -> None:
    headers = {"accept": "text/event-stream", "origin": FRONT_END, "sec-fetch-site": "same-site"}
    async with live.stream("GET", "/api/events", headers=headers) as answer:
        assert answer.headers["access-control-allow-origin"] == FRONT_END


async def test_a_preflight_of_a_stranger_is_refused(client: httpx.AsyncClient) -> None:
    for more in (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": FRONT_END, "host": "evil.example"},
        {"origin": FRONT_END, "x-forwarded-for": "203.0.113.9"},
    ):
        headers = {"access-control-request-method": "DELETE", **more}
        answer = await client.options("/api/tickets/1", headers=headers)
        assert answer.status_code == 403, more
        assert "access-control-allow-methods" not in answer.headers


async def test_without_an_origin_there_is_no_cors(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/tickets")
    assert not [name for name in answer.headers if name.startswith("access-control")]
    asked = await client.options("/api/tickets", headers={"access-control-request-method": "GET"})
    assert "access-control-allow-origin" not in asked.headers
