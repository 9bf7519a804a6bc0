"""/api/realtime/keys: those of the built-in gateway. With Ably they are Ably's, made there."""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from pullse.errors import Conflict, Invalid
from pullse.gateway import key_actions as actions
from pullse.gateway import keys
from pullse.gateway.capability import Capability
from pullse.gateway.errors import Failure
from pullse.gateway.key_actions import Made, NoSecret
from pullse.gateway.keys import Listed
from pullse.kit import idempotency
from pullse.kit.db import Db
from pullse.kit.idempotency import Once
from pullse.kit.secret import Secret, WrongSecret
from pullse.kit.web import Answer, Call, Request, encoded, ok

Operations = dict[str, list[str]]
Note = Annotated[str, Meta(max_length=200, description="What it is for.")]
FULL: Operations = {"*": ["*"]}
"""As `pullse keys create` makes them without a capability."""
RIGHTS = 'Resources and their operations, such as `{"chat:*":["subscribe"]}`.'


class KeysAtAbly(Conflict):
    code = "keys_at_ably"

    def __init__(self) -> None:
        super().__init__("Real time is Ably's here: keys are made and revoked in its dashboard.")


class NewKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    note: Note = ""
    capability: Annotated[
        Operations | None, Meta(description=f"{RIGHTS} Without it, everything everywhere.")
    ] = None
    is_revocable: Annotated[
        bool, Meta(description="Can tokens that are made with it be revoked? They last an hour.")
    ] = False


class RealtimeKey(msgspec.Struct, frozen=True):
    name: str
    note: str
    capability: Annotated[Operations, Meta(description=RIGHTS)]
    is_revocable: bool
    created_at: datetime
    revoked_at: datetime | None


class MadeKey(RealtimeKey, frozen=True, kw_only=True):
    key: Annotated[
        str | None,
        Meta(description="Shown this once; null in the answer to a repeated Idempotency-Key."),
    ]


class KeyPage(msgspec.Struct, frozen=True):
    records: list[RealtimeKey]
    next_cursor: Annotated[
        str | None, Meta(description="Give it as `cursor` for the next page; null at the end.")
    ]


class KeyQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The newest first."""

    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, Meta(max_length=2000)] | None = None


async def index(request: Request) -> Answer:
    query = request.read_query(KeyQuery)
    after = place_of(query.cursor)
    async with request.database.session() as db:
        rows = await keys.page(db, after, limit=query.limit + 1)
    records = [shown(row) for row in rows[: query.limit]]
    return ok(request, encoded(KeyPage(records, next_cursor(rows, query.limit))))


async def create(request: Request) -> Answer:
    new = await request.read_body(NewKey)

    async def run(db: Db) -> Once:
        made = await make(request, db, new)
        once, again = shown_once(made, made.text), shown_once(made, None)
        return Once(ok(request, encoded(once)), ok(request, encoded(again)))

    return await idempotency.post(request, run)


async def make(request: Request, db: Db, new: NewKey) -> Made:
    """Raises `Refusal`."""
    if has_ably(request):
        raise KeysAtAbly
    rights = rights_of(FULL if new.capability is None else new.capability)
    secret: Secret | None = request.services.secret
    if secret is None:
        raise NoSecret
    note, is_revocable = new.note, new.is_revocable
    try:
        return await actions.create(
            db, secret, rights, note=note, is_revocable=is_revocable, by=request.actor
        )
    except WrongSecret as error:
        raise NoSecret from error


async def revoke(request: Request) -> Answer:
    async with request.database.transaction() as db:
        await actions.revoke(db, name_in_path(request), by=request.actor)
    return ok(request)


def rights_of(capability: Operations) -> Capability:
    try:
        return Capability.parse(capability)
    except Failure as failure:
        text = failure.message.removeprefix("capability: ")
        raise Invalid.field("capability", text) from failure


def has_ably(request: Request) -> bool:
    return getattr(request.services.realtime, "ably", None) is not None


def name_in_path(request: Request) -> str:
    name = request.path_params["key"]
    if not keys.NAME.fullmatch(name):
        actions.no_key(name[:100])
    return name


def shown(row: Listed) -> RealtimeKey:
    return RealtimeKey(
        row.name,
        row.note,
        msgspec.json.decode(row.capability, type=Operations),
        row.is_revocable,
        row.created_at,
        row.revoked_at,
    )


def shown_once(made: Made, text: str | None) -> MadeKey:
    return MadeKey(*msgspec.structs.astuple(shown(made.key)), key=text)


def next_cursor(rows: Sequence[Listed], limit: int) -> str | None:
    """Of one row more than `limit` where there are more."""
    if len(rows) <= limit:
        return None
    last = rows[limit - 1]
    raw = msgspec.json.encode((last.created_at, last.name))
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def place_of(cursor: str | None) -> tuple[datetime, str] | None:
    """The moment and the name after which to go on; raises `Invalid`."""
    if cursor is None:
        return None
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        raw = base64.b64decode(padded, b"-_", validate=True)
        at, name = msgspec.json.decode(raw, type=tuple[datetime, str])
        if at.tzinfo is not None and "\0" not in name:
            return at, name
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        pass
    raise Invalid.field("cursor", "This is not a cursor of this list.")


EXAMPLE = {
    "name": "pullse.qJ3xV8nK",
    "note": "The status page",
    "capability": {"tickets-updates": ["subscribe"]},
    "is_revocable": False,
    "created_at": "2026-11-22T09:00:00.123456+00:00",
    "revoked_at": None,
}

calls = [
    Call(
        "GET",
        "/api/realtime/keys",
        index,
        "List the gateway's keys, without their secrets",
        "Keys have been fetched.",
        query=KeyQuery,
        data=KeyPage,
        example={"records": [EXAMPLE], "next_cursor": None},
        tag="realtime",
        permission="keys:admin",
    ),
    Call(
        "POST",
        "/api/realtime/keys",
        create,
        "Make a key of the gateway, which is shown this once",
        "Key has been created.",
        status=201,
        body=NewKey,
        data=MadeKey,
        example={**EXAMPLE, "key": "pullse.qJ3xV8nK:vN5kZ7mB1tC4wE6yH9uL3oP0sD8fG2aV5iR7Q1x3ZUf"},
        tag="realtime",
        refuses=[KeysAtAbly, NoSecret],
        permission="keys:admin",
    ),
    Call(
        "DELETE",
        "/api/realtime/keys/{key}",
        revoke,
        "Revoke a key and its tokens, everywhere within a second",
        "Key has been revoked.",
        tag="realtime",
        permission="keys:admin",
    ),
]
