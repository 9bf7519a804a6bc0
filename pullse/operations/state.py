"""What runs here and how far it is: the database's schema, readers of facts, real time."""

import platform
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pullse import __version__
from pullse.kit import migrate
from pullse.kit.db import Db, Struct
from pullse.kit.web import Request
from pullse.operations import health
from pullse.operations.health import Backlog, Waiting
from pullse.reports.insight_queries import FIRST, READER

ALIVE = 15.0
"""Seconds since a process of the gateway has said that it is there."""


class Gateway(Struct, frozen=True):
    """Of all processes."""

    processes: int
    connections: int


class State(Struct, frozen=True):
    """`at_work` are the readers of facts that this release runs; of others rows may be left."""

    version: str
    python: str
    database: str
    postgresql: str
    applied: int
    newest: str | None
    pending: list[str]
    readers: list[Waiting]
    at_work: list[str]
    backlog: Backlog
    provider: str
    gateway: Gateway
    followers: int
    last_backup_at: datetime | None


async def read(request: Request) -> State:
    services = request.services
    async with request.database.session() as db:
        applied = await migrate.applied(db)
        return State(
            version=__version__,
            python=platform.python_version(),
            database=services.checkup.shown,
            postgresql=str(await db.value("SELECT current_setting('server_version')")),
            applied=len(applied),
            newest=max(applied, default=None),
            pending=await pending(db),
            readers=await health.waiting(db),
            at_work=at_work(services.readers),
            backlog=await health.backlog(db, services.readers),
            provider=provider(services.realtime),
            gateway=await gateway(db),
            followers=services.tail.followers,
            last_backup_at=await last_backup(db),
        )


def at_work(readers: Sequence[str]) -> list[str]:
    """One of them has another row while it reads what was before it."""
    return [*readers, *([FIRST] if READER in readers else [])]


async def pending(db: Db) -> list[str]:
    try:
        return [each.name for each in await migrate.pending(db)]
    except migrate.Broken:
        return []  # the doctor says what is wrong


def provider(realtime: Any) -> str:
    if getattr(realtime, "ably", None) is not None:
        return "ably"
    return "pullse" if getattr(realtime, "gateway", None) is not None else "none"


async def gateway(db: Db) -> Gateway:
    return await db.one(
        Gateway,
        """
        SELECT (SELECT count(*) FROM gateway_processes
                 WHERE seen_at > now() - make_interval(secs => $1)) AS processes,
               (SELECT count(*) FROM gateway_connections WHERE dropped_at IS NULL) AS connections
        """,
        ALIVE,
    )


async def last_backup(db: Db) -> datetime | None:
    """By `pullse backup`, as the audit trail has it."""
    at: datetime | None = await db.value(
        """
        SELECT at FROM audit
         WHERE name = 'backup.made'
      ORDER BY name DESC, day DESC, number DESC
         LIMIT 1
        """
    )
    return at
