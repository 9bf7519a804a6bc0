"""
Every static statement about tickets. The list, whose statement depends on its filters, is
in listing.py.

Bodies leave PostgreSQL as the JSON text that the API shows and are passed through.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from msgspec import UNSET, UnsetType

from pullse.kit.db import Db, Struct
from pullse.kit.events import Actor
from pullse.tickets.access import as_text, seen_by, visible
from pullse.tickets.model import NewTicket, TicketChanges

Value = TypeVar("Value")

OWN_TX = "pg_current_xact_id()::text::bigint + feed_offset()"
"""
Where a fact of this transaction stands in the feed. A transaction may be older than the one
that changed a ticket just before it; its fact must not come first. So a ticket keeps the
place of its newest fact, `tx`, and each fact takes the later of the two.
"""

COLUMNS = """id, number, title, description, status, priority, assigned_to, team_id,
               created_at, updated_at, version"""

CIRCLE = """CASE WHEN team_id IS NOT NULL THEN
                    (SELECT id FROM teams WHERE id = team_id AND is_private) END AS circle"""
"""The private team whose members alone may see the ticket, for reads of several callers."""

GET_SQL = f"""
        SELECT id, version, row_to_json(t)::text AS body, {CIRCLE}
          FROM (SELECT {COLUMNS} FROM tickets WHERE id = $1 AND deleted_at IS NULL) AS t
        """

GET_MANY_SQL = f"""
        SELECT id, version, row_to_json(t)::text AS body, {CIRCLE}
          FROM (SELECT {COLUMNS} FROM tickets
                 WHERE id = ANY($1::uuid[]) AND deleted_at IS NULL) AS t
        """

GET_MANY_BY_NUMBER_SQL = f"""
        SELECT number, version, row_to_json(t)::text AS body, {CIRCLE}
          FROM (SELECT {COLUMNS} FROM tickets
                 WHERE number = ANY($1::bigint[]) AND deleted_at IS NULL) AS t
        """


def create_sql(lock: str) -> str:
    return f"""
        WITH agent AS MATERIALIZED (
            SELECT id FROM agents
             WHERE id = ANY($6::uuid[]) AND deleted_at IS NULL
          ORDER BY id
               FOR KEY SHARE{lock}
        ), team AS MATERIALIZED (
            SELECT id FROM teams
             WHERE id = ANY($9::uuid[])
          ORDER BY id
               FOR KEY SHARE{lock}
        ), asked AS (
            SELECT id, title, description, priority, status, assigned_to, actor, request_id,
                   team_id, position
              FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[],
                          $7::text[], $8::text[], $9::uuid[])
                   WITH ORDINALITY
                   AS asked (id, title, description, priority, status, assigned_to,
                             actor, request_id, team_id, position)
        ), new AS (
            INSERT INTO tickets (id, title, description, priority, status, assigned_to, team_id)
                 SELECT id, title, description, priority, status, assigned_to, team_id
                   FROM asked
                  WHERE (assigned_to IS NULL OR assigned_to IN (SELECT id FROM agent))
                    AND (team_id IS NULL OR team_id IN (SELECT id FROM team))
                    AND CASE WHEN assigned_to IS NULL OR team_id IS NULL THEN true
                             ELSE {seen_by("asked.assigned_to", "asked.team_id")} END
               ORDER BY position
              RETURNING {COLUMNS}
        ), fact AS (
            INSERT INTO events (name, ticket_id, team_id, actor, request_id, data)
                 SELECT 'ticket.created', new.id, new.team_id, asked.actor, asked.request_id,
                        jsonb_build_object('number', new.number, 'title', new.title,
                            'status', new.status, 'priority', new.priority,
                            'assigned_to', new.assigned_to, 'team_id', new.team_id,
                            'version', new.version)
                   FROM new JOIN asked ON asked.id = new.id
               ORDER BY position
        )
        SELECT id, version, row_to_json(new)::text AS body FROM new
        """


def change_sql(lock: str) -> str:
    # Who keeps a ticket that is opened again, unless they have left. That may be to wait for, so
    # a batch, which must not wait, leaves such a ticket to be tried alone.
    keeper = """CASE WHEN status IN ('open', 'in_progress') AND NOT is_assigned THEN
                        (SELECT done.assigned_to FROM tickets AS done
                          WHERE done.id = asked.id AND done.status IN ('resolved', 'closed'))
                   END"""
    agents = "$7::uuid[] || ARRAY(SELECT keeper FROM asked WHERE keeper IS NOT NULL)"
    is_known = "asked.assigned_to IS NULL OR asked.assigned_to IN (SELECT id FROM agent)"
    if lock:
        keeper = "NULL::uuid"
        agents = "$7::uuid[]"
        is_known = f"""({is_known})
                   AND (is_assigned OR old.assigned_to IS NULL OR asked.status IS NULL
                        OR asked.status NOT IN ('open', 'in_progress')
                        OR old.status NOT IN ('resolved', 'closed'))"""
    return f"""
        WITH asked AS MATERIALIZED (
            SELECT id, title, description, status, priority, is_assigned, assigned_to,
                   string_to_array(if_match, ',')::integer[] AS if_match, actor, request_id,
                   is_moved, team_id, string_to_array(teams, ',')::uuid[] AS teams,
                   {keeper} AS keeper
              FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[],
                          $6::boolean[], $7::uuid[], $8::text[], $9::text[], $10::text[],
                          $11::boolean[], $12::uuid[], $13::text[])
                   AS asked (id, title, description, status, priority, is_assigned, assigned_to,
                             if_match, actor, request_id, is_moved, team_id, teams)
        ), agent AS MATERIALIZED (
            SELECT id FROM agents
             WHERE id = ANY({agents}) AND deleted_at IS NULL
          ORDER BY id
               FOR KEY SHARE{lock}
        ), team AS MATERIALIZED (
            SELECT id FROM teams
             WHERE id = ANY($12::uuid[])
               AND (SELECT count(*) FROM agent) >= 0
          ORDER BY id
               FOR KEY SHARE{lock}
        ), old AS MATERIALIZED (
            SELECT {COLUMNS}
              FROM tickets
             WHERE id = ANY($1::uuid[]) AND deleted_at IS NULL
               -- locks agents and teams before tickets, as an agent who leaves does
               AND (SELECT count(*) FROM agent) >= 0
               AND (SELECT count(*) FROM team) >= 0
          ORDER BY id
               FOR NO KEY UPDATE{lock}
        ), wanted AS MATERIALIZED (
            SELECT w.*,
                   CASE WHEN NOT is_given OR assigned_to IS NULL OR team_id IS NULL THEN true
                        ELSE {seen_by("w.assigned_to", "w.team_id")} END AS is_seen
              FROM (SELECT old.id,
                           coalesce(asked.title, old.title) AS title,
                           coalesce(asked.description, old.description) AS description,
                           coalesce(asked.status, old.status) AS status,
                           coalesce(asked.priority, old.priority) AS priority,
                           CASE WHEN is_assigned THEN asked.assigned_to
                                WHEN old.assigned_to = keeper
                                     AND keeper NOT IN (SELECT id FROM agent) THEN NULL
                                ELSE old.assigned_to END AS assigned_to,
                           CASE WHEN is_moved THEN asked.team_id ELSE old.team_id END AS team_id,
                           actor, request_id,
                           if_match IS NULL OR old.version = ANY(if_match) AS is_fresh,
                           {is_known} AS is_agent_known,
                           asked.team_id IS NULL OR asked.team_id IN (SELECT id FROM team)
                               AS is_team_known,
                           is_assigned OR is_moved AS is_given
                      FROM old JOIN asked ON asked.id = old.id
                     WHERE {visible("asked.teams", "old.team_id")}) AS w
        ), new AS (
            UPDATE tickets AS t
               SET title = wanted.title, description = wanted.description,
                   status = wanted.status, priority = wanted.priority,
                   assigned_to = wanted.assigned_to, team_id = wanted.team_id,
                   version = old.version + 1, updated_at = now(),
                   tx = greatest(t.tx, {OWN_TX})
              FROM wanted JOIN old ON old.id = wanted.id
             WHERE t.id = wanted.id AND is_fresh AND is_agent_known AND is_team_known AND is_seen
               AND (wanted.title, wanted.description, wanted.status, wanted.priority,
                    wanted.assigned_to, wanted.team_id)
                   IS DISTINCT FROM
                   (old.title, old.description, old.status, old.priority, old.assigned_to,
                    old.team_id)
         RETURNING t.id, t.number, t.title, t.description, t.status, t.priority, t.assigned_to,
                   t.team_id, t.created_at, t.updated_at, t.version, t.tx
        ), fact AS (
            INSERT INTO events (tx, name, ticket_id, team_id, actor, request_id, data)
                 SELECT new.tx, 'ticket.changed', new.id, new.team_id, actor, request_id,
                        jsonb_build_object('number', new.number, 'title', new.title,
                            'status', new.status, 'priority', new.priority,
                            'assigned_to', new.assigned_to, 'team_id', new.team_id,
                            'version', new.version,
                            'changes', jsonb_strip_nulls(jsonb_build_object(
                                'title', CASE WHEN new.title <> old.title
                                    THEN jsonb_build_array(old.title, new.title) END,
                                'description', CASE WHEN new.description <> old.description
                                    THEN jsonb_build_array(old.description, new.description) END,
                                'status', CASE WHEN new.status <> old.status
                                    THEN jsonb_build_array(old.status, new.status) END,
                                'priority', CASE WHEN new.priority <> old.priority
                                    THEN jsonb_build_array(old.priority, new.priority) END,
                                'assigned_to', CASE
                                    WHEN new.assigned_to IS DISTINCT FROM old.assigned_to
                                    THEN jsonb_build_array(old.assigned_to, new.assigned_to) END,
                                'team_id', CASE WHEN new.team_id IS DISTINCT FROM old.team_id
                                    THEN jsonb_build_array(old.team_id, new.team_id) END)))
                   FROM new JOIN old ON old.id = new.id JOIN wanted ON wanted.id = new.id
        )
        SELECT old.id,
               coalesce(new.version, old.version) AS version,
               coalesce(row_to_json(new), row_to_json(old))::text AS body,
               new.id IS NOT NULL AS is_changed,
               is_fresh,
               is_agent_known,
               is_team_known,
               is_seen
          FROM old
          JOIN wanted ON wanted.id = old.id
          LEFT JOIN (SELECT {COLUMNS} FROM new) AS new ON new.id = old.id
        """


def unassign_sql(which: str) -> str:
    return f"""
        WITH old AS MATERIALIZED (
            SELECT id, assigned_to
              FROM tickets
             WHERE {which}
               AND status IN ('open', 'in_progress')
               AND deleted_at IS NULL
          ORDER BY id
               FOR NO KEY UPDATE
        ), new AS (
            UPDATE tickets AS t
               SET assigned_to = NULL, version = version + 1, updated_at = now(),
                   tx = greatest(t.tx, {OWN_TX})
              FROM old
             WHERE t.id = old.id
         RETURNING t.id, number, title, status, priority, team_id, version, t.tx,
                   old.assigned_to AS before
        ), fact AS (
            INSERT INTO events (tx, name, ticket_id, team_id, actor, request_id, data)
                 SELECT tx, 'ticket.changed', id, team_id, $2, $3,
                        jsonb_build_object('number', number, 'title', title, 'status', status,
                            'priority', priority, 'assigned_to', NULL, 'team_id', team_id,
                            'version', version,
                            'changes', jsonb_build_object(
                                'assigned_to', jsonb_build_array(before, NULL)))
                   FROM new
        )
        SELECT count(*) FROM new
        """


UNASSIGN_OPEN_SQL = unassign_sql("assigned_to = $1::uuid")

UNASSIGN_UNSEEN_SQL = unassign_sql(
    f"team_id = $1::uuid AND assigned_to IS NOT NULL\n"
    f"               AND NOT {seen_by('tickets.assigned_to', '$1')}"
)

SKIP = " SKIP LOCKED"

CREATE_SQL = create_sql("")
"""Tickets and their facts at once; one whose agent is unknown is left out."""

CREATE_UNHINDERED_SQL = create_sql(SKIP)
"""As CREATE_SQL, but leaves out what would have to wait for somebody's lock."""

