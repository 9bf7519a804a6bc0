"""
What is done to the tickets that are chosen in a list, or to one in its row; and taking it back.

All in one transaction. Without a script the list comes again and says what was done; a script
gets only that.
"""

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pullse.desk import lists, queries
from pullse.desk.pages.returning import again, back_to
from pullse.errors import Invalid, Refusal
from pullse.kit.db import Db
from pullse.kit.pages import Form, Shown, doing, read_form, see, status_of
from pullse.kit.web import Request
from pullse.tickets import bulk, receipts
from pullse.tickets.bulk import MOST, Outcome
from pullse.tickets.model import Priority, Status, TicketChanges
from pullse.tickets.receipts import KINDS, Kind
from pullse.tickets.several import One
from pullse.web.frame import piece

HERE = "/tickets/bulk"
UNDO = "/tickets/undo"
ID = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
Seen = Annotated[str, Meta(pattern=rf"^{ID}\.[0-9]{{1,9}}$")]
"""A ticket's id and the version that was seen."""
Team = Annotated[str, Meta(pattern=rf"^(none|{ID})$")]
ListText = Annotated[str, Meta(max_length=4000)]


class Typed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    What is left empty stays as it is. `who` is typed, an address or a whole name, and goes
    before `assigned_to`; `list` is where one comes from.
    """

    ticket: Annotated[list[Seen], Meta(min_length=1, max_length=MOST)]
    do: Literal["change", "delete", "restore"] = "change"
    status: Status | None = None
    priority: Priority | None = None
    assigned_to: Annotated[str, Meta(max_length=300)] | None = None
    who: Annotated[str, Meta(max_length=300)] | None = None
    team_id: Team | None = None
    list: ListText | None = None
    fragment: Literal["told"] | None = None


class TypedUndo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    receipt: Annotated[str, Meta(max_length=1000)]
    list: ListText | None = None
    fragment: Literal["told"] | None = None


async def do(request: Request) -> Shown:
    form = await read_form(request)
    try:
        typed = form.read(Typed)
        async with request.database.transaction() as db:
            outcome = await done(request, db, typed)
    except Refusal as error:
        return await refused(request, form, error)
    return await told(request, KINDS[typed.do], outcome, typed)


async def done(request: Request, db: Db, typed: Typed) -> Outcome:
    tickets = [seen(text) for text in dict.fromkeys(typed.ticket)]
    if typed.do == "delete":
        return await bulk.delete(db, tickets, by=request.actor)
    if typed.do == "restore":
        return await bulk.restore(db, tickets, by=request.actor)
    changes = await wanted(request, db, typed)
    return await bulk.change(db, tickets, changes, by=request.actor)


async def undo(request: Request) -> Shown:
    form = await read_form(request)
    try:
        typed = form.read(TypedUndo)
        span = receipts.span_in(request, typed.receipt)
        async with request.database.transaction() as db:
            outcome = await bulk.take_back(db, span, by=request.actor)
    except Refusal as error:
        return await refused(request, form, error)
    return await told(request, "undone", outcome, typed)


async def told(request: Request, kind: Kind, outcome: Outcome, typed: Typed | TypedUndo) -> Shown:
    if outcome.done:
        request.services.tail.wake()
    receipt = receipts.receipt(kind, outcome)
    text = receipts.written(request, receipt)
    if typed.fragment is None:
        return see(back_to(typed.list, receipt=text))
    return await piece(request, "desk/list_told.html", receipt=receipt, token=text, text=typed.list)


async def refused(request: Request, form: Form, error: Refusal) -> Shown:
    if form.value("fragment"):
        raise error
    return await again(request, form.value("list"), form.refused(error), status_of(error))


def seen(text: str) -> One:
    id_, _, version = text.partition(".")
    return One(UUID(id_), int(version))


async def wanted(request: Request, db: Db, typed: Typed) -> TicketChanges:
    who = typed.who or typed.assigned_to
    if not (typed.status or typed.priority or who or typed.team_id):
        raise Invalid("Choose what is to be changed.")
    return TicketChanges(
        status=typed.status or UNSET,
        priority=typed.priority or UNSET,
        assigned_to=await agent(request, db, who),
        team_id=given(typed.team_id),
    )


def given(text: str | None) -> UUID | UnsetType | None:
    if text is None:
        return UNSET
    return None if text == "none" else UUID(text)


async def agent(request: Request, db: Db, text: str | None) -> UUID | UnsetType | None:
    """Chosen, or typed: an address or a whole name."""
    if text == lists.ME:
        return lists.agent_of(request.actor) or queries.no_agent()
    try:
        return given(text)
    except ValueError:
        return await queries.agent_called(db, str(text))


pages = [
    doing(HERE, do, "tickets:write"),
    doing(UNDO, undo, "tickets:write"),
]
