"""An agent leaves: what is still open becomes unassigned, in the same transaction."""

from uuid import UUID

from pullse.agents import actions as agents
from pullse.agents.api import id_in_path
from pullse.agents.rules import LastOwner
from pullse.errors import Stale
from pullse.kit import etags
from pullse.kit.db import Db
from pullse.kit.events import Actor
from pullse.kit.web import Answer, Call, Request, ok
from pullse.tickets import queries


async def dismiss(db: Db, agent_id: UUID, *, if_match: list[int] | None = None, by: Actor) -> None:
    """Delete an agent. What is resolved or closed keeps the name, for history."""
    old = await agents.delete(db, agent_id, if_match=if_match, by=by)
    await queries.unassign_open(db, agent_id, by=by)
    await agents.audit_departure(db, old, by=by)


async def delete(request: Request) -> Answer:
    if_match = etags.if_match(request)
    async with request.database.transaction() as db:
        await dismiss(db, id_in_path(request), if_match=if_match, by=request.actor)
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
]
