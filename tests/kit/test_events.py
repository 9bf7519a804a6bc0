"""The log of facts: each is read once, in one order, whatever order the writers commit in."""

import asyncio
import contextlib
import random
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import pytest

from pullse.errors import Gone, Invalid
from pullse.kit import events
from pullse.kit.db import Database, Db, open_database
from pullse.kit.events import START, Actor, Place, Position
from pullse.kit.ids import uuid7
from tests.cli.settling import settled

OWNER = Actor("owner", "request-1")


async def tell(
    db: Db, what: object, name: str = "ticket.changed", about: UUID | None = None
) -> None:
    await events.record(db, name, by=OWNER, ticket_id=about, data={"what": what})


async def told(database: Database, *whats: object, **more: Any) -> None:
    """Each in a transaction of its own, and settled."""
    for what in whats:
        async with database.transaction() as db:
            await tell(db, what, **more)
    await settled(database)


async def read(database: Database, place: Place = START) -> list[events.Fact]:
    async with database.session() as db:
        return await events.since(db, place)


async def read_when(database: Database, count: int) -> list[events.Fact]:
    """Once there are so many."""
    async with asyncio.timeout(5):
        while len(found := await read(database)) < count:
            await asyncio.sleep(0.002)
    return found


async def page(database: Database, place: Place = START, **more: Any) -> events.Page:
    async with database.session() as db:
        return await events.page(db, place, **{"limit": 10, "teams": None, **more})


def whats(facts: Any) -> list[object]:
    return [events.msgspec.json.decode(fact.body)["data"]["what"] for fact in facts]


# -- reading order --


@pytest.mark.parametrize("older_first", [True, False])
async def test_a_lower_id_that_commits_last_is_not_skipped(
    database: Database, older_first: bool
) -> None:
    """The newer transaction takes the lower id; a reader by id alone would lose one of them."""
    async with AsyncExitStack() as older_end, AsyncExitStack() as newer_end:
        older = await older_end.enter_async_context(database.transaction())
        await older.run("SELECT pg_current_xact_id()")
        newer = await newer_end.enter_async_context(database.transaction())
        await tell(newer, "newer")
        await tell(older, "older")
        assert await read(database) == []

        await (older_end if older_first else newer_end).aclose()
        first = await read_when(database, 1 if older_first else 0)
        await (newer_end if older_first else older_end).aclose()
        await settled(database)
        rest = await read(database, first[-1].place if first else START)

    assert whats(first) == (["older"] if older_first else [])
    assert whats(first + rest) == ["older", "newer"]
    older_fact, newer_fact = first + rest
    assert older_fact.id > newer_fact.id
    assert older_fact.tx < newer_fact.tx


async def test_a_fact_goes_with_its_transaction(database: Database) -> None:
    with contextlib.suppress(ZeroDivisionError):
        async with database.transaction() as db:
            await tell(db, "never")
            raise ZeroDivisionError
    await settled(database)

    assert await read(database) == []


async def test_a_committed_fact_that_is_held_back_is_known_to_be_there(database: Database) -> None:
    async with database.session() as db, database.transaction() as holding:
        assert not await events.unsettled(db, START)
        await holding.run("SELECT pg_current_xact_id()")
        async with database.transaction() as writing:
            await tell(writing, "held back")

        assert await events.since(db, START) == []
        assert await events.unsettled(db, START)
        assert (await events.end(db)).place == START


async def test_a_fact_tells_who_did_what_in_which_request(database: Database) -> None:
    ticket = uuid7()
    await told(database, 1, about=ticket)

    (fact,) = await read(database)
    content = events.msgspec.json.decode(fact.body, type=events.Content)
    assert (content.id, content.name, content.ticket_id) == (fact.id, "ticket.changed", ticket)
    assert (content.actor, content.request_id, content.data) == ("owner", "request-1", {"what": 1})


async def test_under_load_a_reader_sees_each_fact_once_in_order(
    database: Database, database_url: str
) -> None:
    """Eight connections write transactions of all lengths while one reader follows."""
    writers = await open_database(database_url, size=8)
    seen: list[events.Fact] = []
    dice = random.Random(7)

    async def write(number: int) -> None:
        for turn in range(25):
            async with writers.transaction() as db:
                for step in range(dice.randint(1, 3)):
                    await tell(db, [number, turn, step])
                    await asyncio.sleep(dice.choice((0, 0, 0.001, 0.01)))

    async def follow(until: asyncio.Event) -> None:
        while True:
            is_last = until.is_set()
            facts = await read(database, seen[-1].place if seen else START)
            seen.extend(facts)
            if is_last and not facts:
                return
            await asyncio.sleep(0)

    done = asyncio.Event()
    following = asyncio.create_task(follow(done))
    await asyncio.gather(*(write(number) for number in range(8)))
    await settled(database)
    done.set()
    await following
    await writers.close()

    async with database.session() as db:
        ids = await db.rows("SELECT id FROM events ORDER BY tx, id")
    assert [fact.id for fact in seen] == [row[0] for row in ids]
    assert len(seen) > 200
    assert [fact.place for fact in seen] == sorted({fact.place for fact in seen})


# -- pages --


async def test_pages_follow_each_other_to_the_end(database: Database) -> None:
    await told(database, *range(5))

    first = await page(database, limit=3)
    second = await page(database, first.place, limit=3)

    assert (whats(first.facts), first.is_end) == ([0, 1, 2], False)
    assert (whats(second.facts), second.is_end) == ([3, 4], True)


async def test_a_page_that_is_just_full_is_followed_by_an_empty_one(database: Database) -> None:
    await told(database, 1, 2)

    first = await page(database, limit=2)
    second = await page(database, first.place, limit=2)

    assert not first.is_end
    assert (second.facts, second.place, second.is_end) == ([], first.place, True)


