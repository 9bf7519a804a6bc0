"""ably-python in both generations through many cuts and a killed server (test_silence has more)."""

import asyncio
import random
import signal
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from tests.clients.ably_python import GENERATIONS, script
from tests.clients.cuts import proxy
from tests.clients.javascript import Script
from tests.clients.served import KEY, Served, free_port, own_database, publish, pullse, started

__all__ = ["pullse"]


async def test_60_cuts_at_random_moments_each(pullse: Served) -> None:
    """Of four clients side by side, while 50 messages a second are published by REST."""
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    given = pullse.given
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(pullse.api())
        between = [await stack.enter_async_context(proxy(pullse.port)) for _ in range(4)]
        listening: list[Script] = []
        for number, each in enumerate(between):
            where = {**given, "port": each.port, "binary": number % 2 == 0}
            listening.append(
                await stack.enter_async_context(script(GENERATIONS[number // 2], "listen", **where))
            )
            await listening[-1].tells("ready")
        cutting = asyncio.gather(*(each.cut_at_random(60, chance) for each in between))
        count = 0
        while not cutting.done():
            await publish(api, given, count)
            count += 1
            await asyncio.sleep(0.02)
        await cutting
        for each in listening:
            each.say("stop", count)
        for each in listening:
            check(await each.result(60), count, f"seed {seed}")


def check(found: dict[str, Any], count: int, told: str = "") -> None:
    assert [each["n"] for each in found["got"]] == list(range(count)), told
    assert len(found["ids"]) == 1, told
    assert found["lost"] == [], told


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_the_server_is_killed_in_the_middle(server_url: str, generation: str) -> None:
    """With -9, twice, and started again at the same port."""
    port = free_port()
    given: dict[str, Any] = {"port": port, "key": KEY, "channel": "killed"}
    count = 0

    async def say(seconds: float) -> None:
        nonlocal count
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as api:
            for _ in range(int(seconds * 50)):
                await publish(api, given, count)
                count += 1
                await asyncio.sleep(0.02)

    async with own_database(server_url) as url, AsyncExitStack() as stack:
        with started(url, port) as program:
            await program.url()
            listening = await stack.enter_async_context(script(generation, "listen", **given))
            await listening.tells("ready")
            await say(1)
            await program.end(signal.SIGKILL)
        for kill in range(2):
            with started(url, port) as program:
                await program.url()
                await say(2)
                if kill == 0:
                    await program.end(signal.SIGKILL)
                    continue
                listening.say("stop", count)
                check(await listening.result(60), count)
