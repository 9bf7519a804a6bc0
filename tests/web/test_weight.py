"""How much of the wire a page takes in a real Chromium, heads and all."""

from typing import TYPE_CHECKING

import pytest

from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.conftest import serving
from tests.web.browsing import browser, person
from tests.web.furnished import enter, furnish, paths

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

__all__ = ["browser"]

pytestmark = pytest.mark.timeout(400)
FIRST, NEXT = 60_000, 15_000
"""Bytes over the wire, heads and all: with nothing kept, and with the last page's assets."""


class Wire:
    """Counts what comes, as Chromium's own tools do."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self.addresses: dict[str, str] = {}

    async def watch(self, page: "Page") -> None:
        devtools = await page.context.new_cdp_session(page)
        await devtools.send("Network.enable")
        devtools.on("Network.requestWillBeSent", self.begun)
        devtools.on("Network.responseReceived", self.came)
        devtools.on("Network.loadingFinished", self.ended)

    def begun(self, event: dict[str, object]) -> None:
        self.addresses[str(event["requestId"])] = str(event["documentURL"])

    def came(self, event: dict[str, dict[str, object]]) -> None:
        self.addresses[str(event["requestId"])] = str(event["response"]["url"])

    def ended(self, event: dict[str, object]) -> None:
        size = event["encodedDataLength"]
        assert isinstance(size, int | float)
        self.sizes[str(event["requestId"])] = int(size)

    def taken(self) -> tuple[int, dict[str, int]]:
        """Since the last time, of what is ended: the stream of facts is not."""
        parts = {self.addresses[each].rpartition("/")[2]: n for each, n in self.sizes.items() if n}
        total = sum(self.sizes.values())
        self.sizes.clear()
        return total, parts


async def test_a_page_is_light(served: Edge, database: Database, browser: "Browser") -> None:
    await furnish(database)
    found = await paths(served, database)
    async with serving(served) as url:
        async with person(browser) as page:
            await enter(page, url)
            state = await page.context.storage_state()
        for path in found:
            context = await browser.new_context(storage_state=state)
            async with context, await context.new_page() as page:
                wire = Wire()
                await wire.watch(page)
                await page.goto(url + path, wait_until="load")
                await page.wait_for_timeout(300)
                total, parts = wire.taken()
                assert total <= FIRST, (path, total, parts)
                assert total > 1000, path
                await page.goto(url + path, wait_until="load")
                await page.wait_for_timeout(300)
                total, parts = wire.taken()
                assert total <= NEXT, (path, total, parts)
