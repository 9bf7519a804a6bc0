"""A page that stays open all day, in real browsers: cuts, restarts, tabs that come and go."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from pullse.kit import events
from pullse.kit.db import Database
from pullse.web import frame
from tests.access.people import run
from tests.access.sign_in import hire_with_password
from tests.desk.live import NOTED, Port, enter, facts, is_live, note, process, told, write
from tests.web.browsing import browser, fill, held, person

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

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
        async with held(page, "**/pullse.js") as loading:
            await page.goto(f"{port.url}/account", wait_until="commit")
            await page.evaluate(NOTED)
            await loading.wait()
            ids = await write(operator, 3)
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
                await is_live(each)
                assert "Connected again" in (await told(each))["lines"]
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


async def test_a_tab_that_is_frozen_is_replaced(database: Database, browser: "Browser") -> None:
    """It has the lock and answers nothing: a tab that is seen takes over; it follows later."""
    await hire_with_password(database, "Ada")
    port = Port()
    async with process(database, port) as operator, person(browser) as first:
        await enter(first, port.url)
        second = await first.context.new_page()
        await second.goto(f"{port.url}/account")
        await note(second)
        tools = await first.context.new_cdp_session(first)
        await tools.send("Page.setWebLifecycleState", {"state": "frozen"})
        ids = await write(operator, 3)
        assert await facts(second, 3) == ids
        await tools.send("Page.setWebLifecycleState", {"state": "active"})
        assert await facts(first, 3) == ids
        more = await write(operator, 2)
        assert await facts(first, 5) == [*ids, *more]
        assert await facts(second, 5) == [*ids, *more]


async def test_without_locks_each_tab_that_is_seen_goes_its_own_way(
    database: Database, browser: "Browser"
) -> None:
    """As over plain HTTP, under a name."""
    await hire_with_password(database, "Ada")
    port = Port()
    async with process(database, port) as operator, person(browser) as first:
        await first.context.add_init_script(
            "Object.defineProperty(Navigator.prototype, 'locks', { value: undefined })"
        )
        await enter(first, port.url)
        second = await first.context.new_page()
        await second.goto(f"{port.url}/account")
        await note(second)
        ids = await write(operator, 5)
        assert await facts(second, 5) == ids
        assert await facts(first, 5) == ids


async def test_a_place_that_is_gone_is_started_over_from(
    database: Database, browser: "Browser"
) -> None:
    """The database was restored while the page was open; what it shows may be wrong."""
    await hire_with_password(database, "Ada")
    port = Port()
    async with person(browser, expected=(*CUT, "status of 410")) as page:
        async with process(database, port) as operator:
            await write(operator, 3)
            await enter(page, port.url)
        async with database.transaction() as db:
            await events.new_epoch(db, 7, 1)
        async with process(database, port) as operator:
            await page.wait_for_function("() => told.caughtUp >= 1")
            await is_live(page)
            ids = await write(operator, 2)
            assert await facts(page, 2) == ids


async def test_who_missed_too_much_goes_on_from_the_end(
    database: Database, browser: "Browser"
) -> None:
    await hire_with_password(database, "Ada")
    port = Port()
    async with person(browser, expected=CUT) as page:
        async with process(database, port):
            await enter(page, port.url)
        await run(
            database,
            """
            INSERT INTO events (name, actor, data)
            SELECT 'agent.changed', 'system', '{}' FROM generate_series(1, 5000)
            """,
        )
        async with process(database, port) as operator:
            await page.wait_for_function("() => told.caughtUp >= 1")
            await is_live(page)
            count = len((await told(page))["facts"])
            assert count < 5000
            ids = await write(operator, 1)
            assert (await facts(page, count + 1))[count:] == ids


async def test_a_new_release_is_loaded_when_nobody_is_at_work(
    database: Database, browser: "Browser", monkeypatch: pytest.MonkeyPatch
) -> None:
    await hire_with_password(database, "Ada")
    port = Port()
    async with person(browser, expected=CUT) as page:
        async with process(database, port):
            await enter(page, port.url)
            idle = await page.context.new_page()
            await idle.goto(f"{port.url}/account")
            await page.goto(f"{port.url}/tickets/new")
            await note(page)
            await fill(page, title="A long story")
            await idle.bring_to_front()
        monkeypatch.setattr(frame, "RELEASE", "another")
        async with process(database, port):
            await idle.locator("meta[name=release][content=another]").wait_for(state="attached")
            await page.get_by_text("A new version of this page is here.").wait_for()
            assert await page.locator("[name=title]").input_value() == "A long story"
            assert await release(page) != "another"
            await page.get_by_role("button", name="Load it").click()
            await page.get_by_text("What you had typed is here again.").wait_for()
            assert await release(page) == "another"
            assert await page.locator("[name=title]").input_value() == "A long story"


async def release(page: "Page") -> str:
    return str(await page.locator("meta[name=release]").get_attribute("content"))


async def test_how_long_ago_stays_right(database: Database, browser: "Browser") -> None:
    """In the words of the server, by one timer."""
    await hire_with_password(database, "Ada")
    port = Port()
    async with process(database, port), person(browser) as page:
        await page.clock.install()
        await enter(page, port.url, path="/account/sessions")
        texts = await page.evaluate(
            """() => {
                const now = Date.now()
                const ages = [5, 59, 60, 119, 120, 3599, 3600, 7200, 86400, 2 * 86400, 2629800]
                ages.push(2 * 2629800, 31557600, 2 * 31557600, -30)
                return ages.map((age) => {
                    const element = document.createElement('relative-time')
                    const time = document.createElement('time')
                    time.dateTime = new Date(now - age * 1000).toISOString()
                    element.append(time)
                    document.querySelector('main').append(element)
                    return time.textContent
                })
            }"""
        )
        now = datetime.now(UTC)
        ages = [5, 59, 60, 119, 120, 3599, 3600, 7200, 86400, 2 * 86400, 2629800]
        ages += [2 * 2629800, 31557600, 2 * 31557600, -30]
        english = frame.TEXTS["en"]
        assert texts == [frame.ago(english, now - timedelta(seconds=age), now) for age in ages]
        await page.clock.fast_forward("02:00")
        last = page.locator("main > relative-time").first
        await expect_text(last, "2 min ago")


async def expect_text(locator: Any, text: str) -> None:
    await locator.get_by_text(text, exact=True).wait_for()


TOAST = "(detail) => document.dispatchEvent(new CustomEvent('toast', { detail }))"


async def test_a_toast_offers_what_can_be_taken_back_and_goes_by_itself(
    database: Database, browser: "Browser"
) -> None:
    await hire_with_password(database, "Ada")
    port = Port()
    async with process(database, port), person(browser) as page:
        await page.clock.install()
        await enter(page, port.url)
        for number in range(5):
            await page.evaluate(TOAST, {"text": f"Toast {number}"})
        assert await page.locator(".toast").count() == 3
        await page.clock.fast_forward("00:07")
        assert await page.locator(".toast").count() == 0

        await page.evaluate(
            """() => {
                const action = { label: 'Undo', run: () => (window.undone = true) }
                const detail = { text: 'Resolved', action }
                document.dispatchEvent(new CustomEvent('toast', { detail }))
            }"""
        )
        undo = page.get_by_role("status").get_by_role("button", name="Undo")
        await undo.focus()
        await page.clock.fast_forward("01:00")
        assert await undo.is_visible()  # nobody takes it away from under the hand
        await page.keyboard.press("Enter")
        assert await page.evaluate("window.undone")
        assert await page.locator(".toast").count() == 0
        await page.evaluate(TOAST, {"text": "That went wrong", "kind": "wrong"})
        await page.locator(".toast").get_by_role("button", name="Close").focus()
        await page.keyboard.press("Escape")
        assert await page.locator(".toast").count() == 0
