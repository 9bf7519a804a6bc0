"""People with passwords and browsers, for the tests of signing in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from pullse.access import passwords, sign_in_queries
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.people import hire, run

PASSWORD = "a heron by the river"
OURS = {"Sec-Fetch-Site": "same-origin"}


async def hire_with_password(
    database: Database, name: str, role: str = "agent", password: str = PASSWORD
) -> Any:
    agent_id = await hire(database, name, role)
    hash_ = await passwords.hashed(password)
    async with database.session() as db:
        await sign_in_queries.set_password(db, agent_id, hash_)
    await run(database, "UPDATE agents SET state = 'active' WHERE id = $1", agent_id)
    return agent_id


@asynccontextmanager
async def browser(
    edge: Edge, *, scheme: str = "http", address: str = "192.0.2.1", **headers: str
) -> AsyncIterator[httpx.AsyncClient]:
    """Keeps cookies, and says of each request that our own page makes it."""
    transport = httpx.ASGITransport(
        edge,  # type: ignore[arg-type]
        raise_app_exceptions=True,
        client=(address, 1),
    )
    async with httpx.AsyncClient(
        transport=transport, base_url=f"{scheme}://pullse.example", headers=OURS | headers
    ) as client:
        yield client


async def enter(
    client: httpx.AsyncClient, name: str = "Ada", password: str = PASSWORD
) -> httpx.Response:
    given = {"email": f"{name.lower()}@example.org", "password": password}
    return await client.post("/api/session", json=given)


async def audited(database: Database, name: str) -> list[tuple[str, str, str | None]]:
    """Actor, data and address of the rows of one name."""
    async with database.session() as db:
        rows = await db.rows(
            "SELECT actor, data::text, address FROM audit WHERE name = $1 ORDER BY day, number",
            name,
        )
    return [tuple(row) for row in rows]  # type: ignore[misc]
