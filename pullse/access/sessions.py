"""The verbs about signing in and sessions, each with its row of the audit trail."""

import re
from collections.abc import Sequence
from typing import NoReturn
from uuid import UUID

from pullse.access import passwords, policy, throttle, totp, totp_queries
from pullse.access import session_queries as queries
from pullse.access import sign_in_queries as accounts
from pullse.access.secrets import hashed, is_secret, new_secret
from pullse.access.sign_in_model import NewPassword, SignIn
from pullse.access.sign_in_queries import Account
from pullse.errors import Forbidden, NotFound, Unproven
from pullse.kit import audit
from pullse.kit.db import Database, Db, Struct
from pullse.kit.events import Actor
from pullse.kit.ids import uuid7
from pullse.kit.secret import Secret

BROWSERS = ("Edg", "OPR", "Firefox", "Chrome", "Safari", "curl")
SHOWN_AS = {"Edg": "Edge", "OPR": "Opera", "Mac OS X": "macOS", "CrOS": "ChromeOS"}
SYSTEMS = ("Android", "iPhone", "iPad", "Windows", "CrOS", "Mac OS X", "Linux")


class WrongCredentials(Unproven):
    code = "wrong_credentials"

    def __init__(self) -> None:
        super().__init__("This address and this password do not go together.")


class CodeNeeded(Unproven):
    """`account` is whose password it was."""

    code = "code_needed"

    def __init__(self, account: Account) -> None:
        super().__init__("The password is right; send the code of the second factor too.")
        self.account = account


class WrongCode(Unproven):
    code = "wrong_code"

    def __init__(self) -> None:
        super().__init__("This code is not good, or was used before.")


class WrongPassword(Forbidden):
    code = "wrong_password"

    def __init__(self) -> None:
        super().__init__("This is not your password.")


class ProofNeeded(Forbidden):
    code = "proof_needed"

    def __init__(self) -> None:
        super().__init__(
            "You signed in more than ten minutes ago: send your password, or sign in again."
        )


class SessionNeeded(Forbidden):
    code = "session_needed"

    def __init__(self) -> None:
        super().__init__("Only who has signed in may do this; a token may not.")


class Browser(Struct, frozen=True):
    """From where somebody signs in: the cookies that came along, and what it says of itself."""

    token: str | None
    device_token: str | None
    agent: str | None


class Begun(Struct, frozen=True):
    """
    A new session: what goes into the cookies, and its body. `has_ended`: another one is over,
    which the process has to hear at once: what the browser had before, or one too many.
    """

    token: str
    device_token: str
    body: str
    has_ended: bool


async def sign_in(
    database: Database, given: SignIn, browser: Browser, *, secret: Secret | None, by: Actor
) -> Begun:
    """Whether the account is there or not, it takes as long. Raises `Unproven`, `TooMany`."""
    async with database.session() as db:
        account = await accounts.by_email(db, given.email)
        device_hash = await known_device(db, account, browser)
    limits = (
        throttle.of_strangers(given.email, by.address)
        if device_hash is None
        else throttle.of_device(device_hash)
    )
    taken = await throttle.take(database, limits)
    is_right = await passwords.fits(given.password, None if account is None else account.hash)
    if account is None or not is_right:
        await note_failure(database, account, by)
        raise WrongCredentials
    await check_policy(database, account, by=by)
    means = await second_factor(database, account, given.code, secret=secret, by=by)
    await taken.succeeded(database)
    await refresh_hash(database, account, given.password)
    return await begin(database, account, browser, means, is_known=device_hash is not None, by=by)


async def check_policy(database: Database, account: Account, *, by: Actor) -> None:
    """For who has shown a password or a passkey. Raises `SingleSignOnNeeded`."""
    async with database.session() as db:
        required = await policy.read(db)
    if required.single_sign_on and not policy.is_vouched_for(account.role, ()):
        await note_failure(database, account, by, "policy")
        raise policy.SingleSignOnNeeded


