"""
Channels as a stream over HTTP: Server-Sent Events, or one JSON object a line.

A stream joins its channels first, then asks where the log ends, sends what its client has
missed up to there, and goes on with what was delivered meanwhile. So nothing is lost or
repeated between the two.

One id says for all channels of a stream what its client has had. Several events can be at
one place (a change of a ticket shows on three channels): only the last of them has its id,
those before it have the one of the place before.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pullse.errors import Gone, Invalid, Unavailable
from pullse.gateway import channels, log
from pullse.gateway.auth import Identity
from pullse.gateway.channels import Rewind
from pullse.gateway.errors import (
    CHANNEL_CONTINUITY_LOST,
    NO_VERSION,
    TOKEN_EXPIRED,
    UNAVAILABLE,
    Failure,
)
from pullse.gateway.event_forms import Event, Events, Form, Lines
from pullse.gateway.hub import Delivery
from pullse.gateway.log import EVER, Entry, Item, Newest, Span, fitting
from pullse.gateway.negotiation import Request, cross_origin, refusal
from pullse.gateway.reading import names
from pullse.gateway.shown import message_of
from pullse.gateway.wire import Flag, Message
from pullse.kit import events
from pullse.kit.db import Db
from pullse.kit.events import Place
from pullse.kit.streams import gone, push
from pullse.kit.web import Answer, Headers, Receive, Scope, Send

if TYPE_CHECKING:
    from pullse.gateway.service import Gateway

HEARTBEAT = 15.0
BEAT = 1.0
"""Seconds between two looks at the clock for all streams of a process."""
PATIENCE = 10.0
"""Seconds for the hub to tell where the log ends."""
GRACE = 1.0
"""Seconds that a stream which is to end has for what it is sending."""
EVENTS_QUEUED = 1_000
CHARACTERS_QUEUED = 4_000_000
TOGETHER = 200
BYTES_TOGETHER = 1_000_000
"""Events of the past read at once, of all channels; of each channel at least one."""
PIECE = 64_000
"""Characters sent at once."""
SPINS = 100
"""Turns of the loop for which the rest of a place is waited for."""


# Opening


async def events_of_channels(request: Request) -> Any:
    """GET /sse"""
    return await opened(request, Events())


async def lines_or_events(request: Request) -> Any:
    """GET /event-stream"""
    if b"text/event-stream" in request.headers.get(b"accept", b""):
        return await opened(request, Events())
    return await opened(request, Lines())


async def opened(request: Request, form: Form) -> Any:
    """All that can be refused is refused here, as plain HTTP. Raises Failure."""
    if not (request.query.get("v") or request.header(b"x-ably-version")):
        raise Failure(NO_VERSION, "Stateless connections must specify a protocol version: v=1.2.")
    _ = request.version
    identity = await request.identify()
    form.is_enveloped = request.flag("enveloped", default=True)
    form.has_heartbeats = request.flag("heartbeats", default=False)
    stream = Stream(request, identity, form)
    for asked in names(request):
        channel = channels.parse(asked)
        topic = request.gateway.topic(identity, asked, "subscribe")
        rewind = channels.rewind_of({**request.query, **channel.params})
        stream.listeners.setdefault(topic, Listener(stream, topic, channel.name, rewind))
    if request.scope.get("is_head"):
        return Answer(200, b"", stream.headers)
    return stream


# The streams of a process


class Streams:
    """Turns the clock for all streams, as long as there are some."""

    def __init__(self, gateway: "Gateway") -> None:
        self.gateway = gateway
        self._task: asyncio.Task[None] | None = None
        self._seen: tuple[Any, ...] = ()
        self._text = ""

    def add(self, stream: "Stream") -> None:
        self.gateway.streams.add(stream)
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    def remove(self, stream: "Stream") -> None:
        self.gateway.streams.discard(stream)
        if not self.gateway.streams and self._task is not None:
            self._task.cancel()
            self._task = None

    def __len__(self) -> int:
        return len(self.gateway.streams)

    def content(self, form: Form, message: Message, channel: str) -> str:
        """What streams alike write of a message, which they are given one after the other."""
        key = (id(message), type(form), form.is_enveloped, channel)
        if self._seen[1:] != key:
            self._text = form.content(message, channel)
            self._seen = (message, *key)
        return self._text

    async def _run(self) -> None:
        closing = self.gateway.closing
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT):
                    await closing.wait()
            now = time.monotonic()
            for each in tuple(self.gateway.streams):
                each.beat(now)
            if closing.is_set():
                self._task = None
                return


class Listener:
    """One channel of a stream."""

    modes = Flag.SUBSCRIBE | Flag.PRESENCE_SUBSCRIBE

    def __init__(self, stream: "Stream", topic: str, name: str, rewind: Rewind | None) -> None:
        self.stream = stream
        self.topic = topic
        self.name = name
        self.rewind = rewind
        self.place = events.START
        """Up to here the channel's events are queued, or read from the log."""

    def deliver(self, delivery: Delivery) -> None:
        if delivery.place > self.place:
            self.place = delivery.place
            for message in (delivery.message, *delivery.others):
                self.stream.put(self.event(delivery.place, message, delivery.is_presence))

    def event(self, place: Place, message: Message, is_presence: bool) -> Event:
        stream = self.stream
        text = stream.streams.content(stream.form, message, self.name)
        return Event(place, "presence" if is_presence else "message", text)


