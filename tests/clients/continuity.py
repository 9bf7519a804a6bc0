"""Two publishers and two subscribers through many cuts: what has to come out of it."""

import asyncio
import contextlib
import itertools
import random
from typing import Any

from tests.clients.cuts import proxy
from tests.clients.javascript import script
from tests.clients.served import Served


async def cut_at_random(pullse: Served, cuts: int, *, binary: bool) -> None:
    """
    50 messages a second by two publishers to two subscribers, each behind a proxy of its own.

    ably-js comes back at most once a second, so the four are cut side by side.
    """
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    given = {**pullse.given, "binary": binary}
    async with contextlib.AsyncExitStack() as stack:
        between = [await stack.enter_async_context(proxy(pullse.port)) for _ in range(4)]
        ports = [each.port for each in between]
        listening = await stack.enter_async_context(
            script("continuity", "listen", **given, ports=ports[:2])
        )
        await listening.tells("ready")
        talking = await stack.enter_async_context(
            script("continuity", "talk", **given, ports=ports[2:], rate=25)
        )
        await talking.tells("ready")
        await asyncio.gather(*(each.cut_at_random(cuts // 4, chance) for each in between))
        talking.say("stop")
        said = await talking.result(60)
        listening.say("total", sum(each["count"] for each in said))
        heard = await listening.result(60)
    done = sum(each.cuts for each in between)
    assert done >= cuts
    try:
        check(said, heard)
        for each in (*said, *heard):
            ids = {state["id"] for state in each["states"] if state["state"] == "connected"}
            assert ids <= {each["id"]}, "it could not resume"
    except AssertionError as error:
        error.add_note(f"seed {seed}: {sum(each['count'] for each in said)} messages, {done} cuts")
        raise


def check(said: list[dict[str, Any]], heard: list[dict[str, Any]]) -> None:
    """What was said was heard by all, once, in one order, which is each speaker's too."""
    assert [each["failures"] for each in said] == [[] for _ in said]
    for listener in heard:
        for speaker, each in enumerate(said):
            numbers = [number for who, number in listener["got"] if who == speaker]
            assert numbers == list(range(each["count"])), differences(numbers, each["count"])
        assert listener["got"] == heard[0]["got"]
        assert listener["lost"] == [], "continuity was lost"


def differences(numbers: list[int], count: int) -> str:
    missing = sorted(set(range(count)) - set(numbers))
    repeated = sorted({each for each in numbers if numbers.count(each) > 1})
    late = [after for before, after in itertools.pairwise(numbers) if after < before]
    return f"missing {missing}, repeated {repeated}, out of order {late}"


def check_once(found: dict[str, Any]) -> None:
    """Of the scenario `unanswered`."""
    assert found["isSame"]
    assert [each[:2] for each in found["got"]] == [[name, n] for n, name in enumerate("abcde")]
    assert found["serials"] == [each[2] for each in found["got"][:4]]
    # ably-js enters anew, with another msgSerial, so ada may be told of twice.
    assert {tuple(each) for each in found["members"]} == {("enter", "ada")}