async def second_factor(
    database: Database, account: Account, code: str | None, *, secret: Secret | None, by: Actor
) -> list[str]:
    """What was shown. Each code counts once, also when several come at the same time."""
    async with database.session() as db:
        factor = await totp_queries.find(db, account.id)
        if factor is None or not factor.is_confirmed:
            if await policy.asks_for_passkey(db, account.id):
                raise policy.PasskeyNeeded
            return ["password"]
        if code is None:
            raise CodeNeeded(account)
        means = await totp.fits(db, account.id, factor.secret, code, secret=secret)
    if means is None:
        await note_failure(database, account, by, "code")
        raise WrongCode
    return ["password", means]


async def known_device(db: Db, account: Account | None, browser: Browser) -> bytes | None:
    """The hash of the cookie of a browser from which this very account has signed in before."""
    if browser.device_token is None:
        return None
    device_hash = hashed(browser.device_token)
    # asked for unknown accounts too: it takes as long
    agent_id = UUID(int=0) if account is None else account.id
    return device_hash if await queries.has_been_here(db, agent_id, device_hash) else None


async def note_failure(
    database: Database, account: Account | None, by: Actor, reason: str = "password"
) -> None:
    """What was typed as an address is not kept: it might be a password."""
    data = {"agent_id": account and account.id, "reason": reason}
    async with database.transaction() as db:
        await audit.record(db, "sign_in.failed", by=by, data=data)


async def refresh_hash(database: Database, account: Account, password: str) -> None:
    """With the parameters of today."""
    if account.hash is not None and passwords.is_outdated(account.hash):
        new = await passwords.hashed(password)
        async with database.session() as db:
            await accounts.rehash(db, account.id, account.hash, new)


async def begin(
    database: Database,
    account: Account,
    browser: Browser,
    means: list[str],
    *,
    is_known: bool,
    by: Actor,
) -> Begun:
    """A session of its own, whatever cookie came along; that one's ends."""
    async with database.transaction() as db:
        now = await accounts.lock(db, account.id)
        if now is None or now.set_at != account.set_at:
            raise WrongCredentials  # disabled, or another password, while we compared
        return await begin_of(db, now, browser, means, is_known=is_known, by=by)


async def begin_of(
    db: Db, account: Account, browser: Browser, means: list[str], *, is_known: bool, by: Actor
) -> Begun:
    """
    The same, of an account that the caller has locked. Raises `SingleSignOnNeeded`, which who
    has shown something has heard from `check_policy` before.
    """
    required = await policy.read(db)
    if required.single_sign_on and not policy.is_vouched_for(account.role, means):
        raise policy.SingleSignOnNeeded
    token, id_ = new_secret(), uuid7()
    device_token = browser.device_token if is_known and browser.device_token else new_secret()
    has_ended = browser.token is not None and await queries.end_by_hash(db, hashed(browser.token))
    unused = await queries.make_room(db, account.id)
    body = await queries.insert(
        db,
        id_=id_,
        hash_=hashed(token),
        agent_id=account.id,
        device_hash=hashed(device_token),
        device=shortened(browser.agent),
        address=by.address,
        means=means,
        role=account.role,
        is_reduced=required.second_factor and not policy.is_strong(means),
    )
    me = Actor(f"agent:{account.id}", by.request_id, by.rights, by.address)
    data = {"agent_id": account.id, "session_id": id_, "means": means}
    await audit.record(db, "sign_in.succeeded", by=me, data=data)
    if unused:
        data = {"agent_id": account.id, "count": unused, "reason": "too_many"}
        await audit.record(db, "session.ended", by=me, data=data)
    return Begun(token, device_token, body, has_ended or unused > 0)


