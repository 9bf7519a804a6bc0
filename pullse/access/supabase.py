"""
Whose a JWT of Supabase Auth is: a Bearer token of our project's users, who are agents here.

A signature is checked once and remembered until the token expires; which agent it is, and what
it may, is known anew each second, as for all other tokens.

What a user may write into a token (`user_metadata`, and `email_verified` in it) counts for
nothing. Before somebody is linked, the project itself is asked whether it has confirmed the
address, and whether it asks for confirmations at all.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

from pullse.access import sign_in_queries as accounts
from pullse.access.finder import Finder, heard, keep, seen
from pullse.access.oidc import claims as checks
from pullse.access.oidc import jose, linking, outgoing, queries
from pullse.access.oidc.claims import Person
from pullse.access.oidc.jose import Keys, Untrue
from pullse.access.oidc.linking import NotLetIn
from pullse.access.oidc.outgoing import Failed
from pullse.access.secrets import hashed
from pullse.access.tokens import AGENT
from pullse.agents.model import Email
from pullse.agents.permissions import rights_of
from pullse.errors import Unavailable
from pullse.kit.db import Database, Db, Struct
from pullse.kit.edge import Visitor
from pullse.kit.events import SYSTEM
from pullse.kit.loader import gather
from pullse.settings import Settings

log = logging.getLogger(__name__)

PATH = "/auth/v1"
AUDIENCE = "authenticated"
"""What Supabase calls those who have signed in, as audience and as role."""
PROVEN_AT_MOST = 10_000
REFUSED_FOR = 30.0
"""Seconds in which the project is not asked again about one whom it did not confirm."""
REFUSED_AT_MOST = 1_000
ASKED_AT_ONCE = 20


class Proven(Struct, frozen=True):
    """A token that is genuine; `email` is the account's, confirmed or not."""

    subject: str
    email: str | None
    until: float


class Find(Protocol):
    async def __call__(self, token: str) -> Visitor | None: ...

    def forget(self) -> None: ...


class Either:
    """A JWT has two dots, and none of our own tokens has one."""

    def __init__(self, tokens: Find, jwts: Find) -> None:
        self._tokens = tokens
        self._jwts = jwts

    async def __call__(self, token: str) -> Visitor | None:
        return await (self._jwts if token.count(".") == 2 else self._tokens)(token)

    def forget(self) -> None:
        self._tokens.forget()
        self._jwts.forget()


