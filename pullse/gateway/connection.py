"""
One client's connection: a session of the protocol over a WebSocket.

Frames are worked through in order by one task, which lives only while there are some. What
is published together in one read goes to the log in one statement, and is acknowledged in
its order. When the database is away, the client is told to come back, and sends again what
was not acknowledged.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from pullse.errors import Unavailable
from pullse.gateway import attachment as attaching
from pullse.gateway import channels, connections, presence
from pullse.gateway.attachment import Attachment, Wish
from pullse.gateway.auth import Credentials, Identity
from pullse.gateway.errors import (
    BAD_REQUEST,
    DISCONNECTED,
    INCOMPATIBLE,
    INTERNAL,
    TOKEN_EXPIRED,
    TOO_MANY_CHANNELS,
    UNAVAILABLE,
    UNKNOWN_CONNECTION,
    Failure,
)
from pullse.gateway.greeting import greet, tell_connected
from pullse.gateway.saying import change_presence, publish
from pullse.gateway.service import not_capable
from pullse.gateway.wire import (
    JSON,
    MESSAGES_AT_MOST,
    MSGPACK,
    Action,
    Flag,
    Incoming,
    Outgoing,
)
from pullse.kit import events
from pullse.kit.websockets import Socket, Upgrade, frame

if TYPE_CHECKING:
    from pullse.gateway.sessions import Sessions

log = logging.getLogger(__name__)

CHANNELS_AT_MOST = 1_000
INBOX_AT_MOST = 200
BYTES_AT_MOST = 1_000_000
"""Frames, and bytes of them, that wait; then no more is read until they are done."""
TOGETHER = 100
"""Frames of a kind that are done at once."""
IDLE = 15_000
"""Milliseconds of silence after which a client is told that we are still here."""
IDLE_AT_LEAST, IDLE_AT_MOST = 5_000, 1_800_000
REMAIN_AT_LEAST, REMAIN_AT_MOST = 1_000, 120_000
RENEW = 30
"""Seconds before the end of a token at which its client is asked for a new one."""
BEHIND = 256_000
"""Bytes that may wait to be sent while the past is read for a client."""
HELD_AT_MOST = 50
LARGE = 4_000
"""Frames of less than this many bytes that are sent in one piece."""
PING = b"\x89\x00"


class Connection:
    """A `kit.websockets.Session`."""

    __slots__ = (
        "_bytes",
        "_inbox",
        "_is_paused",
        "_room",
        "_syncs",
        "_task",
        "ahead",
        "attachments",
        "echoes",
        "format",
        "gateway",
        "headers",
        "held",
        "id",
        "identity",
        "idle",
        "is_asked",
        "is_open",
        "past",
        "query",
        "remain",
        "secret",
        "sent_at",
        "sessions",
        "socket",
        "waiting",
    )

    def __init__(self, sessions: Sessions, socket: Socket, upgrade: Upgrade) -> None:
        self.sessions = sessions
        self.gateway = sessions.gateway
        self.socket = socket
        self.headers = dict(upgrade.headers)
        self.query = dict(parse_qsl(upgrade.query.decode("latin-1"), keep_blank_values=True))
        self.format = MSGPACK if self.query.get("format") == "msgpack" else JSON
        self.echoes = self.query.get("echo") != "false"
        self.idle = bounded(self.query.get("heartbeatInterval"), IDLE, IDLE_AT_LEAST, IDLE_AT_MOST)
        self.remain = bounded(
            self.query.get("remainPresentFor"),
            connections.REMAIN,
            REMAIN_AT_LEAST,
            REMAIN_AT_MOST,
        )
        self.id = ""
        self.secret = ""
        self.identity: Identity
        self.attachments: dict[str, Attachment] = {}
        self.is_open = True
        self.is_asked = False
        self.sent_at = time.monotonic()
        self._inbox: deque[Incoming] = deque()
        self._bytes = 0
        self.ahead = 0.0
        self._task: asyncio.Task[None] | None = None
        self._is_paused = False
        self._room: asyncio.Event | None = None
        self._syncs = 0
        self.held: list[bytes] = []
        """Frames that are sent with the next, or by `flush`."""
        self.past = asyncio.Lock()
        """Of one channel at a time, so that only that much of it is in memory."""
        self.waiting = 0
        """Characters of what waits until the past is sent."""

    # What the socket calls

    def opened(self) -> None:
        self._task = asyncio.create_task(self._guarded(greet(self)))

    def received(self, data: str | bytes) -> None:
        if not self.is_open:
            return
        try:
            if isinstance(data, bytes) != self.format.is_binary:
                raise Failure(BAD_REQUEST, f"This connection speaks {self.format.name}.")
            incoming = self.format.incoming(data)
        except Failure as failure:
            self.fail(failure)
            return
        if incoming.action == Action.HEARTBEAT and self.id:
            self._beat_back(incoming)
            return
        self._inbox.append(incoming)
        self._bytes += len(data)
        is_full = len(self._inbox) > INBOX_AT_MOST or self._bytes > BYTES_AT_MOST
        if is_full and not self._is_paused:
            self._is_paused = True
            self.socket.pause()
        if self._task is None:
            self._task = asyncio.create_task(self._guarded(self._work()))

    def closing(self) -> None:
        self.disconnect(Failure(DISCONNECTED, "The server restarts; come back in a moment.", 503))

    def closed(self) -> None:
        """However it ended; the connection can be resumed if it was not closed by its client."""
        self.is_open = False
        self.drained()
        self._inbox.clear()
        for each in self.attachments.values():
            self.gateway.hub.leave(each.topic, each)
        self.attachments = {}
        self.sessions.remove(self)

    def drained(self) -> None:
        """The client has taken what waited for it, or is gone."""
        if self._room is not None:
            self._room.set()
            self._room = None

    # What is sent

    def write(self, frame: bytes) -> None:
        if self.held:
            frame, self.held = b"".join([*self.held, frame]), []
        self.sent_at = time.monotonic()
        self.socket.send(frame)

    def hold(self, frame: bytes) -> None:
        """Send it with those that are about to come: one write is much less work than many."""
        if len(self.held) < HELD_AT_MOST and len(frame) < LARGE:
            self.held.append(frame)
        else:
            self.write(frame)

    def flush(self) -> None:
        if self.held:
            self.write(b"")

    def send(self, outgoing: Outgoing) -> None:
        body: bytes = self.format.encode(outgoing)
        self.write(frame(body if self.format.is_binary else body.decode()))

    def beat(self, now: float) -> None:
        """Called each second: who heard nothing for a while hears that we are here."""
        if (now - self.sent_at) * 1000 >= self.idle:
            if self.query.get("heartbeats") == "false":
                self.write(PING)
            else:
                self.send(Outgoing(Action.HEARTBEAT))
        expires = self.identity.expires
        if expires is None:
            return
        left = expires / 1000 - time.time()
        if left <= 0:
            self.disconnect(Failure(TOKEN_EXPIRED, "The token has expired."))
        elif left <= RENEW and not self.is_asked:
            self.ask_for_token()

    def check(self) -> None:
        """
        May it still go on? A right that was taken away ends it, and its members leave at once,
        if its client is not back by then.
        """
        keyring = self.gateway.keyring
        try:
            keyring.check(self.identity)
        except Failure as failure:
            self.remain = 0
            self.disconnect(failure)
            return
        if keyring.is_to_renew(self.identity) and not self.is_asked:
            self.ask_for_token()

    def _beat_back(self, incoming: Incoming) -> None:
        self.send(Outgoing(Action.HEARTBEAT, id=incoming.id))

    def mind_the_end(self) -> None:
        """Who comes with a token that is about to end is not asked for another at once."""
        expires = self.identity.expires
        self.is_asked = expires is not None and expires / 1000 - time.time() <= RENEW

    def ask_for_token(self) -> None:
        self.is_asked = True
        self.send(Outgoing(Action.AUTH))

    def disconnect(self, failure: Failure) -> None:
        """The client may come back and resume."""
        self._finish(Outgoing(Action.DISCONNECTED, error=failure.info))

    def fail(self, failure: Failure) -> None:
        """The client may not come back like this."""
        self._finish(Outgoing(Action.ERROR, error=failure.info))

    def _finish(self, outgoing: Outgoing) -> None:
        if self.is_open:
            self.send(outgoing)
            self.is_open = False
            self.socket.close()
            self.drained()

    async def taken(self) -> None:
        """Until the client has taken most of what was sent."""
        while self.is_open and self.socket.unsent > BEHIND:
            self._room = self._room or asyncio.Event()
            await self._room.wait()

    def new_sync(self) -> str:
        self._syncs += 1
        return f"{self.id}-{self._syncs}"

    # The work

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Failure as failure:
            self.fail(failure)
        except Unavailable as error:
            self.disconnect(Failure(UNAVAILABLE, str(error)))
        except Exception:
            log.exception("A connection of the gateway failed")
            self.disconnect(Failure(INTERNAL, "Something went wrong on our side.", 500))
        finally:
            self._task = None
            if not self.is_open:
                self.sessions.remove(self)
            elif self._inbox:
                self._task = asyncio.create_task(self._guarded(self._work()))

    async def _work(self) -> None:
        while self._inbox and self.is_open:
            incoming = self._inbox.popleft()
            await self._do(incoming)
            if not self._inbox:
                self._bytes = 0
                if self._is_paused:
                    self._is_paused = False
                    self.socket.resume()

    async def _do(self, incoming: Incoming) -> None:
        match incoming.action:
            case Action.MESSAGE:
                await publish(self, self._with_more(incoming))
            case Action.ATTACH:
                await self._attach_all(self._with_more(incoming))
            case Action.DETACH:
                await self._detach(incoming)
            case Action.PRESENCE:
                await change_presence(self, incoming)
            case Action.SYNC:
                await self._synchronize(incoming)
            case Action.AUTH:
                await self._authenticate(incoming)
            case Action.HEARTBEAT:  # from before it was connected
                self._beat_back(incoming)
            case Action.CLOSE:
                await self._close()
            case Action.DISCONNECT:
                self.is_open = False
                self.socket.close()
            case action if not 0 <= action <= 21:
                raise Failure(BAD_REQUEST, f"There is no action {action}.")

    def _with_more(self, first: Incoming) -> list[Incoming]:
        """It and those of the same kind that follow, with as many messages as one may have."""
        found, count = [first], len(first.messages or ())
        while self._inbox and self._inbox[0].action == first.action and len(found) < TOGETHER:
            count += len(self._inbox[0].messages or ())
            if count > MESSAGES_AT_MOST:
                break
            found.append(self._inbox.popleft())
        return found

    # Channels

    async def _attach_all(self, frames: list[Incoming]) -> None:
        """Side by side; frames for one channel one after the other."""
        while frames and self.is_open:
            first: dict[str | None, Incoming] = {}
            for each in frames:
                first.setdefault(each.channel, each)
            await asyncio.gather(*map(self._attach, first.values()))
            frames = [each for each in frames if first[each.channel] is not each]

    async def _attach(self, incoming: Incoming) -> None:
        if not self.is_open:  # nobody would leave again what it joins
            return
        try:
            wish = attaching.wish_of(incoming, self)
            known = self.attachments.get(wish.channel.asked)
            if known is not None:
                self._attach_again(known, wish)
                return
            if len(self.attachments) >= CHANNELS_AT_MOST:
                raise Failure(
                    TOO_MANY_CHANNELS, f"At most {CHANNELS_AT_MOST} channels on a connection."
                )
        except Failure as failure:
            await self._fail_channel(incoming.channel or "", failure)
            return
        attachment = self.attachments[wish.channel.asked] = Attachment(self, wish)
        self.gateway.hub.join(wish.topic, attachment)
        await attaching.attach(attachment, wish)

    def _attach_again(self, known: Attachment, wish: Wish) -> None:
        """Other modes, or only to be sure; nothing was missed."""
        known.wanted, known.modes = wish.wanted, wish.modes
        self.gateway.hub.changed.add(known.topic)
        self.send(
            Outgoing(
                Action.ATTACHED,
                channel=known.asked,
                channel_serial=events.cursor(self.gateway.epoch, known.place),
                flags=wish.modes | Flag.RESUMED,
                params=attaching.confirmed(wish.params),
            )
        )

    async def _fail_channel(self, channel: str, failure: Failure) -> None:
        await self._left(channel)
        self.send(Outgoing(Action.ERROR, channel=channel, error=failure.info))

    async def _detach(self, incoming: Incoming) -> None:
        await self._left(incoming.channel or "")
        self.send(Outgoing(Action.DETACHED, channel=incoming.channel or ""))

    async def _left(self, channel: str) -> None:
        """Nothing comes any more, and this connection's members are not there any more."""
        attached = self.attachments.pop(channel, None)
        if attached is not None:
            self.gateway.hub.leave(attached.topic, attached)
            await self._leave_presence(attached)

    async def _leave_presence(self, attached: Attachment) -> None:
        async with self.gateway.database.session() as db:
            await presence.leave_channel(db, self.id, attached.topic)
        self.gateway.tail.wake()

    async def _synchronize(self, incoming: Incoming) -> None:
        attached = self.attachments.get(incoming.channel or "")
        if attached is not None and attached.modes & Flag.PRESENCE_SUBSCRIBE:
            await attaching.synchronize(attached)

    # The connection itself

    async def _authenticate(self, incoming: Incoming) -> None:
        """Other credentials on the same connection; the client stays who it is."""
        token = (incoming.auth or {}).get("accessToken")
        if not isinstance(token, str):
            raise Failure(BAD_REQUEST, "auth.accessToken: missing.")
        client_id = self.identity.client_id
        asked = None if client_id == "*" else client_id
        identity = await self.gateway.keyring.identify(Credentials(None, token, asked))
        if identity.app != self.identity.app:
            raise Failure(INCOMPATIBLE, "These credentials are of another app.")
        self.identity = identity
        self.mind_the_end()
        tell_connected(self)
        for each in tuple(self.attachments.values()):
            await self._check_rights(each)

    async def _check_rights(self, attached: Attachment) -> None:
        """After other credentials: an attachment may be for more, for less, or for nothing."""
        name = channels.parse(attached.asked).name
        modes = attaching.granted(attached.wanted, self.identity.capability.ops(name))
        lost = attached.modes & ~modes
        attached.modes = modes
        self.gateway.hub.changed.add(attached.topic)
        if not modes:
            failure = not_capable("being attached", attached.asked)
            await self._fail_channel(attached.asked, failure)
        elif Flag.PRESENCE in lost:
            await self._leave_presence(attached)

    async def _close(self) -> None:
        """For good: members leave at once, and nobody resumes it."""
        await self.sessions.close(self)
        self.send(Outgoing(Action.CLOSED))
        self.is_open = False
        self.socket.close()

    def taken_over(self) -> None:
        """Somebody else has this connection now."""
        self.disconnect(Failure(UNKNOWN_CONNECTION, "The connection goes on elsewhere."))


def bounded(text: str | None, usual: int, least: int, most: int) -> int:
    if text is None or not (text.isascii() and text.isdigit() and len(text) < 10):
        return usual
    return min(max(int(text), least), most)
