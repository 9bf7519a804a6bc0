"""ably-js in Chromium, on a page of another origin, against a started `pullse dev`."""

import random
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from tests.clients.browser import chromium, page, pages
from tests.clients.continuity import differences
from tests.clients.cuts import proxy
from tests.clients.javascript import install, script
from tests.clients.served import Served, pullse

if TYPE_CHECKING:
    from playwright.async_api import Browser

__all__ = ["pullse"]


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator["Browser"]:
    install()
    async with chromium() as browser:
        yield browser


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_page_follows_tickets(pullse: Served, browser: "Browser", host: str) -> None:
    """With the token that it gets for nothing but being let in, from another site too."""
    name = "tickets-updates"
    with pages() as port:
        async with page(browser, port, host) as opened, pullse.api() as api:
            given = {**pullse.given, "channels": [name]}
            found = await opened.evaluate("(given) => follow(given)", given)
            assert found["clientId"] == "ada"
            assert "ws" in found["transport"]
            answer = await api.post("/api/tickets", json={"title": "Help", "description": "x"})
            ticket = answer.json()["data"]
            await api.patch(f"/api/tickets/{ticket['id']}", json={"status": "resolved"})
            got = await opened.evaluate(
                "(given) => followed(given)", {"name": name, "count": 2, "patience": 10_000}
            )
    assert [each["name"] for each in got] == ["ticket_created", "ticket_updated"]
    assert {each["data"]["ticketId"] for each in got} == {ticket["id"]}


async def test_a_page_talks_on_a_free_channel(pullse: Served, browser: "Browser") -> None:
    with pages() as port:
        async with page(browser, port) as opened:
            given = {**pullse.given, "free": True}
            found = await opened.evaluate("(given) => talk(given)", given)
    numbers = list(range(23))
    assert found["heard"] == ["text", {"a": [1]}, [0, 1, 255], *({"n": n} for n in numbers)]
    assert found["members"] == found["present"] == [["ada", {"viewing": True}]]
    assert found["pages"] == [
        numbers[:12:-1],
        numbers[12:2:-1],
        [2, 1, 0, "other", "other", "other"],
    ]
    assert found["refused"] == {"code": 40160, "status": 401}
    assert found["status"] == given["channel"]
    assert found["time"] < 1000


async def test_a_page_is_cut(pullse: Served, browser: "Browser") -> None:
    """Ten times, while 50 messages a second are published: each once, in order."""
    given = {**pullse.given, "free": True}
    name = given["channel"]
    chance = random.Random()
    with pages() as port:
        async with (
            page(browser, port) as opened,
            proxy(pullse.port) as between,
            script("continuity", "talk", **given, ports=[pullse.port], rate=50) as talking,
        ):
            await talking.tells("ready")
            await opened.evaluate(
                "(given) => follow(given)",
                {**given, "socket": between.port, "channels": [name]},
            )
            await between.cut_at_random(10, chance)
            talking.say("stop")
            (said,) = await talking.result(30)
            (first,) = (await opened.evaluate("(name) => got[name][0].data", name))[1:]
            got = await opened.evaluate(
                "(given) => followed(given)",
                {"name": name, "count": said["count"] - first, "patience": 20_000},
            )
    numbers = [each["data"][1] for each in got]
    assert numbers == list(range(first, said["count"])), differences(numbers, said["count"])
