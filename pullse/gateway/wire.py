"""
The shapes on the wire, in JSON and in MessagePack, and what becomes of a payload between them.

A payload is text or bytes, with `encoding` telling how the client made it of something else
("json", "utf-8/cipher+aes-128-cbc"). JSON can't carry bytes, so there they are base64 with
`base64` at the end of `encoding`; that last step is the gateway's, the rest is never touched.
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum, IntFlag
from typing import Annotated, Any

import msgspec

from pullse.gateway.errors import (
    BAD_BODY,
    BAD_CLIENT_ID,
    BAD_DATA,
    BAD_EXTRAS,
    BAD_MESSAGE_ID,
    BAD_REQUEST,
    TOO_LARGE,
    Failure,
)

MESSAGE_AT_MOST = 65_536
"""Bytes of name, payload, client id and extras of all messages that are published together."""
FRAME_AT_MOST = 524_288
MESSAGES_AT_MOST = 1_000
"""Messages in one publish."""
NAME_AT_MOST = 1_024
"""Bytes of a message's id, a client's id (see channels.NAME_AT_MOST), or an encoding."""
SERIAL_AT_MOST = (1 << 53) - 1
"""Of a msgSerial: as far as JavaScript counts one by one."""
DEPTH_AT_MOST = 32
"""Objects within objects in extras: all who read them have to be able to, however deep in calls."""

BROKEN = (msgspec.MsgspecError, RecursionError, UnicodeError, ValueError, OverflowError)
"""What decoding raises for input that makes no sense."""


class Action(IntEnum):
    HEARTBEAT = 0
    ACK = 1
    NACK = 2
    CONNECTED = 4
    DISCONNECT = 5
    DISCONNECTED = 6
    CLOSE = 7
    CLOSED = 8
    ERROR = 9
    ATTACH = 10
    ATTACHED = 11
    DETACH = 12
    DETACHED = 13
    PRESENCE = 14
    MESSAGE = 15
    SYNC = 16
    AUTH = 17


class Flag(IntFlag):
    HAS_PRESENCE = 1
    HAS_BACKLOG = 2
    RESUMED = 4
    ATTACH_RESUME = 32
    PRESENCE = 1 << 16
    PUBLISH = 1 << 17
    SUBSCRIBE = 1 << 18
    PRESENCE_SUBSCRIBE = 1 << 19
    ANNOTATION_PUBLISH = 1 << 21
    ANNOTATION_SUBSCRIBE = 1 << 22


class Presence(IntEnum):
    ABSENT = 0
    PRESENT = 1
    ENTER = 2
    LEAVE = 3
    UPDATE = 4


class Version(msgspec.Struct, frozen=True):
    serial: str
    timestamp: int


class Message(msgspec.Struct, omit_defaults=True, rename="camel"):
    """A message, or a member's presence; as a client sends it and as clients get it."""

    id: str | None = None
    name: str | None = None
    data: Any = None
    encoding: str | None = None
    client_id: str | None = None
    connection_id: str | None = None
    timestamp: int | None = None
    extras: dict[str, Any] | None = None
    action: int | None = None
    serial: str | None = None
    version: Version | None = None
    channel: str | None = None


class Published(msgspec.Struct, rename="camel"):
    """What of a publish is looked at; whatever else a client sends along is not."""

    id: str | None = None
    name: str | None = None
    data: Any = None
    encoding: str | None = None
    client_id: str | None = None
    connection_key: str | None = None
    extras: dict[str, Any] | None = None
    action: int | None = None


class Body(msgspec.Struct, omit_defaults=True, array_like=True):
    """A message as it is stored; `data` is text, bytes or null."""

    name: str | None
    data: Any
    encoding: str | None = None
    client_id: str | None = None
    connection_id: str | None = None
    extras: dict[str, Any] | None = None


class Incoming(msgspec.Struct, rename="camel"):
    """A ProtocolMessage from a client."""

    action: int
    id: str | None = None
    channel: str | None = None
    channel_serial: str | None = None
    msg_serial: Annotated[int, msgspec.Meta(ge=0, le=SERIAL_AT_MOST)] | None = None
    flags: int | None = None
    params: dict[str, Any] | None = None
    messages: list[msgspec.Raw] | None = None
    presence: list[msgspec.Raw] | None = None
    auth: dict[str, Any] | None = None


class Outgoing(msgspec.Struct, omit_defaults=True, rename="camel"):
    """A ProtocolMessage to a client."""

    action: int
    id: str | None = None
    channel: str | None = None
    channel_serial: str | None = None
    connection_id: str | None = None
    connection_details: dict[str, Any] | None = None
    msg_serial: int | None = None
    count: int | None = None
    res: list[dict[str, Any]] | None = None
    flags: int | None = None
    params: dict[str, Any] | None = None
    timestamp: int | None = None
    error: dict[str, Any] | None = None
    messages: Sequence[Any] | None = None
    presence: Sequence[Any] | None = None


