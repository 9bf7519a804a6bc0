"""
Connections as the database knows them: they outlive their sockets by two minutes, and the
processes that those were in.

A connection key is `<id>!<secret>`; the secret is kept as a hash. Whoever knows it takes the
connection over, whichever process it was in; that process is told through the log.
"""

import hashlib
import secrets
import string
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from pullse.gateway.auth import Identity
from pullse.gateway.channels import APART
from pullse.gateway.log import MADE
from pullse.gateway.wire import STORED, Body
from pullse.kit.db import Db, Struct

RECOVERED = "~"
ALPHABET = string.ascii_letters + string.digits
STALE = 8
"""Seconds without a beat after which a process is taken for dead."""
TTL = 120
"""Seconds for which a connection can be resumed."""
REMAIN = 15_000
"""Milliseconds for which the members of a connection stay after an abrupt end."""


class Opened(NamedTuple):
    """What is written of a new connection."""

    id: str
    process: UUID
    key_hash: bytes
    identity: Identity
    remain: int


class Dropped(NamedTuple):
    """A connection whose socket is gone, in that process."""

    id: str
    process: UUID
    remain: int


class Before(Struct, frozen=True):
    """Where a connection was that was resumed, and the channels that its members are on."""

    process: UUID
    was_live: bool
    present: list[str]


def new_id() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(12))


def new_secret() -> str:
    return secrets.token_urlsafe(18)


def recovering() -> str:
    """The secret of a connection that another client goes on with."""
    return RECOVERED + new_secret()


def series(secret: str) -> str:
    """
    What comes before the serials of what a client publishes.

    Who recovers may count from an old serial: its messages are not those of its predecessor.
    """
    return f".{hashed(secret).hex()[:8]}" if secret.startswith(RECOVERED) else ""


