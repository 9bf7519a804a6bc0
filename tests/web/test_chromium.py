"""The way in, in a real Chromium: once with scripts, once without, and no violation of the CSP."""

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from pullse.access import link_commands
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.people import calling, run
from tests.access.sign_in import PASSWORD, hire_with_password
from tests.access.test_passkeys_chromium import DEVICE
from tests.conftest import serving
from tests.web.browsing import browser, fill, heading, person, press, sign_out
from tests.web.test_signing_in import with_other_ways
from tests.web.visiting import code_of

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

__all__ = ["browser"]


@pytest.mark.parametrize("has_scripts", [True, False], ids=["scripts", "no-scripts"])
async def test_a_team_comes_in(
    has_scripts: bool, served: Edge, database: Database, browser: "Browser"
) -> None:
    """Set-up link, owner, second factor, an invitation, and a second agent beside the first."""
    options = {"java_script_enabled": has_scripts, "color_scheme": "dark"}
    async with (
        serving(served) as url,
        person(browser, **options) as ada,
        person(browser, **options) as ben,
    ):
        said = await link_commands.set_up(database, url)
        await ada.goto(str(said).split("\n")[0])
        assert await heading(ada) == "Welcome"
        await fill(ada, name="Ada", email="ada@example.org", password=PASSWORD, repeated="no")
        await press(ada, "Make my account")
        assert await ada.get_by_text("This is not the same password.").is_visible()
        assert await ada.locator("[name=name]").input_value() == "Ada"
        assert await ada.locator("[name=password]").input_value() == ""
        await fill(ada, password=PASSWORD, repeated=PASSWORD)
        await press(ada, "Make my account")
        await fill(ada, email="ada@example.org", password=PASSWORD)
        await press(ada, "Sign in")
        assert await heading(ada) == "Mine"

        secret = await second_factor(ada, url)
        assert await ada.locator(".codes code").count() == 10
        assert await ada.locator("copy-text").count() == 0
        await sign_out(ada)
        await fill(ada, email="ada@example.org", password=PASSWORD)
        await press(ada, "Sign in")
        assert await heading(ada) == "Second factor"
        await fill(ada, code="000000")
        await press(ada, "Sign in")
        await fill(ada, code=code_of(secret, steps=1))
        await press(ada, "Sign in")
        assert await heading(ada) == "Mine"

        await ada.get_by_role("link", name="Agents", exact=True).click()
        await fill(ada, email="ben@example.org", name="Ben")
        await press(ada, "Make an invitation")
        copies = ada.get_by_role("button", name="Copy")
        assert await copies.count() == (1 if has_scripts else 0)
        link = str(await ada.locator("#once").text_content())
        await ben.goto(link)
        assert await heading(ben) == "You are invited"
        await fill(ben, password=PASSWORD, repeated=PASSWORD)
        await press(ben, "Make my account")
        await fill(ben, email="ben@example.org", password=PASSWORD)
        await press(ben, "Sign in")
        assert await heading(ben) == "Mine"
        assert await ben.get_by_role("link", name="Agents", exact=True).count() == 0
        await ben.goto(f"{url}/agents")
        assert await heading(ben) == "Not for you"


async def test_a_private_team_without_a_script(
    served: Edge, database: Database, browser: "Browser"
) -> None:
    """Made, filled, opened, named anew, emptied and deleted, with what may not be in between."""
    await hire_with_password(database, "Ada", "admin")
    await hire_with_password(database, "Ben")
    async with serving(served) as url, person(browser, java_script_enabled=False) as page:
        await page.goto(f"{url}/teams")
        await fill(page, email="ada@example.org", password=PASSWORD)
        await press(page, "Sign in")
        assert await heading(page) == "Teams"
        await fill(page, name="People")
        await page.get_by_label("Private").check()
        await press(page, "Make the team")
        assert await heading(page) == "People"
        assert await page.get_by_text("Nobody is in it yet.").is_visible()
        await page.get_by_label("Who else").select_option(label="Ben (ben@example.org)")
        await press(page, "Take into the team")
        row = page.get_by_role("row").filter(has_text="ben@example.org")
        assert await row.count() == 1

        await press(page, "Open it to all")
        assert await page.get_by_text("The team is open to all agents now.").is_visible()
        await fill(page, name=" ")
        await press(page, "Rename")
        assert await page.get_by_text("must not be blank").is_visible()
        await fill(page, name="Staff")
        await press(page, "Rename")
        assert await heading(page) == "Staff"

        team = page.url.partition("?")[0].rpartition("/")[2]
        async with calling(served) as operator:
            body = {"title": "A question", "description": "How?", "team_id": team}
            ticket = (await operator.post("/api/tickets", json=body)).json()["data"]["id"]
            await page.get_by_text("Delete the team …").click()
            await press(page, "Delete the team")
            assert await page.get_by_text("Tickets belong to this team").is_visible()
            await operator.patch(f"/api/tickets/{ticket}", json={"team_id": None})
        async with page.expect_navigation():
            await row.get_by_role("button", name="Take out").click()
        assert await row.count() == 0
        await page.goto(f"{url}/teams/{team}")
        await page.get_by_text("Delete the team …").click()
        await press(page, "Delete the team")
        assert await heading(page) == "Teams"
        assert await page.get_by_text("The team is deleted.").is_visible()


