"""
What in a database is pullse's: what its migrations make, in the schema public.

Backup and restore touch nothing else: a database may be shared, and Supabase has its own schemas.
"""

import re
from collections.abc import Iterable

from pullse.kit import migrate
from pullse.kit.db import Db

SCHEMA = "public"
HOUSEKEEPING = frozenset(
    {
        "migrations",
        "schedules",
        "readers",
        "ticket_counts",
        "ticket_marks",
        "ticket_rollups",
        "jobs",
        "idempotency_keys",
        "channel_horizon",
        "channel_members",
        "channel_occupancy",
        "gateway_connections",
        "gateway_processes",
        "realtime_nonces",
        "realtime_secret",
        "request_rates",
    }
)
"""Tables that have rows also where nobody has written anything yet."""

MADE = re.compile(
    r"""
    ^\s* CREATE \s+ (?:OR \s+ REPLACE \s+)? (?:UNLOGGED \s+)?
    (?:TABLE|FUNCTION|PROCEDURE|VIEW|MATERIALIZED \s+ VIEW|SEQUENCE|TYPE|DOMAIN|AGGREGATE
       |TEXT \s+ SEARCH \s+ (?:CONFIGURATION|DICTIONARY)) \s+
    (?:IF \s+ NOT \s+ EXISTS \s+)? (?:public\.)? "?(\w+)"?
    | \s RENAME \s+ TO \s+ "?(\w+)"?
    """,
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)


def names() -> frozenset[str]:
    """Of tables, views, functions and types, as the migrations have them."""
    made = {"migrations"}
    for migration in migrate.available():
        made |= set(made_by(migration.sql))
    return frozenset(made)


def made_by(sql: str) -> Iterable[str]:
    return (created or renamed for created, renamed in MADE.findall(sql))


async def relations(db: Db, *, ours: bool, kinds: str = "rpvmfS") -> list[str]:
    """Tables, views and sequences in the schema: ours, or the others' (no extension's)."""
    rows = await db.rows(
        """
        SELECT relname::text
          FROM pg_class
         WHERE relnamespace = to_regnamespace($1)
           AND relkind::text = ANY ($4)
           AND (relname::text = ANY ($2)
                OR EXISTS (SELECT FROM pg_depend AS owned
                             JOIN pg_class AS owner ON owner.oid = owned.refobjid
                            WHERE owned.classid = 'pg_class'::regclass
                              AND owned.objid = pg_class.oid
                              AND owned.refclassid = 'pg_class'::regclass
                              AND owned.deptype IN ('a', 'i')
                              AND owner.relnamespace = pg_class.relnamespace
                              AND owner.relname::text = ANY ($2))) = $3
           AND NOT EXISTS (SELECT FROM pg_depend
                            WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid
                              AND deptype = 'e')
      ORDER BY relname
        """,
        SCHEMA,
        sorted(names()),
        ours,
        list(kinds),
    )
    return [row[0] for row in rows]


async def filled(db: Db) -> list[str]:
    """Our tables that people's work is in."""
    found = []
    for table in await relations(db, ours=True, kinds="rp"):
        if (
            table in names()
            and table not in HOUSEKEEPING
            and await db.value(
                f'SELECT EXISTS (SELECT FROM {SCHEMA}."{table}")'  # noqa: S608 -- a name of our own
            )
        ):
            found.append(table)
    return found
