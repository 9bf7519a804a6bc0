"""
The outermost layer: what holds for every request before any handler sees it.

Request ids in and out, where a request comes from (`Proxies`), who may come in (`Guard`) and
how often (`Rates`), the size of bodies, what is in every answer's head, CORS for those that
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
from uuid import UUID

from pullse.errors import Forbidden, Refusal, Unavailable
from pullse.kit.events import Actor
from pullse.kit.headers import (
    OF_ANNEX,
    OF_ANSWER,
    OF_SHARED,
    SECURE,
    cors,
    instead,
    preflight,
)
from pullse.kit.metrics import Metrics
from pullse.kit.proxies import NOBODY, Proxies
from pullse.kit.rates import Rates
from pullse.kit.web import (
    Application,
    Headers,
    Receive,
    Send,
    Services,
    Told,
    no,
    refused,
)
from pullse.kit.websockets import Refused, Session, Socket, Upgrade

BODY_AT_MOST = 1 << 20
CLOSE: Headers = [(b"connection", b"close")]
"""What else comes is read by nobody."""
REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


class NotLetIn(Refusal):
    """Before anything was looked at: by the guard, or because it is too much."""

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
    """
    Whom the guard has let in: the actor's id, and the permissions that it has.

    Agents and services are held to the rate; who may everything and who is nobody is not.
    `teams` and `token` as in `Actor`; `lacks` is what is raised where rights are missing, if
    there is more to say than that.
    """

    id: str
    rights: Container[str] = frozenset()
    session: UUID | None = None
    teams: frozenset[UUID] | None = frozenset()
    token: UUID | None = None
    lacks: Callable[[], Forbidden] | None = None


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
    proxies: Proxies = NOBODY
    rates: Rates | None = None
    told: Told = lambda scope, error, answer: answer
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
        if self.proxies.networks:
            self.proxies.read(scope)
        headers = dict(scope["headers"])
        request_id = headers.get(b"x-request-id", b"")
        if not REQUEST_ID.fullmatch(request_id):
            request_id = os.urandom(12).hex().encode()
        origin = headers.get(b"origin")
        annex = self.annex
        if annex is not None and scope["path"][1:].partition("/")[0] not in annex.segments:
            annex = None
        if annex is not None:
            extra = [(b"x-request-id", request_id), *OF_ANNEX]
        elif origin is not None and self.guard.allows_origin(origin):
            extra = [(b"x-request-id", request_id), *OF_SHARED, *cors(origin)]
        else:
            extra = [(b"x-request-id", request_id), *OF_ANSWER]
        if scope["scheme"] == "https":
            extra.append(SECURE)
        is_head = scope["method"] == "HEAD"
        status = 0

        async def send_with_headers(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                head = message.pop("head", None)
                usual = extra if head is None else instead(head, extra)
                message["headers"] = [*message["headers"], *usual]
            elif is_head:
                message["body"] = b""
            await send(message)

        self.under_way += 1
        try:
            early = await self._early(scope, headers, request_id, annex, extra)
            length = headers.get(b"content-length")
            is_ours = early is None and annex is None
            if is_ours and length is not None and not within(length):
                early = self._no(scope, too_large(), CLOSE)
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
                await self._no(scope, too_large(), CLOSE)(scope, receive, send_with_headers)
        finally:
            self.under_way -= 1
            self.metrics.count(scope, status, time.perf_counter() - started)

    async def _early(
        self,
        scope: Any,
        headers: dict[bytes, bytes],
        request_id: bytes,
        annex: Annex | None,
        extra: Headers,
    ) -> Any:
        """The answer to what never reaches a handler; `extra` are headers of any answer."""
        visitor = ANONYMOUS
        try:
            if annex is not None:
                self.guard.screen(scope["headers"])
            elif self._is_preflight(scope, headers):
                self.guard.screen(scope["headers"])
                return preflight()
            else:
                visitor = await self.guard.admit(scope, headers)
        except NotLetIn as error:
            challenge = [(b"www-authenticate", b"Bearer")] if error.status == 401 else []
            return self._no(scope, error, challenge)
        except Unavailable as error:  # who asks can't be told without the database
            return self.told(scope, error, refused(error))
        rates = self.rates
        if rates is not None and visitor is not ANONYMOUS and visitor.rights is not EVERYTHING:
            wait, told = rates.take(visitor.id)
            extra += told
            if wait:
                return self._no(scope, too_many(wait), [(b"retry-after", b"%d" % wait)])
        client = scope.get("client")
        address = client[0] if client else None
        scope["actor"] = Actor(
            visitor.id,
            request_id.decode(),
            visitor.rights,
            address,
            visitor.session,
            visitor.teams,
            visitor.token,
            lacks=visitor.lacks,
        )
        scope["services"] = self.services
        return None

    def _no(self, scope: Any, error: NotLetIn, headers: Headers) -> Any:
        """For a program or a person, whoever asks."""
        answer = no(error.status, str(error), error.code, headers=headers)
        return self.told(scope, error, answer)

    def _is_preflight(self, scope: Any, headers: dict[bytes, bytes]) -> bool:
        """Browsers show no credentials when they ask whether they may."""
        if scope["method"] != "OPTIONS" or b"access-control-request-method" not in headers:
            return False
        origin = headers.get(b"origin")
        return origin is not None and self.guard.allows_origin(origin)

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


def too_large() -> NotLetIn:
    return NotLetIn(413, "The body is larger than 1 MiB.", "too_large")


def too_many(wait: int) -> NotLetIn:
    return NotLetIn(429, f"Too many requests; go on in {wait} s.", "too_many_requests")
