"""
/realtime: who serves real time here, and the keys of the built-in gateway.

Not /keys: that is the gateway's own, as Ably's clients know it.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pullse.errors import Invalid, NotFound, Refusal
from pullse.gateway import key_actions as actions
from pullse.gateway import keys
from pullse.gateway.key_actions import Made
from pullse.gateway.keys_api import (
    NewKey,
    Note,
    Operations,
    has_ably,
    make,
    name_in_path,
    next_cursor,
    place_of,
    shown,
)
from pullse.kit.pages import Form, Shown, doing, read_form, see, showing, status_of
from pullse.kit.web import Request
from pullse.web import frame

HERE = "/realtime"
ON_A_PAGE = 50
LISTEN: Operations = {"*": ["history", "presence-subscribe", "subscribe"]}
FIRST = [("may", "listen")]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cursor: Annotated[str, Meta(max_length=2000)] | None = None
    done: Literal["revoked"] | None = None


class Typed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`capability` is JSON, and counts where `may` is `own`."""

    may: Literal["listen", "everything", "own"]
    note: Note = ""
    capability: Annotated[str, Meta(max_length=12_000)] | None = None
    is_revocable: Literal["yes"] | None = None


async def show(request: Request) -> Shown:
    asked = request.read_query(Asked)
    return await page(request, Form(FIRST), cursor=asked.cursor, done=asked.done)


async def page(
    request: Request,
    form: Form,
    status: int = 200,
    *,
    cursor: str | None = None,
    done: str | None = None,
    made: Made | None = None,
) -> Shown:
    after = place_of(cursor)
    async with request.database.session() as db:
        rows = await keys.page(db, after, limit=ON_A_PAGE + 1)
    return await frame.shown(
        request,
        "gateway/keys.html",
        status,
        form=form,
        keys=[shown(row) for row in rows[:ON_A_PAGE]],
        more=next_cursor(rows, ON_A_PAGE),
        has_ably=has_ably(request),
        done=done,
        made=made,
    )


async def create(request: Request) -> Shown:
    form = await read_form(request)
    try:
        given = form.read(Typed)
        new = NewKey(given.note, capability_of(given), given.is_revocable is not None)
        async with request.database.transaction() as db:
            made = await make(request, db, new)
    except Refusal as error:
        return await page(request, form.refused(error), status_of(error))
    return await page(request, Form(FIRST), 201, made=made)


async def revoke(request: Request) -> Shown:
    form = await read_form(request)
    try:
        async with request.database.transaction() as db:
            await actions.revoke(db, name_in_path(request), by=request.actor)
    except NotFound:
        raise
    except Refusal as error:
        return await page(request, form.refused(error), status_of(error))
    return see(f"{HERE}?done=revoked")


def capability_of(given: Typed) -> Operations | None:
    """Raises `Invalid`."""
    if given.may != "own":
        return LISTEN if given.may == "listen" else None
    try:
        return msgspec.json.decode((given.capability or "").encode(), type=Operations)
    except (msgspec.MsgspecError, RecursionError):
        example = '{"chat:*": ["subscribe"]}'
        message = f"A JSON object of lists of operations, such as {example}."
        raise Invalid.field("capability", message) from None


pages = [
    showing(HERE, show, "keys:admin", query=Asked),
    doing(HERE, create, "keys:admin"),
    doing(f"{HERE}/{{key}}/revoke", revoke, "keys:admin"),
]
