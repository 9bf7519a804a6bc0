"""Whose word is taken for where a request comes from, by which name, and for whose pages."""

import asyncio
from ipaddress import ip_network
from typing import Any

import httpx
import pytest

from pullse import app
from pullse.gateway.opening import Realtime
from pullse.kit.db import Database
from pullse.kit.edge import Edge, Guard, NotLetIn
from pullse.kit.guard import BearerToken
from pullse.kit.metrics import Metrics
from pullse.kit.proxies import Proxies
from pullse.kit.tail import Tail
from pullse.kit.web import Answer
from tests.conftest import serving

TOKEN = "a-token-of-more-than-twenty-characters"
AUTHORIZED = {"authorization": f"Bearer {TOKEN}"}
NETWORKS = [ip_network("10.0.0.0/8"), ip_network("127.0.0.1"), ip_network("fd00::/8")]


def seen(peer: str | None, *headers: tuple[str, str], proxies: Any = None) -> tuple[Any, str]:
    """Address and scheme, after what the peer says was read."""
    given = [(name.encode(), value.encode()) for name, value in headers]
    client = None if peer is None else (peer, 4711)
    scope = {"client": client, "scheme": "http", "headers": given}
    (proxies or Proxies(NETWORKS)).read(scope)
    found: Any = scope["client"]
    return found and found[0], str(scope["scheme"])


def address(peer: str | None, *chains: str) -> Any:
    return seen(peer, *(("x-forwarded-for", chain) for chain in chains))[0]


# -- addresses --


def test_a_trusted_proxy_is_believed() -> None:
    assert address("10.0.0.7", "203.0.113.9") == "203.0.113.9"
    assert address("fd00::7", "2001:db8::9") == "2001:db8::9"
    assert address("::ffff:10.0.0.7", "203.0.113.9") == "203.0.113.9"


@pytest.mark.parametrize("peer", ["203.0.113.1", "11.0.0.7", "::1", "::ffff:203.0.113.1", "", "x"])
def test_nobody_else_is(peer: str) -> None:
    headers = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "https")]
    assert seen(peer, *headers) == (peer, "http")


def test_without_proxies_nobody_is_believed() -> None:
    headers = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "https")]
    assert seen("127.0.0.1", *headers, proxies=Proxies()) == ("127.0.0.1", "http")


def test_on_a_socket_without_addresses_nobody_is() -> None:
    assert address(None, "203.0.113.9") is None


@pytest.mark.parametrize(
    ("chains", "expected"),
    [
        (["6.6.6.6, 203.0.113.9"], "203.0.113.9"),
        (["6.6.6.6, 203.0.113.9, 10.1.1.1, 10.2.2.2"], "203.0.113.9"),
        (["6.6.6.6", "203.0.113.9", "10.1.1.1"], "203.0.113.9"),
        (["10.9.9.9, 203.0.113.9,10.1.1.1"], "203.0.113.9"),
        (["127.0.0.1, 203.0.113.9"], "203.0.113.9"),
        (["10.3.3.3, 10.1.1.1"], "10.3.3.3"),
        (["203.0.113.9:1234"], "203.0.113.9"),
        (["[2001:db8::9]:1234"], "2001:db8::9"),
        (["[2001:db8::9]"], "2001:db8::9"),
        (["::ffff:203.0.113.9"], "203.0.113.9"),
        (["6.6.6.6, nonsense"], "10.0.0.7"),
        (["6.6.6.6, nonsense, 10.1.1.1"], "10.1.1.1"),
        (["6.6.6.6, "], "10.0.0.7"),
        (["6.6.6.6, ,10.1.1.1"], "10.1.1.1"),
        (["unknown"], "10.0.0.7"),
        (["203.0.113.9\0"], "10.0.0.7"),
        (["203.0.113.٩"], "10.0.0.7"),
        (["1" * 10_000], "10.0.0.7"),
        (["10.1.1.1," * 5000], "10.0.0.7"),
        ([""], "10.0.0.7"),
        ([], "10.0.0.7"),
    ],
)
def test_the_chain_is_read_from_its_right_end(chains: list[str], expected: str) -> None:
    assert address("10.0.0.7", *chains) == expected


@pytest.mark.parametrize("name", ["forwarded", "x-real-ip", "cf-connecting-ip", "x-forwarded-host"])
def test_only_the_two_headers_are_read(name: str) -> None:
    assert seen("10.0.0.7", (name, "203.0.113.9")) == ("10.0.0.7", "http")


@pytest.mark.parametrize(
    ("told", "scheme"),
    [
        (["https"], "https"),
        (["HTTPS "], "https"),
        (["http"], "http"),
        (["https, http"], "http"),
        (["http", "https"], "https"),
        (["gopher"], "http"),
        (["https,"], "http"),
        ([""], "http"),
    ],
)
def test_the_nearest_proxy_tells_the_scheme(told: list[str], scheme: str) -> None:
    assert seen("10.0.0.7", *(("x-forwarded-proto", each) for each in told))[1] == scheme


# -- what it counts for --


@pytest.fixture
def guard() -> Guard:
    return BearerToken(
        TOKEN,
        hosts=frozenset({b"help.example.org", b"127.0.0.1", b"[::1]"}),
        origins=frozenset({b"https://app.example.org"}),
    )


@pytest.fixture
def edge(database: Database, tail: Tail, guard: Guard, realtime: Realtime) -> Edge:
    proxies = Proxies([ip_network("127.0.0.1")])
    return app.build(database, tail, guard, realtime=realtime, proxies=proxies)


