"""Which columns the lists have, in which order, and how dense: what their small form says."""

from typing import Annotated

import msgspec
from msgspec import Meta

from pullse.desk import columns
from pullse.desk.pages.bulk import ListText
from pullse.desk.pages.returning import again, back_to
from pullse.errors import Refusal
from pullse.kit.pages import Shown, doing, read_form, see, status_of
from pullse.kit.web import Request
from pullse.preferences import actions
from pullse.preferences.model import Changes, Density

HERE = "/tickets/look"


class Typed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Columns in their order; `up` is one that is to stand further ahead, and is chosen by that."""

    density: Density
    column: Annotated[list[str], Meta(max_length=40)] = []
    up: str | None = None
    list: ListText | None = None


async def save(request: Request) -> Shown:
    form = await read_form(request)
    try:
        typed = form.read(Typed)
        chosen = [each.name for each in columns.chosen(typed.column)]
        if typed.up in columns.BY_NAME:
            chosen = columns.ahead(chosen, typed.up)
        changes = Changes(density=typed.density, columns=chosen)
        async with request.database.transaction() as db:
            await actions.change(db, changes, by=request.actor)
    except Refusal as error:
        return await again(request, form.value("list"), form.refused(error), status_of(error))
    return see(back_to(typed.list, open_=None if typed.up is None else "look"))


pages = [doing(HERE, save, "me:write")]
