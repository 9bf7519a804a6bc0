"""The bicycle shop of the demo story, with people who can sign in; and hands on a keyboard."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import httpx

from pullse import demo
from pullse.access import passwords, sign_in_queries
from pullse.kit.db import Database
from tests.access.sign_in import PASSWORD
from tests.desk.live import Port

if TYPE_CHECKING:
    from playwright.async_api import Page

SEALED = "a-secret-of-an-installation-for-tests"
TOKEN = "the-token-of-an-operator-for-tests"
ACTIVE = "document.activeElement"


async def open_shop(database: Database) -> None:
    """Ada, Ben and Chloe of the story have the password of all tests."""
    await demo.load(database)
    hash_ = await passwords.hashed(PASSWORD)
    async with database.transaction() as db:
        for row in await db.rows("SELECT id FROM agents"):
            await sign_in_queries.set_password(db, row[0], hash_)
        await db.run("UPDATE agents SET state = 'active'")


@asynccontextmanager
async def serving_apart(database_url: str, port: Port) -> AsyncIterator[Process]:
    """`pullse serve` as a process of its own, so that it can be killed."""
    settings = {"DATABASE_URL": database_url, "PULLSE_API_TOKEN": TOKEN, "PULLSE_SECRET": SEALED}
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pullse", "serve", "--host", "127.0.0.1"),
        *("--port", str(port.number)),
        env=kept | settings,
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    try:
        async with httpx.AsyncClient() as client:
            while True:
                with suppress(httpx.TransportError):
                    if (await client.get(f"{port.url}/health/live")).is_success:
                        break
                assert process.returncode is None, "It ended at once"
                await asyncio.sleep(0.1)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def operating(url: str) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=url, headers=headers) as client:
        yield client


async def come_in(page: "Page", url: str, name: str = "ada") -> None:
    """By keyboard: the field for the address has the focus already."""
    await page.goto(f"{url}/sign-in")
    await page.wait_for_function("() => document.activeElement.matches('input')")
    await type_(page, f"{name}@example.org")
    await keys(page, "Tab")
    await type_(page, PASSWORD)
    await keys(page, "Enter")
    await page.wait_for_url(f"{url}/")


async def keys(page: "Page", *names: str) -> None:
    for name in names:
        await page.keyboard.press(name)


async def type_(page: "Page", text: str) -> None:
    await page.keyboard.type(text)


async def leave_field(page: "Page") -> None:
    """Letters mean something to a field: on to what is none."""
    for _ in range(20):
        await keys(page, "Tab")
        if await page.evaluate(f"!{ACTIVE}.matches('input, select, textarea')"):
            return


async def tab_to(page: "Page", name: str, most: int = 40) -> None:
    """Tab until what has this name has the focus."""
    said = "document.activeElement.ariaLabel || document.activeElement.labels?.[0]?.innerText"
    said += " || document.activeElement.innerText || ''"
    for _ in range(most):
        await keys(page, "Tab")
        if str(await page.evaluate(said)).strip() == name:
            return
    raise AssertionError(f"{name} is not within {most} tabs")


async def command(page: "Page", typed: str, first: str) -> None:
    """Open the palette, type, and take what comes first."""
    await keys(page, "Control+k")
    await type_(page, typed)
    active = page.locator("palette-list [aria-selected=true]").filter(has_text=first)
    await active.wait_for()
    await keys(page, "Enter")


async def until(ask: Callable[[], Awaitable[Any]], expected: Any, patience: int = 100) -> None:
    """What is asked for is there before long."""
    found = None
    for _ in range(patience):
        found = await ask()
        if found == expected:
            return
        await asyncio.sleep(0.1)
    assert found == expected
