"""What is audited, and reading it; the chain itself is kit/audit.py."""

from collections.abc import Sequence
from datetime import date

from pullse.kit.audit import record
from pullse.kit.db import Db, Struct

__all__ = ["NAMES", "START", "Page", "Place", "Shown", "page", "record"]

NAMES = (
    "token.created",
    "token.rotated",
    "token.revoked",
    "agent.invited",
    "agent.name_changed",
    "agent.email_changed",
    "agent.role_changed",
    "agent.disabled",
    "agent.enabled",
    "agent.deleted",
    "team.created",
    "team.changed",
    "team.deleted",
    "team.joined",
    "team.left",
    "identity.linked",
    "identity.unlinked",
    "key.created",
    "key.revoked",
    "key.reset",
    "key.tokens_revoked",
    "job.retried",
    "job.deleted",
    "audit.exported",
    "backup.made",
    "access.refused",
    "link.made",
    "link.used",
    "passkey.added",
    "passkey.removed",
    "password.changed",
    "password.removed",
    "policy.changed",
    "session.ended",
    "sign_in.failed",
    "sign_in.succeeded",
    "totp.enrolled",
    "totp.removed",
)
SCANNED_AT_MOST = 2000
"""Rows looked at for one filtered page; a page may be short with more to come."""


class Place(Struct, frozen=True):
    """Everything up to and including this row has been read."""

    day: date
    number: int

    @property
    def cursor(self) -> str:
        return f"{self.day}.{self.number}"


START = Place(date.min, 0)


class Shown(Struct, frozen=True):
    """A row, with its JSON text as the API shows it if it is one of those that were asked for."""

    day: date
    number: int
    body: str | None


class Page(Struct, frozen=True):
    """`place` is where to go on, also when nothing matched; `is_end`: there is no more now."""

    records: Sequence[str]
    place: Place
    is_end: bool


async def page(
    db: Db, place: Place, *, limit: int, names: Sequence[str] = (), actor: str | None = None
) -> Page:
    scan = limit if not names and actor is None else SCANNED_AT_MOST
    seen = await rows(db, place, list(names) or None, actor, limit=scan)
    is_end = len(seen) < scan
    matching = [each for each in seen if each.body is not None]
    if len(matching) > limit:
        is_end, seen, matching = False, matching[:limit], matching[:limit]
    last = Place(seen[-1].day, seen[-1].number) if seen else place
    return Page([str(each.body) for each in matching], last, is_end)


async def rows(
    db: Db, place: Place, names: list[str] | None, actor: str | None, *, limit: int
) -> list[Shown]:
    return await db.all(
        Shown,
        """
        SELECT day, number,
               CASE WHEN ($3::text[] IS NULL OR name = ANY ($3))
                     AND ($4::text IS NULL OR actor = $4)
                    THEN (SELECT row_to_json(shown)::text
                            FROM (SELECT to_char(day, 'YYYY-MM-DD.') || number AS cursor,
                                         at, name, actor, address, request_id, data,
                                         encode(hash, 'hex') AS hash) AS shown)
                END AS body
          FROM audit
         WHERE (day, number) > ($1, $2)
      ORDER BY day, number
         LIMIT $5
        """,
        place.day,
        place.number,
        names,
        actor,
        limit,
    )
