"""What a page takes over the wire: for who opens it for the first time, and the next time."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench import access, data, servers
from bench.cluster import Cluster
from bench.desk import chromium, shop
from bench.load import Failed
from bench.report import Section, Verdict
from bench.servers import Server

if TYPE_CHECKING:
    from playwright.async_api import Browser

FIRST_KB = 60.0
NEXT_KB = 15.0
PATHS = {
    "start page": "/",
    "all tickets": "/tickets",
    "a ticket": "/tickets/7",
    "new ticket": "/tickets/new",
    "trash": "/trash",
    "insight": "/insight",
    "account": "/account",
    "look": "/account/look",
}
CALM = 1500
"""Milliseconds after the load in which scripts may ask for more."""


def measure(cluster: Cluster, *, say: Callable[[str], None]) -> Section:
    base = shop.filled(cluster, "desk_weight", data.TICKETS, say)
    with servers.ours(base, PULLSE_RATE="100000") as server:
        shop.counted(base, say)
        found = asyncio.run(weigh(server, access.new_session(server), say))
    rows = [(name, f"{first:.1f} kB", f"{next_:.1f} kB") for name, (first, next_) in found.items()]
    first = max(each for each, _ in found.values())
    next_ = max(each for _, each in found.values())
    verdicts = [
        Verdict(f"first load ≤ {FIRST_KB:.0f} kB", f"{first:.1f} kB at most", first <= FIRST_KB),
        Verdict(f"next load ≤ {NEXT_KB:.0f} kB", f"{next_:.1f} kB at most", next_ <= NEXT_KB),
    ]
    return Section("Weight", ("page", "first load", "next load"), rows, verdicts)


async def weigh(
    server: Server, session: str, say: Callable[[str], None]
) -> dict[str, tuple[float, float]]:
    found = {}
    async with chromium.chromium() as browser:
        for name, path in PATHS.items():
            say(f"weight of {path} …")
            found[name] = await loads(browser, server, session, path)
    return found


async def loads(browser: "Browser", server: Server, session: str, path: str) -> tuple[float, float]:
    """Kilobytes, with heads; the stream of events, which never ends, is not a load."""
    context = await browser.new_context()
    try:
        cookie: Any = {"name": "pullse", "value": session, "url": server.url}
        await context.add_cookies([cookie])
        sizes = []
        for _ in range(2):
            page = await context.new_page()
            tools = await chromium.devtools(page)
            taken: list[float] = []
            tools.on(
                "Network.loadingFinished", lambda each, t=taken: t.append(each["encodedDataLength"])
            )
            await tools.send("Network.enable")
            answer = await page.goto(server.url + path)
            if answer is None or answer.status != 200:
                raise Failed(f"GET {path}: {answer and answer.status}")
            await page.wait_for_timeout(CALM)
            sizes.append(sum(taken) / 1000)
            await page.close()
        return sizes[0], sizes[1]
    finally:
        await context.close()
