"""
A link that is used once, and a passkey in the place of a password.

The password that there was is over then, as it would be with another one: whoever knew it
shall not come in beside the passkey. Where a new password would not be enough to sign in, a
new passkey is not made: a link is no way around a second factor.
"""

from typing import Any
from uuid import UUID, uuid4

from pullse.access import links, policy, sign_in_queries, totp_queries
from pullse.access.passkeys import actions, ceremony, queries
from pullse.access.passkeys.ceremony import Site
from pullse.access.passkeys.model import LinkedPasskey
from pullse.access.secrets import hashed
from pullse.access.sign_in_model import Person
from pullse.errors import Conflict
from pullse.kit import audit
from pullse.kit.db import Database, Db
from pullse.kit.events import Actor


class SecondFactorSet(Conflict):
    code = "second_factor_set"

    def __init__(self) -> None:
        super().__init__("You have a second factor: set a password instead, and sign in with both.")


async def begin(database: Database, link: str, person: Person, site: Site) -> Any:
    """The options for the authenticator; the link stays good."""
    found = await links.person_of(database, link, person)
    async with database.session() as db:
        if found.agent_id is None:
            handle, known = uuid4().bytes, []
        else:
            await check_factors(db, found.agent_id)
            handle = await queries.handle_of(db, found.agent_id) or found.agent_id.bytes
            known = await queries.devices(db, found.agent_id, site.host)
        challenge = await actions.ask(db, "link", made_for(link), handle)
    return ceremony.to_make(
        challenge, site, handle=handle, email=found.email, name=found.name, known=known
    )


async def finish(
    database: Database, link: str, given: LinkedPasskey, name: str, site: Site, *, by: Actor
) -> tuple[UUID, str]:
    """The agent's id and the link's purpose. What is no answer does not use the link up."""
    person = await links.person_of(database, link, given)
    made, handle = await actions.answered(database, given, "link", made_for(link), site)
    async with database.transaction() as db:
        agent_id, purpose = await links.enter(db, link, person, by=by)
        await check_factors(db, agent_id)
        me = links.replace_id(by, f"agent:{agent_id}")
        id_, _ = await actions.keep(db, agent_id, made, handle, name, site)
        had_password = await sign_in_queries.remove_password(db, agent_id)
        await links.note_use(db, agent_id, purpose, by=me)
        data = {"agent_id": agent_id, "passkey_id": id_}
        await audit.record(db, "passkey.added", by=me, data=data)
        if had_password:
            await audit.record(db, "password.removed", by=me, data={"agent_id": agent_id})
    return agent_id, purpose


async def check_factors(db: Db, agent_id: UUID) -> None:
    """Raises `SecondFactorSet`."""
    codes = await totp_queries.find(db, agent_id)
    if (codes is not None and codes.is_confirmed) or await policy.asks_for_passkey(db, agent_id):
        raise SecondFactorSet


def made_for(link: str) -> str:
    return f"link:{hashed(link).hex()}"
