"""
Plain-SQL migrations: forward only, one file one transaction, in the order of their names.

A file whose first line is `-- no-transaction` runs outside one (CREATE INDEX
CONCURRENTLY). Checksums refuse a file that was changed after it ran. Processes that start
together wait for each other by polling an advisory lock: a blocking wait would hold a
snapshot, which CREATE INDEX CONCURRENTLY waits for in turn.
"""

import asyncio
import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

from pullse.kit.db import Database, Db, Struct

FOLDER = Path(__file__).parents[1] / "migrations"
LOCK = 0x70756C6C7365  # "pullse"
PATIENCE = 60.0


class Broken(Exception):
    """The database and the migrations do not fit; the message says how."""


@dataclass(frozen=True, slots=True)
class Migration:
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def is_transactional(self) -> bool:
        return not self.sql.startswith("-- no-transaction")


class Applied(Struct, frozen=True):
    name: str
    checksum: str


def available(folder: Path = FOLDER) -> list[Migration]:
    return [Migration(file.stem, file.read_text()) for file in sorted(folder.glob("*.sql"))]


async def pending(db: Db, folder: Path = FOLDER) -> list[Migration]:
    """Those still to run. Raises `Broken` when a file that ran has changed since, or is gone."""
    done = await applied(db)
    files = available(folder)
    for file in files:
        if file.name in done and done[file.name] != file.checksum:
            raise Broken(f"Migration {file.name} was changed after it ran; restore the file.")
    unknown = done.keys() - {file.name for file in files}
    if unknown:
        raise Broken(
            f"The database was made by a newer pullse (it has {', '.join(sorted(unknown))}); "
            "upgrade this installation."
        )
    return [file for file in files if file.name not in done]


async def migrate(database: Database, folder: Path = FOLDER) -> list[str]:
    """Run what is pending and say what ran."""
    async with database.own_session() as (db, _):
        await lock(db)
        await db.script(
            """
            CREATE TABLE IF NOT EXISTS migrations (
                name     text        NOT NULL CONSTRAINT migrations_run_once PRIMARY KEY,
                checksum text        NOT NULL,
                at       timestamptz NOT NULL DEFAULT now()
            );
            ALTER TABLE migrations ENABLE ROW LEVEL SECURITY;
            """
        )
        todo = await pending(db, folder)
        for migration in todo:
            await apply(db, migration)
        return [migration.name for migration in todo]


async def apply(db: Db, migration: Migration) -> None:
    await db.script("SET statement_timeout = 0")
    try:
        if migration.is_transactional:
            await db.script("BEGIN")
        await db.script(migration.sql)
        await db.run(
            "INSERT INTO migrations (name, checksum) VALUES ($1, $2)",
            migration.name,
            migration.checksum,
        )
        if migration.is_transactional:
            await db.script("COMMIT")
    except BaseException:
        if migration.is_transactional:
            await db.script("ROLLBACK")
        raise


async def applied(db: Db) -> dict[str, str]:
    if await db.value("SELECT to_regclass('migrations') IS NULL"):
        return {}
    rows = await db.all(Applied, "SELECT name, checksum FROM migrations ORDER BY name")
    return {row.name: row.checksum for row in rows}


async def lock(db: Db) -> None:
    """Held until the session ends."""
    give_up = time.monotonic() + PATIENCE
    while not await db.value("SELECT pg_try_advisory_lock($1)", LOCK):
        if time.monotonic() > give_up:
            raise Broken("Another process has been migrating for a minute; see what it is doing.")
        await asyncio.sleep(0.1)
