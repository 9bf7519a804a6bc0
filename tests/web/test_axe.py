"""
Everybody can use every page: axe-core finds nothing, nor do the checks of what axe leaves out.

In light, dark and high contrast, as the system's own colours, on a phone, at twice the size.
"""

import json
from typing import TYPE_CHECKING, Any

import pytest

from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.clients.javascript import MODULES, install
from tests.conftest import serving
from tests.web.browsing import browser, person
from tests.web.furnished import enter, furnish, paths

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

__all__ = ["browser"]

AXE = MODULES / "axe-core" / "axe.min.js"
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "contrast": {"color_scheme": "light", "contrast": "more"},
    "dark-contrast": {"color_scheme": "dark", "contrast": "more"},
}
RUN = """async () => {
    const found = await axe.run(document, { resultTypes: ['violations'] })
    return found.violations.map(({ id, impact, help, nodes }) =>
        ({ id, impact, help, nodes: nodes.slice(0, 5).map((each) => [each.html.slice(0, 300), each.failureSummary]) }))
}"""
HEADINGS = """() => {
    const seen = [...document.querySelectorAll('main :is(h1, h2, h3, h4, h5, h6)')]
        .filter((each) => each.checkVisibility() && !each.closest('dialog'))
    return seen.map((each) => Number(each.tagName[1]))
}"""
SMALL = """() => [...document.querySelectorAll('a, button, input, select, textarea, summary, [tabindex]')]
    .filter((each) => each.checkVisibility({ opacityProperty: true, visibilityProperty: true }))
    .map((each) => [each, (each.closest('label') ?? each).getBoundingClientRect()])
    .filter(([each, box]) => (box.width < 24 || box.height < 24) && box.width > 1)
    .filter(([each]) => !(each.matches('a') && getComputedStyle(each).display === 'inline'))
    .filter(([each, box]) => ![...document.querySelectorAll('a, button, input, select, summary')].every((other) => {
        if (other === each || other.contains(each) || each.contains(other) || !other.checkVisibility()) return true
        const it = other.getBoundingClientRect()
        const x = box.x + box.width / 2, y = box.y + box.height / 2
        const nearX = Math.max(it.left, Math.min(x, it.right)), nearY = Math.max(it.top, Math.min(y, it.bottom))
        return Math.hypot(nearX - x, nearY - y) >= 12
    }))
    .map(([each, box]) => [each.outerHTML.slice(0, 160), Math.round(box.width), Math.round(box.height)])"""
"""Targets below 24 by 24 CSS pixels that have another one too near (WCAG 2.2, 2.5.8)."""
MOVING = """() => document.getAnimations().filter((each) => each.effect.getComputedTiming().activeDuration > 1)
    .map((each) => each.animationName ?? each.transitionProperty)"""


@pytest.fixture(scope="module")
def axe() -> str:
    install()
    # the CSP lets nothing be added to a page: it is run by the debugger, which is outside of it
    return AXE.read_text()


async def state_of(browser: "Browser", url: str) -> Any:
    async with person(browser) as page:
        await enter(page, url)
        return await page.context.storage_state()


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.timeout(300)
async def test_axe_finds_nothing(
    look: str, axe: str, served: Edge, database: Database, browser: "Browser"
) -> None:
    await furnish(database)
    found = {}
    async with serving(served) as url:
        state = await state_of(browser, url)
        async with person(browser, storage_state=state, **LOOKS[look]) as page:
            for path in await paths(served, database):
                await page.goto(url + path)
                await page.evaluate(axe)
                if wrong := await page.evaluate(RUN):
                    found[path] = wrong
    assert found == {}, json.dumps(found, indent=1)


