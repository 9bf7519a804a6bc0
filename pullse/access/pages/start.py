"""`/`: who one is, and where to go from here. The workspace will stand here."""

from pullse.kit.pages import Shown, showing
from pullse.kit.web import Request
from pullse.web.frame import shown


async def show(request: Request) -> Shown:
    realtime = request.services.realtime
    has_ably = getattr(realtime, "ably", None) is not None
    return await shown(request, "access/start.html", has_ably=has_ably)


pages = [showing("/", show, "me:read")]
