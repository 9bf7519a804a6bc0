"""
No test leaves a socket open: the collector would find it in some later test, and fail that one.

Each event loop of this process, those of commands in threads too, is looked at when it is
closed. A socket that is on its way to be closed is given a moment: a connection over TLS says
goodbye and waits for the answer, as that of a driver who was refused by the server does.
"""

import asyncio
import time
from asyncio import selector_events
from typing import Any

PATIENCE = 2.0
"""Seconds for goodbyes."""

left: list[str] = []
"""What was open when its loop was closed."""


def watch() -> None:
    """From now on, once for each process."""
    loops = selector_events.BaseSelectorEventLoop
    close: Any = loops.close

    def look_and_close(loop: Any) -> None:
        if not loop.is_closed() and not loop.is_running():
            found = still_open(loop)
            if any(is_ending(each) for each in found):
                loop.run_until_complete(goodbyes(loop))
                found = still_open(loop)
            for each in found:
                left.append(f"{each._protocol!r} on {each._sock!r}")
                each._sock.close()
                each._sock, each._closing = None, True
        close(loop)

    loops.close = look_and_close  # type: ignore[method-assign]


def check() -> None:
    """Raises AssertionError for what was left since the last time."""
    found, left[:] = left[:], []
    assert not found, "left open: " + ", ".join(found)


def still_open(loop: Any) -> list[Any]:
    return [each for each in list(loop._transports.values()) if each._sock is not None]


def is_ending(transport: Any) -> bool:
    """It is closing, or TLS above it is."""
    above = getattr(transport._protocol, "_app_transport", None)
    return transport.is_closing() or (above is not None and above.is_closing())


async def goodbyes(loop: Any) -> None:
    until = time.monotonic() + PATIENCE
    while any(is_ending(each) for each in still_open(loop)) and time.monotonic() < until:
        await asyncio.sleep(0.001)
