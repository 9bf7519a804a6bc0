"""
Tokens: what a client may ask for, what a token says, and what pullse itself gives out.

A token request is signed over its fields as they were sent (RSA9g of Ably's specification):
written anew, the same capability would have other spaces and another signature. Tokens are
JWTs, ours and those that servers sign themselves. Times are milliseconds since 1970.
"""

import base64
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pullse.gateway import jwt
from pullse.gateway.capability import Capability
from pullse.gateway.errors import (
    BAD_CLIENT_ID,
    BAD_CREDENTIALS,
    BAD_PARAMETER,
    BAD_REQUEST,
    BAD_TIMESTAMP,
    TOKEN_EXPIRED,
    Failure,
)
from pullse.gateway.wire import check_client_id

MINUTE = 60_000
HOUR = 60 * MINUTE
TTL = HOUR
TTL_AT_MOST = 24 * HOUR
REVOCABLE_AT_MOST = HOUR
SKEW = 2 * MINUTE
"""How far the clock of whoever signs may be from ours."""
NONCE_AT_MOST = 500

CAPABILITY = "x-ably-capability"
CLIENT_ID = "x-ably-clientId"
REVOCATION_KEY = "x-ably-revocation-key"
HOLDER = "x-pullse-holder"
"""Of tokens that pullse itself gives out: who holds them; see holders.py."""
EXACT = "x-pullse-ms"
"""Of our own tokens: when they were issued and expire, which `iat` and `exp` say in seconds."""


def now() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """As it came in. Of the fields that may be missing, None and "" are the same."""

    key_name: str
    ttl: object
    capability: object
    client_id: object
    timestamp: object
    nonce: object
    mac: str | None = field(repr=False)

    @classmethod
    def read(cls, key_name: str, given: object) -> "TokenRequest":
        """What was sent to this key's address. Raises Failure."""
        if not isinstance(given, Mapping):
            raise Failure(BAD_REQUEST, "A token request is an object.")
        named = given.get("keyName", key_name)
        if named != key_name:
            raise Failure(BAD_CREDENTIALS, "keyName: another key than the one in the address.")
        mac = given.get("mac") or None
        if not isinstance(mac, str | None):
            raise Failure(BAD_CREDENTIALS, "mac: not a signature.")
        return cls(
            key_name,
            given.get("ttl"),
            given.get("capability"),
            given.get("clientId"),
            given.get("timestamp"),
            given.get("nonce"),
            mac,
        )

    def is_signed_with(self, secret: str) -> bool:
        fields = (self.ttl, self.capability, self.client_id, self.timestamp, self.nonce)
        expected = mac_of([self.key_name, *map(as_signed, fields)], secret)
        return hmac.compare_digest(expected.encode(), (self.mac or "").encode(errors="replace"))

    def stamp(self, at: int) -> int:
        """When it was made. Raises Failure 40104 if that is not now."""
        stamp = whole(self.timestamp, "timestamp")
        if stamp is None and self.mac is None:
            return at
        if stamp is None or abs(stamp - at) > SKEW:
            raise Failure(BAD_TIMESTAMP, "timestamp: not within two minutes of the time here.")
        return stamp

    def milliseconds(self, *, is_revocable: bool) -> int:
        """How long the token is to last. Raises Failure 40003."""
        ttl = whole(self.ttl, "ttl")
        check_ttl(TTL if ttl is None else ttl, is_revocable=is_revocable)
        return TTL if ttl is None else ttl

    def once(self) -> str | None:
        """What makes it unlike all others; an unsigned one may do without."""
        if self.nonce in (None, ""):
            if self.mac is None:
                return None
            raise Failure(BAD_PARAMETER, "nonce: a signed request has one.")
        nonce = self.nonce
        if not isinstance(nonce, str) or not is_text(nonce) or len(nonce) > NONCE_AT_MOST:
            raise Failure(BAD_PARAMETER, f"nonce: a text of at most {NONCE_AT_MOST} characters.")
        return nonce

    def rights(self, key: Capability) -> Capability:
        """What of the key's it asks for: all, if it does not say. Raises Failure 40000."""
        if self.capability in (None, ""):
            return key
        return Capability.parse(self.capability).intersect(key)

    def client(self) -> str | None:
        """Whose token it is to be; `*` is everybody's. Raises Failure 40012."""
        return None if self.client_id is None else client_id_of(self.client_id)


def mac_of(fields: list[str], secret: str) -> str:
    text = "".join(f"{each}\n" for each in fields)
    digest = hmac.digest(secret.encode(), text.encode(errors="replace"), "sha256")
    return base64.b64encode(digest).decode()


