"""Clients that take too much or take nothing: memory, time and the others' share have bounds."""

import asyncio
import contextlib
import gc
import itertools
import json
import socket
import struct
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from pullse.gateway import attachment as attaching
from pullse.gateway import log, presence, reading
from pullse.gateway.connection import CHANNELS_AT_MOST, Connection
from pullse.gateway.hub import FRAMES_AT_MOST, Delivery
from pullse.gateway.log import Draft
from pullse.gateway.presence import Change
from pullse.gateway.sessions import Sessions
from pullse.gateway.wire import Body, Flag
from pullse.kit import http as http_server
from pullse.kit import migrate, postgres, websockets
from pullse.kit.db import Database, open_database
from pullse.kit.events import START, Place
from tests.conftest import command
from tests.gateway.protocol import (
    ACK,
    ATTACH,
    ATTACHED,
    AUTH,
    CLOSE,
    CLOSED,
    CONNECTED,
    DETACH,
    DETACHED,
    DEV_KEY,
    DISCONNECTED,
    ENTER,
    ERROR,
    HEARTBEAT,
    LEAVE,
    MESSAGE,
    NACK,
    PRESENCE,
    RESUMED,
    SYNC,
    Client,
    Gone,
    Refused,
    jwt,
)
from tests.gateway.served import Served

EVER = Place(1 << 62, 0)
OWNER = httpx.BasicAuth(*DEV_KEY.split(":"))
MIB = 1 << 20
PATIENCE = 20.0
AT_ONCE = 2.0
"""Seconds that a well-behaved client waits at most for what it says to come back."""
FREE = {"*": ["*"]}


# -- what is measured --


