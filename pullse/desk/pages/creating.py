"""
/tickets/new: another ticket.

The form has a number used once, so that pressing twice, or going back and pressing again, makes
one ticket; with other words in it, it makes another.
"""

import hashlib
import secrets
from typing import Annotated, Literal

import msgspec
from minijinja import safe
from msgspec import Meta

from pullse.desk import choosing, straying
from pullse.desk import ticket_queries as queries
from pullse.desk.merging import plain
from pullse.desk.pages.changing import Given, Who, given
from pullse.desk.pages.ticket import led_on, own_id
from pullse.errors import Refusal
from pullse.kit import idempotency
from pullse.kit.markdown import rendered
from pullse.kit.pages import EMPTY, Form, Shown, doing, read_form, showing, status_of
from pullse.kit.web import Answer, Request
from pullse.tickets import actions
from pullse.tickets.model import Description, NewTicket, Priority, Title
from pullse.tickets.queries import Shown as Ticket
from pullse.web.frame import shown

HERE = "/tickets/new"


class HasNumber(msgspec.Struct):
    number: int


class Typed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: Title
    description: Description
    do: Literal["save"] = "save"
    once: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")] | None = None
    priority: Priority = Priority.LOW
    assigned_to: Given | None = None
    who: Who | None = None
    team_id: Given | None = None


class TypedForPreview(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    description: Description


async def show(request: Request) -> Shown:
    return await page(request, EMPTY)


async def page(
    request: Request, form: Form, status: int = 200, *, preview: str | None = None
) -> Shown:
    async with request.database.session() as db:
        choices = await queries.choices(db, None)
        agents = await choosing.agents(db, choices, form, None, request.actor.teams)
        chosen = straying.ids(form.values("assigned_to"))
        names = await queries.names(db, chosen, [], [], None) if chosen else []
    return await shown(
        request,
        "desk/new_ticket.html",
        status,
        form=form,
        agents=choosing.with_all(
            agents, [each.id for each in names], {str(each.id): each for each in names}
        ),
        is_many=choosing.is_many(choices),
        who=choosing.still_typed(form, agents),
        teams=[each for each in choices if each.is_team],
        priorities=list(Priority),
        me=own_id(request.actor),
        once=form.value("once") or secrets.token_hex(16),
        preview=None if preview is None else safe(preview),
    )


async def create(request: Request) -> Shown:
    form = await read_form(request)
    try:
        if form.value("do") == "preview":
            return await previewed(request, form)
        typed = form.read(Typed)
        if typed.who:
            found = await choosing.called(request.database, typed.who)
            typed = msgspec.structs.replace(typed, assigned_to=found)
        number = await made(request, typed)
    except Refusal as error:
        return await page(request, form.refused(error), status_of(error))
    request.services.tail.wake()
    return await led_on(request, number, "created", given(typed.team_id))


async def previewed(request: Request, form: Form) -> Shown:
    text = [(name, value) for name, value in form.given if name == "description"]
    typed = Form(text).read(TypedForPreview)
    return await page(request, form, preview=await rendered(plain(typed.description)))


async def made(request: Request, typed: Typed) -> int:
    """The number of the new ticket, or of that which this very form has made already."""
    new = NewTicket(
        typed.title,
        plain(typed.description),
        typed.priority,
        assigned_to=given(typed.assigned_to),
        team_id=given(typed.team_id),
    )
    if typed.once is None:
        return number_of(await actions.create_soon(request.database, new, by=request.actor))
    digest = hashlib.sha256(msgspec.json.encode(new)).digest()
    key, caller = f"form.{typed.once}.{digest.hex()}", request.actor.id
    async with request.database.transaction() as db:
        if not await idempotency.take(db, caller, key, digest):
            return int((await idempotency.kept(db, caller, key)).body)
        number = number_of(await actions.create(db, new, by=request.actor))
        await idempotency.keep(db, caller, key, Answer(303, b"%d" % number, []))
    return number


def number_of(ticket: Ticket) -> int:
    return msgspec.json.decode(ticket.body, type=HasNumber).number


pages = [
    showing(HERE, show, "tickets:write"),
    doing("/tickets", create, "tickets:write"),
]
