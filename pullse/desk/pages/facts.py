"""/tickets/{ticket}/facts/{fact}: one thing that happened, and what it changed in the text."""

from typing import Any, Literal

import msgspec

from pullse.desk import differences
from pullse.desk import ticket_queries as queries
from pullse.desk.pages.ticket import find
from pullse.desk.timeline import reading
from pullse.errors import NotFound
from pullse.kit.pages import Shown, showing
from pullse.kit.web import Request
from pullse.tickets.api import as_number
from pullse.web.frame import piece, shown

HERE = "/tickets/{ticket}/facts/{fact}"


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    fragment: Literal["diff"] | None = None


async def show(request: Request) -> Shown:
    asked = request.read_query(Asked)
    fact_id = as_number(request.path_params["fact"])
    async with request.database.session() as db:
        ticket = await find(db, request)
        fact = None if fact_id is None else await queries.fact(db, ticket.id, fact_id)
        entries = [] if fact is None else reading.told(ticket, [fact])
        if fact is None or not entries:
            raise NotFound("There is no such change.")
        known = await reading.names_of(db, reading.words_in(entries[0]), request.actor.teams)
        texts = await queries.texts(db, ticket.id, fact.id) if fact.has_text else None
    given: dict[str, Any] = {
        "ticket": ticket,
        "each": reading.named_entry(entries[0], known),
        "blocks": [] if texts is None else differences.blocks(texts.before, texts.after),
    }
    if asked.fragment:
        return await piece(request, "desk/diff.html", **given)
    may_write = "tickets:write" in request.actor.rights
    return await shown(request, "desk/fact.html", may_write=may_write, **given)


pages = [showing(HERE, show, "tickets:read", query=Asked)]
