"""
What was said on the channels: facts, and what clients published or their presence was.

Facts are in `events`, everything else in `channel_messages`; both are read in one order
(tx, id) by one snapshot, so one place says for every channel what a client has had. No
transaction writes in both tables, so no place is two.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple, Protocol, TypeVar
from uuid import UUID

from pullse.gateway.wire import BODY, STORED, Body
from pullse.kit import events
from pullse.kit.db import Db, Struct
from pullse.kit.events import Fact, Place, Position
from pullse.realtime.projection import ACTIVITY, CONFIDENTIAL, PRIVATE, UPDATES

GIVEN, MADE = "=", "~"
"""Whose a message's id is, before the id in `once`: a client's may repeat none of ours."""
END = Place((1 << 63) - 1, (1 << 63) - 1)
EVER = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


class Entry(Struct, frozen=True):
    """A message (action 0) or an event of presence, as it is stored."""

    tx: int
    id: int
    channel: str
    action: int
    once: str
    at: datetime
    body: bytes

    @property
    def place(self) -> Place:
        return Place(self.tx, self.id)

    @property
    def message_id(self) -> str:
        return self.once[1:]

    @property
    def content(self) -> Body:
        return BODY.decode(self.body)


Item = Fact | Entry


class Row(Struct, frozen=True):
    """Of both tables; what the one does not have is null."""

    tx: int
    id: int
    name: str | None
    ticket_id: UUID | None
    fact: str | None
    channel: str | None
    action: int | None
    once: str | None
    at: datetime
    body: bytes | None
    circle: UUID | None

    @property
    def item(self) -> Item:
        if self.fact is not None:
            name = self.name or ""
            return Fact(self.tx, self.id, name, self.ticket_id, self.fact, self.circle)
        return Entry(
            self.tx,
            self.id,
            self.channel or "",
            self.action or 0,
            self.once or "",
            self.at,
            self.body or b"",
        )


class Draft(NamedTuple):
    """What is to be stored."""

    channel: str
    once: str
    body: Body


class Stored(Struct, frozen=True):
    """Where a message is; of one that was there already, where that is."""

    tx: int
    id: int
    channel: str
    once: str
    at: datetime


async def append(db: Db, drafts: Sequence[Draft]) -> list[Stored]:
    """
    Store messages all or none, in their order; one whose id is there already is that one.

    They are written in the order of their ids: two that write the same ids at the same time,
    in different orders, would wait for each other.
    """
    channels, onces = [each.channel for each in drafts], [each.once for each in drafts]
    new = await db.all(
        Stored,
        """
        INSERT INTO channel_messages (id, channel, action, once, body)
                    OVERRIDING SYSTEM VALUE
             SELECT id, channel, 0, once, body
               FROM (SELECT nextval('channel_messages_id_seq') AS id, channel, once, body
                       FROM unnest($1::text[], $2::text[], $3::bytea[])
                            WITH ORDINALITY AS draft (channel, once, body, position)
                   ORDER BY position) AS numbered
           ORDER BY once, channel
        ON CONFLICT (once, channel) WHERE action = 0 DO NOTHING
          RETURNING tx, id, channel, once, at
        """,
        channels,
        onces,
        [STORED.encode(each.body) for each in drafts],
    )
    found = {(each.channel, each.once): each for each in new}
    if len(found) < len(drafts):
        known = await db.all(
            Stored,
            """
            SELECT tx, id, channel, once, at
              FROM channel_messages
              JOIN unnest($1::text[], $2::text[]) AS wanted (channel, once) USING (channel, once)
             WHERE action = 0
            """,
            channels,
            onces,
        )
        found |= {(each.channel, each.once): each for each in known}
    return [found[each.channel, each.once] for each in drafts]


async def since(db: Db, place: Place, *, limit: int = 500) -> list[Item]:
    """What is settled after `place` on all channels, in the order that never changes."""
    found = await db.all(
        Row,
        """
        WITH settled AS MATERIALIZED (
            SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint + feed_offset() AS tx
        ), happened AS (
            SELECT tx, id, name, ticket_id,
                   (SELECT row_to_json(shown)::text
                      FROM (SELECT id, name, ticket_id, actor, data, request_id, at) AS shown)
                   AS fact,
                   null::text AS channel, null::smallint AS action, null::text AS once, at,
                   null::bytea AS body, circle
              FROM facts
             WHERE (tx, id) > ($1, $2) AND tx < (SELECT tx FROM settled)
          ORDER BY tx, id
             LIMIT $3
        ), entries AS (
            SELECT tx, id, null::text, null::uuid, null::text, channel, action, once, at, body,
                   null::uuid
              FROM channel_messages
             WHERE (tx, id) > ($1, $2) AND tx < (SELECT tx FROM settled)
          ORDER BY tx, id
             LIMIT $3
        )
        SELECT * FROM happened UNION ALL SELECT * FROM entries ORDER BY tx, id LIMIT $3
        """,
        place.tx,
        place.id,
        limit,
    )
    return [each.item for each in found]


async def unsettled(db: Db, place: Place) -> bool:
    """Is there more after `place` that a running transaction still holds back?"""
    return bool(
        await db.value(
            """
            SELECT EXISTS (SELECT FROM events WHERE (tx, id) > ($1, $2))
                OR EXISTS (SELECT FROM channel_messages WHERE (tx, id) > ($1, $2))
            """,
            place.tx,
            place.id,
        )
    )


class Newest(Struct, frozen=True):
    """The end of both tables as it is settled, and what is gone by age."""

    epoch: int
    tx: int
    id: int
    gone_tx: int
    gone_id: int

    @property
    def place(self) -> Place:
        return Place(self.tx, self.id)

    @property
    def horizon(self) -> Place:
        return Place(self.gone_tx, self.gone_id)

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.tx, self.id)


async def end(db: Db) -> Newest:
    return await db.one(
        Newest,
        """
        WITH settled AS MATERIALIZED (
            SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint + feed_offset() AS tx
        )
        SELECT feed_epoch() AS epoch, newest.tx, newest.id,
               gone.tx AS gone_tx, gone.id AS gone_id
          FROM ((SELECT tx, id FROM events WHERE tx < (SELECT tx FROM settled)
               ORDER BY tx DESC, id DESC LIMIT 1)
                UNION ALL
                (SELECT tx, id FROM channel_messages WHERE tx < (SELECT tx FROM settled)
               ORDER BY tx DESC, id DESC LIMIT 1)
                UNION ALL
                (SELECT tx, id FROM channel_horizon)) AS newest
         CROSS JOIN channel_horizon AS gone
      ORDER BY newest.tx DESC, newest.id DESC
         LIMIT 1
        """,
    )


class Span(Struct, frozen=True):
    """
    Which part of a channel: after the one place, before the other, within times.

    `count` of them, the newest first if `is_backwards`.
    """

    after: Place = events.START
    before: Place = END
    start: datetime = EVER[0]
    until: datetime = EVER[1]
    count: int = 100
    is_backwards: bool = False


def just_after(place: Place) -> Place:
    """As the end of a span that has this place in it."""
    return Place(place.tx, min(place.id + 1, END.id))


FACT = """
SELECT tx, id, name, ticket_id,
       (SELECT row_to_json(shown)::text
          FROM (SELECT id, name, ticket_id, actor, data, request_id, at) AS shown) AS body,
       circle
  FROM facts
 WHERE {which} AND (tx, id) > ($2, $3) AND (tx, id) < ($4, $5) AND at BETWEEN $6 AND $7
