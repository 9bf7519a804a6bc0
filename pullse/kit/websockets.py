"""
WebSockets on the port of the HTTP server: what uvicorn gives a connection to that asks for one.

The sans-io part of `websockets` reads the handshake and the frames. What goes out was built
once by `frame` and is written as it is, to one socket or to thousands. There is no task, no
queue and no idle timer for a connection. Every buffer has a limit, in bytes and in seconds,
and who goes past it is cut.

An application takes WebSockets if it has a method `accept(upgrade, socket)`, which makes a
`Session` or raises `Refused`.
"""

import asyncio
import logging
import typing
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import unquote

import uvicorn
from uvicorn.server import ServerState
from websockets import http11
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN, SERVER, Protocol
from websockets.server import ServerProtocol

log = logging.getLogger(__name__)
quiet = log.getChild("frames")  # the library tells of each connection
quiet.setLevel(logging.WARNING)

MESSAGE_AT_MOST = 1 << 20
"""Bytes of a message that comes in, all its fragments together."""
UNSENT_AT_MOST = 1 << 20
"""Bytes that wait for a client that does not read."""
STALLED = 30.0
"""Seconds that a message may take from its first byte to its last."""
UNANSWERED = 3.0
"""Seconds that a client has to answer a close, and to take what was sent before."""
http11.MAX_LINE_LENGTH = 1 << 16
"""
Bytes of a line of the request, which may hold a token. `kit.http` has read the head already
and has not let more in; the library by itself refuses lines of more than 8 KiB.
"""
REASON_AT_MOST = 123
"""Bytes of a close frame's reason (RFC 6455, 5.5)."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The request that asks for a WebSocket."""

    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    """Names in lower case."""
    client: str
    """The address of who connected, which may be a proxy; empty if it is gone already."""


class Session(typing.Protocol):
    """
    What the application makes of a connection.

    One that raises is logged, and its connection is closed with 1011. Two more hooks are
    called if they are there: `closing()` before a stop of the server closes the socket, and
    `drained()` when a client that was behind has taken nearly all that was sent to it.
    """

    def opened(self) -> None:
        """From now on it can send."""

    def received(self, data: str | bytes) -> None:
        """One whole message. They come in order, and none after a close from either side."""

    def closed(self) -> None:
        """The connection is gone. Called exactly once, whatever ended it."""


