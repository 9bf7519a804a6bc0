"""
One process's fan-out: what comes at the end of the log goes to everyone who joined its topic.

The hub reads nothing itself but when it fell behind: the process's tail gives it facts and
messages in one order. It runs only while somebody has joined.
"""

import asyncio
import contextlib
import heapq
import itertools
import logging
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple, Protocol
from uuid import uuid4

from pullse.errors import Unavailable
from pullse.gateway import connections, log
from pullse.gateway.channels import APART
from pullse.gateway.connections import Count
from pullse.gateway.keys import APP
from pullse.gateway.log import Entry, Item, Newest
from pullse.gateway.shown import message_of_entry, projected
from pullse.gateway.wire import Action, Flag, Format, Message, Outgoing, weight
from pullse.kit import events
from pullse.kit.db import Database, Db
from pullse.kit.events import Place
from pullse.kit.loader import Loader
from pullse.kit.tail import Tail
from pullse.kit.websockets import frame

log_of_bugs = logging.getLogger(__name__)

FRAMES_AT_MOST = 8
"""Frames of one delivery that are kept: a channel can be asked for by ever other names."""
BREATH = 200
"""Deliveries after which others get a turn."""
PAUSE = 1.0
TOGETHER = 100
BYTES_TOGETHER = 200_000
"""Members in one PRESENCE, and bytes of them: more than a client can take at once would cut it."""
MOMENT = 0.25
"""Seconds that an acknowledgement waits for its message to come back, when others write long."""


class Outlet(Protocol):
    """Where several subscribers of one client send to."""

    def flush(self) -> None: ...


Held = dict[Outlet, None]
"""Those that hold back what they were given until all that came with it is there."""


class Delivery:
    """
    One item as a topic shows it, or several of presence that one client told together.

    What all its receivers share is made once. `place` is that of the last.
    """

    __slots__ = (
        "_frames",
        "connection_id",
        "epoch",
        "held",
        "is_presence",
        "message",
        "others",
        "place",
    )

    def __init__(
        self,
        message: Message,
        place: Place,
        epoch: int,
        held: Held | None = None,
        *,
        is_presence: bool,
        others: Sequence[Message] = (),
    ) -> None:
        self.message = message
        self.others = others
        self.held = held
        self.place = place
        self.epoch = epoch
        self.is_presence = is_presence
        self.connection_id = message.connection_id
        self._frames: dict[tuple[str, str], bytes] = {}

    @property
    def serial(self) -> str:
        return events.cursor(self.epoch, self.place)

    @property
    def size(self) -> int:
        """As far as it counts for what may wait."""
        return weight(self.message) + sum(map(weight, self.others))

    def frame(self, format_: Format, asked: str) -> bytes:
        """The WebSocket frame for clients that asked for the channel by this name."""
        key = (format_.name, asked)
        found = self._frames.get(key)
        if found is None:
            found = frame(encoded(format_, self.outgoing(format_, asked)))
            if len(self._frames) < FRAMES_AT_MOST:
                self._frames[key] = found
        return found

    def outgoing(self, format_: Format, asked: str) -> Outgoing:
        shown = [format_.shown(each) for each in (self.message, *self.others)]
        return Outgoing(
            Action.PRESENCE if self.is_presence else Action.MESSAGE,
            id=None if self.message.id is None else self.message.id.rpartition(":")[0] or None,
            channel=asked,
            channel_serial=self.serial,
            connection_id=self.connection_id,
            timestamp=self.message.timestamp,
            presence=shown if self.is_presence else None,
            messages=None if self.is_presence else shown,
        )


def encoded(format_: Format, outgoing: Outgoing) -> bytes | str:
    """As a frame carries it: bytes are a binary frame, text is a text frame."""
    body: bytes = format_.encode(outgoing)
    return body if format_.is_binary else body.decode()


class Subscriber(Protocol):
    """Who joined a topic. Called in order and must not wait."""

    modes: Flag

    def deliver(self, delivery: Delivery) -> None: ...


class Attached(NamedTuple):
    """What whoever joined a topic has to know of it."""

    newest: Newest
    has_members: bool


