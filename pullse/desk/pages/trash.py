"""`/trash`: the list of deleted tickets. An address that can't be is answered by it too."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from pullse.desk import columns, lists
from pullse.desk.heads import Head
from pullse.desk.lists import Ticket
from pullse.desk.telling import told
from pullse.errors import Invalid
from pullse.kit.pages import EMPTY, Form, Shown, showing, status_of, wants_page
from pullse.kit.reading import Malformed
from pullse.kit.web import Request
from pullse.tickets import listing
from pullse.tickets.model import Cursor
from pullse.web.frame import shown

HERE = "/trash"
NAME = "trash"
"""In the place of a list's text."""
ON_A_PAGE = 50


class InTrash(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cursor: Cursor | None = None
    done: Annotated[str, Meta(max_length=1000)] | None = None


async def index(request: Request) -> Shown:
    try:
        asked = request.read_query(InTrash)
        return await page(request, asked.cursor, done=asked.done)
    except (Invalid, Malformed) as error:
        if not wants_page(request.scope):
            raise
        given = EMPTY.refused(error)
        return await drawn(request, status_of(error), given, rows=((), None), is_first=True)


async def page(
    request: Request,
    cursor: str | None = None,
    form: Form = EMPTY,
    status: int = 200,
    *,
    done: str | None = None,
) -> Shown:
    async with request.database.session() as db:
        found = await listing.trash(db, cursor, ON_A_PAGE, request.actor.teams, brief=True)
    rows = (lists.tickets_in(found), found.next_cursor)
    return await drawn(request, status, None, form, rows=rows, is_first=cursor is None, done=done)


async def drawn(
    request: Request,
    status: int,
    given: Form | None,
    form: Form = EMPTY,
    *,
    rows: tuple[Sequence[Ticket], str | None],
    is_first: bool,
    done: str | None = None,
) -> Shown:
    """`given` is an address that can't be."""
    tickets, cursor = rows
    return await shown(
        request,
        "desk/trash.html",
        status,
        tickets=tickets,
        given=given,
        is_astray=given is not None,
        is_first=is_first,
        more=cursor and f"{HERE}?cursor={cursor}",
        columns=columns.OF_TRASH,
        heads=[Head(each.name) for each in columns.OF_TRASH],
        edit=None,
        text=NAME,
        **told(request, form, done),
    )


pages = [showing(HERE, index, "tickets:read", query=InTrash)]
