"""
The second factor: codes of six digits by the clock (RFC 6238: SHA-1, 30 seconds), and ten
recovery codes for the day when the phone is lost. Each counts once.

The database has the key of the codes sealed (kit/seals.py). What an earlier version left there
as it is works on, and is sealed when a process starts.
"""

import base64
import hmac
import os
import re
import time
from collections.abc import Callable
from urllib.parse import quote
from uuid import UUID

from pullse.access import totp_queries as queries
from pullse.access.secrets import base62, hashed
from pullse.errors import Conflict, Invalid, Unavailable
from pullse.kit import audit, seals
from pullse.kit.db import Database, Db
from pullse.kit.events import Actor
from pullse.kit.secret import Secret

STEP = 30
DRIFT = 1
"""Steps that a clock may be wrong by, to either side."""
CODES, LETTERS = 10, 14
"""Recovery codes, and characters of each: 62 ** 14 > 2 ** 80."""
DIGITS = re.compile(r"[0-9]{6}")
SIZE = 20
"""Bytes of a key; one that is sealed is longer."""

clock: Callable[[], float] = time.time


class Enrolled(Conflict):
    code = "totp_enrolled"

    def __init__(self) -> None:
        super().__init__("There is a second factor already; remove it first.")


class SecretLost(Unavailable):
    """For whoever signs in, and through them for the operator: nobody else can mend it."""

    code = "wrong_secret"

    def __init__(self) -> None:
        super().__init__(
            "This server can't read second factors: its secret is not the one that they were "
            "sealed with. Whoever runs it has to put PULLSE_SECRET back; a recovery code works."
        )


def code_at(key: bytes, step: int) -> str:
    digest = hmac.digest(key, step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 15
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"


def step_of(key: bytes, code: str) -> int | None:
    """The step that the code is of, of those about now."""
    now, found = int(clock()) // STEP, None
    for step in range(now - DRIFT, now + DRIFT + 1):
        if hmac.compare_digest(code_at(key, step), code):
            found = step
    return found


def uri(key: bytes, email: str) -> str:
    """What authenticator apps read from a QR code."""
    return f"otpauth://totp/pullse:{quote(email)}?secret={shown(key)}&issuer=pullse"


def shown(key: bytes) -> str:
    return base64.b32encode(key).decode().rstrip("=")


async def begin(db: Db, agent_id: UUID, *, secret: Secret | None) -> bytes:
    """The key of the codes. `secret` is the installation's, here and below."""
    key = os.urandom(SIZE)
    if not await queries.begin(db, agent_id, sealed(secret, key, agent_id)):
        raise Enrolled
    return key


async def confirm(
    db: Db, agent_id: UUID, code: str, *, secret: Secret | None, by: Actor
) -> list[str]:
    """The recovery codes, which are shown this once."""
    factor = await queries.find(db, agent_id)
    if factor is not None and factor.is_confirmed:
        raise Enrolled
    if factor is None or not await fits_clock(db, agent_id, factor.secret, code, secret):
        raise Invalid.field("code", "This is not the code of now.")
    if not await queries.confirm(db, agent_id):
        raise Enrolled
    codes = [base62(int.from_bytes(os.urandom(16), "big"), LETTERS) for _ in range(CODES)]
    await queries.set_recovery_codes(db, agent_id, [hashed(each) for each in codes])
    await audit.record(db, "totp.enrolled", by=by, data={"agent_id": agent_id})
    return codes


async def remove(db: Db, agent_id: UUID, *, by: Actor) -> bool:
    """False when there is none."""
    is_removed = await queries.remove(db, agent_id)
    if is_removed:
        await audit.record(db, "totp.removed", by=by, data={"agent_id": agent_id})
    return is_removed


async def fits(
    db: Db, agent_id: UUID, stored: bytes, code: str, *, secret: Secret | None
) -> str | None:
    """By what it fits; it is used up then."""
    plain = re.sub(r"[\s-]", "", code)
    if DIGITS.fullmatch(plain):
        return "totp" if await fits_clock(db, agent_id, stored, plain, secret) else None
    is_good = await queries.use_recovery_code(db, agent_id, hashed(plain))
    return "recovery_code" if is_good else None


async def fits_clock(
    db: Db, agent_id: UUID, stored: bytes, code: str, secret: Secret | None
) -> bool:
    if not DIGITS.fullmatch(code):
        return False
    step = step_of(opened(secret, stored, agent_id), code)
    return step is not None and await queries.take_step(db, agent_id, stored, step)


def sealed(secret: Secret | None, key: bytes, agent_id: UUID) -> bytes:
    if secret is None:
        raise SecretLost
    return seals.seal(secret, "totp", key, about=agent_id.bytes)


def opened(secret: Secret | None, stored: bytes, agent_id: UUID) -> bytes:
    """Raises `SecretLost`."""
    if len(stored) == SIZE:
        return stored
    if secret is None:
        raise SecretLost
    try:
        return seals.unseal(secret, "totp", stored, about=agent_id.bytes)
    except seals.Broken as error:
        raise SecretLost from error


async def seal_all(database: Database, secret: Secret) -> None:
    """What is in the database as it is; at each start, and of several at once each does some."""
    async with database.session() as db:
        for each in await queries.unsealed(db, SIZE):
            new = sealed(secret, each.secret, each.agent_id)
            await queries.replace(db, each.agent_id, each.secret, new)
