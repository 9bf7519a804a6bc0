"""One statement for many who ask at once, and none of them can tell."""

import asyncio
from collections.abc import Sequence

import pytest

from pullse.errors import Unavailable
from pullse.kit import loader
from pullse.kit.db import Database, Db
from pullse.kit.loader import Loader, gather


class Asked:
    """A query that notes what it was asked, and waits to be let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, db: Db, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        await self.go.wait()
        if 13 in items:
            raise ValueError("thirteen")
        return [await db.value("SELECT $1::int * 10", item) for item in items]


async def test_what_is_asked_at_once_goes_in_one_statement(database: Database) -> None:
    query = Asked()
    results = await asyncio.gather(*(gather(database, query, item) for item in (3, 1, 2)))

    assert results == [30, 10, 20]
    assert query.batches == [[3, 1, 2]]


async def test_only_a_statement_that_is_not_sent_yet_is_joined(database: Database) -> None:
    """Else a read that follows a write could be answered from before it."""
    query = Asked()
    query.go.clear()
    first = [asyncio.ensure_future(gather(database, query, 1))]
    await until(lambda: query.batches == [[1]])
    first.append(asyncio.ensure_future(gather(database, query, 2)))
    await until(lambda: query.batches == [[1], [2]])
    waiting = [asyncio.ensure_future(gather(database, query, item)) for item in (3, 4)]
    await asyncio.sleep(0.02)
    assert query.batches == [[1], [2]]

    query.go.set()
    assert await asyncio.gather(*first, *waiting) == [10, 20, 30, 40]
    assert query.batches == [[1], [2], [3, 4]]


async def test_what_was_written_before_is_seen(database: Database) -> None:
    async def count(db: Db, items: Sequence[int]) -> list[int]:
        found = await db.value("SELECT count(*) FROM jobs")
        return [found for _ in items]

    async def write_and_read() -> None:
        nonlocal written
        async with database.session() as db:
            await db.run("INSERT INTO jobs (name) VALUES ('x')")
        written += 1
        at_least = written
        assert await gather(database, count, 0) >= at_least

    written = 0
    for _ in range(20):
        await asyncio.gather(*(write_and_read() for _ in range(5)))


async def test_a_failure_is_that_of_one_item_alone(database: Database) -> None:
    query = Asked()
    results = await asyncio.gather(
        *(gather(database, query, item) for item in (1, 13, 2)), return_exceptions=True
    )

    assert results[0] == 10
    assert isinstance(results[1], ValueError)
    assert results[2] == 20
    assert query.batches == [[1, 13, 2], [1], [13], [2]]


async def test_a_database_that_is_away_is_not_asked_again_for_each(database: Database) -> None:
    calls = []

    async def away(db: Db, items: Sequence[int]) -> list[int]:
        calls.append(list(items))
        raise Unavailable("Not now.")

    results = await asyncio.gather(
        *(gather(database, away, item) for item in (1, 2)), return_exceptions=True
    )
    assert [type(each) for each in results] == [Unavailable, Unavailable]
    assert calls == [[1, 2]]


async def test_one_who_no_longer_waits_does_not_hurt_the_others(database: Database) -> None:
    query = Asked()
    query.go.clear()

    async def ask(item: int) -> int:
        return await gather(database, query, item)

    tasks = [asyncio.create_task(ask(item)) for item in (1, 2, 3)]
    await until(lambda: query.batches == [[1, 2, 3]])
    tasks[1].cancel()
    query.go.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert (results[0], results[2]) == (10, 30)
    assert isinstance(results[1], asyncio.CancelledError)
    assert await ask(4) == 40


async def test_the_last_who_no_longer_waits_leaves_the_loader_working(database: Database) -> None:
    query = Asked()
    query.go.clear()

    async def ask(item: int) -> int:
        return await gather(database, query, item)

    tasks = [asyncio.create_task(ask(item)) for item in range(20)]
    await until(lambda: len(query.batches) == 1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    query.go.set()
    assert await asyncio.wait_for(ask(5), 5) == 50


async def test_a_batch_has_a_size_at_most(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "MOST", 4)
    query = Asked()
    results = await asyncio.gather(*(gather(database, query, item) for item in range(20, 30)))

    assert results == [item * 10 for item in range(20, 30)]
    assert max(map(len, query.batches)) == 4


async def test_each_query_of_a_database_has_one_loader(database: Database) -> None:
    first, second = Asked(), Asked()
    await asyncio.gather(gather(database, first, 1), gather(database, second, 2))
    await gather(database, first, 3)

    assert (first.batches, second.batches) == ([[1], [3]], [[2]])
    assert isinstance(database.loaders[first], Loader)


async def until(is_so: object) -> None:
    async with asyncio.timeout(5):
        while not is_so():  # type: ignore[operator]
            await asyncio.sleep(0.001)
