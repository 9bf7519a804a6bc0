"""People with their own browsers, a real Chromium each, which must have nothing to complain of."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients.browser import chromium

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Page

EXPECTED = ("status of 400", "status of 401", "status of 403", "status of 404", "status of 409")
"""What Chromium says of answers that refuse; all else is a complaint."""


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator["Browser"]:
    async with chromium() as browser:
        yield browser


@asynccontextmanager
async def person(
    browser: "Browser", *, expected: Sequence[str] = (), **options: Any
) -> AsyncIterator["Page"]:
    """Somebody's own browser, which must have nothing else to complain of in the end."""
    context = await browser.new_context(**options)
    complaints: list[str] = []
    watch(context, complaints, expected)
    try:
        yield await context.new_page()
        assert complaints == [], complaints
    finally:
        await context.close()


def watch(context: "BrowserContext", complaints: list[str], expected: Sequence[str] = ()) -> None:
    expected = (*EXPECTED, *expected)

    def said(message: Any) -> None:
        if message.type in ("error", "warning") and not any(e in message.text for e in expected):
            complaints.append(message.text)

    context.on("console", said)
    context.on("weberror", lambda error: complaints.append(str(error.error)))


@asynccontextmanager
async def held(page: "Page", pattern: str) -> AsyncIterator[asyncio.Event]:
    """Requests for it wait for the end of the block; the event tells that one has come."""
    arrived, free = asyncio.Event(), asyncio.Event()

    async def late(route: Any) -> None:
        arrived.set()
        await free.wait()
        await route.continue_()

    await page.route(pattern, late)
    yield arrived
    free.set()


async def press(page: "Page", name: str) -> None:
    """A button by what is written on it; until the next page is there."""
    async with page.expect_navigation():
        await page.get_by_role("button", name=name, exact=True).click()


async def sign_out(page: "Page") -> None:
    """By the menu of one's account."""
    await page.get_by_role("button", name="Account of").click()
    await press(page, "Sign out")


async def fill(page: "Page", **fields: str) -> None:
    for name, text in fields.items():
        await page.locator(f"[name={name}]").fill(text)


async def heading(page: "Page") -> str:
    return str(await page.locator("h1").text_content())
