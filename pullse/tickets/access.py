"""
The only door from a caller to a ticket: which rows it may see.

Who sees all is `Actor.teams` None; everybody else sees tickets of no team, of teams that are
not private, and of the private teams that they are in. What one may not see is not there.
Whether a team is private is read in the statement itself, so a ticket is never shown on the
strength of what was so a moment ago.
"""

from collections.abc import Iterable
from uuid import UUID

SEES_ALL = "('owner', 'admin')"
"""Roles with the permission tickets:private, for who is assigned a ticket."""


def visible(teams: str, team_id: str = "team_id") -> str:
    """The condition on a ticket; `teams` is an array of the caller's, null for who sees all."""
    return (
        f"({teams} IS NULL OR {team_id} IS NULL OR {team_id} NOT IN"
        f" (SELECT id FROM teams WHERE is_private AND id <> ALL({teams})))"
    )


def seen_by(agent: str, team: str) -> str:
    """The condition that an agent may see the tickets of a team."""
    return f"""(NOT EXISTS (SELECT FROM teams WHERE id = {team} AND is_private)
                 OR EXISTS (SELECT FROM team_members
                             WHERE team_id = {team} AND agent_id = {agent})
                 OR EXISTS (SELECT FROM agents
                             WHERE id = {agent} AND role IN {SEES_ALL}))"""


def as_text(teams: Iterable[UUID] | None) -> str | None:
    """For a statement that serves several callers: arrays of arrays must be of one length."""
    return None if teams is None else ",".join(map(str, teams))
