"""
A desk without any tickets, which explains itself; and `/demo`, the story for who looks at one of
`pullse dev`.
"""

from typing import Any

from pullse import demo
from pullse.errors import Conflict, Forbidden
from pullse.kit.db import Db
from pullse.kit.pages import Shown, doing, read_form, see
from pullse.kit.web import Request


class NotEmpty(Conflict):
    code = "not_empty"


async def load(request: Request) -> Shown:
    await read_form(request)
    if not request.actor.is_local:
        raise Forbidden("The story is for pullse dev alone; elsewhere there is `pullse demo`.")
    if not await demo.load(request.database):
        raise NotEmpty("There are tickets or agents already: nothing is loaded.")
    request.services.forget()
    request.services.tail.wake()
    return see("/")


async def emptiness(db: Db, request: Request) -> dict[str, Any]:
    """For a list with nothing on it: is that the whole desk, and may the story come there?"""
    is_empty = not await db.value("SELECT EXISTS (SELECT FROM tickets)")
    return {
        "is_desk_empty": is_empty,
        "offers_story": is_empty and request.actor.is_local and await demo.has_room(db),
    }


pages = [doing("/demo", load, "agents:admin")]
