"""
The forwarder to Ably: every fact, in the order of the feed, with the fact's id as message id.

One process leads, by a session lock that is lost with its connection. Its cursor moves
only after Ably's word on both channels, so a broken network delays and never drops; what is
published twice is one message by its id. docs/decisions/0006-ably-forwarder.md has the reasons.
"""

import asyncio
import contextlib
import importlib
import logging
import random
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from pullse.errors import Unavailable
from pullse.kit import events
from pullse.kit.db import Database, Db, Struct
from pullse.kit.events import Fact, Place
from pullse.kit.tail import Follower, Tail
from pullse.realtime.projection import SHARED, Message, shared
from pullse.settings import Ably

log = logging.getLogger(__name__)

LOCK = 0x61626C79  # "ably"
PAGE = 200
TOLD_AFTER = 3
"""Failures in a row before trouble is told; a refusal is told at once."""


@dataclass(frozen=True)
class Pace:
    """Seconds. `answer` is for one host; the SDK may try three of Ably's."""

    first: float = 0.2
    longest: float = 30.0
    refused: float = 10.0
    answer: float = 10.0
    save: float = 0.1
    election: float = 1.0
    alive: float = 5.0
    net: float = 5.0


PACE = Pace()


class Trouble(Struct, frozen=True):
    """Why Ably took no message. `kind` tells changes apart, `text` is for people."""

    kind: str
    text: str
    is_refusal: bool


class Reader(Struct, frozen=True):
    tx: int
    id: int
    error: str | None


async def forward(database: Database, tail: Tail, settings: Ably, pace: Pace = PACE) -> None:
    """For ever: publish what is new while this process leads, else wait to lead. Ends with the tail."""
    hush()
    while not tail.is_closed:
        try:
            await begin(database)
            async with database.own_session() as (db, connection):
                await elected(db, pace)
                await either(alive(db, connection, pace), lead(database, tail, settings, pace))
        except Unavailable as error:
            log.debug("The forwarder to Ably waits: %s", error)
        if not tail.is_closed:
            await asyncio.sleep(pace.election)


async def check(settings: Ably, pace: Pace = PACE) -> dict[str, Trouble]:
    """
    What Ably has against the key, by channel; empty when it may publish on all of ours.

    Asks for a token, which shows what the key may do and publishes nothing.
    """
    try:
        async with asyncio.timeout(pace.answer * 3):
            client = await connect(settings, pace)
            async with client:
                token = await client.auth.request_token()
    except Exception as error:
        return dict.fromkeys(SHARED, trouble_of(error, settings))
    return {
        channel: Trouble(
            f"capability {channel}",
            f"Ably's key may not publish on {channel}; give the key in ABLY_API_KEY the "
            f"capability publish on {' and '.join(SHARED)}",
            is_refusal=True,
        )
        for channel in SHARED
        if not may_publish(dict(token.capability), channel)
    }


def may_publish(capability: dict[str, list[str]], channel: str) -> bool:
    granted = [capability.get(resource, ()) for resource in (channel, "*", "[*]*")]
    return any("publish" in operations or "*" in operations for operations in granted)


# -- leading --


async def begin(database: Database) -> None:
    """The first time ever, start at the feed's end: old history is not news."""
    async with database.session() as db:
        if await db.maybe(Reader, "SELECT tx, id, error FROM readers WHERE name = 'ably'") is None:
            end = (await events.end(db)).place
            await db.run(
                """
                INSERT INTO readers (name, tx, id) VALUES ('ably', $1, $2)
                ON CONFLICT ON CONSTRAINT readers_named_once DO NOTHING
                """,
                end.tx,
                end.id,
            )


async def elected(db: Db, pace: Pace) -> None:
    """Return when this session holds the lock; the server notices within half a minute if we vanish."""
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
    outlets = [Outlet(channel, settings, pace, condition) for channel in SHARED]
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
        for outlet in outlets:
            await outlet.close()
        await cursor.save_soon()


