"""What is done to the access of somebody else: nobody acts on who may more than they may."""

from uuid import UUID

from pullse.access import session_queries
from pullse.access.permissions import ROLES
from pullse.agents import actions as agents
from pullse.agents import rules
from pullse.errors import Forbidden
from pullse.kit import audit
from pullse.kit.db import Db
from pullse.kit.events import Actor


async def end_sessions(db: Db, agent_id: UUID, *, by: Actor) -> int:
    """All that somebody else has, also while the agent is disabled; how many."""
    agent = await agents.lock(db, agent_id, None)
    await check_may(db, agent_id, agent.role, instead="DELETE /api/sessions", by=by)
    count = await session_queries.end_all(db, agent_id)
    if count:
        data = {"agent_id": agent_id, "count": count}
        await audit.record(db, "session.ended", by=by, data=data)
    return count


async def check_may(db: Db, agent_id: UUID, role: str, *, instead: str, by: Actor) -> None:
    """Nobody acts on who may more. `instead` is what there is for oneself."""
    if by.id in rules.OWNERS:
        return
    if by.id == f"agent:{agent_id}":
        raise Forbidden(f"For oneself there is {instead}.")
    if role == "owner" and not await rules.is_owner(db, by):
        raise rules.OwnersOnly
    for permission in ROLES[role]:
        if permission not in by.rights:
            raise Forbidden(f"This agent has the permission {permission}; you do not.")