async def renew(db: Db, *, by: Actor, gained: Sequence[str] = (), lost: Sequence[str] = ()) -> str:
    """
    Another token for this session, and the end of all others: by what the account is opened
    has changed. `gained` and `lost` are means of this session.
    """
    token = new_secret()
    session_id = session_of(by)
    if not await queries.rotate(db, session_id, hashed(token), gained=gained, lost=lost):
        no_session()  # ended meanwhile
    await queries.end_all(db, signed_in(by), session_id)
    return token


async def end(db: Db, session_id: UUID, *, by: Actor) -> None:
    agent_id = signed_in(by)
    if not await queries.end(db, agent_id, session_id):
        no_session()
    data = {"agent_id": agent_id, "session_id": session_id}
    await audit.record(db, "session.ended", by=by, data=data)


async def end_others(db: Db, *, by: Actor) -> int:
    """How many."""
    agent_id = signed_in(by)
    count = await queries.end_all(db, agent_id, by.session)
    if count:
        data = {"agent_id": agent_id, "count": count}
        await audit.record(db, "session.ended", by=by, data=data)
    return count


async def change_password(database: Database, given: NewPassword, *, by: Actor) -> str:
    """All other sessions end; the token of this one's cookie is a new one."""
    agent_id = signed_in(by)
    account = await prove(database, given.password, by=by)
    if account.hash is not None and given.password is None:
        raise WrongPassword
    about = (account.name, account.email)
    passwords.check(given.new_password, field="new_password", about=about)
    hash_ = await passwords.hashed(given.new_password)
    async with database.transaction() as db:
        now = await accounts.lock(db, agent_id) or no_session()
        if now.set_at != account.set_at:
            raise WrongPassword
        await accounts.set_password(db, agent_id, hash_)
        token = await renew(db, by=by)
        await audit.record(db, "password.changed", by=by, data={"agent_id": agent_id})
    return token


async def prove(database: Database, password: str | None, *, by: Actor) -> Account:
    """
    It is still who signed in, by the password or not long ago: so a stolen session changes
    nothing of this. Raises `ProofNeeded`, `WrongPassword`, `SecondFactorNeeded`, `TooMany`.
    """
    async with database.session() as db:
        account = await accounts.by_id(db, signed_in(by)) or no_session()
        standing = await policy.may_enrol(db, by) or no_session()
    if password is None:
        if not standing.is_fresh:
            raise ProofNeeded
        return account
    taken = await throttle.take(database, [throttle.Limit(f"session:{session_of(by)}", 5)])
    if not await passwords.fits(password, account.hash):
        await note_failure(database, account, by)
        raise WrongPassword
    await taken.succeeded(database)
    return account


def signed_in(by: Actor) -> UUID:
    """The agent's id. Raises `SessionNeeded` for tokens and the owner of pullse dev."""
    session_of(by)
    return UUID(by.id.removeprefix("agent:"))


def session_of(by: Actor) -> UUID:
    if by.session is None:
        raise SessionNeeded
    return by.session


def secret_or_none(text: str | None) -> str | None:
    return text if text is not None and is_secret(text) else None


def shortened(agent: str | None) -> str:
    """`Firefox 133 on Linux`, from what browsers write into User-Agent."""
    if not agent:
        return "unknown"
    found = (re.search(rf"\b{name}\w*/(\d{{1,5}})", agent) for name in BROWSERS)
    browser = next((match for match in found if match), None)
    system = next((name for name in SYSTEMS if name in agent), None)
    if browser is None:
        plain = re.sub(r"[^\x20-\x7e]", "", agent)[:60].strip()
        return plain or "unknown"
    name = next(each for each in BROWSERS if browser[0].startswith(each))
    version = browser[1]
    if name == "Safari" and (own := re.search(r"\bVersion/(\d{1,5})", agent)):
        version = own[1]  # the other number is WebKit's
    words = f"{SHOWN_AS.get(name, name)} {version}"
    return words if system is None else f"{words} on {SHOWN_AS.get(system, system)}"


def no_session() -> NoReturn:
    raise NotFound("There is no such session.")
