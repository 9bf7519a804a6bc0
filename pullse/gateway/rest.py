"""
The gateway's HTTP calls, at the addresses and in the shapes of Ably's REST API.

What a client gets to see of something gone wrong is a code and one sentence; the rest is in
the log. Not served: messages that change, annotations, push. Figures (`/stats`) are a stub.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from pullse.errors import Refusal, Unavailable
from pullse.gateway import publishing, reading, sandbox, sse
from pullse.gateway.errors import (
    BAD_REQUEST,
    INTERNAL,
    NOT_FOUND,
    OTHER_METHOD,
    UNAVAILABLE,
    Failure,
)
from pullse.gateway.negotiation import (
    Request,
    Result,
    answer,
    preflight,
    refusal,
    segments_of,
)
from pullse.gateway.service import Gateway
from pullse.gateway.sse import Streams
from pullse.kit.events import SYSTEM
from pullse.kit.web import Answer, Application, Receive, Scope, Send

log = logging.getLogger(__name__)

SEGMENTS = frozenset(
    {
        "apps",
        "channels",
        "event-stream",
        "keys",
        "messages",
        "presence",
        "sse",
        "stats",
        "time",
    }
)
"""The first segments of the paths that are ours."""

Call = Callable[..., Awaitable[Any]]
Methods = Mapping[str, Call]


async def request_token(request: Request, key_name: str) -> Result:
    """A token for a signed request, or for an unsigned one of who shows the key itself."""
    wanted = await request.read_as(dict[str, Any])
    keyring = request.gateway.keyring
    return Result(await keyring.request_token(key_name, wanted, request.credentials), 201)


async def revoke_tokens(request: Request, key_name: str) -> Any:
    version = request.version
    wanted = await request.read_as(dict[str, Any])
    keyring = request.gateway.keyring
    by = request.scope.get("actor", SYSTEM)  # the sandbox has no edge
    outcome = await keyring.revoke(key_name, wanted, request.credentials, by=by)
    if version >= 3:
        return Result(outcome, 201)
    return publishing.flat(request, outcome["results"], 201)


ANY = "*"
CALLS: dict[tuple[str, ...], Methods] = {
    ("time",): {"GET": reading.tell_time},
    ("stats",): {"GET": reading.stats, "POST": reading.add_stats},
    ("messages",): {"POST": publishing.publish_batch},
    ("presence",): {"GET": reading.members_of_many},
    ("channels",): {"GET": reading.channels},
    ("channels", ANY): {"GET": reading.status},
    ("channels", ANY, "messages"): {"GET": reading.history, "POST": publishing.publish},
    ("channels", ANY, "history"): {"GET": reading.history_by_its_old_name},
    ("channels", ANY, "messages", ANY): {"GET": reading.message},
    ("channels", ANY, "presence"): {"GET": reading.members},
    ("channels", ANY, "presence", "history"): {"GET": reading.presence_history},
    ("keys", ANY, "requestToken"): {"POST": request_token},
    ("keys", ANY, "revokeTokens"): {"POST": revoke_tokens},
    ("sse",): {"GET": sse.events_of_channels},
    ("event-stream",): {"GET": sse.lines_or_events},
    ("apps",): {"POST": sandbox.create},
    ("apps", ANY): {"DELETE": sandbox.delete},
}


class Rest:
    """An ASGI application."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.streams = Streams(gateway)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(self._gateway, self.streams, scope, receive)
        try:
            given = await self._answer(request)
        except Failure as failure:
            given = refusal(request, failure)
        except Unavailable as error:
            given = refusal(request, Failure(UNAVAILABLE, str(error)))
        except Refusal as error:
            given = refusal(request, Failure(BAD_REQUEST, str(error)))
        except Exception as error:
            given = on_bug(request, error)
        await given(scope, receive, send)

    async def _answer(self, request: Request) -> Application:
        segments = segments_of(request.scope, request.headers)
        shape, names = shape_of(segments)
        methods = CALLS[shape]
        if request.method == "OPTIONS":
            return preflight(request, methods)
        call = methods.get(request.method)
        if call is None:
            return other_method(request, segments, methods)
        request.scope["call"] = Called(request.method, "/" + "/".join(shape))
        request.check()
        found = await call(request, *names)
        return answer(request, found) if isinstance(found, Result) else found


class Called(NamedTuple):
    """What the metrics count a request as."""

    method: str
    path: str


def shape_of(segments: list[str]) -> tuple[tuple[str, ...], list[str]]:
    """Which address of `CALLS` a path is, and the names in it. Raises Failure."""
    for positions in ((), (1,), (1, 3)):
        shape = tuple(ANY if index in positions else each for index, each in enumerate(segments))
        if shape in CALLS:
            return shape, [segments[index] for index in positions]
    raise nothing_here()


def other_method(request: Request, segments: list[str], methods: Methods) -> Answer:
    if segments[0] == "keys":  # the SDKs' tests take this for an address where nothing is
        raise nothing_here()
    allow = ", ".join((*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"))
    failure = Failure(OTHER_METHOD, "This address does not take this method.")
    return refusal(request, failure, [(b"allow", allow.encode())])


def nothing_here() -> Failure:
    return Failure(NOT_FOUND, "There is nothing at this address.")


def on_bug(request: Request, error: Exception) -> Answer:
    """Logged once, with the request's id; nothing of it goes out."""
    scope = request.scope
    actor = scope.get("actor")
    log.error(
        "%s %s failed",
        scope["method"],
        scope["path"],
        exc_info=error,
        extra={"request_id": getattr(actor, "request_id", None)},
    )
    failure = Failure(INTERNAL, "Something went wrong on our side; it has been logged.")
    return refusal(request, failure)
