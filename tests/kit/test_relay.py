"""From fact to work: one job for each reaction, whatever dies in between."""

import asyncio
import contextlib
from typing import Any

import msgspec
import pytest

from pullse.errors import Unavailable
from pullse.kit import events, relay
from pullse.kit import tail as tails
from pullse.kit.db import Database, Db
from pullse.kit.events import Actor
from pullse.kit.ids import uuid7
from pullse.kit.jobs import job
from pullse.kit.relay import Reactions
from pullse.kit.tail import Tail
from tests.cli.settling import settled


@job("test.mail")
async def mail(database: Database, *, fact_id: int, ticket_id: str | None) -> None:
    pass


@job("test.count")
async def count(database: Database, *, fact_id: int, ticket_id: str | None) -> None:
    pass


REACTIONS: Reactions = {"ticket.created": [mail, count], "ticket.deleted": [mail]}


async def tell(database: Database, *names: str) -> None:
    for name in names:
        async with database.transaction() as db:
            await events.record(db, name, by=Actor("owner"), ticket_id=uuid7(), data={})
    await settled(database)


async def jobs(database: Database) -> list[tuple[str, int]]:
    """Name and fact of each, in the order in which they were enqueued."""
    async with database.session() as db:
        rows = await db.rows("SELECT name, args FROM jobs ORDER BY id")
    return [(name, msgspec.json.decode(args)["fact_id"]) for name, args in rows]


async def ids(database: Database) -> list[int]:
    async with database.session() as db:
        return [fact.id for fact in await events.since(db, events.START, limit=10_000)]


async def test_each_fact_gives_one_job_for_each_reaction(database: Database) -> None:
    await tell(database, "ticket.created", "ticket.changed", "ticket.deleted")
    first, _, third = await ids(database)

    assert await relay.relay(database, REACTIONS) == 3
    assert await relay.relay(database, REACTIONS) == 0
    assert await jobs(database) == [
        ("test.mail", first),
        ("test.count", first),
        ("test.mail", third),
    ]


async def test_a_job_knows_fact_and_ticket(database: Database) -> None:
    await tell(database, "ticket.deleted")
    await relay.relay(database, REACTIONS)

    async with database.session() as db:
        (fact,) = await events.since(db, events.START)
        args: Any = msgspec.json.decode(await db.value("SELECT args FROM jobs"))
    assert args == {"fact_id": fact.id, "ticket_id": str(fact.ticket_id)}


async def test_a_crash_on_the_way_loses_and_doubles_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs are written, the cursor is not moved yet, and the transaction is gone."""
    await tell(database, "ticket.created", "ticket.created")
    move = relay.move_reader

    async def crash(db: Db, *_: object) -> None:
        assert await db.value("SELECT count(*) FROM jobs") == 4
        raise Unavailable("The plug is pulled.")

    monkeypatch.setattr(relay, "move_reader", crash)
    with pytest.raises(Unavailable):
        await relay.relay(database, REACTIONS)
    assert await jobs(database) == []

    monkeypatch.setattr(relay, "move_reader", move)
    await relay.relay(database, REACTIONS)
    assert len(await jobs(database)) == 4


async def test_many_processes_hand_on_each_fact_once(database: Database) -> None:
    await tell(database, *["ticket.deleted"] * 30)
    done = await asyncio.gather(*(relay.relay(database, REACTIONS) for _ in range(6)))

    assert sum(done) == 30
    assert [fact for _, fact in await jobs(database)] == await ids(database)


async def test_facts_become_jobs_as_they_come(
    database: Database, tail: Tail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "NET", 60.0)
    await relay.begin(database, "relay")
    running = asyncio.create_task(relay.run(database, tail, REACTIONS))
    for turn in range(1, 6):
        await tell(database, "ticket.changed", "ticket.deleted")
        tail.wake()
        await until_jobs(database, turn)
    await stop(running)


async def test_a_relay_that_was_cut_goes_on(
    database: Database, tail: Tail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tails, "FACTS_QUEUED", 0)
    monkeypatch.setattr(relay, "NET", 60.0)
    await relay.begin(database, "relay")
    running = asyncio.create_task(relay.run(database, tail, REACTIONS))
    for turn in range(1, 4):
        await tell(database, "ticket.deleted")
        tail.wake()
        await until_jobs(database, turn)
    assert tail.followers == 1
    await stop(running)


async def test_it_ends_with_the_tail(database: Database, tail: Tail) -> None:
    running = asyncio.create_task(relay.run(database, tail, REACTIONS))
    await asyncio.sleep(0.05)
    tail.close()
    await asyncio.wait_for(running, 2)


async def test_without_reactions_it_has_nothing_to_do(database: Database, tail: Tail) -> None:
    await asyncio.wait_for(relay.run(database, tail, {}), 1)
    assert tail.followers == 0


async def until_jobs(database: Database, number: int) -> None:
    async with asyncio.timeout(5):
        while len(await jobs(database)) < number:
            await asyncio.sleep(0.01)


async def stop(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
