"""The side bar in a browser: its numbers follow what happens, and nothing else moves."""

from typing import TYPE_CHECKING

from pullse.kit.db import Database
from pullse.reports import counting
from tests.access.sign_in import hire_with_password
from tests.api.calls import change, new_ticket
from tests.desk.live import Port, enter, is_live, process
from tests.teams.calls import join, new_team
from tests.web.browsing import browser, person

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

__all__ = ["browser"]


async def reads(page: "Page", name: str, count: str) -> None:
    """Until the list has that number."""
    await page.wait_for_function(
        "([name, count]) => document.querySelector("
        "`[data-list='${name}'] .side__count`)?.textContent === count",
        arg=[name, count],
    )


async def test_numbers_follow_what_happens(database: Database, browser: "Browser") -> None:
    ada = await hire_with_password(database, "Ada")
    await counting.fill(database)
    port = Port()
    async with process(database, port) as operator, person(browser) as page:
        await enter(page, port.url)
        await reads(page, "mine", "0")
        assert await page.title() == "Account · pullse"
        link = page.locator("[data-list=open]")
        await link.focus()
        await page.evaluate("window.link = document.activeElement")

        ticket = await new_ticket(operator, assigned_to=str(ada))
        await reads(page, "mine", "1")
        await reads(page, "open", "1")
        assert await page.title() == "(1) Account · pullse"

        await change(operator, ticket, status="resolved")
        await reads(page, "mine", "0")
        await reads(page, "resolved", "1")
        assert await page.title() == "Account · pullse"
        assert await page.evaluate("window.link === document.activeElement")

        team = await new_team(operator, "Billing")
        await join(operator, team, {"id": ada})
        await reads(page, team["id"], "0")
        await new_ticket(operator, team_id=team["id"])
        await reads(page, team["id"], "1")


async def test_the_list_that_is_shown_is_marked(database: Database, browser: "Browser") -> None:
    await hire_with_password(database, "Ada")
    await counting.fill(database)
    port = Port()
    async with process(database, port), person(browser) as page:
        await enter(page, port.url)
        for name in ("mine", "open", "resolved", "trash"):
            await page.locator(f"[data-list={name}]").click()
            await is_live(page)
            marked = page.locator("[data-list][aria-current=page]")
            assert await marked.count() == 1
            assert await marked.get_attribute("data-list") == name
            assert await page.locator(".side [aria-current]").count() == 1


async def test_charts_are_for_the_width_that_there_is(
    database: Database, browser: "Browser"
) -> None:
    await hire_with_password(database, "Ada")
    port = Port()
    async with process(database, port), person(browser) as page:
        await enter(page, port.url, path="/insight")
        for width, size in ((1280, "wide"), (360, "narrow")):
            await page.set_viewport_size({"width": width, "height": 800})
            shown = page.locator(".chart >> visible=true")
            assert await shown.count() > 0
            sizes = await shown.evaluate_all("all => all.map((each) => each.dataset.size)")
            assert set(sizes) == {size}
            whole = await page.evaluate("document.documentElement.scrollWidth")
            assert whole <= width
