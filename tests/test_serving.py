"""The serving process from outside: how it starts, what it refuses, and how it ends."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from pullse import app
from pullse.kit.postgres.running import running as running_url
from tests.cli.program import AUTHORIZED, TOKEN, Program, holder, run, running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")

TICKET = {"title": "Help", "description": "It broke."}
SSE = {"accept": "text/event-stream"}


@pytest.fixture(scope="session")
def made_home() -> Iterator[Path]:
    """A data folder with a migrated database, made once."""
    folder = Path(tempfile.mkdtemp(prefix="pullse-test-"))
    folder.chmod(0o755)
    done = run("migrate", "--data-dir", folder / "home")
    assert done.returncode == 0, done.stderr
    yield folder / "home"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def home(made_home: Path, open_folder: Path) -> Path:
    """A copy of it."""
    subprocess.run(["cp", "-a", made_home, open_folder / "home"], check=True)  # with its owners
    return open_folder / "home"


async def to_its_end(*words: str | Path, **more: Any) -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(run, *words, **more)


async def create(client: httpx.AsyncClient, **more: str) -> dict[str, Any]:
    answer = await client.post("/api/tickets", json=TICKET | more)
    assert answer.status_code == 201, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def client_of(url: str, **more: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, timeout=15, **more)


# -- starting --


def check_start_line(said: str, url: str, database: str) -> None:
    first, second, third, *rest = said.splitlines()[:5]
    assert re.fullmatch(rf"pullse \S+ serves on {url}", first)
    assert second.startswith("  database   ")
    assert database in second
    assert third == "  real time  the built-in gateway, for Ably's clients (docs/realtime.md)"
    assert f"  API        {url}/api/openapi.json" in rest


async def test_settings_come_from_the_file_and_the_environment_wins(
    database_url: str, open_folder: Path
) -> None:
    file = open_folder / ".env"
    file.write_text(f"DATABASE_URL={database_url}\nPORT=1\nABLY_API_KEY=a.b:c\n")
    with running("dev", folder=open_folder, PORT="0", PULLSE_ABLY_HOST="127.0.0.1") as pullse:
        await pullse.url()
        assert database_url.partition("?")[0].rpartition("/")[2] in pullse.said
        assert "real time  Ably" in pullse.said
        assert "a.b:c" not in pullse.said
        assert (await pullse.end())[0] == 0


async def test_a_port_in_use_is_refused(database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = await to_its_end("dev", "--port", str(port), DATABASE_URL=database_url)
    assert done.returncode == 1
    assert f"Port {port} on 127.0.0.1 can't be used: Address already in use." in done.stderr
    assert "Traceback" not in done.stderr


# -- ending --


async def test_a_stop_finishes_requests_and_streams(home: Path) -> None:
    """The request waits for a row that the test holds; the database outlives it."""
    with running("dev", "--port", "0", "--data-dir", home) as pullse:
        url = await pullse.url()
        check_start_line(pullse.said, url, f"{home} (as asked)")
        async with client_of(url) as client:
            ticket = await create(client)
            database = running_url(home)
            assert database
            path = f"/api/tickets/{ticket['id']}"
            async with held(database) as let_go:
                changing = asyncio.create_task(client.patch(path, json={"status": "resolved"}))
                async with client.stream("GET", "/api/events", headers=SSE) as stream:
                    await until_waiting(database)
                    pullse.look()
                    pullse.process.terminate()
                    async for _ in stream.aiter_lines():
                        pass
                await asyncio.sleep(0.5)
                assert not changing.done()
                assert pullse.process.poll() is None
                await let_go()
                answer = await changing
            assert answer.status_code == 200
            assert answer.json()["data"]["status"] == "resolved"
        assert await pullse.ended(5) == 0
        await pullse.all_gone(0.5)
        assert "Traceback" not in pullse.said


async def test_under_load_a_stop_leaves_no_write_unanswered(database_url: str) -> None:
    with running("dev", "--port", "0", DATABASE_URL=database_url) as pullse:
        url = await pullse.url()
        acknowledged: list[str] = []

        async def write() -> None:
            async with client_of(url) as client:
                with contextlib.suppress(httpx.TransportError):
                    while True:
                        acknowledged.append((await create(client))["id"])

        writing = [asyncio.create_task(write()) for _ in range(8)]
        while len(acknowledged) < 100:
            await asyncio.sleep(0.01)
        os.killpg(pullse.process.pid, signal.SIGINT)  # as a terminal does
        code = await pullse.ended()
        await asyncio.gather(*writing)

    connection = await asyncpg.connect(database_url)
    kept = {str(row[0]) for row in await connection.fetch("SELECT id FROM tickets")}
    await connection.close()
    assert code == 0
    assert kept == set(acknowledged)


async def test_kill_9_leaves_nothing_and_loses_nothing(home: Path) -> None:
    words = ("dev", "--port", "0", "--data-dir", home)
    with running(*words) as pullse:
        async with client_of(await pullse.url()) as client:
            made = [(await create(client))["id"] for _ in range(5)]
        await pullse.end(signal.SIGKILL)
        await pullse.all_gone(5)
        assert len(pullse.seen) >= 2

    with running(*words) as pullse:
        async with client_of(await pullse.url()) as client:
            records = (await client.get("/api/tickets")).json()["data"]["records"]
            assert {each["id"] for each in records} == set(made)

            again = await to_its_end(*words)
            assert again.returncode == 1
            assert f"{home} is in use by process {pullse.process.pid}" in again.stderr
            assert "Traceback" not in again.stderr
            await create(client)

        code, seconds = await pullse.end()
        assert code == 0
        assert seconds < 3
        await pullse.all_gone(0.5)


async def test_a_second_signal_does_not_wait(database_url: str) -> None:
    with running("dev", "--port", "0", DATABASE_URL=database_url) as pullse:
        async with client_of(await pullse.url()) as client:
            ticket = await create(client)
            async with held(database_url):
                path = f"/api/tickets/{ticket['id']}"
                changing = asyncio.create_task(client.patch(path, json={"status": "resolved"}))
                await until_waiting(database_url)
                pullse.process.terminate()
                await asyncio.sleep(0.3)
                assert pullse.process.poll() is None
                code, seconds = await pullse.end()
            with pytest.raises(httpx.TransportError):
                await changing
        assert code == -signal.SIGTERM
        assert seconds < 1


@asynccontextmanager
async def held(database_url: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Every ticket is locked, until the block ends or lets go."""
    connection = await asyncpg.connect(database_url)
    holding = connection.transaction()
    await holding.start()
    await connection.execute("SELECT FROM tickets FOR UPDATE")
    try:
        yield holding.rollback
    finally:
        connection.terminate()


