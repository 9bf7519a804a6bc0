"""
The verbs about identities: whose account at a provider is which agent's.

Issuer and subject say who it is, for good. Only where they are not known yet, a verified e-mail
address finds the agent; a changed address finds nobody else afterwards.
"""

from collections.abc import Sequence
from typing import NoReturn
from uuid import UUID

from pullse.access import sign_in_queries as accounts
from pullse.access.oidc import queries
from pullse.access.oidc.claims import Person
from pullse.access.sign_in_queries import Account
from pullse.agents import actions as agents
from pullse.agents.model import AgentChanges, NewAgent, Role
from pullse.agents.queries import find_by_email
from pullse.errors import Conflict, NotFound
from pullse.kit import audit
from pullse.kit.db import Db
from pullse.kit.events import SYSTEM, Actor
from pullse.kit.ids import uuid7
from pullse.providers import Provider


class NotLetIn(Exception):
    """`code` is what the page of /sign-in is told, `reason` what the audit trail is."""

    def __init__(self, code: str, reason: str, agent_id: UUID | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.reason = reason
        self.agent_id = agent_id


class LastWayIn(Conflict):
    code = "last_way_in"

    def __init__(self) -> None:
        super().__init__("Without this identity you could not sign in any more; set a password.")


async def account_of(
    db: Db, person: Person, provider: Provider | None = None, *, by: Actor
) -> Account:
    """
    Whom to let in; linked now if it was not, and active now if only invited.

    `provider`: may it make agents? Raises `NotLetIn`.
    """
    agent_id = await queries.agent_of(db, person.issuer, person.subject)
    if agent_id is None:
        return await link(db, person, provider, by=by)
    account = await accounts.lock(db, agent_id)
    if account is None:
        raise NotLetIn("no_account", "disabled", agent_id)
    await queries.used(db, person.issuer, person.subject)
    await activate(db, account, by=by)
    return account


async def link(db: Db, person: Person, provider: Provider | None, *, by: Actor) -> Account:
    if person.email is None:
        raise NotLetIn("email_unverified", "email")
    agent_id = await find_by_email(db, person.email)
    if agent_id is None:
        agent_id = await create(db, person, person.email, provider, by=by)
    account = await accounts.lock(db, agent_id)
    if account is None:
        raise NotLetIn("no_account", "disabled", agent_id)
    id_ = uuid7()
    is_linked = await queries.link(
        db,
        id_=id_,
        issuer=person.issuer,
        subject=person.subject,
        agent_id=agent_id,
        email=person.email,
    )
    if not is_linked:  # by another request, meanwhile, to somebody else
        raise NotLetIn("no_account", "account", agent_id)
    await activate(db, account, by=by)
    data = {"agent_id": agent_id, "identity_id": id_, "issuer": person.issuer}
    await audit.record(db, "identity.linked", by=acting(account.id, by), data=data)
    return account


async def create(
    db: Db, person: Person, email: str, provider: Provider | None, *, by: Actor
) -> UUID:
    """An agent for who has an address of a domain that the settings name."""
    domain = email.rpartition("@")[2].lower()
    if provider is None or provider.creates is None or domain not in provider.domains:
        raise NotLetIn("no_account", "account")
    name = person.name or email.partition("@")[0][:200]
    system = Actor(SYSTEM.id, by.request_id, SYSTEM.rights, by.address)
    try:
        await agents.create(db, NewAgent(name, email, Role(provider.creates)), by=system)
    except agents.EmailTaken as error:  # by another request, meanwhile
        raise NotLetIn("no_account", "account") from error
    return await find_by_email(db, email) or agents.no_agent()


async def activate(db: Db, account: Account, *, by: Actor) -> None:
    if account.state == "invited":
        me = acting(account.id, by)
        await agents.change(db, account.id, AgentChanges(state="active"), by=me)


async def unlink(
    db: Db, agent_id: UUID, identity_id: UUID, issuers: Sequence[str], *, by: Actor
) -> None:
    """`issuers` are those by which one signs in. Raises `LastWayIn`."""
    await accounts.lock(db, agent_id)  # so that of two at once the second sees the first
    issuer = await queries.issuer_of(db, agent_id, identity_id) or no_identity()
    await queries.unlink(db, identity_id)
    if issuer in issuers and not await accounts.has_way_in(db, agent_id, issuers):
        raise LastWayIn
    data = {"agent_id": agent_id, "identity_id": identity_id, "issuer": issuer}
    await audit.record(db, "identity.unlinked", by=by, data=data)


def acting(agent_id: UUID, by: Actor) -> Actor:
    """The agent, in this request."""
    return Actor(f"agent:{agent_id}", by.request_id, by.rights, by.address)


def no_identity() -> NoReturn:
    raise NotFound("There is no such identity.")
