"""
The schema: what holds for every table, and how migrations bring it about.

`migrate` is run on databases made here, with folders of files made here.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pullse.kit import migrate
from pullse.kit.db import Database, open_database
from pullse.kit.migrate import Broken
from tests.conftest import command, numbers, on

SENTENCE = re.compile(r"[a-z]+(_[a-z]+)+")
MADE_UP = re.compile(r"_(check|key|fkey|not_null|excl|idx)\d*$")
TABLES = "relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"


async def test_every_table_is_closed_to_all_but_its_owner(database: Database) -> None:
    """Supabase's public API shows tables without row level security to the world."""
    async with database.session() as db:
        rows = await db.rows(
            f"SELECT relname, relrowsecurity,"
            f"       (SELECT count(*) FROM pg_policy WHERE polrelid = pg_class.oid)"
            f"  FROM pg_class WHERE {TABLES}"
        )
    assert {"agents", "tickets", "events", "jobs", "idempotency_keys"} <= {row[0] for row in rows}
    assert [row[0] for row in rows if not row[1] or row[2]] == []


async def test_every_table_has_a_primary_key(database: Database) -> None:
    async with database.session() as db:
        rows = await db.rows(
            f"SELECT relname FROM pg_class WHERE {TABLES} AND NOT EXISTS"
            f" (SELECT FROM pg_constraint WHERE conrelid = pg_class.oid AND contype = 'p')"
        )
    assert [row[0] for row in rows] == []


async def test_every_constraint_is_named_as_a_sentence(database: Database) -> None:
    """`NOT NULL` has no name of ours; a primary key may say `_pkey`."""
    async with database.session() as db:
        rows = await db.rows(
            f"SELECT relname, conname FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid"
            f" WHERE {TABLES} AND contype <> 'n'"
        )
    assert len(rows) > 15
    for table, name in rows:
        assert name.startswith(f"{table}_"), name
        assert SENTENCE.fullmatch(name), name
        assert not MADE_UP.search(name), name


async def test_every_index_is_named_after_its_table(database: Database) -> None:
    async with database.session() as db:
        rows = await db.rows(
            "SELECT tablename, indexname FROM pg_indexes WHERE schemaname = 'public'"
        )
    for table, name in rows:
        assert name.startswith(f"{table}_"), name
        assert not MADE_UP.search(name), name


async def test_every_reference_has_an_index(database: Database) -> None:
    """Else deleting what is referred to reads the whole table that refers."""
    async with database.session() as db:
        rows = await db.rows(
            """
            SELECT conname
              FROM pg_constraint
             WHERE contype = 'f'
               AND NOT EXISTS
                   (SELECT FROM pg_index
                     WHERE indrelid = conrelid
                       AND (indkey::smallint[])[0:cardinality(conkey) - 1] @> conkey)
            """
        )
        count = await db.value("SELECT count(*) FROM pg_constraint WHERE contype = 'f'")
    assert count >= 1
    assert [row[0] for row in rows] == []


async def test_moments_have_their_zone_and_text_has_no_length(database: Database) -> None:
    async with database.session() as db:
        rows = await db.rows(
            """
            SELECT table_name, column_name, data_type
              FROM information_schema.columns
             WHERE table_schema = 'public'
            """
        )
    odd = {
        "timestamp without time zone",
        "time without time zone",
        "character varying",
        "character",
        "json",
        "money",
        "USER-DEFINED",
    }
    assert [tuple(row) for row in rows if row[2] in odd] == []
    moments = [row for row in rows if row[1] == "at" or row[1].endswith(("_at", "_until"))]
    assert {row[2] for row in moments} == {"timestamp with time zone"}


async def test_there_are_no_types_of_our_own(database: Database) -> None:
    async with database.session() as db:
        count = await db.value(
            "SELECT count(*) FROM pg_type WHERE typtype IN ('e', 'd')"
            " AND typnamespace = 'public'::regnamespace"
        )
    assert count == 0


