"""/api/teams. What also takes tickets from people is in tickets/departures.py."""

from uuid import UUID

from pullse.agents.api import EXAMPLE as AGENT
from pullse.errors import NotFound, Stale
from pullse.kit import by_name, etags, idempotency
from pullse.kit.db import Db
from pullse.kit.web import Answer, Call, Request, ok
from pullse.teams import actions, queries
from pullse.teams.actions import HasTickets, TeamTaken
from pullse.teams.model import MemberPage, NewTeam, Team, TeamPage, TeamQuery

EXAMPLE = {
    "id": "019aa4af-1d20-7b4c-9e11-3f5a6b7c8d9e",
    "name": "Billing",
    "is_private": False,
    "created_at": "2026-11-22T09:00:00.123456+00:00",
    "updated_at": "2026-11-22T09:00:00.123456+00:00",
    "version": 1,
}


async def create(request: Request) -> Answer:
    new = await request.read_body(NewTeam)

    async def run(db: Db) -> Answer:
        return shown(request, await actions.create(db, new, by=request.actor))

    return await idempotency.post(request, run)


async def index(request: Request) -> Answer:
    query = request.read_query(TeamQuery)
    after = by_name.place_of(query.cursor)
    async with request.database.session() as db:
        rows = await queries.page(db, after=after, limit=query.limit + 1)
    return by_name.page(request, rows, query.limit)


async def show(request: Request) -> Answer:
    async with request.database.session() as db:
        team = await actions.get(db, id_in_path(request))
    return etags.unchanged(request, team.version) or shown(request, team)


async def delete(request: Request) -> Answer:
    if_match = etags.if_match(request)
    async with request.database.transaction() as db:
        await actions.delete(db, id_in_path(request), if_match=if_match, by=request.actor)
    request.services.tail.wake()
    return ok(request)


async def members(request: Request) -> Answer:
    query = request.read_query(TeamQuery)
    team_id, after = id_in_path(request), by_name.place_of(query.cursor)
    async with request.database.session() as db:
        await actions.get(db, team_id)
        rows = await queries.members(db, team_id, after=after, limit=query.limit + 1)
    return by_name.page(request, rows, query.limit)


async def join(request: Request) -> Answer:
    agent_id = member_in_path(request)
    async with request.database.transaction() as db:
        await actions.join(db, id_in_path(request), agent_id, by=request.actor)
    request.services.forget()
    request.services.tail.wake()
    return ok(request)


def id_in_path(request: Request) -> UUID:
    try:
        return UUID(request.path_params["team"])
    except ValueError:
        raise NotFound("There is no such team.") from None


def member_in_path(request: Request) -> UUID:
    try:
        return UUID(request.path_params["agent"])
    except ValueError:
        raise NotFound("There is no such agent.") from None


def shown(request: Request, team: queries.Shown) -> Answer:
    return ok(request, team.body, etags.etag(team.version))


calls = [
    Call(
        "POST",
        "/api/teams",
        create,
        "Create a team",
        "Team has been created.",
        status=201,
        body=NewTeam,
        data=Team,
        example=EXAMPLE,
        tag="teams",
        refuses=[TeamTaken],
        permission="teams:admin",
    ),
    Call(
        "GET",
        "/api/teams",
        index,
        "List teams by name",
        "Teams have been fetched.",
        query=TeamQuery,
        data=TeamPage,
        example={"records": [EXAMPLE], "next_cursor": None},
        tag="teams",
        permission="agents:read",
    ),
    Call(
        "GET",
        "/api/teams/{team}",
        show,
        "Get one team",
        "Team has been fetched.",
        data=Team,
        example=EXAMPLE,
        tag="teams",
        conditional=True,
        permission="agents:read",
    ),
    Call(
        "DELETE",
        "/api/teams/{team}",
        delete,
        "Remove a team that no tickets belong to",
        "Team has been deleted.",
        tag="teams",
        refuses=[Stale, HasTickets],
        conditional=True,
        permission="teams:admin",
    ),
    Call(
        "GET",
        "/api/teams/{team}/members",
        members,
        "List who is in a team, by name",
        "Members have been fetched.",
        query=TeamQuery,
        data=MemberPage,
        example={
            "records": [{**AGENT, "joined_at": "2026-11-22T09:00:00.123456+00:00"}],
            "next_cursor": None,
        },
        tag="teams",
        permission="agents:read",
    ),
    Call(
        "PUT",
        "/api/teams/{team}/members/{agent}",
        join,
        "Take an agent into a team",
        "Agent is in the team.",
        tag="teams",
        permission="teams:admin",
    ),
]
