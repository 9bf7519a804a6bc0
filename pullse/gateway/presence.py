"""
Who is present where: one picture for all processes, in `channel_members`.

Each change writes the member and what happened in one statement, so the picture and the log
never disagree. A repeat (the same message id, as clients send again after a cut) is none.
"""

from datetime import datetime
from typing import NamedTuple

from msgspec.structs import replace

from pullse.gateway.errors import TOO_MANY_MEMBERS, Failure
from pullse.gateway.log import MADE
from pullse.gateway.wire import BODY, STORED, Body, Message, Presence, milliseconds
from pullse.kit.db import Db, Struct
from pullse.kit.events import Place

MEMBERS_AT_MOST = 1_000
"""Members of one channel."""
PAGE = 100
"""Members in one SYNC."""
PORTION = 1_000
"""Members that leave in one statement: what others say is not shown before it has ended."""


class Member(Struct, frozen=True):
    client_id: str
    connection_id: str
    message_id: str
    at: datetime
    body: bytes

    def shown(self) -> Message:
        """As whoever asks now gets to see it."""
        content = BODY.decode(self.body)
        return Message(
            self.message_id,
            data=content.data,
            encoding=content.encoding,
            client_id=self.client_id,
            connection_id=self.connection_id,
            timestamp=milliseconds(self.at),
            extras=content.extras,
            action=Presence.PRESENT,
        )


class Change(NamedTuple):
    """What a client says of a member; `message_id` is `<connection>:<msgSerial>:<index>`."""

    channel: str
    action: int
    client_id: str
    connection_id: str
    message_id: str
    body: Body


async def members(
    db: Db,
    channel: str,
    *,
    client_id: str | None = None,
    connection_id: str | None = None,
    limit: int = MEMBERS_AT_MOST,
    after: tuple[str, str] = ("", ""),
) -> list[Member]:
    """In the order of client and connection; `after` is the last one of the page before."""
    return await db.all(
        Member,
        """
        SELECT client_id, connection_id, message_id, at, body
          FROM channel_members
         WHERE channel = $1
           AND ($2::text IS NULL OR client_id = $2)
           AND ($3::text IS NULL OR connection_id = $3)
           AND (client_id, connection_id) > ($4, $5)
      ORDER BY client_id, connection_id
         LIMIT $6
        """,
        channel,
        client_id,
        connection_id,
        *after,
        limit,
    )


async def change(db: Db, change: Change) -> Place | None:
    """
    Enter, update or leave; say where that is in the log, None if nothing has changed.

    Raises Failure when the channel is full.
    """
    if change.action == Presence.LEAVE:
        return await leave(db, change)
    return await enter(db, change)


class Outcome(Struct, frozen=True):
    is_enough: bool
    tx: int | None
    id: int | None


async def enter(db: Db, change: Change) -> Place | None:
    """An update of somebody who is not there is an enter; a repeat changes nothing."""
    found = await db.one(
        Outcome,
        """
        WITH known AS (
            SELECT message_id FROM channel_members
             WHERE channel = $1 AND client_id = $2 AND connection_id = $3
        ), room AS (
            SELECT EXISTS (SELECT FROM known) OR count(*) < $7 AS is_enough
              FROM (SELECT FROM channel_members WHERE channel = $1 LIMIT $7) AS counted
        ), written AS (
            INSERT INTO channel_members AS member
                        (channel, client_id, connection_id, message_id, body)
            SELECT $1, $2, $3, $4, $5 FROM room WHERE is_enough
            ON CONFLICT (channel, client_id, connection_id) DO UPDATE
                  SET message_id = excluded.message_id, body = excluded.body, at = now()
                WHERE (split_part(excluded.message_id, ':', 2)::numeric,
                       split_part(excluded.message_id, ':', 3)::numeric)
                    > (split_part(member.message_id, ':', 2)::numeric,
                       split_part(member.message_id, ':', 3)::numeric)
            RETURNING 1
        ), told AS (
            INSERT INTO channel_messages (channel, action, once, body)
            SELECT $1, CASE WHEN EXISTS (SELECT FROM known) THEN $6::smallint ELSE 2 END, $8, $5
              FROM written
            RETURNING tx, id
        )
        SELECT is_enough, tx, id FROM room LEFT JOIN told ON true
        """,
        change.channel,
        change.client_id,
        change.connection_id,
        change.message_id,
        STORED.encode(change.body),
        Presence.UPDATE if change.action == Presence.UPDATE else Presence.ENTER,
        MEMBERS_AT_MOST,
        MADE + change.message_id,
    )
    if not found.is_enough:
        raise Failure(
            TOO_MANY_MEMBERS, f"At most {MEMBERS_AT_MOST} members are present on one channel."
        )
    return None if found.tx is None or found.id is None else Place(found.tx, found.id)


