"""
An agent's day, by keyboard alone; and what may come in between: others who change the same, a
server that is killed, a network that is gone, a second tab. In a real Chromium.
"""

from functools import partial
from typing import TYPE_CHECKING

from pullse.kit.db import Database
from tests.desk.day import (
    ACTIVE,
    come_in,
    command,
    keys,
    leave_field,
    open_shop,
    operating,
    serving_apart,
    tab_to,
    type_,
    until,
)
from tests.desk.live import Port, is_live, process
from tests.web.browsing import browser, heading, person

if TYPE_CHECKING:
    from playwright.async_api import Browser

__all__ = ["browser"]

CUT = ("net::ERR_", "status of 503", "WebSocket connection to")
"""What Chromium says when there is nobody to ask."""
LOST = "The connection is lost."
BACK = "Connected again"


async def test_a_day_by_keyboard_alone(database: Database, browser: "Browser") -> None:
    await open_shop(database)
    port = Port()
    async with process(database, port), person(browser) as page:
        await come_in(page, port.url)
        assert await heading(page) == "Mine"

        # Look for what the customer called about, and take it.
        await keys(page, "/")
        await type_(page, "payment page")
        await keys(page, "Enter")
        await page.wait_for_url("**/tickets?q=payment+page")
        await keys(page, "j", "o")
        await page.wait_for_url("**/tickets/40?*")
        assert await heading(page) == "Payment page turns for ever"
        await keys(page, "a")
        await type_(page, "Ada")
        await keys(page, "Enter")
        await page.locator("#ticket-timeline").get_by_text("took this ticket").wait_for()
        await keys(page, "Escape")

        # From the palette, by some letters; then the focus is where it was.
        await command(page, "statinpro", "Status: In progress")
        line = page.locator("#ticket-timeline")
        await line.get_by_text("set status to").wait_for()
        await until(lambda: page.evaluate(f"{ACTIVE}.id"), "set-assignee")

        # Write into the description, look at it, keep it, and take it back.
        await leave_field(page)
        await keys(page, "e")
        await until(lambda: page.evaluate(f"{ACTIVE}.id"), "description")
        await keys(page, "Control+End", "Enter", "Enter")
        await type_(page, "**Called at nine:** *nothing* was taken.")
        await keys(page, "Shift+Tab", "ArrowRight")
        await page.locator("#editor-shown strong").get_by_text("Called at nine:").wait_for()
        await keys(page, "ArrowLeft", "Tab", "Control+Enter")
        written = page.locator("#ticket-text .prose strong").get_by_text("Called at nine:")
        await written.wait_for()
        await until(lambda: page.evaluate(f"{ACTIVE}.id"), "edit-text")
        await keys(page, "u")
        await written.wait_for(state="detached")

        # A new one; the browser is closed too early, and what was typed is there again.
        await keys(page, "c")
        await page.wait_for_url("**/tickets/new")
        await until(lambda: page.evaluate(f"{ACTIVE}.id"), "title")
        await type_(page, "Till is out of paper")
        await keys(page, "Tab", "Tab")
        await type_(page, "The last roll is in.")
        await page.wait_for_timeout(1000)
        await page.reload()
        await page.get_by_text("Discard").wait_for()
        assert await page.locator("#title").input_value() == "Till is out of paper"
        await tab_to(page, "Description")
        await keys(page, "Tab")
        await type_(page, "High")
        await keys(page, "Control+Enter")
        await page.wait_for_url("**/tickets/42*")
        assert await page.locator("#ticket-text .prose").inner_text() == "The last roll is in."
        await keys(page, "c")
        await page.wait_for_url("**/tickets/new")
        assert await page.locator("#title").input_value() == ""

        # Two at once, and all of it back.
        await leave_field(page)
        await keys(page, "g", "u")
        await page.wait_for_url("**/tickets?*assigned_to=none")
        await keys(page, "j", "x", "j", "x", "b")
        await type_(page, "In pro")
        await keys(page, "Enter", "Control+Enter")
        told = page.locator(".told, .toast")
        await told.get_by_text("2 tickets").first.wait_for()
        both = page.locator("[data-row] [data-status=in_progress]")
        await until(both.count, 2)
        await keys(page, "u")
        await until(both.count, 0)

        # How things go, and home.
        await keys(page, "g", "i")
        await page.wait_for_url("**/insight*")
        assert await heading(page) == "Insight"
        await command(page, "sign out", "Sign out")
        await page.wait_for_url("**/sign-in*")
        await page.go_back()
        assert "sign-in" in page.url