async def test_a_page_of_some_names_moves_on_past_the_others(database: Database) -> None:
    await told(database, 1, 2, name="agent.created")
    await told(database, 3)
    await told(database, 4, name="agent.created")

    found = await page(database, names=["ticket.changed"])

    assert (whats(found.facts), found.is_end) == ([3], True)
    assert found.place == (await read(database))[-1].place


async def test_a_page_on_which_nothing_matches_still_moves_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "SCANNED_AT_MOST", 3)
    await told(database, 1, 2, 3, name="agent.created")
    await told(database, 4)

    first = await page(database, names=["ticket.changed"])
    second = await page(database, first.place, names=["ticket.changed"])

    assert (first.facts, first.is_end) == ([], False)
    assert (whats(second.facts), second.is_end) == ([4], True)


async def test_a_filtered_page_stops_at_its_last_match(database: Database) -> None:
    await told(database, 1, 2, 3)

    first = await page(database, names=["ticket.changed"], limit=2)
    second = await page(database, first.place, names=["ticket.changed"], limit=2)

    assert (whats(first.facts), first.is_end) == ([1, 2], False)
    assert (whats(second.facts), second.is_end) == ([3], True)


async def test_a_page_of_one_ticket_has_its_facts_alone(database: Database) -> None:
    mine, other = uuid7(), uuid7()
    await told(database, 1, about=mine)
    await told(database, 2, about=other)
    await told(database, 3, about=mine)

    found = await page(database, ticket_id=mine)
    created = await page(database, ticket_id=mine, names=["ticket.created"])

    assert (whats(found.facts), found.is_end) == ([1, 3], True)
    assert created.facts == []


async def test_a_page_of_large_facts_is_short_and_none_is_lost(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "PAGE_BYTES", 1000)
    large = ["".join(random.choices("abcdefghijklmnop", k=900)) for _ in range(4)]
    await told(database, *large)

    seen, place, is_end = [], START, False
    while not is_end:
        found = await page(database, place, limit=3)
        place, is_end = found.place, found.is_end
        assert len(found.facts) <= 1
        seen += whats(found.facts)
    assert seen == large


# -- cursors --

NEWEST = Position(3, 700, 12)


def test_a_cursor_reads_back_as_its_place() -> None:
    text = events.cursor(3, Place(650, 4))

    assert events.place_of(text, NEWEST) == Place(650, 4)
    assert events.place_of(events.cursor(3, NEWEST.place), NEWEST) == NEWEST.place


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "3.650",
        "3.650.4.1",
        "3.650.",
        "3.-650.4",
        "3.+650.4",
        "3. 650.4",
        "3.650.4\n",
        "3.६५०.4",
        "3.0x1.4",
        "3.650.9223372036854775808",
        "3.650." + "9" * 5000,
        "now",
    ],
)
def test_what_never_was_a_cursor_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        events.place_of(text, NEWEST)
    assert "after" in refusal.value.problems


@pytest.mark.parametrize("text", ["2.650.4", "4.650.4", "3.700.13", "3.701.0"])
def test_a_cursor_of_another_life_of_the_feed_says_start_over(text: str) -> None:
    with pytest.raises(Gone):
        events.place_of(text, NEWEST)


# -- the data moves to another cluster --


async def move(database: Database) -> None:
    """As if all was written by a cluster that had counted much further than this one."""
    async with database.transaction() as db:
        await db.run("UPDATE events SET tx = tx + 1000000000")


async def test_nothing_is_mended_where_nothing_moved(database: Database) -> None:
    async with database.transaction() as db:
        assert not await events.mend_after_move(db)
    await told(database, 1)
    async with database.transaction() as db:
        assert not await events.mend_after_move(db)
        assert (await events.end(db)).epoch == 1


async def test_after_a_move_old_facts_are_read_before_new_ones(database: Database) -> None:
    await told(database, "old 1", "old 2")
    await move(database)
    assert await read(database) == []  # not settled by this cluster's count

    async with database.transaction() as db:
        assert await events.mend_after_move(db)
    await told(database, "new")

    assert whats(await read(database)) == ["old 1", "old 2", "new"]
    assert whats((await page(database)).facts) == ["old 1", "old 2", "new"]
    async with database.transaction() as db:
        assert not await events.mend_after_move(db)


async def test_after_a_move_cursors_of_before_say_start_over(database: Database) -> None:
    await told(database, 1)
    async with database.session() as db:
        before = await events.end(db)
    await move(database)
    async with database.transaction() as db:
        await events.mend_after_move(db)

    async with database.session() as db:
        newest = await events.end(db)
    assert newest.epoch == before.epoch + 1
    with pytest.raises(Gone):
        events.place_of(events.cursor(before.epoch, before.place), newest)


async def test_of_processes_that_start_together_after_a_move_one_mends(database: Database) -> None:
    await told(database, 1)
    await move(database)

    ready = asyncio.Barrier(5)

    async def mend() -> bool:
        async with database.transaction() as db:
            await ready.wait()
            return await events.mend_after_move(db)

    assert sorted(await asyncio.gather(*(mend() for _ in range(5)))) == [False] * 4 + [True]
    async with database.session() as db:
        assert (await events.end(db)).epoch == 2


async def test_a_connection_of_before_the_move_writes_by_the_new_count(database: Database) -> None:
    """Statements that were prepared before are planned anew with the new offset."""
    await told(database, *range(8))
    await move(database)
    async with database.transaction() as db:
        await events.mend_after_move(db)

    await asyncio.gather(*(told(database, "new") for _ in range(8)))
    await settled(database)
    facts = await read(database)
    assert whats(facts) == [*range(8), *["new"] * 8]
