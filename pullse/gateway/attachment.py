"""
A connection's attachment to a channel: from where on it gets what, without gap or repeat.

To attach is to join the topic first, then to ask for the end of the log, then to read what
lies between the client's place and that end; what the hub delivers meanwhile waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from pullse.errors import Refusal
from pullse.gateway import channels, log, presence
from pullse.gateway.channels import Channel
from pullse.gateway.errors import (
    BAD_PARAMETER,
    CHANNEL_CONTINUITY_LOST,
    Failure,
)
from pullse.gateway.hub import Attached, Delivery, Held
from pullse.gateway.log import Entry, Item, Span, fitting
from pullse.gateway.service import Gateway, not_capable
from pullse.gateway.shown import message_of
from pullse.gateway.wire import Action, Flag, Incoming, Outgoing
from pullse.kit import events
from pullse.kit.db import Database
from pullse.kit.events import Place

if TYPE_CHECKING:
    from pullse.gateway.connection import Connection

MODES = {
    "presence": Flag.PRESENCE,
    "publish": Flag.PUBLISH,
    "subscribe": Flag.SUBSCRIBE,
    "presence_subscribe": Flag.PRESENCE_SUBSCRIBE,
    "annotation_publish": Flag.ANNOTATION_PUBLISH,
    "annotation_subscribe": Flag.ANNOTATION_SUBSCRIBE,
}
OPERATIONS = {
    Flag.PRESENCE: "presence",
    Flag.PUBLISH: "publish",
    Flag.SUBSCRIBE: "subscribe",
    Flag.PRESENCE_SUBSCRIBE: "subscribe",
    Flag.ANNOTATION_PUBLISH: "annotation-publish",
    Flag.ANNOTATION_SUBSCRIBE: "annotation-subscribe",
}
USUAL = (
    Flag.PRESENCE
    | Flag.PUBLISH
    | Flag.SUBSCRIBE
    | Flag.PRESENCE_SUBSCRIBE
    | Flag.ANNOTATION_PUBLISH
)
"""What a client gets that asks for no modes, as far as its capability goes."""
ALL = USUAL | Flag.ANNOTATION_SUBSCRIBE
READ = int(ALL | Flag.ATTACH_RESUME)
"""What is looked at of a client's flags: Python remembers each combination for ever."""
KNOWN = ("rewind", "modes", "delta")
"""Parameters that are confirmed; of `delta`, clients take whole messages as well."""
WAITING_AT_MOST = 500
CHARACTERS_WAITING = 1_000_000
"""
Deliveries of a channel, and characters in those of all, that wait while the past is read;
what is beyond is read from the log too.
"""
PORTION = 100
PORTION_BYTES = 500_000
"""Messages of the past sent at once, when the client has taken those before."""
PAGE_BYTES = 200_000
"""Of members' data in one SYNC."""


class Wish(NamedTuple):
    """What a client asks for in an ATTACH; `modes` are those wanted that it may have."""

    channel: Channel
    topic: str
    wanted: Flag
    modes: Flag
    params: dict[str, str]
    serial: str | None
    is_again: bool


class Start(NamedTuple):
    """Where an attachment begins, and what was lost on the way."""

    place: Place
    is_resumed: bool
    error: Failure | None


def wish_of(incoming: Incoming, connection: Connection) -> Wish:
    """Raises Failure for what can't be attached to, by this client or at all."""
    channel = channels.parse(incoming.channel or "")
    topic = connection.identity.topic(channel.name)
    channels.check_topic(topic)
    given = {name: str(value) for name, value in (incoming.params or {}).items()}
    params = channel.params | given
    flags = Flag((incoming.flags or 0) & READ)
    wanted = flags & ALL or USUAL
    if "modes" in params:
        wanted = modes_of(params["modes"])
    capability = connection.identity.capability
    allowed = granted(wanted, capability.ops(channel.name))
    if not allowed:
        raise not_capable("attaching", channel.asked)
    is_again = Flag.ATTACH_RESUME in flags
    if not (is_again or incoming.channel_serial):
        channels.rewind_of(params)
    return Wish(channel, topic, wanted, allowed, params, incoming.channel_serial, is_again)


