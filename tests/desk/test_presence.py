"""Who else looks at a ticket, and who writes: browsers with the gateway between them."""

from typing import TYPE_CHECKING, Any

from pullse.gateway.keys import DEV_KEY
from pullse.kit.db import Database
from pullse.settings import Ably
from tests.access.people import run
from tests.access.sign_in import hire_with_password
from tests.desk.live import Port, enter, process, write
from tests.teams.calls import join, new_team
from tests.web.browsing import browser, person

if TYPE_CHECKING:
    from playwright.async_api import Page

__all__ = ["browser"]

CUT = ("net::ERR_", "WebSocket connection", "status of 503")
TICKET = "/tickets/1"


def said(page: "Page", text: str) -> Any:
    return page.locator("ticket-presence").get_by_text(text, exact=True)


async def is_gone(page: "Page", name: str) -> None:
    await page.locator("ticket-presence").get_by_text(name).first.wait_for(state="detached")


async def test_two_people_see_each_other_and_what_the_other_does(
    database: Database, browser: Any
) -> None:
    await hire_with_password(database, "Ada")
    await hire_with_password(database, "Ben")
    port = Port()
    async with (
        process(database, port) as operator,
        person(browser) as ada,
        person(browser) as ben,
    ):
        await write(operator)
        await enter(ada, port.url, "Ada", TICKET)
        await enter(ben, port.url, "Ben", TICKET)
        await said(ada, "Ben is viewing").wait_for()
        await said(ben, "Ada is viewing").wait_for()
        await ben.goto(f"{port.url}{TICKET}?edit=text")
        await ben.locator("[name=description]").focus()
        await said(ada, "Ben is editing the description").wait_for()
        await ben.locator("[name=title]").focus()
        await said(ada, "Ben is editing the title").wait_for()
        await ben.locator("h1").first.click()
        await said(ada, "Ben is viewing").wait_for()
        assert await ada.locator("ticket-presence").get_by_text("Ada").count() == 0

        again = await ben.context.new_page()
        await again.goto(f"{port.url}{TICKET}")
        await said(again, "Ada is viewing").wait_for()
        assert await ada.locator(".presence__one").count() == 1  # two tabs, one person
        await again.close()
        await ben.close(run_before_unload=False)
        await is_gone(ada, "Ben")


async def test_presence_comes_back_with_the_server(database: Database, browser: Any) -> None:
    await hire_with_password(database, "Ada")
    await hire_with_password(database, "Ben")
    port = Port()
    async with (
        person(browser, expected=CUT) as ada,
        person(browser, expected=CUT) as ben,
    ):
        async with process(database, port) as operator:
            await write(operator)
            await enter(ada, port.url, "Ada", TICKET)
            await enter(ben, port.url, "Ben", TICKET)
            await said(ada, "Ben is viewing").wait_for()
        async with process(database, port):
            await said(ada, "Ben is viewing").wait_for()
            await ben.goto(f"{port.url}/account")
            await is_gone(ada, "Ben")
            await ben.go_back()
            await said(ada, "Ben is viewing").wait_for()


async def test_presence_on_what_is_private_is_for_the_team_alone(
    database: Database, browser: Any
) -> None:
    ada = await hire_with_password(database, "Ada")
    await hire_with_password(database, "Ben", "admin")
    port = Port()
    async with (
        process(database, port) as operator,
        person(browser) as member,
        person(browser) as admin,
    ):
        team = await new_team(operator, "Wages", is_private=True)
        await join(operator, team, {"id": ada})
        given = {"title": "Wages", "description": "Late.", "team_id": team["id"]}
        assert (await operator.post("/api/tickets", json=given)).status_code == 201
        await enter(member, port.url, "Ada", TICKET)
        channel = await member.locator("ticket-presence").get_attribute("channel")
        assert str(channel).startswith(f"private:{team['id']}:ticket:")
        await enter(admin, port.url, "Ben", TICKET)
        await said(member, "Ben is viewing").wait_for()
        await said(admin, "Ada is viewing").wait_for()

        moved = {"team_id": None}
        assert (await operator.patch("/api/tickets/1", json=moved)).status_code == 200
        for page in (member, admin):
            await page.locator("ticket-presence[channel^='ticket:']").wait_for(state="attached")
        await said(member, "Ben is viewing").wait_for()
        await said(admin, "Ada is viewing").wait_for()


