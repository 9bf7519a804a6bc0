"""
Frames that nobody would send: the gateway says no in Ably's codes, and stays as it was.

FUZZ_CASES=5000 tries so many of each kind, other ones each time.
"""

import asyncio
import contextlib
import json
import logging
import os
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed

from pullse.gateway import connections, errors
from pullse.gateway.channels import APART
from pullse.gateway.connection import BYTES_AT_MOST
from pullse.gateway.errors import Failure
from pullse.gateway.log import Entry
from pullse.gateway.shown import message_of_entry
from pullse.gateway.wire import JSON, MSGPACK, STORED, Published, body_of, check_size
from tests.gateway.protocol import (
    ACK,
    ATTACHED,
    CLOSED,
    CONNECTED,
    DETACHED,
    DEV_KEY,
    DISCONNECTED,
    ERROR,
    HEARTBEAT,
    MESSAGE,
    NACK,
    PRESENCE,
    SYNC,
    Client,
    Frame,
    jwt,
)
from tests.gateway.served import Served

LONG = int(os.environ.get("FUZZ_CASES", "0"))
CODES = {value for value in vars(errors).values() if isinstance(value, int)} - {errors.INTERNAL}
PATIENCE = 10.0


def trying(cases: int) -> Callable[[Any], Any]:
    return settings(
        max_examples=LONG or cases,
        derandomize=not LONG,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


# -- what is sent --

TICKET = "ticket:0b9ee8a6-3f3b-4f6e-9d0a-3f4b1d1c9c11"
NASTY = [
    "",
    "\0",
    "a\0b",
    "\ud800",
    "\udfff\ud800",
    "room\x1f",
    f"{APART}process:x",
    "\x7f",
    "\u2028",
    "😀",
    "*",
    "[*]*",
    ":",
    "[",
    "[?",
    "[?rewind=1",
    "[?rewind=1]",
    "[meta]channel.lifecycle",
    "tickets-updates",
    TICKET,
    TICKET.upper(),
    "x" * 1025,
    "é" * 600,
    "%00",
    "../..",
    "'; DROP TABLE channel_messages; --",
]
INTEGERS = [
    *(0, 1, 2, -1, 17, 255, 1 << 16, 1 << 18, (1 << 31) - 1, 1 << 53, (1 << 63) - 1, 1 << 63),
    *((1 << 64) - 1, 1 << 64, -(1 << 63), -(1 << 64), 10**30, -(10**40), 10**400),
]
texts = st.sampled_from(NASTY) | st.text(st.characters(exclude_categories=()), max_size=12)
integers = st.sampled_from(INTEGERS) | st.integers(-(1 << 70), 1 << 70)
scalars = st.one_of(st.none(), st.booleans(), integers, st.floats(), texts, st.binary(max_size=20))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def deep(depth: int) -> str:
    """In its place come so many objects within each other."""
    return f"nested {depth} deep"


DEPTHS = [31, 32, 33, 100, 400, 940]
channels = st.sampled_from(["room", "other", "[?rewind=2]room", TICKET]) | texts
ENCODINGS = ["json", "base64", "base64/base64", "utf-8/base64", "json/utf-8/cipher+aes/base64"]
ENCODINGS += ["/", "/base64", "base64/", "cipher+", "vcdiff/base64", "BASE64", "e" * 10_000]
encodings = st.sampled_from(ENCODINGS)


def mostly(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(usual, usual, usual, values)


messages = st.fixed_dictionaries(
    {},
    optional={
        "id": mostly(texts | st.sampled_from(["a:0", "a:1", "b"])),
        "name": mostly(texts),
        "data": mostly(st.sampled_from(["x", "aGk=", {"a": 1}, [1], b"\xff"])),
        "encoding": mostly(encodings),
        "clientId": mostly(st.sampled_from(["ann", "bob"]) | texts),
        "connectionKey": texts,
        "connectionId": texts,
        "timestamp": mostly(integers),
        "extras": st.one_of(
            values, st.sampled_from(DEPTHS).map(deep), st.just({"headers": {"a": "b"}})
        ),
        "action": mostly(st.integers(0, 5)),
    },
)
SERIALS = ["1.0.0", "1.1.1", "0.0.0", "2.1.1", "-1.0.0", "1.-1.0", "1.9223372036854775807.0"]
SERIALS += ["1.9223372036854775808.1", "1.99999999999999999999.1", "1.1", "1.1.1.1", "¹.1.1"]
serials = st.sampled_from(SERIALS)
frames = st.fixed_dictionaries(
    {"action": mostly(st.sampled_from([10, 12, 14, 14, 15, 15, 16, 17, 0, 5, 7, 3, 21]))},
    optional={
        "id": mostly(texts),
        "channel": mostly(channels),
        "channelSerial": mostly(serials),
        "msgSerial": mostly(st.integers(0, 3) | integers),
        "flags": mostly(integers),
        "params": mostly(
            st.dictionaries(
                st.sampled_from(["rewind", "modes", "delta", "x"]),
                st.sampled_from(["1", "2m", "999999h", "-1", "publish", "subscribe,fly"]) | values,
            )
        ),
        "messages": mostly(st.lists(messages, max_size=4)),
        "presence": mostly(st.lists(messages, max_size=4)),
        "auth": mostly(
            st.fixed_dictionaries(
                {"accessToken": st.sampled_from([jwt({"room": ["*"]}), "a.b.c", ""]) | values}
            )
        ),
        "error": values,
        "count": integers,
        "connectionDetails": values,
        "x": values,
    },
)


def to_json(value: Any) -> str:
    text = json.dumps(value, default=lambda data: data.hex())
    for depth in DEPTHS:
        text = text.replace(f'"{deep(depth)}"', '{"a":' * depth + "1" + "}" * depth)
    return text


def to_msgpack(value: Any) -> bytes:
    """Also what no encoder would write: text that is not UTF-8, numbers that don't fit."""
    match value:
        case None:
            return b"\xc0"
        case bool():
            return b"\xc3" if value else b"\xc2"
        case int() if 0 <= value < 1 << 64:
            return b"\xcf" + struct.pack(">Q", value)
        case int() if -(1 << 63) <= value < 0:
            return b"\xd3" + struct.pack(">q", value)
        case int():
            return b"\xd6\xff" + struct.pack(">i", value % 1000)  # a timestamp in its place
        case float():
            return b"\xcb" + struct.pack(">d", value)
        case str() if value.startswith("nested "):
            return b"\x81\xa1a" * int(value.split()[1]) + b"\xc0"
        case str():
            text = value.encode("utf-8", "surrogatepass")
            return b"\xdb" + struct.pack(">I", len(text)) + text
        case bytes() if len(value) % 5 == 3:
            return b"\xc7" + bytes([len(value), 7]) + value  # an extension of no meaning
        case bytes():
            return b"\xc6" + struct.pack(">I", len(value)) + value
        case list():
            return b"\xdd" + struct.pack(">I", len(value)) + b"".join(map(to_msgpack, value))
    pairs = b"".join(to_msgpack(name) + to_msgpack(each) for name, each in value.items())
    return b"\xdf" + struct.pack(">I", len(value)) + pairs


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A frame that was whole once, with a hole, other bytes, or an end too early."""
    data = bytearray(to_msgpack(draw(frames)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data) - 1))
        data[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data) or b"\xc1"


sendings = st.one_of(
    st.tuples(st.just("json"), st.lists(frames.map(to_json), min_size=1, max_size=6)),
    st.tuples(st.just("msgpack"), st.lists(frames.map(to_msgpack), min_size=1, max_size=6)),
    st.tuples(st.just("msgpack"), st.lists(broken(), min_size=1, max_size=3)),
    st.tuples(st.just("json"), st.lists(st.text() | st.binary(), min_size=1, max_size=2)),
    st.tuples(st.just("msgpack"), st.lists(st.text() | st.binary(), min_size=1, max_size=2)),
)


# -- what must hold --


class Siege:
    """A gateway with somebody who behaves, while others don't."""

    def __init__(self, served: Served, caplog: pytest.LogCaptureFixture) -> None:
        self.served = served
        self.caplog = caplog
        self.neighbour: Client
        self.said = 0

    async def begin(self) -> None:
        self.neighbour = await self.served.connect()
        await self.neighbour.attach("neighbours")

    async def attack(
        self,
        query: str,
        data: list[str | bytes],
        *,
        is_binary: bool,
        is_first: bool,
        before: Sequence[bytes] = (),
    ) -> list[Frame]:
        """Send it all, wait for what is answered (to each before the rest), and just go."""
        address = self.served.url.replace("http", "ws", 1) + "/?" + query
        answers: list[Frame] = []
        async with (
            asyncio.timeout(PATIENCE),
            open_socket(address, compression=None, max_size=None, proxy=None) as socket,
        ):

            async def read() -> Frame:
                raw = await socket.recv()
                assert isinstance(raw, bytes) == is_binary
                found = msgspec.msgpack.decode(raw) if is_binary else json.loads(raw)
                answers.append(found)
                return found  # type: ignore[no-any-return]

            with contextlib.suppress(ConnectionClosed):
                if not is_first:
                    await read()
                for each in before:
                    await socket.send(each)
                    await read()
                for each in data:
                    await socket.send(each)
                ping = {"action": HEARTBEAT, "id": "the end of it"}
                await socket.send(to_msgpack(ping) if is_binary else to_json(ping))
                while not answers or answers[-1].get("id") != "the end of it":
                    await read()
                answers.pop()
            socket.transport.abort()
        return answers

    async def holds(self) -> None:
        """The neighbour is served, nothing is left of the others, and nothing went wrong."""
        self.said += 1
        await self.neighbour.publish("neighbours", str(self.said))
        assert await self.neighbour.data(1, "neighbours") == [str(self.said)]
        await self.until(lambda: list(self.sessions.connections) == [self.neighbour.id])
        topics = {"neighbours", connections.told(self.hub.process)}
        await self.until(lambda: self.hub.topics.keys() == topics)
        assert not [each for each in self.caplog.records if is_ours(each)]

    async def ends(self) -> None:
        """In the database too nothing is left but the neighbour."""

        async def is_empty() -> bool:
            async with self.served.database.session() as db:
                return not await db.value("SELECT count(*) FROM channel_members")

        async with asyncio.timeout(PATIENCE):
            while not await is_empty():
                await asyncio.sleep(0.02)
        await self.holds()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0.001)

    @property
    def sessions(self) -> Any:
        return self.served.realtime.sessions

    @property
    def hub(self) -> Any:
        return self.served.realtime.gateway.hub  # type: ignore[union-attr]


def is_ours(record: logging.LogRecord) -> bool:
    """Not what uvicorn says of requests that are none."""
    level = logging.ERROR if record.name.startswith("uvicorn") else logging.WARNING
    return record.levelno >= level


@pytest.fixture
async def siege(
    quick: None, served: Served, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Siege]:
    siege = Siege(served, caplog)
    await siege.begin()
    yield siege
    await siege.ends()


ANSWERS = {
    *(HEARTBEAT, ACK, NACK, CONNECTED, DISCONNECTED, CLOSED, ERROR),
    *(ATTACHED, DETACHED, PRESENCE, MESSAGE, SYNC),
}


def check(answers: list[Frame]) -> None:
    """As Ably's clients can read it, in codes that they know."""
    for frame in answers:
        assert frame["action"] in ANSWERS
        error = frame.get("error")
        if frame["action"] in (NACK, ERROR, DISCONNECTED):
            assert error is not None
        if error is not None:
            assert error["code"] in CODES, error
            assert 400 <= error["statusCode"] <= 503
            assert error["message"]
        if frame["action"] in (ACK, NACK):
            assert frame["count"] == 1
    for last in (CLOSED, DISCONNECTED):
        assert last not in [frame["action"] for frame in answers[:-1]]
    fatal = [frame for frame in answers[:-1] if frame["action"] == ERROR and "channel" not in frame]
    assert not fatal


# -- frames --


@given(sending=sendings, who=st.sampled_from(["key", "ann", "nobody"]), is_first=st.booleans())
@trying(130)
async def test_no_frames_break_the_gateway(
    siege: Siege, sending: tuple[str, list[str | bytes]], who: str, is_first: bool
) -> None:
    format_, data = sending
    tokens = {"ann": jwt({"*": ["*"]}, "ann"), "nobody": jwt({"room": ["subscribe"]})}
    credentials = {"key": DEV_KEY} if who == "key" else {"access_token": tokens[who]}
    query = {"v": 6, "format": format_, "remainPresentFor": 100, **credentials}
    is_binary = format_ == "msgpack"
    check(await siege.attack(urlencode(query), data, is_binary=is_binary, is_first=is_first))
    await siege.holds()


@given(
    channel=st.sampled_from(["room", "[?rewind=1]room"]),
    inside=st.lists(frames.map(to_msgpack), min_size=1, max_size=8),
)
@trying(40)
async def test_nor_do_frames_on_an_attached_channel(
    siege: Siege, channel: str, inside: list[bytes]
) -> None:
    """With a member who is present, and in the names that the key allows."""
    before = [
        to_msgpack({"action": 10, "channel": channel}),
        to_msgpack(
            {
                "action": 14,
                "channel": channel,
                "msgSerial": 0,
                "presence": [{"action": 2, "clientId": "ann", "data": "x"}],
            }
        ),
    ]
    query = {"v": 6, "format": "msgpack", "remainPresentFor": 100, "key": DEV_KEY}
    answers = await siege.attack(
        urlencode(query), inside, before=before, is_binary=True, is_first=False
    )
    check(answers)
    assert [frame["action"] for frame in answers[:2]] == [CONNECTED, ATTACHED]
    assert answers[2]["action"] in (SYNC, PRESENCE, ACK)
    await siege.holds()


# -- the way in --

PARAMETERS = ["v", "key", "access_token", "accessToken", "format", "clientId", "resume", "recover"]
PARAMETERS += ["heartbeats", "echo", "remainPresentFor", "heartbeatInterval", "agent", "rnd", "x"]
GIVEN = [DEV_KEY, jwt({"*": ["*"]}), "6", "2", "1", "true", "false", "msgpack", "json", "a!b", "!"]
GIVEN += ["99999999999999999999", "-1", "ann", "*", "0x10", "²", "a" * 5000]


@given(
    pairs=st.lists(
        st.tuples(st.sampled_from(PARAMETERS), st.sampled_from(GIVEN) | texts), max_size=12
    ),
    is_known=st.booleans(),
)
@trying(50)
async def test_no_query_breaks_the_way_in(
    siege: Siege, pairs: list[tuple[str, str]], is_known: bool
) -> None:
    start = [("key", DEV_KEY), ("v", "6")] if is_known else []
    query = urlencode([*start, *pairs], errors="replace")
    is_binary = dict(parse_qsl(query, keep_blank_values=True)).get("format") == "msgpack"
    check(await siege.attack(query, [], is_binary=is_binary, is_first=True))
    await siege.holds()


@given(query=st.binary(max_size=200).filter(lambda text: not {*text} & {*b" \r\n#\0\t"}))
@trying(40)
async def test_nor_do_bytes_that_are_no_query(siege: Siege, query: bytes) -> None:
    """By hand, because no client sends such."""
    host, port = siege.served.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /?v=6&key=" + DEV_KEY.encode() + b"&" + query + b" HTTP/1.1\r\n")
    writer.write(f"Host: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n".encode())
    writer.write(b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + b"A" * 22 + b"==\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        status = (await reader.readline()).split()[1]
    assert status in (b"101", b"400")
    writer.transport.abort()
    await siege.holds()


# -- what is accepted can be read by all, for ever --


@given(message=messages, is_binary=st.booleans())
@trying(1000)
def test_what_is_taken_can_be_shown(message: Frame, is_binary: bool) -> None:
    form = MSGPACK if is_binary else JSON
    raw = to_msgpack(message) if is_binary else to_json(message).encode()
    try:
        body = body_of(form.decode(raw, Published), "ann", "id")
        check_size([body])
    except Failure as failure:
        code = failure.code
    else:
        code = None
    if code is not None:
        assert code in CODES
        return
    entry = Entry(1, 1, "room", 0, "=x", datetime.now(UTC), STORED.encode(body))
    shown = at_depth(40, lambda: message_of_entry(entry, 1))
    for each in (JSON, MSGPACK):
        encoded = at_depth(40, lambda form=each: form.encode(form.shown(shown)))
        each.decode(encoded)
        assert len(encoded) < BYTES_AT_MOST


def at_depth(depth: int, call: Callable[[], Any]) -> Any:
    """Called from so far within other calls, as readers are."""
    return call() if depth == 0 else at_depth(depth - 1, call)
