"""A client of the stream that comes back with the last cursor it has seen."""

import asyncio
import contextlib
import json

from bench.chaos.http import BROKEN, Connection


class Subscriber:
    """`ids` are the facts in the order they came; `came_back`: connections after the first."""

    def __init__(self, port: int, cursor: str) -> None:
        self.ids: list[int] = []
        self.came_back = -1
        self.was_told_to_start_over = False
        self._port = port
        self._cursor = cursor

    async def run(self) -> None:
        while True:
            with contextlib.suppress(*BROKEN):
                await self._listen()
            await asyncio.sleep(0.1)

    async def _listen(self) -> None:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": self._cursor}
        event: dict[str, str] = {}
        async for line in Connection(self._port).lines("/api/events", headers):
            if line:
                name, _, value = line.partition(":")
                event[name] = value.strip()
                continue
            if "retry" in event:
                self.came_back += 1
            self._take(event)
            event = {}

    def _take(self, event: dict[str, str]) -> None:
        """A whole event, ended by its blank line."""
        if event.get("event") == "start_over":
            self.was_told_to_start_over = True
        elif "data" in event:
            self.ids.append(json.loads(event["data"])["id"])
        self._cursor = event.get("id", self._cursor)
