"""UUIDs of version 7 (RFC 9562): ordered by time of making, so that indexes grow at one end."""

import os
import time
from uuid import UUID


def uuid7() -> UUID:
    """48 bits of milliseconds, 12 bits of the fraction below (method 3), 62 random bits."""
    nanoseconds = time.time_ns()
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    fraction = (rest << 12) // 1_000_000
    random = int.from_bytes(os.urandom(8), "big") & ((1 << 62) - 1)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | random)