def modes_of(text: str) -> Flag:
    modes = Flag(0)
    for name in text.split(","):
        mode = MODES.get(name.strip().lower())
        if mode is None:
            raise Failure(
                BAD_PARAMETER, f"modes: {name[:50]!r} is none; some of {', '.join(MODES)}."
            )
        modes |= mode
    return modes


def granted(wanted: Flag, operations: Iterable[str]) -> Flag:
    """Those of the modes that a capability of these operations covers."""
    found = set(operations)
    modes = Flag(0)
    for mode, operation in OPERATIONS.items():
        if mode in wanted and (operation in found or "*" in found):
            modes |= mode
    return modes


class Attachment:
    """What a connection gets of one channel."""

    __slots__ = (
        "asked",
        "characters",
        "connection",
        "has_lost",
        "modes",
        "place",
        "topic",
        "waiting",
        "wanted",
    )

    def __init__(self, connection: Connection, wish: Wish) -> None:
        self.connection = connection
        self.topic = wish.topic
        self.asked = wish.channel.asked
        self.wanted = wish.wanted
        self.modes = wish.modes
        self.place = events.START
        self.waiting: list[Delivery] | None = []
        self.characters = 0
        self.has_lost = False

    def deliver(self, delivery: Delivery) -> None:
        if self.waiting is None:
            self.send(delivery, delivery.held)
        elif not self.has_lost:
            self.waiting.append(delivery)
            self.characters += delivery.size
            self.connection.waiting += delivery.size
            if len(self.waiting) > WAITING_AT_MOST or self.connection.waiting > CHARACTERS_WAITING:
                self.take_waiting()
                self.has_lost = True

    def take_waiting(self) -> list[Delivery]:
        """What has waited, which does so no more."""
        waiting, self.waiting = self.waiting or [], []
        self.connection.waiting -= self.characters
        self.characters = 0
        return waiting

    def send(self, delivery: Delivery, held: Held | None = None) -> None:
        """If it is later than the last, and this client wants it; at once, or when all is there."""
        if delivery.place <= self.place:
            return
        self.place = delivery.place
        connection = self.connection
        is_own = delivery.connection_id is not None and delivery.connection_id == connection.id
        if delivery.is_presence:
            if not (is_own or Flag.PRESENCE_SUBSCRIBE in self.modes):
                return
        elif Flag.SUBSCRIBE not in self.modes or (is_own and not connection.echoes):
            return
        frame = delivery.frame(connection.format, self.asked)
        if held is None:
            connection.write(frame)
        else:
            connection.hold(frame)
            held[connection] = None


async def attach(attachment: Attachment, wish: Wish) -> None:
    """Answer ATTACHED, then send the past that is due, who is present, and what waited."""
    connection = attachment.connection
    gateway = connection.gateway
    attached = await gateway.hub.attached(wish.topic)
    start = await begun(gateway.database, attached, wish)
    async with connection.past:
        await begin(attachment, wish, start, attached)


async def begin(attachment: Attachment, wish: Wish, start: Start, attached: Attached) -> None:
    connection = attachment.connection
    gateway = connection.gateway
    end = attached.newest.place
    past = await read_past(gateway, start, wish.topic, end)
    attachment.place = start.place
    has_members = attached.has_members and Flag.PRESENCE_SUBSCRIBE in wish.modes
    connection.send(
        Outgoing(
            Action.ATTACHED,
            channel=attachment.asked,
            # Who resumes has had nothing yet of what lies between.
            channel_serial=events.cursor(gateway.epoch, start.place if start.is_resumed else end),
            flags=wish.modes
            | (Flag.HAS_PRESENCE if has_members else 0)
            | (Flag.HAS_BACKLOG if past.items else 0)
            | (Flag.RESUMED if start.is_resumed else 0),
            params=confirmed(wish.params),
            error=start.error.info if start.error else None,
        )
    )
    await send_past(attachment, past, start, end)
    if has_members:
        await synchronize(attachment)
    await go_live(attachment)


async def go_live(attachment: Attachment) -> None:
    """Send what waited, as the client takes it; from then on what comes goes out at once."""
    connection = attachment.connection
    gateway = connection.gateway
    while connection.is_open and (attachment.waiting or attachment.has_lost):
        waiting = attachment.take_waiting()
        if attachment.has_lost:  # more came than could wait: read it
            attachment.has_lost = False
            end = (await gateway.hub.attached(attachment.topic)).newest.place
            start = Start(attachment.place, True, None)
            past = await read_past(gateway, start, attachment.topic, end)
            await send_past(attachment, past, start, end)
            continue
        for delivery in waiting:
            attachment.send(delivery)
            await connection.taken()
    attachment.waiting = None


