"""
The verbs of those who look after jobs: each leaves a row in the audit trail, which tells of a
job by its id and name; what it was about stays with the job.
"""

from datetime import datetime
from typing import Any, NoReturn
from uuid import UUID

import msgspec

from pullse.errors import Conflict, NotFound
from pullse.kit import audit, jobs
from pullse.kit.db import Db, Struct
from pullse.kit.events import Actor
from pullse.operations import job_queries as queries
from pullse.operations.job_queries import Row

RETRIED_AT_MOST = 1000
"""At once, so that no transaction is long."""
HIDDEN = "…"


class JobRunning(Conflict):
    code = "job_running"

    def __init__(self) -> None:
        super().__init__("This job runs just now; wait until it has ended.")


class JobNotDead(Conflict):
    code = "job_not_dead"

    def __init__(self) -> None:
        super().__init__("This job is not dead: it will run, or does so now.")


class Retried(Struct, frozen=True):
    """`is_more`: there were more dead ones than are retried at once."""

    count: int
    is_more: bool


async def get(db: Db, job_id: int) -> Row:
    return await queries.find(db, job_id) or no_job()


async def retry(db: Db, job_id: int, *, by: Actor) -> Row:
    """A dead or waiting one is due now, with all attempts ahead."""
    old = await lock(db, job_id)
    if old.state == "running":
        raise JobRunning
    await jobs.retry(db, job_id)
    data = {"job_id": old.id, "name": old.name, "attempts": old.attempts}
    await audit.record(db, "job.retried", by=by, data=data)
    return await get(db, job_id)


async def retry_dead(db: Db, name: str | None, *, by: Actor) -> Retried:
    """All dead ones, or those of one name, the oldest first."""
    count = await queries.revive(db, name=name, limit=RETRIED_AT_MOST)
    if count:
        await audit.record(db, "job.retried", by=by, data={"count": count, "name": name})
    left = await queries.dead(db, name=name, after=None, limit=1)
    return Retried(count, is_more=count == RETRIED_AT_MOST and bool(left))


async def delete(db: Db, job_id: int, *, by: Actor) -> None:
    """What it was to do is not done, for good. One that may still run stays."""
    old = await lock(db, job_id)
    if old.state != "dead":
        raise JobNotDead
    await queries.remove(db, job_id)
    data = {"job_id": old.id, "name": old.name, "attempts": old.attempts}
    await audit.record(db, "job.deleted", by=by, data=data)


async def lock(db: Db, job_id: int) -> Row:
    return await queries.lock(db, job_id) or no_job()


def shown_arguments(args: str) -> dict[str, Any]:
    """Which they are, and of what they say only what names nobody: see `masked`."""
    given = msgspec.json.decode(args)
    return {name: masked(value) for name, value in given.items()}


def masked(value: Any) -> Any:
    """Numbers, ids and moments as they are; of any other text its length."""
    if isinstance(value, dict):
        return {name: masked(each) for name, each in value.items()}
    if isinstance(value, list):
        return [masked(each) for each in value]
    if isinstance(value, str) and not is_id(value) and not is_moment(value):
        return f"{HIDDEN} ({len(value)})"
    return value


def is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def is_moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def no_job() -> NoReturn:
    raise NotFound("There is no such job.")
