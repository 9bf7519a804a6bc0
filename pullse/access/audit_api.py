"""/api/audit: the audit trail, oldest first, by the cursor that the rows themselves carry."""

import re
from datetime import date, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from pullse.access import audit, audit_export
from pullse.access.audit import NAMES, START, Place
from pullse.access.audit_export import Export, NewExport
from pullse.errors import Invalid
from pullse.kit.audit import Link, Verdict, verify
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


VERIFIED_AT_ONCE = 50_000
"""Rows, for which a walk takes some seconds."""

Hash = Annotated[str, Meta(pattern="^[0-9a-fA-F]{64}$", description="SHA-256, in hexadecimal.")]


class Walk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    expect: Annotated[
        Hash | None, Meta(description="One that was kept elsewhere: its row must still be there.")
    ] = None
    after: Annotated[
        Annotated[str, Meta(max_length=40)] | None,
        Meta(description="To go on: `cursor` of the answer before."),
    ] = None
    hash: Annotated[Hash | None, Meta(description="And its `hash`.")] = None


class Flaw(msgspec.Struct, frozen=True):
    place: Annotated[str, Meta(description="The cursor of a row, `end` or `days`.")]
    text: str


class Verification(msgspec.Struct, frozen=True):
    is_whole: Annotated[
        bool, Meta(description="All rows there were; else go on with `after` and `hash`.")
    ]
    count: Annotated[int, Meta(description="Rows that were looked at.")]
    cursor: Annotated[str | None, Meta(description="Of the last of them.")]
    hash: Annotated[str, Meta(description="Of the last of them: keep it elsewhere.")]
    has_expected: Annotated[
        bool, Meta(description="The row of `expect` was among them; go on without it then.")
    ]
    flaws: Annotated[list[Flaw], Meta(description="100 at most; none: nothing was edited.")]


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


async def verification(request: Request) -> Answer:
    verdict = await walked(request, await request.read_body(Walk))
    flaws = [Flaw(each.place, each.text) for each in verdict.findings]
    cursor = None if verdict.last is None else verdict.last.place
    newest, has_expected = verdict.newest.hex(), verdict.has_expected
    found = Verification(verdict.is_whole, verdict.count, cursor, newest, has_expected, flaws)
    return ok(request, encoded(found))


async def export(request: Request) -> Export:
    return await audit_export.begin(request, await request.read_body(NewExport))


async def walked(request: Request, walk: Walk) -> Verdict:
    """Raises `Invalid` for half of a place to go on from."""
    after = None
    if (walk.after is None) != (walk.hash is None):
        raise Invalid.field("hash", "`after` and `hash` belong together.")
    if walk.after is not None and walk.hash is not None:
        place = place_of(walk.after)
        after = Link(place.day, place.number, bytes.fromhex(walk.hash))
    expected = None if walk.expect is None else bytes.fromhex(walk.expect)
    async with request.database.session() as db:
        return await verify(db, expected=expected, after=after, most=VERIFIED_AT_ONCE)


def place_of(text: str, name: str = "after") -> Place:
    found = CURSOR.fullmatch(text)
    try:
        if found is not None:
            return Place(date.fromisoformat(found[1]), int(found[2]))
    except ValueError:
        pass
    raise Invalid.field(name, "This is not a cursor of the audit trail.")


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
    Call(
        "POST",
        "/api/audit/verification",
        verification,
        "Verify the audit trail, or the next part of it",
        "Audit trail has been verified.",
        body=Walk,
        body_example={"expect": EXAMPLE["hash"]},
        data=Verification,
        example={
            "is_whole": True,
            "count": 1204,
            "cursor": EXAMPLE["cursor"],
            "hash": EXAMPLE["hash"],
            "has_expected": True,
            "flaws": [],
        },
        tag="access",
        description="Rows are walked from the oldest, 50,000 in an answer. See docs/api/audit.md.",
        is_repeatable=False,
        permission="audit:read",
    ),
    Call(
        "POST",
        "/api/audit/export",
        export,
        "Take the audit trail, or the rows that are asked for, as a file",
        "Each line is a row, as JSON, the newest first.",
        body=NewExport,
        body_example={"format": "ndjson", "since": "2026-11-01"},
        tag="access",
        description="It is sent in portions while it is read; one that breaks off is not whole. "
        "The row `audit.exported` tells of it.",
        is_repeatable=False,
        media_type="application/x-ndjson",
        also={"text/csv": "The same for a spreadsheet, with `format: csv`."},
        permission="audit:read",
    ),
]
