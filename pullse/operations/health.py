"""/health/live, /health/ready and /metrics."""

from collections.abc import Sequence

from pullse.errors import Unavailable
from pullse.kit import migrate
from pullse.kit.db import Db, Struct
from pullse.kit.edge import Edge
from pullse.kit.web import Answer, Call, Request, encoded, no, ok


class Backlog(Struct, frozen=True):
    """Ages in seconds; zero when nothing waits."""

    undelivered: float
    due_job: float
    dead_jobs: int
    jobs: int


class Reader(Struct, frozen=True):
    name: str
    error: str | None


class Waiting(Struct, frozen=True):
    """How far behind a reader of facts is: up to 10,000 facts, and the age of the oldest."""

    name: str
    error: str | None
    facts: int
    seconds: float


async def live(request: Request) -> Answer:
    return ok(request)


async def ready(request: Request) -> Answer:
    """503 while the database is away or not migrated. Trouble with Ably is told, not fatal."""
    try:
        async with request.database.session() as db:
            waiting = await migrate.pending(db)
            if waiting:
                return not_ready(f"Migrations wait: {', '.join(m.name for m in waiting)}.")
            found = await backlog(db, request.services.readers)
            readers = await failing(db, request.services.readers)
    except Unavailable as error:
        return not_ready(str(error))
    except migrate.Broken as error:
        return not_ready(str(error))
    data = {
        "database": "ok",
        "migrations": "ok",
        "oldest_undelivered_seconds": round(found.undelivered, 3),
        "oldest_due_job_seconds": round(found.due_job, 3),
        "dead_jobs": found.dead_jobs,
        "problems": [f"{reader.name}: {reader.error}" for reader in readers],
    }
    if request.actor.id == "anonymous":
        data = {"database": "ok", "migrations": "ok"}
    return ok(request, encoded(data))


def not_ready(why: str) -> Answer:
    return no(503, why, "not_ready", headers=[(b"retry-after", b"1")])


async def metrics(request: Request) -> Answer:
    edge: Edge = request.scope["edge"]
    values = edge.metrics
    try:
        async with request.database.session() as db:
            found = await backlog(db, request.services.readers)
    except Unavailable:
        values.set("pullse_database_up", "1 when the database answers.", 0)
    else:
        values.set("pullse_database_up", "1 when the database answers.", 1)
        values.set("pullse_undelivered_seconds", "Age of the oldest such fact.", found.undelivered)
        values.set("pullse_due_job_seconds", "Age of the oldest due job.", found.due_job)
        values.set("pullse_jobs", "Jobs that wait or run.", found.jobs)
        values.set("pullse_dead_jobs", "Jobs that failed for good.", found.dead_jobs)
    values.set("pullse_streams", "Followers of the feed here.", request.services.tail.followers)
    values.set("pullse_requests_under_way", "Requests being answered here.", edge.under_way)
    text = values.text()
    headers = [
        (b"content-type", b"text/plain; version=0.0.4; charset=utf-8"),
        (b"content-length", b"%d" % len(text)),
    ]
    return Answer(200, text, headers)


async def backlog(db: Db, readers: Sequence[str]) -> Backlog:
    return await db.one(
        Backlog,
        """
        SELECT coalesce((SELECT max(extract(epoch FROM now() - next.at))::float8
                           FROM readers
                           CROSS JOIN LATERAL
                                (SELECT at FROM events
                                  WHERE (events.tx, events.id) > (readers.tx, readers.id)
                               ORDER BY events.tx, events.id LIMIT 1) AS next
                          WHERE readers.name = ANY($1::text[])), 0) AS undelivered,
               coalesce((SELECT extract(epoch FROM now() - min(due_at))::float8
                           FROM jobs WHERE dead_at IS NULL AND due_at <= now()), 0) AS due_job,
               (SELECT count(*) FROM jobs WHERE dead_at IS NOT NULL) AS dead_jobs,
               (SELECT count(*) FROM jobs WHERE dead_at IS NULL) AS jobs
        """,
        readers,
    )


async def waiting(db: Db) -> list[Waiting]:
    return await db.all(
        Waiting,
        """
        SELECT name, error,
               (SELECT count(*) FROM (SELECT FROM events
                                       WHERE (events.tx, events.id) > (readers.tx, readers.id)
                                       LIMIT 10000) AS later)::int AS facts,
               coalesce((SELECT extract(epoch FROM now() - at) FROM events
                          WHERE (events.tx, events.id) > (readers.tx, readers.id)
                       ORDER BY tx, id LIMIT 1), 0)::float8 AS seconds
          FROM readers
      ORDER BY name
        """,
    )


async def failing(db: Db, readers: Sequence[str]) -> list[Reader]:
    return await db.all(
        Reader,
        """
        SELECT name, error FROM readers
         WHERE error IS NOT NULL AND name = ANY($1::text[])
      ORDER BY name
        """,
        readers,
    )


calls = [
    Call(
        "GET",
        "/health/live",
        live,
        "Is the process alive?",
        "The process is alive.",
        tag="operations",
        is_open=True,
    ),
    Call(
        "GET",
        "/health/ready",
        ready,
        "Can it serve? Database, migrations, what waits and for how long",
        "Ready to serve.",
        tag="operations",
        is_open=True,
    ),
    Call(
        "GET",
        "/metrics",
        metrics,
        "Counters of this process, in Prometheus text",
        "Metrics.",
        tag="operations",
        media_type="text/plain",
        permission="operations:read",
    ),
]