async def second_factor(page: "Page", url: str) -> str:
    await page.goto(f"{url}/account")
    await page.get_by_role("link", name="Second factor").click()
    await press(page, "Set up an authenticator app")
    picture = await page.locator(".qr__code").bounding_box()
    assert picture
    assert picture["width"] == picture["height"] > 150
    secret = str(await page.locator("#once").text_content())
    await fill(page, code=code_of(secret))
    await press(page, "Switch it on")
    return secret


async def test_a_browser_sends_no_form_to_elsewhere_and_shows_us_in_no_frame(
    served: Edge, database: Database, browser: "Browser"
) -> None:
    """A page of another site, with a form that changes a password and a frame around ours."""
    await hire_with_password(database, "Ada")
    async with serving(served) as url:
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(f"{url}/sign-in")
        await fill(page, email="ada@example.org", password=PASSWORD)
        await press(page, "Sign in")
        # `localhost` is another site than 127.0.0.1
        foreign = url.replace("127.0.0.1", "localhost") + "/page"
        html = f"""<!doctype html><iframe src="{url}/account"></iframe>
            <form method="post" action="{url}/account/sessions/end-others"><button>x</button></form>
            <form method="post" action="{url}/sign-out"><button id="out">x</button></form>"""

        async def answer(route: Any) -> None:
            await route.fulfill(body=html, content_type="text/html")

        await context.route(foreign, answer)
        await page.goto(foreign)
        assert await page.frames[1].locator("main").count() == 0
        async with page.expect_navigation():
            await page.locator("#out").click()
        await page.goto(f"{url}/account")
        assert await heading(page) == "Account"
        await context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280, 3840])
async def test_no_page_is_wider_than_its_window(
    width: int, scheme: Any, served: Edge, database: Database, browser: "Browser"
) -> None:
    """Also with long words, and with text twice as large."""
    ada = await hire_with_password(database, "Ada", "owner")
    await run(database, "UPDATE agents SET name = repeat('W', 200)")
    team = f"/teams/{uuid4()}"
    await run(
        database,
        "INSERT INTO teams (id, name, is_private) VALUES ($1, repeat('W', 200), true)",
        team.removeprefix("/teams/"),
    )
    viewport: Any = {"width": width, "height": 800}
    async with (
        serving(served) as url,
        person(browser, viewport=viewport, color_scheme=scheme) as page,
    ):
        await page.goto(f"{url}/sign-in")
        await fill(page, email="ada@example.org", password=PASSWORD)
        await press(page, "Sign in")
        paths = ["/", "/account", "/account/password", "/account/second-factor", "/agents"]
        paths += ["/account/passkeys", "/account/identities", "/teams", team, "/policies"]
        paths += ["/account/sessions", "/account/tokens", f"/agents/{ada}", "/nothing", "/links/x"]
        for path in paths:
            await page.goto(url + path)
            for size in ("100%", "200%"):
                wide = await page.evaluate(
                    """(size) => {
                        document.documentElement.style.fontSize = size
                        return document.documentElement.scrollWidth - innerWidth
                    }""",
                    size,
                )
                assert wide <= 0, (path, size, wide)


