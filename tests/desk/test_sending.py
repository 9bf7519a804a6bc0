"""Forms that are sent without leaving the page, and what is tried again when nobody answers."""

from typing import TYPE_CHECKING, Any

import pytest

from pullse.kit.db import Database
from tests.access.sign_in import hire_with_password
from tests.desk.live import Port, enter, process
from tests.web.browsing import browser, fill, heading, person

if TYPE_CHECKING:
    from playwright.async_api import Page

__all__ = ["browser"]

HERE = "/tickets/new"
WRAPPED = """() => {
    const form = document.querySelector('draft-form')
    const around = document.createElement('async-form')
    around.setAttribute('replaces', 'main')
    form.replaceWith(around)
    around.append(form)
    window.said = []
    for (const name of ['sent', 'refused']) addEventListener(name, () => said.push(name))
}"""
ASKED = """async ({ path, method }) => {
    const all = document.querySelector('script[src*="/pullse.js"]').src
    const { $http: { load, Refused } } = await import(all)
    try {
        return (await load(path, { method })).response.status
    } catch (error) {
        return error instanceof Refused ? [error.status, error.sentence] : String(error)
    }
}"""
CUT = ("net::ERR_", "status of 503", "status of 429")


async def ask(page: "Page", method: str = "GET", path: str = "/tried") -> Any:
    return await page.evaluate(ASKED, {"path": path, "method": method})


async def test_a_form_is_sent_in_its_place(database: Database, browser: Any) -> None:
    await hire_with_password(database, "Ada")
    port = Port()
    async with process(database, port), person(browser) as page:
        await enter(page, port.url, path=HERE)
        await page.evaluate(WRAPPED)
        await fill(page, title=" ", description="It began on Monday.")
        await page.get_by_role("button", name="Create the ticket").click()
        await page.locator("[aria-invalid=true]").wait_for()
        assert await page.locator("[name=description]").input_value() == "It began on Monday."
        assert await page.evaluate("said") == ["refused"]
        assert await page.evaluate("document.activeElement.name") == "title"
        assert await page.evaluate("sessionStorage.length") == 0


async def test_a_form_that_nobody_took_stays_as_it_is(database: Database, browser: Any) -> None:
    await hire_with_password(database, "Ada")
    port = Port()
    async with process(database, port), person(browser, expected=CUT) as page:
        await enter(page, port.url, path=HERE)
        await page.evaluate(WRAPPED)
        await fill(page, title="A long story", description="It began on Monday.")
        await page.context.set_offline(True)
        create = page.get_by_role("button", name="Create the ticket")
        await create.click()
        await page.locator(".toast").get_by_text("Nobody answers just now.").wait_for()
        assert await page.locator("[name=title]").input_value() == "A long story"
        await page.context.set_offline(False)
        await create.click()
        await page.get_by_role("heading", name="A long story").wait_for()
        assert await heading(page) == "A long story"
        assert await page.evaluate("said") == ["refused", "sent"]
        keys = "Object.keys(localStorage).filter((key) => key.startsWith('pullse:draft'))"
        assert await page.evaluate(keys) == []


@pytest.mark.parametrize(
    ("method", "status", "expected", "times"),
    [
        ("GET", 503, 200, 3),
        ("GET", 429, 200, 3),
        ("GET", 0, 200, 3),
        ("POST", 429, 200, 3),
        ("POST", 503, [503, "There is too much to do just now. Try again in a moment."], 1),
        ("POST", 500, [500, "This did not work. Try again in a moment."], 1),
        ("POST", 0, [0, "Nobody answers just now. Nothing is lost; try again in a moment."], 1),
    ],
    ids=["read-503", "read-429", "read-cut", "write-429", "write-503", "write-500", "write-cut"],
)
async def test_only_what_can_do_no_harm_is_tried_again(
    method: str, status: int, expected: Any, times: int, database: Database, browser: Any
) -> None:
    await hire_with_password(database, "Ada")
    port = Port()
    # a second copy of http.js beside the page's own, which its CSP would not let in
    options: Any = {"expected": (*CUT, "status of 500"), "bypass_csp": True}
    async with process(database, port), person(browser, **options) as page:
        await enter(page, port.url)
        count = 0

        async def answer(route: Any) -> None:
            nonlocal count
            count += 1
            if count == 3:
                await route.fulfill(status=200, body="<p>Here</p>", content_type="text/html")
            elif status == 0:
                await route.abort()
            else:
                await route.fulfill(status=status, headers={"Retry-After": "1"}, body="<p>No</p>")

        await page.route("**/tried", answer)
        assert await ask(page, method) == expected
        assert count == times