class Pulse:
    """A client that behaves: it says something and waits to hear it, over and over."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.longest = 0.0
        self.count = 0
        self.is_over = False

    async def beat(self) -> None:
        started = time.monotonic()
        await self.client.start_publish("pulse", str(self.count))
        assert await self.client.data(1, "pulse", patience=PATIENCE) == [str(self.count)]
        await self.client.take(ACK)
        self.longest = max(self.longest, time.monotonic() - started)
        self.count += 1

    async def run(self) -> None:
        while not self.is_over:
            await self.beat()
            await asyncio.sleep(0.02)


@asynccontextmanager
async def undisturbed(served: Served, at_most: float = AT_ONCE) -> AsyncIterator[Pulse]:
    """Whatever happens in the block, somebody else is served as usual."""
    client = await served.connect()
    await client.attach("pulse")
    pulse = Pulse(client)
    await pulse.beat()
    pulse.longest = 0.0
    beating = asyncio.create_task(pulse.run())
    try:
        yield pulse
    finally:
        pulse.is_over = True
        await beating
    assert pulse.count > 1
    assert pulse.longest < at_most, pulse.longest


@contextmanager
def within(bytes_at_most: int) -> Iterator[None]:
    """So much more memory is in use at no moment of the block."""
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < bytes_at_most, f"{(peak - before) / MIB:.1f} MiB"


async def until(condition: Callable[[], bool], patience: float = PATIENCE) -> None:
    async with asyncio.timeout(patience):
        while not condition():
            await asyncio.sleep(0.01)


def sessions_of(served: Served) -> Sessions:
    assert served.realtime.sessions is not None
    return served.realtime.sessions


def at_server(served: Served, client: Client) -> Connection:
    return sessions_of(served).connections[client.id]


async def store(database: Database, channel: str, count: int, size: int) -> None:
    async with database.session() as db:
        for start in range(0, count, 20):
            drafts = [
                Draft(channel, f"~{channel}:{n}", Body(None, f"{n} ".ljust(size, "x")))
                for n in range(start, min(start + 20, count))
            ]
            await log.append(db, drafts)


async def populate(database: Database, channel: str, count: int, size: int) -> None:
    async with database.transaction() as db:
        for n in range(count):
            body = Body(None, "x" * size, None, f"{n:04}", "elsewhere")
            await presence.change(db, Change(channel, 2, f"{n:04}", "elsewhere", f"x:{n}:0", body))


# -- who never reads --


async def test_who_never_reads_is_cut_and_nothing_is_lost(served: Served) -> None:
    client, other = await served.connect(), await served.connect()
    serial = (await client.attach("busy"))["channelSerial"]
    client.stop_reading()
    connection = at_server(served, client)
    most, said = 0, []
    async with undisturbed(served):
        while client.id in sessions_of(served).connections:
            said.append(f"{len(said)} ".ljust(60_000, "x"))
            assert len(said) < 600
            await other.publish("busy", said[-1])
            most = max(most, connection.socket.unsent)
    assert websockets.UNSENT_AT_MOST / 2 < most < websockets.UNSENT_AT_MOST + 100_000
    again = await served.resume(client)
    assert again.id == client.id
    assert (await again.attach("busy", channelSerial=serial))["flags"] & RESUMED
    assert await again.data(len(said), "busy") == said
    await again.nothing(0.1, MESSAGE)


async def test_the_past_for_those_who_never_read_is_not_in_memory(
    served: Served, database: Database
) -> None:
    """Ten of them rewind 12 channels of 2 MB each, or resume them."""
    channels = [f"room:{n}" for n in range(12)]
    start = (await (await served.connect()).attach("x"))["channelSerial"]
    for each in channels:
        await store(database, each, 50, 40_000)
    clients = [await served.connect() for _ in range(10)]
    with within(48 * MIB):
        async with undisturbed(served):
            for index, client in enumerate(clients):
                client.stop_reading()
                for each in channels:
                    way: Any = {"params": {"rewind": "100"}}
                    if index % 2:
                        way = {"channelSerial": start}
                    await client.send(ATTACH, channel=each, **way)
            await asyncio.sleep(0.7)
    assert sessions_of(served).connections.keys() >= {each.id for each in clients}
    start_of_all = attaching.Start(START, True, None)
    past = await attaching.read_past(served.realtime.gateway, start_of_all, "room:0", EVER)
    assert 0 < sum(len(each.body) for each in past.items) <= attaching.PORTION_BYTES
    clients[0].go_on_reading()
    clients[1].go_on_reading()
    for each in clients[:2]:
        for channel in channels:
            assert len(await each.messages(50, channel)) == 50


async def test_what_waits_for_those_who_never_read_is_not_in_memory(served: Served) -> None:
    """What is said on 20 channels while a client hangs in the past of each of them."""
    channels = [f"room:{n}" for n in range(20)]
    client, other = await served.connect(), await served.connect()
    for each in channels:
        await client.attach(each)
    connection = at_server(served, client)
    for attachment in connection.attachments.values():
        attachment.waiting = []
    for n in range(20):
        for each in channels:
            await other.publish(each, f"{n} ".ljust(40_000, "x"))
    attachments = list(connection.attachments.values())
    waiting = sum(len(each.waiting or ()) for each in attachments)
    assert waiting * 40_000 <= 1_000_000
    assert 0 <= connection.waiting <= 1_000_000
    await client.nothing(0.1)
    for attachment in attachments:
        await attaching.go_live(attachment)
    for each in channels:
        said = await client.data(20, each)
        assert [one.split()[0] for one in said] == [str(n) for n in range(20)]
    assert connection.waiting == 0


async def test_members_for_those_who_never_read_are_not_in_memory(
    served: Served, database: Database
) -> None:
    """Of 300 members with 30 kB each, asked for again and again by 20 clients."""
    await populate(database, "room", 300, 30_000)
    clients = [await served.connect() for _ in range(20)]
    with within(64 * MIB):
        async with undisturbed(served):
            for client in clients:
                client.stop_reading()
                await client.send(ATTACH, channel="room")
                for _ in range(20):
                    await client.send(SYNC, channel="room")
            await asyncio.sleep(1)
    clients[0].go_on_reading()
    members = await clients[0].members("room")
    assert [each["clientId"] for each in members] == [f"{n:04}" for n in range(300)]
    assert len(await clients[0].members("room")) == 300


async def test_streams_that_nobody_reads_do_not_fill_the_memory(
    served: Served, database: Database
) -> None:
    channels = [f"room:{n}" for n in range(10)]
    for each in channels:
        await store(database, each, 40, 40_000)
    query = f"v=1.2&key={DEV_KEY}&rewind=100&channels={','.join(channels)}"
    request = f"GET /sse?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    with within(40 * MIB):
        async with undisturbed(served):
            writers = [await connection_that_hangs(served, request) for _ in range(10)]
            await asyncio.sleep(0.8)
    for each in writers:
        each.close()
    async with served.http.stream("GET", f"/sse?{query}") as stream:
        found = []
        async for line in stream.aiter_lines():
            if line.startswith("data: "):
                found.append(json.loads(line.removeprefix("data: ")))
            if len(found) == 40 * len(channels):
                break
    by_channel = itertools.groupby(
        sorted(found, key=lambda each: each["channel"]), key=lambda each: each["channel"]
    )
    for _, group in by_channel:
        assert [each["data"].split()[0] for each in group] == [str(n) for n in range(40)]


async def connection_that_hangs(served: Served, request: bytes) -> asyncio.WriteTransport:
    its = socket.socket()
    its.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    its.setblocking(False)
    host, port = served.url.removeprefix("http://").split(":")
    loop = asyncio.get_running_loop()
    await loop.sock_connect(its, (host, int(port)))
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=its)
    transport.pause_reading()
    transport.write(request)
    return transport


async def test_pages_have_a_size(served: Served, database: Database) -> None:
    """Of history and of members; links lead to all the rest."""
    await store(database, "room", 60, 60_000)
    await populate(database, "room", 60, 60_000)
    for path, field in (("messages", "id"), ("presence", "clientId")):
        address, seen = f"./{path}?limit=1000", []
        while address:
            answer = await served.http.get(
                f"/channels/room/{address.removeprefix('./')}", auth=OWNER
            )
            assert len(answer.content) < reading.PAGE_BYTES + 100_000
            seen += [each[field] for each in answer.json()]
            following = [each for each in answer.headers["link"].split(",") if 'rel="next"' in each]
            address = following[0].strip()[1:].partition(">")[0] if following else ""
        assert len(set(seen)) == len(seen) == 60
    await populate(database, "small", 1, 10)
    answer = await served.http.get("/presence", params={"channels": "room,small"}, auth=OWNER)
    large, small = answer.json()["results"]
    assert large["error"]["code"] == 40009
    assert len(small["presence"]) == 1


# -- who sends too much --


async def test_10_000_publishes_whose_acks_nobody_reads(served: Served) -> None:
    client = await served.connect()
    client.stop_reading()
    connection = at_server(served, client)
    most = 0
    async with undisturbed(served):
        for n in range(10_000):
            sending = asyncio.create_task(client.start_publish("room", n % 10 * "x"))
            await asyncio.wait([sending], timeout=0.2)
            most = max(most, connection.socket.unsent)
            if not sending.done():  # it is read more slowly than it sends
                break
    assert most < websockets.UNSENT_AT_MOST + 100_000
    client.go_on_reading()
    for serial in range(n):
        assert (await client.take(ACK, NACK, patience=PATIENCE))["msgSerial"] == serial
        if serial == 1000:
            break
    sending.cancel()


async def test_10_000_channels_on_one_connection(served: Served) -> None:
    client = await served.connect()
    async with undisturbed(served):
        for n in range(10_000):
            await client.send(ATTACH, channel=f"room:{n}")
            if n % 500 == 0:
                await client.pinged()
        frames = [await client.take(ATTACHED, ERROR, patience=PATIENCE) for _ in range(10_000)]
    attached = [each["channel"] for each in frames if each["action"] == ATTACHED]
    assert len(attached) == CHANNELS_AT_MOST
    assert {each["error"]["code"] for each in frames if each["action"] == ERROR} == {90010}
    topics = served.realtime.gateway.hub.topics
    assert len([each for each in topics if each.startswith("room")]) == CHANNELS_AT_MOST
    assert (await client.detach(attached[0]))["action"] == DETACHED
    assert (await client.attach("one more"))["action"] == ATTACHED
    await client.cut()
    await until(lambda: not [each for each in topics if each.startswith("room")])


FLOODS: dict[str, Callable[[Client, int], Awaitable[None]]] = {
    "heartbeats": lambda client, n: client.send(HEARTBEAT, id=str(n)),
    "attach and detach": lambda client, n: client.send((ATTACH, DETACH)[n % 2], channel="room"),
    "attach again": lambda client, n: client.send(ATTACH, channel="room", flags=1 << 16 + n % 4),
    "enter and leave": lambda client, n: client.send(
        PRESENCE,
        channel="room",
        msgSerial=n,
        presence=[{"action": (ENTER, LEAVE)[n % 2], "clientId": "ann"}],
    ),
    "tokens": lambda client, n: client.send(AUTH, auth={"accessToken": TOKEN}),
    "syncs": lambda client, n: client.send(SYNC, channel="room"),
    "many messages": lambda client, n: client.send(
        MESSAGE, channel="room", msgSerial=n, messages=[{}] * 100
    ),
    "other names": lambda client, n: client.send(ATTACH, channel=f"[?x={n}]room"),
}
TOKEN = jwt(FREE)


@pytest.mark.parametrize("kind", FLOODS)
async def test_a_flood_is_not_the_others_business(served: Served, kind: str) -> None:
    client = await served.connect(token=TOKEN if kind == "tokens" else None, echo="false")
    await client.attach("room")
    hub = served.realtime.gateway.hub

    async def flood() -> None:
        for n in itertools.count():
            await FLOODS[kind](client, n)
            await asyncio.sleep(0)  # it shares a loop with the server

    async with undisturbed(served) as pulse:
        started = pulse.count
        flooding = asyncio.create_task(flood())
        await asyncio.sleep(0.6)
        assert pulse.count > started
        assert not flooding.done()
        flooding.cancel()
        await asyncio.sleep(0.2)
    await client.cut()
    await until(lambda: "room" not in hub.topics)
    await until(lambda: list(sessions_of(served).connections) == [pulse.client.id])


async def test_many_members_in_one_frame_hold_nobody_up(served: Served) -> None:
    """They are not one transaction, before whose end nothing else is shown."""
    client = await served.connect()
    await client.attach("room", flags=1 << 16)
    members = [{"action": (2, 3)[n % 2], "clientId": f"{n // 2}"} for n in range(1000)]
    async with undisturbed(served, at_most=1.0):
        for serial in range(2):
            await client.send(PRESENCE, channel="room", msgSerial=serial, presence=members)
            await client.take(ACK, msgSerial=serial, patience=PATIENCE)
    async with served.database.session() as db:
        counts = await db.rows(
            "SELECT count(*) FROM channel_messages WHERE channel = 'room' GROUP BY tx"
        )
    assert max(count for (count,) in counts) <= 50


async def test_a_connection_has_its_share_of_the_log(served: Served) -> None:
    """Some at once, then so many a second; who sends more is read more slowly."""
    client = await served.connect(echo="false")
    started = time.monotonic()
    for _ in range(34):
        await client.start_publish("room", *[{}] * 100)
    for serial in range(34):
        await client.take(ACK, msgSerial=serial, patience=PATIENCE)
    assert 0.7 < time.monotonic() - started < 5
    again = time.monotonic()
    await (await served.connect()).publish("room", "another")
    assert time.monotonic() - again < 0.3


@pytest.mark.parametrize("format_", ["json", "msgpack"])
async def test_many_large_members_at_once_are_in_several_frames(
    served: Served, format_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they enter together, and as they leave together."""
    watching = await served.connect(format=format_)
    await watching.attach("room")
    client = await served.connect(format="msgpack")
    await client.attach("room", flags=1 << 16)
    frames: list[int] = []
    connection = at_server(served, watching)
    write = Connection.write

    def measured(self: Connection, frame: bytes) -> None:
        if self is connection:
            frames.append(len(frame))
        write(self, frame)

    monkeypatch.setattr(Connection, "write", measured)
    for start in range(0, 60, 15):
        members = [
            {"action": ENTER, "clientId": f"{n:02}", "data": b"x" * 60_000}
            for n in range(start, start + 15)
        ]
        await client.present("room", ENTER, *members)
    await watching.presence(60)
    await client.detach("room")
    await watching.presence(60)
    assert max(frames) < 400_000


