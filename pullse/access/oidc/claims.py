"""
What a token says (OpenID Connect Core 3.1.3.7), and what of it counts.

Whoever reads these claims has seen that they are signed; here it is seen that they are ours,
of now, and of this very attempt to sign in.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from typing import Any

import msgspec

from pullse.access.oidc.jose import Untrue
from pullse.agents.model import Email, Name
from pullse.kit.db import Struct

SKEW = 60.0
"""Seconds that a provider's clock may differ from ours."""
LATEST = 1e12
SUBJECT_AT_MOST = 255
MICROSOFT = "https://login.microsoftonline.com/"
HASHES = {"RS256": "sha256", "PS256": "sha256", "ES256": "sha256", "EdDSA": "sha512"}


class Person(Struct, frozen=True):
    """Who somebody is at the provider; `email` is None where it does not vouch for one."""

    issuer: str
    subject: str
    email: str | None = None
    name: str | None = None


def check(claims: dict[str, Any], *, issuer: str, audience: str, now: float) -> str:
    """Of this issuer, for us and good now; whose it is. Raises `Untrue`."""
    if claims.get("iss") != issuer:
        raise Untrue("it is of another issuer")
    given = claims.get("aud")
    audiences = given if isinstance(given, list) else [given]
    if audience not in audiences:
        raise Untrue("it is for another audience")
    if claims.get("azp", audience) != audience or (len(audiences) > 1 and "azp" not in claims):
        raise Untrue("it was made for somebody else")
    if now >= moment(claims, "exp") + SKEW:
        raise Untrue("it has expired")
    if moment(claims, "iat") > now + SKEW:
        raise Untrue("it is of the future")
    if "nbf" in claims and moment(claims, "nbf") > now + SKEW:
        raise Untrue("it is not good yet")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_AT_MOST or "\0" in subject:
        raise Untrue("it does not say whose it is")
    return subject


def check_attempt(
    claims: dict[str, Any], *, nonce: str, access_token: str | None, algorithm: str
) -> None:
    """Of this very attempt, and of the access token beside it. Raises `Untrue`."""
    given = claims.get("nonce")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), nonce.encode()):
        raise Untrue("its nonce is not that of this attempt")
    at_hash = claims.get("at_hash")
    if at_hash is None:
        return
    digest = hashlib.new(HASHES[algorithm], (access_token or "").encode()).digest()
    half = urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=")
    if not isinstance(at_hash, str) or not hmac.compare_digest(at_hash.encode(), half):
        raise Untrue("the access token beside it is another one's")


def moment(claims: dict[str, Any], name: str) -> float:
    """Seconds since 1970."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < LATEST:
        raise Untrue(f"its {name} is no time")
    return value


def person(issuer: str, subject: str, claims: dict[str, Any]) -> Person:
    """Of letters beyond ASCII one may pass for another, so an address with such finds nobody."""
    email = fitting(claims.get("email"), Email) if is_verified(issuer, claims) else None
    if email is not None and not email.isascii():
        email = None
    return Person(issuer, subject, email, fitting(claims.get("name"), Name))


def is_verified(issuer: str, claims: dict[str, Any]) -> bool:
    """
    Does the provider vouch for the address?

    Microsoft never says `email_verified`. Its `xms_edov` says that the tenant owns the domain;
    without it, the address is whatever an administrator of any tenant has typed.
    """
    if "email_verified" not in claims and issuer.startswith(MICROSOFT):
        return claims.get("xms_edov") in (True, 1, "1", "true")
    return claims.get("email_verified") is True


def fitting(value: Any, kind: Any) -> str | None:
    """As the API would take it; a provider's other words are passed over."""
    try:
        found: str = msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return None
    return None if "\0" in found else found
