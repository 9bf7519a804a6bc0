"""Readers in the background: they begin, keep up, and say what keeps them from going on."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest

from pullse import server
from pullse.kit import background
from pullse.kit.db import Database
from pullse.kit.events import Actor
from pullse.kit.tail import Tail
from pullse.reports import asking, counting, insight, lists, reader
from pullse.reports.asking import InsightQuery
from pullse.settings import Settings
from tests.api.calls import new_ticket

ALL = Actor("owner", teams=None)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "SOON", 0.01)
    monkeypatch.setattr(reader, "LATE", 0.02)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await holds():
            await asyncio.sleep(0.01)


async def test_every_process_has_them(database: Database) -> None:
    works = server.readers(Settings(), database, Tail(database))
    assert {"counts", "insight"} <= works.keys()


async def test_they_begin_by_themselves_and_keep_up(
    client: httpx.AsyncClient, database: Database
) -> None:
    await new_ticket(client)
    works = {
        "counts": lambda: counting.run(database),
        "other counts": lambda: counting.run(database),
        "insight": lambda: insight.run(database),
        "other insight": lambda: insight.run(database),
    }

    async def are_at(count: int) -> bool:
        open_now = [each.count for each in (await lists.of(database, ALL)).records]
        found = await asking.ask(database, ALL, InsightQuery(days=1))
        return count in open_now and found.total.created == count

    async def is_read() -> bool:
        async with database.session() as db:
            return bool(
                await db.value(
                    "SELECT count(*) = 2 FROM readers WHERE name IN ('counts', 'insight')"
                    " AND (tx, id) = (SELECT tx, id FROM events ORDER BY tx DESC, id DESC LIMIT 1)"
                )
            )

    async with background.running(works):
        await until(lambda: are_at(1))
        for _ in range(4):
            await new_ticket(client)
        await until(lambda: are_at(5))
        await until(is_read)


async def test_what_goes_wrong_is_shown_until_it_is_well(database: Database) -> None:
    steps = iter([None, RuntimeError("no place left"), None])

    async def step(database: Database) -> bool:
        error = next(steps, None)
        if error is not None:
            raise error
        return False

    async with database.session() as db:
        await db.run("INSERT INTO readers (name) VALUES ('test')")

    async def error() -> str | None:
        async with database.session() as db:
            found: str | None = await db.value("SELECT error FROM readers WHERE name = 'test'")
            return found

    with pytest.raises(RuntimeError):
        await reader.follow(database, "test", step)
    assert await error() == "RuntimeError: no place left"
    async with background.running({"test": lambda: reader.follow(database, "test", step)}):
        async with asyncio.timeout(10):
            while await error() is not None:
                await asyncio.sleep(0.01)
