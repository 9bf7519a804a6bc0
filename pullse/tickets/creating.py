"""The statement that makes tickets, one or as many as come at the same moment."""

from collections.abc import Sequence
from uuid import UUID

from pullse.kit.db import Db, Struct
from pullse.kit.events import Actor
from pullse.kit.markdown import VERSION
from pullse.tickets.access import seen_by
from pullse.tickets.model import NewTicket
from pullse.tickets.queries import COLUMNS, SKIP, Shown


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
                   team_id, html, position
              FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[],
                          $7::text[], $8::text[], $9::uuid[], $10::text[])
                   WITH ORDINALITY
                   AS asked (id, title, description, priority, status, assigned_to,
                             actor, request_id, team_id, html, position)
        ), new AS (
            INSERT INTO tickets (id, title, description, priority, status, assigned_to, team_id,
                                 description_html, description_html_version)
                 SELECT id, title, description, priority, status, assigned_to, team_id,
                        html, {VERSION}
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


CREATE_SQL = create_sql("")
"""Tickets and their facts at once; one whose agent is unknown is left out."""

CREATE_UNHINDERED_SQL = create_sql(SKIP)
"""As CREATE_SQL, but leaves out what would have to wait for somebody's lock."""


class Creation(Struct, frozen=True):
    """A ticket that is about to be made, and who makes it."""

    id: UUID
    new: NewTicket
    html: str
    """Of its description."""
    by: Actor


async def create(db: Db, one: Creation) -> Shown | None:
    """Write a ticket with its fact; None when `named` has something against it."""
    return (await _create(db, CREATE_SQL, [one]))[0]


async def create_unhindered(db: Db, batch: Sequence[Creation]) -> list[Shown | None]:
    """None for those to be tried alone: agent or team are unknown, or locked right now."""
    return await _create(db, CREATE_UNHINDERED_SQL, batch)


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
        [each.html for each in batch],
    )
    made = {row[0]: Shown(row[1], row[2]) for row in rows}
    return [made.get(each.id) for each in batch]