class Hub:
    """`run` runs as long as the process; the rest is called by sessions and streams."""

    def __init__(self, database: Database, tail: Tail, epoch: int) -> None:
        self.epoch = epoch
        self.process = uuid4()
        self.changed: set[str] = set()
        """Topics that others joined or left, until whoever counts them takes them out."""
        self.topics: dict[str, dict[Subscriber, None]] = {}
        self._database = database
        self._tail = tail
        self.place = events.START
        """Up to here everything was delivered."""
        self._waiting: list[tuple[Place, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._delivered = 0
        self._wanted = asyncio.Event()
        self._live = asyncio.Event()
        self._looking: Loader[str, Attached] = Loader(database, look)

    def join(self, topic: str, subscriber: Subscriber) -> None:
        """From now on; `attached` then says from where on nothing is missed."""
        self.topics.setdefault(topic, {})[subscriber] = None
        self.changed.add(topic)
        self._wanted.set()

    def leave(self, topic: str, subscriber: Subscriber) -> None:
        joined = self.topics.get(topic)
        if joined is not None:
            joined.pop(subscriber, None)
            self.changed.add(topic)
            if not joined:
                del self.topics[topic]

    async def attached(self, topic: str) -> Attached:
        """
        The end of the log, asked after joining: all that comes later is delivered.

        What is delivered at or before that place is to be dropped.
        """
        await self._live.wait()
        return await self._looking.load(topic)

    def count(self, topic: str) -> Count:
        """How many joined it here, by what they may do."""
        modes = [each.modes for each in self.topics.get(topic, ())]
        return Count(
            topic,
            len(modes),
            sum(Flag.PUBLISH in each for each in modes),
            sum(Flag.SUBSCRIBE in each for each in modes),
            sum(Flag.PRESENCE in each for each in modes),
            sum(Flag.PRESENCE_SUBSCRIBE in each for each in modes),
        )

    async def occupancy(self, topic: str) -> dict[str, int]:
        """At all processes; at others as it was a second ago."""
        async with self._database.session() as db:
            others = await connections.counted(db, topic, self.process)
        here = self.count(topic)
        return {
            "connections": here.connections + others.connections,
            "publishers": here.publishers + others.publishers,
            "subscribers": here.subscribers + others.subscribers,
            "presenceConnections": here.presence_connections + others.presence_connections,
            "presenceMembers": others.members,
            "presenceSubscribers": here.presence_subscribers + others.presence_subscribers,
            "objectPublishers": 0,
            "objectSubscribers": 0,
        }

    async def active(self, app: str, prefix: str) -> list[str]:
        """Channels of an app that begin so and that somebody has joined, at any process."""
        begin = "" if app == APP else app + APART
        async with self._database.session() as db:
            others = await connections.active(db, begin + prefix)
        found = {topic for topic in self.topics if topic.startswith(begin + prefix)}
        names = (topic.removeprefix(begin) for topic in found.union(others))
        return sorted(name for name in names if APART not in name)

    async def reached(self, place: Place) -> None:
        """Return when what is at this place was handed on here, or a moment later."""
        if place > self.place:
            future = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (place, next(self._numbers), future))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(future, MOMENT)

    async def run(self) -> None:
        """For ever, until the tail ends."""
        while not self._tail.is_closed:
            await self._wanted.wait()
            try:
                await self._follow()
            except Unavailable:
                await asyncio.sleep(PAUSE)

    async def _follow(self) -> None:
        """Hand on what comes; after having been cut, first what was missed."""
        follower = await self._tail.follow(lambda _: True)
        try:
            if self._live.is_set():
                await self._catch_up()
            else:
                async with self._database.session() as db:
                    self.place = (await log.end(db)).place
                self._live.set()
            while not follower.is_over:
                if not self.topics:
                    self._wanted.clear()
                    self._live.clear()
                    return
                await self._hand_on(await follower.take(PAUSE))
        finally:
            self._tail.leave(follower)

    async def _catch_up(self) -> None:
        while True:
            async with self._database.session() as db:
                items = await log.since(db, self.place)
            if not items:
                return
            await self._hand_on(items)

    async def _hand_on(self, items: Sequence[Item]) -> None:
        held: Held | None = {} if len(items) > 1 else None
        for group in gathered([item for item in items if item.place > self.place]):
            try:
                await self._deliver(group, held)
            except Exception:  # by a bug; it must not hold up all that comes after it
                log_of_bugs.exception("What is at %s of the log can't be shown", group[0].place)
            self.place = group[-1].place
        for outlet in held or ():
            outlet.flush()
            if self._is_long():
                await asyncio.sleep(0)
        while self._waiting and self._waiting[0][0] <= self.place:
            _, _, future = heapq.heappop(self._waiting)
            if not future.done():
                future.set_result(None)

    async def _deliver(self, group: Sequence[Item], held: Held | None) -> None:
        """One item, or presence of one channel."""
        item = group[0]
        is_presence = isinstance(item, Entry) and item.action != 0
        shown = [(each, *pair) for each in group for pair in self._shown(each)]
        for (topic, _), run in groupby(shown, lambda each: (each[1], each[2].connection_id)):
            last, (message, *others) = together(list(run))
            delivery = Delivery(
                message, last, self.epoch, held, is_presence=is_presence, others=others
            )
            for subscriber in tuple(self.topics.get(topic, ())):
                subscriber.deliver(delivery)
                if self._is_long():
                    await asyncio.sleep(0)

    def _is_long(self) -> bool:
        """Since others had a turn."""
        self._delivered += 1
        return self._delivered % BREATH == 0

    def _shown(self, item: Item) -> Sequence[tuple[str, Message]]:
        """On which of the topics that somebody joined it appears, and as what."""
        if isinstance(item, Entry):
            if item.channel not in self.topics:
                return []
            return [(item.channel, message_of_entry(item, self.epoch))]
        if not self.topics:
            return []
        found = projected(item, self.epoch)
        return [(topic, found[topic]) for topic in found if topic in self.topics]


def gathered(items: Sequence[Item]) -> Iterator[list[Item]]:
    """What one transaction said of presence on a channel together, all else by itself."""
    group: list[Item] = []
    size = 0
    for item in items:
        size += len(item.body)
        is_full = len(group) == TOGETHER or size > BYTES_TOGETHER
        if group and (is_full or not is_of_one(group[-1], item)):
            yield group
            group, size = [], len(item.body)
        group.append(item)
    if group:
        yield group


def is_of_one(before: Item, after: Item) -> bool:
    return (
        isinstance(before, Entry)
        and isinstance(after, Entry)
        and bool(before.action and after.action)
        and before.tx == after.tx
        and before.channel == after.channel
    )


def together(run: list[tuple[Item, str, Message]]) -> tuple[Place, list[Message]]:
    return run[-1][0].place, [message for _, _, message in run]


async def look(db: Db, topics: Sequence[str]) -> list[Attached]:
    """For all that are asked for at the same time."""
    newest = await log.end(db)
    rows = await db.rows(
        """
        SELECT topic FROM unnest($1::text[]) AS topic
         WHERE EXISTS (SELECT FROM channel_members WHERE channel = topic)
        """,
        list(set(topics)),
    )
    present = {topic for (topic,) in rows}
    return [Attached(newest, topic in present) for topic in topics]