@pytest.fixture
async def client(edge: Edge) -> Any:
    transport = httpx.ASGITransport(edge, client=("127.0.0.1", 1))  # type: ignore[arg-type]
    base = "http://help.example.org"
    async with httpx.AsyncClient(transport=transport, base_url=base, headers=AUTHORIZED) as client:
        yield client


async def test_the_actor_has_the_address_that_is_believed() -> None:
    actors = []

    async def taking(scope: Any, receive: Any, send: Any) -> None:
        actors.append(scope["actor"].address)
        await Answer(200, b"", [])(scope, receive, send)

    proxies = Proxies([ip_network("127.0.0.1")])
    edge = Edge(taking, None, BearerToken(TOKEN), Metrics(), proxies=proxies)  # type: ignore[arg-type]
    for peer in ("127.0.0.1", "203.0.113.1"):
        transport = httpx.ASGITransport(edge, client=(peer, 1))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            await client.get("/", headers=AUTHORIZED | {"x-forwarded-for": "198.51.100.3"})
    assert actors == ["198.51.100.3", "203.0.113.1"]


async def test_the_scheme_counts_for_what_is_answered(client: httpx.AsyncClient) -> None:
    path = "/api/realtime/config"
    plain = await client.get(path)
    secure = await client.get(path, headers={"x-forwarded-proto": "https"})

    assert plain.json()["data"]["client_options"]["tls"] is False
    assert secure.json()["data"]["client_options"]["tlsPort"] == 443
    assert "strict-transport-security" not in plain.headers
    assert "strict-transport-security" in secure.headers


async def test_the_server_itself_believes_nobody(database: Database, tail: Tail) -> None:
    """uvicorn would, from 127.0.0.1, if it was not told otherwise."""
    edge = app.build(database, tail, BearerToken(TOKEN))
    async with serving(edge) as url, httpx.AsyncClient(base_url=url) as client:
        answer = await client.get("/health/live", headers={"x-forwarded-proto": "https"})
    assert "strict-transport-security" not in answer.headers


# -- names --


def screened(guard: Guard, *hosts: str) -> bool:
    try:
        guard.screen([(b"host", each.encode()) for each in hosts])
    except NotLetIn:
        return False
    return True


@pytest.mark.parametrize(
    "host",
    ["help.example.org", "HELP.example.org:443", "127.0.0.1:3000", "[::1]", "[::1]:3000"],
)
def test_names_of_the_list_are_answered_to(guard: Guard, host: str) -> None:
    assert screened(guard, host)


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        [""],
        ["evil.example"],
        ["help.example.org.evil.example"],
        ["evil.help.example.org"],
        ["help.example.org."],
        ["help.example.org:x"],
        ["help.example.org:443:443"],
        ["help.example.org:443\n"],
        ["me@help.example.org"],
        ["help.example.org,evil.example"],
        ["help.example.org", "evil.example"],
        ["::1"],
    ],
)
def test_others_are_not(guard: Guard, hosts: list[str]) -> None:
    assert not screened(guard, *hosts)
    assert screened(BearerToken(TOKEN), *hosts), "without a list any name is"


async def test_a_foreign_name_is_refused_before_the_token_is_looked_at(
    client: httpx.AsyncClient,
) -> None:
    for path in ("/api/tickets", "/nothing", "/metrics", "/time", "/channels/x"):
        for headers in ({}, {"authorization": "Bearer wrong"}):
            answer = await client.get(path, headers={"host": "evil.example", **headers})
            assert (answer.status_code, answer.json()["code"]) == (403, "foreign_host")
    assert (await client.get("/health/live", headers={"host": "10.0.0.5"})).status_code == 200


async def test_a_web_socket_needs_the_name_too(edge: Edge) -> None:
    async with serving(edge) as url:
        answers = [await shaken(int(url.rpartition(":")[2]), host) for host in HOSTS]
    assert answers == [b"403", b"101"]


HOSTS = ("evil.example", "help.example.org")


async def shaken(port: int, host: str) -> bytes:
    """The status of a handshake."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    line = await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    return line.split()[1]


# -- pages of other origins --

NAMED = {"origin": "https://app.example.org"}
ASKS = {"access-control-request-method": "PATCH"}


async def test_pages_of_a_named_origin_may_read(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/tickets", headers=NAMED)
    assert answer.headers["access-control-allow-origin"] == NAMED["origin"]
    assert "access-control-allow-credentials" not in answer.headers
    assert answer.headers["vary"] == "Origin"
    refused = await client.get("/api/tickets", headers=NAMED | {"authorization": "Bearer no"})
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == NAMED["origin"]


async def test_a_browser_may_ask_without_a_token(client: httpx.AsyncClient) -> None:
    del client.headers["authorization"]
    answer = await client.options("/api/tickets/1", headers=NAMED | ASKS)
    assert (answer.status_code, answer.content) == (204, b"")
    assert "PATCH" in answer.headers["access-control-allow-methods"]
    assert "Authorization" in answer.headers["access-control-allow-headers"]
    for headers in (ASKS, NAMED, {"origin": "https://evil.example", **ASKS}):
        assert (await client.options("/api/tickets/1", headers=headers)).status_code == 401
    foreign = await client.options("/api/x", headers=NAMED | ASKS | {"host": "evil.example"})
    assert foreign.json()["code"] == "foreign_host"


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://app.example.org", "https://app.example.org:8443", "null", ""],
)
async def test_no_others_may(client: httpx.AsyncClient, origin: str) -> None:
    answer = await client.get("/api/tickets", headers={"origin": origin})
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