CHANGE_SQL = change_sql("")
"""Change what is given, with facts of what was and became; nothing where nothing differs."""

CHANGE_UNHINDERED_SQL = change_sql(SKIP)


class Shown(Struct, frozen=True):
    """A ticket as the API shows it; `circle` is the private team that it belongs to."""

    version: int
    body: str
    circle: UUID | None = None


class Changed(Struct, frozen=True):
    """Nothing was written where a flag says no."""

    id: UUID
    version: int
    body: str
    is_changed: bool
    is_fresh: bool
    is_agent_known: bool
    is_team_known: bool
    is_seen: bool

    @property
    def is_allowed(self) -> bool:
        """By what it names."""
        return self.is_agent_known and self.is_team_known and self.is_seen


class Named(Struct, frozen=True):
    """What is wrong with an agent and a team that a ticket is to be given to."""

    is_agent_known: bool
    is_team_known: bool
    is_seen: bool


class Deleted(Struct, frozen=True):
    version: int
    is_fresh: bool


class Change(Struct, frozen=True):
    """One step of a ticket's history, for a caller who holds an older version."""

    version: int
    actor: str
    at: datetime
    changes: str


class Creation(Struct, frozen=True):
    """A ticket that is about to be made, and who makes it."""

    id: UUID
    new: NewTicket
    by: Actor


