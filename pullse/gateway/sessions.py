"""
The connections of this process, and the turn of the clock for all of them.

Each second: hear-beats to who heard nothing, tokens that end, rights that were taken away;
this process's own beat, connections of processes that died, members whose time is over. All
that is in the database, so any process does it for all.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from uuid import UUID
from weakref import WeakValueDictionary

from pullse.errors import Unavailable
from pullse.gateway import connections, presence
from pullse.gateway.auth import Identity
from pullse.gateway.channels import APART
from pullse.gateway.connection import Connection
from pullse.gateway.connections import Before, Count, Dropped, Opened
from pullse.gateway.hub import Delivery
from pullse.gateway.service import Gateway
from pullse.gateway.wire import Flag
from pullse.kit.db import Db
from pullse.kit.loader import Loader
from pullse.kit.websockets import Refused, Socket, Upgrade

log = logging.getLogger(__name__)

BEAT = 1.0
UNUSED = 60
"""Beats without a client after which a process rests."""
PORTIONS = 20
"""Of members who leave in one beat."""
FORGET_EACH = 30
"""Beats between two removals of what can't be resumed any more."""


class Sessions:
    """Made once for a process; `run` runs as long as it."""

    modes = Flag(0)

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.process: UUID = gateway.hub.process
        self.connections: dict[str, Connection] = {}
        self._is_known = False
        self._unused = 0
        self._knowing = asyncio.Lock()
        self._counts: dict[str, Count] = {}
        database = gateway.database
        self._opening: Loader[Opened, None] = Loader(database, connections.open_all)
        self._dropping: Loader[Dropped, None] = Loader(database, connections.drop_all)
        self._drops: set[asyncio.Task[None]] = set()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def accept(self, upgrade: Upgrade, socket: Socket) -> Connection:
        """For `kit.websockets`; who it is comes out when the connection is open."""
        if upgrade.path != "/":
            raise Refused(404, "There is no WebSocket at this address; it is at /.")
        return Connection(self, socket, upgrade)

    # For connections

    async def ready(self) -> None:
        """Before the first connection: the others have to know this process."""
        async with self._knowing:
            if not self._is_known:
                async with self.gateway.database.session() as db:
                    await connections.beat(db, self.process)
                self._is_known = True
                self.gateway.hub.join(connections.told(self.process), self)

    async def open(self, connection: Connection) -> None:
        secret = connections.hashed(connection.secret)
        identity, remain = connection.identity, connection.remain
        await self._opening.load(Opened(connection.id, self.process, secret, identity, remain))
        self._add(connection)

    async def resume(
        self, connection: Connection, id_: str, secret: str, fresh: str | None
    ) -> Before | None:
        """Take it over from wherever it was. None when it can't be."""
        if "\0" in id_:
            return None
        identity = connection.identity
        async with self._lock_of(id_):
            async with self.gateway.database.transaction() as db:
                before = await connections.resume(
                    db,
                    id_,
                    secret,
                    process=self.process,
                    identity=identity,
                    remain=connection.remain,
                    fresh=fresh,
                )
                if before is None:
                    return None
                await leave_lost(db, id_, identity, before.present)
            connection.id = id_
            self._add(connection)
        if before.was_live and before.process != self.process:
            async with self.gateway.database.session() as db:
                await connections.tell_taken(db, before.process, id_)
            self.gateway.tail.wake()
        return before

    def _add(self, connection: Connection) -> None:
        """The row is its own now, also if its socket is gone meanwhile (see `remove`)."""
        known = self.connections.get(connection.id)
        self.connections[connection.id] = connection
        if known is not None:
            known.taken_over()

    def remove(self, connection: Connection) -> None:
        """Its socket is gone."""
        if self.connections.get(connection.id) is connection:
            del self.connections[connection.id]
            task = asyncio.ensure_future(self._drop(connection))
            self._drops.add(task)
            task.add_done_callback(self._drops.discard)

    async def _drop(self, connection: Connection) -> None:
        """Until it is written down, what is not would be present for ever; or it has come back."""
        dropped = Dropped(connection.id, self.process, connection.remain)
        async with self._lock_of(connection.id):
            while connection.id not in self.connections:
                try:
                    await self._dropping.load(dropped)
                    break
                except Unavailable as error:
                    log.debug("The end of a connection waits: %s", error)
                    await asyncio.sleep(BEAT)

    def _lock_of(self, id_: str) -> asyncio.Lock:
        """The end of its old socket must not be written down after a connection's return."""
        return self._locks.setdefault(id_, asyncio.Lock())

    async def close(self, connection: Connection) -> None:
        """By its client, for good."""
        async with self.gateway.database.session() as db:
            while await presence.leave_all(db, connection.id):
                self.gateway.tail.wake()
            await connections.close(db, connection.id)
        if self.connections.get(connection.id) is connection:
            del self.connections[connection.id]

    # For the hub

    def deliver(self, delivery: Delivery) -> None:
        """What this process is told by others: one of its connections is theirs now."""
        taken = self.connections.pop(str(delivery.message.data), None)
        if taken is not None:
            taken.taken_over()

    # The clock

    async def run(self) -> None:
        count = 0
        while True:
            try:
                await self._turn(count)
            except Unavailable as error:
                log.debug("The gateway's clock waits: %s", error)
            count += 1
            await asyncio.sleep(BEAT)

    async def _turn(self, count: int) -> None:
        now = time.monotonic()
        for each in tuple(self.connections.values()):
            each.beat(now)
        await self._look_at_rights()
        await self._come_or_go()
        async with self.gateway.database.session() as db:
            if self._is_known and await connections.beat(db, self.process):
                self._start_over()
            await connections.bury(db)
            for _ in range(PORTIONS):
                if not await presence.leave_due(db):
                    break
                self.gateway.tail.wake()
            if count % FORGET_EACH == 0:
                await connections.forget(db)
            if self._is_known:
                await self._tell_counts(db)

    async def _come_or_go(self) -> None:
        """A process that nobody is connected to for a while neither beats nor follows the log."""
        own = connections.told(self.process)
        is_used = bool(self.connections or self.gateway.hub.topics.keys() - {own})
        self._unused = 0 if is_used else self._unused + 1
        if is_used:
            await self.ready()
        elif self._is_known and self._unused > UNUSED:
            async with self._knowing, self.gateway.database.session() as db:
                self._is_known = False
                self.gateway.hub.leave(own, self)
                await connections.end_process(db, self.process)

    def _start_over(self) -> None:
        """The others took this process for dead: its clients come back as new ones do."""
        log.warning("This process was taken for dead; its clients connect again")
        self._counts = {}
        self.gateway.hub.changed.update(self.gateway.hub.topics)
        for each in tuple(self.connections.values()):
            each.socket.abort()

    async def _look_at_rights(self) -> None:
        """Whoever has lost what its credentials are for goes, with all that it has open."""
        gateway = self.gateway
        identities = [each.identity for each in self.connections.values()]
        identities += [each.identity for each in gateway.streams]
        holders = {each.holder for each in identities if each.holder is not None}
        if await gateway.keyring.refresh(holders):
            for connection in tuple(self.connections.values()):
                connection.check()
            for stream in tuple(gateway.streams):
                stream.check()

    async def _tell_counts(self, db: Db) -> None:
        """Write down how many are attached where, as far as it has changed."""
        hub = self.gateway.hub
        topics = {topic for topic in hub.changed if not topic.startswith(APART)}
        counts = [hub.count(topic) for topic in topics]
        hub.changed.clear()
        changed = [each for each in counts if each != self._counts.get(each.channel, none(each))]
        if not changed:
            return
        try:
            await connections.count_all(db, self.process, changed)
        except Unavailable:
            hub.changed |= topics
            raise
        for each in changed:
            self._counts[each.channel] = each
            if not each.connections:
                del self._counts[each.channel]

    async def stop(self) -> None:
        """When the process ends: others may have its connections at once."""
        if self._is_known:
            async with self.gateway.database.session() as db:
                await connections.end_process(db, self.process)


async def leave_lost(db: Db, id_: str, identity: Identity, present: Sequence[str]) -> None:
    """Members of a connection that comes back with less leave where they may not be any more."""
    for topic in present:
        if not identity.capability.allows(identity.channel(topic), "presence"):
            await presence.leave_channel(db, id_, topic)


def none(count: Count) -> Count:
    """Nobody on the same channel."""
    return Count(count.channel, 0, 0, 0, 0, 0)
