"""/tickets/preview: what a text will look like, for who is writing it."""

from typing import Annotated

import msgspec
from msgspec import Meta

from pullse.kit.headers import OF_PAGE
from pullse.kit.markdown import MOST, rendered
from pullse.kit.pages import Shown, doing, read_form
from pullse.kit.web import Request


class Typed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: Annotated[str, Meta(max_length=MOST)] = ""


async def show(request: Request) -> Shown:
    """The fragment alone; without a script the button beside the text shows the whole page."""
    typed = (await read_form(request)).read(Typed)
    return Shown(200, (await rendered(typed.text)).encode(), head=OF_PAGE)


pages = [doing("/tickets/preview", show, "tickets:write")]
