"""Every statement about passkeys and their challenges. Bodies are JSON text as the API shows it."""

from collections.abc import Sequence
from uuid import UUID

from pullse.kit.db import Db, Struct


class Known(Struct, frozen=True):
    """A passkey as it is compared with what is shown."""

    id: UUID
    agent_id: UUID
    public_key: bytes
    user_handle: bytes
    host: str
    sign_count: int


class Device(Struct, frozen=True):
    """What an authenticator is told, so that it makes no second one."""

    credential_id: bytes
    transports: list[str]


class Challenge(Struct, frozen=True):
    user_handle: bytes | None


# -- challenges --


async def challenge(
    db: Db,
    hash_: bytes,
    *,
    purpose: str,
    made_for: str,
    user_handle: bytes | None,
    seconds: int,
    most: int,
) -> None:
    """One more. Of those made for the same the newest `most` stay; some of the oldest go too."""
    await db.run(
        """
        WITH gone AS (
            DELETE FROM passkey_challenges
             WHERE hash IN (SELECT hash FROM passkey_challenges
                             WHERE made_for = $3
                          ORDER BY expires_at DESC
                            OFFSET $6::integer - 1
                               FOR UPDATE SKIP LOCKED)
                OR hash IN (SELECT hash FROM passkey_challenges
                             WHERE expires_at < now()
                          ORDER BY expires_at
                             LIMIT 10
                               FOR UPDATE SKIP LOCKED)
        )
        INSERT INTO passkey_challenges (hash, purpose, made_for, user_handle, expires_at)
             VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5::integer))
        """,
        hash_,
        purpose,
        made_for,
        user_handle,
        seconds,
        most,
    )


async def take(db: Db, hash_: bytes, *, purpose: str, made_for: str | None) -> Challenge | None:
    """Once, whatever comes of it. `made_for` None: for anybody."""
    return await db.maybe(
        Challenge,
        """
        DELETE FROM passkey_challenges
              WHERE hash = $1 AND purpose = $2 AND expires_at > now()
                AND ($3::text IS NULL OR made_for = $3)
          RETURNING user_handle
        """,
        hash_,
        purpose,
        made_for,
    )


async def forget(db: Db) -> int:
    return await db.run("DELETE FROM passkey_challenges WHERE expires_at < now()")


# -- passkeys --


async def insert(
    db: Db,
    *,
    id_: UUID,
    agent_id: UUID,
    credential_id: bytes,
    public_key: bytes,
    user_handle: bytes,
    host: str,
    name: str,
    transports: Sequence[str],
    is_synced: bool,
    sign_count: int,
) -> str | None:
    """Its body; None when it is known, to whomever it belongs."""
    body: str | None = await db.value(
        """
        WITH new AS (
            INSERT INTO passkeys (id, agent_id, credential_id, public_key, user_handle, host, name,
                                  transports, is_synced, sign_count)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
            ON CONFLICT ON CONSTRAINT passkeys_credential_unique DO NOTHING
              RETURNING id, name, host, is_synced, created_at, last_used_at
        )
        SELECT row_to_json(new)::text AS body FROM new
        """,
        id_,
        agent_id,
        credential_id,
        public_key,
        user_handle,
        host,
        name,
        list(transports),
        is_synced,
        sign_count,
    )
    return body


async def find(db: Db, credential_id: bytes) -> Known | None:
    return await db.maybe(
        Known,
        """
        SELECT id, agent_id, public_key, user_handle, host, sign_count
          FROM passkeys
         WHERE credential_id = $1
        """,
        credential_id,
    )


async def use(db: Db, passkey_id: UUID, *, sign_count: int, is_synced: bool) -> bool:
    """False when its counter did not rise (those of many are always 0), or it was removed."""
    return bool(
        await db.run(
            """
            UPDATE passkeys SET sign_count = $2, is_synced = $3, last_used_at = now()
             WHERE id = $1 AND (sign_count < $2 OR (sign_count = 0 AND $2 = 0))
            """,
            passkey_id,
            sign_count,
            is_synced,
        )
    )


async def listed(db: Db, agent_id: UUID) -> list[str]:
    """Bodies, the newest first."""
    rows = await db.rows(
        """
        SELECT row_to_json(p)::text AS body
          FROM (SELECT id, name, host, is_synced, created_at, last_used_at
                  FROM passkeys
                 WHERE agent_id = $1
              ORDER BY created_at DESC, id DESC) AS p
        """,
        agent_id,
    )
    return [row[0] for row in rows]


async def devices(db: Db, agent_id: UUID, host: str) -> list[Device]:
    return await db.all(
        Device,
        "SELECT credential_id, transports FROM passkeys WHERE agent_id = $1 AND host = $2",
        agent_id,
        host,
    )


async def handle_of(db: Db, agent_id: UUID) -> bytes | None:
    """Under which authenticators keep the agent's passkeys; None when it has none."""
    handle: bytes | None = await db.value(
        "SELECT user_handle FROM passkeys WHERE agent_id = $1 ORDER BY created_at, id LIMIT 1",
        agent_id,
    )
    return handle


async def count(db: Db, agent_id: UUID) -> int:
    found: int = await db.value("SELECT count(*) FROM passkeys WHERE agent_id = $1", agent_id)
    return found


async def has_any(db: Db, agent_id: UUID) -> bool:
    return bool(
        await db.value("SELECT EXISTS (SELECT FROM passkeys WHERE agent_id = $1)", agent_id)
    )


async def rename(db: Db, agent_id: UUID, passkey_id: UUID, name: str) -> str | None:
    """Its body; None when the agent has no such passkey."""
    body: str | None = await db.value(
        """
        WITH new AS (
               UPDATE passkeys SET name = $3
                WHERE agent_id = $1 AND id = $2
            RETURNING id, name, host, is_synced, created_at, last_used_at
        )
        SELECT row_to_json(new)::text AS body FROM new
        """,
        agent_id,
        passkey_id,
        name,
    )
    return body


async def remove(db: Db, agent_id: UUID, passkey_id: UUID) -> bool:
    return bool(
        await db.run("DELETE FROM passkeys WHERE agent_id = $1 AND id = $2", agent_id, passkey_id)
    )


async def remove_all(db: Db, agent_id: UUID) -> int:
    return await db.run("DELETE FROM passkeys WHERE agent_id = $1", agent_id)
