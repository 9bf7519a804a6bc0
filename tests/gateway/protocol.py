"""
A client of the gateway's protocol that does nothing by itself: frames out, frames in.

Frames are plain dicts, as they are on the wire. It sends no heartbeats, answers no AUTH and
comes back from no cut, so that a test says all that happens, and sees all that comes.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import urlencode

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed
from websockets.frames import Opcode

(
    HEARTBEAT,
    ACK,
    NACK,
    CONNECT,
    CONNECTED,
    DISCONNECT,
    DISCONNECTED,
    CLOSE,
    CLOSED,
    ERROR,
    ATTACH,
    ATTACHED,
    DETACH,
    DETACHED,
    PRESENCE,
    MESSAGE,
    SYNC,
    AUTH,
) = range(18)

HAS_PRESENCE, HAS_BACKLOG, RESUMED, ATTACH_RESUME = 1, 2, 4, 32
MODE_PRESENCE, MODE_PUBLISH, MODE_SUBSCRIBE, MODE_PRESENCE_SUBSCRIBE = (
    1 << 16,
    1 << 17,
    1 << 18,
    1 << 19,
)
MODE_ANNOTATION_PUBLISH, MODE_ANNOTATION_SUBSCRIBE = 1 << 21, 1 << 22
MODES = (
    MODE_PRESENCE
    | MODE_PUBLISH
    | MODE_SUBSCRIBE
    | MODE_PRESENCE_SUBSCRIBE
    | MODE_ANNOTATION_PUBLISH
)
"""What who may do all gets without asking."""

ABSENT, PRESENT, ENTER, LEAVE, UPDATE = range(5)

DEV_KEY = "pullse.dev:local-development-only"
PATIENCE = 10.0
"""Seconds within which what is expected has to come."""

Frame = dict[str, Any]


class Refused(Exception):
    """The gateway answered the connection with ERROR or DISCONNECTED; `error` is its ErrorInfo."""

    def __init__(self, frame: Frame, client: "Client") -> None:
        super().__init__(str(frame))
        self.action: int = frame["action"]
        self.error: dict[str, Any] = frame["error"]
        self.client = client


class Gone(AssertionError):
    """The connection ended before what was waited for came."""


async def connect(
    url: str,
    *,
    format: str = "json",  # noqa: A002 (as the parameter is called)
    path: str = "/",
    key: str | None = DEV_KEY,
    token: str | None = None,
    headers: Mapping[str, str] | None = None,
    **params: str | int | None,
) -> "Client":
    """
    Open a connection and wait for CONNECTED. `url` is the server's, with http.

    A token takes the place of the key; a parameter that is None is not sent.
    """
    query: dict[str, str | int | None] = {"format": format, "v": 6, "key": key}
    if token is not None:
        query |= {"key": None, "access_token": token}
    query |= params
    sent = {name: value for name, value in query.items() if value is not None}
    address = f"{url.replace('http', 'ws', 1)}{path}?{urlencode(sent)}"
    socket = await open_socket(
        address,
        create_connection=Connection,
        additional_headers=headers,
        compression=None,
        ping_interval=None,
        max_size=None,
        close_timeout=1,
        proxy=None,
    )
    client = Client(cast(Connection, socket), is_binary=format == "msgpack")
    first = await client.next()
    if first["action"] != CONNECTED:
        raise Refused(first, client)
    client.connected = first
    return client


class Connection(ClientConnection):
    """The library's, which also counts the pings that it answers."""

    pings = 0

    def process_event(self, event: Any) -> None:
        self.pings += getattr(event, "opcode", None) is Opcode.PING
        super().process_event(event)


