"""The statement that changes tickets, one or as many as come at the same moment."""

from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

from msgspec import UNSET, UnsetType

from pullse.kit.db import Db, Struct
from pullse.kit.events import Actor
from pullse.kit.markdown import VERSION
from pullse.tickets.access import as_text, seen_by, visible
from pullse.tickets.model import TicketChanges
from pullse.tickets.queries import COLUMNS, OWN_TX, SKIP

Value = TypeVar("Value")


TEXTS = f"""title = wanted.title, description = wanted.description,
                   description_html = CASE WHEN wanted.description = old.description
                       THEN t.description_html ELSE html END,
                   description_html_version = CASE WHEN wanted.description = old.description
                       THEN t.description_html_version ELSE {VERSION} END,
                   """


def change_sql(lock: str, texts: str = "") -> str:
    # Texts that are set, be it to what they are, have PostgreSQL find their words anew.
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
                   html,
                   {keeper} AS keeper
              FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[],
                          $6::boolean[], $7::uuid[], $8::text[], $9::text[], $10::text[],
                          $11::boolean[], $12::uuid[], $13::text[], $14::text[])
                   AS asked (id, title, description, status, priority, is_assigned, assigned_to,
                             if_match, actor, request_id, is_moved, team_id, teams, html)
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
                           html,
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
               SET {texts}status = wanted.status, priority = wanted.priority,
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


CHANGE_SQL = change_sql("")
"""Change what is given, with facts of what was and became; nothing where nothing differs."""

CHANGE_TEXTS_SQL = change_sql("", TEXTS)
"""The same for title and description too."""

CHANGE_UNHINDERED_SQL = change_sql(SKIP)
CHANGE_TEXTS_UNHINDERED_SQL = change_sql(SKIP, TEXTS)


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


class Wish(Struct, frozen=True):
    """A change that is about to be made, if the ticket is at one of the versions of `if_match`."""

    id: UUID
    changes: TicketChanges
    if_match: list[int] | None
    by: Actor
    html: str | None = None
    """Of the description, where that is changed."""


async def change(db: Db, wish: Wish) -> Changed | None:
    """None when there is no such ticket."""
    return (await change_many(db, [wish]))[0]


async def change_many(db: Db, batch: Sequence[Wish]) -> list[Changed | None]:
    """Each ticket only once; waits for who is changing one right now."""
    return await _change(db, CHANGE_TEXTS_SQL if any_texts(batch) else CHANGE_SQL, batch)


async def change_unhindered(db: Db, batch: Sequence[Wish]) -> list[Changed | None]:
    """None for those to be tried alone: not there, or locked right now. Each ticket only once."""
    sql = CHANGE_TEXTS_UNHINDERED_SQL if any_texts(batch) else CHANGE_UNHINDERED_SQL
    found = await _change(db, sql, batch)
    return [done if done and done.is_allowed else None for done in found]


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
        [each.html for each in batch],
    )
    done = {row[0]: Changed(*row) for row in rows}
    return [done.get(each.id) for each in batch]


def any_texts(batch: Sequence[Wish]) -> bool:
    return any(
        each.changes.title is not UNSET or each.changes.description is not UNSET for each in batch
    )


def given(value: Value | UnsetType) -> Value | None:
    return None if value is UNSET else value
