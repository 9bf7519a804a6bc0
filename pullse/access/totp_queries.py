"""Every statement about codes of the second factor."""

from collections.abc import Sequence
from uuid import UUID

from pullse.kit.db import Db, Struct


class Factor(Struct, frozen=True):
    """`secret` is the key of the codes, sealed."""

    secret: bytes
    is_confirmed: bool


class Unsealed(Struct, frozen=True):
    agent_id: UUID
    secret: bytes


async def find(db: Db, agent_id: UUID) -> Factor | None:
    return await db.maybe(
        Factor,
        """
        SELECT secret, confirmed_at IS NOT NULL AS is_confirmed FROM totp WHERE agent_id = $1
        """,
        agent_id,
    )


async def begin(db: Db, agent_id: UUID, secret: bytes) -> bool:
    """In place of one that was not confirmed; False when one is."""
    return bool(
        await db.run(
            """
            INSERT INTO totp (agent_id, secret) VALUES ($1, $2)
            ON CONFLICT ON CONSTRAINT totp_pkey DO UPDATE
                    SET secret = excluded.secret, last_step = 0, made_at = now()
                  WHERE totp.confirmed_at IS NULL
            """,
            agent_id,
            secret,
        )
    )


async def take_step(db: Db, agent_id: UUID, secret: bytes, step: int) -> bool:
    """False when this step's code, or a later one's, was taken before."""
    return bool(
        await db.run(
            "UPDATE totp SET last_step = $3 WHERE agent_id = $1 AND secret = $2 AND last_step < $3",
            agent_id,
            secret,
            step,
        )
    )


async def confirm(db: Db, agent_id: UUID) -> bool:
    return bool(
        await db.run(
            """
            UPDATE totp SET confirmed_at = now() WHERE agent_id = $1 AND confirmed_at IS NULL
            """,
            agent_id,
        )
    )


async def remove(db: Db, agent_id: UUID) -> bool:
    await db.run("DELETE FROM recovery_codes WHERE agent_id = $1", agent_id)
    return bool(await db.run("DELETE FROM totp WHERE agent_id = $1", agent_id))


async def set_recovery_codes(db: Db, agent_id: UUID, hashes: Sequence[bytes]) -> None:
    await db.run("DELETE FROM recovery_codes WHERE agent_id = $1", agent_id)
    await db.run(
        "INSERT INTO recovery_codes (agent_id, hash) SELECT $1, unnest($2::bytea[])",
        agent_id,
        list(hashes),
    )


async def use_recovery_code(db: Db, agent_id: UUID, hash_: bytes) -> bool:
    return bool(
        await db.run(
            """
            UPDATE recovery_codes SET used_at = now()
             WHERE agent_id = $1 AND hash = $2 AND used_at IS NULL
            """,
            agent_id,
            hash_,
        )
    )


async def unsealed(db: Db, size: int) -> list[Unsealed]:
    return await db.all(
        Unsealed, "SELECT agent_id, secret FROM totp WHERE length(secret) = $1", size
    )


async def replace(db: Db, agent_id: UUID, old: bytes, new: bytes) -> None:
    """Unless it is another one by now."""
    await db.run(
        "UPDATE totp SET secret = $3 WHERE agent_id = $1 AND secret = $2", agent_id, old, new
    )
