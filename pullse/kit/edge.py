"""
The outermost layer: what holds for every request before any handler sees it.

Request ids in and out, who may come in (`Guard`), the size of bodies, CORS for those that
the guard lets in, the count of requests under way (so that a stop can wait for them) and
metrics. Plain ASGI, because each request pays for it.
"""

import asyncio
import os
import re
import time
from collections.abc import Callable, Container, Sequence, Set
from dataclasses import dataclass
from typing import Any, Protocol

from pullse.errors import Refusal, Unavailable
from pullse.kit.events import Actor
from pullse.kit.metrics import Metrics
from pullse.kit.web import Answer, Application, Receive, Send, Services, no, refused
from pullse.kit.websockets import Refused, Session, Socket, Upgrade

BODY_AT_MOST = 1 << 20
REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
NOSNIFF = (b"x-content-type-options", b"nosniff")
NO_CACHE = (b"cache-control", b"private, no-cache")


class NotLetIn(Refusal):
    """By the guard, before anything was looked at."""

    def __init__(self, status: int, message: str, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Everything:
    """The rights of who may do all that there is."""

    def __contains__(self, permission: object) -> bool:
        return True


EVERYTHING: Container[str] = Everything()


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whom the guard has let in: the actor's id, and the permissions that it has."""

    id: str
    rights: Container[str] = frozenset()


ANONYMOUS = Visitor("anonymous")


class Guard(Protocol):
    async def admit(self, scope: Any, headers: dict[bytes, bytes]) -> Visitor:
        """Who asks. Raises `NotLetIn`."""

    def screen(self, given: Sequence[tuple[bytes, bytes]]) -> None:
        """For what has a door of its own: may these headers even try? Raises `NotLetIn`."""

    def allows_origin(self, origin: bytes) -> bool:
        """May pages of this origin read our answers?"""


class TooLarge(BaseException):
    """The body went past the limit. No Exception: of those the router makes a 500."""


@dataclass(frozen=True)
class Annex:
    """An application beside the calls, with its own door, answers and limits."""

    app: Application
    segments: Set[str]
    """First segments of the paths that are its own."""
    accept: Callable[[Upgrade, Socket], Session]


@dataclass
class Edge:
    app: Application
    services: Services
    guard: Guard
    metrics: Metrics
    annex: Annex | None = None
    under_way: int = 0

    def accept(self, upgrade: Upgrade, socket: Socket) -> Session:
        """For `kit.websockets`: a connection to the annex."""
        if self.annex is None:
            raise Refused(404, "There is no WebSocket at this address.")
        try:
            self.guard.screen(upgrade.headers)
        except NotLetIn as error:
            raise Refused(error.status, str(error)) from error
        return self.annex.accept(upgrade, socket)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        scope["edge"] = self
        headers = dict(scope["headers"])
        request_id = headers.get(b"x-request-id", b"")
        if not REQUEST_ID.fullmatch(request_id):
            request_id = os.urandom(12).hex().encode()
        origin = headers.get(b"origin")
        annex = self.annex
        if annex is not None and scope["path"][1:].partition("/")[0] not in annex.segments:
            annex = None
        extra = [(b"x-request-id", request_id), NOSNIFF, NO_CACHE]
        if annex is None and origin is not None and self.guard.allows_origin(origin):
            extra += cors(origin)
        is_head = scope["method"] == "HEAD"
        status = 0

        async def send_with_headers(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *extra]
            elif is_head:
                message["body"] = b""
            await send(message)

        self.under_way += 1
        try:
            early = await self._early(scope, headers, request_id, annex)
            length = headers.get(b"content-length")
            is_ours = early is None and annex is None
            if is_ours and length is not None and not within(length):
                early = too_large()
            if early is not None:
                await early(scope, receive, send_with_headers)
                return
            if is_head:
                scope = {**scope, "method": "GET", "is_head": True}
            if is_ours and length is None and scope["method"] != "GET":
                receive = bounded(receive)
            app = self.app if annex is None else annex.app
            await app(scope, receive, send_with_headers)
        except TooLarge:
            if not status:
                await too_large()(scope, receive, send_with_headers)
        finally:
            self.under_way -= 1
            self.metrics.count(scope, status, time.perf_counter() - started)

    async def _early(
        self, scope: Any, headers: dict[bytes, bytes], request_id: bytes, annex: Annex | None
    ) -> Answer | None:
        """The answer to what never reaches a handler."""
        visitor = ANONYMOUS
        try:
            if annex is None:
                visitor = await self.guard.admit(scope, headers)
            else:
                self.guard.screen(scope["headers"])
        except NotLetIn as error:
            challenge = [(b"www-authenticate", b"Bearer")] if error.status == 401 else []
            return no(error.status, str(error), error.code, headers=challenge)
        except Unavailable as error:  # who asks can't be told without the database
            return refused(error)
        is_preflight = scope["method"] == "OPTIONS" and b"access-control-request-method" in headers
        if is_preflight and annex is None:
            origin = headers.get(b"origin")
            if origin is not None and self.guard.allows_origin(origin):
                return preflight()
        client = scope.get("client")
        address = client[0] if client else None
        scope["actor"] = Actor(visitor.id, request_id.decode(), visitor.rights, address)
        scope["services"] = self.services
        return None

    async def idle(self, patience: float) -> bool:
        """Wait until no request is under way; False when `patience` seconds were not enough."""
        give_up = time.monotonic() + patience
        while self.under_way and time.monotonic() < give_up:
            await asyncio.sleep(0.01)
        return not self.under_way


def within(length: bytes) -> bool:
    return length.isdigit() and int(length) <= BODY_AT_MOST


def bounded(receive: Receive) -> Receive:
    """Count what comes in when nobody said how much it will be."""
    total = 0

    async def counted() -> Any:
        nonlocal total
        message: Any = await receive()
        total += len(message.get("body", b""))
        if total > BODY_AT_MOST:
            raise TooLarge
        return message

    return counted


def too_large() -> Answer:
    return no(
        413, "The body is larger than 1 MiB.", "too_large", headers=[(b"connection", b"close")]
    )


def cors(origin: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", b"ETag, Location, X-Request-Id, Idempotency-Replayed"),
        (b"vary", b"Origin"),
    ]


def preflight() -> Answer:
    return Answer(
        204,
        b"",
        [
            (b"access-control-allow-methods", b"GET, POST, PATCH, DELETE"),
            (
                b"access-control-allow-headers",
                b"Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key, "
                b"Last-Event-ID, X-Request-Id",
            ),
            (b"access-control-max-age", b"600"),
        ],
    )
