"""Keys and the command palette, in a real Chromium."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from pullse import app, demo
from pullse.desk import side
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.conftest import serving
from tests.web.browsing import browser, person

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

__all__ = ["browser"]

ACTIVE = "document.activeElement"


@asynccontextmanager
async def at(
    path: str, edge: Edge, database: Database, browser: "Browser", **options: str
) -> AsyncIterator["Page"]:
    """The owner of this machine looks at a page of the shop."""
    await demo.load(database)
    async with serving(edge) as url, person(browser, base_url=url, **options) as page:
        await page.goto(path)
        yield page


async def row(page: "Page") -> str | None:
    found = await page.evaluate(f"{ACTIVE}.closest('[data-row]')?.id")
    return None if found is None else str(found)


async def hits(page: "Page") -> list[str]:
    options = page.locator("palette-list [role=option]:visible")
    return [" ".join(str(each).split()) for each in await options.all_inner_texts()]


async def look_for(page: "Page", typed: str) -> None:
    """Type into the open palette, and wait for what the server says."""
    ending = urlencode({"q": typed})
    async with page.expect_response(lambda answer: answer.url.endswith(ending)):
        await page.keyboard.type(typed)


async def test_a_list_is_walked_by_letters_and_by_arrows(
    edge: Edge, database: Database, browser: "Browser"
) -> None:
    async with at("/tickets", edge, database, browser) as page:
        await page.keyboard.press("ArrowDown")
        assert await row(page) is None  # it scrolls
        for key, number in (("j", 41), ("j", 40), ("ArrowDown", 39), ("k", 40), ("ArrowUp", 41)):
            await page.keyboard.press(key)
            assert await row(page) == f"t{number}"
        await page.keyboard.press("k")
        assert await row(page) == "t41"
        await page.keyboard.press("j")
        await page.keyboard.press("o")
        await page.wait_for_url("**/tickets/40?*")
        await page.go_back()
        await page.keyboard.press("j")
        # Where one was, or the next, where the browser kept the page as it was.
        assert await row(page) in ("t40", "t39")


async def test_keys_one_after_the_other_lead_to_lists(
    edge: Edge, database: Database, browser: "Browser"
) -> None:
    async with at("/tickets", edge, database, browser) as page:
        await page.keyboard.press("g")
        await page.keyboard.press("x")
        await page.wait_for_url("**/trash")
        for key in ("g", "Shift", "o"):
            await page.keyboard.press(key)
        await page.wait_for_url("**/tickets?status=open&status=in_progress")
        for key in ("g", "q", "c"):
            await page.keyboard.press(key)  # leads nowhere, then c is c again
        await page.wait_for_url("**/tickets/new")


def test_each_page_of_the_frame_has_a_key_of_its_own() -> None:
    keys = [*(each.key for each in app.places), *side.KEYS.values()]
    assert all(re.fullmatch("g [a-z]", each) for each in keys)
    assert len(set(keys)) == len(keys)


async def test_keys_lead_to_every_page_of_the_frame_and_are_shown(
    edge: Edge, database: Database, browser: "Browser"
) -> None:
    async with at("/tickets", edge, database, browser) as page:
        await page.keyboard.press("?")
        shown = await page.locator("key-help dialog dd").all_inner_texts()
        assert {each.key for each in app.places} <= {" ".join(each.split()) for each in shown}
        await page.keyboard.press("Escape")
        await page.keyboard.press("Control+k")
        await page.keyboard.type("audit")
        await page.locator(
            "palette-list [role=option]", has_text=re.compile(r"Audit trail\s*g\s*d")
        ).wait_for()
        await page.keyboard.press("Escape")
        for place in app.places:
            if place.path != "/account":  # which is a refusal here, where nobody signs in
                for key in place.key.split():
                    await page.keyboard.press(key)
                await page.wait_for_url(f"**{place.path}")


async def test_what_one_types_into_a_field_stays_there(
    edge: Edge, database: Database, browser: "Browser"
) -> None:
    async with at("/tickets", edge, database, browser) as page:
        await page.keyboard.press("/")
        await page.keyboard.type("c?gojk/ ")
        assert await page.evaluate(f"{ACTIVE}.value") == "c?gojk/ "
        assert page.url.endswith("/tickets")
        assert not await page.locator("dialog[open]").count()


async def test_the_browser_keeps_its_own_keys(
    edge: Edge, database: Database, browser: "Browser"
) -> None:
    """With Ctrl, Alt or Command, while a word is composed, or when a script was first."""
    dispatch = """(options) => document.body.dispatchEvent(
        new KeyboardEvent('keydown', { key: 'c', bubbles: true, cancelable: true, ...options }))"""
    async with at("/tickets", edge, database, browser) as page:
        for options in (
            {"ctrlKey": True},
            {"altKey": True},
            {"metaKey": True},
            {"isComposing": True},
            {"keyCode": 229},
            {"key": "F5"},
            {"key": "Tab"},
            {"key": " "},
            {"key": "Enter"},
        ):
            assert await page.evaluate(dispatch, options), options
        assert page.url.endswith("/tickets")
        async with page.expect_navigation():
            assert not await page.evaluate(dispatch, {"code": "KeyC", "key": "с"})  # noqa: RUF001
        assert page.url.endswith("/tickets/new")


async def test_help_shows_the_keys_of_the_page_and_switches_single_ones_off(
    edge: Edge, database: Database, browser: "Browser"
) -> None:
    async with at("/tickets/26", edge, database, browser) as page:
        help_ = page.locator("key-help dialog")
        await page.keyboard.press("?")
        shown = " ".join((await help_.inner_text()).split())
        for text in (
            "Status s",
            "Priority p",
            "Edit title and description e",
            "New ticket c",
            "All open g o",
        ):
            assert text in shown, shown
        assert "Next, previous" not in shown
        assert await page.locator("#set-status").get_attribute("aria-keyshortcuts") == "s"
        await help_.get_by_label("Single keys").uncheck()
        await page.keyboard.press("c")  # nothing of the page while a dialog is open
        await page.keyboard.press("Escape")
        await help_.wait_for(state="hidden")
        assert await page.locator("#set-status").get_attribute("aria-keyshortcuts") is None
        for key in ("c", "?", "g", "o"):
            await page.keyboard.press(key)
        assert page.url.endswith("/tickets/26")
        await page.reload()
        await page.keyboard.press("c")
        assert page.url.endswith("/tickets/26")
        await page.keyboard.press("Control+k")
        assert await page.locator("command-palette dialog").is_visible()
        await page.keyboard.press("Control+k")
        await page.get_by_role("button", name="Keys", exact=True).click()
        await help_.get_by_label("Single keys").check()
        await page.keyboard.press("Escape")
        await page.keyboard.press("c")
        await page.wait_for_url("**/tickets/new")


async def test_the_palette_finds_commands_choices_lists_and_tickets(
    edge: Edge, database: Database, browser: "Browser"
) -> None:
    async with at("/tickets/26", edge, database, browser) as page:
        await page.locator("#set-team").focus()
        await page.keyboard.press("Control+k")
        assert "Edit title and description e" in await hits(page)
        await look_for(page, "prilow")
        assert (await hits(page))[0] == "Priority: Low"
        await page.keyboard.press("Escape")
        await page.locator("#set-team:focus").wait_for()

        await page.keyboard.press("Control+k")
        await look_for(page, "chain city")
        assert (await hits(page))[0].startswith("#4 Which chain fits the City 7?")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/tickets/4")
        await page.keyboard.press("Control+k")
        await page.locator("palette-list").get_by_text("#26").wait_for()
        await page.keyboard.type("#1")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/tickets/1")
        await page.keyboard.press("Control+k")
        await look_for(page, "all op")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/tickets?status=open&status=in_progress")
        await page.keyboard.press("Control+k")
        await look_for(page, "helmet")
        await page.keyboard.press("ArrowUp")
        assert await page.locator("[aria-selected=true]").inner_text() == (
            "Search all tickets for helmet"
        )
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/tickets?q=helmet")


async def test_the_palette_is_a_combobox_that_says_what_is_active(
    edge: Edge, database: Database, browser: "Browser"
) -> None:
    async with at("/tickets", edge, database, browser) as page:
        await page.keyboard.press("Control+k")
        field = page.get_by_role("combobox", name="Type a command")
        assert await field.evaluate(f"(node) => node === {ACTIVE}")
        await look_for(page, "in")
        for key in ("ArrowDown", "ArrowDown", "ArrowUp"):
            await page.keyboard.press(key)
            active = await field.get_attribute("aria-activedescendant")
            selected = page.locator("palette-list [aria-selected=true]")
            assert await selected.count() == 1
            assert await selected.get_attribute("id") == active
        ids = await page.locator("[id]").evaluate_all("(all) => all.map((each) => each.id)")
        assert len(set(ids)) == len(ids)


async def test_an_answer_that_comes_too_late_is_dropped(
    edge: Edge, database: Database, browser: "Browser"
) -> None:
    async with at("/tickets", edge, database, browser) as page:
        await page.keyboard.press("Control+k")
        async with page.expect_request("**/palette?*q=helmet"):
            await page.keyboard.type("helmet")
        await page.get_by_role("combobox", name="Type a command").fill("")
        await look_for(page, "invoice")
        await page.locator("palette-list").get_by_text("#16").wait_for()
        assert not [each for each in await hits(page) if "helmet" in each.lower()]


async def test_visited_tickets_are_forgotten_at_the_sign_out(
    edge: Edge, database: Database, browser: "Browser"
) -> None:
    async with at("/tickets/3", edge, database, browser) as page:
        kept = "localStorage.getItem('pullse.visited')"
        assert await page.evaluate(kept) == '{"agent":"owner","numbers":["3"]}'
        await page.evaluate(
            """() => {
                const form = document.createElement('form')
                form.setAttribute('action', '/sign-out')
                document.body.append(form)
                form.addEventListener('submit', (event) => event.preventDefault())
                form.requestSubmit()
            }"""
        )
        assert await page.evaluate(kept) is None


@pytest.mark.parametrize(
    ("typed", "name", "fits"),
    [
        ("go", "Go to agents", True),
        ("ag", "Agents", True),
        ("rr", "Recently resolved", True),
        ("prilow", "Priority: Low", True),
        ("uber", "Über uns", True),
        ("age", "Unassigned", False),
        ("xyz", "Agents", False),
        ("", "Agents", True),
    ],
)
async def test_letters_fit_a_name(
    typed: str, name: str, fits: bool, edge: Edge, browser: "Browser"
) -> None:
    async with serving(edge) as url, person(browser) as page:
        await page.goto(f"{url}/account/nothing")
        fit = "async ([module, typed, name]) => Boolean((await import(module)).fit(typed, name))"
        module = await page.locator("link[rel=stylesheet]").get_attribute("href")
        assert module
        path = module.replace("pullse.css", "fuzzy.js")
        assert await page.evaluate(fit, [path, typed, name]) is fits
