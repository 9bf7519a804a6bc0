"""
The verbs about API tokens: each records one fact and one row of the audit trail, in the
caller's transaction.

Nobody makes a token that may more than they may themselves; and what they may is read anew
where a token is made, so one that was revoked a moment ago makes no other.
"""

from collections.abc import Container, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn
from uuid import UUID

from pullse.access import token_queries as queries
from pullse.access.model import NewToken, Rotation
from pullse.access.secrets import hashed, new_token
from pullse.access.token_queries import Row
from pullse.agents.permissions import PERMISSIONS, ROLES, listed, rights_of
from pullse.agents.rules import OWNERS
from pullse.errors import Conflict, Forbidden, Invalid, NotFound
from pullse.kit import audit, events
from pullse.kit.db import Db, Struct
from pullse.kit.events import Actor
from pullse.kit.ids import uuid7

AGENT, SERVICE = "agent:", "token:"
"""Before the id of an agent, and of a service's token, in the id of an actor."""
TEN_YEARS = timedelta(days=3653)


class TokenEnded(Conflict):
    code = "token_ended"

    def __init__(self) -> None:
        super().__init__("This token has expired or was revoked; make a new one.")


class Caller(Struct, frozen=True):
    """Who makes a token: what they may now, and the scopes of the token they came with."""

    actor: Actor
    role: str
    rights: Container[str]
    scopes: Sequence[str] = ()


class Made(Struct, frozen=True):
    """A new token, which only its maker gets to see, and its body."""

    token: str
    body: str


class Held(Struct, frozen=True):
    """Whose a token is: an agent's, or a service's, which has a role of its own."""

    agent_id: UUID | None
    own_role: str | None
    role: str


async def caller_of(db: Db, actor: Actor, token: str | None) -> Caller:
    """Raises `Forbidden` for one who was let in and has lost it since."""
    if actor.id in OWNERS:
        return Caller(actor, "owner", actor.rights)
    if token is not None:
        (good,) = await queries.find_many(db, [hashed(token)])
        if good is None:
            raise Forbidden("Your token is no longer good.")
        return Caller(actor, good.role, rights_of(good.role, good.scopes), good.scopes)
    agent_id = agent_of(actor)
    agent = None if agent_id is None else await queries.holder(db, agent_id)
    if agent is None or agent.is_disabled:
        raise Forbidden("Your account is no longer good.")
    return Caller(actor, agent.role, actor.rights)


async def create(db: Db, new: NewToken, *, by: Caller) -> Made:
    held = await holder_of(db, new, by)
    scopes = checked(new.scopes, held.role)
    if by.scopes and not scopes:
        scopes = listed(rights_of(held.role, by.scopes))
    check_rights(held.role, scopes, by)
    check_expiry(new.expires_at)
    id_, made = await insert(db, new.name, held, scopes, new.expires_at, by.actor)
    await record(db, "token.created", by=by.actor, data=told(id_, new.name, held, scopes))
    return made


async def rotate(db: Db, token_id: UUID, rotation: Rotation, *, by: Caller) -> Made:
    """A new token in place of this one, which goes on for a while and then ends."""
    old = await lock(db, token_id, by.actor, by.rights)
    if old.is_ended:
        raise TokenEnded
    check_rights(old.role, old.scopes, by)
    if by.scopes and not old.scopes:
        raise Forbidden("A token with scopes does not rotate one without.")
    check_expiry(rotation.expires_at)
    expires_at = rotation.expires_at
    if expires_at is None and old.expires_at is not None:
        expires_at = datetime.now(UTC) + (old.expires_at - old.created_at)
    held = Held(old.agent_id, old.own_role, old.role)
    id_, made = await insert(db, old.name, held, old.scopes, expires_at, by.actor)
    until = await queries.expire_in(db, old.id, rotation.overlap)
    data = told(old.id, old.name, held, old.scopes) | {"new_token_id": id_, "until": until}
    await record(db, "token.rotated", by=by.actor, data=data)
    return made


async def revoke(db: Db, token_id: UUID, *, by: Actor) -> None:
    """Revoking twice is the same as revoking once."""
    old = await lock(db, token_id, by, by.rights)
    if old.is_revoked:
        return
    await queries.set_revoked(db, old.id)
    held = Held(old.agent_id, old.own_role, old.role)
    await record(db, "token.revoked", by=by, data=told(old.id, old.name, held, old.scopes))


