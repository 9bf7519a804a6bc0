"""/account/tokens: one's own API tokens."""

from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec

from pullse.access import token_queries as queries
from pullse.access import tokens
from pullse.access.model import NewToken, Scopes, Token
from pullse.access.sessions import signed_in
from pullse.access.tokens import Made
from pullse.agents.model import Name
from pullse.agents.permissions import listed
from pullse.errors import Refusal
from pullse.kit.pages import Form, Shown, doing, read_form, see, showing, status_of
from pullse.kit.web import Request
from pullse.web.frame import shown

HERE = "/account/tokens"
AT_MOST = 200
"""Are shown; there is GET /api/tokens for who has more."""
DAYS = {"30": 30, "90": 90, "365": 365, "never": None}


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    done: Literal["revoked"] | None = None


class Typed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    expires: Literal["30", "90", "365", "never"]
    scopes: Scopes = []


async def show(request: Request) -> Shown:
    asked = request.read_query(Asked)
    return await page(request, Form([("expires", "90")]), done=asked.done)


async def page(
    request: Request,
    form: Form,
    status: int = 200,
    *,
    made: Made | None = None,
    done: str | None = None,
) -> Shown:
    agent_id = signed_in(request.actor)
    async with request.database.session() as db:
        rows = await queries.page(db, agent_id=agent_id, token_id=None, before=None, limit=AT_MOST)
    found = [msgspec.json.decode(row[0], type=Token) for row in rows]
    now = datetime.now(UTC)
    return await shown(
        request,
        "access/tokens.html",
        status,
        form=form,
        made=made and made.token,
        done=done,
        tokens=[each for each in found if is_good(each, now)],
        scopes=listed(request.actor.rights),
    )


async def create(request: Request) -> Shown:
    form = await read_form(request)
    try:
        given = form.read(Typed)
        new = NewToken(given.name, given.scopes, expires_at=expiry(given.expires))
        async with request.database.transaction() as db:
            signed_in(request.actor)
            made = await tokens.create(db, new, by=await tokens.caller_of(db, request.actor, None))
    except Refusal as error:
        return await page(request, form.refused(error), status_of(error))
    request.services.tail.wake()
    return await page(request, Form([("expires", "90")]), 201, made=made)


async def revoke(request: Request) -> Shown:
    await read_form(request)
    signed_in(request.actor)
    try:
        token_id = UUID(request.path_params["token"])
    except ValueError:
        tokens.no_token()
    async with request.database.transaction() as db:
        await tokens.revoke(db, token_id, by=request.actor)
    request.services.forget()
    request.services.tail.wake()
    return see(f"{HERE}?done=revoked")


def expiry(choice: str) -> datetime | None:
    days = DAYS[choice]
    return None if days is None else datetime.now(UTC) + timedelta(days=days)


def is_good(token: Token, now: datetime) -> bool:
    return token.revoked_at is None and (token.expires_at is None or token.expires_at > now)


pages = [
    showing(HERE, show, "tokens:own", query=Asked),
    doing(HERE, create, "tokens:own"),
    doing(f"{HERE}/{{token}}/revoke", revoke, "tokens:own"),
]
