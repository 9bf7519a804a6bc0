"""
Who asks, and what they may: by a key, or by a token that was made with one.

A signature is checked before anything else, and needs no database (see keys.py). Whether a
key or a token was revoked, and what the holders of our own tokens may, is read each second, so
every process knows a second later.
"""

import hmac
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec

from pullse.gateway import keys, revocations, tokens
from pullse.gateway.capability import Capability
from pullse.gateway.errors import (
    BAD_CREDENTIALS,
    BAD_TOKEN,
    NONCE_USED,
    NOT_CAPABLE,
    NOT_FOUND,
    NOT_REVOCABLE,
    TOKEN_EXPIRED,
    TOKEN_REVOKED,
    Failure,
)
from pullse.gateway.holders import Holder, Holders, holder_of
from pullse.gateway.identity import Credentials as Credentials
from pullse.gateway.identity import Identity as Identity
from pullse.gateway.identity import bound
from pullse.gateway.jwt import Jwt, broken
from pullse.gateway.keys import APP, TOKENS, DevKey, Key
from pullse.gateway.revocations import Revocation, Revocations
from pullse.gateway.tokens import Claims, TokenRequest
from pullse.kit import audit
from pullse.kit.db import Database, Db
from pullse.kit.events import Actor
from pullse.kit.loader import gather
from pullse.kit.secret import Secret

FRESH = 1.0
"""Seconds for which what was read about revocations is good."""
KEYS_AT_MOST = 10_000
"""Keys that are remembered; only those whose secret somebody showed."""
KEY_REVOKED = 40131
NEEDS_KEY = 40162


class News(NamedTuple):
    """What is known of what was revoked."""

    keys: frozenset[str]
    rows: Sequence[revocations.Row]


