"""What of the log clients get to see: stored items as the messages on the wire."""

from datetime import datetime

import msgspec

from pullse.gateway.log import Entry, Item
from pullse.gateway.wire import Message, Version, milliseconds
from pullse.kit.events import Fact, Place
from pullse.realtime.projection import messages


class Dated(msgspec.Struct):
    at: datetime


def serial_of(epoch: int, place: Place) -> str:
    """Of a message: sorts as text as the places do."""
    return f"{place.tx:016d}-{place.id:016d}@{epoch}"


def message_of(item: Item, topic: str, epoch: int) -> Message | None:
    """The item as the topic shows it; None for a fact that is not shown there."""
    if isinstance(item, Entry):
        return message_of_entry(item, epoch)
    return projected(item, epoch).get(topic)


def message_of_entry(entry: Entry, epoch: int) -> Message:
    content = entry.content
    timestamp = milliseconds(entry.at)
    if entry.action:
        return Message(
            entry.message_id,
            data=content.data,
            encoding=content.encoding,
            client_id=content.client_id,
            connection_id=content.connection_id,
            timestamp=timestamp,
            extras=content.extras,
            action=entry.action,
        )
    serial = serial_of(epoch, entry.place)
    return Message(
        entry.message_id,
        content.name,
        content.data,
        content.encoding,
        content.client_id,
        content.connection_id,
        timestamp,
        content.extras,
        0,
        serial,
        Version(serial, timestamp),
    )


def projected(fact: Fact, epoch: int) -> dict[str, Message]:
    """By channel, what a fact becomes there."""
    timestamp = milliseconds(msgspec.json.decode(fact.body, type=Dated).at)
    serial = serial_of(epoch, fact.place)
    return {
        each.channel: Message(
            each.id,
            each.name,
            each.data,
            "json",
            timestamp=timestamp,
            action=0,
            serial=serial,
            version=Version(serial, timestamp),
        )
        for each in messages(fact)
    }
