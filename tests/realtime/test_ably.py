"""The forwarder against a stand-in for Ably that fails in every way: once each, in order."""

import asyncio
import contextlib
import dataclasses
import json
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from ably.util.exceptions import AblyException

from pullse import app
from pullse.kit import events
from pullse.kit.db import Database
from pullse.kit.edge import Edge, Guard
from pullse.kit.events import SYSTEM, Fact
from pullse.kit.relay import begin
from pullse.kit.tail import Tail
from pullse.realtime.ably import LOCK, forward
from pullse.realtime.outlet import Pace, check, trouble_of
from pullse.realtime.projection import ACTIVITY, SHARED, UPDATES, shared
from pullse.settings import Ably
from tests.standins import process
from tests.standins.process import KEY

QUICK = Pace(
    first=0.02, longest=0.2, refused=0.2, answer=5, save=0.05, election=0.05, alive=1, net=0.5
)
IMPATIENT = dataclasses.replace(QUICK, answer=0.3)
WRONG = "app.key:never-to-be-seen"


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[process.Ably]:
    with process.Ably(tmp_path_factory.mktemp("ably")) as started:
        yield started


@pytest.fixture
def ably(stand_in: process.Ably) -> process.Ably:
    """The stand-in for Ably, holding nothing and well."""
    stand_in.forget()
    return stand_in


def settings(ably: process.Ably, key: str = KEY) -> Ably:
    return Ably(key, "127.0.0.1", ably.port, tls=False)


@asynccontextmanager
async def forwarding(
    database: Database, tail: Tail, ably: process.Ably, *, key: str = KEY, pace: Pace = QUICK
) -> AsyncIterator[None]:
    """One forwarder, stopped as a graceful stop does it."""
    await begin(database, "ably")
    task = asyncio.create_task(forward(database, tail, settings(ably, key), pace))
    try:
        yield
        assert not task.done(), "a forwarder goes on for ever"
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def write(database: Database, tail: Tail, count: int, *, since: int = 0) -> None:
    """Facts as tickets leave them: created ones, changes of status and others."""
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("ticket.created", {"status": "open"}),
        ("ticket.changed", {"status": "closed", "changes": {"status": ["open", "closed"]}}),
        ("ticket.changed", {"status": "closed", "changes": {"priority": ["low", "high"]}}),
    ]
    for number in range(since, since + count):
        name, data = kinds[number % 3]
        async with database.transaction() as db:
            await events.record(db, name, by=SYSTEM, data={"number": number} | data)
        tail.wake()


async def all_facts(database: Database) -> list[Fact]:
    """Also those that a transaction of another test on this server still holds back."""
    async with database.session() as db:
        while True:
            facts = await events.since(db, events.START, limit=100_000)
            if not await events.unsettled(db, facts[-1].place if facts else events.START):
                return facts
            await asyncio.sleep(0.02)


async def holds_all(database: Database, ably: process.Ably, *, within: float = 30) -> None:
    """Wait until the stand-in has as many as there are; then each is there once, in order."""
    facts = await all_facts(database)
    expected = {
        channel: [(m.id, m.name) for fact in facts for m in shared(fact) if m.channel == channel]
        for channel in SHARED
    }
    count = sum(map(len, expected.values()))
    await until(lambda: len(ably.messages()) >= count, within)
    await asyncio.sleep(0.1)
    for channel in SHARED:
        assert [(m["id"], m["name"]) for m in ably.messages(channel)] == expected[channel]


async def until(is_so: Callable[[], bool], within: float = 10) -> None:
    async with asyncio.timeout(within):
        while not is_so():
            await asyncio.sleep(0.02)


async def told(database: Database) -> str | None:
    async with database.session() as db:
        return await db.value("SELECT error FROM readers WHERE name = 'ably'")  # type: ignore[no-any-return]


async def until_told(database: Database, text: str | None, within: float = 10) -> str | None:
    async with asyncio.timeout(within):
        while True:
            found = await told(database)
            if found == text or (text and found and text in found):
                return found
            await asyncio.sleep(0.02)


# -- what is published --


