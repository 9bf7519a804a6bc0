"""
HTTP calls as data: a slice lists its `Call`s, `app.py` adds them up, and routing, OpenAPI
and the checks that every call shares are made from that list.

A handler reads its input, does one transaction and returns an `Answer`. Every body is the
envelope `{status, message, data}`; a refusal anywhere below becomes one here and only here.
"""

import logging
import os
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from pullse.errors import (
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    Mismatch,
    NotFound,
    Refusal,
    Stale,
    TooMany,
    Unavailable,
    Unproven,
)
from pullse.kit import reading
from pullse.kit.db import Database
from pullse.kit.events import Actor
from pullse.kit.secret import Secret
from pullse.kit.tail import Tail

log = logging.getLogger(__name__)

Input = TypeVar("Input")

# What ASGI hands over: plain dictionaries, and functions that give and take them.
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

STATUS: dict[type[Refusal], int] = {
    Invalid: 400,
    Unproven: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    Gone: 410,
    Stale: 412,
    Mismatch: 422,
    TooMany: 429,
    Unavailable: 503,
    reading.Malformed: 400,
    reading.WrongMediaType: 415,
}
JSON = (b"content-type", b"application/json")

Headers = list[tuple[bytes, bytes]]


class Answer:
    """A whole response, ready to send."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes, headers: Headers) -> None:
        self.status = status
        self.body = body
        self.headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


@dataclass(frozen=True)
class Services:
    """What handlers may use, the same for every request of the process."""

    database: Database
    tail: Tail
    readers: Sequence[str] = ("relay",)
    """Names of the readers of facts that are at work; those of others may have stopped for good."""
    realtime: Any = None
    """Who gives out tokens for the channels; see gateway/api.py."""
    forget: Callable[[], None] = lambda: None
    """What is remembered of who may do what, after a commit that took a right away."""
    note_refusal: Callable[[Actor, "Call", Forbidden], None] = lambda actor, call, error: None
    """Told who was refused a permission; see access/refusals.py."""
    secret: Secret | None = None
    """The installation's; None where it can't be had."""
    providers: Any = ()
    """By whom one may sign in, besides ourselves; see access/oidc."""
    pages: Any = None
    """The frame of pages; see web/frame.py."""
    checkup: Any = None
    """Looks at what this process needs; see operations/checkup.py."""
    schedule: Sequence[Any] = ()
    """What runs by the clock; see kit/jobs.py."""
    key: bytes = field(default_factory=lambda: os.urandom(32), repr=False)
    """What this installation alone knows, the same in all of its processes, for pages."""


class Request:
    """One request, with what the edge and the router found out about it."""

    __slots__ = ("_raw", "called", "path_params", "receive", "scope")

    def __init__(
        self, scope: Scope, receive: Receive, called: "Call", path_params: dict[str, str]
    ) -> None:
        self.scope = scope
        self.receive = receive
        self.called = called
        self.path_params = path_params
        self._raw: bytes | None = None

    @property
    def services(self) -> Services:
        return self.scope["services"]  # type: ignore[no-any-return]

    @property
    def database(self) -> Database:
        return self.services.database

    @property
    def actor(self) -> Actor:
        return self.scope["actor"]  # type: ignore[no-any-return]

    def header(self, name: bytes) -> str | None:
        """The last value of a header, by its lower-case name."""
        found = None
        for key, value in self.scope["headers"]:
            if key == name:
                found = value.decode("latin-1")
        return found

    def read_query(self, shape: type[Input]) -> Input:
        """The query string, of exactly the parameters that `shape` has."""
        return reading.query(self.scope["query_string"], shape)

    async def read_body(self, shape: type[Input]) -> Input:
        """The JSON body, of exactly the fields that `shape` has."""
        reading.check_media_type(self.header(b"content-type"))
        return reading.body(await self.read_raw(), shape)

    async def read_raw(self) -> bytes:
        """The body's bytes; the edge has put a limit to them."""
        if self._raw is None:
            message: Any = await self.receive()
            body = message.get("body", b"")
            while message.get("more_body"):
                message = await self.receive()
                body += message.get("body", b"")
            if message["type"] == "http.disconnect":
                raise reading.Malformed("The connection ended before the body did.")
            self._raw = bytes(body)
        return self._raw


Handler = Callable[[Request], Awaitable[Any]]


@dataclass(frozen=True)
class Call:
    """One call of the API: what it takes, what it answers and who runs it."""

    method: str
    path: str
    run: Handler
    summary: str
    message: str
    status: int = 200
    data: Any = None
    body: Any = None
    query: Any = None
    example: Any = None
    body_example: Any = None
    """Where the example of the answer does not have the body's fields too."""
    tag: str = ""
    permission: str = ""
    """What the caller's rights must contain; only open calls need none."""
    description: str = ""
    conditional: bool = False
    refuses: Sequence[type[Refusal]] = ()
    is_open: bool = False
    is_repeatable: bool = True
    """A POST that takes an Idempotency-Key."""
    media_type: str = "application/json"
    also: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


