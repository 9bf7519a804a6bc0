"""/agents: who is there, for those who may change it."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pullse.access import links, others
from pullse.access.links import Made
from pullse.access.sign_in_api import session_in_path
from pullse.access.sign_in_model import Session
from pullse.access.tokens import agent_of
from pullse.agents import actions, queries
from pullse.agents.model import Agent, AgentChanges, Email, Name, NewAgent, Role
from pullse.errors import Forbidden, NotFound, Refusal, Stale
from pullse.kit import by_name
from pullse.kit.db import Db
from pullse.kit.events import Actor
from pullse.kit.pages import EMPTY, Form, Shown, doing, read_form, see, showing, status_of
from pullse.kit.web import Request
from pullse.tickets import departures
from pullse.web.frame import shown

HERE = "/agents"
ON_A_PAGE = 100


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cursor: Annotated[str, Meta(max_length=2000)] | None = None
    done: Literal["removed"] | None = None


class AskedOne(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    done: Literal["changed", "session_ended", "sessions_ended"] | None = None


class Typed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    email: Email
    role: Role
    name: Name | None = None


class TypedPerson(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`version` is that of the agent whose name was on the page."""

    name: Name
    email: Email
    version: Annotated[str, Meta(pattern="^[0-9]{1,9}$")]


class TypedChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    role: Role | UnsetType = UNSET
    state: Literal["active", "disabled"] | UnsetType = UNSET


async def show(request: Request) -> Shown:
    asked = request.read_query(Asked)
    form = Form([("role", "agent")])
    return await page(request, form, cursor=asked.cursor, done=asked.done)


async def page(
    request: Request,
    form: Form,
    status: int = 200,
    *,
    cursor: str | None = None,
    done: str | None = None,
) -> Shown:
    after = by_name.place_of(cursor)
    async with request.database.session() as db:
        rows = await queries.page(db, after=after, limit=ON_A_PAGE + 1)
    found = [msgspec.json.decode(row[0], type=Agent) for row in rows[:ON_A_PAGE]]
    more = by_name.make_cursor(*rows[ON_A_PAGE - 1][1:]) if len(rows) > ON_A_PAGE else None
    return await shown(
        request,
        "access/agents.html",
        status,
        form=form,
        agents=found,
        more=more,
        done=done,
        roles=[each.value for each in Role],
        me=agent_of(request.actor),
    )


async def invite(request: Request) -> Shown:
    form = await read_form(request)
    try:
        given = form.read(Typed)
        name = given.name or given.email.partition("@")[0][:200]
        new = NewAgent(name, given.email, given.role)
        async with request.database.transaction() as db:
            agent = await actions.create(db, new, by=request.actor)
            body = msgspec.json.decode(agent.body, type=Agent)
            made = await links.invite(db, body.id, by=request.actor)
    except Refusal as error:
        return await page(request, form.refused(error), status_of(error))
    request.services.tail.wake()
    return await show_link(request, body, made, 201)


async def show_one(request: Request) -> Shown:
    asked = request.read_query(AskedOne)
    return await page_of_one(request, EMPTY, done=asked.done)


async def page_of_one(
    request: Request, form: Form, status: int = 200, *, done: str | None = None
) -> Shown:
    agent_id = id_in_path(request)
    async with request.database.session() as db:
        agent = await actions.get(db, agent_id)
        begun = await sessions_of(db, agent_id, request.actor)
    shown_agent = msgspec.json.decode(agent.body, type=Agent)
    return await shown(
        request,
        "access/agent.html",
        status,
        form=form,
        agent=shown_agent,
        roles=[each.value for each in Role],
        is_own=agent_of(request.actor) == shown_agent.id,
        sessions=begun,
        done=done,
    )


async def sessions_of(db: Db, agent_id: UUID, by: Actor) -> list[Session] | None:
    """None for who may not see them."""
    try:
        bodies = await others.list_sessions(db, agent_id, by=by)
    except Forbidden:
        return None
    return [msgspec.json.decode(each, type=Session) for each in bodies]


