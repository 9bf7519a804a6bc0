"""The doctor's looks at the database, of which all but the last few go without our tables."""

import secrets
import time
from contextlib import AsyncExitStack
from typing import Any

from pullse.kit import migrate
from pullse.kit.aside import aside
from pullse.kit.db import Address, Db, Struct
from pullse.kit.postgres.binaries import OLDEST
from pullse.operations import health, holdings, tools
from pullse.operations.findings import Finding
from pullse.operations.reaching import Unreachable, reached
from pullse.reports.insight_queries import FIRST
from pullse.settings import Settings
from pullse.store import Store

CLOCKS_APART = 2.0
LATE = 60.0
"""Seconds after which facts or jobs that wait are a trouble, when something should take them."""
BESIDE_POOL = 4
"""Connections of a process outside its pool: listening, leading, migrating, a spare."""


class Limits(Struct, frozen=True):
    most: int
    reserved: int
    others: int
    processes: int
    """Of pullse, as far as this role may see: each listens."""


async def examine(settings: Settings, store: Store) -> list[Finding]:
    address = Address.parse(store.url)
    direct = settings.database_direct_url if settings.database_url else None
    async with AsyncExitStack() as stack:
        try:
            db, connection = await stack.enter_async_context(reached(address))
        except Unreachable as error:
            return [Finding("database", False, f"{store.shown}: {error}", error.remedy)]
        number = int(await db.value("SELECT current_setting('server_version_num')::int"))
        found = [Finding("database", True, f"{store.shown} answers"), version(number)]
        if not found[-1].is_well:
            return found
        found += [encoding(await db.value("SHOW server_encoding")), await durability(db)]
        found += [await writable(db), await clock(db)]
        if settings.database_url:
            found += await way(address, Address.parse(direct) if direct else None, db, connection)
            found.append(await encryption(db, address))
        limits = await limits_of(db)
        found.append(connections(limits, settings.pool_size))
        found.append(await aside(lambda: programs(number // 10000)))
        pending = await migrations(db)
        found.append(pending)
        if pending.is_well and await db.value("SELECT to_regclass('readers') IS NOT NULL"):
            found += await readers(db, limits.processes > 0, has_ably=settings.ably is not None)
            found.append(await jobs(db, limits.processes > 0))
        return found


def version(number: int) -> Finding:
    """`number` as server_version_num has it: 150004 is 15.4."""
    shown = f"PostgreSQL {number // 10000}.{number % 10000}"
    if number // 10000 >= OLDEST:
        return Finding("version", True, shown)
    return Finding(
        "version",
        False,
        f"{shown}, and pullse needs {OLDEST} or newer",
        "Upgrade the server (pg_upgrade, or your provider's upgrade), or set DATABASE_URL to a "
        "newer one; without DATABASE_URL pullse brings its own.",
    )


def encoding(name: str) -> Finding:
    if name == "UTF8":
        return Finding("encoding", True, name)
    return Finding(
        "encoding",
        False,
        f"{name}: what people write would not fit in",
        "Make a database with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0.",
    )


async def durability(db: Db) -> Finding:
    """Promise 1: an acknowledged write is never lost."""
    off = [
        name
        for name in ("fsync", "full_page_writes", "synchronous_commit")
        if await db.value("SELECT current_setting($1)", name) == "off"
    ]
    if not off:
        return Finding("durability", True, "what is committed is on the disk")
    return Finding(
        "durability",
        False,
        f"{', '.join(off)} off: a crash can lose tickets that were acknowledged",
        f"Set {' and '.join(f'{name} = on' for name in off)} at the server.",
    )


async def writable(db: Db) -> Finding:
    if await db.value(
        "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool"
    ):
        return Finding(
            "rights",
            False,
            "this is a replica, or read-only",
            "Set DATABASE_URL to the primary server.",
        )
    if not await db.value("SELECT has_schema_privilege($1, 'CREATE')", holdings.SCHEMA):
        role, name = (
            await db.value("SELECT current_user"),
            await db.value("SELECT current_database()"),
        )
        return Finding(
            "rights",
            False,
            f"{role} may not make tables in the schema {holdings.SCHEMA}, so migrations can't run",
            f'As its administrator: ALTER DATABASE "{name}" OWNER TO "{role}", '
            f'or GRANT CREATE ON SCHEMA {holdings.SCHEMA} TO "{role}".',
        )
    foreign = await db.value(
        """
        SELECT string_agg(relname, ', ' ORDER BY relname)
          FROM pg_class
         WHERE relnamespace = to_regnamespace($1) AND relkind = 'r' AND relname::text = ANY ($2)
           AND NOT pg_has_role(relowner, 'USAGE')
        """,
        holdings.SCHEMA,
        sorted(holdings.names()),
    )
    if foreign:
        return Finding(
            "rights",
            False,
            f"other roles own {foreign}",
            "Use the role that made them, or give them to this one (REASSIGN OWNED).",
        )
    return Finding("rights", True, "tables can be made and written")


async def clock(db: Db) -> Finding:
    """Half of the round trip is taken off."""
    asked = time.time()
    theirs = float(await db.value("SELECT extract(epoch FROM clock_timestamp())::float8"))
    apart = theirs - (asked + time.time()) / 2
    text = f"this machine and the database are {abs(apart):.3f} s apart"
    if abs(apart) <= CLOCKS_APART:
        return Finding("clock", True, text)
    return Finding(
        "clock", False, text, "Let NTP set the clock on both (timedatectl set-ntp true)."
    )


async def way(address: Address, direct: Address | None, db: Db, connection: Any) -> list[Finding]:
    """To the database: is a transaction pooler on it, and does the way past it hold sessions?"""
    if not address.pooled:
        backend = await db.value("SELECT pg_backend_pid()")
        if backend == connection.get_server_pid() or not await is_shared(address, "DATABASE_URL"):
            return [] if direct is None else [await past_pooler(db, direct)]
        return [
            Finding(
                "pooler",
                False,
                "DATABASE_URL leads to a transaction pooler and does not say so",
                "Add pgbouncer=true to its query; set DATABASE_DIRECT_URL to the server itself.",
            )
        ]
    if direct is None:
        text, remedy = "DATABASE_DIRECT_URL is missing", "Set it to the server itself."
        return [Finding("pooler", False, text, remedy)]
    return [await past_pooler(db, direct)]


async def past_pooler(db: Db, direct: Address) -> Finding:
    """A session lock taken there must be seen through DATABASE_URL: same database, real session."""
    name, key = "DATABASE_DIRECT_URL", secrets.randbits(62)
    try:
        if await is_shared(direct, name):
            return Finding(
                "pooler",
                False,
                f"{name} leads to a transaction pooler too: no LISTEN, no session locks",
                "Give the server's own address, or its session pooler's (port 5432 at Supabase).",
            )
        async with reached(direct, name) as (session, _):
            await session.value("SELECT pg_advisory_lock($1)", key)
            if await db.value("SELECT pg_try_advisory_xact_lock($1)", key):
                return Finding(
                    "pooler",
                    False,
                    f"{name} and DATABASE_URL are two different databases",
                    "Make both lead to the same server and database.",
                )
    except Unreachable as error:
        return Finding("pooler", False, f"{name} ({direct.shown}): {error}", error.remedy)
    return Finding("pooler", True, f"{name} reaches the same database, with sessions of its own")


async def is_shared(address: Address, name: str) -> bool:
    """Do two connections that are open at once talk to one and the same server process?"""
    async with reached(address, name) as (first, _), reached(address, name) as (second, _):
        process = await first.value("SELECT pg_backend_pid()")
        return bool(await second.value("SELECT pg_backend_pid()") == process)


async def encryption(db: Db, address: Address) -> Finding:
    """Behind a pooler the server only sees the pooler's connection."""
    row = await db.rows(
        """
        SELECT ssl, coalesce(version, ''), inet_client_addr() IS NULL
               OR inet_client_addr() << '127.0.0.0/8' OR inet_client_addr() = '::1'
          FROM pg_stat_ssl WHERE pid = pg_backend_pid()
        """
    )
    is_encrypted, protocol, is_near = row[0] if row else (False, "", True)
    if "sslmode=verify-full" in address.url:
        return Finding("encryption", True, "TLS is demanded, and the server's name is verified")
    if is_encrypted:
        text = f"{protocol}, but nobody verifies whose server it is"
        remedy = "" if is_near else "Better: sslmode=verify-full&sslrootcert=<its CA's file>."
        return Finding("encryption", True, text, remedy)
    if is_near:
        return Finding("encryption", True, "none, on one machine")
    text = "none: tickets and the password's proof cross the network in the clear"
    return Finding(
        "encryption", True, text, "Add sslmode=require, better verify-full, to DATABASE_URL."
    )


async def limits_of(db: Db) -> Limits:
    return await db.one(
        Limits,
        """
        SELECT current_setting('max_connections')::int AS most,
               current_setting('superuser_reserved_connections')::int
               + coalesce(current_setting('reserved_connections', true)::int, 0) AS reserved,
               (SELECT count(*) FROM pg_stat_activity
                 WHERE backend_type = 'client backend' AND application_name <> 'pullse'
                   AND pid <> pg_backend_pid())::int AS others,
               (SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name = 'pullse'
                   AND pid <> pg_backend_pid() AND query ILIKE 'LISTEN%')::int AS processes
        """,
    )


def connections(limits: Limits, pool_size: int) -> Finding:
    each = pool_size + BESIDE_POOL
    room = limits.most - limits.reserved - limits.others
    fits, running = max(0, room // each), max(1, limits.processes)
    text = (
        f"{limits.most} at most, {limits.reserved} reserved, {limits.others} used by others; a "
        f"process takes up to {each}, so {fits} fit and {limits.processes} run"
    )
    if fits >= running:
        return Finding("connections", True, text)
    return Finding(
        "connections",
        False,
        text,
        "Lower PULLSE_POOL_SIZE, run fewer processes, raise max_connections at the server, or "
        "use a pooler.",
    )


def programs(server: int) -> Finding:
    """For `pullse backup`."""
    for found in tools.fit_for(server):
        return Finding("backup", True, f"pg_dump of {found}")
    return Finding(
        "backup",
        False,
        f"no pg_dump here can read PostgreSQL {server}, so pullse backup can't work",
        f"Install postgresql-client-{server} (apt.postgresql.org has it).",
    )


async def migrations(db: Db) -> Finding:
    try:
        waiting = await migrate.pending(db)
    except migrate.Broken as error:
        return Finding(
            "migrations", False, str(error), "Use the release that the database was made with."
        )
    ran = await migrate.applied(db)
    if not waiting:
        return Finding("migrations", True, f"all {len(ran)} have run")
    names = ", ".join(migration.name for migration in waiting)
    if not ran:
        return Finding("migrations", True, "none has run yet; the first start runs them")
    return Finding("migrations", False, f"to run: {names}", "Run pullse migrate.")


async def readers(db: Db, is_running: bool, *, has_ably: bool) -> list[Finding]:
    """Facts on their way out of the feed, for each who reads it on others' behalf."""
    waiting = await health.waiting(db)
    return [delivery(each, is_running, has_ably=has_ably) for each in waiting] or [
        Finding("delivery", True, "nobody reads facts on others' behalf yet")
    ]


def delivery(waiting: health.Waiting, is_running: bool, *, has_ably: bool) -> Finding:
    what = f"delivery to {waiting.name}"
    text = f"{waiting.facts} facts wait, the oldest for {waiting.seconds:.0f} s"
    if waiting.name == "ably" and not has_ably:
        return Finding(what, True, f"{text}; ABLY_API_KEY is not set, so they are kept")
    if waiting.error:
        remedy = "Put that right; it goes on by itself, and nothing is lost meanwhile."
        return Finding(what, False, f"{waiting.error}; {text}", remedy)
    if waiting.seconds <= LATE or waiting.name == FIRST:  # that has history to read, once
        return Finding(what, True, text)
    if not is_running:
        return Finding(what, True, f"{text}; no pullse runs", "Start pullse: it delivers them.")
    return Finding(what, False, text, "See the log of pullse serve or pullse work for why.")


async def jobs(db: Db, is_running: bool) -> Finding:
    found = await health.backlog(db, [])
    if found.dead_jobs:
        return Finding(
            "jobs",
            False,
            f"{found.dead_jobs} failed for good",
            "See them with pullse jobs; when the cause is gone, pullse jobs --retry ID.",
        )
    text = f"{found.jobs} wait, the oldest due for {max(0.0, found.due_job):.0f} s"
    if found.due_job <= LATE * 5:
        return Finding("jobs", True, text)
    if not is_running:
        return Finding("jobs", True, f"{text}; no pullse runs", "Start pullse: it does them.")
    return Finding("jobs", False, text, "Start more of pullse work, and see the log.")
