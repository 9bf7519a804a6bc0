"""The end of the feed: whoever follows misses nothing, and whoever is slow costs nothing."""

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
import msgspec
import pytest

from pullse.kit import events
from pullse.kit import tail as tails
from pullse.kit.db import Database, open_database
from pullse.kit.events import START, Actor, Fact
from pullse.kit.tail import Follower, Tail
from tests.cli.settling import settled

OWNER = Actor("owner")


async def tell(database: Database, what: object, name: str = "ticket.changed") -> None:
    async with database.transaction() as db:
        await events.record(db, name, by=OWNER, data={"what": what})


def whats(facts: list[Fact]) -> list[Any]:
    return [msgspec.json.decode(fact.body)["data"]["what"] for fact in facts]


def everything(fact: Fact) -> bool:
    return True


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """What the pool's connections are asked during the block."""
    asked: list[str] = []
    holders = database.pool._holders
    connections = [holder._con for holder in holders if holder._con is not None]
    assert connections
    for connection in connections:
        connection.add_query_logger(lambda record: asked.append(record.query))
    yield asked
    for connection in connections:
        connection._query_loggers.clear()


@asynccontextmanager
async def another_process(url: str) -> AsyncIterator[tuple[Database, Tail]]:
    """A pool and a tail of its own, as a second process has."""
    database = await open_database(url, size=3)
    tail = Tail(database)
    task = asyncio.create_task(tail.run())
    try:
        yield database, tail
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await database.close()


async def until(is_so: Callable[[], bool], patience: float = 5.0) -> None:
    async with asyncio.timeout(patience):
        while not is_so():
            await asyncio.sleep(0.002)


# -- what it costs --


async def test_while_nobody_follows_nothing_is_read(database: Database, tail: Tail) -> None:
    await asyncio.sleep(0.05)
    with statements(database) as asked:
        tail.wake()
        await asyncio.sleep(0.6)
    assert asked == ["NOTIFY pullse"]


async def test_idle_it_asks_four_times_a_second(database: Database, tail: Tail) -> None:
    follower = await tail.follow(everything)
    await asyncio.sleep(0.1)
    with statements(database) as asked:
        await asyncio.sleep(1.0)
    assert 4 <= len(asked) <= 10  # two statements each time
    tail.leave(follower)


async def test_after_the_last_one_left_it_is_quiet(database: Database, tail: Tail) -> None:
    tail.leave(await tail.follow(everything))
    await asyncio.sleep(0.3)
    with statements(database) as asked:
        await asyncio.sleep(0.6)
    assert asked == []


async def test_a_long_transaction_does_not_make_it_spin(database: Database, tail: Tail) -> None:
    follower = await tail.follow(everything)
    async with database.transaction() as holding:
        await holding.run("SELECT pg_current_xact_id()")
        await tell(database, "held back")
        tail.wake()
        with statements(database) as asked:
            await asyncio.sleep(1.0)
        assert len(asked) < 50
        assert await follower.take(0) == []
    assert whats(await follower.take(5)) == ["held back"]


# -- what is handed on --


async def test_a_fact_is_handed_on_as_soon_as_it_is_committed(
    database: Database, tail: Tail
) -> None:
    follower = await tail.follow(everything)
    waits = []
    for turn in range(20):
        await tell(database, turn)
        started = time.perf_counter()
        tail.wake()
        assert whats(await follower.take(5)) == [turn]
        waits.append(time.perf_counter() - started)
    assert sorted(waits)[10] < 0.1


async def test_a_follower_gets_what_it_wants_alone(database: Database, tail: Tail) -> None:
    agents = await tail.follow(lambda fact: fact.name.startswith("agent."))
    rest = await tail.follow(everything)
    await tell(database, 1)
    await tell(database, 2, "agent.created")
    tail.wake()

    seen: list[Fact] = []
    while len(seen) < 2:
        seen += await rest.take(5)
    assert whats(seen) == [1, 2]
    assert whats(await agents.take(5)) == [2]


