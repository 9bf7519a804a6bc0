"""A ticket's page in real browsers: in place, by two at once, by keyboard, without scripts."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from pullse.kit.db import Database
from tests.access.sign_in import PASSWORD, hire_with_password
from tests.api.calls import Body, change, get, new_ticket
from tests.desk.live import Port, is_live, process
from tests.web.browsing import browser, fill, held, person, press

if TYPE_CHECKING:
    from playwright.async_api import Browser, Locator, Page

__all__ = ["browser"]

AT = "/tickets/1"


@pytest.fixture(autouse=True)
async def people(database: Database) -> None:
    await hire_with_password(database, "Ada")
    await hire_with_password(database, "Ben")


@asynccontextmanager
async def serving(database: Database) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    port = Port()
    async with process(database, port) as operator:
        yield operator, port.url


async def enter(page: "Page", url: str, name: str = "Ada", path: str = AT) -> None:
    await page.goto(f"{url}{path}")
    await fill(page, email=f"{name.lower()}@example.org", password=PASSWORD)
    await press(page, "Sign in")


async def opened(page: "Page", url: str, name: str = "Ada", path: str = AT) -> None:
    """With a script, and told of what happens."""
    await enter(page, url, name, path)
    await is_live(page)


async def ticket_now(operator: httpx.AsyncClient) -> Body:
    return await get(operator, "/api/tickets/1")


def said(page: "Page") -> "Locator":
    """What happened, the last last."""
    return page.locator("#ticket-timeline [data-said]")


async def test_properties_are_changed_where_they_stand(
    database: Database, browser: "Browser"
) -> None:
    async with serving(database) as (operator, url), person(browser) as page:
        await new_ticket(operator)
        await opened(page, url)
        assert await page.get_by_role("button", name="Save").count() == 0
        await page.evaluate("window.isSame = true")
        await page.get_by_label("Priority").select_option("urgent")
        await said(page).get_by_text("Ada set priority to Urgent, from Low").wait_for()
        assert (await ticket_now(operator))["priority"] == "urgent"
        toast = page.locator(".toast")
        assert "It is saved." in str(await toast.first.text_content())
        await toast.first.get_by_role("button", name="Undo").click()
        await said(page).get_by_text("Ada set priority to Low, from Urgent").wait_for()
        assert await page.get_by_label("Priority").input_value() == "low"
        assert await page.evaluate("isSame")
        assert (await ticket_now(operator))["priority"] == "low"


async def test_it_is_worked_on_by_keyboard_alone(database: Database, browser: "Browser") -> None:
    async with serving(database) as (operator, url), person(browser) as page:
        await new_ticket(operator)
        await opened(page, url)
        await page.keyboard.press("s")
        assert await page.evaluate("document.activeElement.id") == "set-status"
        await page.keyboard.press("Escape")
        await page.locator("#set-status").select_option("resolved")
        await said(page).get_by_text("set status to Resolved").wait_for()
        assert await page.evaluate("document.activeElement.id") == "set-status"
        await page.locator("#set-status").blur()
        await page.keyboard.press("u")
        await said(page).get_by_text("set status to Open, from Resolved").wait_for()
        await page.keyboard.press("e")
        await page.locator("#description:focus").wait_for()
        await page.keyboard.press("Control+a")
        await page.keyboard.type("It is *dark*.")
        await page.keyboard.press("Control+Enter")
        await page.locator("#ticket-text em").wait_for()
        assert await page.evaluate("document.activeElement.id") == "edit-text"
        assert (await ticket_now(operator))["description"] == "It is *dark*."


async def test_what_was_chosen_is_sent_before_anything_else_is_done(
    database: Database, browser: "Browser"
) -> None:
    async with serving(database) as (operator, url), person(browser) as page:
        await new_ticket(operator)
        await opened(page, url)
        await page.locator("#set-priority").focus()
        for key in ("ArrowDown", "ArrowDown", "Tab"):
            await page.keyboard.press(key)
        await said(page).get_by_text("set priority to High, from Low").wait_for()
        assert await page.get_by_label("Priority").input_value() == "high"

        await page.locator("#set-status").focus()
        await page.keyboard.press("ArrowDown")
        await page.get_by_role("link", name="Edit").click()
        await page.locator("#description:focus").wait_for()
        await said(page).get_by_text("set status to In progress, from Open").wait_for()
        assert await page.get_by_label("Status").input_value() == "in_progress"


async def test_what_is_chosen_while_another_choice_is_on_its_way_is_sent_after_it(
    database: Database, browser: "Browser"
) -> None:
    async with serving(database) as (operator, url), person(browser) as page:
        await new_ticket(operator)
        await opened(page, url)
        async with held(page, "**/changes") as arrived:
            await page.get_by_label("Status").select_option("resolved")
            await arrived.wait()
            await page.get_by_label("Priority").select_option("urgent")
            await page.locator("body").click(position={"x": 5, "y": 400})
        await said(page).get_by_text("set priority to Urgent, from Low").wait_for()
        found = await ticket_now(operator)
        assert (found["status"], found["priority"]) == ("resolved", "urgent")
        assert await page.get_by_label("Status").input_value() == "resolved"
        assert await page.get_by_label("Priority").input_value() == "urgent"


async def test_who_walks_through_choices_has_not_chosen_yet(
    database: Database, browser: "Browser"
) -> None:
    async with serving(database) as (operator, url), person(browser) as page:
        await new_ticket(operator)
        await opened(page, url)
        await page.locator("#set-priority").focus()
        for _ in range(3):
            await page.keyboard.press("ArrowDown")
        await said(page).get_by_text("set priority to Urgent, from Low").wait_for()
        assert await said(page).count() == 2


async def test_text_is_edited_in_place_and_left_alone_by_others(
    database: Database, browser: "Browser"
) -> None:
    async with (
        serving(database) as (operator, url),
        person(browser) as ada,
        person(browser) as ben,
    ):
        await new_ticket(operator, description="one\ntwo\nthree")
        await opened(ada, url)
        await opened(ben, url, "Ben")
        await ada.get_by_role("link", name="Edit").click()
        await ada.locator("#description").fill("one\ntwo\nTHREE")
        await ben.get_by_label("Status").select_option("in_progress")
        await ben.get_by_role("link", name="Edit").click()
        await ben.locator("#title").fill("Help me")
        await ben.get_by_role("button", name="Save", exact=True).click()
        await ben.get_by_role("heading", name="Help me").wait_for()
        news = ada.locator("[data-news]")
        await news.get_by_text("Ben changed the title from Help to Help me").wait_for()
        assert await ada.get_by_role("heading", name="Help me").is_visible()
        assert await ada.get_by_label("Status").input_value() == "in_progress"
        assert await ada.locator("#description").input_value() == "one\ntwo\nTHREE"
        await ada.get_by_role("button", name="Save", exact=True).click()
        await ada.locator("#edit-text").wait_for()
        found = await ticket_now(operator)
        assert (found["title"], found["description"]) == ("Help me", "one\ntwo\nTHREE")
        await ben.locator("#ticket-text").get_by_text("THREE").wait_for()


@pytest.mark.parametrize("has_scripts", [True, False], ids=["scripts", "no-scripts"])
async def test_two_people_change_the_same_lines(
    has_scripts: bool, database: Database, browser: "Browser"
) -> None:
    async with (
        serving(database) as (operator, url),
        person(browser, java_script_enabled=has_scripts) as ada,
    ):
        ticket = await new_ticket(operator, description="one\ntwo\nthree")
        await (opened if has_scripts else enter)(ada, url)
        await ada.get_by_role("link", name="Edit").click()
        await ada.locator("#title").fill("Ada's title")
        await ada.locator("#description").fill("one\ntwo\nTHREE")
        await change(operator, ticket, title="Their title", description="ONE\ntwo\nthree")
        await ada.get_by_role("button", name="Save", exact=True).click()
        conflict = ada.locator(".conflict")
        await conflict.wait_for()
        assert await conflict.get_by_text("changed the title while you wrote").is_visible()
        merged = conflict.locator("#merged-description")
        assert await merged.input_value() == "ONE\ntwo\nTHREE"
        assert await conflict.locator("#description-merged").is_checked()
        assert (await ticket_now(operator))["title"] == "Their title"
        await conflict.locator("#title-yours").check()
        await conflict.get_by_role("button", name="Save what I chose").click()
        await ada.get_by_role("heading", name="Ada's title").wait_for()
        await conflict.wait_for(state="detached")
        found = await ticket_now(operator)
        assert found["title"] == "Ada's title"
        assert found["description"] == "ONE\ntwo\nTHREE"


async def test_a_choice_that_collides_leaves_the_text_that_is_being_written(
    database: Database, browser: "Browser"
) -> None:
    async with serving(database) as (operator, url), person(browser) as page:
        ticket = await new_ticket(operator)
        await opened(page, url)
        await page.get_by_role("link", name="Edit").click()
        await page.locator("#description").fill("My unfinished text")
        await page.route("**/tickets/1?*", lambda route: route.abort())
        await page.evaluate(
            "document.addEventListener('fact', e => e.stopImmediatePropagation(), true)"
        )
        await change(operator, ticket, status="closed")
        await page.get_by_label("Status").select_option("resolved")
        await page.locator(".conflict").wait_for()
        assert await page.locator("#description").input_value() == "My unfinished text"
        await page.locator("#status-theirs").check()
        await page.get_by_role("button", name="Save what I chose").click()
        await page.locator(".conflict").wait_for(state="detached")
        assert await page.locator("#description").input_value() == "My unfinished text"
        assert (await ticket_now(operator))["status"] == "closed"


async def test_what_was_written_survives_a_crash(database: Database, browser: "Browser") -> None:
    """With the version that was read then, so that nobody's change is lost either."""
    async with serving(database) as (operator, url), person(browser) as page:
        ticket = await new_ticket(operator)
        await opened(page, url)
        await page.get_by_role("link", name="Edit").click()
        await page.locator("#title").fill("My title")
        await page.wait_for_timeout(600)
        await page.goto("about:blank")
        await change(operator, ticket, title="Their title")
        await page.goto(f"{url}{AT}?edit=text")
        await page.wait_for_function("() => document.querySelector('#title').value === 'My title'")
        await page.get_by_role("button", name="Save", exact=True).click()
        await page.locator(".conflict").wait_for()
        assert await page.get_by_text("changed the title while you wrote").is_visible()


