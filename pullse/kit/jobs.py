"""
Work for later, written in the same transaction as the reason for it.

    @job("email.send_reply")
    async def send_reply(database: Database, *, comment_id: UUID) -> None: ...

    await send_reply.later(db, comment_id=comment.id)

A job is handed the database, not a transaction, so that it holds none while it talks to
the outside. It may run more than once: make it safe to repeat. A worker leases a job and
renews the lease while it runs; when the worker dies the lease lapses and another takes
over. After `ATTEMPTS` failures a job is dead: kept, shown by `pullse jobs`, retried by hand.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Concatenate, Generic, ParamSpec

import msgspec

from pullse.errors import Unavailable
from pullse.kit.db import Database, Db, Struct

log = logging.getLogger(__name__)

Args = ParamSpec("Args")

ATTEMPTS = 12
LEASE = 60.0
"""Seconds. Renewed at a third of it."""
POLL = 1.0


@dataclass(frozen=True)
class Job(Generic[Args]):
    name: str
    run: Callable[Concatenate[Database, Args], Awaitable[None]]

    async def later(self, db: Db, /, *args: Args.args, **kwargs: Args.kwargs) -> None:
        """Enqueue in the caller's transaction; arguments by name, as JSON keeps them."""
        if args:
            raise TypeError("jobs take keyword arguments, so that they can be stored by name")
        await enqueue(db, self.name, kwargs)


def job(
    name: str,
) -> Callable[[Callable[Concatenate[Database, Args], Awaitable[None]]], Job[Args]]:
    return lambda run: Job(name, run)


Jobs = Mapping[str, Job[...]]


@dataclass(frozen=True)
class Every:
    """`job` once in each slot of `seconds`, whichever process comes first."""

    seconds: int
    job: Job[[]]


class Due(Struct, frozen=True):
    id: int
    name: str
    args: str
    attempts: int


class Shown(Struct, frozen=True):
    """A job as `pullse jobs` shows it."""

    id: int
    name: str
    args: str
    state: str
    attempts: int
    due_at: datetime
    error: str | None


async def enqueue(db: Db, name: str, args: Mapping[str, Any]) -> None:
    await db.run(
        "INSERT INTO jobs (name, args) VALUES ($1, $2)", name, msgspec.json.encode(args).decode()
    )


async def work(database: Database, jobs: Jobs, schedule: Sequence[Every] = ()) -> None:
    """For ever: run what is due, one at a time, and put the schedule's work in the queue."""
    while True:
        try:
            await enqueue_scheduled(database, schedule)
            while await work_one(database, jobs):
                pass
        except Unavailable as error:
            log.warning("Jobs wait: %s", error)
        await asyncio.sleep(POLL)


async def work_one(database: Database, jobs: Jobs) -> bool:
    """Run the next due job, if there is one. Say whether there was."""
    async with database.session() as db:
        due = await claim(db)
    if due is None:
        return False
    renewal = asyncio.ensure_future(_renew(database, due))
    try:
        if due.attempts > ATTEMPTS:
            raise RuntimeError("each time its worker ended while it ran")
        if due.name not in jobs:
            raise LookupError(f"no job is called {due.name}")
        await jobs[due.name].run(database, **msgspec.json.decode(due.args))
    except Exception as error:
        log.exception("Job %s (%d) failed", due.name, due.id)
        async with database.session() as db:
            await fail(db, due, f"{type(error).__name__}: {error}"[:2000])
    else:
        async with database.session() as db:
            await finish(db, due)
    finally:
        renewal.cancel()
    return True


async def claim(db: Db) -> Due | None:
    """Lease the oldest due job that nobody works on."""
    return await db.maybe(
        Due,
        """
           UPDATE jobs
              SET attempts = attempts + 1, leased_until = now() + make_interval(secs => $1)
            WHERE id = (SELECT id FROM jobs
                         WHERE dead_at IS NULL
                           AND due_at <= now()
                           AND (leased_until IS NULL OR leased_until < now())
                      ORDER BY due_at, id
                         LIMIT 1
                           FOR UPDATE SKIP LOCKED)
        RETURNING id, name, args, attempts
        """,
        LEASE,
    )


async def renew(db: Db, due: Due) -> bool:
    """`attempts` tells our lease from that of a worker who took over."""
    return bool(
        await db.run(
            """
            UPDATE jobs SET leased_until = now() + make_interval(secs => $3)
             WHERE id = $1 AND attempts = $2
            """,
            due.id,
            due.attempts,
            LEASE,
        )
    )


async def finish(db: Db, due: Due) -> None:
    await db.run("DELETE FROM jobs WHERE id = $1 AND attempts = $2", due.id, due.attempts)


async def fail(db: Db, due: Due, error: str) -> None:
    """Put off: 15 s, 30 s, 1 min … at most an hour; dead after the last attempt."""
    await db.run(
        """
        UPDATE jobs
           SET error = $3,
               leased_until = NULL,
               due_at = now() + least(interval '15 seconds' * 2 ^ (attempts - 1),
                                      interval '1 hour'),
               dead_at = CASE WHEN attempts >= $4 THEN now() END
         WHERE id = $1 AND attempts = $2
        """,
        due.id,
        due.attempts,
        error,
        ATTEMPTS,
    )


async def retry(db: Db, job_id: int) -> bool:
    """By hand: due now, with all attempts ahead. False when there is no such waiting job."""
    return bool(
        await db.run(
            """
            UPDATE jobs SET due_at = now(), dead_at = NULL, attempts = 0, leased_until = NULL
             WHERE id = $1 AND (leased_until IS NULL OR leased_until < now())
            """,
            job_id,
        )
    )


async def listed(db: Db, *, limit: int = 100) -> list[Shown]:
    """Dead ones first, then by when they are due."""
    return await db.all(
        Shown,
        """
        SELECT id, name, args,
               CASE WHEN dead_at IS NOT NULL THEN 'dead'
                    WHEN leased_until > now() THEN 'running'
                    WHEN due_at <= now() THEN 'due'
                    ELSE 'waiting' END AS state,
               attempts, due_at, error
          FROM jobs
      ORDER BY dead_at IS NULL, due_at, id
         LIMIT $1
        """,
        limit,
    )


async def enqueue_scheduled(database: Database, schedule: Sequence[Every]) -> None:
    """Of all processes the one that moves a slot's mark enqueues its job; others write nothing."""
    async with database.session() as db:
        for every in schedule:
            await db.run(
                """
                WITH slot AS (
                    SELECT date_bin(make_interval(secs => $2), now(), 'epoch') AS at
                ), ours AS (
                    INSERT INTO schedules (name, last_at)
                         SELECT $1, at FROM slot
                          WHERE NOT EXISTS (SELECT FROM schedules
                                             WHERE name = $1 AND last_at >= slot.at)
                    ON CONFLICT ON CONSTRAINT schedules_named_once DO UPDATE
                            SET last_at = excluded.last_at
                          WHERE schedules.last_at < excluded.last_at
                      RETURNING name
                )
                INSERT INTO jobs (name) SELECT name FROM ours
                """,
                every.job.name,
                float(every.seconds),
            )


async def _renew(database: Database, due: Due) -> None:
    while True:
        await asyncio.sleep(LEASE / 3)
        with contextlib.suppress(Unavailable):
            async with database.session() as db:
                await renew(db, due)
