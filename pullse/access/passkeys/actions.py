"""The verbs about passkeys, each with its row of the audit trail."""

from collections.abc import Sequence
from typing import Any, NoReturn
from uuid import UUID

from pullse.access import policy, sessions, throttle
from pullse.access import sign_in_queries as accounts
from pullse.access.passkeys import ceremony, queries
from pullse.access.passkeys.ceremony import NotAnswered, Site
from pullse.access.passkeys.model import Credential, NewPasskey
from pullse.access.passkeys.queries import Known
from pullse.access.sessions import Begun, Browser, session_of, signed_in
from pullse.errors import Conflict, Invalid, NotFound, Unproven
from pullse.kit import audit
from pullse.kit.db import Database, Db
from pullse.kit.events import Actor
from pullse.kit.ids import uuid7

MOST = 20
"""Passkeys of one agent."""
OPEN_AT_MOST, OF_STRANGERS = 10, 1000
"""Challenges that wait for one session or link, or for one network address."""


class WrongPasskey(Unproven):
    code = "wrong_passkey"

    def __init__(self) -> None:
        super().__init__("This passkey does not open anything here, or it took too long.")


class NoPasskey(Invalid):
    code = "not_answered"

    def __init__(self) -> None:
        message = "This is no answer to what was asked, or it took too long: begin anew."
        super().__init__(message, problems={"credential": message})


class PasskeyKnown(Conflict):
    code = "passkey_known"

    def __init__(self) -> None:
        super().__init__("This passkey is here already.")


class TooManyPasskeys(Conflict):
    code = "too_many_passkeys"

    def __init__(self) -> None:
        super().__init__(f"Nobody has more than {MOST} passkeys; remove one first.")


class LastWayIn(Conflict):
    code = "last_way_in"

    def __init__(self) -> None:
        super().__init__("You could not sign in any more: make another passkey, or set a password.")


# -- making one --


async def begin(database: Database, password: str | None, site: Site, *, by: Actor) -> Any:
    """The options for the authenticator. Takes a fresh proof, as `sessions.prove` says."""
    account = await sessions.prove(database, password, by=by)
    async with database.session() as db:
        if await queries.count(db, account.id) >= MOST:
            raise TooManyPasskeys
        handle = await queries.handle_of(db, account.id) or account.id.bytes
        known = await queries.devices(db, account.id, site.host)
        challenge = await ask(db, "add", f"session:{session_of(by)}", handle)
    return ceremony.to_make(
        challenge, site, handle=handle, email=account.email, name=account.name, known=known
    )


async def add(
    database: Database, given: NewPasskey, name: str, site: Site, *, by: Actor
) -> tuple[str, str]:
    """The passkey's body, and this session's new token; all others end."""
    agent_id = signed_in(by)
    made, handle = await answered(database, given, "add", f"session:{session_of(by)}", site)
    async with database.transaction() as db:
        await accounts.lock(db, agent_id) or sessions.no_session()
        await policy.may_enrol(db, by)  # also if it is required only since this was begun
        id_, body = await keep(db, agent_id, made, handle, name, site)
        token = await sessions.renew(db, by=by, gained=["passkey"])
        data = {"agent_id": agent_id, "passkey_id": id_}
        await audit.record(db, "passkey.added", by=by, data=data)
    return body, token


async def ask(
    db: Db, purpose: str, made_for: str, handle: bytes | None = None, *, most: int = OPEN_AT_MOST
) -> bytes:
    """A challenge that is good once, and not for long."""
    challenge = ceremony.new_challenge()
    await queries.challenge(
        db,
        ceremony.hashed(challenge),
        purpose=purpose,
        made_for=made_for,
        user_handle=handle,
        seconds=ceremony.PATIENCE,
        most=most,
    )
    return challenge


async def answered(
    database: Database, given: Any, purpose: str, made_for: str, site: Site
) -> tuple[ceremony.Made, bytes]:
    """What the authenticator made, and under which handle; the challenge is used up."""
    try:
        challenge = ceremony.challenge_in(given.credential.response.client_data)
        async with database.session() as db:
            asked = await queries.take(
                db, ceremony.hashed(challenge), purpose=purpose, made_for=made_for
            )
        if asked is None or asked.user_handle is None:
            raise NoPasskey
        return ceremony.made(given.credential, challenge, site), asked.user_handle
    except NotAnswered as error:
        raise NoPasskey from error


