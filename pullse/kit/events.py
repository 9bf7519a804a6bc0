"""
Facts: what happened, to what, by whom.

`record` writes a fact in the caller's transaction, so it is kept if and only if the
change it tells of is kept. History, feed, push, SLA and mail are all readers of this table.

Ids are handed out before commit, so by id alone a slow transaction's fact could appear
behind a reader's back. Reading by transaction, and only below the oldest one that is
still running, means that whatever appears later also sorts later.
"""

import re
from collections.abc import Callable, Container, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from pullse.errors import Forbidden, Gone, Invalid
from pullse.kit.db import Db, Struct

SCANNED_AT_MOST = 2000
"""Facts looked at for one filtered page; a page may be short with more to come."""
PAGE_BYTES = 256_000
"""As stored, for one page; a fact may be large, and many readers page at once."""


class Actor(Struct, frozen=True):
    """
    Who does something, in which request and from where.

    `id` is "owner" (of pullse dev), "token" (PULLSE_API_TOKEN), "token:<uuid>" (a service's),
    "agent:<uuid>", "operator" (who runs commands), "system" or "anonymous"; `rights` are the
    permissions that it has, and `lacks` what is raised where they are missing; `session` is an
    agent's who has signed in, `token` the API token that was shown; `teams` are those that it
    is in, or None for who sees what is private to any team.
    """

    id: str
    request_id: str | None = None
    rights: Container[str] = frozenset()
    address: str | None = None
    session: UUID | None = None
    teams: frozenset[UUID] | None = frozenset()
    token: UUID | None = None
    lacks: Callable[[], Forbidden] | None = None

    @property
    def is_local(self) -> bool:
        """At the machine itself, signed in as nobody, as one is at pullse dev."""
        return self.id == LOCAL


LOCAL = "owner"
SYSTEM = Actor("system", teams=None)
OPERATOR = Actor("operator", teams=None)


class Place(Struct, frozen=True, order=True):
    """A place in the feed: everything up to and including this fact has been read."""

    tx: int
    id: int


START = Place(0, 0)
NUMBER = re.compile("[0-9]{1,19}")


class Fact(Struct, frozen=True):
    """
    `body` is the fact as JSON text, as the API shows it, but without its cursor.

    `circle` is the private team whose members alone may read it (see the view `facts`).
    """

    tx: int
    id: int
    name: str
    ticket_id: UUID | None
    body: str
    circle: UUID | None = None

    @property
    def place(self) -> Place:
        return Place(self.tx, self.id)


class Seen(Struct, frozen=True):
    """A fact without its body; `size` is what its data takes on disk."""

    tx: int
    id: int
    name: str
    size: int
    circle: UUID | None

    @property
    def place(self) -> Place:
        return Place(self.tx, self.id)


class Content(msgspec.Struct):
    """A fact's body, read."""

    id: int
    name: str
    ticket_id: UUID | None
    actor: str
    data: dict[str, Any]
    request_id: str | None
    at: datetime


class Page(Struct, frozen=True):
    """`place` is where to go on, also when nothing matched; `is_end`: nothing more is settled."""

    facts: Sequence[Fact]
    place: Place
    is_end: bool


class Position(Struct, frozen=True):
    epoch: int
    tx: int
    id: int

    @property
    def place(self) -> Place:
        return Place(self.tx, self.id)


async def record(
    db: Db, name: str, *, by: Actor, ticket_id: UUID | None = None, data: dict[str, Any]
) -> None:
    await db.run(
        """
        INSERT INTO events (name, ticket_id, actor, request_id, data)
             VALUES ($1, $2, $3, $4, $5)
        """,
        name,
        ticket_id,
        by.id,
        by.request_id,
        msgspec.json.encode(data).decode(),
    )


def may_read(circle: UUID | None, teams: frozenset[UUID] | None) -> bool:
    """May one who is in these teams (None: who sees all) read what has this circle?"""
    return circle is None or teams is None or circle in teams


async def since(db: Db, place: Place, *, limit: int = 500) -> list[Fact]:
    """Settled facts after `place`, in the order that never changes."""
    return await db.all(
        Fact,
        """
        SELECT tx, id, name, ticket_id,
               (SELECT row_to_json(shown)::text
                  FROM (SELECT id, name, ticket_id, actor, data, request_id, at) AS shown) AS body,
               circle
          FROM facts
         WHERE (tx, id) > ($1, $2)
           AND tx < pg_snapshot_xmin(pg_current_snapshot())::text::bigint + feed_offset()
      ORDER BY tx, id
         LIMIT $3
        """,
        place.tx,
        place.id,
        limit,
    )


async def page(
    db: Db,
    place: Place,
    *,
    limit: int,
    ticket_id: UUID | None = None,
    names: Sequence[str] = (),
    hidden: tuple[str, ...] = (),
    teams: frozenset[UUID] | None,
) -> Page:
    """
    A page of facts after `place`, of one ticket or of some names, without those `hidden` and
    those that one who is in `teams` may not read.
    """
    scan = limit if not names else SCANNED_AT_MOST
    seen = await glance(db, place, ticket_id, limit=scan)
    matching = [
        each
        for each in seen
        if (not names or each.name in names)
        and not each.name.startswith(hidden)
        and may_read(each.circle, teams)
    ]
    chosen = fitting(matching[:limit])
    facts = await read(db, chosen) if chosen else []
    if len(chosen) < len(matching):
        return Page(facts, chosen[-1].place, is_end=False)
    return Page(facts, seen[-1].place if seen else place, is_end=len(seen) < scan)


