"""
HTTP calls as data: a slice lists its `Call`s, `app.py` adds them up, and routing, OpenAPI
and the checks that every call shares are made from that list.

A handler reads its input, does one transaction and returns an `Answer`. Every body is the
envelope `{status, message, data}`; a refusal anywhere below becomes one here and only here.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import litestar
import msgspec
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.types import Method, Receive, Scope, Send

from pullse.errors import (
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    Mismatch,
    NotFound,
    Refusal,
    Stale,
    Unavailable,
)
from pullse.kit import reading
from pullse.kit.db import Database
from pullse.kit.events import Actor
from pullse.kit.tail import Tail

log = logging.getLogger(__name__)

Input = TypeVar("Input")

STATUS: dict[type[Refusal], int] = {
    Invalid: 400,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    Gone: 410,
    Stale: 412,
    Mismatch: 422,
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

    def to_asgi_response(self, *_: Any, **__: Any) -> "Answer":
        """The framework asks this of what its exception handlers return."""
        return self

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


class Request(litestar.Request[Any, Any, Any]):
    """One request, with what the edge found out about it."""

    _raw: bytes | None = None

    @property
    def services(self) -> Services:
        return self.scope["services"]  # type: ignore[typeddict-item, no-any-return]

    @property
    def database(self) -> Database:
        return self.services.database

    @property
    def actor(self) -> Actor:
        return self.scope["actor"]  # type: ignore[typeddict-item, no-any-return]

    @property
    def called(self) -> "Call":
        return self.scope["call"]  # type: ignore[typeddict-item, no-any-return]

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
    tag: str = ""
    description: str = ""
    conditional: bool = False
    refuses: Sequence[type[Refusal]] = ()
    is_open: bool = False
    media_type: str = "application/json"
    also: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


METHODS: list[Method] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
OTHER = "PUT"
"""What no call uses: the edge hands on methods that nobody knows as this one."""


def handlers(calls: Sequence[Call]) -> list[HTTPRouteHandler]:
    """The framework's handlers: one a path, which takes every method or says which it takes."""
    paths: dict[str, dict[str, Call]] = {}
    for call in calls:
        paths.setdefault(call.path, {})[call.method] = call
    return [handler(path, by_method) for path, by_method in paths.items()]


def handler(path: str, by_method: dict[str, Call]) -> HTTPRouteHandler:
    methods = [*by_method, *(["HEAD"] if "GET" in by_method else []), "OPTIONS"]
    allow = (b"allow", ", ".join(methods).encode())

    async def handle(request: Request) -> Answer:
        call = by_method.get(request.scope["method"])
        if call is None:
            return other_method(request.scope["method"], allow)
        request.scope["call"] = call  # type: ignore[typeddict-unknown-key]
        try:
            if call.query is None and request.scope["query_string"]:
                reading.query(request.scope["query_string"], reading.Nothing)
            return await call.run(request)  # type: ignore[no-any-return]
        except Refusal as error:
            return refused(error)

    return litestar.route(path.replace("}", ":str}"), http_method=METHODS, status_code=200)(handle)


def other_method(method: str, allow: tuple[bytes, bytes]) -> Answer:
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


def encoded(value: object) -> str:
    return msgspec.json.encode(value).decode()


def refused(error: Refusal) -> Answer:
    """The most specific class of the family decides the status."""
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 400)
    headers: Headers = [(b"retry-after", b"1")] if status == 503 else []
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


def on_http_error(request: litestar.Request[Any, Any, Any], error: HTTPException) -> Answer:
    """What the framework itself refuses: unknown paths."""
    if error.status_code == 404:
        return no(404, "There is nothing at this address.", "not_found")
    if error.status_code == 400:
        return no(400, "The request is malformed.", "malformed")
    return on_bug(request, error)


def on_bug(request: litestar.Request[Any, Any, Any], error: Exception) -> Answer:
    """Logged once, with the request's id; nothing of it goes out."""
    actor = request.scope.get("actor")
    log.error(
        "%s %s failed",
        request.scope["method"],
        request.scope["path"],
        exc_info=error,
        extra={"request_id": actor.request_id if isinstance(actor, Actor) else None},
    )
    return no(500, "Something went wrong on our side; it has been logged.", "internal")
