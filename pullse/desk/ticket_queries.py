"""
Every statement that a ticket's page reads by: the ticket, also in the trash, what happened to
it, and the names of those who are spoken of.
"""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from pullse.desk.queries import AT_MOST
from pullse.kit.db import Db, Struct
from pullse.kit.events import Place
from pullse.tickets.access import SEES_ALL, visible
from pullse.tickets.queries import CIRCLE
from pullse.tickets.rendering import HTML

TEAMS_AT_MOST = 500
"""That a ticket can be given to on its page; the API takes any."""

HERE = "agents.deleted_at IS NULL AND agents.state <> 'disabled'"

FACT = """events.tx, events.id, events.name, events.actor, events.at,
               (events.data #- '{changes,description}')::text AS data,
               coalesce(events.data->'changes' ? 'description', false) AS has_text,
               coalesce(events.data->'changes'->'description'->>1 = tickets.description, false)
                   AS is_text_now"""


class Ticket(Struct, frozen=True):
    id: UUID
    number: int
    title: str
    description: str
    status: str
    priority: str
    assigned_to: UUID | None
    team_id: UUID | None
    created_at: datetime
    updated_at: datetime
    version: int
    deleted_at: datetime | None
    html: str | None
    """See tickets/rendering.py."""
    circle: UUID | None = None
    """The private team whose members alone may see it."""


class Fact(Struct, frozen=True):
    """
    What happened, but without descriptions, which may be long: `has_text` says that it was
    changed, and `is_text_now` that it is still what it became then.
    """

    tx: int
    id: int
    name: str
    actor: str
    at: datetime
    data: str
    has_text: bool
    is_text_now: bool

    @property
    def place(self) -> Place:
        return Place(self.tx, self.id)


class Since(Struct, frozen=True):
    """What a field was before it was changed, as JSON text, and who changed it last."""

    field: str
    before: str
    actor: str


class Name(Struct, frozen=True):
    """`is_gone`: an agent who has left. A hidden team is not to be named."""

    id: UUID
    name: str
    is_gone: bool
    is_hidden: bool


class Choice(Struct, frozen=True):
    """An agent or a team that a ticket can be given to."""

    is_team: bool
    id: UUID
    name: str
    is_private: bool


class Texts(Struct, frozen=True):
    """A description, before and after."""

    before: str
    after: str


async def find(db: Db, number: int, teams: frozenset[UUID] | None) -> Ticket | None:
    """Also one in the trash, if it may be seen by who is in these teams (None: sees all)."""
    return await db.maybe(
        Ticket,
        f"""
        SELECT id, number, title, description, status, priority, assigned_to, team_id,
               created_at, updated_at, version, deleted_at, {HTML} AS html, {CIRCLE}
          FROM tickets
         WHERE number = $1 AND {visible("$2::uuid[]")}
        """,
        number,
        teams,
    )


async def number_of(db: Db, ticket_id: UUID, teams: frozenset[UUID] | None) -> int | None:
    found: int | None = await db.value(
        f"SELECT number FROM tickets WHERE id = $1 AND {visible('$2::uuid[]')}", ticket_id, teams
    )
    return found


async def before(db: Db, ticket_id: UUID, place: Place, *, limit: int) -> list[Fact]:
    """What happened before that, the last first."""
    return await db.all(
        Fact,
        f"""
        SELECT {FACT}
          FROM events JOIN tickets ON tickets.id = events.ticket_id
         WHERE ticket_id = $1 AND (events.tx, events.id) < ($2, $3)
      ORDER BY events.tx DESC, events.id DESC
         LIMIT $4
        """,
        ticket_id,
        place.tx,
        place.id,
        limit,
    )


async def after(db: Db, ticket_id: UUID, place: Place, *, limit: int) -> list[Fact]:
    """What happened after that, in order."""
    return await db.all(
        Fact,
        f"""
        SELECT {FACT}
          FROM events JOIN tickets ON tickets.id = events.ticket_id
         WHERE ticket_id = $1 AND (events.tx, events.id) > ($2, $3)
      ORDER BY events.tx, events.id
         LIMIT $4
        """,
        ticket_id,
        place.tx,
        place.id,
        limit,
    )


