"""
Whose the tokens are that pullse itself gives out, and what their holders may now.

Such a token says for whom it was made, and by which session or API token it was asked for. It
is good for as long as these are, and while its holder may do all that it covers: a right that
is taken away closes what is open within a second, and the client gets another token by what
its holder still may. Who has more rights than before keeps the token.
"""

import time
from collections.abc import Callable, Collection
from typing import NamedTuple
from uuid import UUID

from pullse.access.standings import Holder as Holder
from pullse.access.standings import Standing, find_many
from pullse.access.tokens import AGENT, SERVICE
from pullse.gateway.capability import Capability
from pullse.gateway.jwt import broken
from pullse.gateway.rights import covers
from pullse.gateway.tokens import HOLDER
from pullse.kit.db import Database
from pullse.kit.events import Actor
from pullse.kit.loader import gather

FRESH = 1.0
"""Seconds for which what was read is good."""
KNOWN_AT_MOST = 10_000
"""Holders that are remembered besides those who are connected."""
SESSION = "session:"
ALWAYS = ("owner", "token")
"""The owner of pullse dev and who knows PULLSE_API_TOKEN, who are in no table."""


def text_of(actor: Actor) -> str:
    """As a token says it: `owner`, or `agent:<id> session:<id>`."""
    if actor.session is not None:
        return f"{actor.id} {SESSION}{actor.session}"
    if actor.id.startswith(AGENT) and actor.token is not None:
        return f"{actor.id} {SERVICE}{actor.token}"
    return actor.id


def holder_of(text: object) -> Holder | None:
    """None for who is not looked up: the owner of pullse dev and the operator. Raises Failure."""
    if not isinstance(text, str):
        raise broken(f"{HOLDER} is a text")
    if text in ALWAYS:
        return None
    try:
        ids = [id_of(part) for part in text.split(" ")]
    except ValueError:
        raise broken(f"{HOLDER} names nobody") from None
    match ids:
        case [(("agent" | "token") as kind, id_)]:
            return Holder(agent_id=id_) if kind == "agent" else Holder(token_id=id_)
        case [("agent", agent_id), ("session", id_)]:
            return Holder(agent_id, session_id=id_)
        case [("agent", agent_id), ("token", id_)]:
            return Holder(agent_id, token_id=id_)
    raise broken(f"{HOLDER} names nobody")


def id_of(part: str) -> tuple[str, UUID]:
    kind, _, id_ = part.partition(":")
    return kind, UUID(id_)


class Known(NamedTuple):
    """What was read; `asked` is when, by the clock."""

    standing: Standing | None
    asked: float


class Holders:
    """One for each process. Raises `errors.Unavailable` when the database is away."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.has_news = False
        """Has what somebody may changed since this was last taken back?"""
        self._database = database
        self._clock = clock
        self._known: dict[Holder, Known] = {}
        self._forgotten_at = clock()
        self._connected = 0

    async def standing(self, holder: Holder) -> Standing | None:
        """As it was a second ago at most, or after `forget`; None for whom nobody lets in."""
        asked = self._clock()
        known = self._known.get(holder)
        if known is not None and asked - FRESH < known.asked > self._forgotten_at:
            return known.standing
        standing = await gather(self._database, find_many, holder)
        while len(self._known) >= KNOWN_AT_MOST + self._connected:
            del self._known[next(iter(self._known))]
        self._keep(holder, Known(standing, asked))
        return standing

    async def refresh(self, connected: Collection[Holder]) -> None:
        """Read anew what all of these may, in one statement."""
        self._connected = len(connected)
        if not connected:
            return
        holders, asked = list(connected), self._clock()
        async with self._database.session() as db:
            found = await find_many(db, holders)
        for holder, standing in zip(holders, found, strict=True):
            self._keep(holder, Known(standing, asked))

    def allow(self, holder: Holder, capability: Capability) -> bool:
        """From memory; whom it does not know is read at the next `refresh`."""
        known = self._known.get(holder)
        return known is None or covers(known.standing, capability)

    def forget(self) -> None:
        """What is asked from now on is read anew; called after a commit that took a right away."""
        self._forgotten_at = self._clock()

    def _keep(self, holder: Holder, new: Known) -> None:
        """Those read last are last. An answer may come after that to a later question."""
        known = self._known.pop(holder, None)
        if known is not None and known.asked > new.asked:
            new = known
        self._known[holder] = new
        if known is None or known.standing != new.standing:
            self.has_news = True
