"""The composition root: the one module that knows every slice and adds up what each offers."""

from collections.abc import Sequence

import msgspec

from pullse import __version__
from pullse.agents import api as agents
from pullse.kit import idempotency
from pullse.kit.db import Database
from pullse.kit.edge import Edge, Guard
from pullse.kit.jobs import Every, Job
from pullse.kit.metrics import Metrics
from pullse.kit.openapi import describe
from pullse.kit.relay import Reactions
from pullse.kit.tail import Tail
from pullse.kit.web import Answer, Call, Request, Router, Services
from pullse.operations import health
from pullse.realtime import feed
from pullse.tickets import api as tickets
from pullse.tickets import departures
from pullse.tickets import jobs as ticket_jobs


async def openapi(request: Request) -> Answer:
    """The description of this very list of calls."""
    body = described(has_token=request.actor.id != "owner")
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    return Answer(200, body, headers)


calls: list[Call] = [
    *tickets.calls,
    *agents.calls,
    *departures.calls,
    *feed.calls,
    *health.calls,
    Call(
        "GET",
        "/api/openapi.json",
        openapi,
        "This description",
        "OpenAPI 3.1.",
        tag="operations",
        media_type="application/json",
    ),
]

jobs: dict[str, Job[...]] = {each.name: each for each in [*idempotency.jobs, *ticket_jobs.jobs]}
schedule: list[Every] = [*idempotency.schedule, *ticket_jobs.schedule]
reactions: Reactions = {}


def described(*, has_token: bool) -> bytes:
    return msgspec.json.encode(describe(calls, version=__version__, has_token=has_token))


def build(
    database: Database, tail: Tail, guard: Guard, *, readers: Sequence[str] = ("relay",)
) -> Edge:
    """The whole ASGI application; `readers` of facts are those that health looks at."""
    return Edge(Router(calls), Services(database, tail, readers), guard, Metrics())