"""
ENTRY = """
SELECT tx, id, channel, action, once, at, body
  FROM channel_messages
 WHERE channel = $1 AND {which} AND (tx, id) > ($2, $3) AND (tx, id) < ($4, $5)
   AND at BETWEEN $6 AND $7
"""
# The public index has this condition word for word (migrations/0005).
PUBLIC = """
(name = 'ticket.created' OR name = 'ticket.deleted'
 OR (name = 'ticket.changed' AND data->'changes' ? 'status'))
"""
SHOWN = " AND ".join(f"NOT starts_with(name, '{each}')" for each in CONFIDENTIAL)
# Of facts, $1 is the private team; what is private is on its channels alone. Written like these,
# the planner does not take them for rare: it would sort a team's whole history for a page of it.
FOR_ALL = "$1::uuid IS NULL AND coalesce(circle IS NULL, false)"
FOR_TEAM = "coalesce(circle = $1::uuid, false)"
OF_TICKET = "ticket_id = $9::uuid"
KINDS = {
    "messages": ENTRY.format(which="action = 0"),
    "presence": ENTRY.format(which="action <> 0"),
    "all": ENTRY.format(which="true"),
    "updates": FACT.format(which=f"{FOR_ALL} AND {PUBLIC}"),
    "activity": FACT.format(which=f"{FOR_ALL} AND {SHOWN}"),
    "ticket": FACT.format(which=f"{FOR_ALL} AND {OF_TICKET}"),
    "private updates": FACT.format(which=f"team_id = $1 AND {FOR_TEAM} AND {PUBLIC}"),
    "private activity": FACT.format(which=f"team_id = $1 AND {FOR_TEAM} AND {SHOWN}"),
    "private ticket": FACT.format(which=f"{FOR_TEAM} AND {OF_TICKET}"),
}
OF_ENTRIES = ("messages", "presence", "all")
# Forwards only what is settled, so that nothing appears behind whoever goes on from there.
SETTLED = "AND tx < pg_snapshot_xmin(pg_current_snapshot())::text::bigint + feed_offset()"
ORDERS = {
    False: f"{SETTLED} ORDER BY tx, id LIMIT $8",
    True: "ORDER BY tx DESC, id DESC LIMIT $8",
}
STATEMENTS = {
    (kind, is_backwards): statement + order
    for kind, statement in KINDS.items()
    for is_backwards, order in ORDERS.items()
}


TICKET = "ticket:"


def kind_of(channel: str) -> str:
    """Where the messages of a channel are: which facts, or `messages`."""
    team, name = parted(channel)
    if name == UPDATES:
        kind = "updates"
    elif name == ACTIVITY:
        kind = "activity"
    elif name.startswith(TICKET):
        kind = "ticket"
    else:
        return "messages"
    return kind if team is None else f"private {kind}"


def parted(channel: str) -> tuple[str | None, str]:
    """The private team whose channel it is, if it is one's, and which of its channels."""
    if not channel.startswith(PRIVATE):
        return None, channel
    team, _, name = channel.removeprefix(PRIVATE).partition(":")
    return team, name