Told = Callable[[Scope, Refusal | None, Answer], Any]
"""Makes of an answer that refuses one for a person, or passes it on; None stands for a bug."""


class Router:
    """Finds the call for a path and a method, runs it, and answers whatever comes of it."""

    def __init__(
        self, calls: Sequence[Call], told: Told = lambda scope, error, answer: answer
    ) -> None:
        self._told = told
        self._fixed: dict[str, dict[str, Call]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Call]]] = []
        for path in dict.fromkeys(call.path for call in calls):
            by_method = {call.method: call for call in calls if call.path == path}
            if "{" in path:
                pattern = re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path)
                self._patterns.append((re.compile(pattern), by_method))
            else:
                self._fixed[path.removesuffix("/")] = by_method

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._answer(scope, receive)
        except Refusal as error:
            if isinstance(error, Forbidden):
                scope["services"].note_refusal(scope["actor"], scope["call"], error)
            answer = self._told(scope, error, refused(error))
        except Exception as error:
            answer = self._told(scope, None, on_bug(scope, error))
        await answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Any:
        by_method, path_params = self._find(scope["path"])
        if by_method is None:
            raise NotFound("There is nothing at this address.")
        call = by_method.get(scope["method"])
        if call is None:
            return other_method(scope["method"], by_method)
        scope["call"] = call
        if not call.is_open and call.permission not in scope["actor"].rights:
            lacks = scope["actor"].lacks
            raise lacks() if lacks else Forbidden(f"This takes the permission {call.permission}.")
        if call.query is None and scope["query_string"]:
            reading.query(scope["query_string"], reading.Nothing)
        return await call.run(Request(scope, receive, call, path_params))

    def _find(self, path: str) -> tuple[dict[str, Call] | None, dict[str, str]]:
        """A slash at the end makes no difference."""
        if path.endswith("/"):
            path = path[:-1]
        found = self._fixed.get(path)
        if found is not None:
            return found, {}
        for pattern, by_method in self._patterns:
            match = pattern.fullmatch(path)
            if match:
                return by_method, match.groupdict()
        return None, {}


def other_method(method: str, by_method: dict[str, Call]) -> Answer:
    methods = [*by_method, *(["HEAD"] if "GET" in by_method else []), "OPTIONS"]
    allow = (b"allow", ", ".join(methods).encode())
    if method == "OPTIONS":
        return Answer(204, b"", [allow])
    message = "This address does not take this method."
    return no(405, message, "method_not_allowed", headers=[allow])


def ok(request: Request, data: str | None = None, headers: Headers | None = None) -> Answer:
    """The call's own status and message, with `data` as JSON text."""
    call = request.called
    return succeeded(call.status, call.message, data, headers)


def succeeded(
    status: int, message: str, data: str | None = None, headers: Headers | None = None
) -> Answer:
    text = f'{{"status":true,"message":"{message}"'
    body = (f'{text},"data":{data}}}' if data is not None else text + "}").encode()
    return Answer(
        status,
        body,
        [JSON, (b"content-length", b"%d" % len(body)), *(headers or ())],
    )


def see_other(location: str, headers: Headers | None = None) -> Answer:
    """For a browser, which goes on there with a GET. `location` is ours or was checked."""
    where = (b"location", location.encode("ascii"))
    return Answer(303, b"", [where, (b"content-length", b"0"), *(headers or ())])


def encoded(value: object) -> str:
    return msgspec.json.encode(value).decode()


def refused(error: Refusal) -> Answer:
    """The most specific class of the family decides the status."""
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 400)
    headers: Headers = [(b"retry-after", b"1")] if status == 503 else []
    if isinstance(error, TooMany):
        headers = [(b"retry-after", b"%d" % error.seconds)]
    problems = [{"field": name, "message": text} for name, text in error.problems.items()]
    return no(status, str(error), error.code, problems, data=error.data, headers=headers)


def no(
    status: int,
    message: str,
    code: str,
    problems: Sequence[dict[str, str]] = (),
    *,
    data: Any = None,
    headers: Headers | None = None,
) -> Answer:
    content: dict[str, Any] = {
        "status": False,
        "message": message,
        "code": code,
        "errors": list(problems),
    }
    if data is not None:
        content["data"] = data
    body = msgspec.json.encode(content)
    return Answer(status, body, [JSON, (b"content-length", b"%d" % len(body)), *(headers or ())])


def on_bug(scope: Scope, error: Exception) -> Answer:
    """Logged once, with the request's id; nothing of it goes out."""
    log.error(
        "%s %s failed",
        scope["method"],
        scope["path"],
        exc_info=error,
        extra={"request_id": scope["actor"].request_id},
    )
    return no(500, "Something went wrong on our side; it has been logged.", "internal")