async def until_waiting(database_url: str) -> None:
    """Until a statement waits for a lock."""
    connection = await asyncpg.connect(database_url)
    async with asyncio.timeout(5):
        while not await connection.fetchval(
            """
            SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'
            """
        ):
            await asyncio.sleep(0.01)
    await connection.close()


# -- serve: the way in --


async def test_the_first_start_says_where_the_first_owner_begins(database_url: str) -> None:
    settings = {"DATABASE_URL": database_url, "PULLSE_API_TOKEN": TOKEN}
    with running("serve", "--port", "0", **settings) as pullse:
        url = await pullse.url()
        link = await pullse.says(rf"{url}/links/\w{{43}}")
        async with client_of(url) as client:
            page = await client.get(link)
            assert page.status_code == 200
            assert "<form" in page.text


# -- serve: the token --


OF_SESSIONS = ("/api/sessions", "/api/passkeys", "/api/session/identities")


async def test_every_call_but_health_wants_the_token(database_url: str) -> None:
    settings = {"DATABASE_URL": database_url, "PULLSE_API_TOKEN": TOKEN}
    with running("serve", "--port", "0", **settings) as pullse:
        url = await pullse.url()
        async with client_of(url) as client:
            for call in app.calls:
                if call.is_open and call.path not in ("/health/live", "/health/ready"):
                    continue  # signing in: tests/access
                path = call.path.partition("{")[0] + ("1" + call.path.partition("}")[2]) * (
                    "{" in call.path
                )
                for wrong in (None, "", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN):
                    headers = {} if wrong is None else {"authorization": wrong}
                    answer = await client.request(call.method, path, headers=headers)
                    if call.path in ("/health/live", "/health/ready"):
                        assert answer.status_code == 200
                        continue
                    assert answer.status_code == 401, call.name
                    assert answer.headers["www-authenticate"] == "Bearer"
                    assert answer.json()["code"] == "unauthorized"
                answer = await client.request(call.method, path, headers=AUTHORIZED)
                assert answer.status_code != 401, call.name
                if call.method == "GET" and "{" not in call.path:
                    # sessions are of those who signed in, not of the operator's token
                    is_ones_own = call.path in OF_SESSIONS
                    expected = 403 if is_ones_own else 200
                    assert answer.status_code == expected, call.name
            for path in ("/", "/nothing", "/api/tickets/", "/health/live/", "//health/live"):
                assert (await client.get(path)).status_code == 401
            ready = (await client.get("/health/ready")).json()["data"]
            assert ready == {"database": "ok", "migrations": "ok"}
        assert TOKEN not in pullse.said


