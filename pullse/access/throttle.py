"""
Pauses between attempts to sign in, kept in PostgreSQL, so they hold in all processes.

An attempt is counted before the password is looked at, so many at once are no way around.
From a browser that has signed in to the account before (its device cookie says so) only its
own attempts count: a stranger who guesses makes other strangers wait, and not its owner.
"""

import hashlib
import math
from collections.abc import Sequence
from ipaddress import ip_address

from pullse.access import sign_in_queries as queries
from pullse.errors import TooMany
from pullse.kit.db import Database, Struct

LONGEST = 900.0
"""Seconds: no pause is longer."""
FORGOTTEN = 6 * 3600.0


class Limit(Struct, frozen=True):
    """`free` attempts without a pause, then pauses of 1, 2, 4 … seconds."""

    key: str
    free: int


class Taken(Struct, frozen=True):
    """An attempt that was counted: a success makes it undone."""

    limits: Sequence[Limit]

    async def succeeded(self, database: Database) -> None:
        """An address has not proven anything by one account, so its failures stay."""
        async with database.session() as db:
            for each in self.limits:
                if each.key.startswith("address:"):
                    await queries.give_back(db, each.key)
                else:
                    await queries.forgive(db, each.key)


def of_strangers(email: str, address: str | None) -> list[Limit]:
    return [Limit(f"address:{place(address)}", 20), Limit(f"account:{short(email.lower())}", 5)]


def of_passkeys(address: str | None) -> list[Limit]:
    """None of the account: signatures are not guessed, and strangers would keep its owner out."""
    return [Limit(f"address:{place(address)}", 20)]


def of_device(device_hash: bytes) -> list[Limit]:
    return [Limit(f"device:{device_hash.hex()}", 5)]


async def take(database: Database, limits: Sequence[Limit]) -> Taken:
    """Raises `TooMany` while there is a pause."""
    async with database.session() as db:
        for each in limits:
            if not await queries.take(
                db, each.key, free=each.free, longest=LONGEST, forgotten=FORGOTTEN
            ):
                seconds = max(1, math.ceil(await queries.seconds_left(db, each.key)))
                text = f"Too many attempts; try again in {seconds} seconds."
                raise TooMany(text, seconds=seconds)
    return Taken(limits)


def place(address: str | None) -> str:
    """Of IPv6 the network that one customer has."""
    try:
        found = ip_address(address or "")
    except ValueError:
        return "unknown"
    if found.version == 4:
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return f"{found.exploded[:19]}::/64"


def short(text: str) -> str:
    """No address that was tried is kept as it is."""
    return hashlib.sha256(text.encode()).hexdigest()