def confirmed(params: dict[str, str]) -> dict[str, str]:
    return {name: params[name] for name in KNOWN if name in params}


async def begun(database: Database, attached: Attached, wish: Wish) -> Start:
    newest = attached.newest
    if wish.serial is not None:
        try:
            place = events.place_of(wish.serial, newest.position, field="channelSerial")
        except Refusal as error:
            return Start(newest.place, False, lost(str(error)))
        if place < newest.horizon and not channels.is_projection(wish.topic):
            return Start(newest.place, False, lost("messages of that time are no longer kept"))
        return Start(place, True, None)
    rewind = None if wish.is_again else channels.rewind_of(wish.params)
    if rewind is None or rewind.most == 0:
        return Start(newest.place, False, None)
    span = Span(before=log.just_after(newest.place), count=rewind.most, is_backwards=True)
    if rewind.age is not None:
        span = Span(
            before=span.before,
            start=datetime.now(UTC) - rewind.age,
            count=rewind.most,
            is_backwards=True,
        )
    async with database.session() as db:
        items = await log.messages(db, wish.topic, span)
    if not items:
        return Start(newest.place, False, None)
    oldest = items[-1].place
    return Start(Place(oldest.tx, oldest.id - 1), False, None)


def lost(why: str) -> Failure:
    return Failure(CHANNEL_CONTINUITY_LOST, f"Continuity is lost: {why}", 404)


class Past(NamedTuple):
    """A portion of it, and how many to read next; 0 when this was the last."""

    items: list[Item]
    following: int


async def read_past(
    gateway: Gateway, start: Start, topic: str, end: Place, count: int = PORTION
) -> Past:
    """A portion; who rewinds gets messages, who resumes gets presence too."""
    if start.place >= end:
        return Past([], 0)
    read = log.everything if start.is_resumed else log.messages
    span = Span(after=start.place, before=log.just_after(end), count=count)
    async with gateway.database.session() as db:
        items = await read(db, topic, span)
    kept = fitting(items, PORTION_BYTES)
    return Past(kept, following(len(kept), len(items), count, PORTION))


async def send_past(attachment: Attachment, past: Past, start: Start, end: Place) -> None:
    """Portion by portion, as the client takes them; then the attachment is at `end`."""
    connection = attachment.connection
    gateway = connection.gateway
    while past.items:
        for delivery in deliveries(past.items, attachment.topic, gateway.epoch):
            attachment.send(delivery)
            await connection.taken()
        if not connection.is_open:
            return
        if not past.following:
            break
        after = Start(past.items[-1].place, start.is_resumed, None)
        past = await read_past(gateway, after, attachment.topic, end, past.following)
    attachment.place = max(attachment.place, end)


def following(kept: int, found: int, asked: int, usual: int) -> int:
    """How many to read next, when only some of what was read could be kept; 0: it was all."""
    if kept < found:
        return min(2 * kept, usual)
    return min(2 * asked, usual) if found == asked else 0


def deliveries(items: Sequence[Item], topic: str, epoch: int) -> Iterable[Delivery]:
    for item in items:
        message = message_of(item, topic, epoch)
        if message is not None:
            is_presence = isinstance(item, Entry) and item.action != 0
            yield Delivery(message, item.place, epoch, is_presence=is_presence)


async def synchronize(attachment: Attachment) -> None:
    """Tell who is present, a page at a time."""
    connection = attachment.connection
    gateway = connection.gateway
    after = ("", "")
    name = connection.new_sync()
    count, number = presence.PAGE, 0
    while connection.is_open and count:
        async with gateway.database.session() as db:
            members = await presence.members(db, attachment.topic, limit=count, after=after)
        page = fitting(members, PAGE_BYTES)
        count, number = following(len(page), len(members), count, presence.PAGE), number + 1
        connection.send(
            Outgoing(
                Action.SYNC,
                channel=attachment.asked,
                channel_serial=f"{name}:{number if count else ''}",
                presence=[connection.format.shown(each.shown()) for each in page],
            )
        )
        await connection.taken()
        if page:
            after = (page[-1].client_id, page[-1].connection_id)
