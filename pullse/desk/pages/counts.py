"""/side: the lists of the side bar, as a page and alone, for pages that are open for long."""

from typing import Literal

import msgspec

from pullse.desk.side import RIGHT
from pullse.kit.pages import Shown, showing
from pullse.kit.web import Request
from pullse.web.frame import shown


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    fragment: Literal["side"] | None = None


async def show(request: Request) -> Shown:
    asked = request.read_query(Asked)
    return await shown(request, "web/side.html" if asked.fragment else "desk/side.html")


pages = [showing("/side", show, RIGHT, query=Asked)]
