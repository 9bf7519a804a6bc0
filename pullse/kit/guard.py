"""
Who may come in.

`LocalOwner` is for `pullse dev`: no login, so everything that could bring a stranger's
request to a loopback port is refused: a foreign `Host` (DNS rebinding), a cross-site
browser request, anything that a proxy has forwarded. `BearerToken` is for `pullse serve`.
"""

import hmac
import re
from collections.abc import Awaitable, Callable, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from pullse.kit.edge import ANONYMOUS, EVERYTHING, NotLetIn, Visitor

LOOPBACK = rb"(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(:\d{1,5})?"
LOOPBACK_HOST = re.compile(LOOPBACK, re.IGNORECASE)
LOOPBACK_ORIGIN = re.compile(rb"https?://" + LOOPBACK)
FORWARDING = frozenset(
    {
        b"forwarded",
        b"via",
        b"x-real-ip",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-original-host",
        b"x-original-url",
        b"x-envoy-external-address",
        b"true-client-ip",
        b"fastly-client-ip",
        b"fly-client-ip",
        b"cf-connecting-ip",
    }
)
FORWARDED = b"x-forwarded"
OPEN = frozenset({"/health/live", "/health/ready"})

Find = Callable[[str], Awaitable[Visitor | None]]
"""Whose an API token is, if it is good."""


def bearer(headers: dict[bytes, bytes]) -> str | None:
    scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
    return given.strip().decode("latin-1") if scheme.lower() == b"bearer" else None


@dataclass(frozen=True)
class LocalOwner:
    """The one person at this machine, who may also try how it is to be somebody with a token."""

    find: Find | None = None

    async def admit(self, scope: Any, headers: dict[bytes, bytes]) -> Visitor:
        self.screen(scope["headers"])
        token = bearer(headers)
        if token is None or self.find is None or scope["path"] in OPEN:
            return Visitor("owner", EVERYTHING)
        visitor = await self.find(token)
        if visitor is None:
            raise NotLetIn(401, "This token is not known, or no longer good.", "unauthorized")
        return visitor

    def screen(self, given: Sequence[tuple[bytes, bytes]]) -> None:
        headers = dict(given)
        hosts = [value for name, value in given if name == b"host"]
        if len(hosts) != 1 or not LOOPBACK_HOST.fullmatch(hosts[0]):
            raise NotLetIn(
                403,
                "pullse dev answers only as localhost, 127.0.0.1 or [::1]; use pullse serve.",
                "foreign_host",
            )
        if any(name in FORWARDING or name.startswith(FORWARDED) for name in headers):
            raise NotLetIn(
                403, "pullse dev does not stand behind a proxy; use pullse serve.", "forwarded"
            )
        origin = headers.get(b"origin")
        site = headers.get(b"sec-fetch-site", b"none")
        is_foreign = origin is not None and not self.allows_origin(origin)
        is_blind = origin is None and site not in (b"none", b"same-origin")
        if is_foreign or is_blind:
            raise NotLetIn(403, "Pages of other sites may not call pullse dev.", "cross_site")

    def allows_origin(self, origin: bytes) -> bool:
        return LOOPBACK_ORIGIN.fullmatch(origin) is not None


@dataclass(frozen=True)
class BearerToken:
    """The operator's token opens everything; API tokens open what they were made for."""

    token: str = field(repr=False)
    open_paths: Set[str] = OPEN
    find: Find | None = None

    async def admit(self, scope: Any, headers: dict[bytes, bytes]) -> Visitor:
        token = bearer(headers)
        if token is not None:
            if hmac.compare_digest(token.encode("latin-1"), self.token.encode()):
                return Visitor("token", EVERYTHING)
            # whether we live is told also while the database is away
            if self.find is not None and scope["path"] not in self.open_paths:
                visitor = await self.find(token)
                if visitor is not None:
                    return visitor
        if scope["path"] in self.open_paths:
            return ANONYMOUS
        raise NotLetIn(401, "Send an API token: Authorization: Bearer <token>.", "unauthorized")

    def screen(self, given: Sequence[tuple[bytes, bytes]]) -> None:
        """Whoever has credentials of the gateway may come from anywhere."""

    def allows_origin(self, origin: bytes) -> bool:
        return False
