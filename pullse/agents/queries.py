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
    role: str
    state: str

    @property
    def is_owner(self) -> bool:
        return self.role == "owner"


async def insert_unless_taken(
    db: Db, *, id_: UUID, name: str, email: str, role: str
) -> Shown | None:
    """None when an agent has the address."""
    return await db.maybe(
        Shown,
        """
        WITH new AS (
            INSERT INTO agents (id, name, email, role)
                 VALUES ($1, $2, $3, $4)
            ON CONFLICT (lower(email)) WHERE deleted_at IS NULL DO NOTHING
              RETURNING id, name, email, created_at, updated_at, version, role, state
        )
        SELECT version, row_to_json(new)::text AS body FROM new
        """,
        id_,
        name,
        email,
        role,
    )


async def get(db: Db, agent_id: UUID) -> Shown | None:
    return await db.maybe(
        Shown,
        """
        SELECT version, row_to_json(a)::text AS body
          FROM (SELECT id, name, email, created_at, updated_at, version, role, state
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
          FROM (SELECT id, name, email, created_at, updated_at, version, role, state
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
        SELECT id, name, email, version, role, state
          FROM agents
         WHERE id = $1 AND deleted_at IS NULL
           FOR UPDATE
        """,
        agent_id,
    )


async def update(db: Db, agent_id: UUID, *, name: str, email: str, role: str, state: str) -> Shown:
    """Raises `Violated("agents_email_unique")` when another agent has the address."""
    return await db.one(
        Shown,
        """
        WITH new AS (
               UPDATE agents
                  SET name = $2, email = $3, role = $4, state = $5,
                      version = version + 1, updated_at = now()
                WHERE id = $1
            RETURNING id, name, email, created_at, updated_at, version, role, state
        )
        SELECT version, row_to_json(new)::text AS body FROM new
        """,
        agent_id,
        name,
        email,
        role,
        state,
    )


async def mark_deleted(db: Db, agent_id: UUID) -> None:
    await db.run(
        "UPDATE agents SET deleted_at = now(), version = version + 1 WHERE id = $1", agent_id
    )


async def find_role(db: Db, agent_id: UUID) -> str | None:
    """Also of who is disabled; None of who is not there."""
    role: str | None = await db.value(
        "SELECT role FROM agents WHERE id = $1 AND deleted_at IS NULL", agent_id
    )
    return role


async def role_of_agent(db: Db, agent_id: UUID) -> str | None:
    """None when it may do nothing (any more)."""
    role: str | None = await db.value(
        "SELECT role FROM agents WHERE id = $1 AND deleted_at IS NULL AND state <> 'disabled'",
        agent_id,
    )
    return role


async def role_of_service(db: Db, token_id: UUID) -> str | None:
    role: str | None = await db.value(
        "SELECT role FROM api_tokens WHERE id = $1 AND revoked_at IS NULL", token_id
    )
    return role


async def has_active_owner(db: Db) -> bool:
    return bool(
        await db.value(
            """
            SELECT EXISTS (SELECT FROM agents
                            WHERE role = 'owner' AND state = 'active' AND deleted_at IS NULL)
            """
        )
    )


async def find_by_email(db: Db, email: str) -> UUID | None:
    found: UUID | None = await db.value(
        "SELECT id FROM agents WHERE lower(email) = lower($1) AND deleted_at IS NULL", email
    )
    return found


async def listed(db: Db) -> list[Row]:
    """All, by name, for the operator."""
    return await db.all(
        Row,
        """
        SELECT id, name, email, version, role, state
          FROM agents
         WHERE deleted_at IS NULL
      ORDER BY name, id
        """,
    )
