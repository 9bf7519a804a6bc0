"""
What an API token looks like: `pullse_`, 256 random bits, and a checksum over them.

Letters and digits alone, so a double click takes all of it; prefix and checksum let secret
scanners find one without asking anybody, and let us refuse a typo without the database.
"""

import hashlib
import os
import re
import string
import zlib

PREFIX = "pullse_"
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
RANDOM, CHECKSUM = 43, 6
"""Characters: 62 ** 43 > 2 ** 256, and 62 ** 6 > 2 ** 32."""
SHAPE = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{RANDOM + CHECKSUM}}}")
SECRET = re.compile(rf"[0-9A-Za-z]{{{RANDOM}}}")


def new_token() -> str:
    random = base62(int.from_bytes(os.urandom(32), "big"), RANDOM)
    return PREFIX + random + checksum(random)


def is_well_formed(text: str) -> bool:
    """Could it be one of ours? No secret is needed to tell."""
    if not SHAPE.fullmatch(text):
        return False
    random = text[len(PREFIX) : -CHECKSUM]
    return checksum(random) == text[-CHECKSUM:]


def checksum(random: str) -> str:
    """CRC32 of the random characters (ISO 3309), the digits of base 62 as in `ALPHABET`."""
    return base62(zlib.crc32(random.encode()), CHECKSUM)


def base62(number: int, length: int) -> str:
    digits = ""
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits = ALPHABET[digit] + digits
    return digits


def hashed(token: str) -> bytes:
    """What the database knows. Of 256 random bits a plain SHA-256 says nothing."""
    return hashlib.sha256(token.encode()).digest()


def new_secret() -> str:
    """256 random bits for a cookie or a link, which no scanner has to find."""
    return base62(int.from_bytes(os.urandom(32), "big"), RANDOM)


def is_secret(text: str) -> bool:
    return SECRET.fullmatch(text) is not None
