"""
Signed tokens (RFC 7515, 7517): which keys there are, and whether one of them signed this.

The algorithm has to be on our list and to fit the key's own kind, so a public key never serves
as the secret of an HMAC, and `none` is no algorithm.
"""

import asyncio
import time
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from pullse.access.oidc.outgoing import Failed
from pullse.kit.db import Struct

LENGTH_AT_MOST = 16_384
KEYS_AT_MOST = 100
RSA_BITS = 2048
FRESH, STALE = 600.0, 3600.0
"""Seconds after which keys are read anew, and until which they serve if that fails."""
APART, PAUSE = 30.0, 5.0
"""Seconds between two readings, whatever tokens name, and after one that failed."""

Signed = tuple[dict[str, Any], str]
"""The claims, and the algorithm."""


class Untrue(Exception):
    """A token does not prove what it says; the text is for the log."""


class PublicKey(Struct, frozen=True):
    kid: str | None
    algorithms: frozenset[str]
    key: Key


class Registry(JWSRegistry):
    """One algorithm; headers may have parameters that we don't know, but none that we have to."""

    max_header_length = 4096
    """Some name a certificate."""

    def __init__(self, algorithm: str) -> None:
        super().__init__(algorithms=[algorithm], strict_check_header=False)

    def get_alg(self, name: str) -> Any:
        """Without the warning that EdDSA should be called Ed25519: providers call it so."""
        if name not in (self.allowed or ()):
            raise Untrue("it is signed by another algorithm than its header says")
        return self.algorithms[name]


ALGORITHMS = {name: Registry(name) for name in ("RS256", "PS256", "ES256", "EdDSA")}
"""Of public keys; `HS256` is for a shared secret, and for nothing else."""
SHARED = Registry("HS256")


class Keys:
    """The public keys at an address, kept; `fetch` reads its JWKS document, or raises `Failed`."""

    def __init__(
        self,
        fetch: Callable[[], Awaitable[dict[str, Any]]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: Sequence[PublicKey] | None = None
        self._read_at = clock() - STALE
        self._paused_until = clock()
        self._lock = asyncio.Lock()

    async def verify(self, token: str) -> Signed:
        """Raises `Untrue`, and `Failed` when the keys can't be read."""
        header = header_of(token)
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise Untrue("its algorithm is not one of ours")
        if kid is not None and not isinstance(kid, str):
            raise Untrue("its key id is no text")
        for each in await self._find(algorithm, kid):
            claims = signed(token, each.key, ALGORITHMS[algorithm])
            if claims is not None:
                return claims, algorithm
        raise Untrue("no key of the provider has signed it")

    async def _find(self, algorithm: str, kid: str | None) -> list[PublicKey]:
        """Those that could have signed it; an unknown name may be that of a new key."""
        await self._read(FRESH)
        found = self._fitting(algorithm, kid)
        if not found:
            await self._read(APART)
            found = self._fitting(algorithm, kid)
        return found

    def _fitting(self, algorithm: str, kid: str | None) -> list[PublicKey]:
        return [
            each
            for each in self._keys or ()
            if algorithm in each.algorithms and kid in (None, each.kid)
        ]

    async def _read(self, age: float) -> None:
        """Unless they were read less than `age` seconds ago; who needs that waits for it."""
        if self._clock() - self._read_at < age:
            return
        async with self._lock:
            now = self._clock()
            if now - self._read_at < age:
                return
            are_good = now - self._read_at < STALE
            if now < self._paused_until:
                if are_good:
                    return
                raise Failed("its keys could not be read a moment ago")
            try:
                self._keys = public_keys(await self._fetch())
            except Failed:
                self._paused_until = now + PAUSE
                if not are_good:
                    raise
            else:
                self._read_at = now


def public_keys(document: dict[str, Any]) -> list[PublicKey]:
    """Those of a JWKS document that we can use; what is odd in it is passed over."""
    listed = document.get("keys")
    if not isinstance(listed, list):
        raise Failed("its JWKS document has no keys")
    found = [public_key(each) for each in listed[:KEYS_AT_MOST] if isinstance(each, dict)]
    return [each for each in found if each is not None]


def public_key(jwk: dict[str, Any]) -> PublicKey | None:
    kid, kind, curve = jwk.get("kid"), jwk.get("kty"), jwk.get("crv")
    if jwk.get("use", "sig") != "sig" or not isinstance(kid, str | None):
        return None
    try:
        key: Key
        if kind == "RSA" and bits(jwk["n"]) >= RSA_BITS:
            key, names = (
                RSAKey.import_key({n: jwk[n] for n in ("kty", "n", "e")}),
                ["RS256", "PS256"],
            )
        elif kind == "EC" and curve == "P-256":
            key = ECKey.import_key({n: jwk[n] for n in ("kty", "crv", "x", "y")})
            names = ["ES256"]
        elif kind == "OKP" and curve == "Ed25519":
            key, names = OKPKey.import_key({n: jwk[n] for n in ("kty", "crv", "x")}), ["EdDSA"]
        else:
            return None
    except (JoseError, KeyError, TypeError, ValueError):
        return None
    # the name of RFC 9864
    own = "EdDSA" if jwk.get("alg") == "Ed25519" else jwk.get("alg")
    return PublicKey(kid, frozenset(name for name in names if own in (None, name)), key)


def bits(number: str) -> int:
    """Of a base64url number."""
    return int.from_bytes(urlsafe_b64decode(number + "=="), "big").bit_length()


def verify_shared(token: str, secret: str) -> dict[str, Any]:
    """By a secret that both know. Raises `Untrue`."""
    if header_of(token).get("alg") != "HS256":
        raise Untrue("its algorithm is not one of ours")
    claims = signed(token, OctKey.import_key(secret), SHARED)
    if claims is None:
        raise Untrue("it is not signed by the shared secret")
    return claims


def signed(token: str, key: Key, registry: Registry) -> dict[str, Any] | None:
    """The claims, if this key has signed them."""
    try:
        found = jws.deserialize_compact(token, key, registry=registry)
        claims = msgspec.json.decode(found.payload or b"")
    except (JoseError, msgspec.DecodeError, RecursionError, TypeError, ValueError):
        return None
    return claims if isinstance(claims, dict) else None


def header_of(token: str) -> dict[str, Any]:
    """Before anything is proven. Raises `Untrue`."""
    return unproven(token)[0]


def unproven(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims as anybody may have written them. Raises `Untrue`."""
    try:
        if len(token) > LENGTH_AT_MOST or token.count(".") != 2:
            raise Untrue("it is no signed token")
        found = jws.extract_compact(token.encode("ascii"), registry=SHARED)
        claims = msgspec.json.decode(found.payload or b"")
    except (JoseError, msgspec.DecodeError, RecursionError, TypeError, ValueError) as error:
        raise Untrue("it can't be read") from error
    if not isinstance(claims, dict):
        raise Untrue("it has no claims")
    return dict(found.headers()), claims
