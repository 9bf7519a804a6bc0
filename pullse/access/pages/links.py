"""/links/{token}: the first owner, an invitation, a forgotten password."""

import msgspec

from pullse.access import links
from pullse.access.links import Offered
from pullse.access.sign_in_model import UsedLink
from pullse.errors import Invalid, NotFound, Refusal
from pullse.kit.pages import EMPTY, Form, Shown, doing, read_form, see, showing, status_of
from pullse.kit.web import Request
from pullse.web.frame import shown_outside


class Repeated(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a link's form sends; its parts are checked where the link is used."""

    password: str
    repeated: str
    name: str | None = None
    email: str | None = None


async def show(request: Request) -> Shown:
    offered = await links.look(request.database, request.path_params["token"])
    if offered.purpose == "setup":
        return page(request, offered, EMPTY)
    return page(request, offered, Form([("name", offered.name)]))


def page(request: Request, offered: Offered, form: Form, status: int = 200) -> Shown:
    return shown_outside(request, "access/link.html", status, offered=offered, form=form)


async def use(request: Request) -> Shown:
    form, token = await read_form(request), request.path_params["token"]
    offered = await links.look(request.database, token)
    try:
        given = used_link(form)
        await links.use(request.database, token, given, by=request.actor)
    except NotFound:
        raise
    except Refusal as error:
        return page(request, offered, form.refused(error), status_of(error))
    request.services.forget()
    request.services.tail.wake()
    return see("/sign-in?done=password_set")


def used_link(form: Form) -> UsedLink:
    """By the rules of POST /api/links/{link}, and the password twice. Raises `Invalid`."""
    given = form.read(Repeated)
    rest = [(name, value) for name, value in form.given if name != "repeated"]
    used = Form(rest).read(UsedLink)
    check_repeated(given.password, given.repeated)
    return used


def check_repeated(password: str, repeated: str) -> None:
    if password != repeated:
        raise Invalid.field("repeated", "This is not the same password.")


pages = [showing("/links/{token}", show), doing("/links/{token}", use)]
