"""
PostgreSQL, and the only module that knows the driver.

A `Db` is one connection; queries and verbs take it as their first argument. Nobody but
`Database` begins or commits. Statements are static SQL with `$1`; rows are read by
position into the struct that is named, so column lists and fields must agree: a test
prepares every statement and compares (tests/test_sql.py).
"""

import asyncio
import inspect
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
import msgspec
from asyncpg import connect_utils

from pullse.errors import NotFound, Refusal, Unavailable

Row = TypeVar("Row")

AWAY: tuple[type[BaseException], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.QueryCanceledError,
    asyncpg.DeadlockDetectedError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.LockNotAvailableError,
    asyncpg.DiskFullError,
    asyncpg.OutOfMemoryError,
    OSError,
    TimeoutError,
)
"""What the driver raises when the database is away or busy, whatever the statement was."""

UNREACHABLE: tuple[type[BaseException], ...] = (*AWAY, asyncpg.PostgresError, ValueError)
"""What it raises besides when it connects: a wrong password, an unknown database."""


PATIENCE = 35.0
"""Seconds for a statement; the server's own limit is 30, so this ends what no server answers."""


class Violated(Exception):
    """A constraint said no; `constraint` is its name."""

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint


class Db:
    """One connection, inside a transaction unless it came from `Database.session`."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def one(self, row: type[Row], sql: str, /, *args: object) -> Row:
        """The row that must be there."""
        found = await self.maybe(row, sql, *args)
        if found is None:
            raise NotFound(f"No such {row.__name__.lower()}.")
        return found

    async def maybe(self, row: type[Row], sql: str, /, *args: object) -> Row | None:
        record = await self._fetchrow(sql, *args)
        return None if record is None else row(*record)

    async def all(self, row: type[Row], sql: str, /, *args: object) -> list[Row]:
        return [row(*record) for record in await self.rows(sql, *args)]

    async def rows(self, sql: str, /, *args: object) -> Sequence[Sequence[Any]]:
        """Records as they come, for hot paths that only pass them on."""
        try:
            return await self._connection.fetch(sql, *args)  # type: ignore[no-any-return]
        except asyncpg.IntegrityConstraintViolationError as error:
            raise Violated(error.constraint_name or "") from error

    async def value(self, sql: str, /, *args: object) -> Any:
        record = await self._fetchrow(sql, *args)
        return None if record is None else record[0]

    async def run(self, sql: str, /, *args: object) -> int:
        """Execute and return how many rows were touched."""
        try:
            tag: str = await self._connection.execute(sql, *args)
        except asyncpg.IntegrityConstraintViolationError as error:
            raise Violated(error.constraint_name or "") from error
        count = tag.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def script(self, sql: str) -> None:
        """Several statements without parameters, as migrations have them."""
        await self._connection.execute(sql)

    async def _fetchrow(self, sql: str, *args: object) -> Any:
        try:
            return await self._connection.fetchrow(sql, *args)
        except asyncpg.IntegrityConstraintViolationError as error:
            raise Violated(error.constraint_name or "") from error


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is, and whether a transaction pooler stands before it."""

    url: str
    pooled: bool

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Port 6543 (Supabase) or `?pgbouncer=true` say that a transaction pooler answers."""
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
        kept = [pair for pair in query if pair[0] != "pgbouncer"]
        pooled = parts.port == 6543 or ("pgbouncer", "true") in query
        return cls(urlunsplit(parts._replace(query=urlencode(kept))), pooled)

    @property
    def shown(self) -> str:
        """Without user and password, for logs."""
        parts = urlsplit(self.url)
        host = parts.hostname or dict(parse_qsl(parts.query)).get("host", "local socket")
        port = f":{parts.port}" if parts.port else ""
        return f"{host}{port}{parts.path}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """
    Where and as whom the driver connects, for PostgreSQL's own programs beside it.

    `host` is a name, an address or the folder of a socket. `tls_is_needed`: no plain connection.
    """

    host: str
    port: int
    user: str
    password: str | None = field(repr=False)
    database: str
    options: str
    tls: ssl.SSLContext | None
    tls_is_needed: bool


@dataclass
class Database:
    """A pool of connections, and one way each to use them."""

    pool: Any
    address: Address
    direct: Address
    loaders: dict[Callable[..., Any], Any] = field(default_factory=dict)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Db]:
        """Everything inside is committed together, or nothing is."""
        try:
            async with self.pool.acquire() as connection, connection.transaction():
                yield Db(connection)
        except AWAY as error:
            raise away(error) from error

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Db]:
        """For single statements: each is its own transaction, without BEGIN and COMMIT."""
        try:
            async with self.pool.acquire() as connection:
                if self.address.pooled:
                    async with connection.transaction():
                        yield Db(connection)
                else:
                    yield Db(connection)
        except AWAY as error:
            raise away(error) from error

    @asynccontextmanager
    async def own_session(self) -> AsyncIterator[tuple[Db, Any]]:
        """A connection outside the pool and past any pooler, for LISTEN and session locks."""
        try:
            connection = await connect(self.direct)
        except AWAY as error:
            raise away(error) from error
        try:
            yield Db(connection), connection
        except AWAY as error:
            raise away(error) from error
        finally:
            connection.terminate()
            await asyncio.sleep(0)  # the loop closes the socket in its next turn

    async def close(self) -> None:
        try:
            await asyncio.wait_for(self.pool.close(), 5)
        except AWAY:
            self.pool.terminate()


async def connect(address: Address) -> Any:
    """One connection as all of ours are: UTC, and no statement that runs for ever."""
    return await asyncpg.connect(address.url, timeout=10, **options(address))


def endpoint(address: Address) -> Endpoint:
    """
    As the driver itself reads URL, environment and password file.

    Raises ValueError and OSError for what can't be used, such as a missing `sslrootcert`.
    """
    parse: Any = connect_utils._parse_connect_dsn_and_args  # type: ignore[attr-defined]
    unset: dict[str, Any] = dict.fromkeys(inspect.signature(parse).parameters)
    places, given = parse(**unset | {"dsn": address.url})
    folders = [place for place in places if isinstance(place, str) and Path(place).exists()]
    place = (folders or [place for place in places if not isinstance(place, str)] or places)[0]
    if isinstance(place, str):
        folder, _, name = place.rpartition("/.s.PGSQL.")
        host, port, tls = folder, int(name), None
    else:
        (host, port), tls = place, given.ssl or None
    return Endpoint(
        host,
        port,
        given.user,
        given.password,
        given.database,
        (given.server_settings or {}).get("options", ""),
        tls,
        given.sslmode >= connect_utils.SSLMode.require,
    )


async def open_database(
    url: str, *, direct_url: str | None = None, size: int = 10, eager: bool = True
) -> Database:
    """Connect; `eager` makes a wrong address fail here and not at the first request."""
    address = Address.parse(url)
    direct = Address.parse(direct_url) if direct_url else address
    pool = asyncpg.create_pool(
        address.url,
        min_size=1 if eager else 0,
        max_size=size,
        max_inactive_connection_lifetime=300,
        timeout=10,
        reset=_keep,
        command_timeout=PATIENCE,
        **options(address),
    )
    try:
        await pool
    except UNREACHABLE as error:
        raise cant_connect(address, error) from error
    return Database(pool, address, direct)


def options(address: Address) -> dict[str, Any]:
    settings = {"timezone": "UTC", "application_name": "pullse"}
    if address.pooled:
        return {"server_settings": settings, "statement_cache_size": 0}
    # Our statements are planned well without their values, and search asks for its own plans.
    settings |= {"plan_cache_mode": "force_generic_plan"}
    settings |= {"statement_timeout": "30s", "idle_in_transaction_session_timeout": "60s"}
    return {"server_settings": settings, "statement_cache_size": 200}


def away(error: BaseException) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, asyncpg.QueryCanceledError):
        return Unavailable("The database took too long for this; narrow it down or try again.")
    return Unavailable("The database can't be reached right now; try again in a moment.")


def cant_connect(address: Address, error: BaseException) -> Refusal:
    """For the operator, who may know why."""
    return Unavailable(f"The database at {address.shown} can't be used: {error}")


async def _keep(_connection: Any) -> None:
    """No reset on release: we leave nothing behind on a connection, and it costs a round trip."""


class Struct(msgspec.Struct, frozen=True, kw_only=False):
    """A row or a value: frozen, compared by its fields."""