async def glance(db: Db, place: Place, ticket_id: UUID | None, *, limit: int) -> list[Seen]:
    """Which settled facts come after `place`, without what is in them."""
    if ticket_id is None:
        return await db.all(
            Seen,
            """
            SELECT tx, id, name, pg_column_size(data) AS size, circle
              FROM facts
             WHERE (tx, id) > ($1, $2)
               AND tx < pg_snapshot_xmin(pg_current_snapshot())::text::bigint + feed_offset()
          ORDER BY tx, id
             LIMIT $3
            """,
            place.tx,
            place.id,
            limit,
        )
    return await db.all(
        Seen,
        """
        SELECT tx, id, name, pg_column_size(data) AS size, circle
          FROM facts
         WHERE ticket_id = $1
           AND (tx, id) > ($2, $3)
           AND tx < pg_snapshot_xmin(pg_current_snapshot())::text::bigint + feed_offset()
      ORDER BY tx, id
         LIMIT $4
        """,
        ticket_id,
        place.tx,
        place.id,
        limit,
    )


def fitting(seen: Sequence[Seen]) -> Sequence[Seen]:
    """As many as a page may hold, and at least one."""
    total = 0
    for count, each in enumerate(seen):
        total += each.size
        if count and total > PAGE_BYTES:
            return seen[:count]
    return seen


async def read(db: Db, seen: Sequence[Seen]) -> list[Fact]:
    return await db.all(
        Fact,
        """
        SELECT tx, id, name, ticket_id,
               (SELECT row_to_json(shown)::text
                  FROM (SELECT id, name, ticket_id, actor, data, request_id, at) AS shown) AS body,
               circle
          FROM facts
          JOIN unnest($1::bigint[], $2::bigint[]) AS wanted (tx, id) USING (tx, id)
      ORDER BY tx, id
        """,
        [each.tx for each in seen],
        [each.id for each in seen],
    )


async def unsettled(db: Db, place: Place) -> bool:
    """Are there committed facts after `place` that a running transaction still holds back?"""
    return bool(
        await db.value(
            "SELECT EXISTS (SELECT FROM events WHERE (tx, id) > ($1, $2))", place.tx, place.id
        )
    )


async def end(db: Db) -> Position:
    """The newest place that is settled, with the feed's epoch."""
    return await db.one(
        Position,
        """
        SELECT feed_epoch() AS epoch, coalesce(newest.tx, 0) AS tx, coalesce(newest.id, 0) AS id
          FROM (SELECT) AS always
          LEFT JOIN (SELECT tx, id FROM events
                      WHERE tx < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
                                 + feed_offset()
                   ORDER BY tx DESC, id DESC LIMIT 1) AS newest ON true
        """,
    )


def cursor(epoch: int, place: Place) -> str:
    return f"{epoch}.{place.tx}.{place.id}"


def place_of(text: str, newest: Position, *, field: str = "after") -> Place:
    """
    The place that a cursor names.

    Raises `Invalid` for what never was a cursor, and `Gone` for one of another life of the
    feed (restored or moved database): the caller has to start over.
    """
    parts = text.split(".")
    if len(parts) != 3 or not all(NUMBER.fullmatch(part) for part in parts):
        raise Invalid.field(field, "This is not a cursor of the feed.")
    epoch, tx, id_ = (int(part) for part in parts)
    if max(tx, id_) >= 1 << 63:
        raise Invalid.field(field, "This is not a cursor of the feed.")
    if epoch != newest.epoch or Place(tx, id_) > newest.place:
        raise Gone(
            "This place in the feed no longer exists (the database was restored or moved); "
            "read the present state and follow the feed from its end."
        )
    return Place(tx, id_)


async def mend_after_move(db: Db) -> bool:
    """
    Keep `tx` rising when the data has come to another cluster; say whether it had.

    A cluster counts its transactions itself. Where the newest fact (or message on a channel,
    which counts alike) is not below the counter, it was written in another cluster: raise
    the offset and begin a new epoch.
    """
    if await moved(db) is None:
        return False
    # Of processes that start together one mends, and nobody writes under the old offset.
    await db.run("LOCK TABLE events, channel_messages IN SHARE ROW EXCLUSIVE MODE")
    found = await moved(db)
    if found is None:
        return False
    await new_epoch(db, found.epoch + 1, found.tx + 1)
    return True


async def moved(db: Db) -> Position | None:
    """The newest of both, if this cluster can't have written it."""
    return await db.maybe(
        Position,
        """
        SELECT feed_epoch() AS epoch, tx, id
          FROM ((SELECT tx, id FROM events ORDER BY tx DESC, id DESC LIMIT 1)
                UNION ALL
                (SELECT tx, id FROM channel_messages ORDER BY tx DESC, id DESC LIMIT 1)) AS newest
         WHERE tx >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint + feed_offset()
      ORDER BY tx DESC
         LIMIT 1
        """,
    )


async def new_epoch(db: Db, epoch: int, offset: int) -> None:
    await db.script(
        f"""
        CREATE OR REPLACE FUNCTION feed_epoch() RETURNS integer
            LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT {int(epoch)}';
        CREATE OR REPLACE FUNCTION feed_offset() RETURNS bigint
            LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT {int(offset)}::bigint';
        """
    )
