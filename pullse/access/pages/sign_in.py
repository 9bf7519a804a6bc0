"""/sign-in, /sign-in/code and /sign-out."""

from typing import Literal
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from pullse.access import sessions, two_steps
from pullse.access.sessions import CodeNeeded
from pullse.access.sign_in_api import SESSION, browser_of, entered, set_cookie
from pullse.access.sign_in_model import Given, SignIn
from pullse.access.two_steps import SignInExpired
from pullse.errors import Refusal
from pullse.kit import guard
from pullse.kit.pages import (
    Form,
    Shown,
    doing,
    own_path,
    read_form,
    see,
    showing,
    status_of,
)
from pullse.kit.web import Headers, Request
from pullse.web.frame import frame_of, shown_outside

PENDING = b"-pending"
"""What follows the cookie's name."""
ERRORS = frozenset(
    {
        "sign_in_expired",
        "sign_in_denied",
        "provider_failed",
        "email_unverified",
        "no_account",
        "too_many",
    }
)
Return = str | None


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    return_to: Return = None
    error: str | None = None
    """One of `ERRORS`; others are shown as nothing."""
    done: Literal["signed_out", "password_set", "passkey_made"] | None = None


class Typed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    email: str
    password: Given
    return_to: Return = None


class TypedCode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: str
    return_to: Return = None


async def show(request: Request) -> Shown:
    asked = request.read_query(Asked)
    if request.actor.session is not None:
        return see(own_path(asked.return_to))
    form = Form([("return_to", own_path(asked.return_to))])
    return page(request, form, error=asked.error if asked.error in ERRORS else None, asked=asked)


def page(
    request: Request,
    form: Form,
    status: int = 200,
    *,
    error: str | None = None,
    asked: Asked | None = None,
    headers: Headers | None = None,
) -> Shown:
    frame = frame_of(request)
    path = own_path(form.value("return_to"))
    providers = [
        replace(each, href=f"{each.href}?return_to={quote(path, safe='')}")
        for each in frame.providers
    ]
    return shown_outside(
        request,
        "access/sign_in.html",
        status,
        headers,
        form=form,
        error=error,
        done=asked and asked.done,
        return_to=path,
        providers=providers,
        is_local=request.actor.is_local,
    )


async def sign_in(request: Request) -> Shown:
    form = await read_form(request)
    try:
        given = form.read(Typed)
        wanted = SignIn(given.email.strip(), given.password)
        begun = await sessions.sign_in(
            request.database,
            wanted,
            browser_of(request),
            secret=request.services.secret,
            by=request.actor,
        )
    except CodeNeeded as needed:
        pending = two_steps.sealed(request.services.key, needed.account)
        way = f"/sign-in/code?return_to={quote(own_path(form.value('return_to')), safe='')}"
        return see(way, [pending_cookie(request, pending)])
    except Refusal as error:
        return page(request, form.refused(error), status_of(error), headers=waiting(error))
    return see(own_path(given.return_to), entered(request, begun))


async def show_code(request: Request) -> Shown:
    asked = request.read_query(Asked)
    if request.actor.session is not None:
        return see(own_path(asked.return_to))
    try:
        pending_of(request)
    except SignInExpired:
        return see("/sign-in?error=sign_in_expired")
    return code_page(request, Form([("return_to", own_path(asked.return_to))]))


def code_page(
    request: Request, form: Form, status: int = 200, headers: Headers | None = None
) -> Shown:
    path = own_path(form.value("return_to"))
    return shown_outside(request, "access/code.html", status, headers, form=form, return_to=path)


async def send_code(request: Request) -> Shown:
    form = await read_form(request)
    try:
        given, pending = form.read(TypedCode), pending_of(request)
        begun = await two_steps.finish(
            request.database,
            pending,
            given.code[:100],
            browser_of(request),
            secret=request.services.secret,
            by=request.actor,
        )
    except SignInExpired:
        way = f"&return_to={quote(own_path(form.value('return_to')), safe='')}"
        return see(f"/sign-in?error=sign_in_expired{way}", [pending_cookie(request, "")])
    except Refusal as error:
        return code_page(request, form.refused(error), status_of(error), waiting(error))
    cookies = [*entered(request, begun), pending_cookie(request, "")]
    return see(own_path(given.return_to), cookies)


async def sign_out(request: Request) -> Shown:
    """The device stays known."""
    await read_form(request)
    session_id = sessions.session_of(request.actor)
    async with request.database.transaction() as db:
        await sessions.end(db, session_id, by=request.actor)
    request.services.forget()
    return see("/sign-in?done=signed_out", [set_cookie(request, SESSION, "")])


def pending_of(request: Request) -> two_steps.Pending:
    """Raises `SignInExpired`."""
    text = guard.cookie(request.scope, request.scope["headers"], PENDING)
    return two_steps.opened(request.services.key, text)


def pending_cookie(request: Request, text: str) -> tuple[bytes, bytes]:
    name = guard.cookie_name(request.scope) + PENDING
    age = two_steps.GOOD_FOR if text else 0
    value = b"%s=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax" % (name, text.encode(), age)
    is_https = request.scope["scheme"] == "https"
    return (b"set-cookie", value + (b"; Secure" if is_https else b""))


def waiting(error: Refusal) -> Headers:
    seconds = getattr(error, "seconds", None)
    return [] if seconds is None else [(b"retry-after", b"%d" % seconds)]


pages = [
    showing("/sign-in", show, query=Asked),
    doing("/sign-in", sign_in),
    showing("/sign-in/code", show_code, query=Asked),
    doing("/sign-in/code", send_code),
    doing("/sign-out", sign_out, "sessions:own"),
]
