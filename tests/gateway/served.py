"""The gateway behind a real server in this process, and raw clients of it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from pullse import app
from pullse.gateway import connection, sessions
from pullse.gateway.auth import Keyring
from pullse.gateway.keys import DEV_KEY, Secret
from pullse.gateway.opening import Realtime, opened
from pullse.kit import background
from pullse.kit.db import Database
from pullse.kit.edge import Guard
from pullse.kit.guard import LocalOwner
from pullse.kit.http import SocketServer
from pullse.kit.tail import Tail
from tests.gateway import protocol
from tests.gateway.protocol import Client, Refused

SECRET = Secret("the secret of the tests' installation")


@dataclass
class Served:
    """A running pullse with its gateway and the dev key. `http` asks all of it."""

    url: str
    database: Database
    realtime: Realtime
    http: httpx.AsyncClient
    stop: Callable[[], None]
    clients: list[Client] = field(default_factory=list)

    async def connect(self, **options: Any) -> Client:
        """Options are those of `protocol.connect`."""
        client = await protocol.connect(self.url, **options)
        self.clients.append(client)
        return client

    async def refusal(self, **options: Any) -> Refused:
        """How a connection is refused, and that it is closed then."""
        try:
            client = await self.connect(**options)
        except Refused as refused:
            await refused.client.ended()
            return refused
        raise AssertionError(f"connected: {client.connected}")

    async def resume(self, client: Client, **options: Any) -> Client:
        """Another socket that goes on where this connection was, and counts on."""
        again = await self.connect(resume=client.key, **options)
        again.serial = client.serial
        return again


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clocks that tick 50 times a second, and heartbeats as often as a client likes."""
    monkeypatch.setattr(sessions, "BEAT", 0.02)
    monkeypatch.setattr(connection, "IDLE_AT_LEAST", 100)
    monkeypatch.setattr(connection, "REMAIN_AT_LEAST", 100)


@pytest.fixture
async def served(database: Database, tail: Tail) -> AsyncIterator[Served]:
    async with serving(database, tail, LocalOwner()) as served:
        yield served


@asynccontextmanager
async def serving(database: Database, tail: Tail, guard: Guard) -> AsyncIterator[Served]:
    """A process with the gateway, behind this guard."""
    realtime = await opened(database, tail, Keyring(database, SECRET, dev_key=DEV_KEY))
    edge = app.build(database, tail, guard, realtime=realtime)
    with socket.create_server(("127.0.0.1", 0)) as bound:
        bound.setblocking(False)
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        server = SocketServer(edge, bound)
        async with (
            background.running(realtime.works),
            httpx.AsyncClient(base_url=url, timeout=15) as http,
        ):
            task = asyncio.create_task(server.serve())
            served = Served(url, database, realtime, http, server.stop)
            yield served
            for client in served.clients:
                await client.cut()
            await at_once(server, task)


async def at_once(server: SocketServer, task: "asyncio.Task[None]") -> None:
    """End it without the tenths of a second that a stop for which nobody waits may take."""
    for each in server.servers:
        each.close()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    for _ in range(3):  # who was being accepted is one of the connections then
        await asyncio.sleep(0)
    for each in tuple(server.server_state.connections):
        transport = getattr(each, "transport", None) or getattr(each, "_transport", None)
        if transport is not None:
            transport.abort()
    while server.server_state.connections:  # else the collector finds open sockets later
        await asyncio.sleep(0)
    await asyncio.sleep(0)
