"""The list of tickets in real browsers: chosen, changed, taken back, live, and without a script."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.people import calling, hire
from tests.access.sign_in import PASSWORD, hire_with_password
from tests.conftest import serving
from tests.desk.desk import now, opened
from tests.web.browsing import browser, fill, heading, person, press

if TYPE_CHECKING:
    from playwright.async_api import Browser, Locator, Page

__all__ = ["browser"]

NO_GATEWAY = ("status of 503",)
"""A ticket's page asks for one, to say who else looks at it."""
TOUCH = {"viewport": {"width": 360, "height": 740}}


@asynccontextmanager
async def list_of(
    browser: "Browser", url: str, path: str = "/tickets?sort=created", **options: Any
) -> AsyncIterator["Page"]:
    async with person(browser, **options) as page:
        await page.goto(f"{url}/sign-in")
        await fill(page, email="ada@example.org", password=PASSWORD)
        await press(page, "Sign in")
        await page.goto(f"{url}{path}")
        yield page


def row(page: "Page", number: int) -> "Locator":
    return page.locator(f"#t{number}")


async def chosen(page: "Page") -> list[str]:
    found: list[str] = await page.locator("[data-row]:has([name=ticket]:checked)").evaluate_all(
        "rows => rows.map((row) => row.dataset.number)"
    )
    return found


async def toast(page: "Page", text: str) -> None:
    await page.locator(".toast", has_text=text).last.wait_for()


async def cell(page: "Page", number: int, column: str, text: str) -> None:
    """Wait until it says so."""
    await row(page, number).locator(f"[data-column={column}]", has_text=text).wait_for()


async def test_rows_are_chosen_by_mouse_and_keyboard(
    served: Edge, database: Database, browser: "Browser"
) -> None:
    await hire_with_password(database, "Ada")
    for _ in range(6):
        await opened(served)
    async with serving(served) as url, list_of(browser, url) as page:
        bar = page.locator("#bulk")
        assert not await bar.is_visible()
        await row(page, 2).locator("[name=ticket]").click()
        assert await page.get_by_text("1 chosen").is_visible()
        await row(page, 4).locator("[name=ticket]").click(modifiers=["Shift"])
        assert await chosen(page) == ["2", "3", "4"]
        await row(page, 3).locator("[data-column=select]").click(position={"x": 2, "y": 2})
        assert await chosen(page) == ["2", "4"]
        await page.get_by_role("button", name="Choose none").click()
        await bar.wait_for(state="hidden")

        await row(page, 1).locator("[data-key=o]").focus()
        await page.keyboard.press("x")
        await page.keyboard.press("Shift+J")
        await page.keyboard.press("Shift+J")
        assert await chosen(page) == ["1", "2", "3"]
        await page.keyboard.press("x")
        assert await chosen(page) == ["1", "2"]
        await page.keyboard.press("Escape")
        assert await chosen(page) == []
        await page.locator(".tickets__all").click()
        assert len(await chosen(page)) == 6


async def test_several_are_changed_in_place_and_taken_back_by_a_key(
    served: Edge, database: Database, browser: "Browser"
) -> None:
    await hire_with_password(database, "Ada")
    tickets = [await opened(served) for _ in range(3)]
    async with serving(served) as url, list_of(browser, url) as page:
        for number in (1, 3):
            await row(page, number).locator("[name=ticket]").check()
        await page.locator("#bulk [name=priority]").select_option("urgent")
        await page.get_by_role("button", name="Change", exact=True).click()
        await toast(page, "2 tickets changed.")
        for number in (1, 3):
            await cell(page, number, "priority", "Urgent")
        assert await chosen(page) == []
        assert page.url == f"{url}/tickets?sort=created"
        await page.keyboard.press("u")
        await toast(page, "Taken back for 2 tickets.")
        assert await page.locator(".toast").count() == 1  # of two ways back the older leads nowhere
        await cell(page, 1, "priority", "Low")
        assert [(await now(served, each))["priority"] for each in tickets] == ["low"] * 3

        await row(page, 2).locator("[name=ticket]").check()
        await page.get_by_role("button", name="Delete", exact=True).click()
        await toast(page, "1 ticket moved to the trash.")
        await page.locator("#t2[data-gone]").wait_for()
        await page.locator(".toast", has_text="trash").get_by_role("button", name="Undo").click()
        await toast(page, "Taken back for 1 ticket.")
        await page.locator("#t2:not([data-gone])").wait_for()


