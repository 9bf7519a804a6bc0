"""What the gateway needs done in the background."""

from pullse.gateway import log
from pullse.kit.db import Database
from pullse.kit.jobs import Every, job

PORTION = 1000
HOURS_KEPT = 24
"""Hours for which a message on a free channel is kept, and its id known."""


@job("gateway.forget_requests")
async def forget_requests(database: Database) -> None:
    """Delete nonces of token requests whose timestamps have long been refused anyway."""
    deleted = PORTION
    while deleted == PORTION:
        async with database.session() as db:
            deleted = await db.run(
                """
                DELETE FROM realtime_nonces
                 WHERE (key_name, nonce, stamp) IN
                       (SELECT key_name, nonce, stamp FROM realtime_nonces
                         WHERE at < now() - interval '10 minutes'
                      ORDER BY at LIMIT $1)
                """,
                PORTION,
            )


@job("gateway.forget_revocations")
async def forget_revocations(database: Database) -> None:
    """Delete revocations that every token they were for has outlived: tokens last a day."""
    deleted = PORTION
    while deleted == PORTION:
        async with database.session() as db:
            deleted = await db.run(
                """
                DELETE FROM realtime_revocations
                 WHERE id IN (SELECT id FROM realtime_revocations
                               WHERE at < now() - interval '25 hours'
                            ORDER BY at LIMIT $1)
                """,
                PORTION,
            )


@job("gateway.purge_channels")
async def purge_channels(database: Database) -> None:
    """Delete what was said on free channels, and what presence there was, a day ago."""
    is_some = 1
    while is_some:
        async with database.session() as db:
            is_some = await log.purge(db, hours=HOURS_KEPT)


jobs = [forget_requests, forget_revocations, purge_channels]
schedule = [
    Every(600, purge_channels),
    Every(600, forget_requests),
    Every(3600, forget_revocations),
]
