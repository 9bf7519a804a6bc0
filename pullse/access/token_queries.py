"""Every statement about API tokens. Bodies are the JSON text that the API shows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pullse.kit.db import Db, Struct


class Good(Struct, frozen=True):
    """
    A token that opens something now.

    `role` is that of its agent, or its own; `seconds_left` until it expires.
    """

    hash: bytes
    id: UUID
    agent_id: UUID | None
    role: str
    scopes: list[str]
    seconds_left: float | None
    teams: list[UUID]


class Row(Struct, frozen=True):
    """`role` as in `Good`; `is_ended`: it opens nothing any more."""

    id: UUID
    name: str
    agent_id: UUID | None
    own_role: str | None
    role: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    is_revoked: bool
    is_ended: bool


class Holder(Struct, frozen=True):
    """An agent who may have tokens; `is_disabled` ones have no use for them."""

    id: UUID
    role: str
    is_disabled: bool


class Listed(Struct, frozen=True):
    """A token as `pullse tokens list` shows it; `holder` is an address or a service's role."""

    id: UUID
    name: str
    holder: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class Held(Struct, frozen=True):
    """A token as admins see it; `agent` is its holder's name, null for a service's."""

    id: UUID
    name: str
    agent_id: UUID | None
    agent: str | None
    role: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


async def find_many(db: Db, hashes: Sequence[bytes]) -> list[Good | None]:
    """In the order of the hashes; None where nothing good has it."""
    found = await db.all(
        Good,
        """
        SELECT t.hash, t.id, t.agent_id, coalesce(a.role, t.role) AS role, t.scopes,
               extract(epoch FROM t.expires_at - now())::float8 AS seconds_left,
               ARRAY(SELECT team_id FROM team_members WHERE agent_id = t.agent_id) AS teams
          FROM api_tokens AS t
          LEFT JOIN agents AS a ON a.id = t.agent_id
         WHERE t.hash = ANY($1::bytea[])
           AND t.revoked_at IS NULL
           AND (t.expires_at IS NULL OR t.expires_at > now())
           AND (t.agent_id IS NULL OR (a.state <> 'disabled' AND a.deleted_at IS NULL))
        """,
        list(set(hashes)),
    )
    by_hash = {each.hash: each for each in found}
    return [by_hash.get(hash_) for hash_ in hashes]


async def insert(
    db: Db,
    *,
    id_: UUID,
    name: str,
    hash_: bytes,
    agent_id: UUID | None,
    role: str | None,
    scopes: Sequence[str],
    created_by: str,
    expires_at: datetime | None,
) -> str:
    """Its body."""
    body: str = await db.value(
        """
        WITH new AS (
            INSERT INTO api_tokens
                        (id, name, hash, agent_id, role, scopes, created_by, expires_at)
                 VALUES ($1, $2, $3, $4, $5, $6::text[], $7, $8)
              RETURNING id, name, agent_id, role, scopes, created_by, created_at, expires_at,
                        last_used_at, revoked_at
        )
        SELECT row_to_json(new)::text AS body FROM new
        """,
        id_,
        name,
        hash_,
        agent_id,
        role,
        scopes,
        created_by,
        expires_at,
    )
    return body


async def get_by_hash(db: Db, hash_: bytes) -> str | None:
    """Its body."""
    body: str | None = await db.value(
        """
        SELECT row_to_json(t)::text AS body
          FROM (SELECT id, name, agent_id, role, scopes, created_by, created_at, expires_at,
                       last_used_at, revoked_at
                  FROM api_tokens
                 WHERE hash = $1) AS t
        """,
        hash_,
    )
    return body


async def page(
    db: Db, *, agent_id: UUID | None, token_id: UUID | None, before: UUID | None, limit: int
) -> Sequence[Sequence[Any]]:
    """Rows of body and id, the newest first: of one agent, or the one token, or all."""
    return await db.rows(
        """
        SELECT row_to_json(t)::text AS body, id
          FROM (SELECT id, name, agent_id, role, scopes, created_by, created_at, expires_at,
                       last_used_at, revoked_at
                  FROM api_tokens
                 WHERE ($1::uuid IS NULL OR agent_id = $1)
                   AND ($2::uuid IS NULL OR id = $2)
                   AND ($3::uuid IS NULL OR id < $3)
              ORDER BY id DESC
                 LIMIT $4) AS t
        """,
        agent_id,
        token_id,
        before,
        limit,
    )


