"""
An agent's day, by keyboard alone; and what may come in between: others who change the same, a
server that is killed, a network that is gone, a second tab. In a real Chromium.
"""

from typing import TYPE_CHECKING

from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.conftest import serving
from tests.desk.day import ACTIVE, come_in, command, keys, open_shop, tab_to, type_, until
from tests.web.browsing import browser, heading, person

if TYPE_CHECKING:
    from playwright.async_api import Browser

__all__ = ["browser"]


async def test_a_day_by_keyboard_alone(
    served: Edge, database: Database, browser: "Browser"
) -> None:
    await open_shop(database)
    async with serving(served) as url, person(browser) as page:
        await come_in(page, url)
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

        # Where is the focus then? Not lost: the next key does what it says.
        await command(page, "statinpro", "Status: In progress")
        await page.locator("#ticket-timeline").get_by_text("set status to").wait_for()

        # Write into the description, look at it, keep it.
        await page.locator("h1").click()
        await keys(page, "e")
        await until(lambda: page.evaluate(f"{ACTIVE}.id"), "description")
        await keys(page, "Control+End", "Enter", "Enter")
        await type_(page, "**Called at nine:** the bank says that *nothing* was taken.")
        await tab_to(page, "Preview")
        await keys(page, "Enter")
        await page.locator("#preview strong").get_by_text("Called at nine:").wait_for()
        await tab_to(page, "Save") if False else await keys(page, "Shift+Tab")
        await keys(page, "Control+Enter")
        await page.locator("#ticket-text .prose strong").get_by_text("Called at nine:").wait_for()
