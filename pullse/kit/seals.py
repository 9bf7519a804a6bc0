"""
What the database keeps and must not know, sealed with a key of the installation's secret.

AES-256-GCM; the key is HKDF-SHA256 of the secret for one purpose. `about` says whose it is:
what was put at another's place does not open.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pullse.kit.secret import Secret

VERSION = b"\x01"
NONCE = 12


class Broken(Exception):
    """Sealed with another secret, for another purpose or about another; or damaged."""


def seal(secret: Secret, purpose: str, plain: bytes, *, about: bytes) -> bytes:
    """A version, a nonce, and the ciphertext with its tag: 29 bytes more than `plain`."""
    nonce = os.urandom(NONCE)
    return VERSION + nonce + AESGCM(key(secret, purpose)).encrypt(nonce, plain, about)


def unseal(secret: Secret, purpose: str, sealed: bytes, *, about: bytes) -> bytes:
    """Raises `Broken`."""
    nonce, rest = sealed[1 : 1 + NONCE], sealed[1 + NONCE :]
    if sealed[:1] != VERSION or len(nonce) < NONCE:
        raise Broken
    try:
        return AESGCM(key(secret, purpose)).decrypt(nonce, rest, about)
    except InvalidTag as error:
        raise Broken from error


def key(secret: Secret, purpose: str) -> bytes:
    derive = HKDF(SHA256(), 32, salt=None, info=b"pullse seal\0" + purpose.encode())
    return derive.derive(secret.value.encode())
