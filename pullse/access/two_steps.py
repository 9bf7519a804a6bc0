"""
Signing in on pages, in two steps: the password, then the code of the second factor.

In between, nothing is kept by us, and no password by the page: the browser has a cookie that
says whose password was right and until when, sealed with what this installation alone knows.
It opens nothing by itself, and not even that once the password has changed.
"""

import hashlib
import hmac
import re
from uuid import UUID

from pullse.access import sessions, throttle, totp
from pullse.access import sign_in_queries as accounts
from pullse.access.sessions import Begun, Browser
from pullse.access.sign_in_queries import Account
from pullse.errors import Unproven
from pullse.kit.db import Database, Struct
from pullse.kit.events import Actor
from pullse.kit.secret import Secret

GOOD_FOR = 600
"""Seconds to look for one's phone."""
SEALED = re.compile(r"([0-9a-f]{32})-([0-9]{1,12})-([0-9]{1,20})-([0-9a-f]{64})")


class SignInExpired(Unproven):
    code = "sign_in_expired"

    def __init__(self) -> None:
        super().__init__("This took too long; begin again.")


class Pending(Struct, frozen=True):
    agent_id: UUID
    until: int
    password_set: int
    """When, in microseconds."""

    @property
    def text(self) -> str:
        return f"{self.agent_id.hex}-{self.until}-{self.password_set}"


def sealed(key: bytes, account: Account) -> str:
    until = int(totp.clock()) + GOOD_FOR
    pending = Pending(account.id, until, microseconds(account))
    return f"{pending.text}-{seal(key, pending)}"


def opened(key: bytes, text: str | None) -> Pending:
    """Raises `SignInExpired`, also for what we never sealed."""
    found = SEALED.fullmatch(text or "")
    if found is None:
        raise SignInExpired
    pending = Pending(UUID(found[1]), int(found[2]), int(found[3]))
    is_ours = hmac.compare_digest(seal(key, pending), found[4])
    if not is_ours or pending.until < totp.clock():
        raise SignInExpired
    return pending


def seal(key: bytes, pending: Pending) -> str:
    own_key = hmac.digest(key, b"pending sign-in", hashlib.sha256)
    return hmac.digest(own_key, pending.text.encode(), hashlib.sha256).hex()


async def finish(
    database: Database,
    pending: Pending,
    code: str,
    browser: Browser,
    *,
    secret: Secret | None,
    by: Actor,
) -> Begun:
    """Attempts are counted as at the first step. Raises `Unproven`, `TooMany`."""
    async with database.session() as db:
        account = await accounts.by_id(db, pending.agent_id)
        if account is None or microseconds(account) != pending.password_set:
            raise SignInExpired
        device_hash = await sessions.known_device(db, account, browser)
    limits = (
        throttle.of_strangers(account.email, by.address)
        if device_hash is None
        else throttle.of_device(device_hash)
    )
    taken = await throttle.take(database, limits)
    await sessions.check_policy(database, account, by=by)
    means = await sessions.second_factor(database, account, code, secret=secret, by=by)
    await taken.succeeded(database)
    is_known = device_hash is not None
    return await sessions.begin(database, account, browser, means, is_known=is_known, by=by)


def microseconds(account: Account) -> int:
    return 0 if account.set_at is None else int(account.set_at.timestamp() * 1_000_000)