class Wish(Struct, frozen=True):
    """A change that is about to be made, if the ticket is at one of the versions of `if_match`."""

    id: UUID
    changes: TicketChanges
    if_match: list[int] | None
    by: Actor


async def get_many(db: Db, ids: Sequence[UUID]) -> list[Shown | None]:
    """Each ticket by its id, None for those that are not there."""
    rows = await db.rows(GET_MANY_SQL, ids)
    found = {row[0]: Shown(*row[1:]) for row in rows}
    return [found.get(id_) for id_ in ids]


async def get_many_by_number(db: Db, numbers: Sequence[int]) -> list[Shown | None]:
    rows = await db.rows(GET_MANY_BY_NUMBER_SQL, numbers)
    found = {row[0]: Shown(*row[1:]) for row in rows}
    return [found.get(number) for number in numbers]


async def create(db: Db, one: Creation) -> Shown | None:
    """Write a ticket with its fact; None when `named` has something against it."""
    return (await _create(db, CREATE_SQL, [one]))[0]


async def create_unhindered(db: Db, batch: Sequence[Creation]) -> list[Shown | None]:
    """None for those to be tried alone: agent or team are unknown, or locked right now."""
    return await _create(db, CREATE_UNHINDERED_SQL, batch)


async def change(db: Db, wish: Wish) -> Changed | None:
    """None when there is no such ticket."""
    return (await _change(db, CHANGE_SQL, [wish]))[0]


