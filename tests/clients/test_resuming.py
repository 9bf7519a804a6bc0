"""What no SDK does at will: to come back at the very moment that the old socket ends."""

import asyncio
import json

import asyncpg
from websockets.asyncio.client import ClientConnection, connect

from tests.clients.served import KEY, Served, pullse

__all__ = ["pullse"]


async def test_who_comes_back_is_not_taken_for_gone(pullse: Served) -> None:
    """The old socket ends while the statement that resumes its connection waits."""
    database = await asyncpg.connect(pullse.database_url)
    old, key = await opened(pullse)
    holding = database.transaction()
    await holding.start()
    await database.execute("SELECT FROM gateway_connections FOR UPDATE")
    resuming = asyncio.create_task(opened(pullse, key))
    await asyncio.sleep(0.3)
    old.transport.abort()
    await asyncio.sleep(0.3)
    await holding.rollback()
    new, again = await resuming
    assert again == key
    await asyncio.sleep(0.5)
    id_ = key.partition("!")[0]
    statement = "SELECT dropped_at FROM gateway_connections WHERE id = $1"
    assert await database.fetchval(statement, id_) is None
    await new.close()
    await database.close()


async def opened(pullse: Served, key: str | None = None) -> tuple[ClientConnection, str]:
    """A connection, resumed if there is a key for it, and its own key."""
    url = f"ws://127.0.0.1:{pullse.port}/?key={KEY}&v=6&format=json"
    socket = await connect(url + (f"&resume={key}" if key else ""), proxy=None)
    told = json.loads(await socket.recv())
    found: str = told["connectionDetails"]["connectionKey"]
    return socket, found