async def test_the_palette_changes_the_row_that_one_is_in(
    served: Edge, database: Database, browser: "Browser"
) -> None:
    await hire_with_password(database, "Ada")
    await opened(served)
    two = await opened(served)
    async with serving(served) as url, list_of(browser, url) as page:
        await page.keyboard.press("j")
        await page.keyboard.press("j")
        await page.keyboard.press("?")
        for key, name in (("s", "status"), ("p", "priority"), ("a", "Assign to")):
            entry = page.locator("key-help dl > div", has=page.locator(f"kbd:text-is('{key}')"))
            await entry.filter(has_text=name).first.wait_for()
        await page.keyboard.press("Escape")
        await page.keyboard.press("Control+k")
        await page.keyboard.type("prio urg")
        await page.get_by_role("option", name="Change the priority: Urgent").wait_for()
        await page.keyboard.press("Enter")
        await cell(page, 2, "priority", "Urgent")
        await page.locator("#t2:not([aria-busy])").wait_for()
        assert (await now(served, two))["priority"] == "urgent"


async def test_after_taking_back_one_is_in_the_list_where_one_was(
    served: Edge, database: Database, browser: "Browser"
) -> None:
    await hire_with_password(database, "Ada")
    for _ in range(6):
        await opened(served)
    async with serving(served) as url, list_of(browser, url) as page:
        await keys(page, "j", "j", "j", "x", "Shift+J", "b", *"Reso", "Enter", "Control+Enter")
        await toast(page, "2 tickets changed.")
        await is_in(page, 4)
        await keys(page, "u")
        await toast(page, "Taken back for 2 tickets.")
        for number in (3, 4):
            await cell(page, number, "status", "Open")
        await is_in(page, 4)
        await keys(page, "k")
        await is_in(page, 3)

        await keys(page, "x")
        await page.get_by_role("button", name="Delete", exact=True).focus()
        await keys(page, "Enter")
        await page.locator("#t3[data-gone]").wait_for()
        await page.locator(".toast", has_text="trash").get_by_role("button", name="Undo").focus()
        await keys(page, "Enter")
        await toast(page, "Taken back for 1 ticket.")
        await page.locator("#t3:not([data-gone])").wait_for()
        await is_in(page, 3)
        await keys(page, "j")
        await is_in(page, 4)

        # The row is not there any more: the one in its place is.
        await keys(page, "x", "b", *"Reso", "Enter", "Control+Enter")
        await toast(page, "1 ticket changed.")
        await is_in(page, 4)
        await page.locator(".toast", has_text="1 ticket ch").get_by_role("button").first.focus()
        await page.evaluate("() => document.getElementById('t4').remove()")
        await keys(page, "Enter")
        await toast(page, "Taken back for 1 ticket.")
        await is_in(page, 5)
        await keys(page, "k")
        await is_in(page, 3)


async def keys(page: "Page", *names: str) -> None:
    for name in names:
        await page.keyboard.press(name)


async def is_in(page: "Page", number: int) -> None:
    await page.wait_for_function(
        "(id) => document.activeElement.closest('[data-row]')?.id === id", arg=f"t{number}"
    )


async def test_what_changes_while_one_chooses_is_not_overwritten_and_loses_nobody_the_place(
    served: Edge, database: Database, browser: "Browser"
) -> None:
    await hire_with_password(database, "Ada")
    await opened(served)
    two = await opened(served)
    async with serving(served) as url, list_of(browser, url) as page:
        await keys(page, "j", "j", "s")
        await page.locator("#pick-status").get_by_role("button", name="Resolved").focus()
        async with calling(served) as ben:
            await ben.patch(f"/api/tickets/{two['id']}", json={"status": "in_progress"})
        await cell(page, 2, "status", "In progress")
        await keys(page, "Enter")
        await toast(page, "Nothing was changed. 1 has been changed by somebody else")
        await cell(page, 2, "status", "In progress")
        assert (await now(served, two))["status"] == "in_progress"

        await page.locator("#t2 [data-sets=status]:focus").wait_for()
        await keys(page, "s")
        await page.locator("#pick-status").get_by_role("button", name="Resolved").focus()
        await keys(page, "Enter")
        await cell(page, 2, "status", "Resolved")
        await page.locator("#t2:not([aria-busy])").wait_for()
        assert (await now(served, two))["status"] == "resolved"


