"""
JSON Web Tokens as Ably's clients bring them: signed with HMAC-SHA256 by a key's secret.

One algorithm, whatever a header says; nothing that a token claims is believed before its
signature was checked (RFC 7515, 7519).
"""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pullse.gateway.errors import BAD_CREDENTIALS, BAD_TOKEN, Failure

ALGORITHM = "HS256"
EMBEDDED = "x-ably-token"
"""Under this name somebody else's token may carry one of ours."""
LENGTH_AT_MOST = 16_384
BASE64 = re.compile(r"[A-Za-z0-9_-]*")
TO_URL_SAFE = str.maketrans("+/", "-_")


@dataclass(frozen=True, slots=True)
class Jwt:
    """A token taken apart, and not verified."""

    header: dict[str, Any] = field(repr=False)
    _payload: bytes = field(repr=False)
    _signed: bytes = field(repr=False)
    _signature: bytes = field(repr=False)

    @classmethod
    def parse(cls, token: str) -> "Jwt":
        """Raises Failure 40101 for what is no JWT at all, 40144 for a broken one."""
        if len(token) > LENGTH_AT_MOST:
            raise broken(f"it is longer than {LENGTH_AT_MOST:,} characters")
        parts = token.split(".")
        if len(parts) not in (3, 5) or not token.isascii():
            raise Failure(BAD_CREDENTIALS, "This is not a token of ours.")
        header = read_object(decoded(parts[0]))
        if len(parts) == 5:  # encrypted: nothing but its header can be read
            return cls(header, b"", b"", b"")
        signed = token.rpartition(".")[0].encode()
        return cls(header, decoded(parts[1]), signed, decoded(parts[2]))

    def verified(self, secret: str) -> dict[str, Any] | None:
        """What it claims; None if it was not signed with this secret. Raises Failure 40144."""
        if self.header.get("alg") != ALGORITHM:
            raise broken("its algorithm has to be HS256")
        if "crit" in self.header:
            raise broken("it asks for extensions that are not known here")
        if not hmac.compare_digest(signature_of(self._signed, secret), self._signature):
            return None
        return read_object(self._payload)

    @property
    def key_name(self) -> str | None:
        """Whose secret it says that it was signed with."""
        name = self.header.get("kid")
        return name if isinstance(name, str) else None

    @property
    def embedded(self) -> str | None:
        """
        The token of ours that another system's token carries, not verified either.

        The outer one can't be checked, as its secret is not ours; it is worth nothing
        without the inner one, and can only make its life shorter.
        """
        found = self.header.get(EMBEDDED) or self._unverified.get(EMBEDDED)
        return found if isinstance(found, str) else None

    @property
    def expiry(self) -> object:
        """Its `exp`, unverified."""
        return self._unverified.get("exp")

    @property
    def _unverified(self) -> dict[str, Any]:
        return read_object(self._payload) if self._payload else {}


def signed(claims: Mapping[str, Any], *, key_name: str, secret: str) -> str:
    header = {"alg": ALGORITHM, "kid": key_name, "typ": "JWT"}
    text = b".".join(encoded(msgspec.json.encode(each)) for each in (header, claims))
    return b".".join((text, encoded(signature_of(text, secret)))).decode()


def signature_of(text: bytes, secret: str) -> bytes:
    return hmac.digest(secret.encode(), text, "sha256")


def encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def decoded(part: str) -> bytes:
    """Of either alphabet, padded or not, as servers without a library for it make them."""
    text = part.translate(TO_URL_SAFE).rstrip("=")
    if not BASE64.fullmatch(text):
        raise broken("it is not base64")
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise broken("it is not base64") from None


def read_object(data: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise broken("it is not JSON") from None
    if not isinstance(found, dict):
        raise broken("it is not a JSON object")
    return found


def broken(why: str) -> Failure:
    return Failure(BAD_TOKEN, f"The token can't be used: {why}.")
