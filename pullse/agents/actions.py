"""
The verbs about agents: each records one fact, in the caller's transaction, and what is about
access an audit row too, last of all.
"""

from typing import Any, NoReturn
from uuid import UUID

from msgspec import UNSET
from msgspec.structs import replace

from pullse.agents import queries, rules
from pullse.agents.model import AgentChanges, NewAgent
from pullse.agents.queries import Row, Shown
from pullse.errors import Conflict, NotFound, Stale
from pullse.kit import audit
from pullse.kit.db import Db, Violated
from pullse.kit.events import Actor, record
from pullse.kit.ids import uuid7


class EmailTaken(Conflict):
    code = "email_taken"

    def __init__(self) -> None:
        message = "Another agent has this e-mail address."
        super().__init__(f"email: {message}", problems={"email": message})


async def create(db: Db, new: NewAgent, *, by: Actor) -> Shown:
    await rules.may_make(db, new.role, by=by)
    id_ = uuid7()
    made = await queries.insert_unless_taken(
        db, id_=id_, name=new.name, email=new.email, role=new.role
    )
    if made is None:
        raise EmailTaken
    data = {"agent_id": id_, "name": new.name, "email": new.email, "role": new.role}
    await record(db, "agent.created", by=by, data=data)
    await audit.record(db, "agent.invited", by=by, data=data)
    return made


async def get(db: Db, agent_id: UUID) -> Shown:
    return await queries.get(db, agent_id) or no_agent()


async def change(
    db: Db, agent_id: UUID, wanted: AgentChanges, *, if_match: list[int] | None = None, by: Actor
) -> Shown:
    """Writing what is there already changes nothing and records nothing."""
    old = await lock(db, agent_id, if_match)
    changes = {
        name: [getattr(old, name), after]
        for name in ("name", "email", "role", "state")
        if (after := getattr(wanted, name)) is not UNSET and after != getattr(old, name)
    }
    if not changes:
        return await get(db, agent_id)
    new = replace(old, **{name: str(after) for name, (_, after) in changes.items()})
    await rules.may_change(db, old, new, by=by)
    try:
        changed = await queries.update(
            db, agent_id, name=new.name, email=new.email, role=new.role, state=new.state
        )
    except Violated as error:
        if error.constraint != "agents_email_unique":
            raise
        raise EmailTaken from error
    await record(db, "agent.changed", by=by, data={"agent_id": agent_id, "changes": changes})
    await audit_change(db, old, new, by=by)
    return changed


async def audit_change(db: Db, old: Row, new: Row, *, by: Actor) -> None:
    data: dict[str, Any] = {"agent_id": old.id, "email": new.email}
    if new.name != old.name:
        names = {"name": [old.name, new.name]}
        await audit.record(db, "agent.name_changed", by=by, data=data | names)
    if new.email != old.email:
        addresses = {"email": [old.email, new.email]}
        await audit.record(db, "agent.email_changed", by=by, data=data | addresses)
    if new.role != old.role:
        roles = {"role": [old.role, new.role]}
        await audit.record(db, "agent.role_changed", by=by, data=data | roles)
    if new.state != old.state:
        name = "agent.disabled" if new.state == "disabled" else "agent.enabled"
        states = {"state": [old.state, new.state]}
        await audit.record(db, name, by=by, data=data | states)
    if (new.role, new.state) != (old.role, old.state):
        await rules.one_owner_remains(db, old, by=by)


async def delete(db: Db, agent_id: UUID, *, if_match: list[int] | None = None, by: Actor) -> Row:
    """The agent leaves; `audit_departure` ends it, after what else belongs to it."""
    old = await lock(db, agent_id, if_match)
    await rules.may_remove(db, old, by=by)
    await queries.mark_deleted(db, agent_id)
    data = {"agent_id": agent_id, "name": old.name, "email": old.email}
    await record(db, "agent.deleted", by=by, data=data)
    return old


async def audit_departure(db: Db, old: Row, *, by: Actor) -> None:
    data = {"agent_id": old.id, "email": old.email, "role": old.role}
    await audit.record(db, "agent.deleted", by=by, data=data)
    await rules.one_owner_remains(db, old, by=by)


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
