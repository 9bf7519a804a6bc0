"""Every statement about how everybody has to sign in."""

from collections.abc import Sequence
from uuid import UUID

from pullse.kit.db import Db, Struct


class Policy(Struct, frozen=True):
    """What is required of agents who sign in."""

    second_factor: bool = False
    single_sign_on: bool = False


class Standing(Struct, frozen=True):
    """
    How a session was begun: within the last ten minutes (`is_fresh`), by less than is required
    (`is_weak`); and whether its agent has a second factor.
    """

    role: str
    means: list[str]
    is_fresh: bool
    is_weak: bool
    has_factor: bool


async def find(db: Db) -> Policy | None:
    return await db.maybe(Policy, "SELECT second_factor, single_sign_on FROM policies")


async def lock(db: Db) -> Policy:
    """Of several changes one comes after the other."""
    await db.run("INSERT INTO policies DEFAULT VALUES ON CONFLICT DO NOTHING")
    return await db.one(Policy, "SELECT second_factor, single_sign_on FROM policies FOR UPDATE")


async def replace(db: Db, policy: Policy) -> None:
    await db.run(
        "UPDATE policies SET second_factor = $1, single_sign_on = $2",
        policy.second_factor,
        policy.single_sign_on,
    )


async def standing(db: Db, session_id: UUID, strong: Sequence[str]) -> Standing | None:
    """None when it has ended. `strong` are the means that are enough where two are required."""
    return await db.maybe(
        Standing,
        """
        SELECT a.role, s.means, s.created_at > now() - interval '10 minutes' AS is_fresh,
               p.second_factor IS TRUE AND NOT kinds.of && $2::text[] AS is_weak,
               EXISTS (SELECT FROM passkeys WHERE agent_id = a.id)
               OR EXISTS (SELECT FROM totp WHERE agent_id = a.id AND confirmed_at IS NOT NULL)
                  AS has_factor
          FROM sessions AS s
          JOIN agents AS a ON a.id = s.agent_id
          LEFT JOIN policies AS p ON true
         CROSS JOIN LATERAL (SELECT ARRAY(SELECT split_part(each, ':', 1)
                                            FROM unnest(s.means) AS each) AS of) AS kinds
         WHERE s.id = $1 AND s.ended_at IS NULL
        """,
        session_id,
        list(strong),
    )