async def test_members_of_ended_connections_leave_in_portions(
    quick: None, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "PORTION", 10)
    watching = await served.connect()
    await watching.attach("room")
    names = [f"{n:02}" for n in range(35)]
    clients = [await served.connect(remainPresentFor=200) for _ in range(3)]
    for client in clients:
        await client.attach("room")
        await client.present("room", ENTER, *names)
    await watching.presence(105)
    for client in clients[:2]:
        await client.cut()
    await clients[2].close()
    left = await watching.presence(105)
    assert {each["action"] for each in left} == {LEAVE}
    assert len({(each["clientId"], each["connectionId"]) for each in left}) == 105
    await watching.nothing(0.1)


async def test_ids_in_another_order_make_nobody_wait(database: Database) -> None:
    """Two at the same time; each has one that the other wants next."""

    async def publish(ids: list[str]) -> None:
        async with database.session() as db:
            drafts = [Draft("room", f"={each}", Body(None, "x" * 1000)) for each in ids]
            stored = await log.append(db, drafts)
            assert [each.once for each in stored] == [f"={each}" for each in ids]

    for n in range(30):
        ids = [f"{n}:{index}" for index in range(100)]
        async with asyncio.timeout(1):
            await asyncio.gather(publish(ids), publish(ids[::-1]))


