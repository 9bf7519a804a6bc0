"""Whose a token is: good for a second, known anew after it, and cheap in between."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pullse.access import finder as module
from pullse.access import token_queries as queries
from pullse.access import tokens
from pullse.access.finder import Finder
from pullse.access.model import NewToken
from pullse.access.secrets import new_token
from pullse.agents.permissions import ROLES
from pullse.errors import Unavailable
from pullse.kit.db import Database
from pullse.kit.edge import Visitor
from tests.access.people import OWNER, give, hire, made, run


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each statement asked for."""
    sizes = []
    find_many = queries.find_many

    async def counting(db: Any, hashes: Any) -> Any:
        sizes.append(len(set(hashes)))
        return await find_many(db, hashes)

    monkeypatch.setattr(queries, "find_many", counting)
    return sizes


async def test_an_agents_token_acts_as_the_agent_and_a_services_as_itself(
    database: Database, finder: Finder
) -> None:
    ada = await hire(database, "Ada")
    own = await finder(await give(database, ada))
    assert own is not None
    assert own == Visitor(f"agent:{ada}", ROLES["agent"], token=own.token)
    scoped = await finder(await give(database, ada, scopes=["tickets:read"]))
    assert scoped is not None
    assert scoped == Visitor(f"agent:{ada}", frozenset({"tickets:read"}), token=scoped.token)
    assert None not in (own.token, scoped.token)
    assert own.token != scoped.token
    visitor = await finder(await give(database, role="read_only"))
    assert visitor is not None
    assert visitor.id == f"token:{visitor.token}"
    assert visitor.rights == ROLES["read_only"]


async def test_what_is_malformed_is_refused_without_the_database(
    finder: Finder, asked: list[int]
) -> None:
    for token in ("", "x", "pullse_", "Ü" * 56, new_token()[:-1] + "-", "pullse_" + "0" * 49):
        assert await finder(token) is None
    assert asked == []


async def test_what_is_unknown_is_refused(finder: Finder, database: Database) -> None:
    assert await finder(new_token()) is None


async def test_it_is_asked_once_a_second(database: Database, asked: list[int]) -> None:
    clock = Clock()
    finder, token = Finder(database, clock=clock), await give(database, role="agent")
    await asyncio.gather(*(finder(token) for _ in range(50)))
    assert await finder(token)
    assert asked == [1]
    clock.now += 0.99
    assert await finder(token)
    assert asked == [1]
    clock.now += 0.02
    assert await finder(token)
    assert asked == [1, 1]


async def test_many_are_asked_for_at_once(database: Database, asked: list[int]) -> None:
    finder = Finder(database)
    given = [await give(database, role="agent") for _ in range(40)]
    found = await asyncio.gather(*(finder(token) for token in given))
    assert all(found)
    assert asked == [40]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE api_tokens SET revoked_at = now()",
        "UPDATE api_tokens SET expires_at = now()",
        "UPDATE agents SET state = 'disabled'",
        "UPDATE agents SET deleted_at = now()",
    ],
)
async def test_what_another_process_took_away_ends_within_a_second(
    database: Database, sql: str
) -> None:
    finder, token = Finder(database), await give(database, await hire(database, "Ada"))
    assert await finder(token)
    await run(database, sql)
    await asyncio.sleep(1.01)
    assert await finder(token) is None


async def test_a_changed_role_is_another_within_a_second_and_at_once_here(
    database: Database,
) -> None:
    here, there = Finder(database), Finder(database)
    ada = await hire(database, "Ada", "admin")
    token = await give(database, ada)
    async with database.session() as db:
        id_ = await db.value("SELECT id FROM api_tokens")
    admin = Visitor(f"agent:{ada}", ROLES["admin"], teams=None, token=id_)
    reader = Visitor(f"agent:{ada}", ROLES["read_only"], token=id_)
    for finder in (here, there):
        assert await finder(token) == admin
    await run(database, "UPDATE agents SET role = 'read_only'")
    here.forget()
    assert await here(token) == reader
    await asyncio.sleep(1.01)
    assert await there(token) == reader