async def test_what_happens_to_tickets_arrives_as_the_contract_says(
    database: Database, tail: Tail, client: httpx.AsyncClient, ably: process.Ably
) -> None:
    async with forwarding(database, tail, ably):
        new = {"title": "No light", "description": "The lamp is dark.", "priority": "high"}
        ticket = (await client.post("/api/tickets", json=new)).json()["data"]
        path = f"/api/tickets/{ticket['id']}"
        for changes in ({"status": "resolved"}, {"status": "resolved"}, {"priority": "low"}):
            assert (await client.patch(path, json=changes)).status_code == 200
        await client.delete(path)
        await holds_all(database, ably)
    found = [(m["name"], json.loads(m["data"])) for m in ably.messages(UPDATES)]
    state = {"ticketId": ticket["id"], "number": ticket["number"], "title": "No light"}
    state |= {"priority": "high", "assignedTo": None}
    assert found == [
        ("ticket_created", state | {"status": "open"}),
        ("ticket_updated", state | {"status": "resolved", "previousStatus": "open"}),
        ("ticket_deleted", {"ticketId": ticket["id"], "number": ticket["number"]}),
    ]
    names = [m["name"] for m in ably.messages(ACTIVITY)]
    assert names == ["ticket.created", "ticket.changed", "ticket.changed", "ticket.deleted"]
    assert {m["encoding"] for m in ably.messages()} == {"json"}


async def test_a_change_that_changes_nothing_publishes_nothing(
    database: Database, tail: Tail, client: httpx.AsyncClient, ably: process.Ably
) -> None:
    async with forwarding(database, tail, ably):
        new = {"title": "No light", "description": "Dark.", "status": "closed"}
        ticket = (await client.post("/api/tickets", json=new)).json()["data"]
        await client.patch(f"/api/tickets/{ticket['id']}", json={"status": "closed"})
        await client.post("/api/tickets", json=new)
        await holds_all(database, ably)
    assert [m["name"] for m in ably.messages(UPDATES)] == ["ticket_created"] * 2
    assert [m["name"] for m in ably.messages(ACTIVITY)] == ["ticket.created"] * 2


async def test_facts_from_before_the_first_start_are_not_news(
    database: Database, tail: Tail, ably: process.Ably
) -> None:
    await write(database, tail, 3)
    assert len(await all_facts(database)) == 3
    async with forwarding(database, tail, ably):
        await write(database, tail, 3, since=3)
        await until(lambda: len(ably.messages(ACTIVITY)) == 3)
    numbers = [json.loads(m["data"])["data"]["number"] for m in ably.messages(ACTIVITY)]
    assert numbers == [3, 4, 5]


async def test_a_fact_that_is_larger_than_ably_takes_goes_without_its_texts(
    database: Database, tail: Tail, client: httpx.AsyncClient, ably: process.Ably
) -> None:
    async with forwarding(database, tail, ably):
        new = {"title": "Long", "description": "é" * 100_000}
        ticket = (await client.post("/api/tickets", json=new)).json()["data"]
        changes = {"description": "日" * 100_000, "status": "closed"}
        await client.patch(f"/api/tickets/{ticket['id']}", json=changes)
        await write(database, tail, 1)
        await holds_all(database, ably)
    change = json.loads(ably.messages(ACTIVITY)[1]["data"])["data"]
    assert change["truncated"] is True
    expected = {"description": [None, None], "status": ["open", "closed"]}
    assert change["changes"] == expected


# -- trouble on the way --


@pytest.mark.parametrize(
    ("how", "is_accepted"),
    [
        ("500", False),
        ("429", False),
        ("html", False),
        ("cut_before", False),
        ("hang_before", False),
        ("slow", True),
        ("500_after", True),
        ("cut_after", True),
        ("cut_halfway", True),
        ("hang_after", True),
    ],
)
async def test_whatever_happens_on_the_way_each_arrives_once_in_order(
    database: Database, tail: Tail, ably: process.Ably, how: str, is_accepted: bool
) -> None:
    seconds = 0.1 if how == "slow" else 3600
    for channel in SHARED:
        for skip, times in ((0, 1), (3, 2)):
            ably.fail(how, channel=channel, skip=skip, times=times, seconds=seconds)
    async with forwarding(database, tail, ably, pace=IMPATIENT):
        await write(database, tail, 15)
        await holds_all(database, ably)
    if is_accepted and how != "slow":
        assert ably.repeats > 0, "what Ably took without saying so is published again"


async def test_kill_9_of_ably_delays_and_loses_nothing(
    database: Database, tail: Tail, ably: process.Ably
) -> None:
    async with forwarding(database, tail, ably):
        for turn in range(3):
            await write(database, tail, 10, since=turn * 10)
            ably.kill()
            await write(database, tail, 10, since=turn * 10)
            await asyncio.sleep(0.2)
            await asyncio.to_thread(ably.start)
        await holds_all(database, ably)


async def test_a_forwarder_that_is_stopped_goes_on_where_it_was(
    database: Database, tail: Tail, ably: process.Ably
) -> None:
    for turn in range(5):
        async with forwarding(database, tail, ably):
            await write(database, tail, 10, since=turn * 10)
            await until(lambda: len(ably.messages(ACTIVITY)) > turn * 10)  # noqa: B023
    async with forwarding(database, tail, ably):
        await holds_all(database, ably)
    # Only what was under way when it was stopped, on each channel, was in doubt.
    assert ably.repeats <= 2 * 5


