"""Every statement of those who look after jobs; the worker's own are in kit/jobs.py."""

from datetime import datetime

from pullse.kit.db import Db, Struct

COUNTED_AT_MOST = 10_000
"""Rows looked at to say how many there are."""
KINDS_AT_MOST = 100


class Row(Struct, frozen=True):
    """`args` is JSON text, whole: see `shown_arguments` before it goes anywhere."""

    id: int
    name: str
    args: str
    state: str
    attempts: int
    created_at: datetime
    due_at: datetime
    dead_at: datetime | None
    error: str | None


class Counts(Struct, frozen=True):
    """Up to `COUNTED_AT_MOST` each."""

    queued: int
    running: int
    dead: int


class Kind(Struct, frozen=True):
    """Dead jobs of one name."""

    name: str
    count: int


class Mark(Struct, frozen=True):
    """The slot of the schedule for which this job was put in the queue last."""

    name: str
    last_at: datetime


async def queued(
    db: Db, *, name: str | None, after: tuple[datetime, int] | None, limit: int
) -> list[Row]:
    """What runs or waits, by when it is due."""
    due_at, job_id = after or (None, None)
    return await db.all(
        Row,
        """
        SELECT id, name, args,
               CASE WHEN leased_until > now() THEN 'running'
                    WHEN due_at <= now() THEN 'due'
                    ELSE 'waiting' END AS state,
               attempts, created_at, due_at, dead_at, error
          FROM jobs
         WHERE dead_at IS NULL
           AND ($1::text IS NULL OR name = $1)
           AND ($2::timestamptz IS NULL OR (due_at, id) > ($2, $3::bigint))
      ORDER BY due_at, id
         LIMIT $4
        """,
        name,
        due_at,
        job_id,
        limit,
    )


async def dead(
    db: Db, *, name: str | None, after: tuple[datetime, int] | None, limit: int
) -> list[Row]:
    """The newest first."""
    dead_at, job_id = after or (None, None)
    return await db.all(
        Row,
        """
        SELECT id, name, args, 'dead' AS state, attempts, created_at, due_at, dead_at, error
          FROM jobs
         WHERE dead_at IS NOT NULL
           AND ($1::text IS NULL OR name = $1)
           AND ($2::timestamptz IS NULL OR (dead_at, id) < ($2, $3::bigint))
      ORDER BY dead_at DESC, id DESC
         LIMIT $4
        """,
        name,
        dead_at,
        job_id,
        limit,
    )


async def find(db: Db, job_id: int) -> Row | None:
    return await db.maybe(
        Row,
        """
        SELECT id, name, args,
               CASE WHEN dead_at IS NOT NULL THEN 'dead'
                    WHEN leased_until > now() THEN 'running'
                    WHEN due_at <= now() THEN 'due'
                    ELSE 'waiting' END AS state,
               attempts, created_at, due_at, dead_at, error
          FROM jobs
         WHERE id = $1
        """,
        job_id,
    )


async def lock(db: Db, job_id: int) -> Row | None:
    """
    Read a job that is about to change, and keep workers off it.

    By the clock, not by `now()`: who has waited for a worker sees what it did.
    """
    return await db.maybe(
        Row,
        """
        SELECT id, name, args,
               CASE WHEN dead_at IS NOT NULL THEN 'dead'
                    WHEN leased_until > clock_timestamp() THEN 'running'
                    WHEN due_at <= clock_timestamp() THEN 'due'
                    ELSE 'waiting' END AS state,
               attempts, created_at, due_at, dead_at, error
          FROM jobs
         WHERE id = $1
           FOR UPDATE
        """,
        job_id,
    )


async def revive(db: Db, *, name: str | None, limit: int) -> int:
    """Dead ones, the oldest first, are due now with all attempts ahead; say how many."""
    return await db.run(
        """
        UPDATE jobs
           SET due_at = now(), dead_at = NULL, attempts = 0, leased_until = NULL
         WHERE id IN (SELECT id FROM jobs
                       WHERE dead_at IS NOT NULL
                         AND ($1::text IS NULL OR name = $1)
                    ORDER BY dead_at, id
                       LIMIT $2
                         FOR UPDATE SKIP LOCKED)
        """,
        name,
        limit,
    )


async def remove(db: Db, job_id: int) -> None:
    await db.run("DELETE FROM jobs WHERE id = $1", job_id)


async def counts(db: Db) -> Counts:
    return await db.one(
        Counts,
        """
        WITH queue AS (
            SELECT leased_until > now() AS is_running FROM jobs
             WHERE dead_at IS NULL
          ORDER BY due_at, id
             LIMIT $1
        )
        SELECT (SELECT count(*) FROM queue) AS queued,
               (SELECT count(*) FROM queue WHERE is_running) AS running,
               (SELECT count(*)
                  FROM (SELECT FROM jobs WHERE dead_at IS NOT NULL LIMIT $1) AS looked_at) AS dead
        """,
        COUNTED_AT_MOST,
    )


async def kinds(db: Db) -> list[Kind]:
    """Of the dead jobs that are looked at, those with the most first."""
    return await db.all(
        Kind,
        """
          SELECT name, count(*) AS count
            FROM (SELECT name FROM jobs
                   WHERE dead_at IS NOT NULL
                ORDER BY dead_at DESC, id DESC
                   LIMIT $1) AS looked_at
        GROUP BY name
        ORDER BY count(*) DESC, name
           LIMIT $2
        """,
        COUNTED_AT_MOST,
        KINDS_AT_MOST,
    )


async def marks(db: Db) -> list[Mark]:
    return await db.all(Mark, "SELECT name, last_at FROM schedules ORDER BY name")
