"""Every statement about passwords and the pauses after wrong ones."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from pullse.kit.db import Db, Struct


class Account(Struct, frozen=True):
    """Who may sign in; `hash` is None where no password was set yet."""

    id: UUID
    name: str
    email: str
    role: str
    state: str
    hash: str | None
    set_at: datetime | None


async def by_email(db: Db, email: str) -> Account | None:
    return await db.maybe(
        Account,
        """
        SELECT a.id, a.name, a.email, a.role, a.state, p.hash, p.set_at
          FROM agents AS a
          LEFT JOIN passwords AS p ON p.agent_id = a.id
         WHERE lower(a.email) = lower($1) AND a.deleted_at IS NULL AND a.state <> 'disabled'
        """,
        email,
    )


async def by_id(db: Db, agent_id: UUID) -> Account | None:
    return await db.maybe(
        Account,
        """
        SELECT a.id, a.name, a.email, a.role, a.state, p.hash, p.set_at
          FROM agents AS a
          LEFT JOIN passwords AS p ON p.agent_id = a.id
         WHERE a.id = $1 AND a.deleted_at IS NULL AND a.state <> 'disabled'
        """,
        agent_id,
    )


async def lock(db: Db, agent_id: UUID) -> Account | None:
    """Until the transaction ends, nobody else changes the agent or its password."""
    return await db.maybe(
        Account,
        """
        SELECT a.id, a.name, a.email, a.role, a.state, p.hash, p.set_at
          FROM agents AS a
          LEFT JOIN passwords AS p ON p.agent_id = a.id
         WHERE a.id = $1 AND a.deleted_at IS NULL AND a.state <> 'disabled'
           FOR UPDATE OF a
        """,
        agent_id,
    )


async def set_password(db: Db, agent_id: UUID, hash_: str) -> None:
    await db.run(
        """
        INSERT INTO passwords (agent_id, hash) VALUES ($1, $2)
        ON CONFLICT ON CONSTRAINT passwords_pkey DO UPDATE
                SET hash = excluded.hash, set_at = now()
        """,
        agent_id,
        hash_,
    )


async def remove_password(db: Db, agent_id: UUID) -> bool:
    """False when there was none."""
    return bool(await db.run("DELETE FROM passwords WHERE agent_id = $1", agent_id))


async def rehash(db: Db, agent_id: UUID, old: str, new: str) -> None:
    """The same password with other parameters; one that was set meanwhile stays."""
    await db.run(
        "UPDATE passwords SET hash = $3 WHERE agent_id = $1 AND hash = $2", agent_id, old, new
    )


async def take(db: Db, key: str, *, free: int, longest: float, forgotten: float) -> bool:
    """
    Count one more attempt before it is made; False while there is a pause.

    After `free` attempts each one doubles the pause, up to `longest` seconds; `forgotten`
    seconds after the last one they are begun anew.
    """
    return bool(
        await db.run(
            """
            INSERT INTO sign_in_failures AS f (key, count, paused_until)
                 VALUES ($1, 1, clock_timestamp())
            ON CONFLICT ON CONSTRAINT sign_in_failures_pkey DO UPDATE
                    SET count = CASE WHEN f.last_at < clock_timestamp()
                                                      - make_interval(secs => $4::float8)
                                     THEN 1 ELSE least(f.count + 1, 1000000) END,
                        paused_until = CASE
                            WHEN f.last_at < clock_timestamp() - make_interval(secs => $4::float8)
                              OR f.count < $2::integer
                            THEN clock_timestamp()
                            ELSE clock_timestamp() + make_interval(
                                secs => least($3::float8, 2.0 ^ least(f.count - $2, 30))) END,
                        last_at = clock_timestamp()
                  WHERE f.paused_until <= clock_timestamp()
            """,
            key,
            free,
            longest,
            forgotten,
        )
    )


async def seconds_left(db: Db, key: str) -> float:
    left: float | None = await db.value(
        """
        SELECT extract(epoch FROM paused_until - clock_timestamp())::float8
          FROM sign_in_failures
         WHERE key = $1
        """,
        key,
    )
    return left or 0.0


async def forgive(db: Db, key: str) -> None:
    await db.run("DELETE FROM sign_in_failures WHERE key = $1", key)


async def give_back(db: Db, key: str) -> None:
    """The attempt was none: what stands before it stays, as it was, without its pause."""
    await db.run(
        """
        UPDATE sign_in_failures
           SET count = greatest(count - 1, 1), paused_until = clock_timestamp()
         WHERE key = $1
        """,
        key,
    )


async def forget_failures(db: Db) -> int:
    return await db.run("DELETE FROM sign_in_failures WHERE last_at < now() - interval '1 day'")


async def has_way_in(db: Db, agent_id: UUID, issuers: Sequence[str]) -> bool:
    """A password, a passkey, or an account at one of the providers with these issuers."""
    return bool(
        await db.value(
            """
            SELECT EXISTS (SELECT FROM passwords WHERE agent_id = $1)
                OR EXISTS (SELECT FROM passkeys WHERE agent_id = $1)
                OR EXISTS (SELECT FROM identities
                            WHERE agent_id = $1 AND issuer = ANY($2::text[]))
            """,
            agent_id,
            list(issuers),
        )
    )