class Refused(Exception):
    """Raised by `accept`: the handshake is answered with this status and text."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = HTTPStatus(status)
        self.message = message


def frame(data: str | bytes) -> bytes:
    """A whole message as it goes over the wire; text for `str`, binary for `bytes`."""
    if isinstance(data, str):
        return Frame(Opcode.TEXT, data.encode()).serialize(mask=False)
    return Frame(Opcode.BINARY, data).serialize(mask=False)


class Socket(asyncio.Protocol):
    """One connection, made by uvicorn for a request with `Upgrade: websocket`."""

    __slots__ = (
        "_app",
        "_connections",
        "_frames",
        "_is_open",
        "_is_text",
        "_parts",
        "_session",
        "_timer",
        "_transport",
    )

    def __init__(
        self, config: uvicorn.Config, server_state: ServerState, app_state: dict[str, Any]
    ) -> None:
        self._app: Any = config.app
        self._connections = cast(set[Any], server_state.connections)
        self._frames = Frames(SERVER, max_size=MESSAGE_AT_MOST, logger=quiet)
        self._is_open = False
        self._is_text = False
        self._parts: bytearray | None = None
        self._session: Session | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport

    # For the application

    def send(self, frame: bytes) -> None:
        """
        Write what `frame` made, at once. Who has let too much wait by now is cut.

        Does nothing on a socket that is not open.
        """
        if self._is_open:
            self._transport.write(frame)
            if self._transport.get_write_buffer_size() > UNSENT_AT_MOST:
                self.abort()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close when all is sent. A client that does not answer is cut a little later."""
        if not self._is_open:
            return
        if self._frames.state is OPEN:  # else its own close is about to be answered
            short = reason.encode()[:REASON_AT_MOST].decode(errors="ignore")
            self._frames.send_close(code, short)
        self._end()
        self._transport.resume_reading()
        self._flush()

    def abort(self) -> None:
        """Cut the connection, with all that waits to be sent."""
        self._is_open = False
        self._transport.abort()

    @property
    def unsent(self) -> int:
        """Bytes that wait for the client; 0 when the socket is not open."""
        return self._transport.get_write_buffer_size() if self._is_open else 0

    def pause(self) -> None:
        """Read no more. What was read already (256 KiB at most) still comes as messages."""
        if self._is_open:
            self._transport.pause_reading()
            self._stop_timer()

    def resume(self) -> None:
        if self._is_open:
            self._transport.resume_reading()
            self._mind_the_time(is_new=True)

    # For uvicorn

    def shutdown(self) -> None:
        closing = getattr(self._session, "closing", None)
        if self._is_open and closing is not None:
            self._tell(closing)
        self.close(CloseCode.SERVICE_RESTART, "The server stops.")

    # For the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._session is None:
            self._shake_hands(data)
        else:
            self._read(data)

    def resume_writing(self) -> None:
        drained = getattr(self._session, "drained", None)
        if self._is_open and drained is not None:
            self._tell(drained)

    def eof_received(self) -> None:
        """The transport closes when all is sent, but does not wait for ever."""
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_open = False
        self._connections.discard(self)
        self._stop_timer()
        release(self._frames)
        session, self._session = self._session, None
        if session is not None:
            self._tell(session.closed)

    # Below

    def _shake_hands(self, data: bytes) -> None:
        """uvicorn hands over a whole request."""
        handshake = ServerProtocol(logger=quiet)
        handshake.receive_data(data)
        response = self._answer(handshake)
        release(handshake)
        self._transport.write(response.serialize())
        if self._session is None:
            self._end()
            self._transport.close()
        else:
            self._is_open = True
            self._tell(self._session.opened)

    def _answer(self, handshake: ServerProtocol) -> Response:
        """The session is there only if the answer is 101."""
        events = handshake.events_received()
        if not events:
            return handshake.reject(400, "This is no request for a WebSocket.\n")
        request = cast(Request, events[0])
        response = handshake.accept(request)
        if response.status_code != 101:
            return response
        accept: Callable[[Upgrade, Socket], Session] | None = getattr(self._app, "accept", None)
        if accept is None:
            return handshake.reject(404, "There is no WebSocket at this address.\n")
        client = self._transport.get_extra_info("peername")
        try:
            self._session = accept(read(request, client), self)
        except Refused as error:
            return handshake.reject(error.status, error.message + "\n")
        except Exception as error:
            log.error("A WebSocket could not be accepted", exc_info=error)
            return handshake.reject(500, "Something went wrong on our side.\n")
        return response

    def _read(self, data: bytes) -> None:
        self._frames.is_between = False
        self._frames.receive_data(data)
        is_new = False
        for event in self._frames.events_received():
            if self._is_open:
                self._take(cast(Frame, event))
                is_new = is_new or self._parts is None
        self._flush()
        if self._is_open:
            self._mind_the_time(is_new)

    def _take(self, frame: Frame) -> None:
        if frame.opcode is Opcode.TEXT or frame.opcode is Opcode.BINARY:
            self._is_text = frame.opcode is Opcode.TEXT
        elif frame.opcode is not Opcode.CONT:
            return
        data = frame.data
        if self._parts is not None or not frame.fin:
            self._parts = self._parts or bytearray()
            self._parts += data
            if not frame.fin:
                return
            data, self._parts = self._parts, None
        try:
            message = str(data, "utf-8") if self._is_text else bytes(data)
        except UnicodeDecodeError:
            self._end()
            self._frames.fail(CloseCode.INVALID_DATA, "The text is not UTF-8.")
            return
        if self._session is not None:
            self._tell(self._session.received, message)

    def _flush(self) -> None:
        """Send what the protocol has to say: pongs, a close, the end."""
        writes = self._frames.data_to_send()
        if not writes or self._transport.is_closing():
            return
        self._transport.write(b"".join(writes))
        if writes[-1] == b"":
            if self._is_open:
                self._end()
            if self._frames.close_rcvd is not None:
                self._transport.close()
            else:
                # Read on to the client's end. If it is still sending, a closed socket would
                # answer with a reset, and that may overtake the close frame.
                self._transport.write_eof()
        elif self._transport.get_write_buffer_size() > UNSENT_AT_MOST:
            self.abort()

    def _tell(self, hook: Callable[..., None], *arguments: str | bytes) -> None:
        """A session that fails takes nothing else with it."""
        try:
            hook(*arguments)
        except Exception as error:
            log.error("A WebSocket's session failed", exc_info=error)
            self.close(CloseCode.INTERNAL_ERROR)

    def _mind_the_time(self, is_new: bool) -> None:
        """Give the message that has begun its time; there is no timer between messages."""
        if self._parts is None and self._frames.is_between:
            self._stop_timer()
        elif (is_new or self._timer is None) and self._transport.is_reading():
            self._cut_in(STALLED)

    def _end(self) -> None:
        """From here on nothing is sent or told, and the connection has little time left."""
        self._is_open = False
        self._cut_in(UNANSWERED)

    def _cut_in(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Frames(Protocol):
    """The library's protocol, which also tells whether the client is in the middle of a frame."""

    is_between = True

    def recv_frame(self, frame: Frame) -> None:
        super().recv_frame(frame)
        self.is_between = not self.reader.buffer


def release(protocol: Protocol) -> None:
    """A protocol, its parser and the trace of an error hold each other: spare the collector."""
    protocol.parser.close()
    protocol.parser_exc = None


def read(request: Request, client: Any) -> Upgrade:
    path, _, query = plain(request.path).partition(b"?")
    return Upgrade(
        unquote(path),
        query,
        [(plain(name), plain(value)) for name, value in request.headers.raw_items()],
        str(client[0]) if client else "",
    )


def plain(text: str) -> bytes:
    """As it came in."""
    return text.encode("ascii", "surrogateescape")
