"""/account/sessions: where one is signed in."""

from typing import Literal

import msgspec

from pullse.access import session_queries as queries
from pullse.access import sessions
from pullse.access.sessions import signed_in
from pullse.access.sign_in_api import session_in_path
from pullse.access.sign_in_model import Session
from pullse.kit.pages import Shown, doing, read_form, see, showing
from pullse.kit.web import Request
from pullse.web.frame import shown

HERE = "/account/sessions"


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    done: Literal["ended", "others_ended"] | None = None


async def show(request: Request) -> Shown:
    asked, agent_id = request.read_query(Asked), signed_in(request.actor)
    async with request.database.session() as db:
        bodies = await queries.listed(db, agent_id, request.actor.session)
    found = [msgspec.json.decode(each, type=Session) for each in bodies]
    return await shown(request, "access/sessions.html", done=asked.done, sessions=found)


async def end(request: Request) -> Shown:
    await read_form(request)
    session_id = session_in_path(request)
    async with request.database.transaction() as db:
        await sessions.end(db, session_id, by=request.actor)
    request.services.forget()
    return see(f"{HERE}?done=ended")


async def end_others(request: Request) -> Shown:
    await read_form(request)
    async with request.database.transaction() as db:
        await sessions.end_others(db, by=request.actor)
    request.services.forget()
    return see(f"{HERE}?done=others_ended")


pages = [
    showing(HERE, show, "sessions:own", query=Asked),
    doing(f"{HERE}/end-others", end_others, "sessions:own"),
    doing(f"{HERE}/{{session}}/end", end, "sessions:own"),
]
