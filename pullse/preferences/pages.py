"""/account/look: how one wants to see everything."""

from typing import Literal

import msgspec

from pullse.errors import Refusal
from pullse.kit.pages import EMPTY, Form, Shown, doing, read_form, see, showing, status_of
from pullse.kit.web import Request
from pullse.preferences import actions
from pullse.preferences.model import LANGUAGES, ZONES, Changes, Contrast, Density, Look, Zone
from pullse.web.frame import Place, frame_of, shown

HERE = "/account/look"


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    done: Literal["saved"] | None = None


class Typed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A choice that is empty is as none: as the browser says."""

    density: Density
    zone: Zone
    look: Look = ""
    contrast: Contrast = ""
    language: str = ""


async def show(request: Request) -> Shown:
    return await page(request, EMPTY, done=request.read_query(Asked).done)


async def page(request: Request, form: Form, status: int = 200, done: str | None = None) -> Shown:
    return await shown(
        request,
        "preferences/look.html",
        status,
        form=form,
        own=await frame_of(request).preferences(request),
        languages=sorted(LANGUAGES),
        zones=sorted(ZONES),
        done=done,
    )


async def save(request: Request) -> Shown:
    form = await read_form(request)
    try:
        given = form.read(Typed)
        changes = Changes(
            look=given.look,
            contrast=given.contrast,
            density=given.density,
            language=given.language,
            zone=given.zone,
        )
        async with request.database.transaction() as db:
            await actions.change(db, changes, by=request.actor)
    except Refusal as error:
        return await page(request, form.refused(error), status_of(error))
    return see(f"{HERE}?done=saved")


pages = [
    showing(HERE, show, "me:read", query=Asked),
    doing(HERE, save, "me:write"),
]
places = [Place(HERE, "places.look", "look", "me:read", "own", "g v")]
