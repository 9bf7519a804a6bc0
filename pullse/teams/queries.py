"""Every statement about teams. Bodies are the JSON text that the API shows."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from pullse.kit.db import Db, Struct


class Shown(Struct, frozen=True):
    """A team as the API shows it."""

    version: int
    body: str


class Row(Struct, frozen=True):
    id: UUID
    name: str
    is_private: bool
    version: int


class Other(Struct, frozen=True):
    """An agent who could join."""

    id: UUID
    name: str
    email: str


async def insert_unless_taken(db: Db, *, id_: UUID, name: str, is_private: bool) -> Shown | None:
    """None when a team has the name."""
    return await db.maybe(
        Shown,
        """
        WITH new AS (
            INSERT INTO teams (id, name, is_private)
                 VALUES ($1, $2, $3)
            ON CONFLICT (lower(name)) DO NOTHING
              RETURNING id, name, is_private, created_at, updated_at, version
        )
        SELECT version, row_to_json(new)::text AS body FROM new
        """,
        id_,
        name,
        is_private,
    )


async def get(db: Db, team_id: UUID) -> Shown | None:
    return await db.maybe(
        Shown,
        """
        SELECT version, row_to_json(t)::text AS body
          FROM (SELECT id, name, is_private, created_at, updated_at, version
                  FROM teams
                 WHERE id = $1) AS t
        """,
        team_id,
    )


async def page(db: Db, *, after: tuple[str, UUID] | None, limit: int) -> Sequence[Sequence[Any]]:
    """Rows of body, name and id, by name."""
    return await db.rows(
        """
        SELECT row_to_json(t)::text AS body, name, id
          FROM (SELECT id, name, is_private, created_at, updated_at, version
                  FROM teams
                 WHERE $1::text IS NULL OR (name, id) > ($1, $2::uuid)
              ORDER BY name, id
                 LIMIT $3) AS t
        """,
        after and after[0],
        after and after[1],
        limit,
    )


async def lock(db: Db, team_id: UUID) -> Row | None:
    """Read a team that is about to change; keeps off those who would give it tickets."""
    return await db.maybe(
        Row,
        "SELECT id, name, is_private, version FROM teams WHERE id = $1 FOR UPDATE",
        team_id,
    )


async def update(db: Db, team_id: UUID, *, name: str, is_private: bool) -> Shown:
    """Raises `Violated("teams_name_unique")` when another team has the name."""
    return await db.one(
        Shown,
        """
        WITH new AS (
               UPDATE teams
                  SET name = $2, is_private = $3, version = version + 1, updated_at = now()
                WHERE id = $1
            RETURNING id, name, is_private, created_at, updated_at, version
        )
        SELECT version, row_to_json(new)::text AS body FROM new
        """,
        team_id,
        name,
        is_private,
    )


async def remove(db: Db, team_id: UUID) -> None:
    """With its memberships. Raises `Violated("tickets_belong_to_a_team")` when it has tickets."""
    await db.rows("DELETE FROM teams WHERE id = $1", team_id)


async def members(
    db: Db, team_id: UUID, *, after: tuple[str, UUID] | None, limit: int
) -> Sequence[Sequence[Any]]:
    """Rows of body, name and id, by name."""
    return await db.rows(
        """
        SELECT row_to_json(a)::text AS body, name, id
          FROM (SELECT agents.id, name, email, created_at, updated_at, version, role, state,
                       joined_at
                  FROM team_members
                  JOIN agents ON agents.id = agent_id
                 WHERE team_id = $1
                   AND deleted_at IS NULL
                   AND ($2::text IS NULL OR (name, agents.id) > ($2, $3::uuid))
              ORDER BY name, agents.id
                 LIMIT $4) AS a
        """,
        team_id,
        after and after[0],
        after and after[1],
        limit,
    )


async def others(db: Db, team_id: UUID, *, limit: int) -> list[Other]:
    """Agents who are not in the team, by name."""
    return await db.all(
        Other,
        """
        SELECT id, name, email
          FROM agents
         WHERE deleted_at IS NULL
           AND NOT EXISTS (SELECT FROM team_members WHERE team_id = $1 AND agent_id = agents.id)
      ORDER BY name, id
         LIMIT $2
        """,
        team_id,
        limit,
    )


async def join(db: Db, team_id: UUID, agent_id: UUID) -> bool:
    """False when it is in the team already."""
    return bool(
        await db.run(
            """
            INSERT INTO team_members (team_id, agent_id) VALUES ($1, $2)
            ON CONFLICT ON CONSTRAINT team_members_once_in_a_team DO NOTHING
            """,
            team_id,
            agent_id,
        )
    )


async def leave(db: Db, team_id: UUID, agent_id: UUID) -> bool:
    """False when it is not in the team."""
    return bool(
        await db.run(
            "DELETE FROM team_members WHERE team_id = $1 AND agent_id = $2", team_id, agent_id
        )
    )


async def leave_all(db: Db, agent_id: UUID) -> None:
    """An agent who leaves is in no team."""
    await db.run("DELETE FROM team_members WHERE agent_id = $1", agent_id)


async def of_agent(db: Db, agent_id: UUID) -> list[Row]:
    """The teams that it is in, by name."""
    return await db.all(
        Row,
        """
        SELECT id, name, is_private, version
          FROM teams
          JOIN team_members ON team_id = id
         WHERE agent_id = $1
      ORDER BY name, id
        """,
        agent_id,
    )


async def private(db: Db, team_ids: Collection[UUID] | None) -> list[UUID]:
    """Which of these are private (None: of all), by name."""
    rows = await db.rows(
        """
        SELECT id FROM teams
         WHERE is_private AND ($1::uuid[] IS NULL OR id = ANY($1::uuid[]))
      ORDER BY name, id
        """,
        None if team_ids is None else list(team_ids),
    )
    return [id_ for (id_,) in rows]