async def deliver(
    facts: Sequence[Fact], outlets: "Sequence[Outlet]", cursor: "Cursor", pace: Pace
) -> None:
    """Publish a page, the channels side by side; the cursor follows the slower one."""
    found = [(fact.place, {each.channel: each for each in shared(fact)}) for fact in facts]
    reached = {outlet.channel: cursor.place for outlet in outlets}

    async def publish(outlet: Outlet) -> None:
        for place, by_channel in found:
            message = by_channel.get(outlet.channel)
            if message is not None:
                await outlet.publish(message)
            reached[outlet.channel] = place

    publishing = {asyncio.ensure_future(publish(outlet)) for outlet in outlets}
    waiting = publishing
    try:
        while waiting:
            done, waiting = await asyncio.wait(waiting, timeout=pace.save)
            for task in done:
                task.result()
            cursor.place = min(reached.values())
            await cursor.save_if_due()
    finally:
        await cancelled(publishing)
        cursor.place = min(reached.values())


async def idle(
    follower: Follower, cursor: "Cursor", condition: "Condition", settings: Ably, pace: Pace
) -> None:
    """Wait for facts; meanwhile write the cursor down, and see whether a refused key is well again."""
    await follower.take(pace.net if cursor.is_saved else pace.save)
    await cursor.save_if_due()
    if condition.is_refused and time.monotonic() > condition.looked_at + pace.refused:
        await look_at_key(condition, settings, pace)


async def look_at_key(condition: "Condition", settings: Ably, pace: Pace) -> None:
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


class Condition:
    """What keeps Ably from taking messages, told once for each change: log and `readers.error`."""

    def __init__(self, database: Database, shown: str | None) -> None:
        self.looked_at = 0.0
        self.recovered = asyncio.Event()
        self._database = database
        self._troubles: dict[str, Trouble] = {}
        self._shown = shown
        self._logged: set[str] = set()

    @property
    def is_refused(self) -> bool:
        return any(trouble.is_refusal for trouble in self._troubles.values())

    async def failed(self, channel: str, trouble: Trouble) -> None:
        self._troubles[channel] = trouble
        await self._tell()

    async def worked(self, channel: str) -> None:
        if self._troubles.pop(channel, None) is not None:
            await self._tell()
        elif self._shown is not None and not self._troubles:
            await self._tell()

    def recover(self) -> None:
        """Wake whoever pauses: one channel works again, so the other is worth a try."""
        self.recovered.set()
        self.recovered = asyncio.Event()

    async def _tell(self) -> None:
        found = {trouble.kind: trouble.text for trouble in self._troubles.values()}
        for kind in found.keys() - self._logged:
            log.error("%s", found[kind])
        if self._logged and not found:
            log.info("Ably takes messages again")
        self._logged = set(found)
        text = ". ".join(found.values()) or None
        if text == self._shown:
            return
        with contextlib.suppress(Unavailable):
            async with self._database.session() as db:
                await db.run("UPDATE readers SET error = $1 WHERE name = 'ably'", text)
            self._shown = text


# -- publishing --


