"""Lists that are read by name: their cursors, and pages of bodies as the API shows them."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from pullse.errors import Invalid
from pullse.kit.web import Answer, Request, encoded, ok


def place_of(cursor: str | None) -> tuple[str, UUID] | None:
    """The name and the id after which to go on; raises `Invalid`."""
    if cursor is None:
        return None
    no_cursor = Invalid.field("cursor", "This is not a cursor of this list.")
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        raw = base64.b64decode(padded, b"-_", validate=True)
        name, id_ = msgspec.json.decode(raw, type=tuple[str, UUID])
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        raise no_cursor from None
    if "\0" in name:
        raise no_cursor
    return name, id_


def page(request: Request, rows: Sequence[Sequence[Any]], limit: int) -> Answer:
    """Of rows of body, name and id, one more than `limit` where there are more."""
    records = ",".join(row[0] for row in rows[:limit])
    cursor = make_cursor(*rows[limit - 1][1:]) if len(rows) > limit else None
    return ok(request, f'{{"records":[{records}],"next_cursor":{encoded(cursor)}}}')


def make_cursor(name: str, id_: UUID) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((name, id_))).rstrip(b"=").decode()
