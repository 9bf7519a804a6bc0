"""Work for later: kept with its reason, run by one worker at a time, never forgotten in silence."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pullse.kit import jobs as kit
from pullse.kit.db import Database, open_database
from pullse.kit.jobs import Due, Every, Job, Shown, job

ran: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


@job("test.note")
async def note(database: Database, *, what: str) -> None:
    ran.append(what)


@job("test.fail")
async def fail(database: Database) -> None:
    raise ValueError("the printer is on fire")


@job("test.hourly")
async def hourly(database: Database) -> None:
    ran.append("hourly")


JOBS: dict[str, Job[...]] = {each.name: each for each in (note, fail, hourly)}


async def later(database: Database, *whats: str) -> None:
    async with database.transaction() as db:
        for what in whats:
            await note.later(db, what=what)


async def listed(database: Database) -> list[Shown]:
    async with database.session() as db:
        return await kit.listed(db)


async def claim(database: Database) -> Due | None:
    async with database.session() as db:
        return await kit.claim(db)


async def pass_time(database: Database, **by: float) -> None:
    """For what is stored, it is later by so much."""
    async with database.session() as db:
        await db.run(
            "UPDATE jobs SET due_at = due_at - $1::interval, leased_until = leased_until - $1",
            timedelta(**by),
        )


# -- enqueueing --


async def test_a_job_runs_with_its_arguments(database: Database) -> None:
    await later(database, "hello")

    assert await kit.work_one(database, JOBS)
    assert ran == ["hello"]
    assert await listed(database) == []
    assert not await kit.work_one(database, JOBS)


async def test_a_job_is_kept_only_with_its_reason(database: Database) -> None:
    with contextlib.suppress(ZeroDivisionError):
        async with database.transaction() as db:
            await note.later(db, what="never")
            raise ZeroDivisionError

    assert await listed(database) == []


async def test_arguments_go_by_name(database: Database) -> None:
    async with database.transaction() as db:
        with pytest.raises(TypeError, match="keyword"):
            await note.later(db, "hello")  # type: ignore[call-arg]


async def test_what_is_due_first_runs_first(database: Database) -> None:
    await later(database, "1")
    await later(database, "2")
    await later(database, "3")
    while await kit.work_one(database, JOBS):
        pass
    assert ran == ["1", "2", "3"]


# -- one worker at a time --


async def test_no_job_runs_twice_among_many_workers(database: Database, database_url: str) -> None:
    await later(database, *(str(number) for number in range(100)))
    pools = [await open_database(database_url, size=3) for _ in range(3)]

    async def drain(pool: Database) -> None:
        while await kit.work_one(pool, JOBS):
            pass

    await asyncio.gather(*(drain(pool) for pool in pools for _ in range(2)))
    for pool in pools:
        await pool.close()
    assert sorted(ran, key=int) == [str(number) for number in range(100)]


async def test_a_leased_job_is_not_given_out_again(database: Database) -> None:
    await later(database, "hello")
    assert await claim(database) is not None

    assert await claim(database) is None
    assert [each.state for each in await listed(database)] == ["running"]


async def test_a_dead_workers_job_goes_to_another_when_the_lease_lapses(database: Database) -> None:
    await later(database, "hello")
    await claim(database)
    await pass_time(database, seconds=kit.LEASE - 5)
    assert await claim(database) is None

    await pass_time(database, seconds=6)
    assert await kit.work_one(database, JOBS)
    assert ran == ["hello"]


async def test_a_worker_that_lost_its_lease_can_end_nothing(database: Database) -> None:
    await later(database, "hello")
    stale = await claim(database)
    assert stale
    await pass_time(database, seconds=kit.LEASE + 1)
    taken_over = await claim(database)
    assert taken_over
    assert (taken_over.id, taken_over.attempts) == (stale.id, stale.attempts + 1)

    async with database.session() as db:
        assert not await kit.renew(db, stale)
        await kit.fail(db, stale, "too late")
        await kit.finish(db, stale)
    (still,) = await listed(database)
    assert (still.state, still.error) == ("running", None)

    async with database.session() as db:
        assert await kit.renew(db, taken_over)
        await kit.finish(db, taken_over)
    assert await listed(database) == []


async def test_a_lease_is_renewed_while_the_job_runs(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit, "LEASE", 0.9)

    @job("test.long")
    async def long(database: Database) -> None:
        ran.append("begun")
        await asyncio.sleep(2)

    async with database.transaction() as db:
        await long.later(db)
    working = asyncio.create_task(kit.work_one(database, {"test.long": long}))
    while not working.done():
        await asyncio.sleep(0.05)
        if ran and not working.done():
            assert await claim(database) is None
    assert ran == ["begun"]
    assert await listed(database) == []


async def test_a_worker_that_is_stopped_leaves_the_job_to_others(database: Database) -> None:
    @job("test.endless")
    async def endless(database: Database) -> None:
        ran.append("begun")
        await asyncio.sleep(60)

    async with database.transaction() as db:
        await endless.later(db)
    working = asyncio.create_task(kit.work_one(database, {"test.endless": endless}))
    while not ran:
        await asyncio.sleep(0.01)
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working

    await pass_time(database, seconds=kit.LEASE + 1)
    due = await claim(database)
    assert due is not None
    assert due.name == "test.endless"


# -- failing --


async def test_a_failure_is_put_off_twice_as_long_each_time(database: Database) -> None:
    async with database.transaction() as db:
        await fail.later(db)
    waits = []
    for _ in range(kit.ATTEMPTS - 1):
        assert await kit.work_one(database, JOBS)
        assert not await kit.work_one(database, JOBS)
        (shown,) = await listed(database)
        assert (shown.state, shown.error) == ("waiting", "ValueError: the printer is on fire")
        waits.append(round((shown.due_at - datetime.now(UTC)).total_seconds()))
        await pass_time(database, hours=2)

    assert waits[:5] == [15, 30, 60, 120, 240]
    assert waits[-2:] == [3600, 3600]


async def test_after_the_last_attempt_a_job_is_dead_and_kept(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async with database.transaction() as db:
        await fail.later(db)
    for _ in range(kit.ATTEMPTS):
        assert await kit.work_one(database, JOBS)
        await pass_time(database, hours=2)

    assert not await kit.work_one(database, JOBS)
    (shown,) = await listed(database)
    assert (shown.state, shown.attempts) == ("dead", 12)
    assert len([each for each in caplog.records if each.levelno == logging.ERROR]) == 12


async def test_a_job_that_kills_its_worker_each_time_dies_too(database: Database) -> None:
    await later(database, "poison")
    for _ in range(kit.ATTEMPTS):
        assert await claim(database)  # and the process is gone
        await pass_time(database, seconds=kit.LEASE + 1)

    await kit.work_one(database, JOBS)
    (shown,) = await listed(database)
    assert shown.state == "dead"
    assert shown.error
    assert "worker ended" in shown.error
    assert ran == []


async def test_a_job_of_an_unknown_name_fails_visibly(database: Database) -> None:
    async with database.transaction() as db:
        await kit.enqueue(db, "test.of_a_newer_release", {})

    assert await kit.work_one(database, JOBS)
    (shown,) = await listed(database)
    assert (shown.state, shown.attempts) == ("waiting", 1)
    assert shown.error == "LookupError: no job is called test.of_a_newer_release"


async def test_a_job_that_fails_does_not_hold_up_the_next(database: Database) -> None:
    async with database.transaction() as db:
        await fail.later(db)
    await later(database, "next")
    while await kit.work_one(database, JOBS):
        pass
    assert ran == ["next"]


async def test_a_dead_job_runs_again_when_it_is_asked_for(database: Database) -> None:
    await later(database, "again")
    async with database.session() as db:
        await db.run("UPDATE jobs SET dead_at = now(), attempts = 12, error = 'x'")
        (shown,) = await kit.listed(db)
        assert await claim(database) is None

        assert await kit.retry(db, shown.id)
        assert (await kit.listed(db))[0].state == "due"
    assert await kit.work_one(database, JOBS)
    assert ran == ["again"]


async def test_a_waiting_job_runs_at_once_when_it_is_asked_for(database: Database) -> None:
    async with database.transaction() as db:
        await fail.later(db)
    await kit.work_one(database, JOBS)
    async with database.session() as db:
        (shown,) = await kit.listed(db)
        assert await kit.retry(db, shown.id)
    assert await claim(database) is not None


async def test_a_running_or_unknown_job_is_not_retried(database: Database) -> None:
    await later(database, "hello")
    due = await claim(database)
    assert due
    async with database.session() as db:
        assert not await kit.retry(db, due.id)
        assert not await kit.retry(db, 404)


async def test_dead_jobs_are_listed_first(database: Database) -> None:
    await later(database, "1", "2", "3")
    async with database.session() as db:
        await db.run("UPDATE jobs SET dead_at = now() WHERE args->>'what' = '2'")
    assert [each.state for each in await listed(database)] == ["dead", "due", "due"]


# -- by the clock --

SCHEDULE: Sequence[Every] = [Every(3600, hourly)]


async def test_a_slot_enqueues_once_among_many_processes(
    database: Database, database_url: str
) -> None:
    pools = [await open_database(database_url, size=2) for _ in range(4)]
    await asyncio.gather(
        *(kit.enqueue_scheduled(pool, SCHEDULE) for pool in pools for _ in range(5))
    )
    for pool in pools:
        await pool.close()
    assert [each.name for each in await listed(database)] == ["test.hourly"]


async def test_the_next_slot_enqueues_again_and_missed_ones_do_not(database: Database) -> None:
    await kit.enqueue_scheduled(database, SCHEDULE)
    async with database.session() as db:
        await db.run("UPDATE schedules SET last_at = last_at - interval '5 hours'")
    await kit.enqueue_scheduled(database, SCHEDULE)
    await kit.enqueue_scheduled(database, SCHEDULE)

    assert len(await listed(database)) == 2
    async with database.session() as db:
        (mark,) = await db.rows("SELECT last_at FROM schedules")
    assert mark[0].minute == mark[0].second == 0


async def test_while_nothing_is_due_the_clock_writes_nothing(database: Database) -> None:
    await kit.enqueue_scheduled(database, SCHEDULE)
    await kit.enqueue_scheduled(database, SCHEDULE)
    async with database.session() as db:
        locked_by = await db.value("SELECT xmax::text::bigint FROM schedules")
    assert locked_by == 0


async def test_the_worker_runs_what_comes_until_it_is_stopped(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit, "POLL", 0.02)
    working = asyncio.create_task(kit.work(database, JOBS, SCHEDULE))
    await later(database, "a")
    async with asyncio.timeout(5):
        while len(ran) < 2:
            await asyncio.sleep(0.01)
        await later(database, "b")
        while len(ran) < 3:
            await asyncio.sleep(0.01)
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working
    assert sorted(ran) == ["a", "b", "hourly"]


async def test_the_worker_outlives_an_outage_of_the_database(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kit, "POLL", 0.02)
    working = asyncio.create_task(kit.work(database, JOBS))
    for turn in range(3):
        await later(database, str(turn))
        async with asyncio.timeout(5):
            while len(ran) <= turn:
                await asyncio.sleep(0.01)
        async with database.session() as db:
            await db.run(
                """
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()
                """
            )
        await asyncio.sleep(0.1)  # until the pool knows
    assert not working.done()
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working
    assert ran == ["0", "1", "2"]
