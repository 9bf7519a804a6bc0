"""
Who may come in.

`LocalOwner` is for `pullse dev`: no login, so everything that could bring a stranger's
request to a loopback port is refused: a foreign `Host` (DNS rebinding), a cross-site
browser request, anything that a proxy has forwarded. `BearerToken` is for `pullse serve`.
"""

import hmac
import re
from collections.abc import Set
from dataclasses import dataclass
from typing import Any

from pullse.kit.edge import NotLetIn

LOOPBACK = rb"(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(:\d{1,5})?"
LOOPBACK_HOST = re.compile(LOOPBACK, re.IGNORECASE)
LOOPBACK_ORIGIN = re.compile(rb"https?://" + LOOPBACK)
FORWARDING = frozenset(
    {
        b"forwarded",
        b"via",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-forwarded-port",
        b"x-forwarded-server",
        b"x-real-ip",
        b"x-client-ip",
        b"x-original-host",
        b"true-client-ip",
        b"cf-connecting-ip",
    }
)
OPEN = frozenset({"/health/live", "/health/ready"})


@dataclass(frozen=True)
class LocalOwner:
    """The one person at this machine."""

    def admit(self, scope: Any, headers: dict[bytes, bytes]) -> str:
        if not LOOPBACK_HOST.fullmatch(headers.get(b"host", b"")):
            raise NotLetIn(
                403,
                "pullse dev answers only as localhost, 127.0.0.1 or [::1]; use pullse serve.",
                "foreign_host",
            )
        if not FORWARDING.isdisjoint(headers):
            raise NotLetIn(
                403, "pullse dev does not stand behind a proxy; use pullse serve.", "forwarded"
            )
        origin = headers.get(b"origin")
        site = headers.get(b"sec-fetch-site", b"none")
        is_foreign = origin is not None and not self.allows_origin(origin)
        is_blind = origin is None and site not in (b"none", b"same-origin")
        if is_foreign or is_blind:
            raise NotLetIn(403, "Pages of other sites may not call pullse dev.", "cross_site")
        return "owner"

    def allows_origin(self, origin: bytes) -> bool:
        return LOOPBACK_ORIGIN.fullmatch(origin) is not None


@dataclass(frozen=True)
class BearerToken:
    """One token opens everything, until agents have accounts."""

    token: str
    open_paths: Set[str] = OPEN

    def admit(self, scope: Any, headers: dict[bytes, bytes]) -> str:
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), self.token.encode()):
            return "token"
        if scope["path"] in self.open_paths:
            return "anonymous"
        raise NotLetIn(
            401, "Send the API token: Authorization: Bearer <PULLSE_API_TOKEN>.", "unauthorized"
        )

    def allows_origin(self, origin: bytes) -> bool:
        return False
