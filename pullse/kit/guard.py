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
from pullse.kit.events import LOCAL

LOOPBACK = rb"(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(:\d{1,5})?"
LOOPBACK_HOST = re.compile(LOOPBACK, re.IGNORECASE)
LOOPBACK_ORIGIN = re.compile(rb"https?://" + LOOPBACK)
PORT = re.compile(rb":\d{1,5}\Z")
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

OPEN_POSTS = re.compile(
    r"/(sign-in(/code)?|links/[^/]+|api/(session|links/[^/]+)(/passkey(/options)?)?)/?"
)
"""How one who is not known yet gets in."""
OPEN_GETS = re.compile(r"/api/sign-in/(providers|oidc/[^/]+(/callback)?)/?")
"""How one who is not known yet is sent to a provider, and comes back."""
CALLBACK = re.compile(r"/api/sign-in/oidc/[^/]+/callback/?")
OPEN_PAGES = re.compile(r"/(sign-in(/code)?|links/[^/]+)/?")
"""And what one sees before."""
ASSETS = "/assets/"
"""Nobody is looked up for these: a page that says the database is away has its style too."""
READING = frozenset({"GET", "HEAD", "OPTIONS"})
COOKIE, COOKIE_OVER_TLS = b"pullse", b"__Host-pullse"
"""Over TLS only the second one counts, which neither a page of another name nor one without
TLS can set."""

Find = Callable[[str], Awaitable[Visitor | None]]
"""Whose an API token is, or a session, if it is good."""


def is_open_post(scope: Any) -> bool:
    return scope["method"] == "POST" and OPEN_POSTS.fullmatch(scope["path"]) is not None


def is_open_get(scope: Any) -> bool:
    return scope["method"] in ("GET", "HEAD") and OPEN_GETS.fullmatch(scope["path"]) is not None


def is_open_page(scope: Any) -> bool:
    return scope["method"] in READING and OPEN_PAGES.fullmatch(scope["path"]) is not None


def is_asset(scope: Any) -> bool:
    return scope["path"].startswith(ASSETS) and scope["method"] in READING


def bearer(headers: dict[bytes, bytes]) -> str | None:
    value = headers.get(b"authorization")
    if value is None:
        return None
    scheme, _, given = value.partition(b" ")
    return given.strip().decode("latin-1") if scheme.lower() == b"bearer" else None


