"""
How many tickets there are in each list: exact, at a price that does not grow with the tickets.

A reader of facts keeps a small table of counters, as of its place in the feed. Who asks gets
those, plus what the few facts after that place add and take, in one statement, so in one
snapshot: the same that a SELECT count(*) would say there. docs/decisions/0016-counts.md.
"""

import asyncio
import logging
from datetime import UTC, date, datetime, timedelta

from pullse.kit.db import Database
from pullse.kit.events import Place
from pullse.kit.jobs import Every, job
from pullse.kit.relay import move_reader
from pullse.reports import count_queries as queries
from pullse.reports import reader

log = logging.getLogger(__name__)

PORTION = 1000
PAUSE = 1.0
LOCK = 0x636F756E74  # "count"
RECENT_DAYS = 7
DAY = 86_400


async def run(database: Database) -> None:
    """For ever, in every process; one at a time counts."""
    await reader.follow(database, queries.READER, step)


async def step(database: Database) -> bool:
    async with database.transaction() as db:
        place = await reader.lock(db, queries.READER)
        found = None if place is None else await reader.portion(db, place, PORTION)
        if place is not None and found is not None:
            end, count = found
            await queries.add(db, place, end)
            await move_reader(db, queries.READER, end)
            return count == PORTION
    if place is None and not await begun(database):
        await fill(database)
    return False


async def begun(database: Database) -> bool:
    async with database.session() as db:
        return bool(
            await db.value("SELECT EXISTS (SELECT FROM readers WHERE name = $1)", queries.READER)
        )


async def fill(database: Database) -> None:
    """
    Count all tickets, once; others wait for who does.

    A statement that only reads has no transaction number, so the feed is not held back while
    it goes through the table. What it found holds for its place whenever it is written down.
    """
    async with database.own_session() as (db, _):
        if not await db.value("SELECT pg_try_advisory_lock($1)", LOCK):
            await asyncio.sleep(PAUSE)
            return
        await db.run("SET statement_timeout = 0")
        counts = await queries.count_anew(db)
    async with database.transaction() as db:
        if await queries.begin(db, Place(counts[0].tx, counts[0].id)):
            await queries.put(db, counts)


def recent(today: date | None = None) -> date:
    """The first day (UTC) that is recent: today, and the seven before it."""
    return (today or datetime.now(UTC).date()) - timedelta(days=RECENT_DAYS)


@job("reports.check_counts")
async def check_counts(database: Database) -> None:
    """Nothing should ever differ. If something does, say so and count anew."""
    async with database.own_session() as (db, _):
        await db.run("SET statement_timeout = 0")
        wrong = await queries.differing(db)
    if wrong:
        log.error("%d counts of tickets differed from the tickets; all are counted anew", wrong)
        async with database.session() as db:
            await queries.forget(db)


jobs = [check_counts]
schedule = [Every(DAY, check_counts)]