async def fact(db: Db, ticket_id: UUID, fact_id: int) -> Fact | None:
    """One of the ticket's, by its id: found in the index alone."""
    return await db.maybe(
        Fact,
        f"""
        SELECT {FACT}
          FROM events JOIN tickets ON tickets.id = events.ticket_id
         WHERE ticket_id = $1 AND events.id = $2
        """,
        ticket_id,
        fact_id,
    )


async def texts(db: Db, ticket_id: UUID, fact_id: int) -> Texts | None:
    """The description before and after a fact that changed it."""
    return await db.maybe(
        Texts,
        """
        SELECT data->'changes'->'description'->>0 AS before,
               data->'changes'->'description'->>1 AS after
          FROM events
         WHERE ticket_id = $1 AND id = $2 AND data->'changes' ? 'description'
        """,
        ticket_id,
        fact_id,
    )


async def since(db: Db, ticket_id: UUID, version: int) -> list[Since]:
    """For each field that was changed after `version`, what it was then."""
    return await db.all(
        Since,
        """
        SELECT key AS field,
               (array_agg(value->0 ORDER BY tx, id))[1]::text AS before,
               (array_agg(actor ORDER BY tx DESC, id DESC))[1] AS actor
          FROM events, jsonb_each(coalesce(data->'changes', '{}'))
         WHERE ticket_id = $1 AND (data->>'version')::integer > $2
      GROUP BY key
        """,
        ticket_id,
        version,
    )


async def names(
    db: Db,
    agents: Collection[UUID],
    tokens: Collection[UUID],
    teams: Collection[UUID],
    seen: frozenset[UUID] | None,
) -> list[Name]:
    """Of all that are known, also those who have left; `seen` are the teams of who looks."""
    return await db.all(
        Name,
        """
        SELECT id, name, deleted_at IS NOT NULL AS is_gone, false AS is_hidden
          FROM agents
         WHERE id = ANY($1::uuid[])
         UNION ALL
        SELECT id, name, false, false
          FROM api_tokens
         WHERE id = ANY($2::uuid[])
         UNION ALL
        SELECT id, name, false, $4::uuid[] IS NOT NULL AND is_private AND id <> ALL($4::uuid[])
          FROM teams
         WHERE id = ANY($3::uuid[])
         UNION ALL
        SELECT (data->>'team_id')::uuid, data->>'name', true, false
          FROM events
         WHERE events.name = 'team.deleted' AND data->>'team_id' = ANY($3::uuid[]::text[])
        """,
        list(agents),
        list(tokens),
        list(teams),
        seen,
    )


async def choices(db: Db, team_id: UUID | None, limit: int = AT_MOST + 1) -> list[Choice]:
    """
    The teams, and the agents who may see tickets of this one, by name: one more than are
    offered, if there are many.
    """
    return await db.all(
        Choice,
        f"""
        WITH circle AS (SELECT id FROM teams WHERE id = $1::uuid AND is_private)
        (SELECT false AS is_team, id, name, false AS is_private
           FROM ((SELECT id, name
                    FROM agents
                   WHERE {HERE} AND NOT EXISTS (SELECT FROM circle)
                ORDER BY name, id
                   LIMIT $2)
                  UNION
                 (SELECT agents.id, agents.name
                    FROM circle
                    JOIN team_members ON team_members.team_id = circle.id
                    JOIN agents ON agents.id = team_members.agent_id
                   WHERE {HERE}
                ORDER BY agents.name, agents.id
                   LIMIT $2)
                  UNION
                 (SELECT agents.id, agents.name
                    FROM circle, agents
                   WHERE {HERE} AND role IN {SEES_ALL}
                ORDER BY agents.name, agents.id
                   LIMIT $2)) AS seeing
       ORDER BY name, id
          LIMIT $2)
         UNION ALL
        (SELECT true, id, name, is_private
           FROM teams
       ORDER BY name, id
          LIMIT $3)
        """,
        team_id,
        limit,
        TEAMS_AT_MOST,
    )
