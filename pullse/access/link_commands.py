"""What `pullse setup`, `agents invite` and `agents reset` do; each returns what there is to say."""

from uuid import UUID

import msgspec

from pullse.access import links, session_queries, sign_in_queries, totp
from pullse.access.commands import ME
from pullse.access.links import Made
from pullse.access.passkeys import actions as passkeys
from pullse.access.passkeys import queries as passkey_queries
from pullse.agents import actions, queries
from pullse.agents.model import NewAgent
from pullse.errors import Invalid, NotFound
from pullse.kit.db import Database, Db


async def set_up(database: Database) -> str | None:
    """None when there is an owner."""
    async with database.transaction() as db:
        made = await links.set_up(db, by=ME)
    return None if made is None else in_words(made, "makes the first owner")


async def invite(database: Database, new: NewAgent) -> str:
    """Also one who is there already and can't sign in yet."""
    async with database.transaction() as db:
        agent_id = await queries.find_by_email(db, new.email)
        if agent_id is None:
            await actions.create(db, new, by=ME)
            agent_id = await find(db, new.email)
        account = await sign_in_queries.by_id(db, agent_id)
        has_password = account is not None and account.hash is not None
        if has_password or await passkey_queries.has_any(db, agent_id):
            what = "a password" if has_password else "a passkey"
            raise Invalid(f"{new.email} has {what}; there is pullse agents reset {new.email}")
        made = await links.invite(db, agent_id, by=ME)
    return in_words(made, f"lets {new.email} set a password or make a passkey")


async def reset(
    database: Database, email: str, *, without_totp: bool = False, without_passkeys: bool = False
) -> str:
    """What is removed has opened sessions, which end now: they could bring it back."""
    async with database.transaction() as db:
        agent_id = await find(db, email)
        await sign_in_queries.lock(db, agent_id)
        if without_totp or without_passkeys:
            await session_queries.end_all(db, agent_id)
        if without_totp:
            await totp.remove(db, agent_id, by=ME)
        made = await links.invite(db, agent_id, by=ME)
        if without_passkeys:
            await passkeys.remove_all(db, agent_id, by=ME)
    return in_words(made, f"lets {email} set another password, which ends all sessions")


async def find(db: Db, email: str) -> UUID:
    agent_id = await queries.find_by_email(db, email)
    if agent_id is None:
        raise NotFound(f"There is no agent with the address {email}.")
    return agent_id


def new_agent(email: str, name: str | None, role: str) -> NewAgent:
    """By the rules of POST /api/agents."""
    given = {"email": email, "name": name or email.partition("@")[0], "role": role}
    try:
        return msgspec.convert(given, NewAgent)
    except msgspec.ValidationError as error:
        raise Invalid(f"EMAIL or --name: {error}") from error


def in_words(made: Made, what: str) -> str:
    """The token on a line of its own, then a sentence."""
    return (
        f"{made.token}\nThis {what}: POST /api/links/<it> (docs/api/sign-in.md). It works once, "
        f"until {made.expires_at:%Y-%m-%d %H:%M} UTC, and is shown this once."
    )
