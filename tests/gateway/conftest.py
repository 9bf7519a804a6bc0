"""The gateway without the rest of the application: what it shares, and its door for HTTP."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from pullse.gateway import tokens
from pullse.gateway.auth import Keyring
from pullse.gateway.capability import Capability
from pullse.gateway.hub import Hub
from pullse.gateway.keys import DEV_KEY, TOKENS
from pullse.gateway.rest import Rest
from pullse.gateway.service import Gateway
from pullse.kit import events
from pullse.kit.db import Database
from pullse.kit.secret import Secret
from pullse.kit.tail import Tail
from tests.gateway.desk import desk as desk
from tests.gateway.served import quick as quick
from tests.gateway.served import served as served

SECRET = Secret("a secret of the tests, of enough characters")
EVERYTHING = {"*": ["*"]}

Tokens = Callable[..., str]


@pytest.fixture
async def gateway(database: Database, tail: Tail) -> AsyncIterator[Gateway]:
    """With its hub running; the development key opens everything."""
    async with database.session() as db:
        epoch = (await events.end(db)).epoch
    keyring = Keyring(database, SECRET, dev_key=DEV_KEY, is_sandbox=True)
    gateway = Gateway(database, tail, keyring, Hub(database, tail, epoch))
    running = asyncio.create_task(gateway.hub.run())
    yield gateway
    gateway.closing.set()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


@pytest.fixture
def rest(gateway: Gateway) -> Rest:
    return Rest(gateway)


@pytest.fixture
async def stranger(rest: Rest) -> AsyncIterator[httpx.AsyncClient]:
    """Shows nothing. Streams need `tests.gateway.streams`."""
    transport = httpx.ASGITransport(rest, raise_app_exceptions=True)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@pytest.fixture
async def door(stranger: httpx.AsyncClient) -> httpx.AsyncClient:
    """Shows the key that may do everything."""
    stranger.auth = (DEV_KEY.name, DEV_KEY.secret)
    return stranger


@pytest.fixture
def token() -> Tokens:
    """Makes tokens as pullse gives them out: `token({"a": ["publish"]}, client_id="ada")`."""

    def make(
        capability: Any = EVERYTHING,
        *,
        client_id: str | None = None,
        age: int = 0,
        ttl: int = 60,
        holder: str = "owner",
    ) -> str:
        issued = tokens.now() - age * 1000
        made = tokens.details(
            TOKENS,
            SECRET.of_key(TOKENS),
            Capability.parse(capability),
            client_id,
            issued=issued,
            ttl=ttl * 1000,
            holder=holder,
        )
        text: str = made["token"]
        return text

    return make