class Stream:
    """One client's stream, ready to be sent."""

    def __init__(self, request: Request, identity: Identity, form: Form) -> None:
        self.request = request
        self.gateway = request.gateway
        self.streams = request.streams
        self.identity = identity
        self.form = form
        self.listeners: dict[str, Listener] = {}
        self._place = events.START
        self._queue: list[Event] = []
        self._characters = 0
        self._filled = asyncio.Event()
        self._ended = asyncio.Event()
        self._last_words = ""
        self._sent_at = time.monotonic()
        self._is_silent = False

    @property
    def headers(self) -> Headers:
        own: Headers = [
            (b"content-type", self.form.content_type),
            (b"x-accel-buffering", b"no"),
        ]
        return own + cross_origin(self.request)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for each in self.listeners.values():
            self.gateway.hub.join(each.topic, each)
        self.streams.add(self)
        tasks = [
            asyncio.ensure_future(self._write(scope, receive, send)),
            asyncio.ensure_future(gone(receive)),
            asyncio.ensure_future(self._over()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if tasks[0].done():
                tasks[0].result()
        finally:
            self.streams.remove(self)
            for each in self.listeners.values():
                self.gateway.hub.leave(each.topic, each)
            for task in tasks:
                task.cancel()

    async def _over(self) -> None:
        """Until the stream has to end and had time to; a client that does not read holds it up."""
        await self._ended.wait()
        await asyncio.sleep(GRACE)

    # What others call

    def put(self, event: Event) -> None:
        """To be sent. A stream that does not keep up is cut; its client resumes by its id."""
        if self._ended.is_set():
            return
        self._queue.append(event)
        self._characters += len(event.text)
        self._filled.set()
        if len(self._queue) > EVENTS_QUEUED or self._characters > CHARACTERS_QUEUED:
            self._queue.clear()
            self._end()

    def beat(self, now: float) -> None:
        expires = self.identity.expires
        if self.gateway.closing.is_set():
            self._end()
        elif expires is not None and expires <= time.time() * 1000:
            self._end(Failure(TOKEN_EXPIRED, "The token has expired."))
        elif not self.check():
            pass
        elif now - self._sent_at >= HEARTBEAT:
            self._is_silent = True
            self._filled.set()

    def check(self) -> bool:
        """May it still go on? If not, it ends."""
        try:
            self.gateway.keyring.check(self.identity)
        except Failure as failure:
            self._end(failure)
            return False
        return True

    def _end(self, failure: Failure | None = None) -> None:
        if not self._ended.is_set():
            self._last_words = self.form.error(failure) if failure is not None else ""
            self._ended.set()
            self._filled.set()

    # Writing

    async def _write(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            newest = await self._end_of_log()
        except (Unavailable, TimeoutError):
            failure = Failure(UNAVAILABLE, "The database can't be reached right now.")
            await refusal(self.request, failure)(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        try:
            await self._begin(newest, send)
            await self._follow(send)
        except Unavailable:
            pass  # the client comes back by its last id
        if self._last_words:
            await push(send, self._last_words)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _end_of_log(self) -> Newest:
        """Asked after joining, so all that comes later is delivered."""
        async with asyncio.timeout(PATIENCE):
            attached = await asyncio.gather(*map(self.gateway.hub.attached, self.listeners))
        newest = max((each.newest for each in attached), key=lambda each: each.place)
        for each in self.listeners.values():
            each.place = max(each.place, newest.place)
        self._queue = [each for each in self._queue if each.place > newest.place]
        return newest

    async def _begin(self, newest: Newest, send: Send) -> None:
        """What is sent before what is new: what was missed, or the last of what there was."""
        end = newest.place
        asked = self.request.header(b"last-event-id") or self.request.query.get("lastEvent")
        self._place = end
        error, read = "", log.everything
        if asked:
            self._place, is_whole = resumed(asked, newest, self.listeners)
            starts = dict.fromkeys(self.listeners.values(), self._place)
            if not is_whole:
                error = self.form.error(lost())
        else:
            starts, read = await self._rewound(end), log.messages
            self._place = min(starts.values(), default=end)
        await self._push(self.form.opening(self._id) + error, send)
        await self._send_past(starts, end, read, send)
        if self._place < end and not self._ended.is_set():
            self._place = end
            await self._push(self.form.place(self._id), send)

    async def _rewound(self, end: Place) -> dict[Listener, Place]:
        """Where the last messages begin, of the channels that ask for some and have any."""
        found = {}
        async with self.gateway.database.session() as db:
            for each in self.listeners.values():
                if each.rewind is not None:
                    start = await rewound(db, each, each.rewind, end)
                    if start is not None:
                        found[each] = start
        return found

    async def _send_past(
        self, starts: Mapping[Listener, Place], end: Place, read: Any, send: Send
    ) -> None:
        """All channels side by side, as far as each of them has been read."""
        most = max(1, TOGETHER // max(1, len(starts)))
        size = BYTES_TOGETHER // max(1, len(starts))
        count = most
        while starts and not self._ended.is_set():
            reached, found, fits = end, [], 0
            async with self.gateway.database.session() as db:
                for each, start in starts.items():
                    span = Span(max(start, self._place), log.just_after(end), count=count)
                    items = await read(db, each.topic, span)
                    kept = fitting(items, size)
                    fits = max(fits, len(kept))
                    if len(items) == count or len(kept) < len(items):
                        reached = min(reached, kept[-1].place)
                    found += shown(each, kept)
            due = sorted((each for each in found if each.place <= reached), key=place_of)
            await self._send_events(due, send)
            if reached == end:
                return
            self._place = reached
            count = max(1, min(2 * fits, most))  # large ones are not read to be thrown away

    async def _follow(self, send: Send) -> None:
        while not self._ended.is_set():
            await self._filled.wait()
            self._filled.clear()
            await self._whole()
            due, self._queue, self._characters = self._queue, [], 0
            if due:
                await self._send_events(due, send)
            elif self._is_silent and not self._ended.is_set():
                await self._push(self._heartbeat(), send)

    async def _whole(self) -> None:
        """Until the last place in the queue is there with all its events."""
        if len(self.listeners) == 1:
            return
        for _ in range(SPINS):
            if not self._queue or self.gateway.hub.place >= self._queue[-1].place:
                return
            await asyncio.sleep(0)

    def _heartbeat(self) -> str:
        """With the place, if it has moved on while nothing came for this stream."""
        here = self.gateway.hub.place
        if here <= self._place:
            return self.form.heartbeat()
        self._place = here
        return self.form.place(self._id) + self.form.heartbeat()

    async def _send_events(self, due: Sequence[Event], send: Send) -> None:
        text = ""
        for index, event in enumerate(due):
            is_last = index + 1 == len(due) or due[index + 1].place != event.place
            if is_last:
                self._place = event.place
            text += self.form.event(event, self._id)
            if len(text) > PIECE:
                await self._push(text, send)
                text = ""
        if text:
            await self._push(text, send)

    async def _push(self, text: str, send: Send) -> None:
        self._sent_at = time.monotonic()
        self._is_silent = False
        await push(send, text)

    @property
    def _id(self) -> str:
        return events.cursor(self.gateway.epoch, self._place)


def resumed(asked: str, newest: Newest, topics: Iterable[str]) -> tuple[Place, bool]:
    """
    Where to go on after an id, and whether all that came after it is still there.

    Facts are kept for good, what is on free channels for a day: of that, what is left is
    sent. An id of another life of the database names no place: then it is the end.
    """
    try:
        place = events.place_of(asked, newest.position)
    except (Invalid, Gone):
        return newest.place, False
    return place, place >= newest.horizon or all(map(channels.is_projection, topics))


def lost() -> Failure:
    message = "Not all that came after the last event is known any more."
    return Failure(CHANNEL_CONTINUITY_LOST, message, 404)


async def rewound(db: Db, listener: Listener, rewind: Rewind, end: Place) -> Place | None:
    """The place before the messages that are asked for; None if there are none."""
    start = EVER[0] if rewind.age is None else datetime.now(UTC) - rewind.age
    span = Span(before=log.just_after(end), start=start, count=rewind.most, is_backwards=True)
    found = await log.messages(db, listener.topic, span)
    return Place(found[-1].tx, found[-1].id - 1) if found else None


def shown(listener: Listener, items: Sequence[Item]) -> list[Event]:
    """Items of the log as the channel shows them."""
    found = []
    epoch = listener.stream.gateway.epoch
    for item in items:
        message = message_of(item, listener.topic, epoch)
        if message is not None:
            is_presence = isinstance(item, Entry) and item.action != 0
            found.append(listener.event(item.place, message, is_presence))
    return found


def place_of(event: Event) -> Place:
    return event.place
