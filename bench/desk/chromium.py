"""Chromium as the bench uses it: people who have signed in, each in a browser of their own."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from bench import access
from bench.load import Failed
from bench.servers import Server

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@asynccontextmanager
async def chromium() -> AsyncIterator["Browser"]:
    path = shutil.which("chromium")
    if path is None:
        raise Failed("chromium is not there. On Debian: apt-get install chromium")
    from playwright.async_api import async_playwright  # noqa: PLC0415 (53 MB: on demand)

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=QUIET)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def person(browser: "Browser", server: Server, number: int) -> AsyncIterator["Page"]:
    """One of the people of `access`, signed in by the form."""
    context = await browser.new_context(base_url=server.url)
    try:
        page = await context.new_page()
        await page.goto("/sign-in")
        given = access.credentials(number)
        await page.fill("[name=email]", given["email"])
        await page.fill("[name=password]", given["password"])
        await page.keyboard.press("Enter")
        await page.wait_for_url(lambda url: "sign-in" not in url)
        yield page
    finally:
        await context.close()


async def devtools(page: "Page") -> Any:
    return await page.context.new_cdp_session(page)