class Keyring:
    """
    Lets in whom a key or token allows; one for each process.

    `dev_key` opens everything and is known to everybody: for `pullse dev` alone. In a sandbox
    there are other apps than pullse's own. What needs the database raises `errors.Unavailable`
    when that is away.
    """

    def __init__(
        self,
        database: Database,
        secret: Secret,
        *,
        dev_key: DevKey | None = None,
        is_sandbox: bool = False,
    ) -> None:
        self._database = database
        self._secret = secret
        self._dev_key = dev_key
        self._is_sandbox = is_sandbox
        self._keys: dict[str, Key] = {}
        self._revoked_keys: frozenset[str] = frozenset()
        self._revocations = Revocations()
        self.holders = Holders(database)
        self._read_at = -FRESH
        self._has_news = False

    async def identify(self, credentials: Credentials) -> Identity:
        """Raises Failure."""
        if credentials.token is not None:
            identity = await self._identify_token(credentials.token)
            client_id = bound(identity.client_id, credentials.client_id)
            identity = replace(identity, client_id=client_id)
            self.check(identity)
            return identity
        if credentials.key is not None:
            key = await self._shown(credentials.key)
            client_id = bound("*", credentials.client_id)
            rights = key.rights
            return Identity(key.app, key.name, rights, client_id, is_revocable=key.is_revocable)
        raise Failure(BAD_CREDENTIALS, "Neither a key nor a token was sent.")

    async def request_token(
        self, key_name: str, given: Any, credentials: Credentials
    ) -> dict[str, Any]:
        """TokenDetails for a token request, signed or sent along with its key. Raises Failure."""
        request = TokenRequest.read(key_name, given)
        if request.mac is not None:
            if not (self._may_open(key_name) and request.is_signed_with(self._secret_of(key_name))):
                raise await self._stranger(key_name, "The token request is not signed by its key.")
            key = await self._key(key_name)
        else:
            key = await self._own(key_name, credentials)
        at = tokens.now()
        stamp = request.stamp(at)
        ttl = request.milliseconds(is_revocable=key.is_revocable)
        client_id = request.client()
        rights = granted(request.rights(key.rights))
        nonce = request.once()
        if nonce is not None:
            async with self._database.session() as db:
                if not await use_nonce(db, key_name, nonce, stamp):
                    raise Failure(NONCE_USED, "This token request was used before.")
        secret = self._secret_of(key_name)
        return tokens.details(key_name, secret, rights, client_id, issued=at, ttl=ttl)

    def issue(
        self,
        capability: Capability,
        client_id: str | None,
        *,
        holder: str,
        ttl: int = tokens.TTL,
    ) -> dict[str, Any]:
        """TokenDetails of a token that pullse itself gives out (see holders.py). Raises Failure."""
        tokens.check_ttl(ttl, is_revocable=False)
        if client_id is not None:
            tokens.client_id_of(client_id)
        secret, issued = self._secret_of(TOKENS), tokens.now()
        return tokens.details(
            TOKENS, secret, capability, client_id, issued=issued, ttl=ttl, holder=holder
        )

    async def revoke(
        self, key_name: str, given: Any, credentials: Credentials, *, by: Actor
    ) -> dict[str, Any]:
        """
        BatchResult; from now on here, within a second everywhere. Raises Failure.

        `by` says where it comes from; who it is, is the key.
        """
        if credentials.key is None and credentials.token is not None:
            raise Failure(NEEDS_KEY, "Tokens are revoked by their key, not by a token.", 401)
        key = await self._own(key_name, credentials)
        if not key.is_revocable:
            raise Failure(NOT_REVOCABLE, "Tokens of this key can't be revoked.", 401)
        at = tokens.now()
        wanted = revocations.Wanted.read(given, at)
        async with self._database.transaction() as db:
            await revocations.add(db, key_name, wanted)
            if wanted.sound:
                who = msgspec.structs.replace(by, id=f"key:{key_name}")
                await audit.record(db, "key.tokens_revoked", by=who, data=wanted.told(key_name))
        await self._read()
        return revocations.results(wanted, at)

    async def refresh(self, connected: Collection[Holder] = ()) -> bool:
        """
        Read what was revoked, and what the holders may who are connected; say whether, since
        it was last said, somebody may have to go.
        """
        await self._read()
        await self.holders.refresh(connected)
        has_news = self._has_news or self.holders.has_news
        self._has_news = self.holders.has_news = False
        return has_news

    def check(self, identity: Identity) -> None:
        """From memory. Raises Failure 40141 for credentials that are no longer good."""
        if self.revocation_of(identity) is not None:
            raise Failure(TOKEN_REVOKED, "The token was revoked.")
        holder = identity.holder
        if holder is not None and not self.holders.allow(holder, identity.capability):
            raise Failure(TOKEN_REVOKED, "Its holder may no longer do what this token covers.")

    def revocation_of(self, identity: Identity) -> Revocation | None:
        """From memory: why these credentials are no longer good, if they are not."""
        if identity.key_name in self._revoked_keys:
            return Revocation("", 0, 0)
        at = tokens.now()
        return next((each for each in self._falls_under(identity) if each.applies_at <= at), None)

    def is_to_renew(self, identity: Identity) -> bool:
        """From memory: will they be no good soon, so that their client should get others?"""
        return bool(self._falls_under(identity)) and self.revocation_of(identity) is None

    def forget(self, app: str) -> None:
        """When a sandbox's app is deleted."""
        self._keys = {name: key for name, key in self._keys.items() if key.app != app}

    # Keys

    def _secret_of(self, name: str) -> str:
        if self._dev_key is not None and name == self._dev_key.name:
            return self._dev_key.secret
        return self._secret.of_key(name)

    def _may_open(self, name: str) -> bool:
        """Is this the name of a key that people may have?"""
        return name != TOKENS and keys.NAME.fullmatch(name) is not None

    async def _shown(self, text: str) -> Key:
        """The key that somebody shows as `app.key:secret`."""
        name, _, secret = text.partition(":")
        given = secret.encode(errors="replace")
        is_genuine = self._may_open(name) and hmac.compare_digest(
            given, self._secret_of(name).encode()
        )
        if not is_genuine:
            raise Failure(BAD_CREDENTIALS, "There is no such key.")
        return await self._key(name)

    async def _own(self, name: str, credentials: Credentials) -> Key:
        """For what needs the very key that it is about."""
        if credentials.key is None or credentials.key.partition(":")[0] != name:
            raise Failure(BAD_CREDENTIALS, "This needs the key itself, or its signature.")
        return await self._shown(credentials.key)

    async def _key(self, name: str) -> Key:
        """One whose secret was shown or used; raises Failure if it is not, or no longer, good."""
        if name == TOKENS or (self._dev_key is not None and name == self._dev_key.name):
            return keys.own_key(name)
        if time.monotonic() - self._read_at >= FRESH:
            await self._read()
        key = self._keys.get(name) or await self._find(name)
        if key is None:
            raise Failure(BAD_CREDENTIALS, "There is no such key.")
        if key.is_revoked or name in self._revoked_keys:
            raise Failure(KEY_REVOKED, "The key was revoked.", 401)
        return key

    async def _find(self, name: str) -> Key | None:
        key = await gather(self._database, keys.find_many, name)
        if key is not None:
            while len(self._keys) >= KEYS_AT_MOST:
                del self._keys[next(iter(self._keys))]
            self._keys[name] = key
        return key

    async def _stranger(self, name: str, message: str, code: int = BAD_CREDENTIALS) -> Failure:
        """What to say to a wrong signature."""
        app = name.partition(".")[0]
        is_known = app == APP
        if self._is_sandbox and not is_known and keys.NAME.fullmatch(name):
            async with self._database.session() as db:
                is_known = await keys.has_app(db, app)
        return Failure(code, message) if is_known else Failure(NOT_FOUND, "There is no such app.")

    # Tokens

    async def _identify_token(self, token: str) -> Identity:
        outer = Jwt.parse(token)
        inner = outer.embedded
        if inner is None:
            return await self._verified(outer)
        return within(outer, await self._verified(Jwt.parse(inner)))

    async def _verified(self, token: Jwt) -> Identity:
        name = token.key_name
        if name is None or not keys.NAME.fullmatch(name):
            raise broken("its header names no key as kid")
        given = token.verified(self._secret_of(name))
        if given is None:
            raise await self._stranger(name, "The token is not signed by its key.", BAD_TOKEN)
        claims = Claims.read(given, tokens.now())
        try:
            key = await self._key(name)
        except Failure as failure:
            code = TOKEN_REVOKED if failure.code == KEY_REVOKED else BAD_TOKEN
            raise Failure(code, failure.message) from None
        tokens.check_ttl(claims.expires - claims.issued, is_revocable=key.is_revocable)
        holder = None
        if name == TOKENS:
            holder = holder_of(claims.holder)
            if holder is not None:
                await self.holders.standing(holder)
        return Identity(
            key.app,
            key.name,
            granted(claims.rights(key.rights)),
            claims.client_id,
            claims.expires,
            claims.issued,
            claims.revocation_key,
            key.is_revocable,
            claims.client_id,
            holder,
        )

    # Revocations

    async def _read(self) -> None:
        found = await gather(self._database, news, self._revocations.newest)
        at = tokens.now()
        self._has_news = self._has_news or found.keys != self._revoked_keys
        self._revoked_keys = found.keys
        for row in found.rows:
            if row.id > self._revocations.newest:
                self._revocations.add(row)
                self._has_news = True
        self._has_news = self._revocations.falls_due(at) or self._has_news
        self._revocations.sweep(at)
        self._read_at = time.monotonic()

    def _falls_under(self, identity: Identity) -> list[Revocation]:
        if identity.issued is None or not self._revocations.knows(identity.key_name):
            return []
        if not identity.is_revocable:
            return []
        return self._revocations.of(identity.key_name, identity.targets, identity.issued)


