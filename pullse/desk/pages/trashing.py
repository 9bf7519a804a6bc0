"""A ticket goes to the trash, and comes back."""

import msgspec

from pullse.desk.pages.changing import Version, restore
from pullse.desk.pages.ticket import find, page
from pullse.errors import NotFound, Refusal, Stale
from pullse.kit.pages import Shown, doing, read_form, see, status_of
from pullse.kit.web import Request
from pullse.tickets import actions

HERE = "/tickets/{ticket}"


class Typed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: Version


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """It is the same whatever the ticket has become since."""


async def delete(request: Request) -> Shown:
    """Not one that has become another since it was looked at; deleting twice is deleting once."""
    form = await read_form(request)
    try:
        version = int(form.read(Typed).version)
        async with request.database.session() as db:
            ticket = await find(db, request)
            if ticket.deleted_at is None:
                await actions.delete(db, ticket.id, if_match=[version], by=request.actor)
    except NotFound:
        raise
    except Refusal as error:
        return await page(request, status=status_of(error), form=form.refused(told(error)))
    request.services.tail.wake()
    return see(f"/tickets/{ticket.number}?done=deleted")


def told(error: Refusal) -> Refusal:
    if isinstance(error, Stale):
        return Stale("The ticket has changed since you looked. Look again, then delete it.")
    return error


async def back(request: Request) -> Shown:
    """Restoring twice is restoring once."""
    (await read_form(request)).read(Nothing)
    number = await restore(request)
    request.services.tail.wake()
    return see(f"/tickets/{number}?done=restored")


pages = [
    doing(f"{HERE}/delete", delete, "tickets:write"),
    doing(f"{HERE}/restore", back, "tickets:write"),
]
