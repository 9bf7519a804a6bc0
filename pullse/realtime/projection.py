"""
What each fact becomes on the channels: the forwarder to Ably and the built-in gateway agree here.

Pure and deterministic: the same fact gives the same messages with the same ids, whoever
publishes it and however often, so that publishing twice is publishing once.
"""

from typing import Any

import msgspec

from pullse.kit.db import Struct
from pullse.kit.events import Fact

UPDATES = "tickets-updates"
ACTIVITY = "tickets-activity"
SHARED = (UPDATES, ACTIVITY)
"""The channels that Ably gets too; `ticket:<id>` is the built-in gateway's alone."""

PRIVATE = "private:"
"""What happens in a private team is on channels of its own, `private:<team>:…`, and no others:
so it is a capability that says who gets it, at Ably too."""

CONFIDENTIAL = ("token.", "audit")
"""How the names of facts begin that are for those with audit:read, and on no channel."""

BYTES_AT_MOST = 60_000
"""Ably refuses a message of more than 65,536 bytes of name, data and extras (TM6, code 40009)."""
LARGE = 1_000
"""Characters from which on a text is left out of a fact that is too large."""


class Message(Struct, frozen=True):
    """`data` is the text of a JSON object; `id` is the fact's."""

    channel: str
    name: str
    id: str
    data: str

    @property
    def kind(self) -> str:
        """Of a shared channel, which of SHARED it is for all or for a team."""
        return self.channel.rpartition(":")[2]


class Ticket(msgspec.Struct):
    """What a fact about a ticket says of it; a purge takes the words out later."""

    number: int | None = None
    title: str | None = None
    status: str | None = None
    priority: str | None = None
    assigned_to: str | None = None
    changes: dict[str, list[Any]] = {}


class Told(msgspec.Struct):
    data: Ticket


def messages(fact: Fact) -> list[Message]:
    """All messages of a fact: the public one if it has any, then the fact itself."""
    found = shared(fact)
    if found and fact.ticket_id is not None:
        told = found[-1]
        channel = f"{circle_of(fact)}ticket:{fact.ticket_id}"
        found.append(Message(channel, told.name, told.id, told.data))
    return found


def shared(fact: Fact) -> list[Message]:
    """Those of `messages` that go to Ably, at most one for each channel."""
    if fact.name.startswith(CONFIDENTIAL):
        return []
    id_, circle = str(fact.id), circle_of(fact)
    found = [Message(f"{circle}{ACTIVITY}", fact.name, id_, fitting(fact.body))]
    public = update(fact)
    if public is not None:
        name, data = public
        body = msgspec.json.encode(data).decode()
        found.insert(0, Message(f"{circle}{UPDATES}", name, id_, body))
    return found


def circle_of(fact: Fact) -> str:
    """How the names of the channels begin that the fact is shown on."""
    return "" if fact.circle is None else f"{PRIVATE}{fact.circle}:"


def update(fact: Fact) -> tuple[str, dict[str, Any]] | None:
    """The public contract: created, deleted, and changed only if the status changed."""
    if fact.name not in ("ticket.created", "ticket.changed", "ticket.deleted"):
        return None
    ticket = msgspec.json.decode(fact.body, type=Told).data
    data: dict[str, Any] = {"ticketId": fact.ticket_id, "number": ticket.number}
    if fact.name == "ticket.deleted":
        return "ticket_deleted", data
    data |= {
        "title": ticket.title,
        "status": ticket.status,
        "priority": ticket.priority,
        "assignedTo": ticket.assigned_to,
    }
    if fact.name == "ticket.created":
        return "ticket_created", data
    if "status" not in ticket.changes:
        return None
    before, after = ticket.changes["status"]
    return "ticket_updated", data | {"status": after, "previousStatus": before}


def fitting(body: str) -> str:
    """
    The body, without its large texts if it is larger than a channel takes.

    A text that is left out is null where it stood, and `data.truncated` says so; whoever
    needs it reads it by HTTP. Should that not do, all of `data` is left out.
    """
    if fits(body):
        return body
    fact = msgspec.json.decode(body)
    fact["data"] = without_large(fact["data"]) | {"truncated": True}
    shorter = msgspec.json.encode(fact).decode()
    if fits(shorter):
        return shorter
    return msgspec.json.encode(fact | {"data": {"truncated": True}}).decode()


def fits(body: str) -> bool:
    return len(body) * 4 <= BYTES_AT_MOST or len(body.encode()) <= BYTES_AT_MOST


def without_large(value: Any) -> Any:
    match value:
        case str() if len(value) > LARGE:
            return None
        case dict():
            return {name: without_large(each) for name, each in value.items()}
        case list():
            return [without_large(each) for each in value]
    return value
