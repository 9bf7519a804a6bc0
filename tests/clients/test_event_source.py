"""The event stream by npm's EventSource, which knows nothing of Ably."""

import asyncio
import json
import random
from typing import Any

import pytest

from tests.clients.cuts import proxy
from tests.clients.javascript import install, played, script
from tests.clients.served import Served, publish, pullse

__all__ = ["pullse"]


@pytest.fixture(scope="module", autouse=True)
def node() -> None:
    install()


async def test_messages_of_several_channels(pullse: Served) -> None:
    given = pullse.given
    channels = ["tickets-updates", given["channel"]]
    async with pullse.api() as api, script("sse", "follow", **given, channels=channels) as running:
        await running.tells("ready")
        await publish(api, given, 1)
        await api.post("/api/tickets", json={"title": "Help", "description": "It broke."})
        await publish(api, given, 2)
        running.say("count", 3)
        found = await running.result()
    messages = [json.loads(each["data"]) for each in found["got"]]
    assert [each["channel"] for each in messages] == [channels[1], channels[0], channels[1]]
    assert messages[1]["name"] == "ticket_created"
    assert messages[1]["encoding"] == "json"
    assert json.loads(messages[0]["data"]) == {"n": 1}
    assert found["opened"] == 1
    assert len({each["id"] for each in found["got"]}) == 3


async def test_payloads_alone(pullse: Served) -> None:
    given = {**pullse.given, "params": {"enveloped": "false", "rewind": "2"}}
    async with pullse.api() as api:
        for number in range(3):
            await publish(api, given, number)
        async with script("sse", "follow", **given, channels=[given["channel"]]) as running:
            await running.tells("ready")
            await publish(api, given, 3)
            running.say("count", 3)
            found = await running.result()
    assert [json.loads(each["data"]) for each in found["got"]] == [{"n": n} for n in (1, 2, 3)]


async def test_cuts(pullse: Served) -> None:
    """It comes back with Last-Event-ID: each message once, in order."""
    given = pullse.given
    async with pullse.api() as api, proxy(pullse.port) as between:
        through = {**given, "port": between.port}
        async with script("sse", "follow", **through, channels=[given["channel"]]) as running:
            await running.tells("ready")
            cutting = asyncio.create_task(between.cut_at_random(5, random.Random()))
            count = 0
            while not cutting.done() or count < 50:
                await publish(api, given, count)
                count += 1
                await asyncio.sleep(0.02)
            await cutting
            running.say("count", count)
            found = await running.result()
    assert numbers(found["got"]) == list(range(count))
    assert found["opened"] > 1


def numbers(got: list[dict[str, Any]]) -> list[int]:
    return [json.loads(json.loads(each["data"])["data"])["n"] for each in got]


async def test_the_end_of_a_token_is_told(pullse: Served) -> None:
    found = await played("sse", "expiry", **pullse.given, ttl=2000)
    assert found["code"] == 40142
    assert found["statusCode"] == 401
