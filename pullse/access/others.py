"""What is done to the access of somebody else: nobody acts on who may more than they may."""

from uuid import UUID

from pullse.access import session_queries, sessions
from pullse.agents import actions as agents
from pullse.agents import rules
from pullse.agents.queries import find_role
from pullse.errors import Forbidden
from pullse.kit import audit
from pullse.kit.db import Db
from pullse.kit.events import Actor


async def list_sessions(db: Db, agent_id: UUID, *, by: Actor) -> list[str]:
    """Bodies; those of who is disabled too, which would open again. For who may end them."""
    role = await find_role(db, agent_id) or agents.no_agent()
    await check_may(db, agent_id, role, instead="GET /api/sessions", by=by)
    return await session_queries.listed(db, agent_id, None)


async def end_session(db: Db, agent_id: UUID, session_id: UUID, *, by: Actor) -> None:
    agent = await agents.lock(db, agent_id, None)
    await check_may(db, agent_id, agent.role, instead="DELETE /api/sessions", by=by)
    if not await session_queries.end(db, agent_id, session_id):
        sessions.no_session()
    data = {"agent_id": agent_id, "session_id": session_id}
    await audit.record(db, "session.ended", by=by, data=data)


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
    """`instead` is what there is for oneself."""
    if by.id == f"agent:{agent_id}":
        raise Forbidden(f"For oneself there is {instead}.")
    if role == "owner" and not await rules.is_owner(db, by):
        raise rules.OwnersOnly
    rules.has_all_of(role, by=by)