async def test_two_who_change_the_same_lose_nothing(database: Database, browser: "Browser") -> None:
    """Ada and Ben write into one description, and each sets another title."""
    await open_shop(database)
    port = Port()
    async with (
        process(database, port),
        person(browser) as ada,
        person(browser) as ben,
    ):
        for page, name in ((ada, "ada"), (ben, "ben")):
            await come_in(page, port.url, name)
            await page.goto(f"{port.url}/tickets/28")
            await keys(page, "e")
            await until(partial(page.evaluate, f"{ACTIVE}.id"), "description")
        await keys(ada, "Control+Home")
        await type_(ada, "Called back by Ada. ")
        await keys(ben, "Control+End", "Enter", "Enter")
        await type_(ben, "The yard is free on Tuesday.")
        await ben.locator("#title").fill("Twelve bicycles of a school")
        await keys(ben, "Control+Enter")
        await ben.get_by_role("heading", name="Twelve bicycles of a school").wait_for()

        # Ada hears of it while she writes, and what she writes stays.
        await ada.locator("[data-news]").get_by_text("Ben Okafor").wait_for()
        assert "Called back by Ada." in await ada.locator("#description").input_value()
        await ada.locator("#title").fill("Appointment of the Goethe School")
        await keys(ada, "Control+Enter")
        conflict = ada.locator(".conflict")
        await conflict.get_by_role("heading", name="Two people changed this").wait_for()
        for said in (
            "Ben Okafor changed the title while you wrote",
            "Appointment of the Goethe School",
            "Twelve bicycles of a school",
        ):
            assert said in await conflict.inner_text()
        merged = conflict.locator("#merged-description")
        if await merged.count():
            for said in ("Called back by Ada.", "The yard is free on Tuesday."):
                assert said in await merged.input_value()
            await conflict.locator("#description-merged").check()
        await conflict.locator("#title-yours").check()
        await keys(ada, "Control+Enter")
        for page in (ada, ben):
            await page.get_by_role("heading", name="Appointment of the Goethe School").wait_for()
            text = page.locator("#ticket-text .prose")
            await text.get_by_text("The yard is free on Tuesday.").wait_for()
            await text.get_by_text("Called back by Ada.").wait_for()


async def test_a_server_that_is_killed_takes_nothing_that_was_typed(
    database: Database, database_url: str, browser: "Browser"
) -> None:
    """By -9, under an open page; another one starts, and the page goes on by itself."""
    await open_shop(database)
    port = Port()
    async with person(browser, expected=CUT) as page:
        async with serving_apart(database_url, port) as server:
            await come_in(page, port.url)
            await page.goto(f"{port.url}/tickets/26")
            await keys(page, "e")
            await until(partial(page.evaluate, f"{ACTIVE}.id"), "description")
            await keys(page, "Control+End")
            await type_(page, " Ben has")
            server.kill()
            await server.wait()
            await type_(page, " a new cable.")
            await page.get_by_text(LOST).first.wait_for()
            await keys(page, "Control+Enter")  # nobody is there to take it
            await page.wait_for_timeout(500)
            typed = await page.locator("#description").input_value()
            assert typed.endswith("Ben has a new cable."), typed
        async with serving_apart(database_url, port):
            await page.get_by_text(BACK).first.wait_for()
            text = page.locator("#ticket-text .prose").get_by_text("Ben has a new cable.")
            if not await text.count():
                await keys(page, "Control+Enter")
            await text.wait_for()
            assert await heading(page) == "Motor cuts out at the same hill every day"


async def test_who_was_offline_catches_up_and_two_tabs_agree(
    database: Database, database_url: str, browser: "Browser"
) -> None:
    await open_shop(database)
    port = Port()
    async with (
        serving_apart(database_url, port),
        operating(port.url) as operator,
        person(browser, expected=CUT) as page,
    ):
        await come_in(page, port.url)
        await page.goto(f"{port.url}/tickets?status=open&status=in_progress")
        other = await page.context.new_page()
        await other.goto(f"{port.url}/tickets/40")
        for each in (page, other):
            await is_live(each)
        await page.context.set_offline(True)
        await page.get_by_text(LOST).first.wait_for()
        for body in ({"priority": "urgent"}, {"status": "in_progress"}, {"title": "It turns"}):
            answer = await operator.patch("/api/tickets/40", json=body)
            assert answer.status_code == 200
        await page.context.set_offline(False)
        await other.get_by_role("heading", name="It turns").wait_for()
        assert await other.locator("#set-status").input_value() == "in_progress"
        row = page.locator("#t40")
        await row.get_by_text("It turns").wait_for()
        await row.locator("[data-status=in_progress]").wait_for()
        await row.locator("[data-priority=urgent]").wait_for()

        # What one tab does, the other shows.
        await other.bring_to_front()
        await other.locator("#set-priority").select_option("low")
        await row.locator("[data-priority=low]").wait_for()
        await page.bring_to_front()
        counts = [page.locator("[data-list=open] .side__count") for page in (page, other)]
        before = str(await counts[0].text_content())
        await operator.patch("/api/tickets/39", json={"status": "resolved"})
        for count in counts:
            await until(count.text_content, str(int(before) - 1))