async def test_what_is_asked_for_while_it_is_forgotten_is_not_remembered(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer from before the change comes after it."""
    finder, token = Finder(database), await give(database, role="agent")
    find_many, read, go = queries.find_many, asyncio.Event(), asyncio.Event()

    async def slow(db: Any, hashes: Any) -> Any:
        found = await find_many(db, hashes)
        read.set()
        await go.wait()
        return found

    monkeypatch.setattr(queries, "find_many", slow)
    early = asyncio.create_task(finder(token))
    await read.wait()
    monkeypatch.setattr(queries, "find_many", find_many)
    await run(database, "UPDATE api_tokens SET revoked_at = now()")
    finder.forget()
    assert await finder(token) is None
    go.set()
    await early
    assert await finder(token) is None


async def test_it_ends_on_time_also_when_it_was_just_read(database: Database) -> None:
    until = datetime.now(UTC) + timedelta(seconds=0.5)
    new = NewToken("x", role="agent", expires_at=until)  # type: ignore[arg-type]
    finder, token = Finder(database), (await made(database, new)).token
    assert await finder(token)
    await asyncio.sleep(0.55)
    assert await finder(token) is None


async def test_what_is_remembered_is_bounded(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KNOWN_AT_MOST", 3)
    monkeypatch.setattr(module, "UNKNOWN_AT_MOST", 3)
    finder = Finder(database)
    for _ in range(5):
        assert await finder(await give(database, role="agent"))
        assert await finder(new_token()) is None
    assert len(finder._known) == 3
    assert len(finder._unknown) == 3
    assert finder._asking == {}


async def test_one_who_goes_away_takes_the_answer_from_nobody(database: Database) -> None:
    finder, token = Finder(database), await give(database, role="agent")
    first, second = (asyncio.create_task(finder(token)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second
    assert finder._asking == {}


async def test_a_database_that_is_away_says_so_and_nothing_is_remembered(
    database: Database,
) -> None:
    finder, token = Finder(database), await give(database, role="agent")
    await database.close()
    for _ in range(2):
        with pytest.raises(Unavailable):
            await finder(token)
    assert (finder._known, finder._unknown, finder._asking) == ({}, {}, {})


# -- the last use --


async def last_uses(database: Database) -> list[datetime | None]:
    async with database.session() as db:
        return [row[0] for row in await db.rows("SELECT last_used_at FROM api_tokens ORDER BY id")]


async def test_the_last_use_is_noted_once_a_minute_and_together(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GATHERED", 0.05)
    notes = []
    touch = queries.touch

    async def counting(db: Any, ids: Any) -> int:
        notes.append(len(ids))
        return await touch(db, ids)

    monkeypatch.setattr(queries, "touch", counting)
    clock = Clock()
    finder = Finder(database, clock=clock)
    one, two = await give(database, role="agent"), await give(database, role="agent")
    assert await last_uses(database) == [None, None]
    for _ in range(20):
        assert await finder(one)
        assert await finder(two)
    await asyncio.sleep(0.3)
    assert notes == [2]
    first = await last_uses(database)
    assert None not in first

    clock.now += 59  # a new look-up, no new note
    assert await finder(one)
    await asyncio.sleep(0.2)
    assert notes == [2]

    await run(database, "UPDATE api_tokens SET last_used_at = last_used_at - interval '2 minutes'")
    clock.now += 2
    assert await finder(one)
    await asyncio.sleep(0.3)
    assert notes == [2, 1]
    newest = await last_uses(database)
    assert newest[0] is not None
    assert first[0] is not None
    assert newest[0] > first[0]
    assert newest[1] == first[1] - timedelta(minutes=2)  # type: ignore[operator]


async def test_processes_note_it_once_between_them(database: Database) -> None:
    await give(database, role="agent")
    async with database.session() as db:
        ids = [row[0] for row in await db.rows("SELECT id FROM api_tokens")]
        assert await queries.touch(db, ids) == 1
        assert await queries.touch(db, ids) == 0


async def test_a_note_waits_for_nobody_who_changes_the_token(database: Database) -> None:
    one = await made(database, NewToken("x", role="agent"))  # type: ignore[arg-type]
    async with database.session() as db:
        id_ = await db.value("SELECT id FROM api_tokens")
    assert one.token
    async with database.transaction() as first:
        await tokens.revoke(first, id_, by=OWNER.actor)
        async with database.session() as second, asyncio.timeout(2):
            assert await queries.touch(second, [id_]) == 0