async def test_a_forwarder_that_dies_without_a_word_repeats_and_ably_drops_it(
    database: Database, tail: Tail, ably: process.Ably
) -> None:
    await begin(database, "ably")
    async with database.session() as db:
        start = await db.value("SELECT id FROM readers WHERE name = 'ably'")
    async with forwarding(database, tail, ably):
        await write(database, tail, 12)
        await holds_all(database, ably)
    async with database.session() as db:  # as if nothing had been written down
        await db.run("UPDATE readers SET tx = 0, id = $1 WHERE name = 'ably'", start)
    async with forwarding(database, tail, ably):
        await write(database, tail, 3, since=12)
        await holds_all(database, ably)
    assert ably.repeats >= 12


async def test_a_database_that_goes_away_is_waited_for(
    database: Database, tail: Tail, ably: process.Ably
) -> None:
    async with forwarding(database, tail, ably):
        for turn in range(3):
            await write(database, tail, 10, since=turn * 10)
            async with database.session() as db:
                await db.run(
                    """
                    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE datname = current_database() AND pid <> pg_backend_pid()
                    """
                )
            await asyncio.sleep(0.2)  # until the pool has noticed, or it hands out a dead one
        await holds_all(database, ably)


async def test_a_storm_of_everything(database: Database, tail: Tail, ably: process.Ably) -> None:
    dice = random.Random(2)
    ways = ["500", "500_after", "cut_before", "cut_after", "cut_halfway", "hang_after", "slow"]
    written = 0
    for _ in range(6):
        async with (
            forwarding(database, tail, ably, pace=IMPATIENT),
            forwarding(database, tail, ably, pace=IMPATIENT),
        ):
            for _ in range(3):
                channel = dice.choice([*SHARED, None])
                ably.fail(dice.choice(ways), channel=channel, skip=dice.randrange(5), seconds=1)
            await write(database, tail, 15, since=written)
            written += 15
            if dice.random() < 0.5:
                ably.kill()
                await asyncio.to_thread(ably.start)
    async with forwarding(database, tail, ably):
        await holds_all(database, ably)


# -- who leads --


async def test_one_of_two_leads_and_the_other_takes_over(
    database: Database, tail: Tail, ably: process.Ably
) -> None:
    async with contextlib.AsyncExitStack() as second:
        async with forwarding(database, tail, ably):
            await write(database, tail, 6)
            await holds_all(database, ably)
            await second.enter_async_context(forwarding(database, tail, ably))
            await asyncio.sleep(0.2)
            await write(database, tail, 6, since=6)
            await holds_all(database, ably)
            assert ably.repeats == 0, "two at once would have published twice"
        await write(database, tail, 6, since=12)
        await holds_all(database, ably)


async def test_a_lost_connection_is_lost_leadership(
    database: Database, tail: Tail, ably: process.Ably
) -> None:
    async with forwarding(database, tail, ably), forwarding(database, tail, ably):
        for turn in range(4):
            await write(database, tail, 5, since=turn * 5)
            async with database.session() as db:
                ended = await db.value(
                    """
                    SELECT count(pg_terminate_backend(pid)) FROM pg_locks
                      JOIN pg_database ON pg_database.oid = pg_locks.database
                     WHERE locktype = 'advisory' AND granted AND objid = $1::bigint::oid
                       AND datname = current_database()
                    """,
                    LOCK,
                )
            assert ended <= 1
            await write(database, tail, 5, since=turn * 5)
        await holds_all(database, ably)
        await asyncio.sleep(0.3)
        repeats = ably.repeats
        await write(database, tail, 6)
        await holds_all(database, ably)
        assert ably.repeats == repeats, "one leads again, not two"


# -- a key that is refused --


@pytest.fixture
def edge(database: Database, tail: Tail, guard: Guard) -> Edge:
    return app.build(database, tail, guard, readers=("relay", "ably"))


