"""
Whose an API token is, and whose a session, for the guard.

What was found is good for a second, so a token that was revoked, a session that was ended, an
agent who was disabled and a role that changed are known in every process a second later, and
at once in the one that did it (`forget`). Else a token costs one look-up a second, together
with all others.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Container, Hashable, Sequence
from typing import Any, TypeVar
from uuid import UUID

from pullse.access import session_queries
from pullse.access import token_queries as queries
from pullse.access.policy import SecondFactorNeeded
from pullse.access.secrets import hashed, is_secret, is_well_formed
from pullse.access.token_queries import Good
from pullse.access.tokens import AGENT, SERVICE
from pullse.agents.permissions import ENROLLING, rights_of
from pullse.errors import Refusal
from pullse.kit.db import Database, Db
from pullse.kit.edge import Visitor
from pullse.kit.loader import gather

log = logging.getLogger(__name__)

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

FRESH = 1.0
"""Seconds for which what was read is good."""
KNOWN_AT_MOST = 10_000
UNKNOWN_AT_MOST = 1_000
TOUCHED_EACH = 60.0
"""Seconds between two notes of a token's last use."""
GATHERED = 1.0
"""Seconds for which notes wait for others."""


class Found:
    """A good token; its use need not be noted again before `noted_until`."""

    __slots__ = ("good_until", "noted_until", "token_id", "visitor")

    def __init__(
        self, visitor: Visitor, token_id: UUID, good_until: float, noted_until: float
    ) -> None:
        self.visitor = visitor
        self.token_id = token_id
        self.good_until = good_until
        self.noted_until = noted_until


class Finder:
    """One for each process. Raises `errors.Unavailable` when the database is away."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[Hashable, Found] = {}
        self._unknown: dict[Hashable, float] = {}
        self._asking: dict[Hashable, asyncio.Task[Visitor | None]] = {}
        self._used: set[UUID] = set()
        self._noting: asyncio.Task[None] | None = None
        self._is_due = False

    async def __call__(self, token: str) -> Visitor | None:
        key = hashed(token)
        if key not in self._known and not self.is_well_formed(token):
            return None
        return await self.find(key)

    async def find(self, key: Any) -> Visitor | None:
        """What `look_up` knows of this key, read within the last second."""
        now = self._clock()
        found = self._known.get(key)
        if found is not None and now < found.good_until:
            if now >= found.noted_until:
                self._note(found, now)
            return found.visitor
        if now < self._unknown.get(key, now):
            return None
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.ensure_future(self._ask(key))
            asking.add_done_callback(heard)
        # one who goes away takes the answer from nobody
        return await asyncio.shield(asking)

    def is_well_formed(self, token: str) -> bool:
        return is_well_formed(token)

    async def look_up(self, key: Any) -> Any:
        return await gather(self._database, queries.find_many, key)

    def visitor_of(self, good: Any) -> Visitor:
        return visitor_of(good)

    async def touch(self, db: Db, ids: Sequence[UUID]) -> None:
        await queries.touch(db, ids)

    def forget(self) -> None:
        """What is asked from now on is read anew; called after a commit that took a right away."""
        self._known.clear()
        self._unknown.clear()
        self._asking.clear()

    async def _ask(self, key: Any) -> Visitor | None:
        me, asked = asyncio.current_task(), self._clock()
        try:
            good = await self.look_up(key)
        finally:
            is_current = self._asking.get(key) is me
            if is_current:
                del self._asking[key]
        old = self._known.pop(key, None) if is_current else None
        if good is None:
            if is_current:
                keep(self._unknown, key, asked + FRESH, UNKNOWN_AT_MOST)
            return None
        good_until = asked + (FRESH if good.seconds_left is None else min(FRESH, good.seconds_left))
        noted_until = asked if old is None else old.noted_until
        found = Found(self.visitor_of(good), good.id, good_until, noted_until)
        if is_current:
            keep(self._known, key, found, KNOWN_AT_MOST)
        if asked >= found.noted_until:
            self._note(found, asked)
        return found.visitor

    def _note(self, found: Found, now: float) -> None:
        found.noted_until = now + TOUCHED_EACH
        self._used.add(found.token_id)
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(GATHERED, self._write_soon)

    def _write_soon(self) -> None:
        self._noting = asyncio.ensure_future(self._write())

    async def _write(self) -> None:
        """Of all that were used since; what can't be written is noted at the next use."""
        self._is_due = False
        used, self._used = self._used, set()
        try:
            async with self._database.session() as db:
                await self.touch(db, list(used))
        except Refusal as error:
            log.debug("The last use of %s tokens is not noted: %s", len(used), error)


class SessionFinder(Finder):
    """The same for the cookies of who has signed in."""

    def is_well_formed(self, token: str) -> bool:
        return is_secret(token)

    async def look_up(self, key: Any) -> Any:
        return await gather(self._database, session_queries.find_many, key)

    def visitor_of(self, good: Any) -> Visitor:
        id_, rights = f"{AGENT}{good.agent_id}", rights_of(good.role)
        if good.is_reduced:
            return Visitor(id_, rights & ENROLLING, good.id, lacks=SecondFactorNeeded)
        return Visitor(id_, rights, good.id, seen(rights, good.teams))

    async def touch(self, db: Db, ids: Sequence[UUID]) -> None:
        await session_queries.touch(db, ids)


def visitor_of(good: Good) -> Visitor:
    """An agent's token acts as the agent; a service's as itself."""
    id_ = f"{SERVICE}{good.id}" if good.agent_id is None else f"{AGENT}{good.agent_id}"
    rights = rights_of(good.role, good.scopes)
    return Visitor(id_, rights, teams=seen(rights, good.teams), token=good.id)


def seen(rights: Container[str], teams: Sequence[UUID]) -> frozenset[UUID] | None:
    return None if "tickets:private" in rights else frozenset(teams)


def keep(kept: dict[Key, Value], key: Key, value: Value, most: int) -> None:
    """The newest `most`; those in use are kept anew each second."""
    kept.pop(key, None)
    if len(kept) >= most:
        del kept[next(iter(kept))]
    kept[key] = value


def heard(task: "asyncio.Task[Any]") -> None:
    """Its error goes to those who wait, if any still do."""
    if not task.cancelled():
        task.exception()
