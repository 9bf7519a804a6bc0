"""
The demo story told in attacks, and every page looked at in a real Chromium: nothing runs, nothing
is asked for elsewhere, no page is wider than its window, and no text turns round its neighbours.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
import pytest

from pullse import app, demo
from pullse.access.model import NewToken
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.people import calling, made
from tests.access.sign_in import hire_with_password
from tests.api.calls import change, new_ticket
from tests.conftest import serving
from tests.desk import attacks
from tests.desk.live import enter
from tests.web.browsing import browser, person

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

__all__ = ["browser"]

NO_GATEWAY = ("status of 503",)
WIDTHS = (360, 1280)
NAME, TITLE = 200, 300
NOT_VISITED = ("/assets/{version}/{name}", "/sign-out")
GROUP = 8
SHORT = [each for each in attacks.ATTACKS if each not in attacks.LONG]
TOGETHER = ["\n\n".join(SHORT[at : at + GROUP]) for at in range(0, len(SHORT), GROUP)]
WRITTEN = [*attacks.ATTACKS, *TOGETHER, *attacks.LONG]
"""Each alone, and the short ones as many together as a page takes: the rest of it is slow."""
SEARCHED = [each for each in attacks.ATTACKS if len(each) <= 100][::9]

OPEN_TEAMS = "SELECT id FROM teams WHERE NOT is_private ORDER BY id"
SETTLED = "[data-shown]:not([hidden], [aria-busy])"
TOO_WIDE = "document.scrollingElement.scrollWidth - innerWidth"
EXPOSED = """() => {
    // Texts of others that turn: each has to be alone in its paragraph, or isolated in it.
    const turns = /[\\u0590-\\u08ff\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069\\ufb1d-\\ufdff]/
    const OWN = 'option, script, textarea, .prose'
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    const around = new Map()
    const suspects = []
    while (walker.nextNode()) {
        const node = walker.currentNode
        if (!node.data.trim() || node.parentElement.closest(OWN)) continue
        let element = node.parentElement
        let style = getComputedStyle(element)
        while (style.display === 'inline' && style.unicodeBidi === 'normal') {
            element = element.parentElement
            style = getComputedStyle(element)
        }
        const here = around.get(element) ?? []
        around.set(element, [...here, node])
        if (turns.test(node.data)) suspects.push([node, element])
    }
    return suspects.filter(([node, element]) => around.get(element).length > 1)
        .map(([node, element]) => `${element.outerHTML.slice(0, 300)}`)
}"""


@asynccontextmanager
async def watched(browser: "Browser", url: str) -> AsyncIterator["Page"]:
    """Whatever runs, asks elsewhere, opens a window or complains fails the test."""
    seen: list[str] = []
    viewport = {"width": WIDTHS[0], "height": 800}
    async with person(browser, expected=NO_GATEWAY, viewport=viewport) as page:
        await page.context.expose_function("ran", lambda *_: seen.append(f"ran on {page.url}"))
        page.context.on(
            "request",
            lambda request: None if request.url.startswith(url) else seen.append(request.url),
        )
        page.context.on("page", lambda opened: seen.append(f"a window: {opened.url}"))
        page.on("dialog", lambda dialog: seen.append(f"a dialog: {dialog.message}"))
        yield page
        assert seen == []


def names(size: int) -> list[str]:
    """The attacks as names: cut to size, each only once without regard to case."""
    cut = (each[:size] for each in attacks.ATTACKS if re.search(r"\S", each[:size]))
    return list({each.lower(): each for each in cut}.values())


NAMES, TITLES = names(NAME), names(TITLE)


async def tell(database: Database, edge: Edge) -> dict[str, list[str]]:
    """The story with all its words replaced; what the places in the addresses of pages can be."""
    assert await demo.load(database)
    async with database.session() as db:
        for table, column, words in (
            ("agents", "name", NAMES),
            ("teams", "name", NAMES[60:]),
            ("tickets", "title", TITLES),
            ("tickets", "description", attacks.ATTACKS[::-1]),
        ):
            await db.run(
                f"""
                UPDATE {table} SET {column} = words.word
                  FROM unnest($1::text[]) WITH ORDINALITY AS words (word, place),
                       (SELECT id, row_number() OVER (ORDER BY id) AS place FROM {table}) AS each
                 WHERE each.id = {table}.id AND words.place = each.place
                """,
                words,
            )
        await db.run("UPDATE events SET data = jsonb_set(data, '{title}', to_jsonb(tickets.title))"
                     " FROM tickets WHERE tickets.id = ticket_id")  # fmt: skip
        await db.run(
            """
            INSERT INTO jobs (name, attempts, error, dead_at)
                 SELECT 'tickets.purge', 12, error, now() FROM unnest($1::text[]) AS error
            """,
            NAMES[::6],
        )
        teams = [str(row[0]) for row in await db.rows(OPEN_TEAMS)]
    for name in NAMES[100:110]:
        await made(database, NewToken(name, [], None, "agent"))
    agents = []
    async with calling(edge) as operator:
        for number, name in enumerate(NAMES[20:60]):
            body = {"name": name, "email": f"agent{number}@example.org"}
            answer = await operator.post("/api/agents", json=body)
            assert answer.status_code == 201, (name, answer.text)
            agents.append(answer.json()["data"]["id"])
        for name in NAMES[120:150]:
            answer = await operator.post("/api/teams", json={"name": name})
            assert answer.status_code == 201, (name, answer.text)
            teams.append(answer.json()["data"]["id"])
        written = [await write(operator, number, agents, teams) for number in range(len(WRITTEN))]
    return {"agent": agents[:8], "team": teams[:8], **await places(database, written)}


async def write(
    operator: httpx.AsyncClient, number: int, agents: list[str], teams: list[str]
) -> int:
    """A ticket that some have a hand in; its number."""
    given = {
        "title": TITLES[number % len(TITLES)],
        "description": WRITTEN[number],
        "assigned_to": agents[number % len(agents)],
        "team_id": teams[number % len(teams)],
    }
    answer = await operator.post("/api/tickets", json=given)
    assert answer.status_code == 201, (given, answer.text)
    path = f"/api/tickets/{answer.json()['data']['id']}"
    if number % 4 == 0:
        title, text = TITLES[-number % len(TITLES)], TITLES[number // 2]
        change = {"title": title, "description": text, "team_id": teams[0], "assigned_to": None}
        assert (await operator.patch(path, json=change)).status_code == 200, change
    if number % 16 == 0:
        assert (await operator.delete(path)).status_code == 200
    return int(answer.json()["data"]["number"])


async def places(database: Database, written: list[int]) -> dict[str, list[str]]:
    """What there are pages of. Of the tickets those of the story, those of many, and some."""
    found: dict[str, list[str]] = {}
    async with database.session() as db:
        for name, sql in (
            ("ticket", f"SELECT number FROM tickets WHERE number < {written[0]} ORDER BY number"),
            ("job", "SELECT id FROM jobs ORDER BY id LIMIT 8"),
            ("fact", "SELECT id FROM events ORDER BY id DESC LIMIT 1"),
        ):
            found[name] = [str(row[0]) for row in await db.rows(sql)]
    some = written[: len(attacks.ATTACKS) : 32] + written[len(attacks.ATTACKS) :]
    found["ticket"] += [str(number) for number in some]
    return found


def addresses(known: dict[str, list[str]]) -> list[str]:
    """Of every page, for each thing that there is a page of."""
    found = []
    for page in app.pages:
        if page.method != "GET" or page.path in NOT_VISITED:
            continue
        named = re.findall(r"\{(\w+)\}", page.path)
        ends_in_thing = page.path.endswith("}") and len(named) == 1
        for thing in known.get(named[0], ["x"]) if ends_in_thing else [""]:
            path = page.path
            for name in named:
                path = path.replace(f"{{{name}}}", thing or known.get(name, ["x"])[0])
            found.append(path)
    return found


async def look(page: "Page", address: str) -> list[str]:
    """What is wrong with a page."""
    await page.goto(address)
    return await judge(page, address)


async def judge(page: "Page", what: str) -> list[str]:
    wrong = []
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 800})
        over = await page.evaluate(TOO_WIDE)
        if over > 0:
            wrong.append(f"{what} is {over} px too wide at {width}")
    return wrong + [f"{what} lets out {each}" for each in await page.evaluate(EXPOSED)]


@pytest.fixture
async def told(database: Database, served: Edge) -> dict[str, list[str]]:
    known = await tell(database, served)
    await hire_with_password(database, "Zoe", "owner")
    return known


@pytest.mark.timeout(1200)
async def test_no_page_does_more_than_show_them(
    told: dict[str, list[str]], served: Edge, browser: "Browser"
) -> None:
    wrong: list[str] = []
    async with serving(served) as url, watched(browser, url) as page:
        await enter(page, url, "Zoe")
        for path in addresses(told):
            wrong += await look(page, url + path)
        for path in ("/tickets?limit=200", "/tickets?limit=200&sort=created", "/trash?limit=100"):
            wrong += await look(page, url + path)
        for text in SEARCHED:
            for path in ("/tickets?q=", "/palette?q=", "/tickets?status=", "/sign-in?return_to="):
                wrong += await look(page, url + path + quote(text))
    assert wrong == [], "\n".join(wrong)


@pytest.mark.timeout(1200)
async def test_no_preview_does(served: Edge, database: Database, browser: "Browser") -> None:
    """Each by itself, as the editor puts it into an open page."""
    await hire_with_password(database, "Zoe", "owner")
    wrong: list[str] = []
    async with serving(served) as url, watched(browser, url) as page:
        await enter(page, url, "Zoe", "/tickets/new")
        editor = page.locator("markdown-editor")
        for number, text in enumerate(attacks.ATTACKS[::4]):
            await editor.get_by_role("tab").first.click()
            await editor.locator("textarea").fill(text)
            await editor.get_by_role("tab").last.click()
            await editor.locator(SETTLED).wait_for()
            wrong += await judge(page, f"the preview of {number}")
    assert wrong == [], "\n".join(wrong)


@pytest.mark.parametrize("heap", ["a" + "\u0301" * 200, "\u05d0" + "\u05b0" * 200])
async def test_the_most_marks_that_can_be_hold_nobody_up(
    heap: str, served: Edge, database: Database, browser: "Browser"
) -> None:
    """Where a text is shown as it was written: in its form, and in what was changed."""
    await hire_with_password(database, "Zoe", "owner")
    async with calling(served) as operator:
        ticket = await new_ticket(operator)
        path = f"/tickets/{ticket['number']}"
        await change(operator, ticket, description=heap * 490)
    async with serving(served) as url, watched(browser, url) as page:
        await enter(page, url, "Zoe")
        page.set_default_timeout(10_000)
        await page.goto(f"{url}{path}")
        changes = page.get_by_role("link", name="What changed")
        for address in (f"{path}?edit=text", str(await changes.get_attribute("href"))):
            await page.goto(url + address)
            await page.evaluate(TOO_WIDE)