async def insert(
    db: Db,
    name: str,
    held: Held,
    scopes: Sequence[str],
    expires_at: datetime | None,
    by: Actor,
) -> tuple[UUID, Made]:
    id_, token = uuid7(), new_token()
    body = await queries.insert(
        db,
        id_=id_,
        name=name,
        hash_=hashed(token),
        agent_id=held.agent_id,
        role=held.own_role,
        scopes=scopes,
        created_by=by.id,
        expires_at=expires_at,
    )
    return id_, Made(token, body)


async def record(db: Db, name: str, *, by: Actor, data: dict[str, Any]) -> None:
    """For those who follow the feed, and for good."""
    await events.record(db, name, by=by, data=data)
    await audit.record(db, name, by=by, data=data)


def told(id_: UUID, name: str, held: Held, scopes: Sequence[str]) -> dict[str, Any]:
    """What facts say of a token; never the token, nor its hash."""
    return {
        "token_id": id_,
        "name": name,
        "agent_id": held.agent_id,
        "role": held.own_role,
        "scopes": scopes,
    }


async def holder_of(db: Db, new: NewToken, by: Caller) -> Held:
    own = agent_of(by.actor)
    agent_id = own if new.agent_id is None and new.role is None else new.agent_id
    if new.role is not None:
        if agent_id is not None:
            raise Invalid.field("role", "A token of an agent has the agent's role.")
        need_admin(by.rights)
        return Held(None, new.role, new.role)
    if agent_id is None:
        raise Invalid.field("agent_id", "Say whose it is: agent_id, or role for a service.")
    if agent_id != own:
        need_admin(by.rights)
    agent = await queries.holder(db, agent_id)
    if agent is None:
        raise Invalid.field("agent_id", "There is no such agent.")
    if agent.is_disabled:
        raise Invalid.field("agent_id", "This agent is disabled.")
    return Held(agent.id, None, agent.role)


def checked(scopes: Sequence[str], role: str) -> list[str]:
    """In their order, each once. Raises `Invalid` for what the role does not have."""
    for scope in scopes:
        if scope not in PERMISSIONS:
            names = ", ".join(PERMISSIONS)
            raise Invalid.field("scopes", f"Unknown: {scope[:100]}. One of {names}.")
        if scope not in ROLES[role]:
            raise Invalid.field("scopes", f"The role {role} does not have {scope}.")
    return listed(scopes)


def check_rights(role: str, scopes: Sequence[str], by: Caller) -> None:
    for permission in listed(rights_of(role, scopes)):
        if permission not in by.rights:
            raise Forbidden(f"This token would have the permission {permission}; you do not.")
    if role == "owner" and by.role != "owner":
        raise Forbidden("Only an owner makes tokens of the role owner.")


def check_expiry(expires_at: datetime | None) -> None:
    if expires_at is None:
        return
    left = expires_at - datetime.now(UTC)
    if not timedelta() < left <= TEN_YEARS:
        raise Invalid.field("expires_at", "A time in the future, ten years at most.")


async def lock(db: Db, token_id: UUID, actor: Actor, rights: Container[str]) -> Row:
    """Others' are not there for those who may not see them."""
    token = await queries.lock(db, token_id) or no_token()
    own = token.agent_id == agent_of(actor) if token.agent_id else token.id == service_of(actor)
    if not own and "tokens:admin" not in rights:
        no_token()
    return token


def agent_of(actor: Actor) -> UUID | None:
    return id_after(AGENT, actor)


def service_of(actor: Actor) -> UUID | None:
    """The id of the service's token."""
    return id_after(SERVICE, actor)


def id_after(prefix: str, actor: Actor) -> UUID | None:
    return UUID(actor.id.removeprefix(prefix)) if actor.id.startswith(prefix) else None


def need_admin(rights: Container[str]) -> None:
    if "tokens:admin" not in rights:
        raise Forbidden("This takes the permission tokens:admin.")


def no_token() -> NoReturn:
    raise NotFound("There is no such token.")
