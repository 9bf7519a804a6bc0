"""/api/jobs: what is to be done, what failed for good, and what runs by the clock."""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from pullse.errors import Invalid
from pullse.kit import idempotency
from pullse.kit.db import Db
from pullse.kit.web import Answer, Call, Request, encoded, ok
from pullse.operations import job_actions as actions
from pullse.operations import job_queries as queries
from pullse.operations.job_actions import JobNotDead, JobRunning, shown_arguments
from pullse.operations.job_queries import Row

State = Literal["running", "due", "waiting", "dead"]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
MOST = (1 << 63) - 1


class Job(msgspec.Struct, frozen=True):
    id: int
    name: str
    state: State
    arguments: Annotated[
        dict[str, Any],
        Meta(description="Numbers, ids and moments; of any other text its length alone."),
    ]
    attempts: int
    created_at: datetime
    due_at: datetime
    dead_at: datetime | None
    error: Annotated[str | None, Meta(description="Of the last attempt.")]


class JobPage(msgspec.Struct, frozen=True):
    records: list[Job]
    next_cursor: Annotated[
        str | None, Meta(description="Give it as `cursor` for the next page; null at the end.")
    ]


class JobQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    state: Annotated[
        Literal["queued", "dead"],
        Meta(description="What runs or waits, by when it is due; or the dead, newest first."),
    ] = "queued"
    name: Name | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, Meta(max_length=2000)] | None = None


class Which(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[
        Name | None, Meta(description="Dead jobs of this name; without it, all of them.")
    ] = None


class Retried(msgspec.Struct, frozen=True):
    retried: int
    is_more: Annotated[bool, Meta(description="Of many, 1,000 are retried at once: ask again.")]


class Scheduled(msgspec.Struct, frozen=True):
    name: str
    seconds: Annotated[int, Meta(description="Between two runs.")]
    last_at: Annotated[datetime | None, Meta(description="The slot it was put in the queue for.")]
    next_at: datetime | None


class Schedule(msgspec.Struct, frozen=True):
    records: list[Scheduled]


async def index(request: Request) -> Answer:
    query = request.read_query(JobQuery)
    after = place_of(query.cursor)
    read = queries.dead if query.state == "dead" else queries.queued
    async with request.database.session() as db:
        rows = await read(db, name=query.name, after=after, limit=query.limit + 1)
    records = [shown(row) for row in rows[: query.limit]]
    return ok(request, encoded(JobPage(records, next_cursor(rows, query.limit))))


async def show(request: Request) -> Answer:
    async with request.database.session() as db:
        row = await actions.get(db, id_in_path(request))
    return ok(request, encoded(shown(row)))


async def retry(request: Request) -> Answer:
    job_id = id_in_path(request)

    async def run(db: Db) -> Answer:
        return ok(request, encoded(shown(await actions.retry(db, job_id, by=request.actor))))

    return await idempotency.post(request, run)


async def retry_dead(request: Request) -> Answer:
    which = await request.read_body(Which)

    async def run(db: Db) -> Answer:
        done = await actions.retry_dead(db, which.name, by=request.actor)
        return ok(request, encoded(Retried(done.count, done.is_more)))

    return await idempotency.post(request, run)


async def delete(request: Request) -> Answer:
    async with request.database.transaction() as db:
        await actions.delete(db, id_in_path(request), by=request.actor)
    return ok(request)


async def schedule(request: Request) -> Answer:
    return ok(request, encoded(Schedule(await scheduled(request))))


async def scheduled(request: Request) -> list[Scheduled]:
    """What this release runs by the clock."""
    async with request.database.session() as db:
        last = {each.name: each.last_at for each in await queries.marks(db)}
    found = []
    for every in request.services.schedule:
        at, pause = last.get(every.job.name), timedelta(seconds=every.seconds)
        found.append(Scheduled(every.job.name, every.seconds, at, at and at + pause))
    return found


def shown(row: Row) -> Job:
    return Job(
        id=row.id,
        name=row.name,
        state=row.state,  # type: ignore[arg-type]
        arguments=shown_arguments(row.args),
        attempts=row.attempts,
        created_at=row.created_at,
        due_at=row.due_at,
        dead_at=row.dead_at,
        error=row.error,
    )


def id_in_path(request: Request) -> int:
    text = request.path_params["job"]
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= MOST):
        actions.no_job()
    return int(text)


def next_cursor(rows: Sequence[Row], limit: int) -> str | None:
    """Of one row more than `limit` where there are more."""
    return make_cursor(rows[limit - 1]) if len(rows) > limit else None


def make_cursor(row: Row) -> str:
    raw = msgspec.json.encode((row.dead_at or row.due_at, row.id))
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def place_of(cursor: str | None) -> tuple[datetime, int] | None:
    """The moment and the id after which to go on; raises `Invalid`."""
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(
            cursor.encode("ascii") + b"=" * (-len(cursor) % 4), b"-_", validate=True
        )
        at, job_id = msgspec.json.decode(raw, type=tuple[datetime, int])
        if at.tzinfo is not None and 0 <= job_id <= MOST:
            return at, job_id
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        pass
    raise Invalid.field("cursor", "This is not a cursor of this list.")


EXAMPLE = {
    "id": 4711,
    "name": "tickets.purge",
    "state": "dead",
    "arguments": {},
    "attempts": 12,
    "created_at": "2026-11-22T03:00:00.123456+00:00",
    "due_at": "2026-11-22T10:00:00.123456+00:00",
    "dead_at": "2026-11-22T09:00:00.123456+00:00",
    "error": "Unavailable: The database is away.",
}
AGAIN = {**EXAMPLE, "state": "due", "attempts": 0, "dead_at": None}
SLOT = {
    "name": "tickets.purge",
    "seconds": 3600,
    "last_at": "2026-11-22T09:00:00+00:00",
    "next_at": "2026-11-22T10:00:00+00:00",
}

calls = [
    Call(
        "GET",
        "/api/jobs",
        index,
        "List jobs that run or wait, or that are dead",
        "Jobs have been fetched.",
        query=JobQuery,
        data=JobPage,
        example={"records": [EXAMPLE], "next_cursor": None},
        tag="operations",
        permission="operations:admin",
    ),
    Call(
        "GET",
        "/api/jobs/schedule",
        schedule,
        "List what runs by the clock",
        "The schedule has been fetched.",
        data=Schedule,
        example={"records": [SLOT]},
        tag="operations",
        permission="operations:admin",
    ),
    Call(
        "POST",
        "/api/jobs/retry",
        retry_dead,
        "Retry dead jobs, all or those of one name",
        "Dead jobs are due now.",
        body=Which,
        body_example={"name": "tickets.purge"},
        data=Retried,
        example={"retried": 1, "is_more": False},
        tag="operations",
        permission="operations:admin",
    ),
    Call(
        "GET",
        "/api/jobs/{job}",
        show,
        "Show a job",
        "Job has been fetched.",
        data=Job,
        example=EXAMPLE,
        tag="operations",
        permission="operations:admin",
    ),
    Call(
        "POST",
        "/api/jobs/{job}/retry",
        retry,
        "Run a dead or waiting job now, with all attempts ahead",
        "Job is due now.",
        data=Job,
        example=AGAIN,
        tag="operations",
        refuses=[JobRunning],
        permission="operations:admin",
    ),
    Call(
        "DELETE",
        "/api/jobs/{job}",
        delete,
        "Delete a dead job",
        "Job has been deleted.",
        tag="operations",
        refuses=[JobNotDead],
        permission="operations:admin",
    ),
]