async def test_a_row_is_changed_where_it_stands(
    served: Edge, database: Database, browser: "Browser"
) -> None:
    await hire_with_password(database, "Ada")
    await hire(database, "Ben")
    one, two = await opened(served), await opened(served)
    async with serving(served) as url, list_of(browser, url) as page:
        await row(page, 1).locator("[data-sets=status]").click()
        await page.locator("#pick-status").get_by_role("button", name="Resolved").click()
        await cell(page, 1, "status", "Resolved")
        await toast(page, "1 ticket changed.")
        assert (await now(served, one))["status"] == "resolved"

        await row(page, 2).locator("[data-key=o]").focus()
        await page.keyboard.press("a")
        await page.locator("#pick-assigned_to").get_by_role("button", name="Ben").wait_for()
        await page.keyboard.type("be")
        await (
            page.locator("#pick-assigned_to")
            .get_by_role("button", name="Ada")
            .wait_for(state="detached")
        )
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Enter")
        await cell(page, 2, "assignee", "Ben")
        await page.locator("#t2:not([aria-busy])").wait_for()
        found = await now(served, two)
        assert found["assigned_to"] is not None
        assert (
            await row(page, 2)
            .locator("[data-sets=assigned_to]")
            .evaluate("node => node === document.activeElement")
        )
        await page.keyboard.press("p")
        await page.keyboard.press("Escape")
        assert not await page.locator("#pick-priority").is_visible()
        await page.keyboard.press("j")
        await page.keyboard.press("u")
        await cell(page, 2, "assignee", "Nobody")


async def test_what_somebody_else_has_changed_is_not_overwritten_but_shown(
    served: Edge, database: Database, browser: "Browser"
) -> None:
    await hire_with_password(database, "Ada")
    ticket = await opened(served)
    cut = ("net::ERR_FAILED",)
    async with serving(served) as url, list_of(browser, url, expected=cut) as page:
        await page.route("**/api/events*", lambda route: route.abort())
        await page.evaluate(
            "document.addEventListener('fact', (e) => e.stopImmediatePropagation(), true)"
        )
        await row(page, 1).evaluate("row => { row.dataset.version = '0' }")
        await row(page, 1).locator("[data-sets=status]").click()
        await page.locator("#pick-status").get_by_role("button", name="Closed").click()
        await toast(page, "Nothing was changed. 1 has been changed by somebody else")
        await cell(page, 1, "status", "Open")
        assert (await now(served, ticket))["status"] == "open"


async def test_rows_are_live_and_nothing_moves(
    served: Edge, database: Database, browser: "Browser"
) -> None:
    """What two others do is seen at once; what one has chosen, focused or opened stays."""
    await hire_with_password(database, "Ada")
    tickets = [await opened(served, status="open") for _ in range(4)]
    path = "/tickets?status=open&sort=-created"
    async with (
        serving(served) as url,
        list_of(browser, url, path) as page,
        list_of(browser, url, path) as other,
        calling(served) as operator,
    ):
        await row(page, 2).locator("[name=ticket]").check()
        await row(page, 3).locator("[data-key=o]").focus()
        await row(other, 3).locator("[data-sets=priority]").click()
        await other.locator("#pick-priority").get_by_role("button", name="Urgent").click()
        await cell(page, 3, "priority", "Urgent")
        await operator.patch(f"/api/tickets/{tickets[2]['id']}", json={"title": "Another title"})
        await cell(page, 3, "title", "Another title")
        assert await page.evaluate("document.activeElement.closest('[data-row]').id") == "t3"
        assert await chosen(page) == ["2"]

        await operator.patch(f"/api/tickets/{tickets[0]['id']}", json={"status": "closed"})
        await page.locator("#t1[data-off]").wait_for()
        await opened(served, "Just in")
        await opened(served, "And one more")
        button = page.get_by_role("button", name="2 new")
        await button.wait_for()
        assert await page.locator("[data-row]").count() == 4
        await button.click()
        await row(page, 6).wait_for()
        numbers = await page.locator("[data-row]").evaluate_all("all => all.map((row) => row.id)")
        assert numbers == ["t6", "t5", "t4", "t3", "t2"]
        assert await chosen(page) == ["2"]
        assert not await button.is_visible()
        await operator.delete(f"/api/tickets/{tickets[1]['id']}")
        await page.locator("#t2[data-gone]").wait_for()
        assert await chosen(page) == []


