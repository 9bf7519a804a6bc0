"""
One process's part of the gateway, and what REST, event streams and WebSockets share:
publishing and reading with the rights of an `Identity`.
"""

import asyncio
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from pullse.errors import Unavailable
from pullse.gateway import channels, log
from pullse.gateway.auth import Identity, Keyring
from pullse.gateway.errors import (
    BAD_CLIENT_ID,
    NOT_CAPABLE,
    UNAVAILABLE,
    Failure,
)
from pullse.gateway.log import GIVEN, MADE, Draft, Span, Stored
from pullse.gateway.shown import message_of, serial_of
from pullse.gateway.wire import (
    Message,
    Published,
    body_of,
    check_client_id,
    check_ids,
    check_size,
)
from pullse.kit.db import Database, Db
from pullse.kit.events import Place
from pullse.kit.loader import Loader
from pullse.kit.tail import Tail

if TYPE_CHECKING:
    from pullse.gateway.hub import Hub
    from pullse.gateway.sandbox import Sandbox
    from pullse.gateway.sse import Stream


class Receipt(NamedTuple):
    """What a publish gives back: the id without its index, and a serial for each message."""

    message_id: str
    serials: list[str]


class Publisher(NamedTuple):
    """Who publishes: over a connection, or (both None) by REST."""

    identity: Identity
    connection_id: str | None = None
    base_id: str | None = None


class Gateway:
    """Made once for a process; `hub.run` must run beside it."""

    def __init__(
        self,
        database: Database,
        tail: Tail,
        keyring: Keyring,
        hub: "Hub",
        sandbox: "Sandbox | None" = None,
    ) -> None:
        self.database = database
        self.tail = tail
        self.keyring = keyring
        self.hub = hub
        self.epoch = hub.epoch
        self.closing = asyncio.Event()
        """Set when the process is about to end."""
        self.streams: set[Stream] = set()
        """Those that are open."""
        self.sandbox = sandbox
        """What makes apps for tests; None everywhere else."""
        self._appending: Loader[list[Draft], list[Stored]] = Loader(database, append_all)

    async def publish(self, by: Publisher, channel: str, published: Sequence[Published]) -> Receipt:
        """
        Store the messages as one publish, and return when they are safe.

        Repeats (the same ids on the same channel, within 24 h) store nothing and get the
        first one's serials. Raises Failure.
        """
        return await self.append(self.drafted(by, channel, published))

    def drafted(self, by: Publisher, channel: str, published: Sequence[Published]) -> list[Draft]:
        """The checks of a publish, without the database."""
        identity = by.identity
        topic = self.topic(identity, channel, "publish")
        channels.check_free(topic)
        bodies = [
            body_of(each, speaker(identity, each.client_id), by.connection_id) for each in published
        ]
        check_size(bodies)
        check_ids(published)
        base = by.base_id or secrets.token_urlsafe(12)
        return [
            Draft(topic, GIVEN + each.id if each.id else f"{MADE}{base}:{index}", body)
            for index, (each, body) in enumerate(zip(published, bodies, strict=True))
        ]

    async def append(self, drafts: list[Draft]) -> Receipt:
        if not drafts:
            return Receipt("", [])
        try:
            stored = await self._appending.load(drafts)
        except Unavailable as error:
            raise Failure(UNAVAILABLE, str(error)) from error
        self.tail.wake()
        serials = [serial_of(self.epoch, Place(each.tx, each.id)) for each in stored]
        first = drafts[0].once[1:]
        return Receipt(first.rpartition(":")[0] or first, serials)

    def topic(self, identity: Identity, channel: str, operation: str) -> str:
        """Where the channel is stored, if the identity may do this there. Raises Failure."""
        name = channels.parse(channel).name
        topic = identity.topic(name)
        channels.check_topic(topic)
        if not identity.capability.allows(name, operation):
            raise not_capable(operation, channel)
        return topic

    async def history(
        self, identity: Identity, channel: str, span: Span, *, of_presence: bool = False
    ) -> list[tuple[Place, Message]]:
        """A span of what was said, or of who came and went, with the places to page by."""
        topic = self.topic(identity, channel, "history")
        read = log.presence if of_presence else log.messages
        async with self.database.session() as db:
            items = await read(db, topic, span)
        shown = ((each.place, message_of(each, topic, self.epoch)) for each in items)
        return [(place, message) for place, message in shown if message is not None]


def not_capable(operation: str, channel: str) -> Failure:
    return Failure(NOT_CAPABLE, f"The capability does not cover {operation} on {channel[:100]!r}.")


def speaker(identity: Identity, asked: str | None) -> str | None:
    """In whose name a message is published. Raises Failure."""
    if asked is not None:
        check_client_id(asked)
    if identity.client_id in (None, "*"):
        if asked is not None and identity.client_id is None:
            raise Failure(BAD_CLIENT_ID, "clientId: whoever has none may not publish as somebody.")
        return asked
    if asked is not None and asked != identity.client_id:
        raise Failure(BAD_CLIENT_ID, "clientId: not the one that these credentials are for.")
    return identity.client_id


async def append_all(db: Db, batches: Sequence[list[Draft]]) -> list[list[Stored]]:
    """Several publishes in one statement, each in its order."""
    stored = iter(await log.append(db, [draft for batch in batches for draft in batch]))
    return [[next(stored) for _ in batch] for batch in batches]
