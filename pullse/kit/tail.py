"""
The end of the feed, read once for each process and handed to all who follow it.

Woken by this process's own commits, by NOTIFY from other processes, and each 250 ms as
the net. A follower's queue is bounded: one that does not keep up is cut and resumes by
its cursor, so memory never grows with slow readers.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from pullse.errors import Unavailable
from pullse.kit import events
from pullse.kit.db import Database, Db
from pullse.kit.events import Place

CHANNEL = "pullse"
NET = 0.25
HELD_BACK = 0.003
"""Seconds; doubled, up to the net, for as long as a transaction holds the same facts back."""
PORTION = 200
GAP = 0.001
NOTIFY_GAP = 0.01
FACTS_QUEUED = 1000
BYTES_QUEUED = 4_000_000


class Item(Protocol):
    """What a tail hands on: something with a place, and a body whose size counts."""

    @property
    def place(self) -> Place: ...

    @property
    def body(self) -> str | bytes: ...


class Source(Protocol):
    """What a tail reads: the functions of `kit.events`, or of a log that has more in it."""

    async def since(self, db: Db, place: Place, *, limit: int) -> Sequence[Any]: ...

    async def unsettled(self, db: Db, place: Place) -> bool: ...

    async def end(self, db: Db) -> Any: ...


class Follower:
    """One reader's queue. `take` empties it; `is_cut` says that the reader was too slow."""

    def __init__(self, wants: Callable[[Any], bool]) -> None:
        self.wants = wants
        self.is_cut = False
        self.is_closed = False
        self._queue: list[Any] = []
        self._bytes = 0
        self._filled = asyncio.Event()
        self.ended = asyncio.Event()

    @property
    def is_over(self) -> bool:
        """Nothing more comes."""
        return self.is_cut or self.is_closed

    def put(self, facts: Sequence[Item]) -> None:
        if self.is_cut:
            return
        for fact in facts:
            if self.wants(fact):
                self._queue.append(fact)
                self._bytes += len(fact.body)
        if len(self._queue) > FACTS_QUEUED or self._bytes > BYTES_QUEUED:
            self.is_cut = True
            self._queue = []
            self.ended.set()
        if self._queue or self.is_cut:
            self._filled.set()

    def close(self) -> None:
        self.is_closed = True
        self._filled.set()
        self.ended.set()

    async def take(self, timeout: float) -> list[Any]:
        """What has come since; empty after `timeout` seconds without any, or when cut or closed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._filled.wait()
        if not self.is_closed:
            self._filled.clear()
        facts, self._queue, self._bytes = self._queue, [], 0
        return facts


class Tail:
    """
    Runs as one task. While nobody follows, it reads nothing.

    `follow` returns only when the tail is live, so whoever then reads the database up to
    its end, and after that what `take` gives, misses nothing (repeats are told by place).
    """

    def __init__(self, database: Database, source: Source = events) -> None:
        self.is_closed = False
        self._source = source
        self._database = database
        self._place: Place | None = None
        self._pause = 0.0
        self._followers: set[Follower] = set()
        self._woken = asyncio.Event()
        self._live = asyncio.Event()
        self._committed = asyncio.Event()

    def wake(self) -> None:
        """Called after a commit of this process: facts may have come."""
        self._woken.set()
        self._committed.set()

    async def follow(self, wants: Callable[[Any], bool]) -> Follower:
        follower = Follower(wants)
        self._followers.add(follower)
        if self.is_closed:
            follower.close()
        else:
            self._woken.set()
            await self._live.wait()
        return follower

    def leave(self, follower: Follower) -> None:
        self._followers.discard(follower)

    @property
    def followers(self) -> int:
        return len(self._followers)

    def close(self) -> None:
        """End every stream; called when the process stops."""
        self.is_closed = True
        self._live.set()
        for follower in self._followers:
            follower.close()

    async def run(self) -> None:
        """For ever: read what is settled, hand it on, sleep until woken."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read())
            group.create_task(self._listen())
            group.create_task(self._notify())

    async def _read(self) -> None:
        while True:
            self._woken.clear()
            try:
                pause = await self._step()
            except Unavailable:
                pause = NET * 4
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()

    async def _step(self) -> float | None:
        """Read one page; return for how many seconds to sleep unless woken, None for ever."""
        if not self._followers:
            self._place = None
            self._live.clear()
            return None
        async with self._database.session() as db:
            if self._place is None:
                self._place = (await self._source.end(db)).place
                self._live.set()
            facts = await self._source.since(db, self._place, limit=PORTION)
            if not facts:
                if not await self._source.unsettled(db, self._place):
                    return NET
                self._pause = min(max(HELD_BACK, self._pause * 2), NET)
                return self._pause
        self._place = facts[-1].place
        self._pause = 0.0
        for follower in self._followers:
            follower.put(facts)
        await asyncio.sleep(GAP)
        return 0.0

    async def _listen(self) -> None:
        """Let other processes' NOTIFY wake us; without it the net still holds."""
        if self._database.direct.pooled:
            return
        while True:
            with contextlib.suppress(Unavailable):
                async with self._database.own_session() as (_, connection):
                    gone = asyncio.Event()
                    connection.add_termination_listener(lambda _, gone=gone: gone.set())
                    await connection.add_listener(CHANNEL, lambda *_: self._woken.set())
                    await gone.wait()
            await asyncio.sleep(1)

    async def _notify(self) -> None:
        """One NOTIFY for each batch of commits, outside of their transactions."""
        while True:
            await self._committed.wait()
            self._committed.clear()
            with contextlib.suppress(Unavailable):
                async with self._database.session() as db:
                    await db.run(f"NOTIFY {CHANNEL}")
            await asyncio.sleep(NOTIFY_GAP)