async def change(request: Request) -> Shown:
    form, agent_id = await read_form(request), id_in_path(request)
    try:
        given = form.read(TypedChange)
        changes = AgentChanges(role=given.role, state=given.state)
        async with request.database.transaction() as db:
            await actions.change(db, agent_id, changes, by=request.actor)
    except NotFound:
        raise
    except Refusal as error:
        return await page_of_one(request, form.refused(error), status_of(error))
    request.services.forget()
    request.services.tail.wake()
    return see(f"{HERE}/{agent_id}?done=changed")


async def rename(request: Request) -> Shown:
    form, agent_id = await read_form(request), id_in_path(request)
    try:
        given = form.read(TypedPerson)
        changes = AgentChanges(name=given.name, email=given.email)
        if_match = [int(given.version)]
        async with request.database.transaction() as db:
            await actions.change(db, agent_id, changes, if_match=if_match, by=request.actor)
    except NotFound:
        raise
    except Stale:
        message = "Somebody changed this agent while you wrote; see how it is now."
        return await page_of_one(request, Form(form.given, message), 412)
    except Refusal as error:
        return await page_of_one(request, form.refused(error), status_of(error))
    request.services.tail.wake()
    return see(f"{HERE}/{agent_id}?done=changed")


async def remove(request: Request) -> Shown:
    await read_form(request)
    try:
        async with request.database.transaction() as db:
            await departures.dismiss(db, id_in_path(request), by=request.actor)
    except NotFound:
        raise
    except Refusal as error:
        return await page_of_one(request, EMPTY.refused(error), status_of(error))
    request.services.forget()
    request.services.tail.wake()
    return see(f"{HERE}?done=removed")


async def make_link(request: Request) -> Shown:
    await read_form(request)
    try:
        async with request.database.transaction() as db:
            agent = await actions.get(db, id_in_path(request))
            body = msgspec.json.decode(agent.body, type=Agent)
            made = await links.invite(db, body.id, by=request.actor)
    except NotFound:
        raise
    except Refusal as error:
        return await page_of_one(request, EMPTY.refused(error), status_of(error))
    return await show_link(request, body, made, 201)


async def end_session(request: Request) -> Shown:
    agent_id, session_id = id_in_path(request), session_in_path(request)
    return await end(
        request,
        lambda db: others.end_session(db, agent_id, session_id, by=request.actor),
        "session_ended",
    )


async def end_sessions(request: Request) -> Shown:
    agent_id = id_in_path(request)
    return await end(
        request,
        lambda db: others.end_sessions(db, agent_id, by=request.actor),
        "sessions_ended",
    )


async def end(request: Request, run: Callable[[Db], Awaitable[object]], done: str) -> Shown:
    await read_form(request)
    try:
        async with request.database.transaction() as db:
            await run(db)
    except NotFound:
        raise
    except Refusal as error:
        return await page_of_one(request, EMPTY.refused(error), status_of(error))
    request.services.forget()
    return see(f"{HERE}/{id_in_path(request)}?done={done}")


async def show_link(request: Request, agent: Agent, made: Made, status: int) -> Shown:
    """Where the browser found us, the others will."""
    address = f"{request.scope['scheme']}://{request.header(b'host')}/links/{made.token}"
    return await shown(
        request, "access/link_made.html", status, agent=agent, made=made, address=address
    )


def id_in_path(request: Request) -> UUID:
    try:
        return UUID(request.path_params["agent"])
    except ValueError:
        actions.no_agent()


pages = [
    showing(HERE, show, "agents:admin", query=Asked),
    doing(f"{HERE}/invite", invite, "agents:admin"),
    showing(f"{HERE}/{{agent}}", show_one, "agents:admin", query=AskedOne),
    doing(f"{HERE}/{{agent}}", change, "agents:admin"),
    doing(f"{HERE}/{{agent}}/name", rename, "agents:admin"),
    doing(f"{HERE}/{{agent}}/remove", remove, "agents:admin"),
    doing(f"{HERE}/{{agent}}/link", make_link, "agents:admin"),
    doing(f"{HERE}/{{agent}}/sessions/{{session}}/end", end_session, "agents:admin"),
    doing(f"{HERE}/{{agent}}/end-sessions", end_sessions, "agents:admin"),
]
