"""A session that ends under an open page: what is typed stays, and is sent when it goes on."""

from typing import TYPE_CHECKING, Any

from pullse.kit.db import Database
from tests.access.sign_in import PASSWORD, hire_with_password
from tests.desk.live import Port, enter, facts, is_live, note, process, write
from tests.web.browsing import browser, fill, heading, person
from tests.web.test_chromium import second_factor
from tests.web.visiting import code_of

if TYPE_CHECKING:
    import httpx
    from playwright.async_api import Page

__all__ = ["browser"]

WRAPPED = """() => {
    const form = document.querySelector('draft-form')
    const around = document.createElement('async-form')
    around.setAttribute('replaces', 'main')
    form.replaceWith(around)
    around.append(form)
}"""


async def end_sessions(operator: "httpx.AsyncClient", agent: Any) -> None:
    assert (await operator.delete(f"/api/agents/{agent}/sessions")).status_code == 200


def dialog(page: "Page") -> Any:
    return page.get_by_role("dialog", name="Sign in again")


async def sign_in_there(page: "Page", password: str = PASSWORD, **more: str) -> None:
    for name, text in {"password": password, **more}.items():
        await dialog(page).locator(f"[name={name}]").fill(text)
    await dialog(page).get_by_role("button", name="Sign in", exact=True).click()


async def test_what_was_to_be_sent_is_sent_after_signing_in_again(
    database: Database, browser: Any
) -> None:
    ada = await hire_with_password(database, "Ada")
    port = Port()
    async with process(database, port) as operator, person(browser) as page:
        await enter(page, port.url, path="/tickets/new")
        await page.evaluate(WRAPPED)
        await fill(page, title="A long story", description="It began on Monday.")
        await end_sessions(operator, ada)
        await page.get_by_text("Your session has ended.").first.wait_for()
        assert await dialog(page).count() == 0  # somebody types: nothing gets in between
        await page.get_by_role("button", name="Create the ticket").click()
        await dialog(page).wait_for()
        assert await dialog(page).locator("[name=email]").input_value() == "ada@example.org"
        await sign_in_there(page, "not the password")
        await dialog(page).get_by_text("The address or the password is wrong.").wait_for()
        await sign_in_there(page)
        await page.get_by_role("heading", name="A long story").wait_for()
        await is_live(page)
        assert len(await facts(page, 1)) == 1


async def test_all_tabs_go_on_when_one_has_signed_in(database: Database, browser: Any) -> None:
    ada = await hire_with_password(database, "Ada")
    port = Port()
    async with process(database, port) as operator, person(browser) as first:
        await enter(first, port.url)
        second = await first.context.new_page()
        await second.goto(f"{port.url}/account")
        await note(second)
        await end_sessions(operator, ada)
        await dialog(first).wait_for()
        await dialog(second).wait_for()
        await sign_in_there(second)
        for each in (first, second):
            await dialog(each).wait_for(state="hidden")
            await is_live(each)
        written = await write(operator, 1)
        assert (await facts(first, 1))[-1:] == (await facts(second, 1))[-1:] == written


async def test_another_way_in_is_noticed(database: Database, browser: Any) -> None:
    """By the page of another tab, with all that it offers."""
    ada = await hire_with_password(database, "Ada")
    port = Port()
    async with process(database, port) as operator, person(browser) as page:
        await enter(page, port.url)
        await end_sessions(operator, ada)
        async with page.context.expect_page() as opened:
            await dialog(page).get_by_role("link", name="Sign in another way").click()
        other = await opened.value
        await fill(other, email="ada@example.org", password=PASSWORD)
        await other.get_by_role("button", name="Sign in", exact=True).click()
        await dialog(page).wait_for(state="hidden")
        await is_live(page)


async def test_a_second_factor_is_asked_for(database: Database, browser: Any) -> None:
    ada = await hire_with_password(database, "Ada")
    port = Port()
    async with process(database, port) as operator, person(browser) as page:
        await enter(page, port.url)
        secret = await second_factor(page, port.url)
        await page.goto(f"{port.url}/account")
        await note(page)
        await end_sessions(operator, ada)
        await dialog(page).wait_for()
        assert not await dialog(page).locator("[name=code]").is_visible()
        await sign_in_there(page)
        await dialog(page).get_by_text("Now the code").wait_for()
        await sign_in_there(page, code="000000")
        await dialog(page).get_by_text("The code is wrong").wait_for()
        await sign_in_there(page, code=code_of(secret, steps=1))
        await dialog(page).wait_for(state="hidden")
        await is_live(page)


async def test_who_puts_it_off_can_do_it_later(database: Database, browser: Any) -> None:
    ada = await hire_with_password(database, "Ada")
    port = Port()
    async with process(database, port) as operator, person(browser) as page:
        await enter(page, port.url)
        await end_sessions(operator, ada)
        await dialog(page).wait_for()
        await page.keyboard.press("Escape")
        await dialog(page).wait_for(state="hidden")
        line = page.get_by_role("status").filter(has_text="Your session has ended.")
        await line.get_by_role("button", name="Sign in").click()
        await sign_in_there(page)
        await is_live(page)
        assert await line.count() == 0


async def test_somebody_else_gets_pages_of_their_own(database: Database, browser: Any) -> None:
    ada = await hire_with_password(database, "Ada")
    await hire_with_password(database, "Ben")
    port = Port()
    async with process(database, port) as operator, person(browser) as page:
        await enter(page, port.url)
        await end_sessions(operator, ada)
        await dialog(page).wait_for()
        async with page.expect_navigation():
            await sign_in_there(page, email="ben@example.org")
            await dialog(page).get_by_text("Somebody else is signed in now.").wait_for()
        assert await heading(page) == "Account"
        assert await page.locator("main").get_by_text("ben@example.org").count() == 1
