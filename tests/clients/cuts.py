"""A TCP proxy that cuts its connections at the worst moments."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Proxy:
    """Between a client and the server; `cuts` are the connections that it has cut."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.cuts = 0
        self.is_open = True
        self._pairs: set[Pair] = set()

    @property
    def count(self) -> int:
        """Connections through it now."""
        return len(self._pairs)

    async def cut(self, chance: random.Random | None = None) -> int:
        """
        Cut what there is, and say how many connections that were.

        With `chance`, one direction may have been swallowed for a moment before, so that one
        side believes to have sent what the other never got.
        """
        pairs = list(self._pairs)
        for pair in pairs:
            if chance is not None and chance.random() < 0.5:
                chance.choice([pair.up, pair.down]).is_swallowed = True
                await asyncio.sleep(chance.uniform(0, 0.06))
            self.cuts += pair.abort()
        return len(pairs)

    def swallow_answers(self) -> None:
        """From now on nothing comes back to the client through the connections of now."""
        for pair in self._pairs:
            pair.down.is_swallowed = True

    async def cut_at_random(self, times: int, chance: random.Random) -> None:
        """Until it has cut so many, as often as the client comes back."""
        while self.cuts < times:
            await asyncio.sleep(chance.uniform(0, 1.1))
            while not self._pairs:
                await asyncio.sleep(0.01)
            if chance.random() < 0.8:  # else in the middle of the opening
                await asyncio.sleep(chance.uniform(0, 0.3))
            await self.cut(chance)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.is_open:
            writer.transport.abort()
            return
        try:
            there, onward = await asyncio.open_connection("127.0.0.1", self.target)
        except BaseException as error:  # a stop cancels
            writer.transport.abort()
            if isinstance(error, OSError):
                return
            raise
        pair = Pair(Way(reader, onward), Way(there, writer))
        self._pairs.add(pair)
        try:
            await pair.run()
        finally:
            self._pairs.discard(pair)


class Way:
    """One direction of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.is_swallowed = False

    async def run(self) -> None:
        with contextlib.suppress(OSError):
            while data := await self.reader.read(1 << 16):
                if not self.is_swallowed:
                    self.writer.write(data)
                    await self.writer.drain()


class Pair:
    def __init__(self, up: Way, down: Way) -> None:
        self.up = up
        self.down = down

    async def run(self) -> None:
        """Until either side ends."""
        ways = [asyncio.create_task(way.run()) for way in (self.up, self.down)]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for each in (self.up, self.down):
                each.writer.close()

    def abort(self) -> bool:
        """At once, with what was not sent yet. False if it was over already."""
        is_live = not self.up.writer.transport.is_closing()
        for way in (self.up, self.down):
            way.writer.transport.abort()
        return is_live


@asynccontextmanager
async def proxy(target: int) -> AsyncIterator[Proxy]:
    """To a port of this machine."""
    made = Proxy(target)
    server = await asyncio.start_server(made.accept, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        made.is_open = False
        server.close()
        while made.count:
            await made.cut()
            await asyncio.sleep(0.01)
        await server.wait_closed()
