"""
Tokens that were revoked before their end, by whom they are for: in memory, as every request
asks, and read from the database, as every process has to know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pullse.gateway import tokens
from pullse.gateway.errors import BAD_PARAMETER, BAD_REQUEST, Failure
from pullse.kit.db import Db, Struct

MARGIN = 30_000
"""Milliseconds that clients are given to get another token."""
PAST_AT_MOST = tokens.HOUR
TARGETS_AT_MOST = 100
LENGTH_AT_MOST = 2_100
TOLD_AT_MOST, TOLD_LENGTH = 10, 200
KINDS = ("clientId", "revocationKey", "channel")


class Row(Struct, frozen=True):
    """`at` is milliseconds since 1970 by the database's clock."""

    id: int
    key_name: str
    target: str
    issued_before: int
    has_margin: bool
    at: int


@dataclass(frozen=True, slots=True)
class Revocation:
    """Of tokens that were issued before a moment; it applies from another moment on."""

    target: str
    issued_before: int
    applies_at: int

    def makes_needless(self, other: "Revocation") -> bool:
        return self.issued_before >= other.issued_before and self.applies_at <= other.applies_at


class Revocations:
    """By key and target; what every token has outlived is forgotten."""

    def __init__(self) -> None:
        self._of_keys: dict[str, dict[str, list[Revocation]]] = {}
        self._pending: list[int] = []
        self._swept_at = 0
        self.newest = 0

    def add(self, row: Row) -> None:
        applies_at = row.at + MARGIN if row.has_margin else 0
        new = Revocation(row.target, row.issued_before, applies_at)
        targets = self._of_keys.setdefault(row.key_name, {})
        kept = [each for each in targets.get(row.target, ()) if not new.makes_needless(each)]
        if not any(each.makes_needless(new) for each in kept):
            kept.append(new)
        targets[row.target] = kept
        if applies_at:
            self._pending.append(applies_at)
        self.newest = max(self.newest, row.id)

    def knows(self, key_name: str) -> bool:
        """Was anything of this key revoked?"""
        return key_name in self._of_keys

    def of(self, key_name: str, targets: Sequence[str], issued: int) -> list[Revocation]:
        """Those that such a token falls under, now or soon."""
        known = self._of_keys.get(key_name, {})
        found = (each for target in targets for each in known.get(target, ()))
        return [each for each in found if issued < each.issued_before]

    def falls_due(self, at: int) -> bool:
        """Has one begun to apply since this was last asked?"""
        pending = [each for each in self._pending if each > at]
        has_fallen = len(pending) < len(self._pending)
        self._pending = pending
        return has_fallen

    def sweep(self, at: int) -> None:
        """Once an hour."""
        if at - self._swept_at < tokens.HOUR:
            return
        self._swept_at = at
        oldest = at - tokens.TTL_AT_MOST
        for targets in self._of_keys.values():
            for target, listed in list(targets.items()):
                targets[target] = [each for each in listed if each.issued_before > oldest]
                if not targets[target]:
                    del targets[target]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request to revoke tokens, read."""

    targets: list[str]
    issued_before: int
    has_margin: bool

    @classmethod
    def read(cls, given: object, at: int) -> "Wanted":
        """Raises Failure 40000 or 40003; single targets that make no sense do not."""
        if not isinstance(given, Mapping):
            raise Failure(BAD_REQUEST, "A revocation is an object with targets.")
        targets = given.get("targets")
        if not isinstance(targets, list) or not 0 < len(targets) <= TARGETS_AT_MOST:
            raise Failure(BAD_PARAMETER, f"targets: a list of 1 to {TARGETS_AT_MOST}.")
        if not all(isinstance(each, str) for each in targets):
            raise Failure(BAD_PARAMETER, "targets: texts such as clientId:ada.")
        issued_before = tokens.whole(given.get("issuedBefore"), "issuedBefore")
        if issued_before is None:
            issued_before = at
        if not at - PAST_AT_MOST <= issued_before <= at:
            raise Failure(BAD_PARAMETER, "issuedBefore: within the last hour.")
        margin = given.get("allowReauthMargin") or False
        if not isinstance(margin, bool):
            raise Failure(BAD_PARAMETER, "allowReauthMargin: true or false.")
        return cls(targets, issued_before, margin)

    @property
    def sound(self) -> list[str]:
        """The targets that make sense."""
        return [each for each in self.targets if is_target(each)]

    def told(self, key_name: str) -> dict[str, Any]:
        """For the audit trail, which keeps it for good: only the first of many targets."""
        first = [each[:TOLD_LENGTH] for each in self.sound[:TOLD_AT_MOST]]
        return {"key": key_name, "targets": first, "count": len(self.sound)}


def is_target(text: str) -> bool:
    kind, _, value = text.partition(":")
    return kind in KINDS and bool(value) and len(text) <= LENGTH_AT_MOST and tokens.is_text(text)


def results(wanted: Wanted, at: int) -> dict[str, Any]:
    """BatchResult, as Ably's clients read it."""
    done = {
        "issuedBefore": wanted.issued_before,
        "appliesAt": at + MARGIN if wanted.has_margin else at,
    }
    wrong = Failure(BAD_PARAMETER, f"A target is {', '.join(KINDS)} with a value: clientId:ada.")
    found = [
        {"target": each, **(done if is_target(each) else {"error": wrong.info})}
        for each in wanted.targets
    ]
    count = len(wanted.sound)
    return {"successCount": count, "failureCount": len(found) - count, "results": found}


async def add(db: Db, key_name: str, wanted: Wanted) -> None:
    """In a transaction of its own: ids have to become visible in their order."""
    await db.run("LOCK TABLE realtime_revocations IN SHARE ROW EXCLUSIVE MODE")
    await db.run(
        """
        INSERT INTO realtime_revocations (key_name, target, issued_before, has_margin)
             SELECT $1, target, $3, $4 FROM unnest($2::text[]) AS target
        """,
        key_name,
        wanted.sound,
        wanted.issued_before,
        wanted.has_margin,
    )


async def since(db: Db, id_: int) -> list[Row]:
    """Those after `id_` that a token may still fall under."""
    return await db.all(
        Row,
        """
        SELECT id, key_name, target, issued_before, has_margin,
               (extract(epoch FROM at) * 1000)::bigint AS at
          FROM realtime_revocations
         WHERE id > $1 AND at > now() - interval '25 hours'
      ORDER BY id
        """,
        id_,
    )