async def change_unhindered(db: Db, batch: Sequence[Wish]) -> list[Changed | None]:
    """None for those to be tried alone: not there, or locked right now. Each ticket only once."""
    found = await _change(db, CHANGE_UNHINDERED_SQL, batch)
    return [done if done and done.is_allowed else None for done in found]


async def named(db: Db, agent_id: UUID | None, team_id: UUID | None) -> Named:
    """Why a ticket can't be given to them."""
    return await db.one(
        Named,
        f"""
        SELECT $1::uuid IS NULL
                   OR EXISTS (SELECT FROM agents WHERE id = $1 AND deleted_at IS NULL)
                   AS is_agent_known,
               $2::uuid IS NULL OR EXISTS (SELECT FROM teams WHERE id = $2) AS is_team_known,
               $1 IS NULL OR $2 IS NULL OR {seen_by("$1", "$2")} AS is_seen
        """,
        agent_id,
        team_id,
    )


async def _create(db: Db, sql: str, batch: Sequence[Creation]) -> list[Shown | None]:
    rows = await db.rows(
        sql,
        [each.id for each in batch],
        [each.new.title for each in batch],
        [each.new.description for each in batch],
        [each.new.priority for each in batch],
        [each.new.status for each in batch],
        [each.new.assigned_to for each in batch],
        [each.by.id for each in batch],
        [each.by.request_id for each in batch],
        [each.new.team_id for each in batch],
    )
    made = {row[0]: Shown(row[1], row[2]) for row in rows}
    return [made.get(each.id) for each in batch]


