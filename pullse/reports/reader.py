"""
A reader of facts that counts: one process at a time moves it on, in portions.

It need not hurry. What is counted is exact without it too, as long as it is not far behind
(see counting.py), so it looks each second or so instead of following each fact.
"""

import asyncio
from collections.abc import Awaitable, Callable

from pullse.errors import Unavailable
from pullse.kit.db import Database, Db, Struct
from pullse.kit.events import Place

SOON = 0.25
LATE = 2.0
GAP = 0.005
"""Seconds between two full portions, for those who want something from the database meanwhile."""

Step = Callable[[Database], Awaitable[bool]]
"""Read one portion, if there is one and nobody else is at it. Was it a full one?"""


class Reader(Struct, frozen=True):
    tx: int
    id: int


async def follow(database: Database, name: str, step: Step) -> None:
    """For ever. What goes wrong is shown by /health/ready, and tried again."""
    pause, is_well = SOON, False
    while True:
        try:
            if await step(database):
                pause = SOON
                await asyncio.sleep(GAP)
                continue
            if not is_well:
                await note(database, name, None)
                is_well = True
            pause = SOON if await is_behind(database, name) else min(2 * pause, LATE)
        except Unavailable:
            pause = LATE
        except Exception as error:
            await note(database, name, f"{type(error).__name__}: {error}"[:500])
            raise
        await asyncio.sleep(pause)


async def note(database: Database, name: str, error: str | None) -> None:
    async with database.session() as db:
        await db.run(
            "UPDATE readers SET error = $2 WHERE name = $1 AND error IS DISTINCT FROM $2",
            name,
            error,
        )


async def is_behind(database: Database, name: str) -> bool:
    """By the newest fact: one that is looked for among all may be the last that is found."""
    async with database.session() as db:
        return bool(
            await db.value(
                """
                SELECT (newest.tx, newest.id) > (readers.tx, readers.id)
                  FROM readers, (SELECT tx, id
                                   FROM events
                               ORDER BY tx DESC, id DESC
                                  LIMIT 1) AS newest
                 WHERE readers.name = $1
                """,
                name,
            )
        )


async def lock(db: Db, name: str) -> Place | None:
    """How far it has come; None where it has not begun, or another process moves it right now."""
    reader = await db.maybe(
        Reader, "SELECT tx, id FROM readers WHERE name = $1 FOR UPDATE SKIP LOCKED", name
    )
    return None if reader is None else Place(reader.tx, reader.id)


async def portion(db: Db, after: Place, most: int) -> tuple[Place, int] | None:
    """The last place of the settled facts after `after`, at most so many, and how many they are."""
    rows = await db.rows(
        """
        SELECT tx, id, count(*) OVER () AS count
          FROM (SELECT tx, id
                  FROM events
                 WHERE (tx, id) > ($1, $2)
                   AND tx < pg_snapshot_xmin(pg_current_snapshot())::text::bigint + feed_offset()
              ORDER BY tx, id
                 LIMIT $3) AS portion
      ORDER BY tx DESC, id DESC
         LIMIT 1
        """,
        after.tx,
        after.id,
        most,
    )
    return (Place(rows[0][0], rows[0][1]), rows[0][2]) if rows else None
