"""The audit trail from its end, for people; who is who in it. Its own statements are in kit."""

from datetime import date, timedelta
from uuid import UUID

from pullse.access.audit import Place
from pullse.kit.audit import Entry
from pullse.kit.db import Db, Struct

LAST = (1 << 63) - 1


class Named(Struct, frozen=True):
    id: UUID
    name: str
    is_gone: bool


class Span(Struct, frozen=True):
    """Days of UTC, both included."""

    since: date = date.min
    until: date = date.max

    @property
    def end(self) -> Place:
        """The first place behind it."""
        if self.until == date.max:
            return Place(self.until, LAST)
        return Place(self.until + timedelta(days=1), 0)


async def newest(
    db: Db, span: Span, before: Place | None, *, actor: str | None, name: str | None, limit: int
) -> list[Entry]:
    """Before a place, the newest first. Each kind of filter has a statement with its index."""
    end = span.end if before is None else min(before, span.end, key=lambda it: (it.day, it.number))
    place = (end.day, end.number, span.since, limit)
    if actor is not None:
        return await of_actor(db, actor, name, *place)
    if name is not None:
        return await of_name(db, name, *place)
    return await of_all(db, *place)


async def of_all(db: Db, day: date, number: int, since: date, limit: int) -> list[Entry]:
    return await db.all(
        Entry,
        """
        SELECT day, number, at, name, actor, address, request_id, data, hash
          FROM audit
         WHERE (day, number) < ($1, $2) AND day >= $3
      ORDER BY day DESC, number DESC
         LIMIT $4
        """,
        day,
        number,
        since,
        limit,
    )


async def of_name(
    db: Db, name: str, day: date, number: int, since: date, limit: int
) -> list[Entry]:
    return await db.all(
        Entry,
        """
        SELECT day, number, at, name, actor, address, request_id, data, hash
          FROM audit
         WHERE name = $1 AND (day, number) < ($2, $3) AND day >= $4
      ORDER BY name DESC, day DESC, number DESC
         LIMIT $5
        """,
        name,
        day,
        number,
        since,
        limit,
    )


async def of_actor(
    db: Db, actor: str, name: str | None, day: date, number: int, since: date, limit: int
) -> list[Entry]:
    """Of one name too: by looking through what the actor did."""
    return await db.all(
        Entry,
        """
        SELECT day, number, at, name, actor, address, request_id, data, hash
          FROM audit
         WHERE actor = $1 AND (day, number) < ($3, $4) AND day >= $5
           AND ($2::text IS NULL OR name = $2)
      ORDER BY actor DESC, day DESC, number DESC
         LIMIT $6
        """,
        actor,
        name,
        day,
        number,
        since,
        limit,
    )


async def agents(db: Db, ids: list[UUID]) -> list[Named]:
    """Those who have left too."""
    return await db.all(
        Named,
        "SELECT id, name, deleted_at IS NOT NULL AS is_gone FROM agents WHERE id = ANY($1::uuid[])",
        ids,
    )


async def services(db: Db, ids: list[UUID]) -> list[Named]:
    """By their tokens."""
    return await db.all(
        Named,
        """
        SELECT id, name, revoked_at IS NOT NULL AS is_gone
          FROM api_tokens
         WHERE id = ANY($1::uuid[])
        """,
        ids,
    )


async def everybody(db: Db, *, limit: int) -> list[Named]:
    """Whom one can choose, by name; those who have left come last."""
    return await db.all(
        Named,
        """
        SELECT id, name, deleted_at IS NOT NULL AS is_gone
          FROM agents
      ORDER BY deleted_at IS NOT NULL, lower(name), id
         LIMIT $1
        """,
        limit,
    )