async def leave(db: Db, change: Change) -> Place | None:
    """With what was known of the member, as far as nothing else is said of it."""
    known = await db.value(
        """
        DELETE FROM channel_members
         WHERE channel = $1 AND client_id = $2 AND connection_id = $3
           AND (split_part(message_id, ':', 2)::numeric, split_part(message_id, ':', 3)::numeric)
             < (split_part($4, ':', 2)::numeric, split_part($4, ':', 3)::numeric)
        RETURNING body
        """,
        change.channel,
        change.client_id,
        change.connection_id,
        change.message_id,
    )
    if known is None:
        return None
    body, last = change.body, BODY.decode(known)
    if body.data is None:
        body = replace(body, data=last.data, encoding=last.encoding)
    if body.extras is None:
        body = replace(body, extras=last.extras)
    return await db.one(
        Place,
        """
        INSERT INTO channel_messages (channel, action, once, body)
             VALUES ($1, 3, $2, $3)
          RETURNING tx, id
        """,
        change.channel,
        MADE + change.message_id,
        STORED.encode(body),
    )


async def leave_channel(db: Db, connection_id: str, channel: str) -> None:
    """All members of a connection, as it detaches."""
    await db.run(
        """
        WITH gone AS (
            DELETE FROM channel_members WHERE connection_id = $1 AND channel = $2
            RETURNING channel, client_id, body
        )
        INSERT INTO channel_messages (channel, action, once, body)
        SELECT channel, 3, '~left:' || $1 || ':' || client_id, body FROM gone
        """,
        connection_id,
        channel,
    )


async def leave_all(db: Db, connection_id: str) -> int:
    """
    A portion of the members of a connection that ended; say how many left.

    The id does not begin with the connection's, so that clients compare times (RTP2b1).
    """
    return await db.run(
        """
        WITH leaving AS MATERIALIZED (
            SELECT channel, client_id FROM channel_members WHERE connection_id = $1 LIMIT $2
        ), gone AS (
            DELETE FROM channel_members AS member
             USING leaving
             WHERE member.channel = leaving.channel AND member.client_id = leaving.client_id
               AND member.connection_id = $1
            RETURNING member.channel, member.client_id, member.body
        )
        INSERT INTO channel_messages (channel, action, once, body)
        SELECT channel, 3, '~left:' || $1 || ':' || client_id, body FROM gone
        """,
        connection_id,
        PORTION,
    )


async def leave_due(db: Db) -> int:
    """
    A portion of the members whose connections ended without a close, when their time is over;
    say how many left. A connection is done with when none of its members are left.
    """
    return int(
        await db.value(
            """
            WITH due AS (
                SELECT id FROM gateway_connections
                 WHERE dropped_at IS NOT NULL AND NOT is_left
                   AND dropped_at < now() - make_interval(secs => remain / 1000.0)
              ORDER BY dropped_at
                 LIMIT $1
                   FOR UPDATE SKIP LOCKED
            ), leaving AS MATERIALIZED (
                SELECT channel, client_id, connection_id
                  FROM channel_members
                  JOIN due ON connection_id = due.id
                 LIMIT $1
            ), gone AS (
                DELETE FROM channel_members AS member
                 USING leaving
                 WHERE member.channel = leaving.channel AND member.client_id = leaving.client_id
                   AND member.connection_id = leaving.connection_id
                RETURNING member.channel, member.client_id, member.connection_id, member.body
            ), told AS (
                INSERT INTO channel_messages (channel, action, once, body)
                SELECT channel, 3, '~left:' || connection_id || ':' || client_id, body FROM gone
            ), done AS (
                UPDATE gateway_connections SET is_left = true
                 WHERE id IN (SELECT id FROM due) AND (SELECT count(*) FROM leaving) < $1
            )
            SELECT count(*) FROM leaving
            """,
            PORTION,
        )
    )