def within(outer: Jwt, identity: Identity) -> Identity:
    """Somebody whose token another one carries, which ends no later. Raises Failure."""
    ends = tokens.moment({"exp": outer.expiry}, "exp")
    if ends is None:
        return identity
    if identity.expires is not None and ends > identity.expires:
        raise broken("it would last longer than the one in it")
    if ends <= tokens.now():
        raise Failure(TOKEN_EXPIRED, "The token has expired.")
    return replace(identity, expires=ends)


def granted(capability: Capability) -> Capability:
    """Raises Failure 40160 where nothing is left of what was asked for."""
    if capability.is_empty:
        raise Failure(NOT_CAPABLE, "The key covers nothing of this capability.")
    return capability


async def news(db: Db, after: Sequence[int]) -> list[News]:
    """For all that ask at once; each gets rows that it may know already."""
    rows = await revocations.since(db, min(after))
    found = News(frozenset(await keys.revoked(db)), rows)
    return [found] * len(after)


async def use_nonce(db: Db, key_name: str, nonce: str, stamp: int) -> bool:
    """False when such a request was there before."""
    return bool(
        await db.run(
            """
            INSERT INTO realtime_nonces (key_name, nonce, stamp)
                 VALUES ($1, $2, $3)
            ON CONFLICT ON CONSTRAINT realtime_nonces_used_once DO NOTHING
            """,
            key_name,
            nonce,
            stamp,
        )
    )
