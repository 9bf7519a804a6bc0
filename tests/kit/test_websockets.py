"""WebSockets by a real server: what clients get, what sessions are told, and every limit."""

import asyncio
import contextlib
import gc
import logging
import socket
import struct
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from pullse.kit import http, websockets
from pullse.kit.http import SocketServer
from pullse.kit.websockets import Refused, Socket, Upgrade, frame

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture(scope="module")
def anyio_backend() -> Any:
    """The event loop that we serve with; its transports differ from asyncio's own."""
    return "asyncio", {"use_uvloop": True}


class Talk:
    """A session that repeats what it hears and notes what happens to it."""

    def __init__(self, upgrade: Upgrade, socket: Socket) -> None:
        self.upgrade = upgrade
        self.socket = socket
        self.heard: list[str | bytes] = []
        self.ended = 0

    def opened(self) -> None:
        self.socket.send(frame("welcome"))

    def received(self, data: str | bytes) -> None:
        assert not self.ended
        self.heard.append(data)
        self.socket.send(frame(data))

    def closed(self) -> None:
        self.ended += 1


class Talks:
    """The application: a session for each who asks for /, and a line for HTTP."""

    def __init__(self, kind: Callable[[Upgrade, Socket], Any] = Talk) -> None:
        self.kind = kind
        self.all: list[Any] = []

    def accept(self, upgrade: Upgrade, socket: Socket) -> Any:
        if upgrade.path != "/":
            raise Refused(404, "Nobody talks here.")
        self.all.append(self.kind(upgrade, socket))
        return self.all[-1]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await plain_http(scope, receive, send)


async def plain_http(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/slow":
        await asyncio.sleep(0.2)
    headers = [(b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"plain"})


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[int]:
    """The port; at the end the server stops, and must do so soon."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        bound.setblocking(False)
        server = SocketServer(app, bound)
        task = asyncio.create_task(server.serve())
        yield bound.getsockname()[1]
        server.stop()
        await asyncio.wait_for(task, 10)


@pytest.fixture(scope="module")
async def shared() -> AsyncIterator[tuple[Talks, int]]:
    """To start and stop a server for each test would cost more than the tests."""
    talks = Talks()
    async with serving(talks) as port:
        yield talks, port


@pytest.fixture
async def talks(shared: tuple[Talks, int]) -> AsyncIterator[Talks]:
    """Whatever a test did, each session was closed exactly once."""
    talks = shared[0]
    yield talks
    await until(lambda: all(talk.ended for talk in talks.all))
    assert {talk.ended for talk in talks.all} <= {1}
    talks.all.clear()


@pytest.fixture
def port(talks: Talks, shared: tuple[Talks, int]) -> int:
    return shared[1]


def client(port: int, **options: Any) -> connect:
    return connect(f"ws://127.0.0.1:{port}/", compression=None, **options)


class Raw:
    """A client that may send and leave out what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *parts: bytes) -> None:
        if not self.writer.is_closing():
            self.writer.write(b"".join(parts))

    async def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next one."""
        first, length = await self.reader.readexactly(2)
        if length > 125:
            size, code = (2, "!H") if length == 126 else (8, "!Q")
            (length,) = struct.unpack(code, await self.reader.readexactly(size))
        return first & 0x0F, await self.reader.readexactly(length)

    async def close_code(self) -> int:
        """Of the close frame that must come next, with nothing after it."""
        opcode, payload = await asyncio.wait_for(self.frame(), 5)
        assert opcode == Opcode.CLOSE
        assert await asyncio.wait_for(self.reader.read(), 5) == b""
        return int(struct.unpack("!H", payload[:2])[0])

    async def is_cut(self) -> bool:
        """The end comes soon, whatever comes before it."""
        try:
            await asyncio.wait_for(self.reader.read(), 5)
        except ConnectionError:
            return True
        return self.reader.at_eof()


@asynccontextmanager
async def raw(port: int, request: bytes = HANDSHAKE) -> AsyncIterator[Raw]:
    """After the handshake and the welcome."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        found = Raw(reader, writer)
        assert await found.frame() == (Opcode.TEXT, b"welcome")
        yield found
    finally:
        writer.transport.abort()


