"""
The HTTP server: uvicorn on httptools and uvloop, on a socket that is bound already.

A request for a WebSocket is handed over to `kit/websockets.py`, if the application takes them.

What uvicorn leaves open is closed here: a head that never ends or a body that stalls gets
a limit in bytes and in seconds, so that nobody holds connections for nothing.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pullse.kit.websockets import Socket

BACKLOG = 1024
HEAD_AT_MOST = 64 * 1024
STALLED = 30.0
"""Seconds without a byte in the middle of a request."""
KEPT_ALIVE = 75
"""Seconds that an idle connection is kept."""


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head = 0
        self._is_in_head = True
        self._is_in_request = True
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._patience is not None:
            self._stop_waiting()
        if self._is_in_request and not self.transport.is_closing():
            if self._is_in_head:
                self._head += len(data)
            if self._head > HEAD_AT_MOST:
                self.send_400_response("The head of the request is too large.")
            else:
                self._wait()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = 0
        self._is_in_head = self._is_in_request = True

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._head = 0
        self._is_in_head = False
        if self.parser.should_upgrade() and not self._should_upgrade():
            # Answered as plain HTTP. The parser does not look for a body here, so what
            # follows must not be taken for another request.
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_in_request = False

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over; nothing of this object is needed any more."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.send_400_response("Another request is under way on this connection.")
            return
        self._stop_waiting()
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]  # it holds this object, and this holds it

    def _wait(self) -> None:
        self._patience = self.loop.call_later(STALLED, self._give_up)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        self._patience = None
        if not self.transport.is_closing():
            self.transport.close()


class SocketServer(uvicorn.Server):
    """Serves in this process and event loop until `stop`."""

    def __init__(self, app: Any, bound: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Protocol,
                ws=Socket,
                lifespan="off",
                backlog=BACKLOG,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # kit/proxies.py reads them, and not from everybody here
                timeout_keep_alive=KEPT_ALIVE,
            )
        )
        self._bound = bound
        # A stream whose client does not read is cut without an end; that is no error of ours.
        logging.getLogger("uvicorn.error").addFilter(
            lambda record: "without completing response" not in record.getMessage()
        )

    async def serve(self, sockets: Any = None) -> None:
        own = socket.socket(fileno=os.dup(self._bound.fileno()))  # uvicorn closes what it is given
        await super().serve([own])

    def stop(self) -> None:
        """Take no more; what is under way is finished."""
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the process's business, not this server's."""
        yield
