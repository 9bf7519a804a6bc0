"""
`/sign-in/as`: the owner of pullse dev goes on as one of the agents, with nothing to prove. In
another browser one is another of them, and sees how two work beside each other.
"""

from uuid import UUID

import msgspec

from pullse.access import acting
from pullse.access.sign_in_api import browser_of, entered
from pullse.kit.pages import Shown, doing, read_form, see, showing
from pullse.kit.web import Request
from pullse.web.frame import shown_outside


class Typed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    agent_id: UUID


async def show(request: Request) -> Shown:
    async with request.database.session() as db:
        people = await acting.people(db, by=request.actor)
    return shown_outside(request, "access/acting.html", people=people)


async def enter(request: Request) -> Shown:
    given = (await read_form(request)).read(Typed)
    begun = await acting.begin(
        request.database, given.agent_id, browser_of(request), by=request.actor
    )
    return see("/", entered(request, begun))


pages = [
    showing("/sign-in/as", show, "agents:admin"),
    doing("/sign-in/as", enter, "agents:admin"),
]
