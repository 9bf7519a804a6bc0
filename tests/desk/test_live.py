"""A page that stays open all day, in real browsers: cuts, restarts, tabs that come and go."""

import asyncio
from typing import TYPE_CHECKING, Any

from pullse.kit.db import Database
from tests.access.sign_in import hire_with_password
from tests.desk.live import NOTED, Port, enter, facts, is_live, note, process, told, write
from tests.web.browsing import browser, person

if TYPE_CHECKING:
    from playwright.async_api import Browser

__all__ = ["browser"]

CUT = ("net::ERR_", "status of 503")
"""What Chromium says when there is nobody to ask."""


async def test_a_page_is_told_of_each_fact_once_and_in_order(
    database: Database, browser: "Browser"
) -> None:
    await hire_with_password(database, "Ada")
    port = Port()
    async with process(database, port) as operator, person(browser) as page:
        await enter(page, port.url)
        written = await write(operator, 5)
        assert await facts(page, 5) == written


async def test_what_happened_while_a_page_was_made_is_told_to_it(
    database: Database, browser: "Browser"
) -> None:
    await hire_with_password(database, "Ada")
    port = Port()
    async with process(database, port) as operator, person(browser) as page:
        await enter(page, port.url)
        loading, written = asyncio.Event(), asyncio.Event()

        async def held(route: Any) -> None:
            loading.set()
            await written.wait()
            await route.continue_()

        await page.route("**/pullse.js", held)
        await page.goto(f"{port.url}/account", wait_until="commit")
        await page.evaluate(NOTED)
        await loading.wait()
        ids = await write(operator, 3)
        written.set()
        assert await facts(page, 3) == ids


async def test_tabs_share_one_stream_and_another_goes_on_when_its_tab_is_closed(
    database: Database, browser: "Browser"
) -> None:
    await hire_with_password(database, "Ada")
    port = Port()
    async with process(database, port) as operator, person(browser) as first:
        streams = []
        first.context.on(
            "request",
            lambda request: (
                streams.append(request)
                if request.headers.get("accept") == "text/event-stream"
                else None
            ),
        )
        await enter(first, port.url)
        second = await first.context.new_page()
        await second.goto(f"{port.url}/account")
        await note(second)
        written = await write(operator, 3)
        assert await facts(first, 3) == written
        assert await facts(second, 3) == written
        assert len(streams) == 1
        await first.close()
        written += await write(operator, 3)
        assert await facts(second, 6) == written
        assert len(streams) == 2


async def test_a_server_that_was_away_is_caught_up_with(
    database: Database, browser: "Browser"
) -> None:
    await hire_with_password(database, "Ada")
    port = Port()
    async with person(browser, expected=CUT) as page:
        async with process(database, port) as operator:
            await enter(page, port.url)
            other = await page.context.new_page()
            await other.goto(f"{port.url}/account")
            await note(other)
        for each in (page, other):
            await each.get_by_text("The connection is lost.").wait_for()
        async with process(database, port) as operator:
            written = await write(operator, 200)
            for each in (page, other):
                assert await facts(each, 200) == written
                await each.get_by_text("Connected again").wait_for()
                assert (await told(each))["caughtUp"] == 1


async def test_a_browser_that_was_offline_is_told_all(
    database: Database, browser: "Browser"
) -> None:
    await hire_with_password(database, "Ada")
    port = Port()
    async with process(database, port) as operator, person(browser, expected=CUT) as page:
        await enter(page, port.url)
        await page.context.set_offline(True)
        await page.get_by_text("The connection is lost.").wait_for()
        written = await write(operator, 200)
        await page.context.set_offline(False)
        assert await facts(page, 200) == written
        await is_live(page)
        assert (await told(page))["caughtUp"] == 1