async def test_nothing_of_before_is_handed_on(database: Database, tail: Tail) -> None:
    await tell(database, "before")
    await settled(database)
    follower = await tail.follow(everything)
    await tell(database, "after")
    tail.wake()

    assert whats(await follower.take(5)) == ["after"]


async def test_whoever_joins_while_others_write_misses_nothing(
    database: Database, tail: Tail, database_url: str
) -> None:
    """Each follows, reads the database to its end, then goes by the tail; then leaves."""
    writers = await open_database(database_url, size=4)
    numbers = itertools.count()
    dice = random.Random(5)
    done = False

    async def write() -> None:
        while not done:
            async with writers.transaction() as db:
                for _ in range(dice.randint(1, 3)):
                    await events.record(
                        db, "ticket.changed", by=OWNER, data={"what": next(numbers)}
                    )
                    await asyncio.sleep(dice.choice((0, 0.002)))
            if dice.random() < 0.7:
                tail.wake()
            await asyncio.sleep(dice.choice((0, 0.003)))

    async def visit() -> list[Fact]:
        await asyncio.sleep(dice.random() * 0.8)
        async with database.session() as db:
            begin = (await events.end(db)).place
        follower = await tail.follow(everything)
        async with database.session() as db:
            seen = await events.since(db, begin, limit=100_000)
        place = seen[-1].place if seen else begin
        until = time.monotonic() + dice.random() * 0.5
        while time.monotonic() < until:
            for fact in await follower.take(0.05):
                if fact.place > place:
                    seen.append(fact)
                    place = fact.place
        assert not follower.is_cut
        tail.leave(follower)
        async with database.session() as db:
            wanted = await events.since(db, begin, limit=100_000)
        assert [fact.id for fact in seen] == [fact.id for fact in wanted[: len(seen)]]
        return seen

    writing = [asyncio.create_task(write()) for _ in range(4)]
    visits = await asyncio.gather(*(visit() for _ in range(30)))
    done = True
    await asyncio.gather(*writing)
    await writers.close()
    assert sum(map(len, visits)) > 500
    assert tail.followers == 0


# -- slow followers --


def facts(count: int, size: int = 10) -> list[Fact]:
    return [Fact(1, number, "x", None, "b" * size) for number in range(count)]


async def test_a_follower_that_takes_too_little_is_cut_by_count() -> None:
    follower = Follower(everything)
    follower.put(facts(tails.FACTS_QUEUED))
    assert not follower.is_cut
    follower.put(facts(1))

    assert follower.is_cut
    assert await follower.take(5) == []


