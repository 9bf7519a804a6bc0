"""A ticket goes to the trash, and comes back."""

import msgspec

from pullse.desk.pages.changing import Version, asked_by, restore
from pullse.desk.pages.ticket import ListText, find, led_on, page
from pullse.errors import NotFound, Refusal, Stale
from pullse.kit.pages import Shown, doing, read_form, status_of
from pullse.kit.web import Request
from pullse.tickets import actions

HERE = "/tickets/{ticket}"


class Typed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: Version
    list: ListText | None = None


class TypedBack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """It is the same whatever the ticket has become since."""

    list: ListText | None = None


async def delete(request: Request) -> Shown:
    """Not one that has become another since it was looked at; deleting twice is deleting once."""
    form = await read_form(request)
    try:
        typed = form.read(Typed)
        async with request.database.session() as db:
            ticket = await find(db, request)
            if ticket.deleted_at is None:
                await actions.delete(db, ticket.id, if_match=[int(typed.version)], by=request.actor)
    except NotFound:
        raise
    except Refusal as error:
        refused = form.refused(told(error))
        return await page(request, asked_by(form), status_of(error), form=refused)
    request.services.tail.wake()
    return await led_on(request, ticket.number, "deleted", list_text=typed.list)


def told(error: Refusal) -> Refusal:
    if isinstance(error, Stale):
        return Stale("The ticket has changed since you looked. Look again, then delete it.")
    return error


async def back(request: Request) -> Shown:
    """Restoring twice is restoring once."""
    typed = (await read_form(request)).read(TypedBack)
    number = await restore(request)
    request.services.tail.wake()
    return await led_on(request, number, "restored", list_text=typed.list)


pages = [
    doing(f"{HERE}/delete", delete, "tickets:write"),
    doing(f"{HERE}/restore", back, "tickets:write"),
]