async def _change(db: Db, sql: str, batch: Sequence[Wish]) -> list[Changed | None]:
    rows = await db.rows(
        sql,
        [each.id for each in batch],
        [given(each.changes.title) for each in batch],
        [given(each.changes.description) for each in batch],
        [given(each.changes.status) for each in batch],
        [given(each.changes.priority) for each in batch],
        [each.changes.assigned_to is not UNSET for each in batch],
        [given(each.changes.assigned_to) for each in batch],
        [None if each.if_match is None else ",".join(map(str, each.if_match)) for each in batch],
        [each.by.id for each in batch],
        [each.by.request_id for each in batch],
        [each.changes.team_id is not UNSET for each in batch],
        [given(each.changes.team_id) for each in batch],
        [as_text(each.by.teams) for each in batch],
    )
    done = {row[0]: Changed(*row) for row in rows}
    return [done.get(each.id) for each in batch]


def given(value: Value | UnsetType) -> Value | None:
    return None if value is UNSET else value


async def delete(
    db: Db, ticket_id: UUID, *, if_match: list[int] | None, by: Actor
) -> Deleted | None:
    """Move a ticket to the trash, with the fact. None when there is no such ticket."""
    return await db.maybe(
        Deleted,
        f"""
        WITH old AS MATERIALIZED (
            SELECT id, number, title, status, priority, assigned_to, team_id, version
              FROM tickets
             WHERE id = $1 AND deleted_at IS NULL AND {visible("$5::uuid[]")}
               FOR NO KEY UPDATE
        ), gone AS (
            UPDATE tickets AS t
               SET deleted_at = now(), version = t.version + 1,
                   tx = greatest(t.tx, {OWN_TX})
              FROM old
             WHERE t.id = old.id
               AND ($2::integer[] IS NULL OR old.version = ANY($2))
         RETURNING t.version, t.tx
        ), fact AS (
            INSERT INTO events (tx, name, ticket_id, team_id, actor, request_id, data)
                 SELECT gone.tx, 'ticket.deleted', old.id, team_id, $3, $4,
                        jsonb_build_object('number', number, 'title', title, 'status', status,
                            'priority', priority, 'assigned_to', assigned_to,
                            'team_id', team_id, 'version', gone.version)
                   FROM old, gone
        )
        SELECT old.version, gone.version IS NOT NULL AS is_fresh
          FROM old LEFT JOIN gone ON true
        """,
        ticket_id,
        if_match,
        by.id,
        by.request_id,
        by.teams,
    )


