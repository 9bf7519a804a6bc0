"""Several processes count together: what one has let through, the others hear of."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from pullse.errors import Unavailable
from pullse.kit import background
from pullse.kit import rates as kit_rates
from pullse.kit.db import Database, open_database
from pullse.kit.rates import EACH, WINDOW, Rates, forget
from tests.access.people import give
from tests.cli.program import TOKEN, running
from tests.kit.test_rates import Clock, clock, passing, take

__all__ = ["clock"]


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[Database]:
    """As another process has it."""
    database = await open_database(database_url, size=2)
    yield database
    await database.close()


async def kept(database: Database) -> dict[str, float]:
    async with database.session() as db:
        return {
            str(actor): spent
            for actor, spent in await db.rows("SELECT actor, spent FROM request_rates")
        }


async def later(database: Database, seconds: float) -> None:
    """For the database's clock it is."""
    async with database.session() as db:
        await db.run(
            "UPDATE request_rates SET at = at - make_interval(secs => $1::float8)", seconds
        )


# -- one exchange --


async def test_one_hears_what_the_other_let_through(database: Database, other: Database) -> None:
    one, two = Rates(1), Rates(1)
    assert passing(one, 20) == 10
    await one.exchange(database)
    assert passing(two, 1) == 1, "it has not heard yet"
    await two.exchange(other)
    assert passing(two, 20) <= 1
    assert 9 < (await kept(database))["agent:1"] <= 11


async def test_each_actor_has_its_own_in_all(database: Database, other: Database) -> None:
    one, two = Rates(1), Rates(1)
    passing(one, 20, "agent:1")
    passing(one, 4, "agent:2")
    await one.exchange(database)
    for actor in ("agent:1", "agent:2", "agent:3"):
        take(two, actor)
    await two.exchange(other)
    assert passing(two, 20, "agent:1") <= 1
    assert 5 <= passing(two, 20, "agent:2") <= 6
    assert 9 <= passing(two, 20, "agent:3") <= 10


async def test_what_is_let_through_during_an_exchange_counts_too(database: Database) -> None:
    rates = Rates(1)
    passing(rates, 4)
    exchange = asyncio.ensure_future(rates.exchange(database))
    await asyncio.sleep(0)
    assert passing(rates, 3) == 3
    await exchange
    assert passing(rates, 20) in (3, 4)
    await rates.exchange(database)
    assert 9 < (await kept(database))["agent:1"] <= 11


async def test_one_process_alone_is_exact(database: Database, clock: Clock) -> None:
    """However late it tells: what came back meanwhile is not lost."""
    rates = Rates(10, clock=clock)
    for _ in range(20):
        passing(rates, 3)
        clock.now += 0.3
        await later(database, 0.3)
        await rates.exchange(database)
    assert take(rates) == (0, 99, 1)
    passing(rates, 98)
    await rates.exchange(database)
    assert passing(rates, 20) == 1


async def test_what_a_crash_of_postgresql_empties_is_told_again(
    database: Database, other: Database
) -> None:
    one, two = Rates(1), Rates(1)
    passing(one, 9)
    await one.exchange(database)
    async with database.session() as db:
        await db.run("DELETE FROM request_rates")
    take(one)
    await one.exchange(database)
    take(two)
    await two.exchange(other)
    assert passing(two, 20) <= 1


async def test_nothing_is_told_twice(database: Database) -> None:
    rates = Rates(1)
    passing(rates, 5)
    for _ in range(3):
        await rates.exchange(database)
    assert 4 < (await kept(database))["agent:1"] <= 5


async def test_what_was_too_much_is_made_up_for(database: Database, clock: Clock) -> None:
    """Ten processes let ten through each before they hear of each other: no more for 90 s."""
    all_ = [Rates(1, clock=clock) for _ in range(10)]
    assert sum(passing(each, 20) for each in all_) == 100
    for each in all_:
        await each.exchange(database)
    assert 95 < (await kept(database))["agent:1"] <= 100
    late = all_[-1]
    wait, left, _ = take(late)
    assert (left, 85 <= wait <= 91) == (0, True)
    clock.now += 80
    assert passing(late, 1) == 0


async def test_in_the_database_a_bucket_fills_at_the_rate(database: Database) -> None:
    one, two = Rates(10), Rates(10)
    passing(one, 60)
    await one.exchange(database)
    await later(database, 4)
    take(two)
    await two.exchange(database)
    assert 18 < (await kept(database))["agent:1"] <= 21


async def test_a_clock_that_was_set_back_fills_nothing_twice(database: Database) -> None:
    one, two = Rates(10), Rates(10)
    passing(one, 60)
    await one.exchange(database)
    await later(database, -3600)
    take(two)
    await two.exchange(database)
    assert 58 < (await kept(database))["agent:1"] <= 61