async def test_the_keyboard_reaches_everything_and_shows_where_it_is(
    served: Edge, database: Database, browser: "Browser"
) -> None:
    await hire_with_password(database, "Ada", "owner")
    async with serving(served) as url, person(browser) as page:
        await page.goto(f"{url}/sign-in")
        await page.keyboard.type("ada@example.org")
        await page.keyboard.press("Tab")
        await page.keyboard.type(PASSWORD)
        async with page.expect_navigation():
            await page.keyboard.press("Enter")
        await page.goto(f"{url}/account/tokens")
        seen = []
        for _ in range(60):
            await page.keyboard.press("Tab")
            where = await page.evaluate(
                """() => {
                    const style = getComputedStyle(document.activeElement)
                    const drawn = style.outlineStyle !== 'none' && style.outlineWidth !== '0px'
                    const isPage = document.activeElement === document.body
                    return [isPage ? '' : document.activeElement.textContent.trim(), drawn]
                }"""
            )
            if seen and where[0] == seen[0][0]:
                break
            seen.append(where)
        assert seen[0][0] == "Skip to the content"
        assert ["Make the token", True] in seen
        assert all(drawn for text, drawn in seen if text)


async def test_a_copy_is_what_is_shown(
    served: Edge, database: Database, browser: "Browser"
) -> None:
    await hire_with_password(database, "Ada")
    async with serving(served) as url:
        url = url.replace("127.0.0.1", "localhost")
        allowed = ["clipboard-read", "clipboard-write"]
        async with person(browser, permissions=allowed) as page:
            await page.goto(f"{url}/account/tokens")
            await fill(page, email="ada@example.org", password=PASSWORD)
            await press(page, "Sign in")
            await fill(page, name="Export")
            await press(page, "Make the token")
            await page.get_by_role("button", name="Copy").click()
            await page.get_by_role("button", name="Copied").wait_for()
            token = str(await page.locator("#once").text_content())
            assert await page.evaluate("navigator.clipboard.readText()") == token


@pytest.mark.parametrize("has_scripts", [True, False], ids=["scripts", "no-scripts"])
async def test_a_passkeys_button_is_there_for_browsers_that_have_some(
    has_scripts: bool, served: Edge, browser: "Browser"
) -> None:
    async with (
        serving(with_other_ways(served)) as url,
        person(browser, java_script_enabled=has_scripts) as page,
    ):
        await page.goto(url.replace("127.0.0.1", "localhost") + "/sign-in")
        button = page.get_by_role("button", name="Sign in with a passkey")
        assert await button.count() == has_scripts


async def test_a_passkey_from_the_link_to_the_sign_in(
    served: Edge, database: Database, browser: "Browser"
) -> None:
    """By pages alone: made with an invitation, it signs in; another is added and removed."""
    async with serving(served) as url, person(browser) as page:
        url = url.replace("127.0.0.1", "localhost")
        devtools = await page.context.new_cdp_session(page)
        await devtools.send("WebAuthn.enable")
        first = await devtools.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
        new = link_commands.new_agent("ada@example.org", "Ada", "agent")
        said = await link_commands.invite(database, new, url)
        await page.goto(said.split()[0])
        await press(page, "Use a passkey instead")
        assert await page.get_by_text("Your passkey is made.").is_visible()
        await page.goto(f"{url}/account/passkeys")
        await press(page, "Sign in with a passkey")
        assert await heading(page) == "Passkeys"
        assert page.url == f"{url}/account/passkeys"

        given = {"authenticatorId": first["authenticatorId"]}
        await devtools.send("WebAuthn.removeVirtualAuthenticator", given)
        await devtools.send(
            "WebAuthn.addVirtualAuthenticator", {"options": DEVICE | {"transport": "usb"}}
        )
        await page.locator("#name").fill("A stick")
        await press(page, "Make a passkey")
        assert await page.get_by_text("The passkey is made").is_visible()
        assert await page.locator("tbody tr").count() == 2
        row = page.get_by_role("row").filter(has_text="A stick")
        async with page.expect_navigation():
            await row.get_by_role("button", name="Remove").click()
        assert await page.locator("tbody tr").count() == 1


async def test_a_passkey_that_is_not_there_is_told_in_words(
    served: Edge, browser: "Browser"
) -> None:
    async with serving(served) as url, person(browser) as page:
        await page.goto(f"{url}/sign-in")
        await page.get_by_role("button", name="Sign in with a passkey").click()
        alert = page.get_by_role("alert").filter(has_text="open this page by its name")
        await alert.wait_for()
        assert await page.locator("[name=email]").is_enabled()