async def test_a_thousand_changes_cost_few_requests(
    served: Edge, database: Database, browser: "Browser"
) -> None:
    await hire_with_password(database, "Ada")
    tickets = [await opened(served) for _ in range(5)]
    asked = []
    async with serving(served) as url, list_of(browser, url) as page:
        page.on("request", lambda each: asked.append(each.url) if "rows" in each.url else None)
        await page.evaluate(
            """(ids) => {
                for (let number = 0; number < 1000; number++) {
                    const ticket_id = number % 3 ? ids[number % 5] : crypto.randomUUID()
                    const data = { version: number + 10 }
                    const detail = { name: 'ticket.changed', ticket_id, data }
                    document.dispatchEvent(new CustomEvent('fact', { detail }))
                }
            }""",
            [each["id"] for each in tickets],
        )
        await page.get_by_role("button", name="new").wait_for()
        await page.wait_for_timeout(2000)
        assert 1 <= len(asked) <= 10


async def test_more_comes_by_scrolling_and_is_there_on_coming_back(
    served: Edge, database: Database, browser: "Browser"
) -> None:
    await hire_with_password(database, "Ada")
    for number in range(120):
        await opened(served, f"Ticket {number}")
    options = {"expected": NO_GATEWAY}
    async with serving(served) as url, list_of(browser, url, **options) as page:
        assert await page.locator("[data-row]").count() == 50
        await page.locator(".tickets__more").scroll_into_view_if_needed()
        await row(page, 100).wait_for(state="attached")
        await page.locator(".tickets__more").scroll_into_view_if_needed()
        await row(page, 120).wait_for(state="attached")
        assert await page.locator(".tickets__more").count() == 0
        await row(page, 90).locator("[data-key=o]").click()
        await page.wait_for_url(re.compile("/tickets/90"))
        await page.go_back()
        await row(page, 120).wait_for(state="attached")
        await page.wait_for_function("() => document.activeElement.closest('#t90') !== null")
        assert await row(page, 90).locator("[data-key=o]").is_visible()
        assert await row(page, 90).evaluate(
            "row => row.getBoundingClientRect().top > 0"
            " && row.getBoundingClientRect().bottom < innerHeight"
        )


async def test_all_of_it_without_a_script(
    served: Edge, database: Database, browser: "Browser"
) -> None:
    await hire_with_password(database, "Ada")
    await hire(database, "Ben")
    tickets = [await opened(served) for _ in range(3)]
    async with (
        serving(served) as url,
        list_of(browser, url, java_script_enabled=False, **TOUCH) as page,
    ):
        for number in (1, 2):
            await row(page, number).locator("[name=ticket]").check()
        await page.locator("#bulk [name=status]").select_option("resolved")
        await page.locator("#bulk [name=assigned_to]").select_option(label="Ben")
        await press(page, "Change")
        assert await page.get_by_text("2 tickets changed.").is_visible()
        assert (await now(served, tickets[0]))["status"] == "resolved"
        await press(page, "Undo")
        assert await page.get_by_text("Taken back for 2 tickets.").is_visible()
        assert (await now(served, tickets[0]))["assigned_to"] is None

        await row(page, 3).locator("[data-sets=status]").click()
        form = page.get_by_role("form", name="Change ticket 3")
        await form.locator("[name=priority]").select_option("high")
        async with page.expect_navigation():
            await form.get_by_role("button", name="Save").click()
        assert (await now(served, tickets[2]))["priority"] == "high"

        await page.locator("summary", has_text="Priority").click()
        await page.locator("details[open]").get_by_label("High").check()
        async with page.expect_navigation():
            await page.locator("details[open]").get_by_role("button", name="Apply").click()
        assert "priority=high" in page.url
        assert await page.locator("[data-row]").count() == 1
        assert await heading(page) == "Tickets"
        await (
            page.locator("summary", has_text="Newest first")
            .or_(page.locator("summary", has_text="Oldest first"))
            .first.click()
        )
        await page.get_by_role("link", name="Most urgent first").click()
        assert "sort=-priority" in page.url
        assert await page.evaluate("document.documentElement.scrollWidth") == 360

        await page.goto(f"{url}/tickets?status=open,nonsense&priority=high&created_after=tomorrow")
        assert await page.evaluate("document.documentElement.scrollWidth") == 360
        status = page.locator("summary", has_text="Status")
        assert await status.get_attribute("aria-describedby") == "status-problem"
        assert await page.locator("#status-problem").is_visible()
        await page.get_by_role("link", name="The list without what is wrong").click()
        assert page.url == f"{url}/tickets?priority=high"
        assert await page.locator("[data-row]").count() == 1
