"""
Somebody leaves, pullse or a team, or is no longer to see a team's tickets: what is still open
becomes unassigned, in the same transaction.
"""

from uuid import UUID

from pullse.agents import actions as agents
from pullse.agents.api import id_in_path
from pullse.agents.rules import LastOwner
from pullse.errors import Stale
from pullse.kit import etags
from pullse.kit.db import Db
from pullse.kit.events import Actor
from pullse.kit.web import Answer, Call, Request, ok
from pullse.teams import actions as teams
from pullse.teams.actions import TeamTaken
from pullse.teams.api import EXAMPLE as TEAM
from pullse.teams.api import id_in_path as team_in_path
from pullse.teams.api import member_in_path, shown
from pullse.teams.model import Team, TeamChanges
from pullse.teams.queries import Shown, leave_all
from pullse.tickets import queries


async def dismiss(db: Db, agent_id: UUID, *, if_match: list[int] | None = None, by: Actor) -> None:
    """Delete an agent. What is resolved or closed keeps the name, for history."""
    old = await agents.delete(db, agent_id, if_match=if_match, by=by)
    await leave_all(db, agent_id)
    await queries.unassign_open(db, agent_id, by=by)
    await agents.audit_departure(db, old, by=by)


async def leave(db: Db, team_id: UUID, agent_id: UUID, *, by: Actor) -> None:
    """An agent leaves a team, and what is open in it if the team is private."""
    done = await teams.leave(db, team_id, agent_id, by=by)
    if done is not None:
        await queries.unassign_unseen(db, team_id, by=by)
        await teams.audited(db, done, by=by)


async def change_team(
    db: Db, team_id: UUID, wanted: TeamChanges, *, if_match: list[int] | None = None, by: Actor
) -> Shown:
    """A team that becomes private takes what is open in it from who is not in the team."""
    changed, done = await teams.change(db, team_id, wanted, if_match=if_match, by=by)
    if done is not None:
        if done.data["is_private"]:
            await queries.unassign_unseen(db, team_id, by=by)
        await teams.audited(db, done, by=by)
    return changed


async def delete(request: Request) -> Answer:
    if_match = etags.if_match(request)
    async with request.database.transaction() as db:
        await dismiss(db, id_in_path(request), if_match=if_match, by=request.actor)
    request.services.forget()
    request.services.tail.wake()
    return ok(request)


async def update_team(request: Request) -> Answer:
    changes = await request.read_body(TeamChanges)
    if_match = etags.if_match(request)
    async with request.database.transaction() as db:
        changed = await change_team(
            db, team_in_path(request), changes, if_match=if_match, by=request.actor
        )
    request.services.tail.wake()
    return shown(request, changed)


async def leave_team(request: Request) -> Answer:
    agent_id = member_in_path(request)
    async with request.database.transaction() as db:
        await leave(db, team_in_path(request), agent_id, by=request.actor)
    request.services.forget()
    request.services.tail.wake()
    return ok(request)


calls = [
    Call(
        "DELETE",
        "/api/agents/{agent}",
        delete,
        "Remove an agent: open tickets become unassigned, history stays",
        "Agent has been deleted.",
        tag="agents",
        refuses=[Stale, LastOwner],
        conditional=True,
        permission="agents:admin",
    ),
    Call(
        "PATCH",
        "/api/teams/{team}",
        update_team,
        "Change a team",
        "Team has been updated.",
        body=TeamChanges,
        data=Team,
        example={**TEAM, "name": "Billing and refunds", "version": 2},
        tag="teams",
        refuses=[Stale, TeamTaken],
        conditional=True,
        description="When it becomes private, what is open in it is taken from those who are "
        "not in the team.",
        permission="teams:admin",
    ),
    Call(
        "DELETE",
        "/api/teams/{team}/members/{agent}",
        leave_team,
        "Take an agent out of a team",
        "Agent is not in the team.",
        tag="teams",
        description="Of a private team: the agent's open tickets in it become unassigned.",
        permission="teams:admin",
    ),
]