async def test_what_was_published_together_keeps_its_order(database: Database) -> None:
    ids = [f"={n * 7919 % 1000}" for n in range(100)]
    async with database.session() as db:
        stored = await log.append(db, [Draft("room", each, Body(None, None)) for each in ids])
        assert [each.once for each in sorted(stored, key=lambda each: (each.tx, each.id))] == ids


async def test_only_what_has_changed_is_counted(
    quick: None, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = served.realtime.gateway.hub
    client = await served.connect()
    for n in range(50):
        await client.attach(f"room:{n}")
    await until(lambda: not hub.changed)
    counted: list[str] = []
    count = hub.count
    monkeypatch.setattr(hub, "count", lambda topic: (counted.append(topic), count(topic))[1])
    await asyncio.sleep(0.2)
    assert not counted
    await client.detach("room:7")
    await until(lambda: bool(counted))
    await asyncio.sleep(0.2)
    assert counted == ["room:7"]
    async with served.database.session() as db:
        rows = await db.rows("SELECT channel FROM channel_occupancy ORDER BY channel")
    assert len(rows) == 49


async def test_a_delivery_is_not_written_for_each_name_that_it_was_asked_by(
    served: Served,
) -> None:
    client, other = await served.connect(), await served.connect()
    for n in range(50):
        await client.attach(f"[?x={n}]room")
    kept: list[Delivery] = []

    class Keeping:
        modes = Flag(0)

        def deliver(self, delivery: Delivery) -> None:
            kept.append(delivery)

    served.realtime.gateway.hub.join("room", Keeping())
    await other.publish("room", "x")
    assert len(await client.messages(50)) == 50
    assert len(kept[0]._frames) == FRAMES_AT_MOST


# -- who does not even begin --


HALVES = {
    "nothing": b"",
    "half a head": b"GET /?v=6&key=x HTTP/1.1\r\nHost: 127.0.0.1\r\nUpg",
    "half a body": b"POST /channels/a/messages HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Content-Length: 100\r\n\r\n{",
}


@pytest.mark.parametrize("half", HALVES)
async def test_who_stops_in_the_middle_is_cut(
    served: Served, half: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "STALLED", 0.3)
    host, port = served.url.removeprefix("http://").split(":")
    opened = [await asyncio.open_connection(host, int(port)) for _ in range(200)]
    async with undisturbed(served):
        for _, writer in opened:
            writer.write(HALVES[half])
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(reader.read() for reader, _ in opened))
    for _, writer in opened:
        writer.close()


