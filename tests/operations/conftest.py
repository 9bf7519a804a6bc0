"""A PostgreSQL 15 on TCP for each worker, and a pooler before it."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from pullse import app
from pullse.cli import _prepare
from pullse.kit.db import open_database
from pullse.kit.guard import LocalOwner
from pullse.kit.tail import Tail
from pullse.operations import backup
from pullse.settings import Settings
from pullse.store import Store
from tests.operations.servers import DEBIAN, PGBOUNCER, Pooler, Server, needed, open_folder

numbers = itertools.count()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    needed(DEBIAN / "postgres", "postgresql")
    with open_folder() as folder, Server(folder) as running:
        yield running


@pytest.fixture(scope="session")
def pooler(server: Server) -> Iterator[Pooler]:
    needed(PGBOUNCER, "pgbouncer")
    with Pooler(server.folder, server) as running:
        yield running


@pytest.fixture
def name(server: Server) -> Iterator[str]:
    """A new database of the role `plain`."""
    made = server.create(f"d{next(numbers)}")
    yield made
    server.sql(f"DROP DATABASE {made} WITH (FORCE)")


class Kept:
    """A pullse's database, as the commands are handed it, and its API."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.settings = Settings(database_url=url)
        self.store = Store(url, "the database of a test")

    async def prepare(self) -> list[str]:
        return await _prepare(self.store, self.settings, with_demo=False)

    async def backup(self, file: Path) -> None:
        await asyncio.to_thread(backup.dump, self.store, self.settings, file)

    async def restore(self, file: Path, *, force: bool = False) -> None:
        """As `pullse restore` does."""
        await asyncio.to_thread(backup.restore, self.store, self.settings, file, force=force)
        await self.prepare()

    @asynccontextmanager
    async def asked(self) -> AsyncIterator[httpx.AsyncClient]:
        database = await open_database(self.url, size=4)
        try:
            edge = app.build(database, Tail(database), LocalOwner())
            transport = httpx.ASGITransport(edge)  # type: ignore[arg-type]
            async with httpx.AsyncClient(
                transport=transport, base_url="http://localhost"
            ) as client:
                yield client
        finally:
            await database.close()

    async def value(self, sql: str, *args: object) -> object:
        database = await open_database(self.url, size=1)
        try:
            async with database.session() as db:
                return await db.value(sql, *args)
        finally:
            await database.close()
