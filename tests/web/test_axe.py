"""
Everybody can use every page: axe-core finds nothing, nor do the checks of what axe leaves out.

In light, dark and high contrast, in the system's own colours, on a phone, at twice the size.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
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
pytestmark = pytest.mark.timeout(400)

AXE = MODULES / "axe-core" / "axe.min.js"
SEEN = Path(__file__).with_name("seen.js")
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark", "reduced_motion": "reduce"},
    "contrast": {"color_scheme": "light", "contrast": "more"},
    "dark-contrast": {"color_scheme": "dark", "contrast": "more"},
}
STOPS = 60
"""Of the keyboard, on each page, at most."""


@pytest.fixture(scope="module")
def axe() -> str:
    """Run by the debugger: the CSP lets nothing be added to a page."""
    install()
    return AXE.read_text()


@dataclass
class Visit:
    """Somebody who is signed in, and goes through all pages."""

    page: "Page"
    url: str
    paths: list[str]

    async def all(self, *scripts: str) -> AsyncIterator[str]:
        for path in self.paths:
            await self.page.goto(self.url + path)
            for script in (*scripts, SEEN.read_text()):
                await self.page.evaluate(script)
            yield path

    async def asked(self, question: str, *given: Any) -> Any:
        return await self.page.evaluate("([it, given]) => seen[it](...given)", [question, given])


@asynccontextmanager
async def visit(
    edge: Edge, database: Database, browser: "Browser", *options: dict[str, Any]
) -> AsyncIterator[list[Visit]]:
    """One for each of `options`, all of the same person."""
    await furnish(database)
    found = await paths(edge, database)
    async with serving(edge) as url:
        async with person(browser) as page:
            await enter(page, url)
            state = await page.context.storage_state()
        visits = []
        for each in options:
            context = await browser.new_context(storage_state=state, **each)
            visits.append(Visit(await context.new_page(), url, found))
        yield visits
        for each_visit in visits:
            await each_visit.page.context.close()


@pytest.mark.parametrize("look", LOOKS)
async def test_axe_finds_nothing(
    look: str, axe: str, served: Edge, database: Database, browser: "Browser"
) -> None:
    found = {}
    async with visit(served, database, browser, LOOKS[look]) as (ada,):
        async for path in ada.all(axe):
            wrong = await ada.asked("axe")
            if LOOKS[look].get("reduced_motion"):
                wrong += await ada.asked("motion")
            if wrong:
                found[path] = wrong
    assert found == {}, json.dumps(found, indent=1)


async def test_headings_are_in_order_and_targets_can_be_hit(
    served: Edge, database: Database, browser: "Browser"
) -> None:
    found = {}
    sizes = [{"viewport": {"width": width, "height": 800}} for width in (1280, 360)]
    async with visit(served, database, browser, *sizes) as visits:
        for ada, size in zip(visits, sizes, strict=True):
            async for path in ada.all():
                wrong = [*await ada.asked("headings"), *await ada.asked("smallTargets")]
                if wrong or await ada.page.locator("main").count() != 1:
                    found[f"{path} {size}"] = wrong
    assert found == {}, json.dumps(found, indent=1)


async def test_every_stop_of_the_keyboard_is_seen(
    served: Edge, database: Database, browser: "Browser"
) -> None:
    """Not under the bar, not outside of the window; and nothing keeps the focus."""
    found: dict[str, list[Any]] = {}
    async with visit(served, database, browser, {}) as (ada,):
        async for path in ada.all():
            for _ in range(STOPS):
                await ada.page.keyboard.press("Tab")
                wrong = await ada.asked("stop")
                if wrong is None:
                    break
                if wrong:
                    found.setdefault(path, []).append(wrong)
    assert found == {}, json.dumps(found, indent=1)


async def test_no_page_is_wider_than_its_window_in_the_systems_colours(
    served: Edge, database: Database, browser: "Browser"
) -> None:
    """At 320 px, which 1280 px are at 400 % (WCAG 1.4.10), and with letters twice as large."""
    found = []
    sizes = [
        {"viewport": {"width": width, "height": 800}, "forced_colors": "active"}
        for width in (320, 360, 1280, 3840)
    ]
    async with visit(served, database, browser, *sizes) as visits:
        for ada, size in zip(visits, sizes, strict=True):
            async for path in ada.all():
                for letters in ("100%",) if size is sizes[0] else ("100%", "200%"):
                    if (over := await ada.asked("overflow", letters)) > 0:
                        found.append((path, size["viewport"], letters, over))
    assert found == []