# -- serve: several processes --


async def test_two_workers_share_port_and_feed_and_are_replaced(database_url: str) -> None:
    settings = {"DATABASE_URL": database_url, "PULLSE_API_TOKEN": TOKEN}
    with running("serve", "--workers", "2", "--port", "0", **settings) as pullse:
        url = await pullse.url()
        clients = await one_of_each(url, pullse, 2)
        first, second = clients.values()

        async with first.stream("GET", "/api/events", headers=SSE) as stream:
            lines = stream.aiter_lines()
            await anext(lines)
            made = await create(second)
            started = time.monotonic()
            assert (await fact(lines))["ticket_id"] == made["id"]
            assert time.monotonic() - started < 2

        killed = next(iter(clients))
        os.kill(killed, signal.SIGKILL)
        for each in clients.values():
            await each.aclose()
        await pullse.says("Worker . ended .-9.; a new one starts")
        replaced = await one_of_each(url, pullse, 2)
        assert killed not in replaced
        for each in replaced.values():
            assert (await each.get("/api/tickets")).status_code == 200
            await each.aclose()

        # A stop lets each finish what it does.
        async with client_of(url, headers=AUTHORIZED) as client, held(database_url) as let_go:
            path = f"/api/tickets/{made['id']}"
            changing = asyncio.create_task(client.patch(path, json={"status": "resolved"}))
            await until_waiting(database_url)
            pullse.look()
            pullse.process.terminate()
            await asyncio.sleep(0.8)
            assert not changing.done()
            await let_go()
            assert (await changing).status_code == 200
        assert await pullse.ended(5) == 0
        await pullse.all_gone(0.5)


async def test_workers_end_when_their_parent_is_killed(database_url: str) -> None:
    settings = {"DATABASE_URL": database_url, "PULLSE_API_TOKEN": TOKEN}
    with running("serve", "--workers", "2", "--port", "0", **settings) as pullse:
        clients = await one_of_each(await pullse.url(), pullse, 2)
        async with contextlib.AsyncExitStack() as stack:
            for client in clients.values():
                stack.push_async_callback(client.aclose)
                await stack.enter_async_context(client.stream("GET", "/api/events", headers=SSE))
            await pullse.end(signal.SIGKILL)
            await pullse.all_gone(5)


async def one_of_each(url: str, pullse: Program, count: int) -> dict[int, httpx.AsyncClient]:
    """A client of each worker, by its process. The kernel decides who gets a new connection."""
    found: dict[int, httpx.AsyncClient] = {}
    async with asyncio.timeout(30):
        while len(found) < count:
            limits = httpx.Limits(max_connections=1, keepalive_expiry=60)
            clients = [client_of(url, headers=AUTHORIZED, limits=limits) for _ in range(8)]
            owners = await asyncio.gather(*(owner(each, pullse) for each in clients))
            for client, worker in zip(clients, owners, strict=True):
                if worker is None or worker in found:
                    await client.aclose()
                else:
                    found[worker] = client
    return found


async def owner(client: httpx.AsyncClient, pullse: Program) -> int | None:
    """The process that holds the other end of the client's connection."""
    try:
        answer = await client.get("/health/live")
    except httpx.TransportError:
        return None
    stream = answer.extensions["network_stream"]
    mine, theirs = (stream.get_extra_info(name)[1] for name in ("client_addr", "server_addr"))
    return holder(theirs, mine, [pid for pid, _ in pullse.look()])


async def fact(lines: Any) -> dict[str, Any]:
    async with asyncio.timeout(5):
        async for line in lines:
            if line.startswith("data: "):
                found: dict[str, Any] = json.loads(line.removeprefix("data: "))
                return found
    raise AssertionError("the stream ended")


# -- work --


async def test_work_alone_runs_jobs(database_url: str) -> None:
    with running("work", DATABASE_URL=database_url) as pullse:
        await pullse.says("pullse .* works on PostgreSQL at .*clone_")
        connection = await asyncpg.connect(database_url)
        await connection.execute("INSERT INTO jobs (name) VALUES ('idempotency.forget')")
        async with asyncio.timeout(10):
            while await connection.fetchval("SELECT count(*) FROM jobs"):
                await asyncio.sleep(0.05)
        await connection.close()
        code, seconds = await pullse.end()
        assert code == 0
        assert seconds < 3
