"""An open page that notes what the feed tells it, and a server that comes and goes at one port."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx

from pullse import app
from pullse.access.finder import Finder, SessionFinder
from pullse.gateway import log
from pullse.gateway.keys import DevKey
from pullse.kit import background
from pullse.kit.db import Database
from pullse.kit.guard import BearerToken
from pullse.kit.http import SocketServer
from pullse.kit.secret import Secret
from pullse.kit.tail import Tail
from pullse.settings import Ably, Settings
from tests.access.people import OPERATORS, calling
from tests.access.sign_in import PASSWORD
from tests.conftest import SECRET
from tests.web.browsing import fill, press

if TYPE_CHECKING:
    from playwright.async_api import Page

NOTED = """() => {
    window.told = { facts: [], caughtUp: 0, states: [], lines: '' }
    document.addEventListener('fact', ({ detail }) => told.facts.push(detail.id))
    document.addEventListener('caught-up', () => told.caughtUp++)
    document.addEventListener('feed', ({ detail }) => told.states.push(detail.state))
    const line = document.querySelector('connection-state')
    const lines = new MutationObserver(() => (told.lines += line.textContent))
    if (line) lines.observe(line, { childList: true })
}"""


class Port:
    """Where one process after the other listens."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as bound:
            self.number = bound.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://localhost:{self.number}"


@asynccontextmanager
async def process(
    database: Database, port: Port, *, key: DevKey | None = None, ably: Ably | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """One that serves, with its gateway or Ably; what it gives is the operator, who works there."""
    async with AsyncExitStack() as stack:
        tail = Tail(database, log)
        running = asyncio.create_task(tail.run())
        stack.push_async_callback(ended, running)
        settings = Settings(secret=SECRET, ably=ably)
        realtime = await app.open_realtime(database, tail, settings, key)
        await stack.enter_async_context(background.running(realtime.works))
        finder, sessions = Finder(database), SessionFinder(database)
        guard = BearerToken(OPERATORS, find=finder, find_session=sessions)
        edge = app.build(database, tail, guard, realtime=realtime, secret=Secret(SECRET))
        bound = stack.enter_context(socket.create_server(("127.0.0.1", port.number)))
        bound.setblocking(False)
        server = SocketServer(edge, bound)
        task = asyncio.create_task(server.serve())
        try:
            yield await stack.enter_async_context(calling(edge))
        finally:
            tail.close()
            realtime.close()
            server.stop()
            await asyncio.wait_for(task, 10)
            await realtime.stop()


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def write(operator: httpx.AsyncClient, count: int = 1) -> list[int]:
    """So many tickets; the ids of their facts, which are the only ones."""
    for number in range(count):
        given = {"title": f"Ticket {number}", "description": "It broke."}
        assert (await operator.post("/api/tickets", json=given)).status_code == 201
    found: list[int] = []
    answer = await operator.get("/api/events", params={"limit": 200})
    while True:
        data = answer.json()["data"]
        found += [each["id"] for each in data["records"] if each["name"] == "ticket.created"]
        after = data["next_cursor"]
        if after is None:
            return found[-count:]
        answer = await operator.get("/api/events", params={"limit": 200, "after": after})


async def enter(page: "Page", url: str, name: str = "Ada", path: str = "/account") -> None:
    """Sign in, and note from then on what this page is told."""
    await page.goto(f"{url}{path}")
    await fill(page, email=f"{name.lower()}@example.org", password=PASSWORD)
    await press(page, "Sign in")
    await note(page)


async def note(page: "Page") -> None:
    await page.evaluate(NOTED)
    await is_live(page)


async def is_live(page: "Page", state: str = "live") -> None:
    await page.locator(f"html[data-feed={state}]").wait_for(state="attached")


async def facts(page: "Page", count: int) -> list[int]:
    """The ids of the facts that it was told of, when there are so many."""
    await page.wait_for_function("(count) => told.facts.length >= count", arg=count)
    await page.wait_for_timeout(100)
    return list(await page.evaluate("told.facts"))


async def told(page: "Page") -> Any:
    return await page.evaluate("told")