HOSTILE = """async (states) => {
    const own = document.querySelector('script[src*="/pullse.js"]').src
    const { $presence_channel: { PresenceChannel } } = await import(own)
    const name = document.querySelector('ticket-presence').getAttribute('channel')
    const channel = new PresenceChannel(name, states[0], () => {})
    channel.open()
    for (const state of states.slice(1)) {
        await new Promise((resolve) => setTimeout(resolve, 300))
        channel.say(state)
    }
}"""


async def test_what_others_say_of_themselves_is_nothing_but_text(
    database: Database, browser: Any
) -> None:
    """Whoever may be present may say whatever as its state, and be called whatever."""
    await hire_with_password(database, "Ada")
    ben = await hire_with_password(database, "Ben")
    name = "<img src=x onerror=alert(1)>"
    port = Port()
    async with (
        process(database, port) as operator,
        person(browser) as page,
        person(browser) as other,
    ):
        await write(operator)
        answer = await operator.patch(f"/api/agents/{ben}", json={"name": name})
        assert answer.status_code == 200, answer.text
        await enter(page, port.url, "Ada", TICKET)
        await enter(other, port.url, "Ben", TICKET)
        states: list[Any] = [None, 7, "x", [], {"state": {}, "field": []}]
        states += [{"state": "editing", "field": each} for each in (name, None, [], "__proto__")]
        await other.evaluate(HOSTILE, states)
        await said(page, f"{name} is editing").wait_for()
        assert await page.locator("ticket-presence img").count() == 0


async def test_presence_goes_by_ably_where_there_is_a_key_for_it(
    database: Database, browser: Any
) -> None:
    """A gateway at another origin stands in for Ably: signed request, token, presence, CSP."""
    await hire_with_password(database, "Ada")
    await hire_with_password(database, "Ben")
    elsewhere, port = Port(), Port()
    ably = Ably(DEV_KEY.text, "127.0.0.1", elsewhere.number, tls=False)
    async with (
        process(database, elsewhere, key=DEV_KEY),
        process(database, port, ably=ably) as operator,
        person(browser) as ada,
        person(browser) as ben,
    ):
        await write(operator)
        asked: list[str] = []
        ada.on("websocket", lambda socket: asked.append(socket.url))
        await enter(ada, port.url, "Ada", TICKET)
        await enter(ben, port.url, "Ben", TICKET)
        await said(ada, "Ben is viewing").wait_for()
        await said(ben, "Ada is viewing").wait_for()
        assert {each.partition("?")[0] for each in asked} == {f"ws://127.0.0.1:{elsewhere.number}/"}


async def test_who_comes_moves_nothing(database: Database, browser: Any) -> None:
    await hire_with_password(database, "Ada")
    await hire_with_password(database, "Ben")
    name = "Benedikta Wilhelmina of the Northern Counties"
    await run(database, "UPDATE agents SET name = $1 WHERE name = 'Ben'", name)
    port = Port()
    async with process(database, port) as operator:
        await write(operator)
        for size in ({"width": 1280, "height": 800}, {"width": 360, "height": 740}):
            async with person(browser, viewport=size) as ada, person(browser) as other:
                await enter(ada, port.url, "Ada", TICKET)
                before = await tops(ada)
                assert before[0] == before[1]  # nothing is kept free
                await enter(other, port.url, "Ben", TICKET)
                one = ada.locator(".presence__one")
                await one.wait_for()
                assert await tops(ada) == before
                found = await one.evaluate(
                    "(node) => { const { top, right, bottom } = node.getBoundingClientRect();"
                    " return [top, right, bottom, document.elementFromPoint(right - 2, top + 9)"
                    " === node, document.documentElement.scrollWidth] }"
                )
                assert found[2] <= before[0]
                assert found[1] <= size["width"]
                assert found[3:] == [True, size["width"]]


async def tops(page: "Page") -> list[float]:
    """Of what is in the page: of its inner edge, and of the ticket."""
    found: list[float] = await page.evaluate(
        """() => {
            const top = (name) => document.querySelector(name).getBoundingClientRect().top
            const { paddingTop } = getComputedStyle(document.querySelector('main'))
            return [top('main') + parseFloat(paddingTop), top('.ticket__head')]
        }"""
    )
    return found