async def restore(db: Db, ticket_id: UUID, *, by: Actor) -> Shown | None:
    """Take a ticket back out of the trash; what was assigned to one who left, to nobody."""
    return await db.maybe(
        Shown,
        f"""
        WITH agent AS MATERIALIZED (
            SELECT id FROM agents
             WHERE id = (SELECT assigned_to FROM tickets WHERE id = $1) AND deleted_at IS NULL
               FOR KEY SHARE
        ), back AS (
            UPDATE tickets AS t
               SET deleted_at = NULL, version = t.version + 1, updated_at = now(),
                   assigned_to = CASE WHEN status IN ('resolved', 'closed')
                       OR assigned_to IN (SELECT id FROM agent) THEN assigned_to END,
                   tx = greatest(t.tx, {OWN_TX})
             WHERE id = $1 AND deleted_at IS NOT NULL AND {visible("$4::uuid[]")}
               -- locks agents before tickets, as an agent who leaves does
               AND (SELECT count(*) FROM agent) >= 0
         RETURNING {COLUMNS}, tx
        ), fact AS (
            INSERT INTO events (tx, name, ticket_id, team_id, actor, request_id, data)
                 SELECT tx, 'ticket.restored', id, team_id, $2, $3,
                        jsonb_build_object('number', number, 'title', title, 'status', status,
                            'priority', priority, 'assigned_to', assigned_to,
                            'team_id', team_id, 'version', version)
                   FROM back
        )
        SELECT version, row_to_json(shown)::text AS body, {CIRCLE}
          FROM (SELECT {COLUMNS} FROM back) AS shown
        """,
        ticket_id,
        by.id,
        by.request_id,
        by.teams,
    )


async def unassign_open(db: Db, agent_id: UUID, *, by: Actor) -> int:
    """Take an agent off all that is not resolved or closed, with a fact for each ticket."""
    return int(await db.value(UNASSIGN_OPEN_SQL, agent_id, by.id, by.request_id))


async def unassign_unseen(db: Db, team_id: UUID, *, by: Actor) -> int:
    """The same, in a private team, for those who may not see its tickets (any more)."""
    return int(await db.value(UNASSIGN_UNSEEN_SQL, team_id, by.id, by.request_id))


async def find_id(db: Db, number: int, teams: frozenset[UUID] | None) -> UUID | None:
    """The id behind a short number, also of a ticket in the trash, if it may be seen."""
    found: UUID | None = await db.value(
        f"SELECT id FROM tickets WHERE number = $1 AND {visible('$2::uuid[]')}", number, teams
    )
    return found


async def changes_since(db: Db, ticket_id: UUID, version: int) -> list[Change]:
    """What happened to a ticket after `version`, oldest first, at most the last 50 steps."""
    return await db.all(
        Change,
        """
        SELECT version, actor, at, changes
          FROM (SELECT (data->>'version')::integer AS version, actor, at,
                       coalesce(data->'changes', '{}')::text AS changes, tx, id
                  FROM events
                 WHERE ticket_id = $1 AND (data->>'version')::integer > $2
              ORDER BY tx DESC, id DESC
                 LIMIT 50) AS newest
      ORDER BY tx, id
        """,
        ticket_id,
        version,
    )


async def purge(db: Db, *, days: int, most: int) -> int:
    """
    Erase tickets that have been in the trash for `days`, and their text in the facts.

    The facts stay, without what was written in them, and one more says what happened.
    """
    return int(
        await db.value(
            f"""
            WITH old AS (
                DELETE FROM tickets
                 WHERE id IN (SELECT id FROM tickets
                               WHERE deleted_at < now() - make_interval(days => $1)
                            ORDER BY deleted_at, id
                               LIMIT $2
                                 FOR UPDATE SKIP LOCKED)
             RETURNING id, number, team_id, tx
            ), erased AS (
                UPDATE events
                   SET data = data - 'title' - 'changes'
                  FROM old
                 WHERE events.ticket_id = old.id
            ), fact AS (
                INSERT INTO events (tx, name, ticket_id, team_id, actor, data)
                     SELECT greatest(tx, {OWN_TX}), 'ticket.purged', id, team_id, 'system',
                            jsonb_build_object('number', number)
                       FROM old
            )
            SELECT count(*) FROM old
            """,
            days,
            most,
        )
    )
