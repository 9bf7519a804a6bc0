"""
The verbs about links that are used once: who has one sets a password, or makes a passkey
(passkeys/by_link.py).

Nobody makes a link for somebody who may more than they may themselves: it would be a way to
become that person.
"""

from datetime import datetime
from typing import NoReturn
from uuid import UUID

from msgspec import UNSET, UnsetType

from pullse.access import link_queries as queries
from pullse.access import others, passwords, session_queries, sign_in_queries
from pullse.access.passkeys import queries as passkeys
from pullse.access.secrets import hashed, is_secret, new_secret
from pullse.access.sign_in_model import Person, UsedLink
from pullse.agents import actions as agents
from pullse.agents.model import AgentChanges, NewAgent, Role
from pullse.agents.queries import find_by_email, has_active_owner
from pullse.errors import Conflict, Invalid, NotFound
from pullse.kit import audit
from pullse.kit.db import Database, Db, Struct
from pullse.kit.events import SYSTEM, Actor

HOUR = 3600
GOOD_FOR = {"setup": 48 * HOUR, "invitation": 48 * HOUR, "reset": HOUR}


class IsSetUp(Conflict):
    code = "is_set_up"

    def __init__(self) -> None:
        super().__init__("There is an owner already, who can invite others.")


class Made(Struct, frozen=True):
    """`token` is shown to its maker and kept nowhere."""

    token: str
    purpose: str
    agent_id: UUID | None
    expires_at: datetime


class Offered(Struct, frozen=True):
    """A link, and whose it is; of a set-up link nobody's."""

    purpose: str
    name: str
    email: str


class Known(Struct, frozen=True):
    """For whom a link is; nobody yet (`agent_id` None), if it makes the first owner."""

    agent_id: UUID | None
    name: str
    email: str
    new_name: str | UnsetType


async def invite(db: Db, agent_id: UUID, *, by: Actor) -> Made:
    """An invitation, or for who can sign in already a reset."""
    account = await sign_in_queries.lock(db, agent_id)
    if account is None:
        raise Invalid.field("agent_id", "There is no such agent, or it is disabled.")
    await others.check_may(db, agent_id, account.role, instead="PUT /api/session/password", by=by)
    await queries.end_for(db, agent_id)
    is_in = account.hash is not None or await passkeys.has_any(db, agent_id)
    return await make(db, "reset" if is_in else "invitation", agent_id, by=by)


async def set_up(db: Db, *, by: Actor) -> Made | None:
    """The link by which the first owner is made; None when there is an owner."""
    if await has_active_owner(db):
        return None
    return await make(db, "setup", None, by=by)


async def make(db: Db, purpose: str, agent_id: UUID | None, *, by: Actor) -> Made:
    token = new_secret()
    expires_at = await queries.insert(
        db,
        hash_=hashed(token),
        purpose=purpose,
        agent_id=agent_id,
        made_by=by.id,
        seconds=GOOD_FOR[purpose],
    )
    data = {"purpose": purpose, "agent_id": agent_id}
    await audit.record(db, "link.made", by=by, data=data)
    return Made(token, purpose, agent_id, expires_at)


async def look(database: Database, token: str) -> Offered:
    """What a link is for, without using it up. Raises `NotFound`."""
    if not is_secret(token):
        no_link()
    async with database.session() as db:
        link = await queries.find(db, hashed(token)) or no_link()
        if link.agent_id is None:
            return Offered(link.purpose, "", "")
        account = await sign_in_queries.by_id(db, link.agent_id) or no_link()
    return Offered(link.purpose, account.name, account.email)


async def use(database: Database, token: str, given: UsedLink, *, by: Actor) -> tuple[UUID, str]:
    """Set the password; the agent's id and the link's purpose."""
    person = await person_of(database, token, given)
    passwords.check(given.password, about=(person.name, person.email))
    password_hash = await passwords.hashed(given.password)  # before the transaction: it takes long
    async with database.transaction() as db:
        agent_id, purpose = await enter(db, token, person, by=by)
        await sign_in_queries.set_password(db, agent_id, password_hash)
        me = replace_id(by, f"agent:{agent_id}")
        await note_use(db, agent_id, purpose, by=me)
        await audit.record(db, "password.changed", by=me, data={"agent_id": agent_id})
    return agent_id, purpose


async def person_of(database: Database, token: str, given: Person) -> Known:
    """For whom the link is, if it is good; what a new name says counts already."""
    async with database.session() as db:
        link = await queries.find(db, hashed(token)) or no_link()
        account = link.agent_id and await sign_in_queries.by_id(db, link.agent_id)
    if link.purpose == "setup":
        if given.name is UNSET or given.email is UNSET:
            name = "name" if given.name is UNSET else "email"
            raise Invalid.field(name, "The first owner needs one.")
        return Known(None, given.name, given.email, given.name)
    if not account:
        no_link()
    if given.email is not UNSET:
        raise Invalid.field("email", "Only a set-up link takes one.")
    return Known(account.id, account.name, account.email, given.name)


async def enter(db: Db, token: str, person: Known, *, by: Actor) -> tuple[UUID, str]:
    """
    Use the link up: its agent is there and active, and all sessions are over. The caller says
    by what the agent signs in from now on, and then notes the use.
    """
    if person.agent_id is None:  # one after the other, so that one owner is made
        await db.run("SELECT pg_advisory_xact_lock($1)", audit.LOCK)
    used = await queries.use(db, hashed(token)) or no_link()
    if used.agent_id is None:
        agent_id = await make_owner(db, person, by=by)
    else:
        agent_id = await let_in(db, used.agent_id, person, by=by)
    return agent_id, used.purpose


async def note_use(db: Db, agent_id: UUID, purpose: str, *, by: Actor) -> None:
    data = {"purpose": purpose, "agent_id": agent_id}
    await audit.record(db, "link.used", by=by, data=data)


async def make_owner(db: Db, person: Known, *, by: Actor) -> UUID:
    """As long as there is none."""
    system = replace_id(by, SYSTEM.id)
    if await has_active_owner(db):
        raise IsSetUp
    new = NewAgent(person.name, person.email, Role.OWNER)
    await agents.create(db, new, by=system)
    agent_id = await find_by_email(db, new.email) or agents.no_agent()
    await agents.change(db, agent_id, AgentChanges(state="active"), by=system)
    await queries.end_setups(db)
    return agent_id


async def let_in(db: Db, agent_id: UUID, person: Known, *, by: Actor) -> UUID:
    account = await sign_in_queries.lock(db, agent_id) or no_link()
    await session_queries.end_all(db, agent_id)
    changes = AgentChanges(name=person.new_name, state="active")
    await agents.change(db, account.id, changes, by=replace_id(by, f"agent:{agent_id}"))
    return agent_id


def replace_id(actor: Actor, id_: str) -> Actor:
    return Actor(id_, actor.request_id, actor.rights, actor.address)


def no_link() -> NoReturn:
    raise NotFound("This link is not good (any more); ask for another one.")
