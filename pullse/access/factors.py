"""
The verbs about codes of the second factor, for who has signed in: what is set up or removed
gives this session another token and ends all others.
"""

from pullse.access import policy, sessions, totp, totp_queries
from pullse.access import sign_in_queries as accounts
from pullse.access.sign_in_queries import Account
from pullse.kit.db import Database
from pullse.kit.events import Actor
from pullse.kit.secret import Secret


async def begin(
    database: Database, password: str | None, *, secret: Secret | None, by: Actor
) -> tuple[bytes, Account]:
    """The key of the codes, and whose it is. Takes a fresh proof, as `sessions.prove` says."""
    account = await sessions.prove(database, password, by=by)
    async with database.transaction() as db:
        return await totp.begin(db, account.id, secret=secret), account


async def confirm(
    database: Database, code: str, *, secret: Secret | None, by: Actor
) -> tuple[list[str], str]:
    """The recovery codes, which are shown this once, and the session's new token."""
    agent_id = sessions.signed_in(by)
    async with database.transaction() as db:
        await accounts.lock(db, agent_id)
        await policy.may_enrol(db, by)  # also if it is required only since this was begun
        token = await sessions.renew(db, by=by, gained=["totp"])
        codes = await totp.confirm(db, agent_id, code, secret=secret, by=by)
    return codes, token


async def remove(database: Database, password: str | None, *, by: Actor) -> str | None:
    """The session's new token; None when there was nothing to remove. Takes a fresh proof."""
    account = await sessions.prove(database, password, by=by)
    async with database.transaction() as db:
        await accounts.lock(db, account.id)
        if await totp_queries.find(db, account.id) is None:
            return None
        token = await sessions.renew(db, by=by, lost=["totp", "recovery_code"])
        await totp.remove(db, account.id, by=by)
    return token