async def test_a_follower_that_takes_too_little_is_cut_by_size() -> None:
    follower = Follower(everything)
    follower.put(facts(3, tails.BYTES_QUEUED // 4))
    assert not follower.is_cut
    follower.put(facts(2, tails.BYTES_QUEUED // 4))

    assert follower.is_cut
    follower.put(facts(5))
    assert follower._queue == []


async def test_taking_makes_room(database: Database) -> None:
    follower = Follower(everything)
    for _ in range(5):
        follower.put(facts(900, 4000))
        assert len(await follower.take(5)) == 900
    assert not follower.is_cut


async def test_a_slow_follower_does_not_hold_up_the_others(
    database: Database, tail: Tail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tails, "FACTS_QUEUED", 20)
    slow, quick = await tail.follow(everything), await tail.follow(everything)
    seen: list[Fact] = []
    for turn in range(50):
        await tell(database, turn)
        tail.wake()
        seen += await quick.take(5)
    while len(seen) < 50:
        seen += await quick.take(5)

    assert whats(seen) == list(range(50))
    assert (slow.is_cut, slow.is_over, quick.is_cut) == (True, True, False)
    assert await slow.take(5) == []


# -- other processes --


async def test_a_commit_of_another_process_arrives_by_notify(
    database: Database, tail: Tail, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tails, "NET", 30.0)
    async with another_process(database_url) as (other, other_tail):
        follower = await tail.follow(everything)
        await listening(database)
        waits = []
        for turn in range(10):
            await tell(other, turn)
            started = time.perf_counter()
            other_tail.wake()
            assert whats(await follower.take(5)) == [turn]
            waits.append(time.perf_counter() - started)
    assert sorted(waits)[5] < 0.1


async def test_without_notify_the_net_catches_it(
    database: Database, tail: Tail, database_url: str
) -> None:
    async with another_process(database_url) as (other, _):
        follower = await tail.follow(everything)
        started = time.perf_counter()
        await tell(other, "unheard")
        assert whats(await follower.take(5)) == ["unheard"]
    assert time.perf_counter() - started < 2.0


async def test_many_commits_share_a_notify(database: Database, tail: Tail) -> None:
    await tell(database, "warm")
    with statements(database) as asked:
        for _ in range(100):
            tail.wake()
            await asyncio.sleep(0.0005)
        await asyncio.sleep(0.05)
    assert 1 <= asked.count("NOTIFY pullse") <= 20


# -- the database goes away --


async def test_an_outage_of_the_database_is_survived(
    database: Database, tail: Tail, database_url: str, server_url: str
) -> None:
    follower = await tail.follow(everything)
    await tell(database, "before")
    tail.wake()
    assert whats(await follower.take(5)) == ["before"]

    await cut_connections(server_url, database_url)
    async with another_process(database_url) as (other, _):
        await tell(other, "meanwhile")
        assert whats(await follower.take(5)) == ["meanwhile"]
    await listening(database)
    await tell(database, "after")
    tail.wake()
    assert whats(await follower.take(5)) == ["after"]


async def test_a_follower_that_joins_in_an_outage_goes_on_after_it(
    database: Database, tail: Tail, database_url: str, server_url: str
) -> None:
    for _ in range(3):
        await cut_connections(server_url, database_url)
        follower = await asyncio.wait_for(tail.follow(everything), 5)
        tail.leave(follower)
    follower = await tail.follow(everything)
    await answering(database)
    async with database.session() as db:
        assert await events.since(db, START) == []
    await tell(database, 1)
    tail.wake()
    assert whats(await follower.take(5)) == [1]


# -- the end --


async def test_closing_ends_every_wait(database: Database, tail: Tail) -> None:
    follower = await tail.follow(everything)
    taking = asyncio.create_task(follower.take(60))
    await asyncio.sleep(0.01)
    tail.close()

    assert await asyncio.wait_for(taking, 1) == []
    assert follower.is_closed
    late = await asyncio.wait_for(tail.follow(everything), 1)
    assert late.is_closed
    assert await asyncio.wait_for(late.take(60), 1) == []


async def answering(database: Database) -> None:
    """
    Until each connection of the pool does: one that was cut is told so by the server a moment
    before it is closed, and who takes it from the pool in that moment is refused.
    """

    async def answer() -> None:
        async with database.session() as db:
            await db.value("SELECT 1 FROM pg_sleep(0.01)")

    async with asyncio.timeout(5):
        while any(
            await asyncio.gather(
                *(answer() for _ in range(database.pool.get_size())), return_exceptions=True
            )
        ):
            await asyncio.sleep(0.01)


async def listening(database: Database) -> None:
    """Until a connection of this database listens."""
    await answering(database)
    async with asyncio.timeout(5), database.session() as db:
        while not await db.value(
            """
            SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND query LIKE 'LISTEN%'
            """
        ):
            await asyncio.sleep(0.01)


async def cut_connections(server_url: str, database_url: str) -> None:
    connection = await asyncpg.connect(server_url)
    name = database_url.partition("?")[0].rpartition("/")[2]
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
    )
    await connection.close()
