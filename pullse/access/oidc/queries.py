"""Every statement about linked identities and attempts to sign in by a provider."""

from collections.abc import Sequence
from uuid import UUID

from pullse.kit.db import Db, Struct


class Good(Struct, frozen=True):
    """An identity that opens, for what its agent's role allows."""

    issuer: str
    subject: str
    id: UUID
    agent_id: UUID
    role: str
    seconds_left: float | None
    teams: list[UUID]


async def begin(
    db: Db,
    *,
    state_hash: bytes,
    browser_hash: bytes,
    provider: str,
    return_to: str,
    seconds: int,
) -> None:
    await db.run(
        """
        INSERT INTO oidc_attempts (state_hash, browser_hash, provider, return_to, expires_at)
             VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5::integer))
        """,
        state_hash,
        browser_hash,
        provider,
        return_to,
        seconds,
    )


async def take(db: Db, state_hash: bytes, browser_hash: bytes, provider: str) -> str | None:
    """Where to go afterwards. Of several who come at once, one gets it; no other browser does."""
    return_to: str | None = await db.value(
        """
        DELETE FROM oidc_attempts
         WHERE state_hash = $1 AND browser_hash = $2 AND provider = $3 AND expires_at > now()
     RETURNING return_to
        """,
        state_hash,
        browser_hash,
        provider,
    )
    return return_to


async def agent_of(db: Db, issuer: str, subject: str) -> UUID | None:
    """Also one who is disabled; not one who was removed."""
    agent_id: UUID | None = await db.value(
        """
        SELECT i.agent_id
          FROM identities AS i
          JOIN agents AS a ON a.id = i.agent_id
         WHERE i.issuer = $1 AND i.subject = $2 AND a.deleted_at IS NULL
        """,
        issuer,
        subject,
    )
    return agent_id


async def link(db: Db, *, id_: UUID, issuer: str, subject: str, agent_id: UUID, email: str) -> bool:
    """False when it is another agent's, who was not removed."""
    return bool(
        await db.run(
            """
            INSERT INTO identities AS i (id, issuer, subject, agent_id, email)
                 VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT ON CONSTRAINT identities_are_of_one_agent DO UPDATE
                    SET id = excluded.id, agent_id = excluded.agent_id, email = excluded.email,
                        linked_at = now(), last_used_at = now()
                  WHERE i.agent_id = excluded.agent_id
                     OR EXISTS (SELECT FROM agents
                                 WHERE id = i.agent_id AND deleted_at IS NOT NULL)
            """,
            id_,
            issuer,
            subject,
            agent_id,
            email,
        )
    )


async def find_many(db: Db, wanted: Sequence[tuple[str, str]]) -> list[Good | None]:
    """By issuer and subject, in their order; None where nobody good has it."""
    found = await db.all(
        Good,
        """
        SELECT i.issuer, i.subject, i.id, i.agent_id, a.role, NULL::float8 AS seconds_left,
               ARRAY(SELECT team_id FROM team_members WHERE agent_id = i.agent_id) AS teams
          FROM unnest($1::text[], $2::text[]) AS wanted (issuer, subject)
          JOIN identities AS i ON i.issuer = wanted.issuer AND i.subject = wanted.subject
          JOIN agents AS a ON a.id = i.agent_id
         WHERE a.state <> 'disabled' AND a.deleted_at IS NULL
        """,
        [issuer for issuer, _ in wanted],
        [subject for _, subject in wanted],
    )
    by_name = {(each.issuer, each.subject): each for each in found}
    return [by_name.get(each) for each in wanted]


async def used(db: Db, issuer: str, subject: str) -> None:
    await db.run(
        "UPDATE identities SET last_used_at = now() WHERE issuer = $1 AND subject = $2",
        issuer,
        subject,
    )


async def touch(db: Db, ids: Sequence[UUID]) -> None:
    await db.run("UPDATE identities SET last_used_at = now() WHERE id = ANY($1::uuid[])", list(ids))


async def listed(db: Db, agent_id: UUID, issuers: Sequence[str], names: Sequence[str]) -> list[str]:
    """Bodies, oldest first; `names` are those of the providers with these issuers."""
    rows = await db.rows(
        """
        SELECT row_to_json(shown)::text AS body
          FROM (SELECT i.id, i.issuer, p.name AS provider, i.email, i.linked_at, i.last_used_at
                  FROM identities AS i
                  LEFT JOIN unnest($2::text[], $3::text[]) AS p (issuer, name)
                         ON p.issuer = i.issuer
                 WHERE i.agent_id = $1
              ORDER BY i.linked_at, i.id
                 LIMIT 200) AS shown
        """,
        agent_id,
        list(issuers),
        list(names),
    )
    return [row[0] for row in rows]


async def issuer_of(db: Db, agent_id: UUID, identity_id: UUID) -> str | None:
    issuer: str | None = await db.value(
        "SELECT issuer FROM identities WHERE id = $1 AND agent_id = $2", identity_id, agent_id
    )
    return issuer


async def unlink(db: Db, identity_id: UUID) -> None:
    await db.run("DELETE FROM identities WHERE id = $1", identity_id)


async def forget_attempts(db: Db) -> int:
    return await db.run("DELETE FROM oidc_attempts WHERE expires_at < now()")
