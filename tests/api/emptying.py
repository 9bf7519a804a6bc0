"""
One database for all tests of a worker, emptied after each: a tenth of the price of a clone.

A folder's conftest.py imports both fixtures, in the place of the one that makes clones.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from tests.conftest import TEMPLATE, command, on

# As a replica, so that the order of the tables does not matter.
EMPTYING = """
    SELECT 'SET session_replication_role = replica;' ||
           (SELECT string_agg(format('DELETE FROM %I;', relname), '')
              FROM pg_class
             WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
               AND relname <> 'migrations') ||
           (SELECT string_agg(format('ALTER TABLE %I ALTER %I RESTART;', table_name, column_name), '')
              FROM information_schema.columns
             WHERE table_schema = 'public' AND is_identity = 'YES')
    """


@pytest.fixture(scope="session")
def kept_url(server_url: str) -> Iterator[str]:
    name = f"kept_{os.getpid()}"
    asyncio.run(command(server_url, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}"))
    yield on(server_url, name)
    asyncio.run(command(server_url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
async def database_url(kept_url: str) -> AsyncIterator[str]:
    """A migrated, empty database."""
    yield kept_url
    connection = await asyncpg.connect(kept_url)
    try:
        await connection.execute(await connection.fetchval(EMPTYING))
    finally:
        await connection.close()