async def messages(db: Db, channel: str, span: Span) -> list[Item]:
    """The channel's messages, without presence."""
    return await read(db, kind_of(channel), channel, span)


async def presence(db: Db, channel: str, span: Span) -> list[Item]:
    """What came and went on the channel."""
    return await read(db, "presence", channel, span)


async def everything(db: Db, channel: str, span: Span) -> list[Item]:
    """Messages and presence, in their order."""
    kind = kind_of(channel)
    if kind == "messages":
        return await read(db, "all", channel, span)
    both = [*await read(db, kind, channel, span), *await read(db, "presence", channel, span)]
    return sorted(both, key=lambda each: each.place, reverse=span.is_backwards)[: span.count]


async def read(db: Db, kind: str, channel: str, span: Span) -> list[Item]:
    statement = STATEMENTS[kind, span.is_backwards]
    is_entry = kind in OF_ENTRIES
    team, name = parted(channel)
    rows = await db.rows(
        statement,
        channel if is_entry else team,
        span.after.tx,
        span.after.id,
        span.before.tx,
        span.before.id,
        span.start,
        span.until,
        span.count,
        *([name.removeprefix(TICKET)] if kind.endswith("ticket") else []),
    )
    shape = Entry if is_entry else Fact
    return [shape(*each) for each in rows]


async def purge(db: Db, *, hours: int, most: int = 5000) -> int:
    """Remove the oldest messages that are older than `hours`, and remember up to where."""
    return await db.run(
        """
        WITH old AS (
            SELECT tx, id, at FROM channel_messages ORDER BY tx, id LIMIT $2
        ), gone AS (
            DELETE FROM channel_messages AS message
             USING old
             WHERE (message.tx, message.id) = (old.tx, old.id)
               AND old.at < now() - make_interval(hours => $1)
         RETURNING message.tx, message.id
        )
        UPDATE channel_horizon AS horizon
           SET tx = newest.tx, id = newest.id
          FROM (SELECT tx, id FROM gone ORDER BY tx DESC, id DESC LIMIT 1) AS newest
         WHERE (horizon.tx, horizon.id) < (newest.tx, newest.id)
        """,
        hours,
        most,
    )


class Sized(Protocol):
    @property
    def body(self) -> str | bytes: ...


Large = TypeVar("Large", bound=Sized)


def fitting(items: list[Large], most: int) -> list[Large]:
    """As many as have so many bytes together, and at least one."""
    total = 0
    for count, each in enumerate(items):
        total += len(each.body)
        if count and total > most:
            return items[:count]
    return items
