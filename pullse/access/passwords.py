"""
Passwords: what is a good one, and its argon2id hash.

Hashing takes 19 MiB and some milliseconds of a processor by design, so it runs in threads of
its own, a few at once, and never on the event loop; where threads have a priority of their own
it gives way to everything else.
"""

import asyncio
import contextlib
import os
import sys
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import Argon2Error, InvalidHashError

from pullse.errors import Invalid, Unavailable

Result = TypeVar("Result")

SHORTEST, LONGEST = 12, 1000
AT_ONCE = 4
WAITING_AT_MOST = 200
"""Who comes then is told to try again: waiting would only get longer."""
LISTED = """
    123456789012 1234567890123 12345678901234 123456789012345 1234567890123456 012345678901
    123123123123 121212121212 123412341234 111222333444 987654321098 098765432109 qwertyuiop12
    qwertyuiop123 qwertyuiop[] qwertyuiopas qwertyuiopasdf qwertyuiopasdfghjkl 1qaz2wsx3edc
    1q2w3e4r5t6y 1qaz2wsx3edc4rfv qazwsxedcrfv zaq12wsxcde3 asdfghjkl123 zxcvbnm12345 qwerty123456
    qwerty1234567 qwertyqwerty qweqweqweqwe asdfasdfasdf abcdefghijkl abcdefghijklm abcd12345678
    abc123abc123 abcabcabcabc a1b2c3d4e5f6 password1234 password12345 password123456
    password123! password1234! passwordpassword password@123 p@ssword1234 p@ssw0rd1234
    passw0rd1234 mypassword123 mypassword12 mypassword1234 thisismypassword newpassword1
    newpassword123 administrator administrator1 administrator123 admin123456789 adminadminadmin
    adminadmin123 administrador letmeinletmein letmein12345 letmein123456 welcome12345
    welcome123456 welcome@1234 welcomewelcome changemenow123 changeme1234 changemeplease
    changeme123456 iloveyou1234 iloveyou12345 iloveyouforever iloveyousomuch iloveyou123456
    sunshine1234 princess1234 football1234 baseball1234 superman1234 trustno1trustno1 dragon123456
    monkey123456 master123456 michael12345 jordan232323 starwars1234 computer1234 internet1234
    whatever1234 freedom12345 correcthorsebatterystaple secretsecret secret123456 testtesttest
    test12345678 testing12345 helpdesk1234 pullsepullse pullse123456 supportsupport support12345
"""
WORST = frozenset(LISTED.split())

hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, type=Type.ID)


def give_way() -> None:
    """Linux has a priority for each thread; elsewhere it would be the process's."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="passwords", initializer=give_way)
waiting = 0

OF_NOBODY = hasher.hash("what an unknown account is compared with")
"""So that an unknown account takes as long as a known one."""


def normal(password: str) -> str:
    """However a keyboard composes it, the same."""
    return unicodedata.normalize("NFKC", password)


def check(password: str, *, field: str = "password", about: tuple[str, ...] = ()) -> None:
    """Raises `Invalid`. `about`: what others know of the person."""
    if not SHORTEST <= len(normal(password)) <= LONGEST:
        raise Invalid.field(field, f"{SHORTEST} to {LONGEST:,} characters.")
    plain = normal(password).casefold().strip()
    known = {part.casefold() for each in about for part in (each, each.partition("@")[0])}
    if plain in WORST or len(set(plain)) < 3 or plain in known:
        raise Invalid.field(field, "This is one of the first that others would try.")


async def hashed(password: str) -> str:
    return await in_thread(lambda: hasher.hash(normal(password)))


async def fits(password: str, hash_: str | None) -> bool:
    """None, where there is no password, takes as long and fits nothing."""
    compared = hash_ or OF_NOBODY

    def verify() -> bool:
        try:
            return hasher.verify(compared, normal(password))
        except (Argon2Error, InvalidHashError):
            return False

    return await in_thread(verify) and hash_ is not None


def is_outdated(hash_: str) -> bool:
    """Made with other parameters than those of today."""
    return hasher.check_needs_rehash(hash_)


async def in_thread(work: Callable[[], Result]) -> Result:
    global waiting
    if waiting >= WAITING_AT_MOST:
        raise Unavailable("Too many people sign in right now; try again in a moment.")
    waiting += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(threads, work)
    finally:
        waiting -= 1