def hashed(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


async def open_all(db: Db, opened: Sequence[Opened]) -> list[None]:
    await db.run(
        """
        INSERT INTO gateway_connections (id, app, process, key_hash, key_name, client_id, remain)
        SELECT * FROM unnest($1::text[], $2::text[], $3::uuid[], $4::bytea[], $5::text[],
                             $6::text[], $7::integer[])
        """,
        [each.id for each in opened],
        [each.identity.app for each in opened],
        [each.process for each in opened],
        [each.key_hash for each in opened],
        [each.identity.key_name for each in opened],
        [each.identity.client_id for each in opened],
        [each.remain for each in opened],
    )
    return [None] * len(opened)


async def resume(
    db: Db,
    id_: str,
    secret: str,
    *,
    process: UUID,
    identity: Identity,
    remain: int,
    fresh: str | None = None,
) -> Before | None:
    """
    Take a connection over; None if there is none, it is too old, or the secret is another,
    or it was somebody else's.

    With a `fresh` secret the one that was used is void, so that two who hold it don't take
    the connection from each other for ever.
    """
    return await db.maybe(
        Before,
        """
        WITH before AS (
            SELECT id, process, dropped_at IS NULL AS was_live
              FROM gateway_connections
             WHERE id = $1 AND key_hash = $2 AND app = $4
               AND (dropped_at IS NULL OR dropped_at > now() - make_interval(secs => $6))
               AND (client_id IS NOT DISTINCT FROM $7 OR client_id = '*' OR $7 = '*')
               FOR UPDATE
        )
        UPDATE gateway_connections AS connection
           SET process = $3, dropped_at = NULL, is_left = false, remain = $8,
               key_hash = coalesce($5, key_hash)
          FROM before
         WHERE connection.id = before.id
        RETURNING before.process, before.was_live,
                  ARRAY(SELECT DISTINCT channel FROM channel_members
                         WHERE connection_id = before.id) AS present
        """,
        id_,
        hashed(secret),
        process,
        identity.app,
        None if fresh is None else hashed(fresh),
        TTL,
        identity.client_id,
        remain,
    )


async def drop_all(db: Db, dropped: Sequence[Dropped]) -> list[None]:
    """Their sockets are gone, in those processes; one that was taken over is left alone."""
    await db.run(
        """
        UPDATE gateway_connections AS connection SET dropped_at = now(), remain = gone.remain
          FROM unnest($1::text[], $2::uuid[], $3::integer[]) AS gone (id, process, remain)
         WHERE connection.id = gone.id AND connection.process = gone.process
        """,
        [each.id for each in dropped],
        [each.process for each in dropped],
        [each.remain for each in dropped],
    )
    return [None] * len(dropped)


async def close(db: Db, id_: str) -> None:
    """For good: nobody resumes it."""
    await db.run("DELETE FROM gateway_connections WHERE id = $1", id_)


async def beat(db: Db, process: UUID) -> bool:
    """The process is alive; True if it was not known, or was taken for dead meanwhile."""
    return bool(
        await db.value(
            """
            INSERT INTO gateway_processes (id) VALUES ($1)
            ON CONFLICT (id) DO UPDATE SET seen_at = now()
            RETURNING xmax = 0
            """,
            process,
        )
    )


async def end_process(db: Db, process: UUID) -> None:
    """On the way out: its connections can be resumed elsewhere from now on."""
    await db.run(
        """
        WITH ended AS (DELETE FROM gateway_processes WHERE id = $1)
        UPDATE gateway_connections SET dropped_at = now()
         WHERE process = $1 AND dropped_at IS NULL
        """,
        process,
    )


async def bury(db: Db) -> int:
    """
    Drop the connections of processes that died; say how many.

    The clock of their members began a little before the last beat, so that they have left
    within 15 seconds of the death.
    """
    return await db.run(
        """
        WITH dead AS (
            DELETE FROM gateway_processes
             WHERE seen_at < now() - make_interval(secs => $1)
            RETURNING id, seen_at
        )
        UPDATE gateway_connections AS connection
           SET dropped_at = dead.seen_at - interval '2 seconds'
          FROM dead
         WHERE connection.process = dead.id AND connection.dropped_at IS NULL
        """,
        STALE,
    )


async def forget(db: Db) -> int:
    """Remove what can't be resumed any more."""
    return await db.run(
        """
        DELETE FROM gateway_connections
         WHERE dropped_at < now() - make_interval(secs => $1) AND is_left
        """,
        TTL,
    )


def told(process: UUID) -> str:
    """The topic on which a process is told what concerns it alone; no client can name it."""
    return f"{APART}process:{process}"


async def tell_taken(db: Db, process: UUID, connection_id: str) -> None:
    """Tell a process that another one has a connection now."""
    await db.run(
        "INSERT INTO channel_messages (channel, action, once, body) VALUES ($1, 0, $2, $3)",
        told(process),
        MADE + secrets.token_urlsafe(12),
        STORED.encode(Body("taken", connection_id)),
    )


class Count(Struct, frozen=True):
    """How many are attached to a channel."""

    channel: str
    connections: int
    publishers: int
    subscribers: int
    presence_connections: int
    presence_subscribers: int


class Counted(Struct, frozen=True):
    """Those at other processes, and the members of all."""

    connections: int
    publishers: int
    subscribers: int
    presence_connections: int
    presence_subscribers: int
    members: int


async def counted(db: Db, channel: str, process: UUID) -> Counted:
    return await db.one(
        Counted,
        """
        SELECT coalesce(sum(connections), 0) AS connections,
               coalesce(sum(publishers), 0) AS publishers,
               coalesce(sum(subscribers), 0) AS subscribers,
               coalesce(sum(presence_connections), 0) AS presence_connections,
               coalesce(sum(presence_subscribers), 0) AS presence_subscribers,
               (SELECT count(*) FROM channel_members WHERE channel = $1) AS members
          FROM channel_occupancy
         WHERE channel = $1 AND process <> $2
        """,
        channel,
        process,
    )


async def active(db: Db, prefix: str, *, most: int = 10_000) -> list[str]:
    """Channels that begin so and that somebody is attached to."""
    rows = await db.rows(
        """
        SELECT DISTINCT channel FROM channel_occupancy
         WHERE starts_with(channel, $1)
      ORDER BY channel
         LIMIT $2
        """,
        prefix,
        most,
    )
    return [channel for (channel,) in rows]


async def count_all(db: Db, process: UUID, counts: Sequence[Count]) -> None:
    """Tell the others how many are attached here, of channels where that has changed."""
    await db.run(
        """
        INSERT INTO channel_occupancy AS known
        SELECT channel, $1, connections, publishers, subscribers,
               presence_connections, presence_subscribers
          FROM unnest($2::text[], $3::integer[], $4::integer[], $5::integer[], $6::integer[],
                      $7::integer[])
               AS counted (channel, connections, publishers, subscribers,
                           presence_connections, presence_subscribers)
        ON CONFLICT (channel, process) DO UPDATE
              SET connections = excluded.connections, publishers = excluded.publishers,
                  subscribers = excluded.subscribers,
                  presence_connections = excluded.presence_connections,
                  presence_subscribers = excluded.presence_subscribers
        """,
        process,
        [each.channel for each in counts],
        [each.connections for each in counts],
        [each.publishers for each in counts],
        [each.subscribers for each in counts],
        [each.presence_connections for each in counts],
        [each.presence_subscribers for each in counts],
    )
    await db.run("DELETE FROM channel_occupancy WHERE process = $1 AND connections = 0", process)
