"""
Two minutes in which nobody says anything: every client stays connected.

ably-js in node wants no heartbeats and is pinged, in a page it wants them, and ably-python
wants them without asking. One test for all, as the two minutes pass for all at once.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.clients import ably_python
from tests.clients.browser import chromium, page, pages
from tests.clients.javascript import Script, install, script
from tests.clients.served import Served, publish, pullse

__all__ = ["pullse"]

SECONDS = 125


@pytest.mark.timeout(240)
async def test_nobody_is_cut_in_two_minutes_of_silence(pullse: Served) -> None:
    install()
    given = {**pullse.given, "free": True}
    async with AsyncExitStack() as stack:

        async def start(opening: Any) -> Script:
            playing: Script = await stack.enter_async_context(opening)
            await playing.tells("ready")
            return playing

        waiting = [await start(script("continuity", "idle", **given))]
        for generation in ably_python.GENERATIONS:
            opening = ably_python.script(generation, "idle", **given, binary=False)
            waiting.append(await start(opening))
        browser = await stack.enter_async_context(chromium())
        opened = await stack.enter_async_context(page(browser, stack.enter_context(pages())))
        await opened.evaluate("(given) => idle(given)", given)
        await asyncio.sleep(SECONDS)
        async with pullse.api() as api:
            await publish(api, given, 1)
        for each in waiting:
            each.say("stop")
        results: list[Coroutine[Any, Any, Any]] = [each.result() for each in waiting]
        web, *others = await asyncio.gather(opened.evaluate("() => idled()"), *results)
    for found in (web, *others):
        assert found["isSame"]
        assert found["got"]
    assert web["states"] == others[0]["states"] == []
