"""
Ably as the forwarder sees it: one channel that takes a message in the end, whatever happens.

The only module that touches the official SDK, whose types are `Any` here. Trouble is told
once for each change of state, and the key is never logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import random
from dataclasses import dataclass
from typing import Any

from pullse.errors import Unavailable
from pullse.kit.db import Database, Struct
from pullse.realtime.projection import PRIVATE, SHARED, Message
from pullse.settings import Ably

log = logging.getLogger(__name__)

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


class Outlet:
    """
    One channel at Ably, and those of its kind that are private to teams, with a client of its
    own so that no trouble is shared.
    """

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
                await self._client.channels.get(message.channel).publish(as_sdk_takes(message))
        except Exception as error:
            log.debug("%s on %s: %s", message.id, self.channel, type(error).__name__)
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
        was_in_trouble = self._troubles.pop(channel, None) is not None
        if was_in_trouble or (self._shown is not None and not self._troubles):
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


async def check(settings: Ably, pace: Pace = PACE) -> dict[str, Trouble]:
    """
    What Ably has against the key, by channel; empty when it may publish on all of ours.

    Asks for a token, which shows what the key may do and publishes nothing.
    """
    try:
        async with asyncio.timeout(pace.answer):
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
    said = str(getattr(error, "message", "") or error) or type(error).__name__
    said = " ".join(said.replace(secret, "…").split()).rstrip(".")[:300]
    if not is_answer(error):
        kind = type(error).__name__
        what = said if said == kind else f"{kind}: {said}"
        return Trouble("unreachable", f"Ably can't be reached ({what}); trying again", False)
    status, code = getattr(error, "status_code", 0), getattr(error, "code", 0)
    kind = f"{status} {code}"
    if code == 40160:
        text = (
            f"Ably's key may not publish: {said} (40160); give the key in ABLY_API_KEY the "
            f"capability publish on {' and '.join(SHARED)}, and on {PRIVATE}* for private teams"
        )
        return Trouble(kind, text, True)
    if status in (401, 403):
        return Trouble(kind, f"Ably refuses the key: {said} ({code}); check ABLY_API_KEY", True)
    return Trouble(kind, f"Ably answers {status}: {said} ({code}); trying again", False)
