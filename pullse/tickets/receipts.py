"""
What was done to several tickets, to be told on the next page and to be taken back by.

It goes through the caller's hands, so that nothing waits on the server; sealed, so that nobody
makes one.
"""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Sequence
from typing import Literal

import msgspec

from pullse.errors import Invalid
from pullse.kit.web import Request
from pullse.tickets.bulk import Outcome, Span

Kind = Literal["changed", "deleted", "restored", "undone"]
KINDS: dict[str, Kind] = {"change": "changed", "delete": "deleted", "restore": "restored"}
GOOD_FOR = 86_400
"""Seconds; later there is each ticket's own history."""
SEAL = 16


class Receipt(msgspec.Struct, frozen=True, array_like=True):
    """How many tickets each; see `Outcome`. `span` is None where there is nothing to take back."""

    kind: Kind
    done: int
    same: int
    stale: int
    gone: int
    barred: int
    span: Span | None
    until: int

    @property
    def left(self) -> Sequence[tuple[str, int]]:
        """Why some are as they were, and how many."""
        reasons = (("stale", self.stale), ("gone", self.gone), ("barred", self.barred))
        return [(name, count) for name, count in reasons if count]


def receipt(kind: Kind, outcome: Outcome) -> Receipt:
    return Receipt(
        kind,
        len(outcome.done),
        len(outcome.same),
        len(outcome.stale),
        len(outcome.gone),
        len(outcome.barred),
        outcome.span,
        int(time.time()) + GOOD_FOR,
    )


def written(request: Request, given: Receipt) -> str:
    plain = msgspec.json.encode(given)
    return base64.urlsafe_b64encode(seal(request, plain) + plain).rstrip(b"=").decode()


def find(request: Request, text: str | None) -> Receipt | None:
    """None for one that is another's, too old, or none."""
    try:
        raw = base64.b64decode((text or "") + "=" * (-len(text or "") % 4), b"-_", validate=True)
    except (ValueError, binascii.Error):
        return None
    plain = raw[SEAL:]
    if not hmac.compare_digest(raw[:SEAL], seal(request, plain)):
        return None
    found = msgspec.json.decode(plain, type=Receipt)
    return found if found.until >= time.time() else None


def span_in(request: Request, text: str) -> Span:
    found = find(request, text)
    if found is None or found.span is None:
        raise Invalid.field("receipt", "This can't be taken back any more.")
    return found.span


def seal(request: Request, plain: bytes) -> bytes:
    """Nobody else's opens: who asks is in it."""
    key = hmac.digest(request.services.key, b"receipts of the desk", hashlib.sha256)
    return hmac.digest(key, request.actor.id.encode() + b"\0" + plain, hashlib.sha256)[:SEAL]
