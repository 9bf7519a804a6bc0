"""The list that a form stood on, to be shown again or led back to."""

from urllib.parse import urlencode

from pullse.desk import lists
from pullse.desk.heads import at
from pullse.desk.lists import Asked
from pullse.desk.pages import lists as list_pages
from pullse.desk.pages import trash
from pullse.errors import Refusal
from pullse.kit.pages import Form, Shown
from pullse.kit.web import Request


async def again(request: Request, text: str, form: Form, status: int) -> Shown:
    """With what was wrong."""
    if text == trash.NAME:
        return await trash.page(request, None, form, status)
    return await list_pages.page(request, asked_before(text), form, status)


def back_to(text: str | None, *, receipt: str | None = None, open_: str | None = None) -> str:
    more = [("done", receipt)] if receipt else []
    more += [("open", open_)] if open_ else []
    if text == trash.NAME:
        return f"{trash.HERE}?{urlencode(more)}" if more else trash.HERE
    return at([*lists.pairs_of(asked_before(text or "")), *more])


def asked_before(text: str) -> Asked:
    """What a form says of where it stood; it may say anything."""
    try:
        return lists.asked_in(text.encode("ascii", "replace"))
    except Refusal:
        return Asked()
