"""
Work that blocks, or may hang for ever, in a thread of its own.

Unlike those of asyncio's executor the thread is a daemon: it holds up neither the end of the
loop nor that of the process, so what hangs costs one thread and nothing else.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


async def aside(work: Callable[[], Found]) -> Found:
    """What `work` returns or raises. Who gives up waiting leaves it to itself."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Found] = loop.create_future()

    def tell(found: Found | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(found)  # type: ignore[arg-type]

    def run() -> None:
        found, error = None, None
        try:
            found = work()
        except BaseException as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell, found, error)

    threading.Thread(target=run, name="aside", daemon=True).start()
    return await done
