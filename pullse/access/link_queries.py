"""Every statement about the links that are used once."""

from datetime import datetime
from uuid import UUID

from pullse.kit.db import Db, Struct


class Link(Struct, frozen=True):
    purpose: str
    agent_id: UUID | None


async def insert(
    db: Db, *, hash_: bytes, purpose: str, agent_id: UUID | None, made_by: str, seconds: int
) -> datetime:
    """When it expires."""
    expires_at: datetime = await db.value(
        """
        INSERT INTO links (hash, purpose, agent_id, made_by, expires_at)
             VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5::integer))
          RETURNING expires_at
        """,
        hash_,
        purpose,
        agent_id,
        made_by,
        seconds,
    )
    return expires_at


async def end_for(db: Db, agent_id: UUID) -> None:
    """What was made for the agent before is good no longer."""
    await db.run("DELETE FROM links WHERE agent_id = $1 AND used_at IS NULL", agent_id)


async def end_setups(db: Db) -> None:
    await db.run("DELETE FROM links WHERE purpose = 'setup' AND used_at IS NULL")


async def find(db: Db, hash_: bytes) -> Link | None:
    return await db.maybe(
        Link,
        """
        SELECT purpose, agent_id
          FROM links
         WHERE hash = $1 AND used_at IS NULL AND expires_at > now()
        """,
        hash_,
    )


async def use(db: Db, hash_: bytes) -> Link | None:
    """Of several who come at once, one gets it."""
    return await db.maybe(
        Link,
        """
           UPDATE links SET used_at = now()
            WHERE hash = $1 AND used_at IS NULL AND expires_at > now()
        RETURNING purpose, agent_id
        """,
        hash_,
    )


async def forget(db: Db) -> int:
    return await db.run("DELETE FROM links WHERE expires_at < now() - interval '30 days'")
