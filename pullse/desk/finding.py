"""
Tickets for who types a number or a few letters: quickly, at any size of the table.

A number is found as it is. Beginnings of words are looked for in the titles of the newest
tickets alone, whole words everywhere, by the search that the list has.
"""

import re
from collections.abc import Sequence
from uuid import UUID

import msgspec

from pullse.kit.db import Database, Db, Struct
from pullse.tickets import listing
from pullse.tickets.access import visible
from pullse.tickets.api import as_number
from pullse.tickets.model import Status, TicketQuery

AT_MOST = 8
NEWEST = 500
SHORTEST = 3
"""Letters before all tickets are searched."""
WORDS = 8


class Hit(Struct, frozen=True):
    number: int
    title: str
    status: str


class Listed(msgspec.Struct):
    number: int
    title: str
    status: Status


async def find(database: Database, typed: str, seen: frozenset[UUID] | None) -> list[Hit]:
    """The best first; `seen` are the caller's teams, as in `Actor`."""
    number = as_number(typed.strip().removeprefix("#"))
    words = typed.split()[:WORDS]
    async with database.transaction() as db:
        found = [] if number is None else await by_number(db, [number], seen)
        if words and not typed.startswith("#"):
            found += await begun(db, [pattern(word) for word in words], NEWEST, AT_MOST, seen)
            if len(found) < AT_MOST and len(typed.strip()) >= SHORTEST:
                found += await written(db, typed, seen)
    return list({hit.number: hit for hit in found}.values())[:AT_MOST]


async def by_number(db: Db, numbers: Sequence[int], seen: frozenset[UUID] | None) -> list[Hit]:
    """In the order of `numbers`, without those that are not there, or are in the trash."""
    rows = await db.all(
        Hit,
        f"""
        SELECT number, title, status
          FROM tickets
         WHERE number = ANY($1) AND deleted_at IS NULL AND {visible("$2::uuid[]")}
        """,
        list(numbers),
        seen,
    )
    return sorted(rows, key=lambda hit: numbers.index(hit.number))


async def begun(
    db: Db, patterns: Sequence[str], among: int, most: int, seen: frozenset[UUID] | None
) -> list[Hit]:
    return await db.all(
        Hit,
        f"""
        SELECT number, title, status
          FROM (SELECT number, title, status, created_at, id
                  FROM tickets
                 WHERE deleted_at IS NULL AND {visible("$4::uuid[]")}
              ORDER BY created_at DESC, id DESC
                 LIMIT $2) AS newest
         WHERE title ~* ALL($1::text[])
      ORDER BY created_at DESC, id DESC
         LIMIT $3
        """,
        list(patterns),
        among,
        most,
        seen,
    )


async def written(db: Db, typed: str, seen: frozenset[UUID] | None) -> list[Hit]:
    page = await listing.search(db, TicketQuery(q=typed, limit=AT_MOST), seen)
    listed = msgspec.json.decode(f"[{page.bodies}]", type=list[Listed])
    return [Hit(each.number, each.title, each.status) for each in listed]


def pattern(word: str) -> str:
    """A regular expression for what begins with `word`, whatever is in it."""
    escaped = re.sub(r"([^\w\s])", r"\\\1", word)
    return rf"\m{escaped}" if word[0].isalnum() else escaped
