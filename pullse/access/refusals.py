"""
Who was refused what, for the audit trail: noted in memory on the request's path, and written
by work in the background.

At most one row a minute for each actor, permission and address, in each process, so that a
flood neither fills the table nor holds up those who write to the trail.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable

from pullse.access.audit import record
from pullse.errors import Forbidden, Unavailable
from pullse.kit.db import Database, Struct
from pullse.kit.events import Actor
from pullse.kit.web import Call

log = logging.getLogger(__name__)

APART = 60.0
"""Seconds between rows about the same."""
KINDS_AT_MOST = 10_000
WAITING_AT_MOST = 1000
TOGETHER = 100
"""Rows written in one transaction, which keeps other writers of the trail waiting."""
PAUSE = 5.0


class Refused(Struct, frozen=True):
    actor: Actor
    data: dict[str, str]


class Refusals:
    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._noted: dict[tuple[str, str, str | None], float] = {}
        self._waiting: deque[Refused] = deque()
        self._is_some = asyncio.Event()

    def note(self, actor: Actor, call: Call, error: Forbidden) -> None:
        """Never waits and never fails; what is too much is left out."""
        if actor.id == "anonymous" or len(self._waiting) >= WAITING_AT_MOST:
            return
        kind = (actor.id, call.permission, actor.address)
        now = self._clock()
        if now - self._noted.get(kind, -APART) < APART:
            return
        if len(self._noted) >= KINDS_AT_MOST:
            self._noted = {each: at for each, at in self._noted.items() if now - at < APART}
            if len(self._noted) >= KINDS_AT_MOST:
                return
        self._noted[kind] = now
        data = {"permission": call.permission, "call": call.name, "code": error.code}
        self._waiting.append(Refused(actor, data))
        self._is_some.set()

    async def run(self) -> None:
        """For ever: write what was noted."""
        while True:
            await self._is_some.wait()
            try:
                await self.write()
            except Unavailable as error:
                log.warning("Refusals wait to be audited: %s", error)
                await asyncio.sleep(PAUSE)

    async def write(self) -> None:
        """All that waits; once more at the end of the process. What can't be written waits on."""
        while self._waiting:
            some = [self._waiting.popleft() for _ in range(min(TOGETHER, len(self._waiting)))]
            try:
                async with self._database.transaction() as db:
                    for each in some:
                        await record(db, "access.refused", by=each.actor, data=each.data)
            except (Unavailable, asyncio.CancelledError):
                self._waiting.extendleft(reversed(some))
                raise
        self._is_some.clear()