class SupabaseFinder(Finder):
    """One for each process. Raises `errors.Unavailable` when keys or database are away."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(database, clock=clock)
        self._base = (settings.supabase_url or "").rstrip("/") + PATH
        self._secret = settings.supabase_jwt_secret
        self._service_key = settings.supabase_service_key
        self._keys = None if settings.supabase_auth is None else Keys(self._fetch, clock=clock)
        self._proven: dict[bytes, Proven] = {}
        self._refused: dict[str, float] = {}
        self._linking: dict[str, asyncio.Task[bool]] = {}

    async def __call__(self, token: str) -> Visitor | None:
        proven = await self._prove(token)
        if proven is None:
            return None
        key = (self._base, proven.subject)
        visitor = await self.find(key)
        if visitor is None and await self._link_once(proven, token):
            self._unknown.pop(key, None)
            visitor = await self.find(key)
        return visitor

    async def look_up(self, key: Any) -> Any:
        return await gather(self._database, queries.find_many, key)

    def visitor_of(self, good: Any) -> Visitor:
        rights = rights_of(good.role)
        return Visitor(f"{AGENT}{good.agent_id}", rights, teams=seen(rights, good.teams))

    async def touch(self, db: Db, ids: Any) -> None:
        await queries.touch(db, ids)

    async def _prove(self, token: str) -> Proven | None:
        """Genuine, of our project, of somebody who has signed in there, and good now."""
        hash_, now = hashed(token), time.time()
        proven = self._proven.get(hash_)
        if proven is None:
            try:
                told = await self._verify(token)
                proven = self._read(told, now)
            except Untrue as error:
                log.debug("A JWT is refused: %s", error)
                return None
            except Failed as error:
                log.warning("JWTs of Supabase Auth can't be checked: %s", error)
                text = "Who you are can't be told right now; try again in a moment."
                raise Unavailable(text) from error
            keep(self._proven, hash_, proven, PROVEN_AT_MOST)
        if now >= proven.until:
            self._proven.pop(hash_, None)
            return None
        return proven

    async def _verify(self, token: str) -> dict[str, Any]:
        """By the shared secret if its header says so, else by the public keys, never across."""
        header, told = jose.unproven(token)
        if told.get("iss") != self._base:
            raise Untrue("it is of another issuer")
        if self._secret is not None and header.get("alg") == "HS256":
            return jose.verify_shared(token, self._secret)
        if self._keys is None:
            raise Untrue("its algorithm is not one of ours")
        return (await self._keys.verify(token))[0]

    def _read(self, told: dict[str, Any], now: float) -> Proven:
        subject = checks.check(told, issuer=self._base, audience=AUDIENCE, now=now)
        if told.get("role") != AUDIENCE or told.get("is_anonymous") is True:
            raise Untrue("it is of nobody who has signed in")
        email = checks.fitting(told.get("email"), Email)
        return Proven(subject, email, checks.moment(told, "exp") + checks.SKEW)

    async def _fetch(self) -> dict[str, Any]:
        return await outgoing.get(f"{self._base}/.well-known/jwks.json", self._named())

    def _named(self) -> dict[str, str]:
        """Supabase's own door asks which project it is about; any key says so."""
        return {} if self._service_key is None else {"apikey": self._service_key}

    async def _link_once(self, proven: Proven, token: str) -> bool:
        """All who come with the same subject meanwhile wait for the same answer."""
        subject = proven.subject
        if self._clock() < self._refused.get(subject, 0.0):
            return False
        linking_ = self._linking.get(subject)
        if linking_ is None:
            if len(self._linking) >= ASKED_AT_ONCE:
                raise Unavailable("Too many sign in for the first time; try again in a moment.")
            linking_ = asyncio.ensure_future(self._link(proven, token))
            self._linking[subject] = linking_
            linking_.add_done_callback(heard)
            linking_.add_done_callback(lambda _: self._linking.pop(subject, None))
        return await asyncio.shield(linking_)

    async def _link(self, proven: Proven, token: str) -> bool:
        """True when the subject is an agent's from now on."""
        if proven.email is None or not proven.email.isascii():
            return False
        async with self._database.session() as db:
            if await accounts.by_email(db, proven.email) is None:
                return False
            if await queries.agent_of(db, self._base, proven.subject) is not None:
                return False
        try:
            await self._confirm(proven, token)
            person = Person(self._base, proven.subject, proven.email)
            async with self._database.transaction() as db:
                await linking.account_of(db, person, by=SYSTEM)
        except (Failed, Untrue, NotLetIn) as error:
            log.warning("A user of Supabase Auth is not linked to an agent: %s", error)
            keep(self._refused, proven.subject, self._clock() + REFUSED_FOR, REFUSED_AT_MOST)
            return False
        return True

    async def _confirm(self, proven: Proven, token: str) -> None:
        """Raises `Failed`, and `Untrue` where the project does not vouch for the address."""
        found = await outgoing.get(f"{self._base}/settings", self._named())
        if found.get("mailer_autoconfirm") is not False:
            raise Untrue("the project takes addresses without confirming them")
        headers = self._named() | {"Authorization": f"Bearer {token}"}
        user = await outgoing.get(f"{self._base}/user", headers)
        email = user.get("email")
        is_same = isinstance(email, str) and email.lower() == str(proven.email).lower()
        if user.get("id") != proven.subject or not is_same:
            raise Untrue("the project knows another address of this user")
        confirmed = user.get("email_confirmed_at")
        if not isinstance(confirmed, str) or not confirmed or user.get("is_anonymous") is True:
            raise Untrue("the project has not confirmed the address")
