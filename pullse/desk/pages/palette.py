"""`/palette`: tickets for the command palette, by number, by words, or as visited before."""

from typing import Annotated, Literal
from urllib.parse import urlencode

import msgspec
from msgspec import Meta

from pullse.desk import finding
from pullse.kit.pages import Shown, see, showing
from pullse.kit.web import Request
from pullse.tickets.api import as_number
from pullse.web.frame import piece


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    q: Annotated[str, Meta(max_length=300)] = ""
    visited: Annotated[list[str], Meta(max_length=20)] = []
    fragment: Literal["found"] | None = None


async def show(request: Request) -> Shown:
    """Without a script there is no palette, but the list."""
    asked = request.read_query(Asked)
    if asked.fragment is None:
        return see("/tickets?" + urlencode({"q": asked.q}) if asked.q else "/")
    if asked.q.strip():
        found = await finding.find(request.database, asked.q, request.actor.teams)
    else:
        numbers = [number for text in asked.visited if (number := as_number(text)) is not None]
        async with request.database.session() as db:
            found = await finding.by_number(db, numbers, request.actor.teams)
    return await piece(request, "desk/palette.html", found=found)


pages = [showing("/palette", show, "tickets:read", query=Asked)]
