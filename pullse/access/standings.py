"""
What somebody may now, to whom something was given that stands and falls with them.

For what outlives the request in which it was given out, such as tokens of the channels: the
guard has looked at the session or the API token once, and this looks at it again.
"""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from pullse.access.finder import seen
from pullse.access.session_queries import IS_GOOD, IS_REDUCED, SESSIONS
from pullse.agents.permissions import ENROLLING, rights_of
from pullse.kit.db import Db, Struct


class Holder(NamedTuple):
    """An agent, a service's API token, or an agent by a session or an API token."""

    agent_id: UUID | None = None
    session_id: UUID | None = None
    token_id: UUID | None = None


class Standing(Struct, frozen=True):
    """The permissions that somebody has, and the teams; None: sees what is private to any."""

    rights: frozenset[str]
    teams: frozenset[UUID] | None


class Row(Struct, frozen=True):
    """`position` is that of who was asked for, from 1."""

    position: int
    role: str
    scopes: list[str]
    is_reduced: bool
    teams: list[UUID]


async def find_many(db: Db, holders: Sequence[Holder]) -> list[Standing | None]:
    """
    In the order of the holders; None for whom the guard would not let in any more.

    The conditions on tokens are those of `token_queries.find_many`.
    """
    found = await db.all(
        Row,
        f"""
        SELECT asked.position::integer AS position, coalesce(a.role, t.role) AS role,
               coalesce(t.scopes, ARRAY[]::text[]) AS scopes,
               coalesce(s.is_reduced, false) AS is_reduced,
               ARRAY(SELECT team_id FROM team_members WHERE agent_id = asked.agent_id) AS teams
          FROM unnest($1::uuid[], $2::uuid[], $3::uuid[])
               WITH ORDINALITY AS asked (agent_id, session_id, token_id, position)
          LEFT JOIN agents AS a
                 ON a.id = asked.agent_id AND a.state <> 'disabled' AND a.deleted_at IS NULL
          LEFT JOIN LATERAL (
               SELECT s.id, {IS_REDUCED} AS is_reduced
                 FROM {SESSIONS}
                WHERE s.id = asked.session_id AND s.agent_id = asked.agent_id AND {IS_GOOD}
               ) AS s ON true
          LEFT JOIN api_tokens AS t
                 ON t.id = asked.token_id AND t.agent_id IS NOT DISTINCT FROM asked.agent_id
                AND t.revoked_at IS NULL
                AND (t.expires_at IS NULL OR t.expires_at > now())
         WHERE coalesce(asked.agent_id, asked.token_id) IS NOT NULL
           AND (asked.agent_id IS NULL OR a.id IS NOT NULL)
           AND (asked.session_id IS NULL OR s.id IS NOT NULL)
           AND (asked.token_id IS NULL OR t.id IS NOT NULL)
        """,
        [each.agent_id for each in holders],
        [each.session_id for each in holders],
        [each.token_id for each in holders],
    )
    by_position = {each.position: standing_of(each) for each in found}
    return [by_position.get(position) for position in range(1, len(holders) + 1)]


def standing_of(row: Row) -> Standing:
    rights = rights_of(row.role, row.scopes)
    if row.is_reduced:
        return Standing(rights & ENROLLING, frozenset())
    return Standing(rights, seen(rights, row.teams))
