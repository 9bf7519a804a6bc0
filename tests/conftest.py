"""
Real PostgreSQL for every test: one server a run, one migrated template, a clone a test.

A clone costs about 20 ms, so each test commits for real and no test sees another's rows.
"""

import asyncio
import contextlib
import itertools
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx
import pytest

from pullse import app
from pullse.kit import migrate
from pullse.kit.db import Database, open_database
from pullse.kit.edge import Edge, Guard
from pullse.kit.guard import LocalOwner
from pullse.kit.http import SocketServer
from pullse.kit.postgres import Postgres, start
from pullse.kit.tail import Tail

TEMPLATE = "template_pullse"
numbers = itertools.count()
running: list[tuple[Postgres, Path]] = []


def pytest_configure(config: pytest.Config) -> None:
    """The controller (or the only process) starts the server for all workers."""
    config.addinivalue_line("markers", "slow: left out of quick runs")
    if not hasattr(config, "workerinput"):
        config.stash[SERVER] = None


SERVER = pytest.StashKey[str | None]()


def pytest_configure_node(node: object) -> None:
    node.workerinput["server"] = server_of(node.config)  # type: ignore[attr-defined]


def pytest_unconfigure(config: pytest.Config) -> None:
    for postgres, home in running:
        postgres.stop()
        shutil.rmtree(home, ignore_errors=True)
    running.clear()


def server_of(config: pytest.Config) -> str:
    """The server's URL; started, with its template, when it is first asked for."""
    if hasattr(config, "workerinput"):
        return str(config.workerinput["server"])
    if config.stash[SERVER] is None:
        home = Path(tempfile.mkdtemp(prefix="pullse-tests-"))
        home.chmod(0o755)
        options = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        postgres = start(home / "home", options={**options, "max_connections": "300"})
        running.append((postgres, home))
        asyncio.run(make_template(postgres.url))
        config.stash[SERVER] = postgres.url
    return str(config.stash[SERVER])


async def make_template(url: str) -> None:
    await command(url, f"CREATE DATABASE {TEMPLATE}")
    database = await open_database(on(url, TEMPLATE), size=2)
    await migrate.migrate(database)
    await database.close()


async def command(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


def on(url: str, name: str) -> str:
    """The same server, another database."""
    return url.replace("/pullse?", f"/{name}?")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def server_url(pytestconfig: pytest.Config) -> str:
    return server_of(pytestconfig)


@pytest.fixture
async def database_url(server_url: str) -> AsyncIterator[str]:
    """A fresh, migrated, empty database."""
    name = f"clone_{os.getpid()}_{next(numbers)}"
    await command(server_url, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    yield on(server_url, name)
    await command(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = await open_database(database_url, size=8)
    yield database
    await database.close()


@pytest.fixture
async def tail(database: Database) -> AsyncIterator[Tail]:
    """The end of the feed, running."""
    tail = Tail(database)
    task = asyncio.create_task(tail.run())
    yield tail
    tail.close()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.fixture
def guard() -> Guard:
    """Override it to ask as somebody else."""
    return LocalOwner()


@pytest.fixture
def edge(database: Database, tail: Tail, guard: Guard) -> Edge:
    """The whole application."""
    return app.build(database, tail, guard)


@pytest.fixture
async def client(edge: Edge) -> AsyncIterator[httpx.AsyncClient]:
    """Talks to the application in this process. Streams need `live`."""
    transport = httpx.ASGITransport(edge, raise_app_exceptions=True)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@pytest.fixture
async def live(edge: Edge) -> AsyncIterator[httpx.AsyncClient]:
    """Talks to the application through a real server on a free port."""
    async with serving(edge) as url, httpx.AsyncClient(base_url=url) as client:
        yield client


@asynccontextmanager
async def serving(edge: Edge) -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        bound.setblocking(False)
        server = SocketServer(edge, bound)
        task = asyncio.create_task(server.serve())
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        edge.services.tail.close()
        server.stop()
        await asyncio.wait_for(task, 10)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that PostgreSQL's user can reach; pytest's own is closed when root runs it."""
    folder = Path(tempfile.mkdtemp(prefix="pullse-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