async def answer(port: int, request: bytes) -> bytes:
    """All that comes back, until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.close()
        await writer.wait_closed()


def masked(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    return Frame(Opcode(opcode), payload, fin).serialize(mask=True)


TEXT, BINARY, CONT, CLOSE, PING = (
    Opcode.TEXT,
    Opcode.BINARY,
    Opcode.CONT,
    Opcode.CLOSE,
    Opcode.PING,
)


async def until_closed(ws: ClientConnection) -> AsyncIterator[str | bytes]:
    with contextlib.suppress(ConnectionClosed):
        while True:
            yield await ws.recv()


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up
        await asyncio.sleep(0.005)


# Opening


async def test_the_application_sees_the_request(talks: Talks, port: int) -> None:
    url = f"ws://127.0.0.1:{port}/?v=2&name=%C3%A9"
    async with connect(url, additional_headers={"X-Some": "thing"}):
        upgrade = talks.all[0].upgrade
    assert (upgrade.path, upgrade.query, upgrade.client) == ("/", b"v=2&name=%C3%A9", "127.0.0.1")
    assert (b"x-some", b"thing") in upgrade.headers


async def test_nothing_is_compressed(port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}/", compression="deflate") as ws:
        assert ws.response is not None
        assert "Sec-WebSocket-Extensions" not in ws.response.headers
        assert await ws.recv() == "welcome"


async def test_other_paths_are_refused(talks: Talks, port: int) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://127.0.0.1:{port}/else/w%20here")
    response = refused.value.response
    assert (response.status_code, response.body) == (404, b"Nobody talks here.\n")
    assert not talks.all


async def test_an_application_without_accept_takes_none() -> None:
    async with serving(plain_http) as port:
        assert (await answer(port, HANDSHAKE)).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize("status", [None, 999])
async def test_a_bug_in_accept_is_a_500(
    status: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(upgrade: Upgrade, socket: Socket) -> None:
        raise Refused(status, "by mistake") if status else LookupError("by mistake")

    async with serving(Talks(broken)) as port:
        response = await answer(port, HANDSHAKE)
    assert response.startswith(b"HTTP/1.1 500 ")
    assert b"mistake" not in response
    assert "A WebSocket could not be accepted" in caplog.text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"GET", b"POST"),
        (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""),
        (b"dGhlIHNhbXBsZSBub25jZQ==", b"short"),
        (b"Version: 13", b"Version: 8"),
        (b"Host: ", b"Content-Length: 1\r\nHost: "),
    ],
    ids=["POST", "no key", "short key", "old version", "body"],
)
async def test_a_bad_handshake_is_refused(talks: Talks, port: int, old: bytes, new: bytes) -> None:
    assert (await answer(port, HANDSHAKE.replace(old, new))).startswith(b"HTTP/1.1 400 ")
    assert not talks.all


async def test_another_upgrade_goes_on_as_plain_http(port: int) -> None:
    request = HANDSHAKE.replace(b"websocket", b"h2c")
    got = await answer(
        port, request.replace(b"Host: ", b"Content-Length: 9\r\nHost: ") + b"GET / HTT"
    )
    assert got.startswith(b"HTTP/1.1 200 ")
    assert got.count(b"HTTP/1.1") == 1
    assert b"connection: close" in got
    assert got.endswith(b"plain")


async def test_http_goes_on_beside_it(port: int) -> None:
    async with raw(port):
        got = await answer(port, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert got.endswith(b"plain")


async def test_a_kept_connection_may_become_a_websocket(talks: Talks, port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"plain")
    writer.write(HANDSHAKE)
    await reader.readuntil(b"welcome")
    writer.close()
    await until(lambda: talks.all[0].ended == 1)


async def test_it_cannot_overtake_a_request_under_way(talks: Talks, port: int) -> None:
    got = await answer(port, b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n" + HANDSHAKE)
    assert got.startswith(b"HTTP/1.1 400 ")
    assert not talks.all


async def test_the_patience_with_requests_is_not_for_websockets(
    monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    monkeypatch.setattr(http, "STALLED", 0.2)
    monkeypatch.setattr(websockets, "STALLED", 0.2)
    async with raw(port) as it:
        await asyncio.sleep(0.4)
        it.send(masked(TEXT, b"still here"))
        assert await it.frame() == (TEXT, b"still here")


# Messages


async def test_messages_come_whole_and_in_order(talks: Talks, port: int) -> None:
    sent = [
        "a",
        b"\x00\xff",
        "",
        b"",
        "é" * 40_000,
        b"x" * 70_000,
        "z" * websockets.MESSAGE_AT_MOST,
    ]
    async with client(port, max_size=None) as ws:
        assert await ws.recv() == "welcome"
        for message in sent:
            await ws.send(message)
        assert [await ws.recv() for _ in sent] == sent
    assert talks.all[0].heard == sent


async def test_fragments_are_put_together_around_pings(talks: Talks, port: int) -> None:
    async with raw(port) as it:
        it.send(masked(TEXT, "é".encode()[:1], fin=False), masked(PING, b"?"))
        assert await it.frame() == (Opcode.PONG, b"?")
        it.send(masked(CONT, fin=False), masked(CONT, "é".encode()[1:]), masked(BINARY, b"2"))
        assert await it.frame() == (TEXT, "é".encode())
        assert await it.frame() == (BINARY, b"2")
    assert talks.all[0].heard == ["é", b"2"]


async def test_byte_by_byte(port: int) -> None:
    async with raw(port) as it:
        for byte in masked(TEXT, b"slowly") + masked(PING):
            it.send(bytes([byte]))
            await asyncio.sleep(0.001)
        assert await it.frame() == (TEXT, b"slowly")
        assert await it.frame() == (Opcode.PONG, b"")


async def test_one_frame_goes_to_many(talks: Talks, port: int) -> None:
    clients = [await client(port) for _ in range(20)]
    news = frame("n" * 70_000)
    for talk in talks.all:
        talk.socket.send(news)
    for ws in clients:
        assert await ws.recv() == "welcome"
        assert await ws.recv() == "n" * 70_000
        await ws.close()


# Closing


async def test_the_session_closes(talks: Talks, port: int) -> None:
    async with raw(port) as it:
        talks.all[0].socket.close(4001, "é" * 100)
        talks.all[0].socket.send(frame("too late"))
        opcode, payload = await it.frame()
        assert (opcode, payload) == (CLOSE, struct.pack("!H", 4001) + "é".encode() * 61)
        it.send(masked(TEXT, b"crossing"), masked(CLOSE, payload))
        assert await it.is_cut()
    await until(lambda: talks.all[0].ended == 1)
    assert talks.all[0].heard == []
    talks.all[0].socket.close()
    talks.all[0].socket.send(frame("much too late"))
    talks.all[0].socket.abort()
    assert talks.all[0].socket.unsent == 0


async def test_who_does_not_answer_a_close_is_cut(
    monkeypatch: pytest.MonkeyPatch, talks: Talks, port: int
) -> None:
    monkeypatch.setattr(websockets, "UNANSWERED", 0.2)
    async with raw(port) as it:
        talks.all[0].socket.close()
        assert await it.frame() == (CLOSE, struct.pack("!H", 1000))
        it.send(masked(PING))
        assert talks.all[0].ended == 0
        await until(lambda: talks.all[0].ended == 1)


async def test_a_close_does_not_wait_for_who_never_reads(
    monkeypatch: pytest.MonkeyPatch, talks: Talks, port: int
) -> None:
    monkeypatch.setattr(websockets, "UNANSWERED", 0.2)
    monkeypatch.setattr(websockets, "UNSENT_AT_MOST", 1 << 26)
    async with raw(port) as it:
        it.writer.transport.pause_reading()
        talks.all[0].socket.send(frame(b"x" * (1 << 25)))
        talks.all[0].socket.close()
        it.send(masked(CLOSE))
        await until(lambda: talks.all[0].ended == 1)


async def test_nor_does_an_end_without_a_close(
    monkeypatch: pytest.MonkeyPatch, talks: Talks, port: int
) -> None:
    monkeypatch.setattr(websockets, "UNANSWERED", 0.2)
    monkeypatch.setattr(websockets, "UNSENT_AT_MOST", 1 << 26)
    async with raw(port) as it:
        it.writer.transport.pause_reading()
        talks.all[0].socket.send(frame(b"x" * (1 << 25)))
        it.writer.write_eof()
        await until(lambda: talks.all[0].ended == 1)


async def test_both_close(caplog: pytest.LogCaptureFixture) -> None:
    class Short(Talk):
        def received(self, data: str | bytes) -> None:
            self.socket.close(4000)

    talks = Talks(Short)
    async with serving(talks) as port, raw(port) as it:
        it.send(masked(TEXT, b"bye"), masked(PING), masked(CLOSE, struct.pack("!H", 1001)))
        assert await it.frame() == (Opcode.PONG, b"")
        assert await it.close_code() == 1001
        await until(lambda: talks.all[0].ended == 1, websockets.UNANSWERED / 2)
    assert not caplog.records


@pytest.mark.parametrize("close", [b"", b"\x03\xe8", b"\x0f\xa1bye"])
async def test_the_clients_close_is_answered(talks: Talks, port: int, close: bytes) -> None:
    async with raw(port) as it:
        it.send(masked(TEXT, b"last"), masked(CLOSE, close), masked(TEXT, b"after"))
        assert await it.frame() == (TEXT, b"last")
        assert await it.frame() == (CLOSE, close)
        assert await it.reader.read() == b""
        await until(lambda: talks.all[0].ended == 1, websockets.UNANSWERED / 2)
    assert talks.all[0].heard == ["last"]


async def test_a_connection_that_just_ends(talks: Talks, port: int) -> None:
    async with raw(port) as it:
        it.writer.write_eof()
        assert await it.is_cut()
    async with raw(port) as it:
        it.writer.transport.abort()
    async with raw(port) as it:
        linger = struct.pack("ii", 1, 0)  # by a reset
        it.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    await until(lambda: [talk.ended for talk in talks.all] == [1, 1, 1])


async def test_abort_cuts_at_once(talks: Talks, port: int) -> None:
    async with raw(port) as it:
        talks.all[0].socket.abort()
        talks.all[0].socket.send(frame("too late"))
        assert await it.is_cut()
    await until(lambda: talks.all[0].ended == 1)


# Input that breaks the rules


@pytest.mark.parametrize(
    ("code", "sent"),
    [
        (1007, masked(TEXT, b"\xff")),
        (1007, masked(TEXT, "é".encode()[:1], fin=False) + masked(CONT, b"!")),
        (1002, Frame(TEXT, b"plain").serialize(mask=False)),
        (1002, b"\x83\x80\x00\x00\x00\x00"),
        (1002, b"\xc1\x80\x00\x00\x00\x00"),
        (1002, masked(CONT, b"of nothing")),
        (1002, masked(TEXT, fin=False) + masked(TEXT)),
        (1002, b"\x09\x80\x00\x00\x00\x00"),
        (1002, b"\x89\xfe\x00\x7e\x00\x00\x00\x00" + b"x" * 126),
        (1002, masked(CLOSE, b"\x00\x01")),
        (1007, masked(CLOSE, b"\x03\xe8\xff")),
        (1009, b"\x82\xff" + (1 << 63).to_bytes(8, "big") + b"\x00" * 4),
        (1009, masked(BINARY, b"x" * 9, fin=False) + masked(CONT, b"x" * (1 << 20))),
        (1009, masked(BINARY, b"x" * (1 << 20) * 3)),
    ],
    ids=[
        "no UTF-8",
        "no UTF-8 in fragments",
        "unmasked",
        "reserved opcode",
        "reserved bit",
        "fragment of nothing",
        "message in a message",
        "fragment of a ping",
        "long ping",
        "reserved close code",
        "close without UTF-8",
        "endless",
        "endless in fragments",
        "long, sent to its end",
    ],
)
async def test_the_rules_of_the_protocol(talks: Talks, port: int, code: int, sent: bytes) -> None:
    async with raw(port) as it:
        it.send(masked(TEXT, b"good"), sent, masked(TEXT, b"after"))
        assert await it.frame() == (TEXT, b"good")
        assert await it.close_code() == code
    await until(lambda: talks.all[0].ended == 1)
    assert talks.all[0].heard == ["good"]


WIRE = st.builds(
    lambda first, is_masked, payload: (
        bytes([first, (0x80 if is_masked else 0) | len(payload)])
        + (bytes(4) if is_masked else b"")
        + payload
    ),
    st.sampled_from([0x01, 0x02, 0x00, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8A, 0xC1, 0x8F]),
    st.sampled_from([True, True, True, False]),
    st.binary(max_size=125) | st.just(b"\x03\xe8"),
)


@given(
    chunks=st.lists(st.lists(WIRE | st.binary(max_size=20), max_size=8).map(b"".join), max_size=4),
    cut=st.integers(0, 3),
    ends_by=st.sampled_from(["eof", "abort", "close"]),
)
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_whatever_comes_the_session_is_closed_once(
    talks: Talks, port: int, chunks: list[bytes], cut: int, ends_by: str
) -> None:
    async with raw(port) as it:
        talk = talks.all[-1]
        for chunk in chunks:
            it.send(chunk[: len(chunk) - cut])
            await asyncio.sleep(0.001)
        if ends_by == "close":
            it.send(masked(CLOSE))
        if ends_by != "abort" and not it.writer.is_closing():
            it.writer.write_eof()
    await until(lambda: talk.ended == 1)
    heard = len(talk.heard)
    await asyncio.sleep(0.001)
    assert (talk.ended, len(talk.heard)) == (1, heard)


# Limits in bytes


class Silent(Talk):
    """Says nothing by itself but the welcome."""

    def received(self, data: str | bytes) -> None:
        self.heard.append(data)


@pytest.fixture
def traced() -> Any:
    tracemalloc.start()
    yield
    tracemalloc.stop()


async def deaf(port: int) -> tuple[asyncio.Transport, int]:
    """A client that has said hello and will never read again; its buffers are small."""
    loop = asyncio.get_running_loop()
    own = socket.socket()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    own.setblocking(False)
    await loop.sock_connect(own, ("127.0.0.1", port))
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=own)
    transport.pause_reading()
    transport.write(HANDSHAKE)
    return transport, tracemalloc.get_traced_memory()[0]


async def test_who_never_reads_is_cut_and_memory_does_not_grow(
    traced: None, talks: Talks, port: int
) -> None:
    transport, before = await deaf(port)
    await until(lambda: len(talks.all) == 1)
    talk, most = talks.all[0], 0
    for number in range(2000):
        talk.socket.send(frame(str(number % 10) * 20_000))
        most = max(most, talk.socket.unsent)
        if talk.ended:
            break
        await asyncio.sleep(0)
    assert talk.ended == 1
    assert 0 < most <= websockets.UNSENT_AT_MOST
    assert tracemalloc.get_traced_memory()[1] - before < 4 * websockets.UNSENT_AT_MOST
    transport.abort()


async def test_a_flood_of_pings_is_no_way_around_it(traced: None, talks: Talks, port: int) -> None:
    transport, before = await deaf(port)
    await until(lambda: len(talks.all) == 1)
    pings = masked(PING, b"x" * 125) * 1000
    for _ in range(1000):
        if talks.all[0].ended:
            break
        if transport.get_write_buffer_size() < 1 << 20:
            transport.write(pings)
        await asyncio.sleep(0.005)
    assert talks.all[0].ended == 1
    assert tracemalloc.get_traced_memory()[1] - before < 12 << 20
    transport.abort()


async def test_a_flood_of_fragments_costs_only_their_bytes(traced: None, port: int) -> None:
    async with raw(port) as it:
        before = tracemalloc.get_traced_memory()[0]
        it.send(masked(TEXT, fin=False))
        for _ in range(30):
            it.send(masked(CONT, fin=False) * 1000, masked(CONT, b"x", fin=False))
            await it.writer.drain()
            it.send(masked(PING))
            assert await it.frame() == (Opcode.PONG, b"")
        assert tracemalloc.get_traced_memory()[0] - before < 200_000
        it.send(masked(CONT))
        assert await it.frame() == (TEXT, b"x" * 30)


async def test_the_session_hears_that_the_client_has_caught_up() -> None:
    class Hasty(Silent):
        drains = 0

        def drained(self) -> None:
            self.drains += 1

    talks = Talks(Hasty)
    async with serving(talks) as port, raw(port) as it:
        it.writer.transport.pause_reading()
        talk = talks.all[0]
        while talk.socket.unsent < 500_000:
            talk.socket.send(frame("x" * 50_000))
            await asyncio.sleep(0)
        assert talk.drains == 0
        it.writer.transport.resume_reading()
        reading = asyncio.create_task(it.reader.read(1 << 30))
        await until(lambda: talk.drains == 1)
        assert talk.socket.unsent < 100_000
        talk.socket.abort()
        await reading


async def test_a_paused_socket_is_not_read() -> None:
    talks = Talks(Silent)
    async with serving(talks) as port, raw(port) as it:
        socket = talks.all[0].socket
        socket.pause()
        socket.pause()
        it.send(masked(TEXT, b"a"), masked(TEXT, b"b"))
        await asyncio.sleep(0.05)
        assert talks.all[0].heard == []
        socket.resume()
        socket.resume()
        await until(lambda: talks.all[0].heard == ["a", "b"])
        socket.pause()
        socket.close()
        it.send(masked(CLOSE))
        await until(lambda: talks.all[0].ended == 1, websockets.UNANSWERED / 2)
        socket.pause()
        socket.resume()


# Limits in seconds


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websockets, "STALLED", 0.3)


LONG = masked(TEXT, b"x" * 1000)


@pytest.mark.parametrize(
    "sent",
    [
        LONG[:1],
        LONG[:2],
        LONG[:8],
        LONG[:-1],
        masked(TEXT, b"good") + LONG[:8],
        masked(TEXT, b"and then", fin=False),
        masked(TEXT, b"and then", fin=False) + masked(PING),
    ],
    ids=["a byte", "no length", "a head", "nearly all", "after a whole", "fragment", "and ping"],
)
async def test_a_message_that_stalls_is_cut(
    impatient: None, talks: Talks, port: int, sent: bytes
) -> None:
    async with raw(port) as it:
        it.send(sent)
        assert await it.is_cut()
    await until(lambda: talks.all[0].ended == 1)


async def test_dripping_does_not_help(impatient: None, talks: Talks, port: int) -> None:
    async with raw(port) as it:
        it.send(masked(TEXT, fin=False))
        for _ in range(100):
            it.send(masked(CONT, b"x", fin=False), masked(PING))
            await asyncio.sleep(0.01)
            if talks.all[0].ended:
                break
    assert talks.all[0].ended == 1


async def test_who_is_always_in_a_message_but_gets_on_is_heard(
    impatient: None, talks: Talks, port: int
) -> None:
    async with raw(port) as it:
        it.send(LONG[:500])
        for _ in range(10):
            await asyncio.sleep(0.05)
            it.send(LONG[500:], LONG[:500])
        await until(lambda: len(talks.all[0].heard) == 10)
        it.send(LONG[500:])
        await asyncio.sleep(0.5)
        assert talks.all[0].ended == 0


async def test_the_time_that_we_do_not_read_does_not_count(
    impatient: None, talks: Talks, port: int
) -> None:
    async with raw(port) as it:
        it.send(LONG[:500])
        await asyncio.sleep(0.05)
        talks.all[0].socket.pause()
        await asyncio.sleep(0.5)
        assert talks.all[0].ended == 0
        talks.all[0].received = lambda data: talks.all[0].socket.pause()
        talks.all[0].socket.resume()
        it.send(LONG[500:], LONG[:500])
        await asyncio.sleep(0.5)
        assert talks.all[0].ended == 0
        talks.all[0].socket.resume()
        await until(lambda: talks.all[0].ended == 1)


# A stop of the server


async def test_a_stop_tells_the_session_and_then_the_client() -> None:
    class Polite(Talk):
        def closing(self) -> None:
            self.socket.send(frame("goodbye"))

    talks = Talks(Polite)
    async with serving(talks) as port:
        ws = await client(port)
    assert [message async for message in until_closed(ws)] == ["welcome", "goodbye"]
    assert ws.close_code == 1012
    assert talks.all[0].ended == 1


async def test_a_stop_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websockets, "UNANSWERED", 0.3)
    talks = Talks()
    async with serving(talks) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HANDSHAKE)
        await reader.readuntil(b"welcome")
    assert talks.all[0].ended == 1
    writer.transport.abort()


# Sessions that fail


@pytest.mark.parametrize("hook", ["opened", "received", "closing", "drained"])
async def test_a_session_that_fails_ends_its_own_connection_only(
    hook: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websockets, "UNSENT_AT_MOST", 1 << 26)

    def fail(*_: object) -> None:
        raise LookupError("by mistake")

    talks = Talks()
    async with serving(talks) as port, client(port) as other:
        assert await other.recv() == "welcome"
        talks.kind = type("Failing", (Talk,), {hook: fail})
        async with client(port, max_size=None) as ws:
            talk = talks.all[1]
            if hook == "received":
                await ws.send("?")
            elif hook == "closing":
                talk.socket.shutdown()
            elif hook == "drained":
                talk.socket.send(frame(b"x" * (1 << 25)))
            async for _ in until_closed(ws):
                pass
        assert ws.close_code == 1011
        await until(lambda: talk.ended == 1)
        await other.send("still here")
        assert await other.recv() == "still here"
    assert "by mistake" in caplog.text


async def test_a_session_that_fails_at_its_end(
    talks: Talks, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise LookupError("by mistake")

    async with raw(port):
        talks.all.pop().closed = fail
    await until(lambda: "by mistake" in caplog.text)
    assert [record.levelno for record in caplog.records if "session" in record.message] == [
        logging.ERROR
    ]


# Memory


async def test_nothing_is_left_behind(talks: Talks, port: int) -> None:
    """Neither of the HTTP connection after the handshake, nor of the socket after its end."""
    kinds = (http.Protocol, Socket, websockets.Frames)
    gc.collect()
    gc.disable()
    try:
        before = [count(kind) for kind in kinds]
        clients = [raw(port) for _ in range(20)]
        opened = [await it.__aenter__() for it in clients]
        assert [count(kind) for kind in kinds] == [before[0], before[1] + 20, before[2] + 20]
        opened[0].send(masked(CLOSE))
        opened[1].send(b"\xff" * 100)
        opened[2].send(masked(TEXT, b"\xff"))
        opened[3].send(masked(TEXT, b"x", fin=False))
        for it in opened[:3]:
            await it.is_cut()
        for context in clients:
            await context.__aexit__(None, None, None)
        await until(lambda: all(talk.ended for talk in talks.all))
        talks.all.clear()
        await until(lambda: [count(kind) for kind in kinds] == before)
    finally:
        gc.enable()


def count(kind: type) -> int:
    return sum(type(found) is kind for found in gc.get_objects())
