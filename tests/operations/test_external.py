"""The whole product on a PostgreSQL of others: passwords, TLS, a pooler, a restart under it."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from pullse.errors import Refusal
from tests.operations.conftest import Kept
from tests.operations.servers import OVER_TLS, PASSWORD, Pooler, Product, Server, pullse

REQUESTS = 200
AT_ONCE = 16


async def use(url: str) -> None:
    """Write from many sides at once, and see each write once: answered, listed, and in the feed."""
    limits = httpx.Limits(max_connections=AT_ONCE + 1)
    async with httpx.AsyncClient(base_url=url, timeout=20, limits=limits) as client:
        heard: list[dict[str, Any]] = []
        follow = asyncio.create_task(listen(client, heard))
        await eventually(lambda: heard)  # the stream's own beginning
        gate = asyncio.Semaphore(AT_ONCE)

        async def work(number: int) -> dict[str, Any]:
            async with gate:
                ticket = {"title": f"Ticket {number}", "description": "It broke."}
                key = {"Idempotency-Key": f"key-{number}"}
                made = await client.post("/api/tickets", json=ticket, headers=key)
                again = await client.post("/api/tickets", json=ticket, headers=key)
                assert (made.status_code, again.headers["idempotency-replayed"]) == (201, "true")
                assert again.json() == made.json()
                data: dict[str, Any] = made.json()["data"]
                status = "resolved" if number % 2 else "in_progress"
                changed = await client.patch(f"/api/tickets/{data['id']}", json={"status": status})
                assert changed.status_code == 200, changed.text
                read = await client.get(f"/api/tickets/{data['id']}")
                assert read.json()["data"]["status"] == status
                return data

        made = await asyncio.gather(*(work(number) for number in range(REQUESTS // 4)))
        ids = {ticket["id"] for ticket in made}
        assert {ticket["id"] for ticket in await listed(client)} == ids
        expected = {(ticket_id, name) for ticket_id in ids for name in ("created", "changed")}
        await eventually(lambda: len(heard) > len(expected))
        await ended(follow)
        facts = [(fact["ticket_id"], fact["name"].partition(".")[2]) for fact in heard[1:]]
        assert len(facts) == len(expected)
        assert set(facts) == expected


async def listen(client: httpx.AsyncClient, heard: list[dict[str, Any]]) -> None:
    headers = {"accept": "text/event-stream"}
    async with client.stream("GET", "/api/events", headers=headers, timeout=None) as stream:
        async for line in stream.aiter_lines():
            if line.startswith("retry:"):
                heard.append({})
            elif line.startswith("data:"):
                heard.append(json.loads(line.removeprefix("data:")))


async def ended(listening: "asyncio.Task[None]") -> None:
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def listed(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    found, cursor = [], None
    while True:
        query = {"limit": 20} | ({"cursor": cursor} if cursor else {})
        data = (await client.get("/api/tickets", params=query)).json()["data"]
        found += data["records"]
        cursor = data["next_cursor"]
        if cursor is None:
            return found


async def eventually(what: Any, seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not what():
            await asyncio.sleep(0.02)


async def test_over_tcp_with_a_password(server: Server, name: str, tmp_path: Path) -> None:
    with Product(tmp_path, DATABASE_URL=server.url(name)) as product:
        await use(product.url)
        assert PASSWORD not in product.said
        assert f"localhost:{server.port}/{name}" in product.said


@pytest.mark.parametrize("mode", ["require", "verify-full"])
async def test_over_tls_as_supabase_demands_it(
    server: Server, name: str, tmp_path: Path, mode: str
) -> None:
    server.sql(f"ALTER DATABASE {name} OWNER TO {OVER_TLS}")
    query = {"sslmode": mode}
    if mode == "verify-full":
        query["sslrootcert"] = str(server.authority)
    with Product(tmp_path, DATABASE_URL=server.url(name, OVER_TLS, **query)) as product:
        await use(product.url)
        count = (
            "SELECT count(*) FILTER (WHERE ssl), count(*) FROM pg_stat_ssl JOIN pg_stat_activity "
            f"USING (pid) WHERE datname = '{name}'"
        )
        encrypted, all_of_them = server.sql(count).split("|")
        assert encrypted == all_of_them != "0"


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        ("no TLS", "lets this user in only in another way"),
        ("wrong authority", "certificate can't be trusted (unable to get local issuer"),
        ("wrong name", "certificate can't be trusted (IP address mismatch"),
        ("no such file", "A file that the URL names is not there"),
    ],
)
async def test_without_the_right_tls_it_says_so_and_does_not_start(
    server: Server, name: str, tmp_path: Path, trouble: str, told: str
) -> None:
    server.sql(f"ALTER DATABASE {name} OWNER TO {OVER_TLS}")
    ours = {"sslmode": "verify-full", "sslrootcert": str(server.authority)}
    url = {
        "no TLS": server.url(name, OVER_TLS, sslmode="disable"),
        "wrong authority": server.url(
            name, OVER_TLS, sslmode="verify-full", sslrootcert=str(server.stranger)
        ),
        "wrong name": server.url(name, OVER_TLS, "127.0.0.1", **ours),
        "no such file": server.url(
            name, OVER_TLS, sslmode="verify-full", sslrootcert="/nowhere/ca.pem"
        ),
    }[trouble]
    with pytest.raises(Refusal) as caught:
        await Kept(url).prepare()
    assert told in str(caught.value)
    assert PASSWORD not in str(caught.value)
    if trouble == "wrong authority":
        status, said = pullse(tmp_path, "dev", "--port", "0", DATABASE_URL=url)
        assert (status, said) == (1, f"Error: {caught.value}\n")


async def test_through_pgbouncer_in_transaction_mode(
    server: Server, pooler: Pooler, name: str, tmp_path: Path
) -> None:
    way = {"DATABASE_URL": pooler.url(name), "DATABASE_DIRECT_URL": server.url(name)}
    with Product(tmp_path, **way) as product:
        await use(product.url)


async def test_two_processes_through_the_pooler_hear_of_each_other(
    server: Server, pooler: Pooler, name: str, tmp_path: Path
) -> None:
    way = {"DATABASE_URL": pooler.url(name), "DATABASE_DIRECT_URL": server.url(name)}
    with Product(tmp_path, **way) as one, Product(tmp_path, **way) as other:
        heard: list[dict[str, Any]] = []
        async with httpx.AsyncClient(timeout=20) as client:
            stream = httpx.AsyncClient(base_url=other.url, timeout=20)
            follow = asyncio.create_task(listen(stream, heard))
            await eventually(lambda: heard)
            ticket = {"title": "Help", "description": "It broke."}
            await client.post(f"{one.url}/api/tickets", json=ticket)
            await eventually(lambda: len(heard) == 2)
            await ended(follow)
            await stream.aclose()


async def test_a_restart_of_the_server_is_survived(
    server: Server, name: str, tmp_path: Path
) -> None:
    """A polite one, and one as after a crash."""
    ticket = {"title": "Help", "description": "It broke."}
    with Product(tmp_path, DATABASE_URL=server.url(name)) as product:
        async with httpx.AsyncClient(base_url=product.url, timeout=30) as client:
            for number, how in enumerate((signal.SIGINT, signal.SIGQUIT), 1):
                assert (await client.post("/api/tickets", json=ticket)).status_code == 201
                await asyncio.to_thread(server.stop, how)
                try:
                    away = await client.post("/api/tickets", json=ticket)
                    assert (away.status_code, away.json()["status"]) == (503, False)
                    assert (await client.get("/health/ready")).status_code == 503
                    assert (await client.get("/health/live")).status_code == 200
                finally:
                    await asyncio.to_thread(server.start)
                async with asyncio.timeout(10):
                    while (await client.get("/health/ready")).status_code != 200:
                        await asyncio.sleep(0.05)
                assert len(await listed(client)) == number
        await use_again(product.url)


async def use_again(url: str) -> None:
    """The stream too: what is written after the restart is heard."""
    heard: list[dict[str, Any]] = []
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        follow = asyncio.create_task(listen(client, heard))
        await eventually(lambda: heard)
        ticket = {"title": "Again", "description": "It broke."}
        assert (await client.post("/api/tickets", json=ticket)).status_code == 201
        await eventually(lambda: len(heard) == 2)
        await ended(follow)
