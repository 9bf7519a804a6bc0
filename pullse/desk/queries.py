"""What the desk reads besides the list itself."""

from collections.abc import Sequence
from typing import NoReturn
from uuid import UUID

from pullse.errors import Invalid
from pullse.kit.db import Db, Struct
from pullse.tickets.access import seen_by

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
    is_private: bool


async def choices(
    db: Db, agents: Sequence[UUID], teams: Sequence[UUID], seen: frozenset[UUID] | None
) -> list[Choice]:
    """The first by name, and those that are asked for."""
    return await db.all(
        Choice,
        """
        SELECT 'agent' AS kind, id, name, email,
               deleted_at IS NULL AND state <> 'disabled' AS is_open, false AS is_private
          FROM agents
         WHERE id = ANY(ARRAY(SELECT id FROM agents
                               WHERE deleted_at IS NULL AND state <> 'disabled'
                            ORDER BY name, id
                               LIMIT $4) || $1::uuid[])
         UNION ALL
        SELECT 'team' AS kind, id, name, NULL AS email, true AS is_open, is_private
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


async def agent_called(db: Db, text: str) -> UUID:
    """
    By e-mail address or by whole name. Raises `Invalid` for nobody and for several, and says
    whether there are any whose names begin so.
    """
    rows = await db.rows(
        """
        SELECT id
          FROM agents
         WHERE deleted_at IS NULL AND state <> 'disabled'
           AND (lower(email) = lower($1) OR lower(name) = lower($1))
      ORDER BY lower(email) = lower($1) DESC
         LIMIT 2
        """,
        text.strip(),
    )
    if not rows and await people(db, text.strip(), None, None):
        raise Invalid.field("assigned_to", f"Choose one of those found by “{text.strip()}”.")
    if not rows:
        no_agent()
    if len(rows) > 1 and "@" not in text:
        raise Invalid.field("assigned_to", "Several agents have this name; give the address.")
    found: UUID = rows[0][0]
    return found


def no_agent() -> NoReturn:
    raise Invalid.field("assigned_to", "There is no such agent.")


async def people(
    db: Db, begin: str, team_id: UUID | None, seen: frozenset[UUID] | None
) -> list[Choice]:
    """Agents whose name or address begins so, of those who may see what is the team's."""
    return await db.all(
        Choice,
        f"""
        SELECT 'agent' AS kind, id, name, email, true AS is_open, false AS is_private
          FROM agents
         WHERE deleted_at IS NULL AND state <> 'disabled'
           AND (starts_with(lower(name), lower($1)) OR starts_with(lower(email), lower($1))
                OR strpos(lower(name), ' ' || lower($1)) > 0)
           AND ($2::uuid IS NULL OR {seen_by("agents.id", "$2")})
           AND ($2 IS NULL OR $3::uuid[] IS NULL OR $2 = ANY($3)
                OR NOT EXISTS (SELECT FROM teams WHERE id = $2 AND is_private))
      ORDER BY name, id
         LIMIT $4
        """,
        begin,
        team_id,
        seen,
        AT_MOST,
    )
