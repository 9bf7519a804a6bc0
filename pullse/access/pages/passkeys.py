"""
/account/passkeys: one's own. Making one takes a script, because nothing else can ask the
browser for it; all else does not.
"""

from typing import Literal
from uuid import UUID

import msgspec

from pullse.access.pages.viewer import is_fresh
from pullse.access.passkeys import actions, queries
from pullse.access.passkeys.model import Passkey, PasskeyChanges, Proof
from pullse.access.sessions import signed_in
from pullse.access.sign_in_api import renewed
from pullse.errors import NotFound, Refusal
from pullse.kit.pages import EMPTY, Form, Shown, doing, read_form, see, showing, status_of
from pullse.kit.web import Request
from pullse.web.frame import shown

HERE = "/account/passkeys"


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    done: Literal["added", "renamed", "removed"] | None = None


async def show(request: Request) -> Shown:
    asked = request.read_query(Asked)
    return await page(request, EMPTY, done=asked.done)


async def page(
    request: Request,
    form: Form,
    status: int = 200,
    *,
    renaming: UUID | None = None,
    done: str | None = None,
) -> Shown:
    """`renaming` is the one whose name was refused; else the form is about none or all."""
    async with request.database.session() as db:
        bodies = await queries.listed(db, signed_in(request.actor))
    return await shown(
        request,
        "access/passkeys.html",
        status,
        form=form,
        renaming=renaming,
        empty=EMPTY,
        passkeys=[msgspec.json.decode(each, type=Passkey) for each in bodies],
        is_fresh=await is_fresh(request),
        done=done,
    )


async def rename(request: Request) -> Shown:
    form, passkey_id = await read_form(request), id_in_path(request)
    try:
        given = form.read(PasskeyChanges)
        async with request.database.session() as db:
            await actions.rename(db, passkey_id, given.name, by=request.actor)
    except NotFound:
        raise
    except Refusal as error:
        refused = form.refused(error)
        return await page(request, refused, status_of(error), renaming=passkey_id)
    return see(f"{HERE}?done=renamed")


async def remove(request: Request) -> Shown:
    form, id_ = await read_form(request), id_in_path(request)
    issuers = [each.issuer for each in request.services.providers]
    try:
        given = form.read(Proof)
        token = await actions.remove(
            request.database, id_, given.password, issuers=issuers, by=request.actor
        )
    except NotFound:
        raise
    except Refusal as error:
        return await page(request, form.refused(error), status_of(error))
    return see(f"{HERE}?done=removed", [renewed(request, token)])


def id_in_path(request: Request) -> UUID:
    try:
        return UUID(request.path_params["passkey"])
    except ValueError:
        actions.no_passkey()


pages = [
    showing(HERE, show, "sessions:own", query=Asked),
    doing(f"{HERE}/{{passkey}}/rename", rename, "sessions:own"),
    doing(f"{HERE}/{{passkey}}/remove", remove, "sessions:own"),
]