def as_signed(value: object) -> str:
    """A field as the SDKs write it into what they sign: what is unset, or 0, is empty."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value) if value else ""
    raise Failure(BAD_REQUEST, "The fields of a signed token request are texts and numbers.")


def whole(value: object, name: str) -> int | None:
    """A number, or one that is written out. Raises Failure 40003."""
    if value in (None, ""):
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise Failure(BAD_PARAMETER, f"{name}: a whole number of milliseconds.")


def check_ttl(ttl: int, *, is_revocable: bool) -> None:
    most = REVOCABLE_AT_MOST if is_revocable else TTL_AT_MOST
    if not 0 < ttl <= most:
        hours = most // HOUR
        kind = "revocable tokens last" if is_revocable else "tokens last"
        raise Failure(BAD_PARAMETER, f"ttl: {kind} at most {hours} h, and longer than nothing.")


def client_id_of(value: object) -> str:
    """One that a token may have. Raises Failure 40012."""
    if not isinstance(value, str) or not is_text(value):
        raise Failure(BAD_CLIENT_ID, "clientId: this is not a text.")
    if value != "*":
        check_client_id(value)
    return value


def is_text(value: str) -> bool:
    """Of whole characters, as the database keeps them."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says; without a capability it has its key's."""

    issued: int
    expires: int
    capability: object
    client_id: str | None
    revocation_key: str | None
    holder: object = None

    @classmethod
    def read(cls, given: Mapping[str, Any], at: int) -> "Claims":
        """Raises Failure: 40142 when it has expired, 40144 for what makes no sense."""
        issued, expires = moment(given, "iat"), moment(given, "exp")
        if issued is None or expires is None:
            raise jwt.broken("it needs the claims iat and exp")
        if EXACT in given:
            issued, expires = exact(given[EXACT], issued, expires)
        if max(issued, moment(given, "nbf") or 0) > at + SKEW:
            raise jwt.broken("it is of the future")
        if expires <= at:
            raise Failure(TOKEN_EXPIRED, "The token has expired.")
        revocation_key = given.get(REVOCATION_KEY)
        if not isinstance(revocation_key, str | None):
            raise jwt.broken(f"{REVOCATION_KEY} is a text")
        client_id = given.get(CLIENT_ID)
        return cls(
            issued,
            expires,
            given.get(CAPABILITY),
            None if client_id is None else client_id_of(client_id),
            revocation_key,
            given.get(HOLDER),
        )

    def rights(self, key: Capability) -> Capability:
        if self.capability in (None, ""):
            return key
        return Capability.parse(self.capability).intersect(key)


def moment(claims: Mapping[str, Any], name: str) -> int | None:
    """A claim of seconds since 1970 in milliseconds; only of this millennium."""
    value = claims.get(name)
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and 0 <= value < 32_503_680_000):
        raise jwt.broken(f"{name} is a number of seconds since 1970")
    return int(value * 1000)


def exact(given: object, issued: int, expires: int) -> tuple[int, int]:
    """Milliseconds within the seconds that `iat` and `exp` name."""
    match given:
        case [int(start), int(end)] if (
            start // 1000 * 1000 == issued and -(-end // 1000) * 1000 == expires
        ):
            return start, end
    raise jwt.broken(f"{EXACT} is not what iat and exp say")


def details(
    key_name: str,
    secret: str,
    capability: Capability,
    client_id: str | None,
    *,
    issued: int,
    ttl: int,
    holder: str | None = None,
) -> dict[str, Any]:
    """TokenDetails: a new token, and what is in it. Raises Failure 40000 if it gets too long."""
    expires = issued + ttl
    claims: dict[str, Any] = {
        "iat": issued // 1000,
        "exp": -(-expires // 1000),
        EXACT: [issued, expires],
        "jti": secrets.token_urlsafe(9),
        CAPABILITY: capability.text,
    }
    if client_id is not None:
        claims[CLIENT_ID] = client_id
    if holder is not None:
        claims[HOLDER] = holder
    token = jwt.signed(claims, key_name=key_name, secret=secret)
    if len(token) > jwt.LENGTH_AT_MOST:
        raise Failure(BAD_REQUEST, "The token would be too long: shorten its capability.")
    found = {
        "token": token,
        "keyName": key_name,
        "issued": issued,
        "expires": expires,
        "capability": capability.text,
    }
    return found if client_id is None else {**found, "clientId": client_id}


def request_for(
    key: str, capability: Capability, client_id: str | None, *, at: int, ttl: int | None = None
) -> dict[str, Any]:
    """A token request signed with a key (`app.key:secret`) of Ably's, which its SDKs exchange."""
    key_name, _, secret = key.partition(":")
    found: dict[str, Any] = {
        "keyName": key_name,
        "capability": capability.text,
        "timestamp": at,
        "nonce": secrets.token_hex(16),
    }
    found |= {} if ttl is None else {"ttl": ttl}
    found |= {} if client_id is None else {"clientId": client_id}
    names = ("keyName", "ttl", "capability", "clientId", "timestamp", "nonce")
    found["mac"] = mac_of([as_signed(found.get(name)) for name in names], secret)
    return found
