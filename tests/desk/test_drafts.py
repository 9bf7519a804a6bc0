"""What is typed is kept in the browser until it is sent."""

import asyncio
from typing import TYPE_CHECKING, Any

from pullse.kit.db import Database
from tests.access.sign_in import PASSWORD, hire_with_password
from tests.desk.live import Port, enter, process
from tests.web.browsing import browser, fill, heading, person, press

if TYPE_CHECKING:
    from playwright.async_api import Page

__all__ = ["browser"]

HERE = "/tickets/new"
AGAIN = "What you had typed is here again."


async def typed(page: "Page") -> list[str]:
    return [await page.locator(f"[name={each}]").input_value() for each in ("title", "description")]


async def drafts(page: "Page") -> list[str]:
    return list(
        await page.evaluate(
            "Object.keys(localStorage).filter((key) => key.startsWith('pullse:draft:'))"
        )
    )


async def kept(page: "Page", count: int = 1) -> None:
    await page.wait_for_function(
        "count => Object.keys(localStorage).filter((key) => key.startsWith('pullse:draft:')).length"
        " === count",
        arg=count,
    )


async def test_a_draft_survives_a_page_that_is_killed(database: Database, browser: Any) -> None:
    """The process of the page is killed with -9, as by a system that is out of memory."""
    await hire_with_password(database, "Ada")
    port = Port()
    async with process(database, port), person(browser) as page:
        await enter(page, port.url, path=HERE)
        await fill(page, title="A long story", description="It began on Monday.")
        await page.locator("[name=priority]").select_option("high")
        await kept(page)
        other = await page.context.new_page()
        tools = await page.context.new_cdp_session(page)
        killing = asyncio.ensure_future(tools.send("Page.crash"))  # nobody answers
        await page.wait_for_event("crash")
        await other.goto(f"{port.url}{HERE}")
        await other.get_by_text(AGAIN).wait_for()
        assert await typed(other) == ["A long story", "It began on Monday."]
        assert await other.locator("[name=priority]").input_value() == "high"
        killing.cancel()


async def test_a_draft_survives_a_reload_and_is_discarded_on_demand(
    database: Database, browser: Any
) -> None:
    await hire_with_password(database, "Ada")
    port = Port()
    async with process(database, port), person(browser) as page:
        await enter(page, port.url, path=HERE)
        await fill(page, title="A long story")
        await page.reload()
        await page.get_by_text(AGAIN).wait_for()
        assert await typed(page) == ["A long story", ""]
        await page.get_by_role("button", name="Discard it").click()
        assert await typed(page) == ["", ""]
        await kept(page, 0)
        await page.reload()
        assert await typed(page) == ["", ""]
        assert await page.get_by_text(AGAIN).count() == 0


async def test_a_draft_is_gone_when_it_was_sent_and_not_before(
    database: Database, browser: Any
) -> None:
    await hire_with_password(database, "Ada")
    port = Port()
    async with process(database, port), person(browser) as page:
        await enter(page, port.url, path=HERE)
        await fill(page, title=" ", description="It began on Monday.")
        await press(page, "Create the ticket")
        await kept(page, 1)
        assert (await typed(page))[1] == "It began on Monday."
        await fill(page, title="A long story")
        await press(page, "Create the ticket")
        assert await heading(page) == "A long story"
        await kept(page, 0)


async def test_two_tabs_have_drafts_of_their_own(database: Database, browser: Any) -> None:
    await hire_with_password(database, "Ada")
    port = Port()
    async with process(database, port), person(browser) as first:
        await enter(first, port.url, path=HERE)
        await fill(first, title="The first")
        await kept(first, 1)
        second = await first.context.new_page()
        await second.goto(f"{port.url}{HERE}")
        await fill(second, title="The second")
        await kept(second, 2)
        await first.reload()
        await first.get_by_text(AGAIN).wait_for()
        assert await typed(first) == ["The first", ""]
        await second.reload()
        await second.get_by_text(AGAIN).wait_for()
        assert await typed(second) == ["The second", ""]
        await first.get_by_role("button", name="Discard it").click()
        await kept(second, 1)
        await second.reload()
        assert await typed(second) == ["The second", ""]


async def test_nobody_else_sees_a_draft_and_signing_out_forgets_it(
    database: Database, browser: Any
) -> None:
    await hire_with_password(database, "Ada")
    await hire_with_password(database, "Ben")
    port = Port()
    async with process(database, port), person(browser) as page:
        await enter(page, port.url, path=HERE)
        await fill(page, title="Ada's own")
        await kept(page)
        await page.context.clear_cookies()
        await enter(page, port.url, "Ben", HERE)
        assert await typed(page) == ["", ""]
        await page.context.clear_cookies()
        await enter(page, port.url, "Ada", HERE)
        await page.get_by_text(AGAIN).wait_for()
        await page.evaluate("document.querySelector('form[action=\"/sign-out\"]').requestSubmit()")
        await page.wait_for_url("**/sign-in**")
        assert await drafts(page) == []
        await fill(page, email="ada@example.org", password=PASSWORD)
        await press(page, "Sign in")
        await page.goto(f"{port.url}{HERE}")
        assert await typed(page) == ["", ""]


async def test_a_draft_ends_after_two_weeks(database: Database, browser: Any) -> None:
    await hire_with_password(database, "Ada")
    port = Port()
    async with process(database, port), person(browser) as page:
        await enter(page, port.url, path=HERE)
        for days in (13, 15):
            await page.evaluate(
                """(days) => localStorage.setItem(`pullse:draft:agent:x:new-ticket:${days}`,
                    JSON.stringify({ at: Date.now() - days * 86_400_000, fields: [] }))""",
                days,
            )
        await page.evaluate("localStorage.setItem('pullse:draft:agent:x:new-ticket:0', 'broken')")
        await page.goto(f"{port.url}/account")
        await kept(page, 1)
        assert [each[-2:] for each in await drafts(page)] == ["13"]