async def test_a_wrong_key_is_told_once_and_tickets_go_on(
    database: Database,
    tail: Tail,
    client: httpx.AsyncClient,
    ably: process.Ably,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with forwarding(database, tail, ably, key=WRONG):
        error = await until_told(database, "Ably refuses the key")
        assert error is not None
        assert "40101" in error
        assert "check ABLY_API_KEY" in error
        new = {"title": "No light", "description": "Dark."}
        assert (await client.post("/api/tickets", json=new)).status_code == 201
        ready = (await client.get("/health/ready")).json()
        assert ready["data"]["problems"] == [f"ably: {error}"]
        await asyncio.sleep(0.7)  # several attempts
        assert ably.messages() == []
        assert [r.message for r in caplog.records if r.levelno >= logging.WARNING] == [error]
        ably.set_key(WRONG)
        await until_told(database, None)
        await holds_all(database, ably)
    assert [r.message for r in caplog.records if r.message.startswith("Ably takes")] != []
    assert "never-to-be-seen" not in caplog.text
    assert "never-to-be-seen" not in error


async def test_a_key_that_becomes_right_is_noticed_without_a_ticket(
    database: Database, tail: Tail, ably: process.Ably
) -> None:
    async with forwarding(database, tail, ably, key=WRONG):
        await until_told(database, "40101")
        ably.set_key(WRONG)
        await until_told(database, None)


async def test_an_error_of_the_process_before_is_forgotten(
    database: Database, tail: Tail, ably: process.Ably
) -> None:
    async with forwarding(database, tail, ably, key=WRONG):
        await until_told(database, "40101")
    async with forwarding(database, tail, ably):
        await until_told(database, None)


async def test_a_key_without_the_capability_is_told_with_what_it_needs(
    database: Database, tail: Tail, ably: process.Ably
) -> None:
    ably.set_capability({UPDATES: ["publish"], ACTIVITY: ["subscribe"]})
    async with forwarding(database, tail, ably):
        error = await until_told(database, "capability publish on")
        assert error is not None
        assert f"may not publish on {ACTIVITY}" in error
        await write(database, tail, 3)
        await until(lambda: ably.messages(UPDATES) != [])
        assert ably.messages(ACTIVITY) == []
        ably.set_capability({"*": ["publish"]})
        await until_told(database, None)
        await holds_all(database, ably)


async def test_a_key_that_is_revoked_on_the_way_is_told(
    database: Database, tail: Tail, ably: process.Ably
) -> None:
    async with forwarding(database, tail, ably):
        await write(database, tail, 3)
        await holds_all(database, ably)
        ably.set_key("app.key:another")
        await write(database, tail, 3, since=3)
        await until_told(database, "Ably refuses the key")
        ably.set_key(KEY)
        await until_told(database, None)
        await holds_all(database, ably)


async def test_an_outage_is_told_and_one_failure_is_not(
    database: Database, tail: Tail, ably: process.Ably, caplog: pytest.LogCaptureFixture
) -> None:
    async with forwarding(database, tail, ably):
        ably.fail("500", channel=ACTIVITY)
        await write(database, tail, 1)
        await holds_all(database, ably)
        assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []
        ably.kill()
        await write(database, tail, 1, since=1)
        await until_told(database, "Ably can't be reached")
        await asyncio.to_thread(ably.start)
        await until_told(database, None)
        await holds_all(database, ably)
    assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) == 1


async def test_check_says_what_is_wrong_with_a_key(ably: process.Ably) -> None:
    assert await check(settings(ably), QUICK) == {}
    refused = await check(settings(ably, WRONG), QUICK)
    assert {trouble.is_refusal for trouble in refused.values()} == {True}
    ably.set_capability({"[*]*": ["*"], UPDATES: ["subscribe"]})
    assert await check(settings(ably), QUICK) == {}
    ably.kill()
    away = await check(settings(ably), QUICK)
    assert {trouble.is_refusal for trouble in away.values()} == {False}


def test_the_secret_is_not_told_even_if_an_answer_has_it() -> None:
    options = Ably("app.key:a+secret/of=some", "127.0.0.1", 1, tls=False)
    said = "No key a+secret/of=some"
    for error in (AblyException(said, 401, 40101), OSError(said)):
        assert "a+secret" not in trouble_of(error, options).text


# -- endpoints --


async def test_over_tls_the_key_itself_is_sent(
    database: Database, tail: Tail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, both = trustme.CA(), tmp_path / "both.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(both)
    trusted = tmp_path / "trusted.pem"
    authority.cert_pem.write_to_path(trusted)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    with process.Ably(tmp_path, tls=both, trust=trusted) as ably:
        await begin(database, "ably")
        options = Ably(KEY, "127.0.0.1", ably.port, tls=True)
        task = asyncio.create_task(forward(database, tail, options, QUICK))
        await write(database, tail, 6)
        await holds_all(database, ably)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_forwarder_ends_with_the_tail(
    database: Database, tail: Tail, ably: process.Ably
) -> None:
    task = asyncio.create_task(forward(database, tail, settings(ably), QUICK))
    await asyncio.sleep(0.3)
    tail.close()
    await asyncio.wait_for(task, 5)
