"""/account and /account/password."""

from typing import Literal

import msgspec

from pullse.access import session_queries, sessions, token_queries, totp_queries
from pullse.access.pages import identities
from pullse.access.pages.links import check_repeated
from pullse.access.pages.viewer import own_account
from pullse.access.passkeys import queries as passkeys
from pullse.access.sessions import signed_in
from pullse.access.sign_in_api import renewed
from pullse.access.sign_in_model import Chosen, Given, NewPassword
from pullse.agents.permissions import listed
from pullse.errors import Refusal
from pullse.kit.pages import EMPTY, Form, Shown, doing, read_form, see, showing, status_of
from pullse.kit.web import Request
from pullse.web.frame import shown


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    done: Literal["password_changed"] | None = None


class Typed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    new_password: Chosen
    repeated: str
    password: Given | None = None
    """The one until now, of who has one."""


async def show(request: Request) -> Shown:
    asked, agent_id = request.read_query(Asked), signed_in(request.actor)
    async with request.database.session() as db:
        factor = await totp_queries.find(db, agent_id)
        begun = await session_queries.listed(db, agent_id, request.actor.session)
        keys = await passkeys.count(db, agent_id)
        tokens = await token_queries.page(
            db, agent_id=agent_id, token_id=None, before=None, limit=200
        )
    linked = await identities.linked(request)
    return await shown(
        request,
        "access/account.html",
        done=asked.done,
        has_factor=factor is not None and factor.is_confirmed,
        passkeys=keys,
        sessions=len(begun),
        tokens=sum('"revoked_at":null' in row[0] for row in tokens),
        identities=len(linked),
        has_identities=bool(linked or request.services.providers),
        permissions=listed(request.actor.rights),
    )


async def show_password(request: Request) -> Shown:
    signed_in(request.actor)
    return await password_page(request, EMPTY)


async def password_page(request: Request, form: Form, status: int = 200) -> Shown:
    account = await own_account(request)
    has_password = account.hash is not None
    return await shown(
        request, "access/password.html", status, form=form, has_password=has_password
    )


async def change_password(request: Request) -> Shown:
    form = await read_form(request)
    try:
        given = form.read(Typed)
        check_repeated(given.new_password, given.repeated)
        new = NewPassword(given.new_password, given.password)
        token = await sessions.change_password(request.database, new, by=request.actor)
    except Refusal as error:
        return await password_page(request, form.refused(error), status_of(error))
    return see("/account?done=password_changed", [renewed(request, token)])


pages = [
    showing("/account", show, "sessions:own", query=Asked),
    showing("/account/password", show_password, "sessions:own"),
    doing("/account/password", change_password, "sessions:own"),
]
