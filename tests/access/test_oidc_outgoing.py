"""What a provider answers to us: bounded, as it should be, and from where it should be."""

import asyncio
import contextlib
import gzip
from dataclasses import replace
from typing import Any

import httpx
import pytest

from pullse.access.oidc import outgoing
from pullse.access.oidc.discovery import Live
from pullse.access.oidc.outgoing import Failed
from pullse.kit.db import Database
from pullse.kit.tail import Tail
from tests.access.people import hire
from tests.access.sign_in import browser
from tests.access.single_sign_on import (
    Clock,
    edge_with,
    is_let_in,
    is_nobody,
    refusal,
    settings,
    sign_in,
    visit,
)
from tests.standins.http import Cut, Response
from tests.standins.oidc import (
    ADA,
    Provider,
    answered,
)

# -- a provider that answers oddly --


async def huge() -> Response:
    return Response(200, "application/json", b'{"a":"' + b"a" * (outgoing.AT_MOST + 1) + b'"}')


async def slow() -> Response:
    await asyncio.sleep(1)
    return answered({})


async def elsewhere() -> Response:
    return Response(302, "text/plain", b"", (("Location", "http://127.0.0.1:1/"),))


async def no_json() -> Response:
    return Response(200, "application/json", b"<html>")


async def a_list() -> Response:
    return answered([])


async def deep() -> Response:
    return Response(200, "application/json", b"[" * 100_000)


async def empty() -> Response:
    return answered({})


async def broken() -> Response:
    return answered({"error": "server_error"}, 500)


async def cut() -> Response:
    raise Cut(b"HTTP/1.1 200 OK\r\nContent-Le")


async def packed() -> Response:
    """What unpacks to far more; nothing is unpacked."""
    body = gzip.compress(b'{"a":"' + b"a" * 50_000_000 + b'"}')
    return Response(200, "application/json", body, (("Content-Encoding", "gzip"),))


ODD = [huge, slow, elsewhere, no_json, a_list, deep, empty, broken, cut, packed]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.__name__)
async def test_a_discovery_document_that_cant_be_used_sends_nobody_anywhere(
    odd: Any, person: httpx.AsyncClient, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "PATIENCE", 0.5)
    provider.instead["/.well-known/openid-configuration"] = odd
    assert refusal(await person.get("/api/sign-in/oidc/corp")) == "provider_failed"


@pytest.mark.parametrize("path", ["/jwks", "/token", "/me"])
@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.__name__)
async def test_any_other_answer_that_cant_be_used_lets_nobody_in(
    odd: Any,
    path: str,
    person: httpx.AsyncClient,
    provider: Provider,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outgoing, "PATIENCE", 0.5)
    provider.person = {"sub": "ada"}
    provider.info = {**ADA, "sub": "ada"}
    provider.instead[path] = odd
    assert refusal(await sign_in(person)) == "provider_failed"
    assert await is_nobody(database)


async def padded(right: Response) -> Response:
    body = right.body[:-1] + b',"a":"' + b"a" * outgoing.AT_MOST + b'"}'
    return replace(right, body=body)


async def delayed(right: Response) -> Response:
    await asyncio.sleep(1)
    return right


async def moved(right: Response) -> Response:
    """A redirect that has the right answer with it, and leads to it too."""
    ways = {b"authorization_endpoint": "/.well-known/openid-configuration", b'"keys"': "/jwks"}
    ways |= {b"id_token": "/token", b'"sub"': "/me"}
    path = next(path for word, path in ways.items() if word in right.body)
    return replace(right, status=307, headers=(("Location", f"/again{path}"),))


async def denied(right: Response) -> Response:
    return replace(right, status=403)


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/jwks", "/token", "/me"])
@pytest.mark.parametrize("spoil", [padded, delayed, moved, denied], ids=lambda f: f.__name__)
async def test_a_right_answer_that_is_too_long_too_late_or_elsewhere_is_none(
    spoil: Any,
    path: str,
    person: httpx.AsyncClient,
    provider: Provider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outgoing, "PATIENCE", 0.7)
    provider.person = {"sub": "ada"}
    provider.info = {**ADA, "sub": "ada"}
    provider.spoilt[path] = spoil
    start = await person.get("/api/sign-in/oidc/corp")
    if path.startswith("/.well"):
        assert refusal(start) == "provider_failed"
        return
    assert refusal(await person.get(await visit(start.headers["location"]))) == "provider_failed"


async def test_an_answer_that_drips_in_is_not_waited_for_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No single byte is late."""
    is_over = asyncio.Event()

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n")
            for _ in range(200):
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        is_over.set()

    monkeypatch.setattr(outgoing, "PATIENCE", 0.5)
    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Failed, match="took more than"):
            await outgoing.get(f"http://127.0.0.1:{port}/")
        await is_over.wait()


@pytest.mark.parametrize(
    "lie",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"token_endpoint": None},
        {"token_endpoint": "http://evil.example/token"},
        {"authorization_endpoint": "http://evil.example/"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "https://evil.example/\r\nSet-Cookie: a=b"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "http://169.254.169.254/keys"},
        {"userinfo_endpoint": "http://evil.example/"},
        {"token_endpoint": 7},
        {"token_endpoint_auth_methods_supported": "client_secret_basic"},
    ],
    ids=str,
)
async def test_a_discovery_document_that_leads_astray_is_not_followed(
    lie: dict[str, Any], person: httpx.AsyncClient, provider: Provider
) -> None:
    provider.discovery = lie
    assert refusal(await person.get("/api/sign-in/oidc/corp")) == "provider_failed"


async def test_a_provider_that_is_away_is_not_asked_by_everybody(
    person: httpx.AsyncClient, provider: Provider, clock: Clock
) -> None:
    provider.instead["/.well-known/openid-configuration"] = broken
    for _ in range(3):
        assert refusal(await person.get("/api/sign-in/oidc/corp")) == "provider_failed"
    assert provider.asked_for("/.well-known/openid-configuration") == 1
    provider.instead.clear()
    clock.now += 10
    assert await is_let_in(person)


# -- how we show our own secret --


@pytest.mark.parametrize(
    ("methods", "is_good"),
    [
        (None, True),
        (["client_secret_basic"], True),
        (["client_secret_post"], True),
        (["private_key_jwt", "client_secret_post"], True),
        (["private_key_jwt", "none"], False),
    ],
)
async def test_a_secret_is_shown_as_the_provider_takes_it(
    methods: Any, is_good: bool, person: httpx.AsyncClient, provider: Provider
) -> None:
    if methods is not None:
        provider.discovery["token_endpoint_auth_methods_supported"] = methods
    assert await is_let_in(person) == is_good


async def test_a_public_client_shows_none(
    database: Database, tail: Tail, provider: Provider
) -> None:
    await hire(database, "Ada")
    provider.discovery["token_endpoint_auth_methods_supported"] = ["none"]
    live = Live(settings(provider, client_secret=None))
    async with browser(edge_with(database, tail, live)) as client:
        assert await is_let_in(client)


async def test_a_wrong_secret_lets_nobody_in(
    database: Database, tail: Tail, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    live = Live(settings(provider, client_secret="of somebody else"))
    async with browser(edge_with(database, tail, live)) as client:
        assert refusal(await sign_in(client)) == "provider_failed"
    assert "it answered 401 invalid_client to the code" in caplog.text
    assert "of somebody else" not in caplog.text
