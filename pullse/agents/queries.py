"""Every statement about agents. Bodies are the JSON text that the API shows."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pullse.kit.db import Db, Struct


class Shown(Struct, frozen=True):
    """An agent as the API shows it."""

    version: int
    body: str


class Row(Struct, frozen=True):
    id: UUID
    name: str
    email: str
    version: int


async def insert_unless_taken(db: Db, *, id_: UUID, name: str, email: str) -> Shown | None:
    """None when an agent has the address."""
    return await db.maybe(
        Shown,
        """
        WITH new AS (
            INSERT INTO agents (id, name, email)
                 VALUES ($1, $2, $3)
            ON CONFLICT (lower(email)) WHERE deleted_at IS NULL DO NOTHING
              RETURNING id, name, email, created_at, updated_at, version
        )
        SELECT version, row_to_json(new)::text AS body FROM new
        """,
        id_,
        name,
        email,
    )


async def get(db: Db, agent_id: UUID) -> Shown | None:
    return await db.maybe(
        Shown,
        """
        SELECT version, row_to_json(a)::text AS body
          FROM (SELECT id, name, email, created_at, updated_at, version
                  FROM agents
                 WHERE id = $1 AND deleted_at IS NULL) AS a
        """,
        agent_id,
    )


async def page(db: Db, *, after: tuple[str, UUID] | None, limit: int) -> Sequence[Sequence[Any]]:
    """Rows of body, name and id, by name."""
    return await db.rows(
        """
        SELECT row_to_json(a)::text AS body, name, id
          FROM (SELECT id, name, email, created_at, updated_at, version
                  FROM agents
                 WHERE deleted_at IS NULL
                   AND ($1::text IS NULL OR (name, id) > ($1, $2::uuid))
              ORDER BY name, id
                 LIMIT $3) AS a
        """,
        after and after[0],
        after and after[1],
        limit,
    )


async def lock(db: Db, agent_id: UUID) -> Row | None:
    """Read an agent that is about to change; keeps off those who would assign to it."""
    return await db.maybe(
        Row,
        """
        SELECT id, name, email, version
          FROM agents
         WHERE id = $1 AND deleted_at IS NULL
           FOR UPDATE
        """,
        agent_id,
    )


async def update(db: Db, agent_id: UUID, *, name: str, email: str) -> Shown:
    """Raises `Violated("agents_email_unique")` when another agent has the address."""
    return await db.one(
        Shown,
        """
        WITH new AS (
               UPDATE agents
                  SET name = $2, email = $3, version = version + 1, updated_at = now()
                WHERE id = $1
            RETURNING id, name, email, created_at, updated_at, version
        )
        SELECT version, row_to_json(new)::text AS body FROM new
        """,
        agent_id,
        name,
        email,
    )


async def mark_deleted(db: Db, agent_id: UUID) -> None:
    await db.run(
        "UPDATE agents SET deleted_at = now(), version = version + 1 WHERE id = $1", agent_id
    )