HANDSHAKE = (
    "GET /?v=6{} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@pytest.mark.parametrize(
    "half",
    [
        b"\x81",
        b"\x81\xfe\xff\xff",
        b"\x81\xff" + struct.pack(">Q", 1000) + b"abcd{",
        b"\x01\x82abcd{}",
        b"\x01\x82abcd{}" + b"\x00\x80abcd" * 5,
    ],
)
async def test_who_stops_in_the_middle_of_a_frame_is_cut(
    served: Served, half: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websockets, "STALLED", 0.3)
    host, port = served.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(HANDSHAKE.format(f"&key={DEV_KEY}").encode())
    await reader.readuntil(b"connectionKey")
    writer.write(half)
    async with asyncio.timeout(PATIENCE):
        with contextlib.suppress(ConnectionError):
            await reader.read()
    await until(lambda: not sessions_of(served).connections)
    writer.close()


async def test_500_sockets_without_credentials(served: Served) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    async with undisturbed(served):

        async def come() -> bytes:
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(HANDSHAKE.format("").encode())
            found = await reader.readuntil(b"}}")
            writer.write(b"\x88\x80abcd")
            await reader.read()
            writer.close()
            return found

        async with asyncio.timeout(PATIENCE):
            answers = await asyncio.gather(*(come() for _ in range(500)))
    assert all(b'"code":40101' in each for each in answers)
    assert len(sessions_of(served).connections) == 1