async def test_a_link_to_a_change_is_followed_to_where_it_is(
    database: Database, browser: "Browser"
) -> None:
    async with serving(database) as (operator, url), person(browser) as page:
        ticket = await new_ticket(operator)
        for number in range(60):
            await change(operator, ticket, priority="high" if number % 2 else "urgent")
        await opened(page, url)
        entries = page.locator("#ticket-timeline li")
        assert await entries.count() == 50
        await page.get_by_role("link", name="Show earlier").click()
        await page.wait_for_function(
            "() => document.querySelectorAll('#ticket-timeline li').length === 61"
        )
        first = str(await entries.first.get_attribute("id"))
        await change(operator, ticket, status="closed")
        await said(page).get_by_text("set status to Closed").wait_for()
        assert await entries.count() == 62
        await page.goto(f"{url}/tickets")
        await page.goto(f"{url}{AT}#{first}")
        await page.wait_for_url(re.compile(rf"\?fact=\d+#{first}$"))
        assert await page.locator(f"#{first}").is_visible()
        assert await page.locator(f"#{first}").evaluate("node => node.matches(':target')")


async def test_what_a_change_did_to_the_text_opens_beneath_it(
    database: Database, browser: "Browser"
) -> None:
    async with serving(database) as (operator, url), person(browser) as page:
        ticket = await new_ticket(operator, description="The lamp is dark.")
        await change(operator, ticket, description="The lamp is bright.")
        await opened(page, url)
        link = page.get_by_role("link", name="What changed")
        await link.click()
        assert await page.locator(".diff del").text_content() == "dark"
        assert await page.locator(".diff ins").text_content() == "bright"
        assert await link.get_attribute("aria-expanded") == "true"
        await link.click()
        assert await page.locator(".diff").count() == 0


