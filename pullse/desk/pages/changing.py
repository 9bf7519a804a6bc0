"""
What the forms of a ticket's page change.

Each form says which version it was filled in for. What nobody else has touched since goes
through; where somebody has, the page comes again with both, and nothing typed is lost. Sent
once more, a form does nothing more.
"""

import contextlib
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pullse.desk import choosing
from pullse.desk import ticket_queries as queries
from pullse.desk.merging import FIELDS, Decision, Take, Value, decide, plain
from pullse.desk.pages.ticket import MARKS, Asked, Done, ListText, find, led_on, page
from pullse.desk.ticket_queries import Since, Ticket
from pullse.errors import Conflict, Invalid, NotFound, Refusal, Stale
from pullse.kit.db import Db
from pullse.kit.markdown import rendered
from pullse.kit.pages import Form, Shown, doing, read_form, status_of
from pullse.kit.web import Request
from pullse.tickets import actions
from pullse.tickets.model import Description, Priority, Status, Title

HERE = "/tickets/{ticket}/changes"
ATTEMPTS = 5
"""How often others may come between reading a ticket and writing it."""
NONE = "none"
TEXTS = ("title", "description")
BLANK = "This must not be blank."
Version = Annotated[str, Meta(pattern=r"^[0-9]{1,9}$")]
Given = Annotated[str, Meta(pattern=r"^(none|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$")]
"""The id of an agent or a team, or of none."""
Who = Annotated[str, Meta(max_length=300)]
"""An agent's address or whole name, typed; it goes before `assigned_to`."""


class Typed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    Fields that are there are wanted so. `take_…` says what to do about one that somebody else
    has changed too; `merged_…` is the third way.
    """

    version: Version
    list: ListText | None = None
    do: Literal["save", "preview", "restore"] = "save"
    title: Title | None = None
    description: Description | None = None
    status: Status | None = None
    priority: Priority | None = None
    assigned_to: Given | None = None
    who: Who | None = None
    team_id: Given | None = None
    take_title: Take | None = None
    take_description: Take | None = None
    take_status: Take | None = None
    take_priority: Take | None = None
    take_assigned_to: Take | None = None
    take_team_id: Take | None = None
    merged_title: Title | None = None
    merged_description: Description | None = None
    merged_status: Status | None = None
    merged_priority: Priority | None = None
    merged_assigned_to: Given | None = None
    merged_team_id: Given | None = None


class InTrash(Conflict):
    """Somebody deleted it in between."""

    code = "in_trash"


async def change(request: Request) -> Shown:
    form = await read_form(request)
    try:
        typed = read(form)
        if typed.do == "preview":
            preview = await rendered(typed.description or "")
            return await page(request, asked_by(form), form=form, preview=preview)
        if typed.do == "restore":
            await restore(request)
        return await saved(request, form, typed)
    except NotFound:
        raise
    except Refusal as error:
        return await page(request, asked_by(form), status_of(error), form=form.refused(error))


def read(form: Form) -> Typed:
    """A title or a description that was emptied is no field that was left out."""
    problems = {name: BLANK for name, value in form.given if name in TEXTS and not value}
    if problems:
        raise Invalid(BLANK, problems=problems)
    return form.read(Typed)


def asked_by(form: Form) -> Asked:
    """The page that a form stands on: with the editor, if it is the editor's form."""
    is_text = any(name in TEXTS for name, _ in form.given)
    return Asked(edit="text" if is_text else None, list=form.value("list") or None)


async def saved(request: Request, form: Form, typed: Typed) -> Shown:
    if typed.who:
        found = await choosing.called(request.database, typed.who)
        typed = msgspec.structs.replace(typed, assigned_to=found)
    for _ in range(ATTEMPTS):
        async with request.database.session() as db:
            ticket = await find(db, request)
            since = await changed_since(db, ticket, int(typed.version))
        if ticket.deleted_at is not None:
            raise InTrash("The ticket has been moved to the trash.")
        decision = decide(wanted(typed), ticket, since, marks=MARKS)
        try:
            written = await write(request, ticket, decision)
        except Stale:
            continue
        if decision.conflicts:
            return await page(
                request,
                Asked(list=typed.list),
                409,
                form=form,
                conflicts=decision.conflicts,
                has_saved=written,
            )
        done: Done = "changed" if written else "nothing"
        return await led_on(request, ticket.number, done, decision.changes.team_id, typed.list)
    raise Conflict("Others change this ticket at this very moment; try again.")


async def changed_since(db: Db, ticket: Ticket, version: int) -> list[Since]:
    if version > ticket.version:
        raise Invalid.field("version", "The ticket has no such version.")
    if version == ticket.version:
        return []
    return await queries.since(db, ticket.id, version)


async def write(request: Request, ticket: Ticket, decision: Decision) -> bool:
    """At exactly the version that was decided on."""
    if decision.is_empty:
        return False
    done = await actions.change_soon(
        request.database,
        ticket.id,
        decision.changes,
        if_match=[ticket.version],
        by=request.actor,
    )
    if done.is_changed:
        request.services.tail.wake()
    return done.is_changed


async def restore(request: Request) -> int:
    """The ticket's number; if nobody else was quicker."""
    async with request.database.session() as db:
        ticket = await find(db, request)
        if ticket.deleted_at is not None:
            with contextlib.suppress(NotFound):
                await actions.restore(db, ticket.id, by=request.actor)
    return ticket.number


def wanted(typed: Typed) -> dict[str, Value]:
    """The fields as somebody wants them; one that is left to others is not among them."""
    found = {field: wanted_of(typed, field) for field in FIELDS}
    return {field: value for field, value in found.items() if value is not UNSET}


def wanted_of(typed: Typed, field: str) -> Value | UnsetType:
    take = getattr(typed, f"take_{field}")
    if take == "theirs":
        return UNSET
    value = getattr(typed, f"merged_{field}" if take == "merged" else field)
    if value is None:
        return UNSET
    if field in TEXTS:
        return plain(value)
    return given(value) if field in ("assigned_to", "team_id") else str(value)


def given(value: str | None) -> UUID | None:
    return None if value is None or value == NONE else UUID(value)


pages = [doing(HERE, change, "tickets:write")]
