"""The server's own limits: nobody holds a connection for nothing."""

import asyncio

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
