"""
The forwarder to Ably: every fact, in the order of the feed, with the fact's id as message id.

One process leads, by a session lock that is lost with its connection. Its cursor moves
only after Ably's word on both channels, so a broken network delays and never drops; what is
published twice is one message by its id. docs/decisions/0006-ably-forwarder.md has the reasons.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any

from pullse.errors import Unavailable
from pullse.kit import events
from pullse.kit.db import Database, Db, Struct
from pullse.kit.events import Fact, Place
from pullse.kit.relay import begin
from pullse.kit.tail import Follower, Tail
from pullse.realtime.outlet import PACE, Condition, Outlet, Pace, check, hush
from pullse.realtime.projection import SHARED, shared
from pullse.settings import Ably

log = logging.getLogger(__name__)

LOCK = 0x61626C79  # "ably"
PAGE = 50


class Reader(Struct, frozen=True):
    tx: int
    id: int
    error: str | None


async def forward(database: Database, tail: Tail, settings: Ably, pace: Pace = PACE) -> None:
    """For ever, until the tail ends: publish while this process leads, else wait to lead."""
    hush()
    while not tail.is_closed:
        try:
            await begin(database, "ably")
            async with database.own_session() as (db, connection):
                await elected(db, pace)
                await either(alive(db, connection, pace), lead(database, tail, settings, pace))
        except Unavailable as error:
            log.debug("The forwarder to Ably waits: %s", error)
        if not tail.is_closed:
            await asyncio.sleep(pace.election)


async def elected(db: Db, pace: Pace) -> None:
    """
    Return when this session holds the lock.

    Should this machine vanish, the server gives the lock back within half a minute.
    """
    await db.run("SET tcp_keepalives_idle = 15")
    await db.run("SET tcp_keepalives_interval = 5")
    await db.run("SET tcp_keepalives_count = 3")
    while not await db.value("SELECT pg_try_advisory_lock($1)", LOCK):
        await asyncio.sleep(pace.election)


async def alive(db: Db, connection: Any, pace: Pace) -> None:
    """Return or raise when the session is lost, and the lock with it."""
    gone = asyncio.Event()
    connection.add_termination_listener(lambda _: gone.set())
    while not (connection.is_closed() or gone.is_set()):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pace.alive):
                await gone.wait()
                return
        async with asyncio.timeout(pace.alive):
            await db.value("SELECT 1")


async def lead(database: Database, tail: Tail, settings: Ably, pace: Pace) -> None:
    async with database.session() as db:
        reader = await db.one(Reader, "SELECT tx, id, error FROM readers WHERE name = 'ably'")
    cursor = Cursor(database, Place(reader.tx, reader.id), pace)
    condition = Condition(database, reader.error)
    outlets = {each: Outlet(each, settings, pace, condition) for each in SHARED}
    follower = await tail.follow(lambda _: True)
    try:
        await look_at_key(condition, settings, pace)
        while not follower.is_closed:
            async with database.session() as db:
                facts = await events.since(db, cursor.place, limit=PAGE)
            if facts:
                await deliver(facts, outlets, cursor, pace)
            else:
                await idle(follower, cursor, condition, settings, pace)
            if follower.is_cut:
                tail.leave(follower)
                follower = await tail.follow(lambda _: True)
    finally:
        tail.leave(follower)
        try:
            await cursor.save_soon()
        finally:  # also where that was cancelled, or the database has cut its connection
            for outlet in outlets.values():
                await outlet.close()


async def deliver(
    facts: Sequence[Fact], outlets: Mapping[str, Outlet], cursor: Cursor, pace: Pace
) -> None:
    """Publish a page; the cursor is written down on the way, also while a publish hangs."""
    publishing = asyncio.ensure_future(publish(facts, outlets, cursor))
    try:
        while not publishing.done():
            await asyncio.wait((publishing,), timeout=pace.save)
            await cursor.save_if_due()
        publishing.result()
    finally:
        await cancelled([publishing])


async def publish(facts: Sequence[Fact], outlets: Mapping[str, Outlet], cursor: Cursor) -> None:
    """
    One fact after the other, on both channels at once, or both of its private team.

    Not one channel ahead of the other: what is in doubt after a stop is one fact, where
    Ably knows ids again for two minutes only.
    """
    for fact in facts:
        async with asyncio.TaskGroup() as group:
            for message in shared(fact):
                group.create_task(outlets[message.kind].publish(message))
        cursor.place = fact.place


async def idle(
    follower: Follower, cursor: Cursor, condition: Condition, settings: Ably, pace: Pace
) -> None:
    """Wait for facts; write the cursor down, and see whether a refused key is well again."""
    await follower.take(pace.net if cursor.is_saved else pace.save)
    await cursor.save_if_due()
    if condition.is_refused and time.monotonic() > condition.looked_at + pace.refused:
        await look_at_key(condition, settings, pace)


async def look_at_key(condition: Condition, settings: Ably, pace: Pace) -> None:
    """Tell of a wrong key before there is anything to publish; other trouble shows by itself."""
    found = await check(settings, pace)
    condition.looked_at = time.monotonic()
    for channel in SHARED:
        trouble = found.get(channel)
        if trouble is None:
            await condition.worked(channel)
        elif trouble.is_refusal:
            await condition.failed(channel, trouble)


class Cursor:
    """How far Ably has acknowledged; written down at most once in `pace.save` seconds."""

    def __init__(self, database: Database, place: Place, pace: Pace) -> None:
        self.place = place
        self._saved = place
        self._due = time.monotonic()
        self._database = database
        self._pace = pace

    @property
    def is_saved(self) -> bool:
        return self.place == self._saved

    async def save_if_due(self) -> None:
        if not self.is_saved and time.monotonic() >= self._due:
            await self.save()

    async def save(self) -> None:
        """Never backwards, should a leader that was overtaken still speak."""
        place = self.place
        async with self._database.session() as db:
            await db.run(
                """
                UPDATE readers SET tx = $1, id = $2
                 WHERE name = 'ably' AND (tx, id) < ($1, $2)
                """,
                place.tx,
                place.id,
            )
        self._saved = place
        self._due = time.monotonic() + self._pace.save

    async def save_soon(self) -> None:
        """On the way out, also when cancelled; what can't be saved is published again by its id."""
        if not self.is_saved:
            with contextlib.suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(2):
                    await self.save()


async def either(*works: Coroutine[Any, Any, None]) -> None:
    """Run them side by side until the first ends, and end as it did."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await cancelled(tasks)


async def cancelled(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
