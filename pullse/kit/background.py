"""Work that goes on for as long as the process: kept alive, ended together."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

log = logging.getLogger(__name__)

PAUSE = 1.0

Work = Callable[[], Awaitable[None]]


@asynccontextmanager
async def running(works: Mapping[str, Work]) -> AsyncIterator[None]:
    """Run all of `works` while the block runs."""
    tasks = [asyncio.create_task(keep(name, work), name=name) for name, work in works.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def keep(name: str, work: Work) -> None:
    """Start again what ends by a bug, and say so; what ends by itself is done."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("The background work %s failed; it starts again", name)
            with contextlib.suppress(TimeoutError):
                await asyncio.sleep(PAUSE)
        else:
            return
