"""
Every static statement about tickets, but for those that make one (creating.py) and change one
(changing.py). The list, whose statement depends on its filters, is in listing.py.

Bodies leave PostgreSQL as the JSON text that the API shows and are passed through.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from pullse.kit.db import Db, Struct
from pullse.kit.events import Actor
from pullse.tickets.access import seen_by, visible

OWN_TX = "pg_current_xact_id()::text::bigint + feed_offset()"
"""
Where a fact of this transaction stands in the feed. A transaction may be older than the one
that changed a ticket just before it; its fact must not come first. So a ticket keeps the
place of its newest fact, `tx`, and each fact takes the later of the two.
"""

SKIP = " SKIP LOCKED"
"""For a batch, which leaves out what would have to wait for somebody's lock."""

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


class Shown(Struct, frozen=True):
    """A ticket as the API shows it; `circle` is the private team that it belongs to."""

    version: int
    body: str
    circle: UUID | None = None


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


async def get_many(db: Db, ids: Sequence[UUID]) -> list[Shown | None]:
    """Each ticket by its id, None for those that are not there."""
    rows = await db.rows(GET_MANY_SQL, ids)
    found = {row[0]: Shown(*row[1:]) for row in rows}
    return [found.get(id_) for id_ in ids]


async def get_many_by_number(db: Db, numbers: Sequence[int]) -> list[Shown | None]:
    rows = await db.rows(GET_MANY_BY_NUMBER_SQL, numbers)
    found = {row[0]: Shown(*row[1:]) for row in rows}
    return [found.get(number) for number in numbers]


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
