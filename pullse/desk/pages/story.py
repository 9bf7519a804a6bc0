"""`/demo`: the demo story, for who looks at an empty desk of `pullse dev`."""

from pullse import demo
from pullse.errors import Conflict, Forbidden
from pullse.kit.pages import Shown, doing, read_form, see
from pullse.kit.web import Request


class NotEmpty(Conflict):
    code = "not_empty"


async def load(request: Request) -> Shown:
    await read_form(request)
    if not may_load(request):
        raise Forbidden("The story is for pullse dev alone; elsewhere there is `pullse demo`.")
    if not await demo.load(request.database):
        raise NotEmpty("There are tickets or agents already: nothing is loaded.")
    request.services.forget()
    request.services.tail.wake()
    return see("/")


def may_load(request: Request) -> bool:
    """The one at this machine, who has signed in as nobody."""
    return request.actor.id == "owner"


pages = [doing("/demo", load, "agents:admin")]
