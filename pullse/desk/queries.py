"""What the desk reads besides the list itself."""

from collections.abc import Sequence
from uuid import UUID

from pullse.kit.db import Db, Struct

AT_MOST = 100
"""Agents, and teams, that are offered by name; beyond that one types."""


class Choice(Struct, frozen=True):
    """
    An agent or a team, to choose or to be named. `is_open` is false for who is only named:
    has left or is disabled, or a team that who asks is not in.
    """

    kind: str
    id: UUID
    name: str
    email: str | None
    is_open: bool


async def choices(
    db: Db, agents: Sequence[UUID], teams: Sequence[UUID], seen: frozenset[UUID] | None
) -> list[Choice]:
    """The first by name, and those that are asked for."""
    return await db.all(
        Choice,
        """
        SELECT 'agent' AS kind, id, name, email,
               deleted_at IS NULL AND state <> 'disabled' AS is_open
          FROM agents
         WHERE id = ANY(ARRAY(SELECT id FROM agents
                               WHERE deleted_at IS NULL AND state <> 'disabled'
                            ORDER BY name, id
                               LIMIT $4) || $1::uuid[])
         UNION ALL
        SELECT 'team' AS kind, id, name, NULL AS email, true AS is_open
          FROM teams
         WHERE id = ANY(ARRAY(SELECT id FROM teams
                               WHERE NOT is_private OR $3::uuid[] IS NULL OR id = ANY($3)
                            ORDER BY name, id
                               LIMIT $4) || $2::uuid[])
           AND (NOT is_private OR $3::uuid[] IS NULL OR id = ANY($3))
      ORDER BY kind, name, id
        """,
        agents,
        teams,
        seen,
        AT_MOST + 1,
    )
