"""
Real PostgreSQL for every test: a server, a migrated template and a clone for each worker.

Each test commits for real; between tests the clone is emptied, which costs 5 ms where a new
clone costs 100. A test that changed the schema, or filled it, leaves a new clone behind.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from pullse import app
from pullse.gateway import log
from pullse.gateway.keys import DEV_KEY
from pullse.gateway.opening import Realtime
from pullse.kit import background, migrate
from pullse.kit.db import Database, open_database
from pullse.kit.edge import Edge, Guard
from pullse.kit.guard import LocalOwner
from pullse.kit.http import SocketServer
from pullse.kit.postgres import start
from pullse.kit.secret import Secret
from pullse.kit.tail import Tail
from pullse.settings import Settings
from tests import sockets

TEMPLATE = "template_pullse"
SLOW = (
    "tests/access/test_passkeys_chromium.py",
    "tests/operations/test_backup.py",
    "tests/operations/test_doctor.py",
    "tests/operations/test_external.py",
    "tests/operations/test_nginx.py",
    "tests/kit/test_postgres.py",
    "tests/test_serving.py",
    "tests/gateway/test_bounds.py",
    "tests/gateway/test_processes.py",
    "tests/access/test_oidc_provider.py",
    "tests/clients/test_ably_",
    "tests/clients/test_chromium.py",
    "tests/clients/test_event_source.py",
    "tests/clients/test_silence.py",
    "tests/desk/test_drafts.py",
    "tests/desk/test_live.py",
    "tests/desk/test_presence.py",
    "tests/desk/test_sending.py",
    "tests/desk/test_session_again.py",
    "tests/desk/test_side_live.py",
    "tests/desk/test_keys.py",
    "tests/desk/test_day.py",
    "tests/desk/test_ticket_chromium.py",
    "tests/desk/test_list_chromium.py",
    "tests/web/test_admin_chromium.py",
    "tests/web/test_chromium.py",
    "tests/desk/test_attacks_chromium.py",
    "tests/web/test_axe.py",
    "tests/web/test_weight.py",
)
"""
Databases of every kind, backups between them, kill -9, floods, browsers, Ably's clients through
many cuts, a provider that Node runs.
"""

FIRST = "tests/clients/test_silence.py"
"""Two minutes of waiting: other workers go on meanwhile."""

SECRET = "the secret of an installation for tests"

numbers = itertools.count()

sockets.watch()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="the slow ones too, as CI does")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without paths and without --all, leave out what is slow."""
    items.sort(key=lambda item: not item.nodeid.startswith(FIRST))
    if config.getoption("--all") or config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    slow = [item for item in items if item.nodeid.startswith(SLOW)]
    items[:] = [item for item in items if item not in set(slow)]
    config.hook.pytest_deselected(items=slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """After the last fixture, when the test's own loop is closed."""
    yield
    sockets.check()


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """
    This worker's own server, with the migrated template.

    Not one for all workers: the feed waits for older transactions of the whole server, so
    another worker's would hold back facts that a test expects to read.
    """
    folder = Path(tempfile.mkdtemp(prefix="pullse-tests-"))
    folder.chmod(0o755)
    options = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    try:
        with start(folder / "home", options={**options, "autovacuum": "off"}) as postgres:
            asyncio.run(make_template(postgres.url))
            yield postgres.url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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


@dataclass
class Clone:
    """This worker's database; `url` is None when the next test needs a new one."""

    server: str
    url: str | None = None
    state: Any = None

    async def take(self) -> str:
        if self.url is None:
            name = f"clone_{os.getpid()}_{next(numbers)}"
            await command(self.server, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
            self.url = on(self.server, name)
            self.state = await self._empty(self.url)
        return self.url

    async def give_back(self) -> None:
        url, self.url = self.url, None
        if url is None:
            return
        with contextlib.suppress(asyncpg.PostgresError, OSError):
            if await self._empty(url) == self.state:
                self.url = url
                return
        name = url.rpartition("?")[0].rpartition("/")[2]
        await command(self.server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    async def _empty(self, url: str) -> Any:
        """What the schema looked like, and whether tables had grown, before they were emptied."""
        connection = await asyncpg.connect(url, timeout=5, command_timeout=5)
        try:
            await connection.execute(
                """
                SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()
                """
            )
            state = await connection.fetchrow(
                """
                SELECT (SELECT array_agg((oid, relname, xmin)::text ORDER BY oid)
                          FROM pg_class
                         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')
                               AND relname <> 'migrations'),
                       (SELECT array_agg((proname, prosrc)::text ORDER BY proname) FROM pg_proc
                         WHERE pronamespace = 'public'::regnamespace),
                       (SELECT array_agg(name || checksum ORDER BY name) FROM migrations),
                       pg_relation_size('tickets') + pg_relation_size('events') > 4000000
                """
            )
            await connection.execute(EMPTY)
            return tuple(state)
        finally:
            await connection.close()


TABLES = (
    "events",
    "readers",
    "ticket_counts",
    "ticket_marks",
    "ticket_rollups",
    "jobs",
    "schedules",
    "idempotency_keys",
    "request_rates",
    "tickets",
    "preferences",
    "team_members",
    "teams",
    "api_tokens",
    "passwords",
    "totp",
    "recovery_codes",
    "links",
    "passkeys",
    "passkey_challenges",
    "policies",
    "sessions",
    "sign_in_failures",
    "identities",
    "oidc_attempts",
    "audit",
    "agents",
    "realtime_keys",
    "realtime_secret",
    "realtime_nonces",
    "realtime_revocations",
    "channel_messages",
    "channel_members",
    "channel_occupancy",
    "gateway_connections",
    "gateway_processes",
)
EMPTY = (
    "".join(f"DELETE FROM {table};" for table in TABLES)
    + """
    UPDATE channel_horizon SET tx = 0, id = 0;
    SELECT setval(format('%I', sequencename), 1, false) FROM pg_sequences
     WHERE schemaname = 'public';
"""
)


@pytest.fixture(scope="session")
def clone(server_url: str) -> Clone:
    return Clone(server_url)


@pytest.fixture
async def database_url(clone: Clone) -> AsyncIterator[str]:
    """A migrated, empty database."""
    yield await clone.take()
    await clone.give_back()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = await open_database(database_url, size=8)
    yield database
    await database.close()


@pytest.fixture
async def tail(database: Database) -> AsyncIterator[Tail]:
    """The end of the feed, running."""
    tail = Tail(database, log)
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
async def realtime(database: Database, tail: Tail) -> AsyncIterator[Realtime]:
    """The built-in gateway, running."""
    realtime = await app.open_realtime(database, tail, Settings(secret=SECRET), DEV_KEY)
    async with background.running(realtime.works):
        yield realtime
        realtime.close()


@pytest.fixture
def edge(database: Database, tail: Tail, guard: Guard, realtime: Realtime) -> Edge:
    """The whole application."""
    return app.build(database, tail, guard, realtime=realtime, secret=Secret(SECRET))


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