@pytest.mark.timeout(300)
async def test_what_axe_does_not_look_at(
    served: Edge, database: Database, browser: "Browser"
) -> None:
    """One first heading and no level left out, one main part, targets that one can hit."""
    await furnish(database)
    found: dict[str, Any] = {}
    async with serving(served) as url:
        state = await state_of(browser, url)
        for width in (1280, 360):
            options = {"storage_state": state, "viewport": {"width": width, "height": 800}}
            async with person(browser, **options) as page:
                for path in await paths(served, database):
                    await page.goto(url + path)
                    levels = await page.evaluate(HEADINGS)
                    wrong = []
                    if levels.count(1) != 1 or levels[0] != 1:
                        wrong.append(["headings", levels])
                    if any(b - a > 1 for a, b in zip(levels, levels[1:], strict=False)):
                        wrong.append(["headings leave a level out", levels])
                    if await page.locator("main").count() != 1:
                        wrong.append(["main"])
                    if small := await page.evaluate(SMALL):
                        wrong.append(["small targets", small])
                    if wrong:
                        found[f"{path} at {width}"] = wrong
    assert found == {}, json.dumps(found, indent=1)


@pytest.mark.timeout(300)
async def test_every_stop_of_the_keyboard_is_seen(
    served: Edge, database: Database, browser: "Browser"
) -> None:
    """Also over the window's edge and below the bar; and nothing keeps the focus."""
    await furnish(database)
    found: dict[str, Any] = {}
    async with serving(served) as url:
        state = await state_of(browser, url)
        async with person(browser, storage_state=state) as page:
            for path in await paths(served, database):
                await page.goto(url + path)
                if wrong := await stops(page):
                    found[path] = wrong
    assert found == {}, json.dumps(found, indent=1)


WHERE = """() => {
    const at = document.activeElement
    if (at === document.body) return null
    const style = getComputedStyle(at)
    const shown = at.matches('.segments input') ? getComputedStyle(at.parentElement) : style
    const box = (at.matches('.segments input') ? at.parentElement : at).getBoundingClientRect()
    const x = box.x + Math.min(box.width / 2, 8), y = box.y + Math.min(box.height / 2, 8)
    const over = document.elementFromPoint(x, y)
    return {
        it: at.outerHTML.slice(0, 160),
        drawn: shown.outlineStyle !== 'none' && shown.outlineWidth !== '0px',
        seen: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
        covered: !(over && (at.contains(over) || over.contains(at) || over.closest('label')?.contains(at))),
    }
}"""


async def stops(page: "Page", at_most: int = 60) -> list[Any]:
    wrong = []
    for _ in range(at_most):
        await page.keyboard.press("Tab")
        where = await page.evaluate(WHERE)
        if where is None:
            break
        if not where["drawn"] or not where["seen"] or where["covered"]:
            wrong.append(where)
    return wrong


@pytest.mark.timeout(300)
async def test_nothing_moves_for_who_wants_no_motion(
    served: Edge, database: Database, browser: "Browser"
) -> None:
    await furnish(database)
    async with serving(served) as url:
        state = await state_of(browser, url)
        async with person(browser, storage_state=state, reduced_motion="reduce") as page:
            for path in await paths(served, database):
                await page.goto(url + path)
                assert await page.evaluate(MOVING) == [], path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.timeout(300)
async def test_no_page_is_wider_than_its_window_also_in_the_systems_colours(
    scheme: Any, served: Edge, database: Database, browser: "Browser"
) -> None:
    """At 320 px, which 1280 px are at 400 % (WCAG 1.4.10), and with letters twice as large."""
    await furnish(database)
    found = []
    async with serving(served) as url:
        state = await state_of(browser, url)
        for width, size in ((320, "100%"), (360, "200%"), (1280, "200%"), (3840, "100%")):
            options: dict[str, Any] = {
                "storage_state": state,
                "viewport": {"width": width, "height": 800},
                "forced_colors": "active",
                "color_scheme": scheme,
            }
            async with person(browser, **options) as page:
                for path in await paths(served, database):
                    await page.goto(url + path)
                    over = await page.evaluate(
                        """(size) => {
                            document.documentElement.style.fontSize = size
                            return document.documentElement.scrollWidth - innerWidth
                        }""",
                        size,
                    )
                    if over > 0:
                        found.append((path, width, size, over))
    assert found == []
