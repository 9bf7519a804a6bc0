"""
Waiting until what is committed is settled.

Facts are settled below the oldest transaction of the whole PostgreSQL server, so another
test's, in another database, holds them back for a moment.
"""

import asyncio

import asyncpg

from pullse.kit.db import Database

ALL_SETTLED = """
    SELECT NOT EXISTS (SELECT FROM events
                        WHERE tx >= pg_snapshot_xmin(pg_current_snapshot())::text::bigint
                                    + feed_offset())
"""


async def settled(database: Database) -> None:
    async with asyncio.timeout(10), database.session() as db:
        while not await db.value(ALL_SETTLED):
            await asyncio.sleep(0.002)


async def settled_at(url: str) -> None:
    connection = await asyncpg.connect(url)
    async with asyncio.timeout(10):
        while not await connection.fetchval(ALL_SETTLED):
            await asyncio.sleep(0.002)
    await connection.close()
