"""/tickets/new: another ticket."""

from typing import Literal

import msgspec
from minijinja import safe

from pullse.desk import ticket_queries as queries
from pullse.desk.merging import plain
from pullse.desk.pages.changing import Given, given
from pullse.desk.pages.ticket import own_id
from pullse.errors import Refusal
from pullse.kit.markdown import rendered
from pullse.kit.pages import EMPTY, Form, Shown, doing, read_form, see, showing, status_of
from pullse.kit.web import Request
from pullse.tickets import actions
from pullse.tickets.model import Description, NewTicket, Priority, Title
from pullse.web.frame import shown

HERE = "/tickets/new"


class HasNumber(msgspec.Struct):
    number: int


class Typed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: Title
    description: Description
    do: Literal["save", "preview"] = "save"
    priority: Priority = Priority.LOW
    assigned_to: Given | None = None
    team_id: Given | None = None


async def show(request: Request) -> Shown:
    return await page(request, EMPTY)


async def page(
    request: Request, form: Form, status: int = 200, *, preview: str | None = None
) -> Shown:
    async with request.database.session() as db:
        choices = await queries.choices(db, None)
    return await shown(
        request,
        "desk/new_ticket.html",
        status,
        form=form,
        agents=[each for each in choices if not each.is_team],
        teams=[each for each in choices if each.is_team],
        priorities=list(Priority),
        me=own_id(request.actor),
        preview=None if preview is None else safe(preview),
    )


async def create(request: Request) -> Shown:
    form = await read_form(request)
    if form.value("do") == "preview":
        return await page(request, form, preview=await rendered(form.value("description")))
    try:
        typed = form.read(Typed)
        new = NewTicket(
            typed.title,
            plain(typed.description),
            typed.priority,
            assigned_to=given(typed.assigned_to),
            team_id=given(typed.team_id),
        )
        made = await actions.create_soon(request.database, new, by=request.actor)
    except Refusal as error:
        return await page(request, form.refused(error), status_of(error))
    request.services.tail.wake()
    number = msgspec.json.decode(made.body, type=HasNumber).number
    return see(f"/tickets/{number}?done=created")


pages = [
    showing(HERE, show, "tickets:write"),
    doing("/tickets", create, "tickets:write"),
]
