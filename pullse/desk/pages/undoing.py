"""
One change of a ticket, taken back: what its fact says that was before is set again, as a PATCH
with If-Match would, if everything that it set is still so.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from pullse.desk import merging
from pullse.desk import ticket_queries as queries
from pullse.desk.merging import Decision
from pullse.desk.pages.changing import ATTEMPTS, InTrash, asked_by, write
from pullse.desk.pages.ticket import ListText, find, led_on, page
from pullse.desk.ticket_queries import Ticket
from pullse.desk.timeline import reading
from pullse.errors import Conflict, Invalid, NotFound, Refusal, Stale
from pullse.kit.db import Db
from pullse.kit.pages import Shown, doing, read_form, status_of
from pullse.kit.web import Request

HERE = "/tickets/{ticket}/undo"


class Typed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    fact: Annotated[str, Meta(pattern=r"^[0-9]{1,18}$")]
    list: ListText | None = None


async def undo(request: Request) -> Shown:
    form = await read_form(request)
    try:
        return await undone(request, form.read(Typed))
    except NotFound:
        raise
    except Refusal as error:
        return await page(request, asked_by(form), status_of(error), form=form.refused(error))


async def undone(request: Request, typed: Typed) -> Shown:
    for _ in range(ATTEMPTS):
        async with request.database.session() as db:
            ticket = await find(db, request)
            before = await what_was(db, ticket, int(typed.fact))
        decision = Decision(merging.changes_of(before), ())
        try:
            await write(request, ticket, decision)
        except Stale:
            continue
        team_id = decision.changes.team_id
        return await led_on(request, ticket.number, "undone", team_id, typed.list)
    raise Conflict("Others change this ticket at this very moment; try again.")


async def what_was(db: Db, ticket: Ticket, fact_id: int) -> Mapping[str, Any]:
    """The fields that the fact changed, as they were before it."""
    fact = await queries.fact(db, ticket.id, fact_id)
    if fact is None:
        raise NotFound("There is no such change.")
    if ticket.deleted_at is not None:
        raise InTrash("The ticket has been moved to the trash.")
    if fact.name != reading.UNDONE_BY_A_CHANGE:
        raise Invalid.field("fact", "This can't be undone.")
    entry = reading.entry(ticket, fact)
    values = {field: merging.value_of(field, value[0]) for field, value in entry.changes.items()}
    if fact.has_text:
        texts = await queries.texts(db, ticket.id, fact_id)
        values["description"] = "" if texts is None else texts.before
    if not entry.is_undoable and not all(
        merging.same(field, merging.now(ticket, field), value) for field, value in values.items()
    ):
        raise Conflict("This can't be undone any more: it has been changed again since.")
    return values


pages = [doing(HERE, undo, "tickets:write")]