async def test_what_is_sent_before_somebody_is_known_has_bounds(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the database does not answer: no more is read than would be from a client."""
    keyring, go_on = served.realtime.gateway.keyring, asyncio.Event()
    identify = keyring.identify

    async def identify_slowly(credentials: Any) -> Any:
        await go_on.wait()
        return await identify(credentials)

    monkeypatch.setattr(keyring, "identify", identify_slowly)
    host, port = served.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(HANDSHAKE.format(f"&key={DEV_KEY}").encode())
    text = b'{"action":15,"channel":"room","msgSerial":0,"messages":[{"data":"%s"}]}' % (
        b"x" * 9000
    )
    frame = b"\x81\xfe" + struct.pack(">H", len(text)) + bytes(4) + text
    with within(12 * MIB):
        for _ in range(3000):
            writer.write(frame)
            if writer.transport.get_write_buffer_size() > 4 * MIB:
                break
            await asyncio.sleep(0)
    assert writer.transport.get_write_buffer_size() > 4 * MIB
    go_on.set()
    writer.transport.abort()
    await until(lambda: not sessions_of(served).connections)


# -- a database that is away --


class Away:
    """Stands between the application and its pool, and can take the database away."""

    def __init__(self, database: Database, url: str) -> None:
        self._pool = database.pool
        self._url = url
        self.is_away = False
        database.pool = self

    def acquire(self, *args: Any, **more: Any) -> Any:
        if self.is_away:
            raise OSError("The test has taken the database away.")
        return self._pool.acquire(*args, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    async def begin(self) -> None:
        """Also for what is under way."""
        self.is_away = True
        await command(
            self._url,
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()
            """,
        )

    def end(self) -> None:
        self.is_away = False


@pytest.fixture
def away(database: Database, database_url: str) -> Away:
    return Away(database, database_url)


LONGER = 2_300
"""Messages that a connection may not publish all at once (saying.BURST)."""


def numbered(name: str) -> list[str]:
    return [f"{name} {n}" for n in range(LONGER)]


class Persistent:
    """Says all that it has to say, and comes back each time that it is sent away."""

    def __init__(self, served: Served, name: str) -> None:
        self.served = served
        self.unsaid = dict(enumerate(numbered(name)))
        self.sent_away: list[int] = []

    async def run(self) -> None:
        client = await self.served.connect()
        while self.unsaid:
            try:
                for serial, data in list(self.unsaid.items()):
                    await client.start_publish("room", data, serial=serial)
                for serial in list(self.unsaid):
                    await self.acked(client, serial)
                    del self.unsaid[serial]
            except (Gone, ConnectionClosed):
                client = await self.back(client)

    async def acked(self, client: Client, serial: int) -> None:
        frame = await client.take(ACK, NACK, DISCONNECTED, ERROR)
        if frame["action"] == DISCONNECTED:
            self.sent_away.append(frame["error"]["code"])
            await client.ended()
            raise Gone
        assert (frame["action"], frame["msgSerial"]) == (ACK, serial)

    async def back(self, client: Client) -> Client:
        while True:
            try:
                again = await self.served.resume(client)
            except Refused as refused:
                self.sent_away.append(refused.error["code"])
                await asyncio.sleep(0.05)
            else:
                assert again.id == client.id
                return again


