"""The server's own limits: nobody holds a connection for nothing."""

import asyncio
import socket
from typing import Any

import httpx
import pytest

from pullse.kit import http


async def connected(live: httpx.AsyncClient) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(live.base_url.host, live.base_url.port)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "STALLED", 0.2)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HT",
        b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        b"POST /api/tickets HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b'Content-Length: 100\r\n\r\n{"title"',
    ],
    ids=["nothing", "half a line", "half a head", "half a body"],
)
async def test_who_stalls_is_cut(impatient: None, live: httpx.AsyncClient, sent: bytes) -> None:
    reader, writer = await connected(live)
    writer.write(sent)
    assert b"200 OK" not in await asyncio.wait_for(reader.read(), 5)
    writer.close()


async def test_who_drips_a_body_is_heard(impatient: None, live: httpx.AsyncClient) -> None:
    body = b'{"title": "Slow", "description": "One byte at a time."}'
    reader, writer = await connected(live)
    writer.write(
        b"POST /api/tickets HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    for byte in body:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.01)
    assert b"201 Created" in await asyncio.wait_for(reader.read(), 5)
    writer.close()


async def test_a_head_without_end_is_refused(live: httpx.AsyncClient) -> None:
    _, writer = await connected(live)
    writer.write(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n")
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(endless(writer), 10)
    writer.close()


async def endless(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"X-More: %s\r\n" % (b"x" * 1000))
        await writer.drain()


async def test_an_idle_connection_may_be_used_again(
    impatient: None, live: httpx.AsyncClient
) -> None:
    reader, writer = await connected(live)
    for _ in range(2):
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in await asyncio.wait_for(reader.readuntil(b"}"), 5)
        await asyncio.sleep(0.4)
    writer.close()


# -- the head of an answer --


async def said(headers: list[tuple[bytes, bytes]], status: int = 200, body: bytes = b"{}") -> bytes:
    """All that the server sends for an answer of these headers."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    with socket.create_server(("127.0.0.1", 0)) as bound:
        bound.setblocking(False)
        server = http.SocketServer(app, bound)
        task = asyncio.create_task(server.serve())
        reader, writer = await asyncio.open_connection(*bound.getsockname())
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        found = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        server.stop()
        await asyncio.wait_for(task, 5)
    return found


async def test_an_answer_is_written_as_it_is_given() -> None:
    length, more = (b"content-length", b"2"), (b"x-some", b"a, b")
    first, second = (await said([length, more])).split(b"{}")[:2]
    for head in (first, second):
        lines = head.split(b"\r\n")
        assert lines[0] == b"HTTP/1.1 200 OK"
        assert {b"content-length: 2", b"x-some: a, b"} <= set(lines)
        assert sum(line.startswith(b"date: ") for line in lines) == 1
    assert b"connection: close" not in first
    assert b"connection: close" in second


async def test_without_a_length_it_comes_in_chunks() -> None:
    assert b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" in await said([])


async def test_an_answer_may_end_the_connection() -> None:
    found = await said([(b"content-length", b"2"), (b"connection", b"close")])
    assert found.count(b"HTTP/1.1 200 OK") == 1


@pytest.mark.parametrize("bad", [b"a\r\nset-cookie: x=y", b"a\nb: c", b"a\rb", b"a\0b", b"a\x7f"])
async def test_no_header_becomes_two(bad: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing goes out at all."""
    for headers in ([(b"x-bad", bad)], [(b"x-" + bad, b"y")]):
        assert await said([(b"content-length", b"2"), *headers]) == b""


@pytest.mark.parametrize("body", [b"{} and more", b"{"])
async def test_an_answer_has_the_length_that_it_says(
    body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    found = await said([(b"content-length", b"2")], body=body)
    assert found.count(b"HTTP/1.1") == 1
