"""
What a client says over its connection: messages, and who is present. Each frame is answered,
in its order, when what it says is safe.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any

from pullse.gateway import connections, presence
from pullse.gateway.errors import (
    BAD_CLIENT_ID,
    BAD_REQUEST,
    NO_CLIENT_ID,
    NO_MODE,
    NOT_ATTACHED,
    TOO_LARGE,
    Failure,
)
from pullse.gateway.log import Draft
from pullse.gateway.presence import Change
from pullse.gateway.service import Publisher, speaker
from pullse.gateway.wire import (
    MESSAGES_AT_MOST,
    Action,
    Flag,
    Incoming,
    Outgoing,
    Presence,
    body_of,
    check_size,
)

if TYPE_CHECKING:
    from pullse.gateway.connection import Connection

RATE = 1_000
BURST = 2_000
"""
Messages that a connection publishes a second, and at once after a pause; of who sends more,
less is read. All channels share one log, so what one says is in the way of all others.
"""
MEMBERS_TOGETHER = 50
"""Members that are written at once: what others say is not shown before that has ended."""
MEMBER = re.compile("[0-9]{1,18}:[0-9]{1,9}")
"""Of the id of what is said of a member: what comes after the connection's."""


async def publish(connection: Connection, frames: list[Incoming]) -> None:
    """Acknowledge each frame in its order, refused ones too."""
    drafted = [draft(connection, each) for each in frames]
    drafts = [each for batch in drafted if isinstance(batch, list) for each in batch]
    try:
        serials = iter((await connection.gateway.append(drafts)).serials)
    except Failure as failure:
        connection.disconnect(failure)
        return
    for incoming, batch in zip(frames, drafted, strict=True):
        if isinstance(batch, Failure):
            refuse(connection, incoming, batch)
        else:
            acknowledge(connection, incoming, [{"serials": [next(serials) for _ in batch]}])
    await rest(connection, len(drafts))


async def rest(connection: Connection, count: int) -> None:
    """After so many messages, until the next ones are due."""
    now = time.monotonic()
    connection.ahead = max(connection.ahead, now - BURST / RATE) + count / RATE
    if connection.ahead > now:
        await asyncio.sleep(connection.ahead - now)


def draft(connection: Connection, incoming: Incoming) -> list[Draft] | Failure:
    try:
        if incoming.msg_serial is None or not incoming.messages:
            raise Failure(BAD_REQUEST, "A MESSAGE has a msgSerial and messages.")
        drafts = connection.gateway.drafted(
            Publisher(
                connection.identity,
                connection.id,
                f"{connection.id}{connections.series(connection.secret)}:{incoming.msg_serial}",
            ),
            incoming.channel or "",
            [connection.format.published(each) for each in incoming.messages],
        )
        check_mode(connection, incoming.channel, Flag.PUBLISH)
        return drafts
    except Failure as failure:
        return failure


def check_mode(connection: Connection, channel: str | None, mode: Flag) -> None:
    """An attachment may have been made for less than the capability covers."""
    attached = connection.attachments.get(channel or "")
    if attached is not None and not attached.modes & mode:
        raise Failure(NO_MODE, f"The channel is attached without the mode {mode.name}.")


def acknowledge(
    connection: Connection, incoming: Incoming, res: list[dict[str, Any]] | None = None
) -> None:
    connection.send(Outgoing(Action.ACK, msg_serial=incoming.msg_serial, count=1, res=res))


def refuse(connection: Connection, incoming: Incoming, failure: Failure) -> None:
    serial = incoming.msg_serial
    connection.send(Outgoing(Action.NACK, msg_serial=serial, count=1, error=failure.info))


async def change_presence(connection: Connection, incoming: Incoming) -> None:
    places = []
    try:
        changes = changes_of(connection, incoming)
        for start in range(0, len(changes), MEMBERS_TOGETHER):
            async with connection.gateway.database.transaction() as db:
                for each in changes[start : start + MEMBERS_TOGETHER]:
                    places.append(await presence.change(db, each))
            connection.gateway.tail.wake()
    except Failure as failure:
        refuse(connection, incoming, failure)
        return
    told = [place for place in places if place is not None]
    if told:  # clients look at once who is there, and go by what they were told
        await connection.gateway.hub.reached(max(told))
    acknowledge(connection, incoming)


def changes_of(connection: Connection, incoming: Incoming) -> list[Change]:
    if incoming.msg_serial is None or not incoming.presence:
        raise Failure(BAD_REQUEST, "A PRESENCE has a msgSerial and members.")
    if len(incoming.presence) > MESSAGES_AT_MOST:
        raise Failure(TOO_LARGE, f"At most {MESSAGES_AT_MOST} members in one frame.")
    attached = connection.attachments.get(incoming.channel or "")
    topic = connection.gateway.topic(connection.identity, incoming.channel or "", "presence")
    if attached is None:
        raise Failure(NOT_ATTACHED, "Presence is for those who are attached to the channel.")
    check_mode(connection, incoming.channel, Flag.PRESENCE)
    changes = []
    for index, raw in enumerate(incoming.presence):
        given = connection.format.published(raw)
        if given.action not in (Presence.PRESENT, Presence.ENTER, 3, Presence.UPDATE):
            raise Failure(BAD_REQUEST, f"There is no action {given.action} of presence.")
        client_id = speaker(connection.identity, given.client_id)
        if client_id is None:
            raise Failure(NO_CLIENT_ID, "Presence needs a clientId.")
        if "\0" in client_id:
            raise Failure(BAD_CLIENT_ID, "clientId: without NUL.")
        id_ = f"{connection.id}:{incoming.msg_serial}:{index}"
        known = (given.id or "").partition(":")
        if known[0] == connection.id and MEMBER.fullmatch(known[2]):
            id_ = "".join(known)  # who enters again after a cut says so by the same id
        body = body_of(given, client_id, connection.id)
        check_size([body])
        changes.append(Change(topic, given.action, client_id, connection.id, id_, body))
    return changes