def session_of(scope: Any, headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    return cookie(scope, headers, b"")


def cookie(scope: Any, headers: Sequence[tuple[bytes, bytes]], suffix: bytes) -> str | None:
    """The first of ours by this name; HTTP/2 may send several headers."""
    wanted = cookie_name(scope) + suffix + b"="
    for header, value in headers:
        if header == b"cookie" and wanted in value:
            for pair in value.split(b";"):
                pair = pair.strip()
                if pair.startswith(wanted):
                    return pair[len(wanted) :].decode("latin-1")
    return None


def cookie_name(scope: Any) -> bytes:
    return COOKIE_OVER_TLS if scope["scheme"] == "https" else COOKIE


def check_site(scope: Any, headers: dict[bytes, bytes], *, is_sure: bool) -> None:
    """
    Is this our own page's request? `is_sure`: one that does not say so is refused too.

    Browsers say the site of the page that asks, and older ones its origin; both can't be
    changed by the page. Raises `NotLetIn`.
    """
    if scope["method"] in READING:
        return
    site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
    if site is not None:
        is_ours = site in (b"same-origin", b"none")
    elif origin is not None:
        own = scope["scheme"].encode() + b"://" + headers.get(b"host", b"")
        is_ours = origin.lower() == own.lower()
    else:
        is_ours = not is_sure
    if not is_ours:
        raise NotLetIn(403, "Pages of other sites may not do this in your name.", "cross_site")


@dataclass(frozen=True)
class LocalOwner:
    """The one person at this machine, who may also try how it is to be somebody with a token."""

    find: Find | None = None
    find_session: Find | None = None

    async def admit(self, scope: Any, headers: dict[bytes, bytes]) -> Visitor:
        if scope["method"] == "GET" and CALLBACK.fullmatch(scope["path"]):
            self.screen_way(scope["headers"])  # the provider's page sends the browser here
        else:
            self.screen(scope["headers"])
        token = bearer(headers)
        if token is None and self.find_session is not None and scope["path"] not in OPEN:
            session = session_of(scope, scope["headers"])
            visitor = None if session is None else await self.find_session(session)
            if visitor is not None and not (is_open_post(scope) or is_open_get(scope)):
                check_site(scope, headers, is_sure=True)
                return visitor
        if token is None or self.find is None or scope["path"] in OPEN:
            return Visitor(LOCAL, EVERYTHING, teams=None)
        visitor = await self.find(token)
        if visitor is None:
            raise NotLetIn(401, "This token is not known, or no longer good.", "unauthorized")
        return visitor

    def screen(self, given: Sequence[tuple[bytes, bytes]]) -> None:
        self.screen_way(given)
        headers = dict(given)
        origin = headers.get(b"origin")
        site = headers.get(b"sec-fetch-site", b"none")
        is_foreign = origin is not None and not self.allows_origin(origin)
        is_blind = origin is None and site not in (b"none", b"same-origin")
        if is_foreign or is_blind:
            raise NotLetIn(403, "Pages of other sites may not call pullse dev.", "cross_site")

    def screen_way(self, given: Sequence[tuple[bytes, bytes]]) -> None:
        """By which name, and through what."""
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

    def allows_origin(self, origin: bytes) -> bool:
        return LOOPBACK_ORIGIN.fullmatch(origin) is not None


@dataclass(frozen=True)
class BearerToken:
    """The operator's token opens everything; API tokens open what they were made for."""

    token: str = field(repr=False)
    open_paths: Set[str] = OPEN
    find: Find | None = None
    hosts: Set[bytes] = frozenset()
    """Names that this server answers to, without a port; any, if none is given."""
    origins: Set[bytes] = frozenset()
    """Of the sites whose pages may read answers."""
    find_session: Find | None = None

    async def admit(self, scope: Any, headers: dict[bytes, bytes]) -> Visitor:
        # what looks at our health knows an address alone
        if self.hosts and scope["path"] not in OPEN:
            self.screen(scope["headers"])
        token = bearer(headers)
        if token is not None:
            if hmac.compare_digest(token.encode("latin-1"), self.token.encode()):
                return Visitor("token", EVERYTHING, teams=None)
            # whether we live is told also while the database is away
            if self.find is not None and scope["path"] not in self.open_paths:
                visitor = await self.find(token)
                if visitor is not None:
                    return visitor
        if scope["path"] in self.open_paths or is_open_get(scope) or is_asset(scope):
            return ANONYMOUS
        if is_open_post(scope):
            check_site(scope, headers, is_sure=False)
            return ANONYMOUS
        if token is None and self.find_session is not None:
            session = session_of(scope, scope["headers"])
            visitor = None if session is None else await self.find_session(session)
            if visitor is not None:
                check_site(scope, headers, is_sure=True)
                return visitor
        if is_open_page(scope):
            return ANONYMOUS
        raise NotLetIn(
            401, "Sign in, or send an API token: Authorization: Bearer <token>.", "unauthorized"
        )

    def screen(self, given: Sequence[tuple[bytes, bytes]]) -> None:
        """Whoever has credentials of the gateway may come from anywhere, but by our names."""
        if not self.hosts:
            return
        hosts = [value for name, value in given if name == b"host"]
        if len(hosts) != 1 or PORT.sub(b"", hosts[0]).lower() not in self.hosts:
            raise NotLetIn(403, "This server does not answer to this name.", "foreign_host")

    def allows_origin(self, origin: bytes) -> bool:
        return origin in self.origins
