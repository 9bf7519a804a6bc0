"""/api/agents."""

from uuid import UUID

from pullse.agents import actions, queries
from pullse.agents.actions import EmailTaken
from pullse.agents.model import Agent, AgentChanges, AgentPage, AgentQuery, NewAgent
from pullse.agents.rules import LastOwner
from pullse.errors import NotFound, Stale
from pullse.kit import by_name, etags, idempotency
from pullse.kit.db import Db
from pullse.kit.web import Answer, Call, Request, ok

EXAMPLE = {
    "id": "019aa4ae-4c11-7a3e-9f6b-2d8e7c5a1b04",
    "name": "Ada Brandt",
    "email": "ada@example.org",
    "created_at": "2026-11-22T09:00:00.123456+00:00",
    "updated_at": "2026-11-22T09:00:00.123456+00:00",
    "version": 1,
    "role": "agent",
    "state": "invited",
}


async def create(request: Request) -> Answer:
    new = await request.read_body(NewAgent)

    async def run(db: Db) -> Answer:
        return shown(request, await actions.create(db, new, by=request.actor))

    return await idempotency.post(request, run)


async def index(request: Request) -> Answer:
    query = request.read_query(AgentQuery)
    after = by_name.place_of(query.cursor)
    async with request.database.session() as db:
        rows = await queries.page(db, after=after, limit=query.limit + 1)
    return by_name.page(request, rows, query.limit)


async def show(request: Request) -> Answer:
    async with request.database.session() as db:
        agent = await actions.get(db, id_in_path(request))
    return etags.unchanged(request, agent.version) or shown(request, agent)


async def update(request: Request) -> Answer:
    changes = await request.read_body(AgentChanges)
    if_match = etags.if_match(request)
    async with request.database.transaction() as db:
        changed = await actions.change(
            db, id_in_path(request), changes, if_match=if_match, by=request.actor
        )
    request.services.forget()
    request.services.tail.wake()
    return shown(request, changed)


def id_in_path(request: Request) -> UUID:
    try:
        return UUID(request.path_params["agent"])
    except ValueError:
        raise NotFound("There is no such agent.") from None


def shown(request: Request, agent: queries.Shown) -> Answer:
    return ok(request, agent.body, etags.etag(agent.version))


calls = [
    Call(
        "POST",
        "/api/agents",
        create,
        "Create an agent",
        "Agent has been created.",
        status=201,
        body=NewAgent,
        data=Agent,
        example=EXAMPLE,
        tag="agents",
        refuses=[EmailTaken],
        permission="agents:admin",
    ),
    Call(
        "GET",
        "/api/agents",
        index,
        "List agents by name",
        "Agents have been fetched.",
        query=AgentQuery,
        data=AgentPage,
        example={"records": [EXAMPLE], "next_cursor": None},
        tag="agents",
        permission="agents:read",
    ),
    Call(
        "GET",
        "/api/agents/{agent}",
        show,
        "Get one agent",
        "Agent has been fetched.",
        data=Agent,
        example=EXAMPLE,
        tag="agents",
        conditional=True,
        permission="agents:read",
    ),
    Call(
        "PATCH",
        "/api/agents/{agent}",
        update,
        "Change an agent",
        "Agent has been updated.",
        body=AgentChanges,
        data=Agent,
        example={**EXAMPLE, "name": "Ada Brandt-Li", "version": 2, "state": "active"},
        tag="agents",
        refuses=[Stale, EmailTaken, LastOwner],
        conditional=True,
        permission="agents:admin",
    ),
]
