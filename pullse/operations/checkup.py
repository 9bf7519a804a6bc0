"""
The doctor's looks at a running pullse, for whoever asks: never more than one round at a time,
in a thread and a loop of their own, so that no request hangs with them or is slowed down.

The database is the one that this process uses; none is ever started here.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pullse.kit.aside import aside
from pullse.operations import doctor
from pullse.operations.findings import Finding
from pullse.settings import Settings
from pullse.store import Store

log = logging.getLogger(__name__)

PATIENCE = 8.0
"""Seconds that somebody who asks waits for a round."""
SHORT = 0.5
"""Seconds for a round that others have waited for already."""
FRESH = 10.0
"""Seconds for which what was found is shown again."""
STUCK = 120.0
"""Seconds after which another round begins though something has never answered in this one."""
STUCK_AT_MOST = 3
"""Rounds that were given up; each may keep a thread for good."""

Looks = Mapping[str, Callable[[], Awaitable[list[Finding]]]]


@dataclass(frozen=True)
class Report:
    """`missing`: what has not answered yet."""

    at: datetime
    findings: list[Finding]
    missing: list[str]

    @property
    def is_well(self) -> bool:
        return not self.missing and all(each.is_well for each in self.findings)


@dataclass
class Round:
    """`found` grows in the other thread, a part at a time."""

    names: list[str]
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    began: float = field(default_factory=time.monotonic)
    found: dict[str, list[Finding]] = field(default_factory=dict)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def age(self) -> float:
        return time.monotonic() - self.began

    def report(self) -> Report:
        found = dict(self.found)
        findings = [each for name in self.names for each in found.get(name, [])]
        return Report(self.at, findings, [name for name in self.names if name not in found])


class Checkup:
    """One for each process."""

    def __init__(self, settings: Settings, store: Store, looks: Looks | None = None) -> None:
        self._store = store
        self._looks = doctor.parts(settings, self._open) if looks is None else looks
        self._round: Round | None = None
        self._stuck = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def shown(self) -> str:
        """The database, without secrets."""
        return self._store.shown

    async def report(self) -> Report:
        """What was found a moment ago or is found now; after a while, what there is by then."""
        current = self._round
        if current is None or self._is_old(current):
            current = self._round = self._begin()
        patience = SHORT if current.age > PATIENCE else PATIENCE
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await current.over.wait()
        return current.report()

    def _is_old(self, current: Round) -> bool:
        if current.over.is_set():
            return current.age > FRESH
        if current.age > STUCK and self._stuck < STUCK_AT_MOST:
            self._stuck += 1
            return True
        return False

    def _begin(self) -> Round:
        begun = Round(list(self._looks))
        task = asyncio.create_task(self._run(begun))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return begun

    async def _run(self, begun: Round) -> None:
        try:
            await aside(lambda: asyncio.run(look_at(self._looks, begun.found)))
        finally:
            begun.over.set()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Store]:
        yield self._store


async def look_at(looks: Looks, found: dict[str, list[Finding]]) -> None:
    """All at once, in a loop of their own."""

    async def one(name: str) -> None:
        try:
            found[name] = await looks[name]()
        except Exception:
            log.exception("The look at %s failed", name)
            text, remedy = "the look at it failed by a bug of ours", "See the log for why."
            found[name] = [Finding(name, False, text, remedy)]

    await asyncio.gather(*(one(name) for name in looks))
