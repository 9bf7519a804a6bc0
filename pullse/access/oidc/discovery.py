"""
What a provider says of itself (OpenID Connect Discovery 1.0), kept for an hour.

All its addresses are reached over TLS, as the issuer is; only an issuer on this machine may
name others on this machine.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec

from pullse.access.oidc import outgoing
from pullse.access.oidc.jose import Keys
from pullse.access.oidc.outgoing import Failed
from pullse.kit.db import Struct
from pullse.providers import Provider, is_safe

PATH = "/.well-known/openid-configuration"
FRESH = 3600.0
APART = 5.0
"""Seconds after a failure in which it is not tried again."""
METHODS = ("client_secret_basic", "client_secret_post")
"""How we show our secret at the token endpoint, the better one first."""


class Metadata(Struct, frozen=True):
    """Names are the provider's."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    token_endpoint_auth_methods_supported: list[str] = msgspec.field(
        default_factory=lambda: [METHODS[0]]
    )
    authorization_response_iss_parameter_supported: bool = False


class Live:
    """A provider as a process knows it; one for each process."""

    def __init__(self, settings: Provider, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self.keys = Keys(self._fetch_keys, clock=clock)
        self._clock = clock
        self._metadata: Metadata | None = None
        self._read_at = 0.0
        self._failed: Failed | None = None
        self._failed_at = 0.0
        self._lock = asyncio.Lock()

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def issuer(self) -> str:
        return self.settings.issuer

    async def metadata(self) -> Metadata:
        """Raises `Failed`."""
        if self._metadata is not None and self._clock() - self._read_at < FRESH:
            return self._metadata
        async with self._lock:
            now = self._clock()
            if self._metadata is not None and now - self._read_at < FRESH:
                return self._metadata
            if self._failed is not None and now - self._failed_at < APART:
                raise Failed(str(self._failed))
            try:
                self._metadata = await self._discover()
            except Failed as error:
                self._failed, self._failed_at = error, self._clock()
                raise
            self._read_at, self._failed = now, None
            return self._metadata

    async def _discover(self) -> Metadata:
        given = await outgoing.get(self.issuer.rstrip("/") + PATH)
        try:
            found = msgspec.convert(given, Metadata)
        except msgspec.ValidationError as error:
            raise Failed(f"its discovery document does not fit: {error}") from error
        if found.issuer != self.issuer:
            raise Failed(f"its discovery document is of the issuer {outgoing.said(found.issuer)}")
        for address in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri):
            self._check(address)
        if found.userinfo_endpoint is not None:
            self._check(found.userinfo_endpoint)
        return found

    def _check(self, address: str) -> None:
        is_plain = not address.startswith("https://")
        if not is_safe(address) or (is_plain and self.issuer.startswith("https://")):
            raise Failed(f"it names an address without TLS: {outgoing.said(address)}")

    async def _fetch_keys(self) -> dict[str, Any]:
        return await outgoing.get((await self.metadata()).jwks_uri)