@pytest.fixture
async def empty(server_url: str) -> AsyncIterator[Database]:
    """A database in which nothing has run."""
    name = f"empty_{os.getpid()}_{next(numbers)}"
    await command(server_url, f"CREATE DATABASE {name}")
    database = await open_database(on(server_url, name), size=4)
    yield database
    await database.close()
    await command(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two migrations."""
    write(tmp_path, "0001_things", "CREATE TABLE things (id bigint PRIMARY KEY);")
    write(tmp_path, "0002_names", "ALTER TABLE things ADD COLUMN name text;")
    return tmp_path


def write(folder: Path, name: str, sql: str) -> None:
    (folder / f"{name}.sql").write_text(sql)


async def has(database: Database, table: str) -> bool:
    async with database.session() as db:
        return bool(await db.value("SELECT to_regclass($1) IS NOT NULL", table))


async def ran(database: Database) -> list[str]:
    async with database.session() as db:
        return [row[0] for row in await db.rows("SELECT name FROM migrations ORDER BY at, name")]


async def test_our_own_run_on_an_empty_database_and_a_second_time_do_nothing(
    empty: Database,
) -> None:
    names = [migration.name for migration in migrate.available()]
    assert names == sorted(names)
    assert len(names) >= 3

    assert await migrate.migrate(empty) == names
    assert await migrate.migrate(empty) == []

    assert await ran(empty) == names
    async with empty.session() as db:
        assert await migrate.pending(db) == []


async def test_only_what_is_new_runs(empty: Database, folder: Path) -> None:
    assert await migrate.migrate(empty, folder) == ["0001_things", "0002_names"]
    write(folder, "0003_more", "CREATE TABLE more (id bigint PRIMARY KEY);")
    async with empty.session() as db:
        assert [each.name for each in await migrate.pending(db, folder)] == ["0003_more"]

    assert await migrate.migrate(empty, folder) == ["0003_more"]
    assert await has(empty, "more")


async def test_a_file_that_was_changed_after_it_ran_is_refused(
    empty: Database, folder: Path
) -> None:
    await migrate.migrate(empty, folder)
    write(folder, "0001_things", "CREATE TABLE things (id uuid PRIMARY KEY);")
    write(folder, "0003_more", "CREATE TABLE more (id bigint PRIMARY KEY);")

    with pytest.raises(Broken, match="0001_things was changed after it ran"):
        await migrate.migrate(empty, folder)

    assert not await has(empty, "more")


async def test_a_newer_database_is_refused(empty: Database, folder: Path) -> None:
    await migrate.migrate(empty, folder)
    (folder / "0002_names.sql").unlink()

    with pytest.raises(Broken, match=r"newer pullse \(it has 0002_names\)"):
        await migrate.migrate(empty, folder)


async def test_what_fails_leaves_nothing_behind(empty: Database, folder: Path) -> None:
    write(folder, "0003_more", "CREATE TABLE more (id bigint PRIMARY KEY); SELECT 1 / 0;")
    write(folder, "0004_last", "CREATE TABLE last (id bigint PRIMARY KEY);")

    with pytest.raises(Exception, match="division by zero"):
        await migrate.migrate(empty, folder)

    assert await ran(empty) == ["0001_things", "0002_names"]
    assert not await has(empty, "more")
    assert not await has(empty, "last")
    write(folder, "0003_more", "CREATE TABLE more (id bigint PRIMARY KEY);")
    assert await migrate.migrate(empty, folder) == ["0003_more", "0004_last"]


async def test_a_file_may_run_outside_of_a_transaction(empty: Database, folder: Path) -> None:
    index = "CREATE INDEX CONCURRENTLY things_by_name ON things (name);"
    write(folder, "0003_index", f"-- no-transaction\n{index}")

    assert (await migrate.migrate(empty, folder))[-1] == "0003_index"

    assert await has(empty, "things_by_name")
    assert (await ran(empty))[-1] == "0003_index"
    assert await migrate.migrate(empty, folder) == []


async def test_one_that_fails_outside_of_a_transaction_is_tried_again(
    empty: Database, folder: Path
) -> None:
    write(folder, "0003_index", "-- no-transaction\nCREATE INDEX CONCURRENTLY x ON nothing (a);")
    with pytest.raises(Exception, match="nothing"):
        await migrate.migrate(empty, folder)
    assert await ran(empty) == ["0001_things", "0002_names"]

    index = "CREATE INDEX CONCURRENTLY things_by_name ON things (name);"
    write(folder, "0003_index", f"-- no-transaction\n{index}")

    assert await migrate.migrate(empty, folder) == ["0003_index"]


@pytest.mark.parametrize("first_line", ["", "-- no-transaction\n"])
async def test_several_at_once_wait_for_each_other(
    empty: Database, folder: Path, first_line: str
) -> None:
    """Each has a connection of its own, as processes have; only one runs each file."""
    index = "CREATE INDEX CONCURRENTLY things_by_name ON things (name);"
    slow = "SELECT pg_sleep(0.2); CREATE TABLE slow (id bigint PRIMARY KEY);"
    write(folder, "0003_slow", first_line + (index if first_line else slow))

    done = await asyncio.wait_for(
        asyncio.gather(*(migrate.migrate(empty, folder) for _ in range(4))), 20
    )

    names = ["0001_things", "0002_names", "0003_slow"]
    assert sorted(done) == [[], [], [], names]
    assert await ran(empty) == names


async def test_who_waits_too_long_gives_up_and_says_why(
    empty: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "PATIENCE", 0.2)
    async with empty.session() as other:
        await other.value("SELECT pg_advisory_lock($1)", migrate.LOCK)

        with pytest.raises(Broken, match="Another process has been migrating"):
            await migrate.migrate(empty, folder)

        await other.value("SELECT pg_advisory_unlock($1)", migrate.LOCK)
    assert len(await migrate.migrate(empty, folder)) == 2


def test_our_files_are_numbered_without_a_gap_and_give_up_on_locks_soon() -> None:
    files = migrate.available()
    assert [int(each.name[:4]) for each in files] == list(range(1, len(files) + 1))
    for each in files:
        if each.is_transactional:
            assert "SET LOCAL lock_timeout" in each.sql, each.name
