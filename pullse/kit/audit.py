"""
The audit trail: who was let do what, in rows that are chained by their hashes.

A row's hash is SHA-256 of the hash before it (32 zero bytes before the first) and the row as
canonical JSON, so a row that was edited or removed no longer fits those around it. What the
chain can't show is that its newest rows were cut off, or that all of it was written anew:
for that somebody keeps a hash elsewhere, and `verify` is told it.
"""

import hashlib
import json
from collections.abc import AsyncIterator
from datetime import date, datetime
from typing import Any

import msgspec

from pullse.kit.db import Db, Struct
from pullse.kit.events import Actor

LOCK = 0x6175646974  # "audit"
"""One writer at a time; the next one reads the hash that this one wrote."""
ZERO = bytes(32)
PORTION = 250
"""Rows looked at without a pause for others, some milliseconds."""
FINDINGS_AT_MOST = 100


class Next(Struct, frozen=True):
    """Where the next row goes; `data` as PostgreSQL keeps it."""

    day: date
    number: int
    at: datetime
    previous: bytes
    data: str


class Entry(Struct, frozen=True):
    day: date
    number: int
    at: datetime
    name: str
    actor: str
    address: str | None
    request_id: str | None
    data: str
    hash: bytes

    @property
    def place(self) -> str:
        return f"{self.day}.{self.number}"


class Finding(Struct, frozen=True):
    """What is wrong at a row; `place` is its day and number, or "end"."""

    place: str
    text: str


class Link(Struct, frozen=True):
    """What the next row has to fit to."""

    day: date
    number: int
    hash: bytes

    @property
    def place(self) -> str:
        return f"{self.day}.{self.number}"


class Verdict(Struct, frozen=True):
    """
    `newest` is the hash to keep elsewhere, of the row at `last`. `is_whole`: there is nothing
    behind it; `has_expected`: the row whose hash was kept is among those that were looked at.
    """

    count: int
    newest: bytes
    findings: list[Finding]
    last: Link | None = None
    is_whole: bool = True
    has_expected: bool = False


async def record(db: Db, name: str, *, by: Actor, data: dict[str, Any]) -> None:
    """
    Append a row in the caller's transaction.

    Takes a lock that all writers share and keeps it until the transaction ends: do it last.
    """
    await db.run("SELECT pg_advisory_xact_lock($1)", LOCK)
    # A statement of its own: it has to see what was committed while the lock was waited for.
    place = await next_place(db, data)
    values = (place.day, place.number, place.at, name, by.id, by.address, by.request_id, place.data)
    await db.run(
        """
        INSERT INTO audit (day, number, at, name, actor, address, request_id, data, hash)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        """,
        *values,
        digest(place.previous, Entry(*values, hash=b"")),
    )


async def next_place(db: Db, data: dict[str, Any]) -> Next:
    """Days are UTC's, and never go back, whatever the clock does."""
    return await db.one(
        Next,
        """
        WITH clock AS MATERIALIZED (
            SELECT clock_timestamp() AS at
        ), today AS (
            SELECT at, (at AT TIME ZONE 'UTC')::date AS day FROM clock
        )
        SELECT greatest(today.day, newest.day) AS day,
               CASE WHEN newest.day >= today.day THEN newest.number + 1 ELSE 1 END AS number,
               today.at,
               coalesce(newest.hash, $1) AS previous,
               ($2::jsonb)::text AS data
          FROM today
          LEFT JOIN (SELECT day, number, hash FROM audit
                   ORDER BY day DESC, number DESC LIMIT 1) AS newest ON true
        """,
        ZERO,
        msgspec.json.encode(data).decode(),
    )


def digest(previous: bytes, entry: Entry) -> bytes:
    return hashlib.sha256(previous + canonical(entry)).digest()


def canonical(entry: Entry) -> bytes:
    """JSON in UTF-8, keys sorted at each level, no spaces; the moment in UTC, to the µs."""
    row = {
        "day": entry.day.isoformat(),
        "number": entry.number,
        "at": entry.at.isoformat(timespec="microseconds"),
        "name": entry.name,
        "actor": entry.actor,
        "address": entry.address,
        "request_id": entry.request_id,
        "data": json.loads(entry.data),
    }
    text = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


async def verify(
    db: Db, *, expected: bytes | None = None, after: Link | None = None, most: int | None = None
) -> Verdict:
    """
    Walk the chain, in portions, and say where it is broken.

    `expected`: a hash that was kept elsewhere; the row that had it must still be there. `after`
    and `most` are for a walk in parts: from where the last one ended, and how many rows.
    """
    odd = await without_time(db)
    if odd:
        text = f"{odd} rows have a day or a moment that no clock shows: they were put in or edited"
        return Verdict(0, ZERO, [Finding("days", text)])
    findings: list[Finding] = []
    before = after
    count = 0
    is_found, is_whole = expected in (None, ZERO), True
    async for entry in entries(db, after):
        if count == most:
            is_whole = False
            break
        wrong = flaw(entry, before)
        if wrong is not None and len(findings) < FINDINGS_AT_MOST:
            findings.append(Finding(entry.place, wrong))
        is_found = is_found or entry.hash == expected
        before = Link(entry.day, entry.number, entry.hash)
        count += 1
    if is_whole and not is_found:
        text = "no row has the hash that was kept: the newest rows were removed, or all rewritten"
        findings.append(Finding("end", text))
    newest = before.hash if before else ZERO
    has_expected = expected is not None and is_found
    return Verdict(count, newest, findings, before, is_whole, has_expected)


async def without_time(db: Db) -> int:
    """PostgreSQL knows days that Python can't read."""
    return int(
        await db.value(
            """
            SELECT count(*) FROM audit
             WHERE day NOT BETWEEN '2000-01-01' AND '9999-12-31'
                OR at NOT BETWEEN '2000-01-01 UTC' AND '9999-12-31 UTC'
            """
        )
    )


async def entries(db: Db, after: Link | None = None) -> AsyncIterator[Entry]:
    """All, oldest first. Rows are committed in this order, so none can slip in behind."""
    day, number = (after.day, after.number) if after else (date.min, 0)  # before all with a time
    while True:
        found = await db.all(
            Entry,
            """
            SELECT day, number, at, name, actor, address, request_id, data, hash
              FROM audit
             WHERE (day, number) > ($1, $2)
          ORDER BY day, number
             LIMIT $3
            """,
            day,
            number,
            PORTION,
        )
        for entry in found:
            yield entry
        if len(found) < PORTION:
            return
        day, number = found[-1].day, found[-1].number


def flaw(entry: Entry, before: Link | None) -> str | None:
    """What is wrong with a row, seen from the one before it."""
    is_first = before is None or entry.day != before.day
    due = 1 if before is None or is_first else before.number + 1
    if entry.number < due:
        return "no row has this number: it was put in"
    if entry.number > due:
        last = entry.number - 1
        missing = f"row {due} is" if due == last else f"rows {due} to {last} are"
        return f"{missing} missing before it"
    if fits(entry, before.hash if before else ZERO):
        return None
    if before is None:
        return "it was edited, or all days before it were removed"
    if is_first:
        return (
            f"it was edited, or what followed {before.place} was removed (the end of that day, "
            "or whole days), or that row was edited and given a hash that fits"
        )
    return "it was edited, or the row before it was and given a hash that fits"


def fits(entry: Entry, previous: bytes) -> bool:
    try:
        return digest(previous, entry) == entry.hash
    except (ValueError, RecursionError):  # data that nobody here would have written
        return False
