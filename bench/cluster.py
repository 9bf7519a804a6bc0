"""A PostgreSQL of the bench's own, with databases that our migrations made and COPY filled.

Everything lives in a temporary folder and ends with the `with` block.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from bench import data
from pullse.kit import migrate, postgres
from pullse.kit.db import open_database

Answer = TypeVar("Answer")
COPY_PATIENCE = 1800.0


@dataclass(frozen=True)
class Base:
    """One database on the cluster."""

    url: str

    def ask(self, use: Callable[[Any], Awaitable[Answer]], *, timeout: float = 120) -> Answer:
        """Run `use(connection)` on a connection of its own."""

        async def run() -> Answer:
            async with asyncio.timeout(timeout):
                connection = await asyncpg.connect(self.url)
                try:
                    return await use(connection)
                finally:
                    await connection.close(timeout=10)

        return asyncio.run(run())

    def rows(self, sql: str, *args: object) -> list[Any]:
        return self.ask(lambda connection: connection.fetch(sql, *args))

    def value(self, sql: str, *args: object) -> Any:
        return self.rows(sql, *args)[0][0]

    def run(self, *statements: str, timeout: float = 120) -> None:
        """Each on its own, outside of any transaction (VACUUM wants that)."""

        async def use(connection: Any) -> None:
            for statement in statements:
                await connection.execute(statement)

        self.ask(use, timeout=timeout)


@dataclass(frozen=True)
class Cluster:
    home: Path
    url: str

    def base(self, name: str) -> Base:
        return Base(urlunsplit(urlsplit(self.url)._replace(path=f"/{name}")))

    def filled(self, name: str, tickets: int) -> Base:
        """A new database: migrated, agents and tickets copied in, settled and analysed."""
        Base(self.url).run(f"CREATE DATABASE {name}")
        base = self.base(name)
        asyncio.run(migrated(base.url))
        base.ask(lambda connection: fill(connection, tickets), timeout=COPY_PATIENCE)
        settle(base)
        return base

    def copy(self, name: str, *, of: str) -> Base:
        """The same database once more, file by file."""
        Base(self.url).run(f"CREATE DATABASE {name} TEMPLATE {of}")
        return self.base(name)


@contextmanager
def cluster(options: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="pullse-bench-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        server = postgres.start(home, options=options or {})
        try:
            yield Cluster(home, server.url)
        finally:
            server.stop()


async def migrated(url: str) -> None:
    database = await open_database(url)
    try:
        await migrate.migrate(database)
    finally:
        await database.close()


async def fill(connection: Any, tickets: int) -> None:
    """COPY, with the facts untouched: these tickets were never changed."""
    await connection.copy_records_to_table(
        "agents", records=data.agents(), columns=("id", "name", "email")
    )
    await connection.copy_records_to_table(
        "tickets", records=data.tickets(tickets), columns=data.COLUMNS, timeout=COPY_PATIENCE
    )


def settle(base: Base) -> None:
    """What autovacuum would get round to: visibility map, statistics, the GIN pending list."""
    base.run("VACUUM (ANALYZE)", "CHECKPOINT", timeout=COPY_PATIENCE)