async def listed(db: Db) -> list[Listed]:
    return await db.all(
        Listed,
        """
        SELECT t.id, t.name, coalesce(a.email, t.role) AS holder, t.scopes, t.created_at,
               t.expires_at, t.last_used_at, t.revoked_at
          FROM api_tokens AS t
          LEFT JOIN agents AS a ON a.id = t.agent_id
      ORDER BY t.id
        """,
    )


async def held(
    db: Db, *, of_agents: bool | None, is_ended: bool, before: UUID | None, limit: int
) -> list[Held]:
    """The newest first: of agents, of services or of both, those that are good or have ended."""
    return await db.all(
        Held,
        """
        SELECT t.id, t.name, t.agent_id, a.name AS agent, coalesce(a.role, t.role) AS role,
               t.scopes, t.created_at, t.expires_at, t.last_used_at, t.revoked_at
          FROM api_tokens AS t
          LEFT JOIN agents AS a ON a.id = t.agent_id
         WHERE ($1::boolean IS NULL OR (t.agent_id IS NOT NULL) = $1)
           AND (t.revoked_at IS NOT NULL
                OR coalesce(t.expires_at <= now(), false)
                OR coalesce(a.state = 'disabled' OR a.deleted_at IS NOT NULL, false)) = $2
           AND ($3::uuid IS NULL OR t.id < $3)
      ORDER BY t.id DESC
         LIMIT $4
        """,
        of_agents,
        is_ended,
        before,
        limit,
    )


async def lock(db: Db, token_id: UUID) -> Row | None:
    """
    Read a token that is about to change, and keep others off it.

    By the clock, not by `now()`: who has waited for a rotation sees that it took place.
    """
    return await db.maybe(
        Row,
        """
        SELECT t.id, t.name, t.agent_id, t.role AS own_role, coalesce(a.role, t.role) AS role,
               t.scopes, t.created_at, t.expires_at, t.revoked_at IS NOT NULL AS is_revoked,
               t.revoked_at IS NOT NULL
               OR coalesce(t.expires_at <= clock_timestamp(), false)
               OR coalesce(a.state = 'disabled' OR a.deleted_at IS NOT NULL, false) AS is_ended
          FROM api_tokens AS t
          LEFT JOIN agents AS a ON a.id = t.agent_id
         WHERE t.id = $1
           FOR UPDATE OF t
        """,
        token_id,
    )


async def set_revoked(db: Db, token_id: UUID) -> None:
    await db.run("UPDATE api_tokens SET revoked_at = now() WHERE id = $1", token_id)


async def expire_in(db: Db, token_id: UUID, seconds: int) -> datetime:
    """Never later than it expires already; say when."""
    until: datetime = await db.value(
        """
        UPDATE api_tokens
           SET expires_at = least(expires_at, now() + make_interval(secs => $2::integer))
         WHERE id = $1
     RETURNING expires_at
        """,
        token_id,
        seconds,
    )
    return until


async def holder(db: Db, agent_id: UUID) -> Holder | None:
    return await db.maybe(
        Holder,
        """
        SELECT id, role, state = 'disabled' AS is_disabled
          FROM agents
         WHERE id = $1 AND deleted_at IS NULL
        """,
        agent_id,
    )


async def touch(db: Db, token_ids: Sequence[UUID]) -> int:
    """Write down that they were used, once a minute each; whoever changes one is not waited for."""
    return await db.run(
        """
        UPDATE api_tokens SET last_used_at = now()
         WHERE id IN (SELECT id FROM api_tokens
                       WHERE id = ANY($1::uuid[])
                         AND (last_used_at IS NULL
                              OR last_used_at <= now() - interval '1 minute')
                    ORDER BY id
                         FOR UPDATE SKIP LOCKED)
        """,
        list(token_ids),
    )
