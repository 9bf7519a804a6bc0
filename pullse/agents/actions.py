"""The verbs about agents: each records one fact, in the caller's transaction."""

from typing import NoReturn
from uuid import UUID

from msgspec import UNSET

from pullse.agents import queries
from pullse.agents.model import AgentChanges, NewAgent
from pullse.agents.queries import Row, Shown
from pullse.errors import Conflict, NotFound, Stale
from pullse.kit.db import Db, Violated
from pullse.kit.events import Actor, record
from pullse.kit.ids import uuid7


class EmailTaken(Conflict):
    code = "email_taken"

    def __init__(self) -> None:
        message = "Another agent has this e-mail address."
        super().__init__(f"email: {message}", problems={"email": message})


async def create(db: Db, new: NewAgent, *, by: Actor) -> Shown:
    id_ = uuid7()
    made = await queries.insert_unless_taken(db, id_=id_, name=new.name, email=new.email)
    if made is None:
        raise EmailTaken
    data = {"agent_id": id_, "name": new.name, "email": new.email}
    await record(db, "agent.created", by=by, data=data)
    return made


async def get(db: Db, agent_id: UUID) -> Shown:
    return await queries.get(db, agent_id) or no_agent()


async def change(
    db: Db, agent_id: UUID, wanted: AgentChanges, *, if_match: list[int] | None = None, by: Actor
) -> Shown:
    """Writing what is there already changes nothing and records nothing."""
    old = await lock(db, agent_id, if_match)
    changes = {
        name: [before, after]
        for name, before, after in (
            ("name", old.name, wanted.name),
            ("email", old.email, wanted.email),
        )
        if after is not UNSET and after != before
    }
    if not changes:
        return await get(db, agent_id)
    try:
        changed = await queries.update(
            db,
            agent_id,
            name=str(changes.get("name", [old.name])[-1]),
            email=str(changes.get("email", [old.email])[-1]),
        )
    except Violated as error:
        if error.constraint != "agents_email_unique":
            raise
        raise EmailTaken from error
    await record(db, "agent.changed", by=by, data={"agent_id": agent_id, "changes": changes})
    return changed


async def delete(db: Db, agent_id: UUID, *, if_match: list[int] | None = None, by: Actor) -> None:
    """The agent leaves; what is resolved or closed keeps the name, for history."""
    old = await lock(db, agent_id, if_match)
    await queries.mark_deleted(db, agent_id)
    data = {"agent_id": agent_id, "name": old.name, "email": old.email}
    await record(db, "agent.deleted", by=by, data=data)


async def lock(db: Db, agent_id: UUID, if_match: list[int] | None) -> Row:
    agent = await queries.lock(db, agent_id) or no_agent()
    if if_match is not None and agent.version not in if_match:
        raise Stale(
            f"The agent has changed since you read it. It is at version {agent.version} now.",
            data={"version": agent.version},
        )
    return agent


def no_agent() -> NoReturn:
    raise NotFound("There is no such agent.")
