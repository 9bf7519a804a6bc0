"""/account/identities: one's accounts at providers, by which one signs in here."""

from typing import Literal
from uuid import UUID

import msgspec

from pullse.access.oidc import linking, queries
from pullse.access.oidc.model import Identity
from pullse.access.sessions import signed_in
from pullse.errors import NotFound, Refusal
from pullse.kit.pages import EMPTY, Form, Shown, doing, read_form, see, showing, status_of
from pullse.kit.web import Request
from pullse.web.frame import shown

HERE = "/account/identities"


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    done: Literal["unlinked"] | None = None


async def show(request: Request) -> Shown:
    asked = request.read_query(Asked)
    return await page(request, EMPTY, done=asked.done)


async def page(
    request: Request, form: Form, status: int = 200, *, done: str | None = None
) -> Shown:
    known = request.services.providers
    return await shown(
        request,
        "access/identities.html",
        status,
        form=form,
        identities=await linked(request),
        titles={each.issuer: each.settings.title for each in known},
        done=done,
    )


async def linked(request: Request) -> list[Identity]:
    """Of who asks, the oldest first."""
    agent_id, known = signed_in(request.actor), request.services.providers
    async with request.database.session() as db:
        bodies = await queries.listed(
            db, agent_id, [each.issuer for each in known], [each.name for each in known]
        )
    return [msgspec.json.decode(each, type=Identity) for each in bodies]


async def unlink(request: Request) -> Shown:
    await read_form(request)
    agent_id, identity_id = signed_in(request.actor), id_in_path(request)
    issuers = [each.issuer for each in request.services.providers]
    try:
        async with request.database.transaction() as db:
            await linking.unlink(db, agent_id, identity_id, issuers, by=request.actor)
    except NotFound:
        raise
    except Refusal as error:
        return await page(request, EMPTY.refused(error), status_of(error))
    request.services.forget()
    return see(f"{HERE}?done=unlinked")


def id_in_path(request: Request) -> UUID:
    try:
        return UUID(request.path_params["identity"])
    except ValueError:
        linking.no_identity()


pages = [
    showing(HERE, show, "sessions:own", query=Asked),
    doing(f"{HERE}/{{identity}}/unlink", unlink, "sessions:own"),
]
