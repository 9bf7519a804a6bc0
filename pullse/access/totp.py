"""
The second factor: codes of six digits by the clock (RFC 6238: SHA-1, 30 seconds), and ten
recovery codes for the day when the phone is lost. Each counts once.
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
from pullse.errors import Conflict, Invalid
from pullse.kit import audit
from pullse.kit.db import Db
from pullse.kit.events import Actor

STEP = 30
DRIFT = 1
"""Steps that a clock may be wrong by, to either side."""
CODES, LETTERS = 10, 14
"""Recovery codes, and characters of each: 62 ** 14 > 2 ** 80."""
DIGITS = re.compile(r"[0-9]{6}")

clock: Callable[[], float] = time.time


class Enrolled(Conflict):
    code = "totp_enrolled"

    def __init__(self) -> None:
        super().__init__("There is a second factor already; remove it first.")


def code_at(secret: bytes, step: int) -> str:
    digest = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 15
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"


def step_of(secret: bytes, code: str) -> int | None:
    """The step that the code is of, of those about now."""
    now, found = int(clock()) // STEP, None
    for step in range(now - DRIFT, now + DRIFT + 1):
        if hmac.compare_digest(code_at(secret, step), code):
            found = step
    return found


def uri(secret: bytes, email: str) -> str:
    """What authenticator apps read from a QR code."""
    return f"otpauth://totp/pullse:{quote(email)}?secret={shown(secret)}&issuer=pullse"


def shown(secret: bytes) -> str:
    return base64.b32encode(secret).decode().rstrip("=")


async def begin(db: Db, agent_id: UUID) -> bytes:
    secret = os.urandom(20)
    if not await queries.begin(db, agent_id, secret):
        raise Enrolled
    return secret


async def confirm(db: Db, agent_id: UUID, code: str, *, by: Actor) -> list[str]:
    """The recovery codes, which are shown this once."""
    factor = await queries.find(db, agent_id)
    if factor is not None and factor.is_confirmed:
        raise Enrolled
    if factor is None or not await fits_clock(db, agent_id, factor.secret, code):
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


async def fits(db: Db, agent_id: UUID, secret: bytes, code: str) -> str | None:
    """By what it fits; it is used up then."""
    plain = re.sub(r"[\s-]", "", code)
    if DIGITS.fullmatch(plain):
        return "totp" if await fits_clock(db, agent_id, secret, plain) else None
    is_good = await queries.use_recovery_code(db, agent_id, hashed(plain))
    return "recovery_code" if is_good else None


async def fits_clock(db: Db, agent_id: UUID, secret: bytes, code: str) -> bool:
    step = step_of(secret, code) if DIGITS.fullmatch(code) else None
    return step is not None and await queries.take_step(db, agent_id, secret, step)
