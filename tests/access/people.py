"""Who asks in the tests of access: callers with tokens of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from pullse.access import tokens
from pullse.access.model import NewToken
from pullse.access.tokens import Caller, Made
from pullse.agents.model import Role
from pullse.agents.queries import insert_unless_taken
from pullse.kit.db import Database
from pullse.kit.edge import EVERYTHING, Edge
from pullse.kit.events import Actor
from pullse.kit.ids import uuid7

OPERATORS = "the-token-of-the-operator-in-tests"
OWNER = Caller(Actor("owner", rights=EVERYTHING), "owner", EVERYTHING)


async def hire(database: Database, name: str, role: str = "agent") -> Any:
    """The new agent's id."""
    id_ = uuid7()
    async with database.transaction() as db:
        email = f"{name.lower()}@example.org"
        assert await insert_unless_taken(db, id_=id_, name=name, email=email, role=role)
    return id_


async def give(
    database: Database,
    agent_id: Any = None,
    *,
    role: str | None = None,
    scopes: list[str] | None = None,
) -> str:
    """A token of an agent, or of a service with a role."""
    new = NewToken("A token", scopes or [], agent_id, None if role is None else Role(role))
    return (await made(database, new)).token


async def made(database: Database, new: NewToken) -> Made:
    async with database.transaction() as db:
        return await tokens.create(db, new, by=OWNER)


async def run(database: Database, sql: str, *values: Any) -> None:
    async with database.session() as db:
        await db.run(sql, *values)


@asynccontextmanager
async def calling(edge: Edge, token: str | None = OPERATORS) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(edge, raise_app_exceptions=True)  # type: ignore[arg-type]
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://pullse.example", headers=headers
    ) as client:
        yield client
