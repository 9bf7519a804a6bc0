"""
Reads facts into counts by day, team and agent, and looks them up.

The first time it begins at the beginning, in portions of some milliseconds each, and can be
stopped anywhere: its place, the marks and the counts move together.
"""

from uuid import UUID

from pullse.kit.db import Database, Db
from pullse.kit.events import Place
from pullse.kit.relay import move_reader
from pullse.reports import insight_queries as queries
from pullse.reports import measuring, reader
from pullse.reports.measuring import Mark

PORTION = 250
"""So that whoever else this process serves waits for some milliseconds at most."""


async def run(database: Database) -> None:
    """For ever, in every process; one at a time reads."""
    async with database.session() as db:
        await queries.begin(db)
    await reader.follow(database, queries.READER, step)


async def step(database: Database) -> bool:
    async with database.transaction() as db:
        if not await queries.is_first(db):
            return await read_on(db, queries.READER)
        place = await reader.lock(db, queries.FIRST)
        if place is None or not await queries.is_first(db):
            return False
        if await reader.portion(db, place, 1) is None:
            await queries.finish(db, place)
            return False
        await read_portion(db, queries.FIRST, place)
        return True


async def read_on(db: Db, name: str) -> bool:
    place = await reader.lock(db, name)
    return place is not None and await read_portion(db, name, place) == PORTION


async def read_portion(db: Db, name: str, place: Place) -> int:
    found = await reader.portion(db, place, PORTION)
    if found is None:
        return 0
    end, count = found
    news = await queries.news(db, place, end)
    ids = list({each.ticket_id for each in news})
    before: dict[UUID, Mark | None] = {
        mark.ticket_id: mark for mark in await queries.marks(db, ids)
    }
    now, counts = measuring.change(before, news)
    await queries.put_marks(db, [mark for mark in now.values() if mark is not None])
    gone = [id_ for id_, mark in now.items() if mark is None and before.get(id_) is not None]
    if gone:
        await queries.drop_marks(db, gone)
    if counts:
        await queries.add(db, counts)
    await move_reader(db, name, end)
    return count