class Outlet:
    """One channel at Ably, with a client of its own so that no trouble is shared."""

    def __init__(self, channel: str, settings: Ably, pace: Pace, condition: Condition) -> None:
        self.channel = channel
        self._settings = settings
        self._pace = pace
        self._condition = condition
        self._client: Any = None

    async def publish(self, message: Message) -> None:
        """Return when Ably has acknowledged it; try for ever, ever more slowly."""
        failures = 0
        while True:
            trouble = await self._try(message)
            if trouble is None:
                break
            failures += 1
            if trouble.is_refusal or failures >= TOLD_AFTER:
                await self._condition.failed(self.channel, trouble)
            await self._pause(failures, trouble)
        if failures:
            self._condition.recover()
        await self._condition.worked(self.channel)

    async def _try(self, message: Message) -> Trouble | None:
        try:
            async with asyncio.timeout(self._pace.answer * 3):
                if self._client is None:
                    self._client = await connect(self._settings, self._pace)
                await self._client.channels.get(self.channel).publish(as_sdk_takes(message))
        except Exception as error:
            log.debug("Publishing %s on %s failed: %s", message.id, self.channel, type(error).__name__)
            if not is_answer(error):
                await self.close()  # its connections may be dead without knowing it
            return trouble_of(error, self._settings)
        return None

    async def _pause(self, failures: int, trouble: Trouble) -> None:
        pause = min(self._pace.longest, self._pace.first * 2 ** min(failures - 1, 20))
        if trouble.is_refusal:
            pause = max(pause, self._pace.refused)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause * random.uniform(0.5, 1)):  # noqa: S311 -- no secret
                await self._condition.recovered.wait()

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(2):
                    await client.close()


async def connect(settings: Ably, pace: Pace) -> Any:
    """
    A client of the official SDK. Made in a thread: it is imported with the first one, and each
    reads the system's certificates, 150 ms and 40 ms that would hold up every request.
    """
    return await asyncio.to_thread(_client, settings, pace)


def _client(settings: Ably, pace: Pace) -> Any:
    options: dict[str, Any] = {
        "tls": settings.tls,
        "use_binary_protocol": False,
        "http_open_timeout": min(4.0, pace.answer),
        "http_request_timeout": pace.answer,
    }
    if settings.host:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        options |= {"endpoint": host, "fallback_hosts": []}
    if settings.port:
        options["tls_port" if settings.tls else "port"] = settings.port
    if not settings.tls:
        options["use_token_auth"] = True  # the SDK refuses to send a key in the clear (40103)
    return importlib.import_module("ably").AblyRest(settings.key, **options)


def as_sdk_takes(message: Message) -> Any:
    """The data is JSON text already, so its encoding is named and the SDK passes it through."""
    made: Any = importlib.import_module("ably.types.message").Message
    return made(name=message.name, data=message.data, id=message.id, encoding="json")


def hush() -> None:
    """What the SDK has to say we say ourselves, once; its details would show key and tokens."""
    logging.getLogger("ably").setLevel(logging.CRITICAL + 1)
    for name in ("httpx", "httpcore", "hpack"):
        logging.getLogger(name).setLevel(logging.WARNING)


def is_answer(error: Exception) -> bool:
    """Did Ably answer, if only to refuse? The SDK's own errors have a status and a code."""
    return isinstance(getattr(error, "status_code", None), int) and hasattr(error, "code")


def trouble_of(error: Exception, settings: Ably) -> Trouble:
    _, _, secret = settings.key.partition(":")
    said = (str(getattr(error, "message", "") or error) or type(error).__name__).replace(secret, "…")
    said = " ".join(said.split()).rstrip(".")[:300]
    if not is_answer(error):
        kind = type(error).__name__
        what = said if said == kind else f"{kind}: {said}"
        return Trouble("unreachable", f"Ably can't be reached ({what}); trying again", False)
    status, code = getattr(error, "status_code", 0), getattr(error, "code", 0)
    kind = f"{status} {code}"
    if code == 40160:
        text = (
            f"Ably's key may not publish: {said} (40160); give the key in ABLY_API_KEY the "
            f"capability publish on {' and '.join(SHARED)}"
        )
        return Trouble(kind, text, True)
    if status in (401, 403):
        return Trouble(kind, f"Ably refuses the key: {said} ({code}); check ABLY_API_KEY", True)
    return Trouble(kind, f"Ably answers {status}: {said} ({code}); trying again", False)


async def either(*works: Coroutine[Any, Any, None]) -> None:
    """Run them side by side until the first ends, and end as it did."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await cancelled(tasks)


async def cancelled(tasks: Any) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
