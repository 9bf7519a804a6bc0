"""/api/me/preferences"""

import msgspec

from pullse.kit.web import Answer, Call, Request, ok
from pullse.preferences import actions
from pullse.preferences.model import Changes, Wire, on_the_wire
from pullse.web.frame import Preferences

EXAMPLE = {
    "look": "dark",
    "contrast": "",
    "density": "compact",
    "columns": [],
    "language": "de",
    "zone": "Europe/Berlin",
}


async def of(request: Request) -> Preferences:
    """For the frame."""
    async with request.database.session() as db:
        return await actions.find(db, of=request.actor)


async def show(request: Request) -> Answer:
    return shown(request, await of(request))


async def change(request: Request) -> Answer:
    changes = await request.read_body(Changes)
    async with request.database.transaction() as db:
        changed = await actions.change(db, changes, by=request.actor)
    return shown(request, changed)


def shown(request: Request, preferences: Preferences) -> Answer:
    return ok(request, msgspec.json.encode(on_the_wire(preferences)).decode())


calls = [
    Call(
        "GET",
        "/api/me/preferences",
        show,
        "How one wants to see everything",
        "Preferences have been fetched.",
        data=Wire,
        example=EXAMPLE,
        tag="me",
        permission="me:read",
    ),
    Call(
        "PATCH",
        "/api/me/preferences",
        change,
        "Say how one wants to see everything",
        "Preferences have been changed.",
        body=Changes,
        data=Wire,
        example=EXAMPLE,
        tag="me",
        permission="me:write",
    ),
]
