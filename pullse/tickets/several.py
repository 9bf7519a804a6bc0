"""The statements that delete, restore and take back several tickets at once, with their facts."""

from collections.abc import Sequence
from uuid import UUID

from pullse.kit.db import Db, Struct
from pullse.kit.events import Actor, Place
from pullse.tickets.access import visible
from pullse.tickets.queries import OWN_TX

DATA = """jsonb_build_object('number', number, 'title', title, 'status', status,
                            'priority', priority, 'assigned_to', assigned_to,
                            'team_id', team_id, 'version', version)"""


class One(Struct, frozen=True):
    """A ticket as somebody has seen it, or however it is."""

    id: UUID
    version: int | None = None

    @property
    def if_match(self) -> list[int] | None:
        return None if self.version is None else [self.version]


class State(Struct, frozen=True):
    """What several tickets at once may be changed in."""

    id: UUID
    version: int
    status: str
    priority: str
    assigned_to: UUID | None
    team_id: UUID | None


class Fact(Struct, frozen=True):
    name: str
    ticket_id: UUID
    data: str


async def delete(db: Db, tickets: Sequence[One], *, by: Actor) -> set[UUID]:
    """Move those to the trash that are as they were seen."""
    rows = await db.rows(
        f"""
        WITH old AS MATERIALIZED (
            SELECT id, version
              FROM tickets
             WHERE id = ANY($1::uuid[]) AND deleted_at IS NULL AND {visible("$5::uuid[]")}
          ORDER BY id
               FOR NO KEY UPDATE
        ), gone AS (
            UPDATE tickets AS t
               SET deleted_at = now(), version = t.version + 1,
                   tx = greatest(t.tx, {OWN_TX})
              FROM old JOIN unnest($1::uuid[], $2::integer[]) AS asked (id, version)
                         ON asked.id = old.id
                        AND coalesce(asked.version, old.version) = old.version
             WHERE t.id = old.id
         RETURNING t.id, number, title, status, priority, assigned_to, team_id, t.version, t.tx
        ), fact AS (
            INSERT INTO events (tx, name, ticket_id, team_id, actor, request_id, data)
                 SELECT tx, 'ticket.deleted', id, team_id, $3, $4, {DATA}
                   FROM gone
        )
        SELECT id FROM gone
        """,
        [each.id for each in tickets],
        [each.version for each in tickets],
        by.id,
        by.request_id,
        by.teams,
    )
    return {row[0] for row in rows}


async def restore(db: Db, tickets: Sequence[One], *, by: Actor) -> set[UUID]:
    """As for one ticket (see queries.restore); of those that are as they were seen."""
    rows = await db.rows(
        f"""
        WITH agent AS MATERIALIZED (
            SELECT id FROM agents
             WHERE id IN (SELECT assigned_to FROM tickets WHERE id = ANY($1::uuid[]))
               AND deleted_at IS NULL
          ORDER BY id
               FOR KEY SHARE
        ), old AS MATERIALIZED (
            SELECT id, version
              FROM tickets
             WHERE id = ANY($1::uuid[]) AND deleted_at IS NOT NULL AND {visible("$5::uuid[]")}
               -- locks agents before tickets, as an agent who leaves does
               AND (SELECT count(*) FROM agent) >= 0
          ORDER BY id
               FOR NO KEY UPDATE
        ), back AS (
            UPDATE tickets AS t
               SET deleted_at = NULL, version = t.version + 1, updated_at = now(),
                   assigned_to = CASE WHEN status IN ('resolved', 'closed')
                       OR assigned_to IN (SELECT id FROM agent) THEN assigned_to END,
                   tx = greatest(t.tx, {OWN_TX})
              FROM old JOIN unnest($1::uuid[], $2::integer[]) AS asked (id, version)
                         ON asked.id = old.id
                        AND coalesce(asked.version, old.version) = old.version
             WHERE t.id = old.id
         RETURNING t.id, number, title, status, priority, assigned_to, team_id, t.version, t.tx
        ), fact AS (
            INSERT INTO events (tx, name, ticket_id, team_id, actor, request_id, data)
                 SELECT tx, 'ticket.restored', id, team_id, $3, $4, {DATA}
                   FROM back
        )
        SELECT id FROM back
        """,
        [each.id for each in tickets],
        [each.version for each in tickets],
        by.id,
        by.request_id,
        by.teams,
    )
    return {row[0] for row in rows}


async def places(db: Db, ids: Sequence[UUID], *, by: Actor) -> list[Place]:
    """Where the facts are that this transaction has recorded about these tickets, in order."""
    return await db.all(
        Place,
        f"""
        SELECT tx, id
          FROM events
         WHERE ticket_id = ANY($1::uuid[]) AND tx >= {OWN_TX}
           AND actor = $2 AND request_id IS NOT DISTINCT FROM $3
      ORDER BY tx, id
        """,
        ids,
        by.id,
        by.request_id,
    )


async def facts(
    db: Db, first: Place, last: Place, *, actor: str, request_id: str | None, most: int
) -> list[Fact]:
    """What one request of somebody did to tickets; others' facts lie between."""
    return await db.all(
        Fact,
        """
        SELECT name, ticket_id, data::text AS data
          FROM events
         WHERE (tx, id) >= ($1, $2) AND (tx, id) <= ($3, $4)
           AND actor = $5 AND request_id IS NOT DISTINCT FROM $6 AND ticket_id IS NOT NULL
      ORDER BY tx, id
         LIMIT $7
        """,
        first.tx,
        first.id,
        last.tx,
        last.id,
        actor,
        request_id,
        most,
    )


async def states(db: Db, ids: Sequence[UUID], *, by: Actor) -> list[State]:
    """As they are now, without those in the trash."""
    return await db.all(
        State,
        f"""
        SELECT id, version, status, priority, assigned_to, team_id
          FROM tickets
         WHERE id = ANY($1::uuid[]) AND deleted_at IS NULL AND {visible("$2::uuid[]")}
        """,
        ids,
        by.teams,
    )
