"""
/account/second-factor: codes of an authenticator app.

A secret that is not confirmed yet travels with the form, so that a wrong code shows it again
and no other page ever does.
"""

import base64
from typing import Annotated, Literal

import msgspec
import segno
from minijinja import safe
from msgspec import Meta

from pullse.access import factors, totp, totp_queries
from pullse.access.pages.viewer import is_fresh, own_account
from pullse.access.sessions import signed_in
from pullse.access.sign_in_api import renewed
from pullse.access.sign_in_model import OwnPassword
from pullse.errors import Refusal
from pullse.kit.pages import EMPTY, Form, Shown, doing, read_form, see, showing, status_of
from pullse.kit.web import Request
from pullse.web.frame import shown

HERE = "/account/second-factor"


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    done: Literal["removed"] | None = None


class Typed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: Annotated[str, Meta(max_length=20)]
    secret: Annotated[str, Meta(pattern=r"^[A-Z2-7]{32}$", max_length=32)]


async def show(request: Request) -> Shown:
    asked = request.read_query(Asked)
    return await page(request, EMPTY, done=asked.done)


async def page(
    request: Request, form: Form, status: int = 200, *, done: str | None = None
) -> Shown:
    async with request.database.session() as db:
        factor = await totp_queries.find(db, signed_in(request.actor))
    return await shown(
        request,
        "access/second_factor.html",
        status,
        form=form,
        is_set=factor is not None and factor.is_confirmed,
        is_fresh=await is_fresh(request),
        done=done,
    )


async def begin(request: Request) -> Shown:
    form, secret = await read_form(request), request.services.secret
    try:
        given = form.read(OwnPassword)
        key, _ = await factors.begin(
            request.database, given.password, secret=secret, by=request.actor
        )
    except Refusal as error:
        return await page(request, form.refused(error), status_of(error))
    return await confirm_page(request, EMPTY, totp.shown(key))


async def confirm_page(request: Request, form: Form, key: str, status: int = 200) -> Shown:
    account = await own_account(request)
    uri = totp.uri(base64.b32decode(key), account.email)
    return await shown(
        request,
        "access/confirm_factor.html",
        status,
        form=form,
        secret=key,
        code=safe(qr_code(uri)),
    )


async def confirm(request: Request) -> Shown:
    form, secret = await read_form(request), request.services.secret
    given = form.read(Typed)
    code = "".join(given.code.split())
    try:
        codes, token = await factors.confirm(
            request.database, code, secret=secret, by=request.actor
        )
    except totp.Enrolled as error:
        return await page(request, EMPTY.refused(error), status_of(error))
    except Refusal as error:
        return await confirm_page(request, form.refused(error), given.secret, status_of(error))
    return await shown(
        request, "access/recovery_codes.html", headers=[renewed(request, token)], codes=codes
    )


async def remove(request: Request) -> Shown:
    form = await read_form(request)
    try:
        given = form.read(OwnPassword)
        token = await factors.remove(request.database, given.password, by=request.actor)
    except Refusal as error:
        return await page(request, form.refused(error), status_of(error))
    cookies = [] if token is None else [renewed(request, token)]
    return see(f"{HERE}?done=removed", cookies)


def qr_code(text: str) -> str:
    """Markup of a picture: of it, nothing is the text as it is."""
    code = segno.make(text, error="m", micro=False)
    return code.svg_inline(omitsize=True, border=4, svgclass="qr__code", lineclass="qr__dark")


pages = [
    showing(HERE, show, "sessions:own", query=Asked),
    doing(f"{HERE}/begin", begin, "sessions:own"),
    doing(f"{HERE}/confirm", confirm, "sessions:own"),
    doing(f"{HERE}/remove", remove, "sessions:own"),
]
