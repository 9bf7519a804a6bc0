"""ably-js through many cuts, killed servers and silence: each message once, in order."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import Program, running
from tests.clients.continuity import check, check_once, cut_at_random
from tests.clients.cuts import proxy
from tests.clients.javascript import Script, install, played, script
from tests.clients.served import KEY, Served, free_port, own_database, pullse, started

__all__ = ["pullse"]


@pytest.fixture(scope="module", autouse=True)
def node() -> None:
    install()


async def test_200_cuts_at_random_moments(pullse: Served) -> None:
    await cut_at_random(pullse, 200, binary=False)


@pytest.mark.parametrize("binary", [True, False], ids=["msgpack", "json"])
async def test_the_server_is_killed_in_the_middle(server_url: str, binary: bool) -> None:
    async with own_database(server_url) as url:
        await killed_and_restarted(lambda port: started(url, port), kills=3, binary=binary)


async def test_it_is_killed_together_with_its_own_postgresql(open_folder: Path) -> None:
    home = open_folder / "home"
    await killed_and_restarted(
        lambda port: running("dev", "--port", str(port), "--data-dir", home), kills=1, binary=True
    )


async def killed_and_restarted(
    start: Callable[[int], AbstractContextManager[Program]], *, kills: int, binary: bool
) -> None:
    """
    With -9, at the same port on the same data, while 75 messages a second are published: by
    two clients that wait for each acknowledgement, and by one that does not.
    """
    port = free_port()
    given = {"port": port, "key": KEY, "channel": "killed", "binary": binary}
    async with AsyncExitStack() as stack:

        async def play(scenario: str, ports: int, **more: Any) -> Script:
            more = {**given, **more, "ports": [port] * ports}
            playing = await stack.enter_async_context(script("continuity", scenario, **more))
            await playing.tells("ready")
            return playing

        with start(port) as program:
            await program.url()
            listening = await play("listen", 2)
            patient = await play("talk", 2, rate=25, waits=True)
            hasty = await play("talk", 1, rate=25, first=2)
            await asyncio.sleep(1)
            await program.end(signal.SIGKILL)
        for kill in range(kills):
            with start(port) as program:
                await program.url()
                await asyncio.sleep(2)
                if kill < kills - 1:
                    await program.end(signal.SIGKILL)
                    continue
                patient.say("stop")
                hasty.say("stop")
                said = [*await patient.result(60), *await hasty.result(60)]
                listening.say("total", sum(each["count"] for each in said))
                heard = await listening.result(60)
    check(said, heard)
    assert all(each["count"] > 20 for each in said)


async def test_what_a_killed_server_did_not_answer_is_published_once(server_url: str) -> None:
    port = free_port()
    given = {"port": port, "key": KEY, "channel": "unanswered"}
    async with own_database(server_url) as url, AsyncExitStack() as stack:
        with started(url, port) as program:
            await program.url()
            between = await stack.enter_async_context(proxy(port))
            playing = await stack.enter_async_context(
                script("continuity", "unanswered", **given, proxy=between.port)
            )
            await playing.tells("ready")
            between.swallow_answers()
            playing.say("go")
            await playing.tells("published")
            await program.end(signal.SIGKILL)
        with started(url, port) as program:
            await program.url()
            check_once(await playing.result())


async def test_two_clients_do_not_fight_for_a_connection(pullse: Served) -> None:
    found = await played("continuity", "takeover", **pullse.given, time=5000)
    before, a, b = found["before"], found["a"], found["b"]
    assert b["id"] == before["id"]
    assert b["key"] != before["key"]
    assert a["id"] != before["id"]
    connects = [
        [each["state"] for each in client["states"]].count("connected") for client in (a, b)
    ]
    assert connects == [1, 1]
    assert a["got"] == list(range(found["count"]))
    assert b["got"] == list(range(1, found["count"]))


# -- tokens --


async def test_a_token_is_renewed_without_anybody_noticing(pullse: Served) -> None:
    found = await played("tokens", "renewal", **pullse.given, ttl=32_000, time=8000)
    assert found["tokens"] >= 3
    assert found["isSame"]
    assert found["state"] == "connected"
    assert {each["state"] for each in found["states"]} <= {"connected"}
    assert found["clientId"] == "ada"
    assert found["status"] == 201


async def test_a_late_renewal_loses_nothing(pullse: Served) -> None:
    found = await played("tokens", "expiry", **pullse.given, ttl=2000)
    assert found["got"] == list(range(60))
    assert found["isSame"]
    assert 40142 in [each["code"] for each in found["states"]]
    assert found["states"][-1]["state"] == "connected"


# -- presence --


async def test_presence_outlives_a_short_cut(pullse: Served) -> None:
    given = pullse.given
    async with (
        proxy(pullse.port) as between,
        script("presence", "cut", **given, proxy=between.port) as playing,
    ):
        await playing.tells("entered")
        between.is_open = False
        await between.cut()
        await asyncio.sleep(3)
        between.is_open = True
        playing.say("look")
        found = await playing.result()
    assert found["isSame"]
    assert [each[0] for each in found["seen"]] == ["enter", "update"]
    assert found["members"] == [["present", "ada", "back"]]


async def test_presence_ends_with_a_long_cut_and_comes_back(pullse: Served) -> None:
    """Long is more than `remainPresentFor` says; it is 15 seconds by default."""
    given = pullse.given
    async with (
        proxy(pullse.port) as between,
        script("presence", "cut", **given, proxy=between.port, remain=1000) as playing,
    ):
        await playing.tells("entered")
        between.is_open = False
        await between.cut()
        await asyncio.sleep(4)
        between.is_open = True
        playing.say("look")
        found = await playing.result()
    assert [each[0] for each in found["seen"]] == ["enter", "leave", "enter", "update"]
    assert found["members"] == [["present", "ada", "back"]]


async def test_who_is_cut_and_comes_back_stays(pullse: Served) -> None:
    """Cut after cut, and long after the last one: nobody has left."""
    given = pullse.given
    async with (
        proxy(pullse.port) as between,
        script("presence", "cut", **given, proxy=between.port) as playing,
    ):
        await playing.tells("entered")
        for _ in range(4):
            await between.cut()
            await asyncio.sleep(1.1)
        await asyncio.sleep(17)
        playing.say("look")
        found = await playing.result()
    assert found["isSame"]
    assert [each[0] for each in found["seen"]] == ["enter", "update"]


async def test_a_client_that_dies_leaves_after_15_seconds(pullse: Served) -> None:
    given = pullse.given
    async with (
        script("presence", "enterAndDie", **given) as dying,
        script("presence", "watch", **given) as watching,
    ):
        await dying.tells("entered")
        await watching.tells("ready")
        dying.kill()
        watching.say("died")
        found = await watching.result(40)
    assert 14_000 < found < 18_000
