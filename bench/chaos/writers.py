"""
Sixteen callers who write at a steady pace, and remember what they were promised.

Half send each write again until it is acknowledged, creates with an Idempotency-Key; the
others ask once and take a broken connection for an answer.
"""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from bench.chaos.http import BROKEN, Connection, NotSent

STATUSES = ("open", "in_progress", "resolved", "closed")
NOBODY, CUT, AWAY = -1, 0, 503


@dataclass(frozen=True)
class Promise:
    """An acknowledged write: the ticket had this status at this version."""

    ticket_id: str
    title: str
    version: int
    status: str


@dataclass
class Ledger:
    """What all writers were told."""

    promises: list[Promise] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    until: float = 0.0
    stops: asyncio.Event = field(default_factory=asyncio.Event)


class Writer:
    def __init__(self, index: int, port: int, ledger: Ledger, *, seconds: float) -> None:
        self._name = f"writer {index}"
        self._insists = index % 2 == 0
        self._ledger = ledger
        self._seconds = seconds
        self._connection = Connection(port)
        self._dice = random.Random(index)
        self._written = 0
        self._own: list[Promise] = []

    async def run(self) -> None:
        """Until told to stop; an insisting writer still brings its last write home."""
        await asyncio.sleep(self._dice.random() * self._seconds)
        while not self._ledger.stops.is_set():
            started = time.monotonic()
            if self._own and self._dice.random() < 0.5:
                await self._change(self._dice.randrange(len(self._own)))
            else:
                await self._create()
            await asyncio.sleep(max(0.0, self._seconds - (time.monotonic() - started)))

    async def _create(self) -> None:
        self._written += 1
        title = f"chaos {self._name} {self._written}"
        body = {"title": title, "description": "It broke."}
        headers = {"Idempotency-Key": title.replace(" ", "-")} if self._insists else {}
        data = await self._write("POST", "/api/tickets", body, headers)
        if data is not None:
            self._own.append(self._promised(data))

    async def _change(self, index: int) -> None:
        known = self._own[index]
        status = self._dice.choice([each for each in STATUSES if each != known.status])
        data = await self._write("PATCH", f"/api/tickets/{known.ticket_id}", {"status": status}, {})
        if data is not None:
            self._own[index] = self._promised(data)

    def _promised(self, data: dict[str, Any]) -> Promise:
        promise = Promise(data["id"], data["title"], data["version"], data["status"])
        self._ledger.promises.append(promise)
        return promise

    async def _write(
        self, method: str, path: str, body: Any, headers: dict[str, str]
    ) -> dict[str, Any] | None:
        """What was acknowledged, or None when nobody knows."""
        counts, attempts = self._ledger.counts, 0
        while True:
            attempts += 1
            try:
                status, answer = await self._connection.call(method, path, body, headers)
            except NotSent:
                status, answer = NOBODY, None
            except BROKEN:
                status, answer = CUT, None
            if status in (200, 201):
                counts["acknowledged"] += 1
                counts["acknowledged after a repeat"] += attempts > 1
                return dict(answer["data"])
            if status not in (NOBODY, CUT, AWAY):
                self._ledger.wrong.append(f"{method} {path} was answered {status}: {answer}")
                return None
            counts[{NOBODY: "found nobody", CUT: "cut off", AWAY: "turned away"}[status]] += 1
            if not self._insists:
                counts["in doubt"] += status != NOBODY
                return None
            await asyncio.sleep(0.1)