async def test_many_at_once_never_wait_for_each_other(
    database: Database, other: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same actors, met in opposite orders."""
    monkeypatch.setattr(kit_rates, "TOGETHER", 100)
    actors = [f"agent:{number}" for number in range(300)]
    one, two = Rates(50), Rates(50)
    for _ in range(10):
        for actor in actors:
            take(one, actor)
        for actor in reversed(actors):
            take(two, actor)
        await asyncio.gather(one.exchange(database), two.exchange(other))
    assert len(await kept(database)) == 300


async def test_there_is_a_most_of_what_waits_to_be_told(database: Database) -> None:
    rates = Rates(10, most=100)
    for number in range(1000):
        rates.take(f"agent:{number}")
    assert len(rates._untold) == 100
    await rates.exchange(database)
    assert rates._untold == {}
    assert len(await kept(database)) == 100


async def test_full_buckets_are_forgotten(database: Database) -> None:
    rates = Rates(10)
    for actor in ("agent:1", "agent:2"):
        take(rates, actor)
    await rates.exchange(database)
    async with database.session() as db:
        await db.run(
            "UPDATE request_rates SET at = at - interval '2 hours' WHERE actor = 'agent:1'"
        )
    await forget.run(database)
    assert list(await kept(database)) == ["agent:2"]


# -- all the time --


async def test_while_nobody_asks_nothing_is_told(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates, told = Rates(10), []
    exchange = rates.exchange

    async def counted(database: Database) -> None:
        told.append({actor: each.untold for actor, each in rates._untold.items()})
        await exchange(database)

    monkeypatch.setattr(rates, "exchange", counted)
    async with background.running({"rates": lambda: rates.run(database)}):
        await asyncio.sleep(3 * EACH)
        assert told == []
        take(rates)
        await asyncio.sleep(3 * EACH)
        assert told == [{"agent:1": 1}]


async def test_much_is_told_at_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter second's worth."""
    monkeypatch.setattr(kit_rates, "EACH", 60.0)
    rates = Rates(1)
    async with background.running({"rates": lambda: rates.run(database)}):
        await asyncio.sleep(0.05)
        rates._much = 4.0
        passing(rates, 3)
        await asyncio.sleep(0.1)
        assert await kept(database) == {}
        passing(rates, 1)
        async with asyncio.timeout(5):
            while not await kept(database):
                await asyncio.sleep(0.01)


async def test_while_the_database_is_away_each_counts_by_itself(
    database: Database, other: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit_rates, "AWAY", 0.1)
    rates = Rates(1)
    await other.close()
    assert passing(rates, 20) == 10
    with pytest.raises(Unavailable):
        await rates.exchange(other)
    assert passing(rates, 20) <= 1, "what is known here stays"
    rates = Rates(5)
    places = [other]
    monkeypatch.setattr(rates, "exchange", lambda _: Rates.exchange(rates, places[0]))
    async with background.running({"rates": lambda: rates.run(database)}):
        assert passing(rates, 100) == 50
        await asyncio.sleep(0.4)
        places[0] = database
        async with asyncio.timeout(10):
            while not await kept(database):
                take(rates)
                await asyncio.sleep(0.05)
    assert (await kept(database))["agent:1"] <= 51, "never more than its bucket"


# -- real processes --


async def hammer(clients: list[httpx.AsyncClient], seconds: float) -> int:
    """Each client as fast as it can; how many passed."""
    until = time.monotonic() + seconds

    async def one(client: httpx.AsyncClient) -> int:
        passed = 0
        while time.monotonic() < until:
            answer = await client.get("/api/me")
            assert answer.status_code in (200, 429)
            passed += answer.status_code == 200
            await asyncio.sleep(0.005)
        return passed

    return sum(await asyncio.gather(*(one(client) for client in clients)))


RATE = 5
SETTINGS = {"PULLSE_API_TOKEN": TOKEN, "PULLSE_RATE": str(RATE)}


@asynccontextmanager
async def asking(*urls: str, token: str) -> AsyncIterator[list[httpx.AsyncClient]]:
    headers = {"authorization": f"Bearer {token}"}
    clients = [httpx.AsyncClient(base_url=url, headers=headers, timeout=30) for url in urls]
    try:
        yield clients
    finally:
        for each in clients:
            await each.aclose()


def allowed(seconds: float, processes: int) -> float:
    """All that may pass, and what each of several may let through before it hears."""
    slack = RATE * EACH + 10  # what comes while an exchange is under way, on a slow machine
    return RATE * (WINDOW + seconds) + processes * slack


async def test_two_processes_keep_one_limit(database: Database, database_url: str) -> None:
    token = await give(database, role="read_only")
    settings = {**SETTINGS, "DATABASE_URL": database_url}
    with (
        running("serve", "--port", "0", **settings) as one,
        running("serve", "--port", "0", **settings) as two,
    ):
        urls = [await one.url(), await two.url()]
        started = time.monotonic()
        async with asking(*urls, token=token) as clients:
            passed = await hammer(clients, 3)
        seconds = time.monotonic() - started
    assert RATE * WINDOW <= passed <= allowed(seconds, 2)


async def test_two_workers_keep_one_limit(database: Database, database_url: str) -> None:
    token = await give(database, role="read_only")
    settings = {**SETTINGS, "DATABASE_URL": database_url}
    with running("serve", "--port", "0", "--workers", "2", **settings) as program:
        url = await program.url()
        started = time.monotonic()
        async with asking(*[url] * 8, token=token) as clients:
            passed = await hammer(clients, 3)
        seconds = time.monotonic() - started
        await program.end()
    assert RATE * WINDOW <= passed <= allowed(seconds, 2)
    (spent,) = (await kept(database)).values()
    assert spent > RATE