async def keep(
    db: Db, agent_id: UUID, made: ceremony.Made, handle: bytes, name: str, site: Site
) -> tuple[UUID, str]:
    """Its id and body. The agent is locked, so the count is right."""
    if await queries.count(db, agent_id) >= MOST:
        raise TooManyPasskeys
    id_ = uuid7()
    body = await queries.insert(
        db,
        id_=id_,
        agent_id=agent_id,
        credential_id=made.credential_id,
        public_key=made.public_key,
        user_handle=handle,
        host=site.host,
        name=name,
        transports=made.transports,
        is_synced=made.is_synced,
        sign_count=made.sign_count,
    )
    if body is None:
        raise PasskeyKnown
    return id_, body


# -- those that are there --


async def rename(db: Db, passkey_id: UUID, name: str, *, by: Actor) -> str:
    return await queries.rename(db, signed_in(by), passkey_id, name) or no_passkey()


async def remove(
    database: Database,
    passkey_id: UUID,
    password: str | None,
    *,
    issuers: Sequence[str] = (),
    by: Actor,
) -> str:
    """
    This session's new token; all others end. Takes a fresh proof, as `sessions.prove` says.

    `issuers` are those by which one signs in. Raises `LastWayIn`.
    """
    account = await sessions.prove(database, password, by=by)
    async with database.transaction() as db:
        await accounts.lock(db, account.id) or sessions.no_session()
        if not await queries.remove(db, account.id, passkey_id):
            no_passkey()
        if not await accounts.has_way_in(db, account.id, issuers):
            raise LastWayIn
        has_more = await queries.has_any(db, account.id)
        token = await sessions.renew(db, by=by, lost=[] if has_more else ["passkey"])
        data = {"agent_id": account.id, "passkey_id": passkey_id}
        await audit.record(db, "passkey.removed", by=by, data=data)
    return token


async def remove_all(db: Db, agent_id: UUID, *, by: Actor) -> int:
    """For the operator; the caller ends the sessions. How many."""
    count = await queries.remove_all(db, agent_id)
    if count:
        data = {"agent_id": agent_id, "count": count}
        await audit.record(db, "passkey.removed", by=by, data=data)
    return count


# -- signing in --


async def begin_sign_in(database: Database, site: Site, *, by: Actor) -> Any:
    """The options for the authenticator, of whomever it knows: the same for everybody."""
    made_for = f"address:{throttle.place(by.address)}"
    async with database.session() as db:
        challenge = await ask(db, "sign_in", made_for, most=OF_STRANGERS)
    return ceremony.to_use(challenge, site)


async def sign_in(
    database: Database, given: Credential, site: Site, browser: Browser, *, by: Actor
) -> Begun:
    """Raises `WrongPasskey`, `SingleSignOnNeeded`, `TooMany`; `Invalid` if it is no credential."""
    credential_id = ceremony.raw(given.id)
    async with database.session() as db:
        known = await queries.find(db, credential_id)
        account = None if known is None else await accounts.by_id(db, known.agent_id)
        device_hash = await sessions.known_device(db, account, browser)
    limits = (
        throttle.of_passkeys(by.address) if device_hash is None else throttle.of_device(device_hash)
    )
    taken = await throttle.take(database, limits)
    try:
        use = await shown(database, given, known, site)
    except NotAnswered as error:
        await sessions.note_failure(database, account, by, "passkey")
        raise WrongPasskey from error
    if account is None or known is None:
        await sessions.note_failure(database, account, by, "passkey")
        raise WrongPasskey
    await sessions.check_policy(database, account, by=by)
    async with database.transaction() as db:
        now = await accounts.lock(db, account.id)
        if now is None:
            raise WrongPasskey  # disabled, while we looked
        is_rising = await queries.use(
            db, known.id, sign_count=use.sign_count, is_synced=use.is_synced
        )
        if is_rising:
            begun = await sessions.begin_of(
                db, now, browser, ["passkey"], is_known=device_hash is not None, by=by
            )
    if not is_rising:  # there is a copy of it, or it was removed while we looked
        await sessions.note_failure(database, account, by, "passkey_counter")
        raise WrongPasskey
    await taken.succeeded(database)
    return begun


async def shown(
    database: Database, given: Credential, known: Known | None, site: Site
) -> ceremony.Used:
    """The challenge is used up, whatever comes of it. Raises `NotAnswered`, `Invalid`."""
    challenge = ceremony.challenge_in(given.response.client_data)
    async with database.session() as db:
        asked = await queries.take(db, ceremony.hashed(challenge), purpose="sign_in", made_for=None)
    if asked is None:
        raise NotAnswered("not asked, or too long ago")
    if known is None:
        raise NotAnswered("unknown")
    return ceremony.used(given, challenge, site, known)


def no_passkey() -> NoReturn:
    raise NotFound("There is no such passkey.")