async def test_while_the_database_is_away_nothing_is_lost_and_nothing_said_twice(
    served: Served, away: Away
) -> None:
    reader = await served.connect()
    serial = (await reader.attach("room"))["channelSerial"]
    talkers = [Persistent(served, name) for name in "ab"]
    talking = asyncio.gather(*(each.run() for each in talkers))
    for _ in range(4):
        await asyncio.sleep(0.05)
        await away.begin()
        await asyncio.sleep(0.15)
        away.end()
    await talking
    codes = {code for each in talkers for code in each.sent_away}
    assert codes == {50003}
    witness = await served.connect()
    await witness.attach("room", channelSerial=serial)
    for client in (reader, witness):  # the reader was never cut: it needed nothing
        said = await client.data(2 * LONGER, "room")
        for name in "ab":
            assert [each for each in said if each[0] == name] == numbered(name)
        await client.nothing(0.1, MESSAGE)


async def test_who_goes_while_the_database_is_away_leaves_too(
    quick: None, served: Served, away: Away
) -> None:
    watching = await served.connect()
    await watching.attach("room")
    cut, closing = [await served.connect(remainPresentFor=300) for _ in range(2)]
    for name, client in (("cut", cut), ("closing", closing)):
        await client.attach("room")
        await client.present("room", ENTER, name)
    await watching.presence(2)
    await away.begin()
    await cut.cut()
    await closing.send(CLOSE)
    frame = await closing.take(DISCONNECTED, CLOSED)
    assert (frame["action"], frame["error"]["code"]) == (DISCONNECTED, 50003)
    await asyncio.sleep(0.1)
    away.end()
    left = await watching.presence(2)
    assert {(each["action"], each["clientId"]) for each in left} == {
        (LEAVE, "cut"),
        (LEAVE, "closing"),
    }


async def test_who_asks_while_the_database_is_away_is_sent_away_and_may_come_back(
    served: Served, away: Away
) -> None:
    clients = {
        kind: await served.connect(format="msgpack") for kind in ("attach", "detach", "enter")
    }
    for client in clients.values():
        await client.attach("room")
    await away.begin()
    await clients["attach"].send(ATTACH, channel="other")
    await clients["detach"].send(DETACH, channel="room")
    enter = [{"action": ENTER, "clientId": "ann"}]
    await clients["enter"].send(PRESENCE, channel="room", msgSerial=0, presence=enter)
    for client in clients.values():
        frame = await client.take(DISCONNECTED)
        assert (frame["error"]["code"], frame["error"]["statusCode"]) == (50003, 503)
        await client.ended()
    assert (await served.refusal()).error["code"] == 50003
    away.end()
    for client in clients.values():
        again = await served.resume(client)
        assert (again.id, again.connected["action"]) == (client.id, CONNECTED)


class Server:
    """A PostgreSQL of its own, which can be stopped."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running = contextlib.ExitStack()

    async def start(self) -> str:
        context = postgres.start(self._folder, options={"fsync": "off"})
        return (await asyncio.to_thread(self._running.enter_context, context)).url

    async def stop(self) -> None:
        await asyncio.to_thread(self._running.close)


class TestStopped:
    @pytest.fixture
    async def server(self, open_folder: Path) -> AsyncIterator[Server]:
        server = Server(open_folder / "home")
        yield server
        await server.stop()

    @pytest.fixture
    async def database_url(self, server: Server) -> str:
        url = await server.start()
        database = await open_database(url, size=2)
        await migrate.migrate(database)
        await database.close()
        return url

    async def test_a_server_that_stops_and_starts_again_loses_nothing(
        self, served: Served, server: Server
    ) -> None:
        reader = await served.connect()
        serial = (await reader.attach("room"))["channelSerial"]
        talkers = [Persistent(served, name) for name in "ab"]
        talking = asyncio.gather(*(each.run() for each in talkers))
        await asyncio.sleep(0.1)
        await server.stop()
        await asyncio.sleep(0.5)
        await server.start()
        await asyncio.wait_for(talking, 60)
        assert {code for each in talkers for code in each.sent_away} == {50003}
        witness = await served.connect()
        await witness.attach("room", channelSerial=serial)
        for client in (reader, witness):
            said = await client.data(2 * LONGER, "room", patience=PATIENCE)
            for name in "ab":
                assert [each for each in said if each[0] == name] == numbered(name)
            await client.nothing(0.1, MESSAGE)
