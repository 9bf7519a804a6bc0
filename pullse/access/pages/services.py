"""/services: API tokens of programs that are nobody's, and of everybody; see api/tokens.md."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pullse.access import token_queries as queries
from pullse.access import tokens
from pullse.access.api import id_in_path, make_cursor, read_cursor, token_given
from pullse.access.model import NewToken, Rotation, Scopes
from pullse.access.pages.tokens import expiry
from pullse.access.token_queries import Held
from pullse.access.tokens import Caller, Made, caller_of
from pullse.agents.model import Name, Role
from pullse.agents.permissions import listed
from pullse.errors import NotFound, Refusal
from pullse.kit.db import Db
from pullse.kit.pages import Form, Shown, doing, read_form, see, showing, status_of
from pullse.kit.web import Request
from pullse.web.frame import shown

HERE = "/services"
ON_A_PAGE = 50
Tab = Literal["services", "agents", "ended"]
OF_AGENTS: dict[str, bool | None] = {"services": False, "agents": True, "ended": None}
OVERLAPS = {"none": 0, "hour": 3600, "day": 86_400, "week": 604_800}
FIRST = [("expires", "365"), ("role", "agent")]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    show: Tab = "services"
    cursor: Annotated[str, Meta(max_length=2000)] | None = None
    done: Literal["revoked"] | None = None


class Typed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    role: Role
    expires: Literal["30", "90", "365", "never"]
    scopes: Scopes = []


class TypedRotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    overlap: Literal["none", "hour", "day", "week"]


async def show(request: Request) -> Shown:
    return await page(request, Form(FIRST), asked=request.read_query(Asked))


async def page(
    request: Request,
    form: Form,
    status: int = 200,
    *,
    asked: Asked | None = None,
    made: Made | None = None,
) -> Shown:
    asked = asked or Asked()
    before = None if asked.cursor is None else read_cursor(asked.cursor)
    async with request.database.session() as db:
        rows = await queries.held(
            db,
            of_agents=OF_AGENTS[asked.show],
            is_ended=asked.show == "ended",
            before=before,
            limit=ON_A_PAGE + 1,
        )
    return await shown(
        request,
        "access/services.html",
        status,
        form=form,
        made=made and made.token,
        tab=asked.show,
        done=asked.done,
        tokens=rows[:ON_A_PAGE],
        more=more(rows),
        roles=[each.value for each in Role],
        scopes=listed(request.actor.rights),
    )


async def create(request: Request) -> Shown:
    form = await read_form(request)
    try:
        given = form.read(Typed)
        new = NewToken(given.name, given.scopes, role=given.role, expires_at=expiry(given.expires))
        async with request.database.transaction() as db:
            made = await tokens.create(db, new, by=await caller(request, db))
    except Refusal as error:
        return await page(request, form.refused(error), status_of(error))
    request.services.tail.wake()
    return await page(request, Form(FIRST), 201, made=made)


async def rotate(request: Request) -> Shown:
    form = await read_form(request)
    token_id = id_in_path(request)
    try:
        rotation = Rotation(OVERLAPS[form.read(TypedRotation).overlap])
        async with request.database.transaction() as db:
            made = await tokens.rotate(db, token_id, rotation, by=await caller(request, db))
    except NotFound:
        raise
    except Refusal as error:
        return await page(request, Form(FIRST).refused(error), status_of(error))
    request.services.forget()
    request.services.tail.wake()
    return await page(request, Form(FIRST), 201, made=made)


async def revoke(request: Request) -> Shown:
    await read_form(request)
    async with request.database.transaction() as db:
        await tokens.revoke(db, id_in_path(request), by=request.actor)
    request.services.forget()
    request.services.tail.wake()
    return see(f"{HERE}?done=revoked")


async def caller(request: Request, db: Db) -> Caller:
    return await caller_of(db, request.actor, token_given(request))


def more(rows: Sequence[Held]) -> str | None:
    """The cursor of the next page."""
    return make_cursor(rows[ON_A_PAGE - 1].id) if len(rows) > ON_A_PAGE else None


pages = [
    showing(HERE, show, "tokens:admin", query=Asked),
    doing(HERE, create, "tokens:admin"),
    doing(f"{HERE}/{{token}}/rotate", rotate, "tokens:admin"),
    doing(f"{HERE}/{{token}}/revoke", revoke, "tokens:admin"),
]
