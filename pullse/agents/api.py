"""/api/agents."""

import base64
import binascii
from uuid import UUID

import msgspec

from pullse.agents import actions, queries
from pullse.agents.actions import EmailTaken
from pullse.agents.model import Agent, AgentChanges, AgentPage, AgentQuery, NewAgent
from pullse.agents.rules import LastOwner
from pullse.errors import Invalid, NotFound, Stale
from pullse.kit import etags, idempotency
from pullse.kit.db import Db
from pullse.kit.web import Answer, Call, Request, encoded, ok

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
    after = None if query.cursor is None else read_cursor(query.cursor)
    async with request.database.session() as db:
        rows = await queries.page(db, after=after, limit=query.limit + 1)
    records = ",".join(row[0] for row in rows[: query.limit])
    more = len(rows) > query.limit
    cursor = make_cursor(*rows[query.limit - 1][1:]) if more else None
    return ok(request, f'{{"records":[{records}],"next_cursor":{encoded(cursor)}}}')


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


def make_cursor(name: str, id_: UUID) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((name, id_))).rstrip(b"=").decode()


def read_cursor(text: str) -> tuple[str, UUID]:
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        raw = base64.b64decode(padded, b"-_", validate=True)
        name, id_ = msgspec.json.decode(raw, type=tuple[str, UUID])
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        raise Invalid.field("cursor", "This is not a cursor of this list.") from None
    if "\0" in name:
        raise Invalid.field("cursor", "This is not a cursor of this list.")
    return name, id_


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
