"""`pullse dev` as the clients' tests start it: a process of its own on a database of its own."""

import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.cli.program import Program, running
from tests.conftest import TEMPLATE, command, numbers, on

KEY = "pullse.dev:local-development-only"


@dataclass
class Served:
    """A `pullse dev` that serves."""

    program: Program
    url: str
    database_url: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def given(self) -> dict[str, Any]:
        """What a script needs to know, and a channel that nobody else uses."""
        return {"port": self.port, "key": KEY, "channel": f"test-{uuid4().hex[:8]}"}

    @asynccontextmanager
    async def api(self) -> AsyncIterator[httpx.AsyncClient]:
        async with httpx.AsyncClient(base_url=self.url, timeout=15) as client:
            yield client


@asynccontextmanager
async def own_database(server_url: str) -> AsyncIterator[str]:
    """
    One that outlives single tests, so not the one that is emptied between them.

    Its commits wait for nothing on the disk, so what is measured is not this machine's disk.
    """
    name = f"clients_{os.getpid()}_{next(numbers)}"
    await command(server_url, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    try:
        yield on(server_url, name)
    finally:
        await command(server_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextmanager
def started(database_url: str, port: int = 0) -> Iterator[Program]:
    with running("dev", "--port", str(port), DATABASE_URL=database_url) as program:
        yield program


def free_port() -> int:
    """For a server that has to come back at the same one."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@pytest.fixture(scope="module")
async def pullse(server_url: str) -> AsyncIterator[Served]:
    """For all tests of a file; each takes a channel of its own."""
    async with own_database(server_url) as url:
        with started(url) as program:
            yield Served(program, await program.url(), url)


async def publish(api: httpx.AsyncClient, given: dict[str, Any], number: int) -> None:
    """By REST, `{"n": number}` on the given channel."""
    key = tuple(given["key"].split(":"))
    body = {"name": "n", "data": {"n": number}}
    answer = await api.post(f"/channels/{given['channel']}/messages", json=body, auth=key)
    assert answer.status_code == 201, answer.text
