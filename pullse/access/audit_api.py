"""/api/audit: the audit trail, oldest first, by the cursor that the rows themselves carry."""

import re
from datetime import date, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from pullse.access import audit
from pullse.access.audit import NAMES, START, Place
from pullse.errors import Invalid
from pullse.kit.web import Answer, Call, Request, encoded, ok

CURSOR = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})\.([0-9]{1,18})")


class AuditEntry(msgspec.Struct, frozen=True):
    cursor: Annotated[str, Meta(description="Day and number: where to go on after this row.")]
    at: datetime
    name: str
    actor: str
    address: Annotated[str | None, Meta(description="Where the actor came from.")]
    request_id: str | None
    data: dict[str, Any]
    hash: Annotated[str, Meta(description="SHA-256 of the hash before and this row.")]


class AuditPage(msgspec.Struct, frozen=True):
    records: list[AuditEntry]
    next_cursor: Annotated[str | None, Meta(description="Null when there is nothing more now.")]
    cursor: Annotated[str, Meta(description="Where to go on later, also after an empty page.")]


class AuditQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    after: Annotated[str, Meta(max_length=40, description="A cursor: rows after it.")] | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    name: Annotated[list[str], Meta(description="Rows of these names only.")] = []
    actor: Annotated[str, Meta(max_length=200, description="What this actor did.")] | None = None


async def index(request: Request) -> Answer:
    query = request.read_query(AuditQuery)
    unknown = [name for name in query.name if name not in NAMES]
    if unknown:
        raise Invalid.field("name", f"Unknown: {unknown[0]}. One of {', '.join(NAMES)}.")
    after = START if query.after is None else place_of(query.after)
    async with request.database.session() as db:
        page = await audit.page(db, after, limit=query.limit, names=query.name, actor=query.actor)
    cursor = encoded(page.place.cursor)
    following = "null" if page.is_end else cursor
    records = ",".join(page.records)
    return ok(request, f'{{"records":[{records}],"next_cursor":{following},"cursor":{cursor}}}')


def place_of(text: str) -> Place:
    found = CURSOR.fullmatch(text)
    try:
        if found is not None:
            return Place(date.fromisoformat(found[1]), int(found[2]))
    except ValueError:
        pass
    raise Invalid.field("after", "This is not a cursor of the audit trail.")


EXAMPLE = {
    "cursor": "2026-11-22.2",
    "at": "2026-11-22T09:00:00.123456+00:00",
    "name": "agent.role_changed",
    "actor": "token",
    "address": "203.0.113.7",
    "request_id": "5f2b0c9d7e1a4b3c8d6f0a12",
    "data": {
        "agent_id": "019aa4ae-4c11-7a3e-9f6b-2d8e7c5a1b04",
        "email": "ada@example.org",
        "role": ["agent", "admin"],
    },
    "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}

calls = [
    Call(
        "GET",
        "/api/audit",
        index,
        "Read the audit trail, oldest first",
        "Audit trail has been fetched.",
        query=AuditQuery,
        data=AuditPage,
        example={"records": [EXAMPLE], "next_cursor": None, "cursor": "2026-11-22.2"},
        tag="access",
        permission="audit:read",
    ),
]