async def test_to_the_trash_and_back(database: Database, browser: "Browser") -> None:
    async with serving(database) as (operator, url), person(browser) as page:
        await new_ticket(operator)
        await opened(page, url)
        await page.get_by_role("button", name="Move to the trash").click()
        await page.get_by_text("This ticket is in the trash.").wait_for()
        await page.evaluate(
            """() => {
                document.querySelector('button[data-key=u]').isOld = true
                document.dispatchEvent(new CustomEvent('caught-up'))
            }"""
        )
        await page.wait_for_function("() => !document.querySelector('button[data-key=u]').isOld")
        await page.locator(".toast").get_by_role("button", name="Restore").click()
        await page.get_by_label("Status").wait_for()
        assert await page.get_by_text("This ticket is in the trash.").count() == 0
        assert (await ticket_now(operator))["version"] == 3


async def test_a_day_without_a_script(database: Database, browser: "Browser") -> None:
    """Made, looked at before, changed, undone, edited, deleted, restored."""
    options: Any = {"java_script_enabled": False}
    async with serving(database) as (operator, url), person(browser, **options) as page:
        await enter(page, url, path="/tickets/new")
        await fill(page, title="The lamp is dark", description="Since **today**.")
        await press(page, "Preview")
        assert await page.locator("#preview strong").text_content() == "today"
        await page.get_by_label("Priority").select_option("high")
        await press(page, "Create the ticket")
        assert await page.get_by_role("heading", name="The lamp is dark").is_visible()
        await page.get_by_label("Status").select_option("in_progress")
        await page.get_by_label("Assignee").select_option(label="Ben")
        await press(page, "Save properties")
        assert await page.get_by_text("Ada assigned this ticket to Ben").is_visible()
        await press(page, "Undo")
        assert (await ticket_now(operator))["assigned_to"] is None
        await page.get_by_role("link", name="Edit").click()
        await fill(page, title="The lamp is dark again")
        await press(page, "Save")
        assert await page.get_by_role("heading", name="The lamp is dark again").is_visible()
        await press(page, "Move to the trash")
        assert await page.get_by_text("This ticket is in the trash.").is_visible()
        await press(page, "Restore")
        assert await page.get_by_text("The ticket is back.").is_visible()
        assert (await ticket_now(operator))["title"] == "The lamp is dark again"


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("size", ["100%", "200%"])
async def test_long_and_foreign_texts_break_no_layout(
    width: int, size: str, database: Database, browser: "Browser"
) -> None:
    options: Any = {"viewport": {"width": width, "height": 800}}
    texts = [
        ("W" * 300, "x" * 20_000),
        ("שלום עולם " * 25, "مرحبا بالعالم " * 200),
        ("🙂" * 300, "🏳️‍🌈" * 2000),
        ("a" * 300, f"| {'w' * 500} | b |\n|---|---|\n| c | d |\n\n```\n{'c' * 2000}\n```"),
    ]
    async with serving(database) as (operator, url), person(browser, **options) as page:
        for title, description in texts:
            ticket = await new_ticket(operator, title, description=description)
            await change(operator, ticket, title=title[:150] + ".", description=description + "!")
        await enter(page, url)
        for number in range(1, len(texts) + 1):
            for path in (f"/tickets/{number}", f"/tickets/{number}?edit=text"):
                await page.goto(f"{url}{path}")
                await page.evaluate(
                    "(size) => document.documentElement.style.fontSize = size", size
                )
                wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
                assert wide <= 0, path