class Format:
    """JSON or MessagePack."""

    __slots__ = ("_incoming", "content_type", "encode", "is_binary", "name")

    def __init__(self, name: str, content_type: bytes, codec: Any, *, is_binary: bool) -> None:
        self.name = name
        self.content_type = content_type
        self.is_binary = is_binary
        self.encode = codec.Encoder().encode
        self._incoming = codec.Decoder(Incoming)

    def incoming(self, data: bytes | str) -> Incoming:
        """Raises Failure for what is no ProtocolMessage."""
        try:
            return self._incoming.decode(data)  # type: ignore[no-any-return]
        except BROKEN as error:
            raise Failure(BAD_REQUEST, f"This is no protocol message: {error}") from error

    def decode(self, data: bytes | str, shape: Any = Any) -> Any:
        """Raises Failure for what can't be read as `shape`."""
        codec = msgspec.msgpack if self.is_binary else msgspec.json
        try:
            return codec.decode(data, type=shape)
        except BROKEN as error:
            raise Failure(BAD_BODY, f"The body can't be read: {error}") from error

    def published(self, raw: msgspec.Raw) -> Published:
        return self.decode(raw, Published)  # type: ignore[no-any-return]

    def shown(self, message: Message) -> Message:
        """The message with a payload that this format can carry."""
        if self.is_binary or not isinstance(message.data, bytes):
            return message
        encoding = f"{message.encoding}/base64" if message.encoding else "base64"
        return msgspec.structs.replace(
            message, data=b64encode(message.data).decode(), encoding=encoding
        )


JSON = Format("json", b"application/json", msgspec.json, is_binary=False)
MSGPACK = Format("msgpack", b"application/x-msgpack", msgspec.msgpack, is_binary=True)

STORED = msgspec.msgpack.Encoder()
BODY = msgspec.msgpack.Decoder(Body)


def body_of(published: Published, client_id: str | None, connection_id: str | None) -> Body:
    """What is stored of a publish, its payload as text or bytes. Raises Failure."""
    data, encoding = published.data, published.encoding or None
    if isinstance(data, dict | list):
        try:
            data = msgspec.json.encode(data).decode()
        except (*BROKEN, TypeError) as error:
            raise Failure(BAD_DATA, f"data: {error}") from error
        encoding = f"{encoding}/json" if encoding else "json"
    if data is not None and not isinstance(data, str | bytes):
        raise Failure(BAD_DATA, "data: text, bytes, or a JSON object or array.")
    if encoding is not None and len(encoding.encode()) > NAME_AT_MOST:
        raise Failure(BAD_DATA, f"encoding: at most {NAME_AT_MOST} bytes.")
    if encoding is not None and isinstance(data, str):
        rest, _, last = encoding.rpartition("/")
        if last == "base64":
            data, encoding = decoded(data), rest or None
    check_extras(published.extras)
    return Body(published.name, data, encoding, client_id, connection_id, published.extras)


def check_extras(extras: dict[str, Any] | None) -> None:
    """They have to be the same in both formats."""
    if is_deeper(extras, DEPTH_AT_MOST):
        raise Failure(BAD_EXTRAS, f"extras: at most {DEPTH_AT_MOST} objects within each other.")
    if extras:
        try:
            msgspec.json.encode(extras)
            STORED.encode(extras)
        except (*BROKEN, TypeError) as error:
            raise Failure(BAD_EXTRAS, f"extras: {error}") from error


def is_deeper(value: object, levels: int) -> bool:
    """Is there more in it than so many levels of objects and arrays?"""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(is_deeper(each, levels - 1) for each in inner)


def decoded(data: str) -> bytes:
    try:
        return b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Failure(BAD_DATA, "data: the encoding says base64, which this is not.") from error


def size_of(body: Body) -> int:
    """Bytes as the limit counts them (TM6)."""
    size = len(body.data) if isinstance(body.data, bytes) else len((body.data or "").encode())
    size += len((body.name or "").encode()) + len((body.client_id or "").encode())
    return size + (len(msgspec.json.encode(body.extras)) if body.extras else 0)


def weight(message: Message) -> int:
    """About as many bytes as it takes in memory and on the wire."""
    size = len(message.data or "") + len(message.name or "")
    return size + (len(STORED.encode(message.extras)) if message.extras else 0)


def check_size(bodies: Sequence[Body]) -> None:
    if len(bodies) > MESSAGES_AT_MOST:
        raise Failure(TOO_LARGE, f"At most {MESSAGES_AT_MOST} messages in one publish.")
    size = sum(map(size_of, bodies))
    if size > MESSAGE_AT_MOST:
        raise Failure(
            TOO_LARGE,
            f"Maximum message length exceeded: {size} bytes of at most {MESSAGE_AT_MOST}.",
        )


def check_ids(published: Sequence[Published]) -> None:
    """Several messages are one publish: their ids are `base:0`, `base:1`, … or none has one."""
    ids = [each.id for each in published]
    given = [each for each in ids if each is not None]
    if any(not each or len(each.encode()) > NAME_AT_MOST or "\0" in each for each in given):
        raise Failure(BAD_MESSAGE_ID, "id: 1 to 1,024 bytes, none of them NUL.")
    if len(ids) < 2 or not any(ids):
        return
    base = (ids[0] or "").rpartition(":")[0]
    if not base or ids != [f"{base}:{index}" for index in range(len(ids))]:
        raise Failure(BAD_MESSAGE_ID, "The ids of one publish are <base>:0, <base>:1 and so on.")


def check_client_id(client_id: str) -> None:
    if client_id in ("", "*") or len(client_id.encode()) > NAME_AT_MOST or "\0" in client_id:
        raise Failure(BAD_CLIENT_ID, "clientId: 1 to 1,024 bytes, and not the wildcard.")


def milliseconds(at: datetime) -> int:
    """Since 1970, cut off."""
    return int(at.timestamp() * 1000 + 1e-6)
