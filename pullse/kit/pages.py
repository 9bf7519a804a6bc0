"""
Answers for people: whole HTML pages, and what the forms on them send.

A form posts to an address of the page that it stands on, is refused on the same page with what
was typed still there (never a password), and leads on with 303 when it is done. No page needs
a script. Who may see a page, and whether a form is our own, is decided where it is for the API.
"""

import contextlib
import re
from collections.abc import Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from pullse.errors import Refusal, Unavailable
from pullse.kit import events, reading
from pullse.kit.db import Database
from pullse.kit.headers import OF_PAGE
from pullse.kit.web import STATUS, Call, Handler, Headers, Receive, Request, Scope, Send

Shape = TypeVar("Shape")

HTML = "text/html"
NEVER_SHOWN = frozenset({"password", "new_password", "repeated", "code"})
"""Fields whose values go into no page."""
OWN_PATH = re.compile(r"/(?!/)[A-Za-z0-9._~!$&'()*+,;=:@%/?-]{0,999}")
HIDDEN = re.compile(r"%(2f|5c|[01][0-9a-f]|7f)|%(?![0-9a-f]{2})", re.IGNORECASE)
"""What some browser or server may take for a slash, or for the end of a line."""
FRAGMENT = b"fragment="
NO_PAGES = ("/api/", "/health/", "/metrics")


class Shown:
    """A page, or whatever else has a head of its own."""

    __slots__ = ("body", "head", "headers", "status")

    def __init__(
        self, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]] = (), *, head: Any
    ) -> None:
        self.status = status
        self.body = body
        self.headers = [(b"content-length", b"%d" % len(body)), *headers]
        self.head = head

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status, "headers": self.headers}
        await send({**start, "head": self.head})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


class Form:
    """What was typed, and what is wrong with it."""

    __slots__ = ("given", "message", "problems")

    def __init__(
        self,
        given: Sequence[tuple[str, str]] = (),
        message: str = "",
        problems: dict[str, str] | None = None,
    ) -> None:
        self.given = given
        self.message = message
        """Of the form as a whole; problems have fields."""
        self.problems = problems or {}

    def read(self, shape: type[Shape]) -> Shape:
        """Exactly the fields that `shape` has. Raises `Invalid`."""
        return reading.form(self.given, shape)

    def refused(self, error: Refusal) -> "Form":
        """The same once more, saying why not. What is no matter of the form goes on."""
        if isinstance(error, Unavailable):
            raise error
        message = "" if error.problems else str(error)
        return Form(self.given, message, error.problems)

    def value(self, name: str) -> str:
        values = self.values(name)
        return values[-1] if values else ""

    def values(self, name: str) -> list[str]:
        return [] if name in NEVER_SHOWN else [value for key, value in self.given if key == name]

    def problem(self, name: str) -> str:
        return self.problems.get(name, "")


EMPTY = Form()


async def read_form(request: Request) -> Form:
    reading.check_is_form(request.header(b"content-type"))
    return Form(reading.pairs(await request.read_raw(), "form"))


def see(path: str, headers: Headers | None = None) -> Shown:
    """What was asked for is done; look there."""
    return Shown(303, b"", [(b"location", path.encode("ascii")), *(headers or ())], head=OF_PAGE)


def status_of(error: Refusal) -> int:
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 400)


def own_path(text: str | None) -> str:
    """An address of this server to go on to, or else the first page; never another server's."""
    return text if text is not None and is_own_path(text) else "/"


def is_own_path(text: str) -> bool:
    """May a browser be sent there, and stays with us?"""
    path = text.partition("?")[0]
    return bool(OWN_PATH.fullmatch(text) and "//" not in path and not HIDDEN.search(path))


def to_sign_in(scope: Scope) -> Shown:
    """And back here afterwards. Of a form nothing is kept but where it stood."""
    asked = scope.get("raw_path") or quote(scope["path"]).encode()
    if scope["query_string"] and scope["method"] != "POST":
        asked += b"?" + scope["query_string"]
    path = own_path(asked.decode("latin-1"))
    return see("/sign-in" if path == "/" else f"/sign-in?return_to={quote(path, safe='')}")


def wants_page(scope: Scope) -> bool:
    """Does a browser show what comes to a person?"""
    accept = b",".join(value for name, value in scope["headers"] if name == b"accept")
    return HTML.encode() in accept and not scope["path"].startswith(NO_PAGES)


def showing(path: str, run: Handler, permission: str = "", *, query: Any = None) -> Call:
    """A page. Without a permission it is open."""
    return listed("GET", path, run, permission, query)


def doing(path: str, run: Handler, permission: str = "") -> Call:
    """What a form does."""
    return listed("POST", path, run, permission, None)


def listed(method: str, path: str, run: Handler, permission: str, query: Any) -> Call:
    return Call(
        method,
        path,
        followed(run) if permission else run,
        "A page",
        "",
        query=query,
        permission=permission,
        is_open=not permission,
        is_repeatable=False,
        media_type=HTML,
    )


def followed(run: Handler) -> Handler:
    """
    A page says where the feed was before anything on it was read, so that an open page misses
    nothing and is told of nothing twice. A fragment is part of a page that knows already.
    """

    async def run_from_here(request: Request) -> Any:
        scope = request.scope
        if "events:read" in request.actor.rights and FRAGMENT not in scope["query_string"]:
            with contextlib.suppress(Unavailable):
                scope["feed"] = await end_of_feed(request.database)
        return await run(request)

    return run_from_here


async def end_of_feed(database: Database) -> str:
    async with database.session() as db:
        newest = await events.end(db)
    return events.cursor(newest.epoch, newest.place)


def with_ways_back(pages: Sequence[Call]) -> list[Call]:
    """
    Who asks for the address of a form, by a reload or after signing in again, is led to the
    page above it.
    """
    shown = {page.path for page in pages if page.method == "GET"}
    back = []
    for page in pages:
        if page.path not in shown:
            steps, above = 0, page.path
            while above not in shown and above != "/":
                steps, above = steps + 1, above.rpartition("/")[0] or "/"
            back.append(showing(page.path, up(steps), page.permission))
    return [*pages, *back]


def up(steps: int) -> Handler:
    async def run(request: Request) -> Shown:
        asked = request.scope["path"].rstrip("/")
        return see(own_path(quote(asked.rsplit("/", steps)[0])))

    return run
