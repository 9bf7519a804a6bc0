"""Every statement about sessions. Bodies are the JSON text that the API shows."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from pullse.access.sign_in_model import SINGLE_SIGN_ON, STRONG
from pullse.agents.permissions import ROLES
from pullse.kit.db import Db, Struct


def array(words: Iterable[str]) -> str:
    """Of words of our own, as a statement has it."""
    return f"'{{{','.join(words)}}}'::text[]"


SESSIONS = """sessions AS s
          JOIN agents AS a ON a.id = s.agent_id
          LEFT JOIN policies AS p ON true
         CROSS JOIN LATERAL (SELECT ARRAY(SELECT split_part(each, ':', 1)
                                            FROM unnest(s.means) AS each) AS of) AS kinds"""
IS_GOOD = f"""s.ended_at IS NULL
           AND s.expires_at > now()
           AND s.last_used_at > now() - interval '14 days'
           AND a.state <> 'disabled' AND a.deleted_at IS NULL
           AND (s.role IS NULL
                OR array_position({array(ROLES)}, a.role) >= array_position({array(ROLES)}, s.role))
           AND (p.single_sign_on IS NOT TRUE OR a.role = 'owner'
                OR '{SINGLE_SIGN_ON}' = ANY(kinds.of))"""
"""None is good that was begun in a lower role, or without the single sign-on that is required."""
IS_REDUCED = f"p.second_factor IS TRUE AND NOT kinds.of && {array(STRONG)}"
"""It was begun by less than is required."""
AT_ONCE = 50
"""
Sessions that an agent has at most: with the next one ends what was not used for longest. So a
program that signs in each time and never out costs a list of so many, and not of thousands.
"""


class Good(Struct, frozen=True):
    """
    A session that opens; `seconds_left` until it ends if it is not used. `is_reduced`: it was
    begun by less than is required.
    """

    hash: bytes
    id: UUID
    agent_id: UUID
    role: str
    is_reduced: bool
    seconds_left: float
    teams: list[UUID]


async def find_many(db: Db, hashes: Sequence[bytes]) -> list[Good | None]:
    """In the order of the hashes; None where nothing good has it."""
    found = await db.all(
        Good,
        f"""
        SELECT s.hash, s.id, s.agent_id, a.role, {IS_REDUCED} AS is_reduced,
               extract(epoch FROM least(s.expires_at, s.last_used_at + interval '14 days')
                                  - now())::float8 AS seconds_left,
               ARRAY(SELECT team_id FROM team_members WHERE agent_id = s.agent_id) AS teams
          FROM {SESSIONS}
         WHERE s.hash = ANY($1::bytea[]) AND {IS_GOOD}
        """,
        list(set(hashes)),
    )
    by_hash = {each.hash: each for each in found}
    return [by_hash.get(hash_) for hash_ in hashes]


async def insert(
    db: Db,
    *,
    id_: UUID,
    hash_: bytes,
    agent_id: UUID,
    device_hash: bytes,
    device: str,
    address: str | None,
    means: Sequence[str],
    role: str,
    is_reduced: bool,
) -> str:
    """Its body."""
    body: str = await db.value(
        """
        WITH new AS (
            INSERT INTO sessions (id, hash, agent_id, device_hash, device, address, means, role,
                                  expires_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now() + interval '90 days')
              RETURNING id, agent_id, device, address, created_at, last_used_at, expires_at,
                        true AS is_current, $9::boolean AS second_factor_needed
        )
        SELECT row_to_json(new)::text AS body FROM new
        """,
        id_,
        hash_,
        agent_id,
        device_hash,
        device,
        address,
        list(means),
        role,
        is_reduced,
    )
    return body


async def listed(db: Db, agent_id: UUID, current: UUID | None) -> list[str]:
    """Bodies of those that are good, the newest first; more than `AT_ONCE` only of before."""
    rows = await db.rows(
        """
        SELECT row_to_json(s)::text AS body
          FROM (SELECT s.id, s.agent_id, s.device, s.address, s.created_at, s.last_used_at,
                       s.expires_at, s.id IS NOT DISTINCT FROM $2::uuid AS is_current
                  FROM sessions AS s
                  JOIN agents AS a ON a.id = s.agent_id
                  LEFT JOIN policies AS p ON true
                 WHERE s.agent_id = $1
                   AND s.ended_at IS NULL
                   AND s.expires_at > now()
                   AND s.last_used_at > now() - interval '14 days'
                   AND (s.role IS NULL
                        OR array_position($3::text[], a.role) >= array_position($3, s.role))
                   AND (p.single_sign_on IS NOT TRUE OR a.role = 'owner'
                        OR EXISTS (SELECT FROM unnest(s.means) AS each
                                    WHERE split_part(each, ':', 1) = $4))
              ORDER BY s.created_at DESC, s.id DESC
                 LIMIT 200) AS s
        """,
        agent_id,
        current,
        list(ROLES),
        SINGLE_SIGN_ON,
    )
    return [row[0] for row in rows]


async def end(db: Db, agent_id: UUID, session_id: UUID) -> bool:
    """False when there is no such session of the agent, or it has ended."""
    return bool(
        await db.run(
            """
            UPDATE sessions SET ended_at = now()
             WHERE agent_id = $1 AND id = $2 AND ended_at IS NULL
            """,
            agent_id,
            session_id,
        )
    )


async def end_all(db: Db, agent_id: UUID, but: UUID | None = None) -> int:
    """How many were ended."""
    return await db.run(
        """
        UPDATE sessions SET ended_at = now()
         WHERE agent_id = $1 AND ended_at IS NULL AND id IS DISTINCT FROM $2::uuid
        """,
        agent_id,
        but,
    )


async def make_room(db: Db, agent_id: UUID) -> int:
    """For one more, of an agent that is locked; how many end that would still have opened."""
    count: int = await db.value(
        f"""
        WITH ended AS (
               UPDATE sessions SET ended_at = now()
                WHERE id IN (SELECT id FROM sessions
                              WHERE agent_id = $1 AND ended_at IS NULL
                           ORDER BY last_used_at DESC, id DESC
                             OFFSET {AT_ONCE - 1})
            RETURNING expires_at > now()
                      AND last_used_at > now() - interval '14 days' AS was_open
        )
        SELECT count(*) FILTER (WHERE was_open) AS count FROM ended
        """,
        agent_id,
    )
    return count


async def end_by_hash(db: Db, hash_: bytes) -> bool:
    """False when there is no such session, or it has ended."""
    return bool(
        await db.run(
            "UPDATE sessions SET ended_at = now() WHERE hash = $1 AND ended_at IS NULL", hash_
        )
    )


async def rotate(
    db: Db, session_id: UUID, hash_: bytes, *, gained: Sequence[str], lost: Sequence[str]
) -> bool:
    """Another token, and other means; False when it has ended."""
    return bool(
        await db.run(
            """
            UPDATE sessions
               SET hash = $2,
                   means = ARRAY(SELECT DISTINCT each FROM unnest(means || $3::text[]) AS each
                                  WHERE each <> ALL ($4::text[]))
             WHERE id = $1 AND ended_at IS NULL
            """,
            session_id,
            hash_,
            list(gained),
            list(lost),
        )
    )


async def has_been_here(db: Db, agent_id: UUID, device_hash: bytes) -> bool:
    """Did the agent sign in from this browser before?"""
    return bool(
        await db.value(
            "SELECT EXISTS (SELECT FROM sessions WHERE agent_id = $1 AND device_hash = $2)",
            agent_id,
            device_hash,
        )
    )


async def touch(db: Db, session_ids: Sequence[UUID]) -> int:
    """Write down that they were used, once a minute each; whoever changes one is not waited for."""
    return await db.run(
        """
        UPDATE sessions SET last_used_at = now()
         WHERE id IN (SELECT id FROM sessions
                       WHERE id = ANY($1::uuid[])
                         AND last_used_at <= now() - interval '1 minute'
                         AND last_used_at > now() - interval '14 days'
                    ORDER BY id
                         FOR UPDATE SKIP LOCKED)
        """,
        list(session_ids),
    )


async def forget(db: Db) -> int:
    """By them a browser is known again; half a year after the end that is over too."""
    return await db.run("DELETE FROM sessions WHERE expires_at < now() - interval '90 days'")