class Client:
    """One connection, from its CONNECTED on."""

    def __init__(self, socket: Connection, *, is_binary: bool) -> None:
        self.connected: Frame = {}
        self.heartbeats: list[float] = []
        """When those came that nobody had asked for, by the monotonic clock."""
        self.close_code: int | None = None
        self._socket = socket
        self._is_binary = is_binary
        self.serial = 0
        """Of the next publish."""
        self.waiting: list[Frame] = []
        """What has come and was not taken."""
        self._came = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    @property
    def id(self) -> str:
        return str(self.connected["connectionId"])

    @property
    def key(self) -> str:
        return str(self.connected["connectionDetails"]["connectionKey"])

    @property
    def has_frames(self) -> bool:
        """Has something come that nobody has taken?"""
        return bool(self.waiting)

    @property
    def port(self) -> int:
        """Its own."""
        return int(self._socket.local_address[1])

    @property
    def pings(self) -> int:
        return self._socket.pings

    @property
    def is_open(self) -> bool:
        return not self._reading.done()

    # Out

    async def send(self, action: int, **fields: Any) -> None:
        frame = {"action": action, **fields}
        if self._is_binary:
            await self.send_as_is(msgspec.msgpack.encode(frame))
        else:
            await self.send_as_is(json.dumps(frame))

    async def send_as_is(self, data: bytes | str) -> None:
        await self._socket.send(data)

    def next_serial(self) -> int:
        self.serial += 1
        return self.serial - 1

    async def attach(self, channel: str, **fields: Any) -> Frame:
        """The ATTACHED, or the channel's ERROR."""
        await self.send(ATTACH, channel=channel, **fields)
        return await self.take(ATTACHED, ERROR, channel=channel)

    async def detach(self, channel: str) -> Frame:
        await self.send(DETACH, channel=channel)
        return await self.take(DETACHED, channel=channel)

    async def publish(self, channel: str, *messages: Any, serial: int | None = None) -> Frame:
        """The ACK or NACK; what is no dict is the data of a message."""
        serial = await self.start_publish(channel, *messages, serial=serial)
        return await self.take(ACK, NACK, msgSerial=serial)

    async def start_publish(self, channel: str, *messages: Any, serial: int | None = None) -> int:
        serial = self.next_serial() if serial is None else serial
        shaped = [each if isinstance(each, dict) else {"data": each} for each in messages]
        await self.send(MESSAGE, channel=channel, msgSerial=serial, messages=shaped)
        return serial

    async def present(self, channel: str, action: int, *members: Any, **fields: Any) -> Frame:
        """Enter, leave or update: the ACK or NACK. A text is a member's clientId."""
        serial = fields.pop("msgSerial", None)
        serial = self.next_serial() if serial is None else serial
        shaped = [
            {"action": action, **({"clientId": each} if isinstance(each, str) else each)}
            for each in members or [fields]
        ]
        await self.send(PRESENCE, channel=channel, msgSerial=serial, presence=shaped)
        return await self.take(ACK, NACK, msgSerial=serial)

    async def close(self) -> None:
        """As a client that goes for good."""
        if self.is_open:
            await self.send(CLOSE)
            await self.take(CLOSED)
            await self.ended()

    async def cut(self) -> None:
        """As a network that breaks: no goodbye at any level."""
        self._socket.transport.abort()
        await self._reading

    # In

    def stop_reading(self) -> None:
        """As a client that hangs: what comes stays in the kernel's buffers."""
        self._socket.transport.pause_reading()

    def go_on_reading(self) -> None:
        self._socket.transport.resume_reading()

    async def next(self, patience: float = PATIENCE) -> Frame:
        """The next frame, whatever it is."""
        return await self._first(lambda frame: True, patience, "a frame")

    async def take(self, *actions: int, patience: float = PATIENCE, **fields: Any) -> Frame:
        """The next frame of one of these actions and with these fields; others stay."""
        wanted = fields.items()
        return await self._first(
            lambda frame: (
                frame["action"] in actions
                and all(frame.get(name) == value for name, value in wanted)
            ),
            patience,
            f"action {actions} with {fields}",
        )

    async def messages(
        self, count: int, channel: str | None = None, patience: float = PATIENCE
    ) -> list[Frame]:
        """The next messages, each out of its frame."""
        fields = {} if channel is None else {"channel": channel}
        found: list[Frame] = []
        while len(found) < count:
            found += (await self.take(MESSAGE, patience=patience, **fields))["messages"]
        assert len(found) == count, found
        return found

    async def data(
        self, count: int, channel: str | None = None, patience: float = PATIENCE
    ) -> list[Any]:
        """What the next messages say."""
        return [each.get("data") for each in await self.messages(count, channel, patience)]

    async def presence(self, count: int, patience: float = PATIENCE) -> list[Frame]:
        """What comes next of who enters, leaves or changes; SYNC apart."""
        found: list[Frame] = []
        while len(found) < count:
            found += (await self.take(PRESENCE, patience=patience))["presence"]
        assert len(found) == count, found
        return found

    async def members(self, channel: str) -> list[Frame]:
        """A whole SYNC."""
        found: list[Frame] = []
        while True:
            frame = await self.take(SYNC, channel=channel)
            found += frame["presence"]
            if frame["channelSerial"].endswith(":"):
                return found

    async def nothing(self, seconds: float = 0.3, *actions: int) -> None:
        """Nothing comes (of these actions), and nothing had come."""
        await asyncio.sleep(seconds)
        came = [each for each in self.waiting if not actions or each["action"] in actions]
        assert not came, came

    async def ended(self, patience: float = PATIENCE) -> int | None:
        """Wait until the socket is closed; return its close code."""
        async with asyncio.timeout(patience):
            await asyncio.shield(self._reading)
        return self.close_code

    async def pinged(self) -> None:
        """A round trip: all that the server had written before has come."""
        id_ = f"ping-{time.monotonic_ns()}"
        await self.send(HEARTBEAT, id=id_)
        await self.take(HEARTBEAT, id=id_)

    async def _first(self, is_wanted: Any, patience: float, told: str) -> Frame:
        until = time.monotonic() + patience
        while True:
            for index, frame in enumerate(self.waiting):
                if is_wanted(frame):
                    return self.waiting.pop(index)
            if self._reading.done():
                raise Gone(f"closed ({self.close_code}) before {told}: {self.waiting}")
            self._came.clear()
            try:
                async with asyncio.timeout(max(until - time.monotonic(), 0)):
                    await self._came.wait()
            except TimeoutError:
                raise AssertionError(f"{told} did not come; {self.waiting[:20]}") from None

    async def _read(self) -> None:
        try:
            async for data in self._socket:
                assert isinstance(data, bytes) == self._is_binary
                frame = (
                    msgspec.msgpack.decode(data) if isinstance(data, bytes) else json.loads(data)
                )
                if frame == {"action": HEARTBEAT}:
                    self.heartbeats.append(time.monotonic())
                else:
                    self.waiting.append(frame)
                self._came.set()
        except ConnectionClosed:
            pass
        finally:
            self.close_code = self._socket.close_code
            self._came.set()


def text_of(channel_capability: Mapping[str, Sequence[str]]) -> str:
    return json.dumps(channel_capability)


def jwt(
    capability: Mapping[str, Sequence[str]] | None = None,
    client_id: str | None = None,
    *,
    ttl: float = 3600,
    key: str = DEV_KEY,
    issued: float | None = None,
    **claims: Any,
) -> str:
    """A token as an application's own server signs it. `ttl` in seconds may be negative."""
    name, _, secret = key.partition(":")
    now = time.time() if issued is None else issued
    if ttl < 0:
        now += ttl - 10
        ttl = 10
    body: dict[str, Any] = {"iat": int(now), "exp": now + ttl, **claims}
    if capability is not None:
        body["x-ably-capability"] = text_of(capability)
    if client_id is not None:
        body["x-ably-clientId"] = client_id
    header = {"typ": "JWT", "alg": "HS256", "kid": name}
    signed = ".".join(_encoded(json.dumps(each).encode()) for each in (header, body))
    mac = hmac.digest(secret.encode(), signed.encode(), hashlib.sha256)
    return f"{signed}.{_encoded(mac)}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
