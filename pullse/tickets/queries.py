"""
Every static statement about tickets. The list, whose statement depends on its filters, is
in listing.py.

Bodies leave PostgreSQL as the JSON text that the API shows and are passed through.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import UNSET

from pullse.kit.db import Db, Struct
from pullse.kit.events import Actor
from pullse.tickets.model import NewTicket, TicketChanges

COLUMNS = """id, number, title, description, status, priority, assigned_to,
               created_at, updated_at, version"""

GET_SQL = f"""
        SELECT id, version, row_to_json(t)::text AS body
          FROM (SELECT {COLUMNS} FROM tickets WHERE id = $1 AND deleted_at IS NULL) AS t
        """

GET_MANY_SQL = f"""
        SELECT id, version, row_to_json(t)::text AS body
          FROM (SELECT {COLUMNS} FROM tickets
                 WHERE id = ANY($1::uuid[]) AND deleted_at IS NULL) AS t
        """

GET_MANY_BY_NUMBER_SQL = f"""
        SELECT number, version, row_to_json(t)::text AS body
          FROM (SELECT {COLUMNS} FROM tickets
                 WHERE number = ANY($1::bigint[]) AND deleted_at IS NULL) AS t
        """

CREATE_SQL = f"""
        WITH agent AS MATERIALIZED (
            SELECT id FROM agents
             WHERE id = ANY($6::uuid[]) AND deleted_at IS NULL
               FOR KEY SHARE
        ), new AS (
            SELECT *
              FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[],
                          $7::text[], $8::text[])
                   WITH ORDINALITY
                   AS new (id, title, description, priority, status, assigned_to,
                           actor, request_id, position)
        ), ticket AS (
            INSERT INTO tickets (id, title, description, priority, status, assigned_to)
                 SELECT id, title, description, priority, status, assigned_to
                   FROM new
                  WHERE assigned_to IS NULL OR assigned_to IN (SELECT id FROM agent)
               ORDER BY position
              RETURNING {COLUMNS}
        ), fact AS (
            INSERT INTO events (name, ticket_id, actor, request_id, data)
                 SELECT 'ticket.created', ticket.id, new.actor, new.request_id,
                        jsonb_build_object('number', number, 'title', ticket.title,
                            'status', ticket.status, 'priority', ticket.priority,
                            'assigned_to', ticket.assigned_to, 'version', version)
                   FROM ticket JOIN new ON new.id = ticket.id
               ORDER BY position
        )
        SELECT id, version, row_to_json(ticket)::text AS body FROM ticket
        """
"""Many tickets and their facts at once; one whose agent is unknown is left out."""

CHANGE_SQL = f"""
        WITH agent AS MATERIALIZED (
            SELECT id FROM agents
             WHERE id = $7 AND deleted_at IS NULL
               FOR KEY SHARE
        ), old AS MATERIALIZED (
            SELECT {COLUMNS} FROM tickets
             WHERE id = $1 AND deleted_at IS NULL
               -- locks the agent before the ticket, as an agent who leaves does
               AND (SELECT count(*) FROM agent) >= 0
               FOR NO KEY UPDATE
        ), wanted AS MATERIALIZED (
            SELECT id,
                   coalesce($2, title) AS title,
                   coalesce($3, description) AS description,
                   coalesce($4, status) AS status,
                   coalesce($5, priority) AS priority,
                   CASE WHEN $6 THEN $7
                        -- an agent who has left does not get a ticket back that is opened again
                        WHEN $4 IN ('open', 'in_progress') AND assigned_to IN
                             (SELECT id FROM agents WHERE deleted_at IS NOT NULL) THEN NULL
                        ELSE assigned_to END AS assigned_to
              FROM old
        ), new AS (
            UPDATE tickets AS t
               SET title = wanted.title, description = wanted.description,
                   status = wanted.status, priority = wanted.priority,
                   assigned_to = wanted.assigned_to,
                   version = old.version + 1, updated_at = now()
              FROM wanted, old
             WHERE t.id = wanted.id
               AND ($8::integer[] IS NULL OR old.version = ANY($8))
               AND ($7::uuid IS NULL OR $7 IN (SELECT id FROM agent))
               AND (wanted.title, wanted.description, wanted.status, wanted.priority,
                    wanted.assigned_to)
                   IS DISTINCT FROM
                   (old.title, old.description, old.status, old.priority, old.assigned_to)
         RETURNING t.id, t.number, t.title, t.description, t.status, t.priority, t.assigned_to,
                   t.created_at, t.updated_at, t.version
        ), fact AS (
            INSERT INTO events (name, ticket_id, actor, request_id, data)
                 SELECT 'ticket.changed', new.id, $9, $10,
                        jsonb_build_object('number', new.number, 'title', new.title,
                            'status', new.status, 'priority', new.priority,
                            'assigned_to', new.assigned_to, 'version', new.version,
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
                                    THEN jsonb_build_array(old.assigned_to, new.assigned_to) END)))
                   FROM new, old
        )
        SELECT coalesce(new.version, old.version) AS version,
               coalesce(row_to_json(new), row_to_json(old))::text AS body,
               new.id IS NOT NULL AS is_changed,
               $8::integer[] IS NULL OR old.version = ANY($8) AS is_fresh,
               $7::uuid IS NULL OR $7 IN (SELECT id FROM agent) AS is_agent_known
          FROM old LEFT JOIN new ON true
        """
"""Change what is given, with the fact of what it was and became; nothing when nothing differs."""


class Shown(Struct, frozen=True):
    """A ticket as the API shows it."""

    version: int
    body: str


class Changed(Struct, frozen=True):
    version: int
    body: str
    is_changed: bool
    is_fresh: bool
    is_agent_known: bool


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


async def get_many(db: Db, ids: Sequence[UUID]) -> list[Shown | None]:
    """Each ticket by its id, None for those that are not there."""
    rows = await db.rows(GET_MANY_SQL, ids)
    found = {row[0]: Shown(row[1], row[2]) for row in rows}
    return [found.get(id_) for id_ in ids]


async def get_many_by_number(db: Db, numbers: Sequence[int]) -> list[Shown | None]:
    rows = await db.rows(GET_MANY_BY_NUMBER_SQL, numbers)
    found = {row[0]: Shown(row[1], row[2]) for row in rows}
    return [found.get(number) for number in numbers]


async def create_many(db: Db, batch: Sequence[Creation]) -> list[Shown | None]:
    """Write tickets with their facts; None for one whose agent is unknown."""
    rows = await db.rows(
        CREATE_SQL,
        [each.id for each in batch],
        [each.new.title for each in batch],
        [each.new.description for each in batch],
        [each.new.priority for each in batch],
        [each.new.status for each in batch],
        [each.new.assigned_to for each in batch],
        [each.by.id for each in batch],
        [each.by.request_id for each in batch],
    )
    made = {row[0]: Shown(row[1], row[2]) for row in rows}
    return [made.get(each.id) for each in batch]


async def change(
    db: Db, ticket_id: UUID, changes: TicketChanges, *, if_match: list[int] | None, by: Actor
) -> Changed | None:
    """None when there is no such ticket. Nothing is written when the flags say no."""
    given = changes.__class__.__struct_fields__
    values = {name: value for name in given if (value := getattr(changes, name)) is not UNSET}
    return await db.maybe(
        Changed,
        CHANGE_SQL,
        ticket_id,
        values.get("title"),
        values.get("description"),
        values.get("status"),
        values.get("priority"),
        "assigned_to" in values,
        values.get("assigned_to"),
        if_match,
        by.id,
        by.request_id,
    )


async def delete(
    db: Db, ticket_id: UUID, *, if_match: list[int] | None, by: Actor
) -> Deleted | None:
    """Move a ticket to the trash, with the fact. None when there is no such ticket."""
    return await db.maybe(
        Deleted,
        """
        WITH old AS MATERIALIZED (
            SELECT id, number, title, status, priority, assigned_to, version
              FROM tickets
             WHERE id = $1 AND deleted_at IS NULL
               FOR NO KEY UPDATE
        ), gone AS (
            UPDATE tickets AS t
               SET deleted_at = now(), version = t.version + 1
              FROM old
             WHERE t.id = old.id
               AND ($2::integer[] IS NULL OR old.version = ANY($2))
         RETURNING t.version
        ), fact AS (
            INSERT INTO events (name, ticket_id, actor, request_id, data)
                 SELECT 'ticket.deleted', old.id, $3, $4,
                        jsonb_build_object('number', number, 'title', title, 'status', status,
                            'priority', priority, 'assigned_to', assigned_to,
                            'version', gone.version)
                   FROM old, gone
        )
        SELECT old.version, gone.version IS NOT NULL AS is_fresh
          FROM old LEFT JOIN gone ON true
        """,
        ticket_id,
        if_match,
        by.id,
        by.request_id,
    )


async def restore(db: Db, ticket_id: UUID, *, by: Actor) -> Shown | None:
    """Take a ticket back out of the trash; what was assigned to one who left, to nobody."""
    return await db.maybe(
        Shown,
        """
        WITH back AS (
            UPDATE tickets AS t
               SET deleted_at = NULL, version = t.version + 1, updated_at = now(),
                   assigned_to = CASE WHEN status IN ('resolved', 'closed') OR assigned_to IN
                       (SELECT id FROM agents WHERE deleted_at IS NULL) THEN assigned_to END
             WHERE id = $1 AND deleted_at IS NOT NULL
         RETURNING id, number, title, description, status, priority, assigned_to,
                   created_at, updated_at, version
        ), fact AS (
            INSERT INTO events (name, ticket_id, actor, request_id, data)
                 SELECT 'ticket.restored', id, $2, $3,
                        jsonb_build_object('number', number, 'title', title, 'status', status,
                            'priority', priority, 'assigned_to', assigned_to, 'version', version)
                   FROM back
        )
        SELECT version, row_to_json(back)::text AS body FROM back
        """,
        ticket_id,
        by.id,
        by.request_id,
    )


async def unassign_open(db: Db, agent_id: UUID, *, by: Actor) -> int:
    """Take an agent off all that is not resolved or closed, with a fact for each ticket."""
    return int(
        await db.value(
            """
            WITH new AS (
                UPDATE tickets
                   SET assigned_to = NULL, version = version + 1, updated_at = now()
                 WHERE assigned_to = $1
                   AND status IN ('open', 'in_progress')
                   AND deleted_at IS NULL
             RETURNING id, number, title, status, priority, version
            ), fact AS (
                INSERT INTO events (name, ticket_id, actor, request_id, data)
                     SELECT 'ticket.changed', id, $2, $3,
                            jsonb_build_object('number', number, 'title', title,
                                'status', status, 'priority', priority, 'assigned_to', NULL,
                                'version', version,
                                'changes', jsonb_build_object(
                                    'assigned_to', jsonb_build_array($1::uuid, NULL)))
                       FROM new
            )
            SELECT count(*) FROM new
            """,
            agent_id,
            by.id,
            by.request_id,
        )
    )


async def find_id(db: Db, number: int) -> UUID | None:
    """The id behind a short number, also of a ticket in the trash."""
    return await db.value("SELECT id FROM tickets WHERE number = $1", number)  # type: ignore[no-any-return]


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
            """
            WITH old AS (
                DELETE FROM tickets
                 WHERE id IN (SELECT id FROM tickets
                               WHERE deleted_at < now() - make_interval(days => $1)
                            ORDER BY deleted_at, id
                               LIMIT $2
                                 FOR UPDATE SKIP LOCKED)
             RETURNING id, number
            ), erased AS (
                UPDATE events
                   SET data = data - 'title' - 'changes'
                  FROM old
                 WHERE events.ticket_id = old.id
            ), fact AS (
                INSERT INTO events (name, ticket_id, actor, data)
                     SELECT 'ticket.purged', id, 'system', jsonb_build_object('number', number)
                       FROM old
            )
            SELECT count(*) FROM old
            """,
            days,
            most,
        )
    )
