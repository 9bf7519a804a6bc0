"""/api/me and /api/tokens."""

import base64
import binascii
from uuid import UUID

from pullse.access import token_queries as queries
from pullse.access import tokens
from pullse.access.model import MadeToken, Me, NewToken, Rotation, TokenPage, TokenQuery
from pullse.access.policy import SecondFactorNeeded
from pullse.access.secrets import hashed
from pullse.access.tokens import Made, TokenEnded, agent_of, caller_of, service_of
from pullse.agents import queries as agents
from pullse.agents.api import EXAMPLE as AGENT
from pullse.agents.permissions import listed
from pullse.errors import Invalid
from pullse.kit import idempotency
from pullse.kit.db import Db
from pullse.kit.guard import bearer
from pullse.kit.idempotency import Once
from pullse.kit.web import Answer, Call, Request, encoded, ok
from pullse.teams import queries as teams
from pullse.teams.api import EXAMPLE as TEAM

EXAMPLE = {
    "id": "019aa4b0-0c52-7f0e-8b1d-5f6a7c8d9e01",
    "name": "Nightly export",
    "agent_id": AGENT["id"],
    "role": None,
    "scopes": ["tickets:read"],
    "created_by": f"agent:{AGENT['id']}",
    "created_at": "2026-11-22T09:00:00.123456+00:00",
    "expires_at": "2027-02-20T09:00:00+00:00",
    "last_used_at": None,
    "revoked_at": None,
}
MADE = {"token": "pullse_0Jq8rX2vN5kZ7mB1tC4wE6yH9uL3oP0sD8fG2aV5iR7Q1x3ZUf", **EXAMPLE}
REPEATS = "A repeat with the same Idempotency-Key makes no other and has null for `token`."


async def me(request: Request) -> Answer:
    actor, given = request.actor, token_given(request)
    agent_id, service_id = agent_of(actor), service_of(actor)
    kind, role, agent, token = actor.id, None, None, None
    async with request.database.session() as db:
        if given is not None:
            token = await queries.get_by_hash(db, hashed(given))
        if agent_id is not None:
            kind, role = "agent", await agents.role_of_agent(db, agent_id)
            agent = await agents.get(db, agent_id)
        elif service_id is not None:
            kind, role = "service", await agents.role_of_service(db, service_id)
        else:
            role = "owner"
        own = [] if agent_id is None else await teams.of_agent(db, agent_id)
    listed_teams = ",".join(
        f'{{"id":{encoded(each.id)},"name":{encoded(each.name)},'
        f'"is_private":{encoded(each.is_private)}}}'
        for each in own
    )
    return ok(
        request,
        f'{{"id":{encoded(actor.id)},"kind":{encoded(kind)},"role":{encoded(role)},'
        f'"permissions":{encoded(listed(actor.rights))},'
        f'"second_factor_needed":{encoded(actor.lacks is SecondFactorNeeded)},'
        f'"agent":{agent.body if agent else "null"},"teams":[{listed_teams}],'
        f'"token":{token or "null"}}}',
    )


async def create(request: Request) -> Answer:
    new = await request.read_body(NewToken)

    async def run(db: Db) -> Once:
        by = await caller_of(db, request.actor, token_given(request))
        return once(request, await tokens.create(db, new, by=by))

    return await idempotency.post(request, run)


async def index(request: Request) -> Answer:
    query, actor = request.read_query(TokenQuery), request.actor
    is_admin = "tokens:admin" in actor.rights
    before = None if query.cursor is None else read_cursor(query.cursor)
    agent_id, token_id = (None, None) if is_admin else (agent_of(actor), service_of(actor))
    rows = []
    if is_admin or agent_id or token_id:
        async with request.database.session() as db:
            rows = list(
                await queries.page(
                    db,
                    agent_id=agent_id,
                    token_id=token_id,
                    before=before,
                    limit=query.limit + 1,
                )
            )
    records = ",".join(row[0] for row in rows[: query.limit])
    more = len(rows) > query.limit
    cursor = make_cursor(rows[query.limit - 1][1]) if more else None
    return ok(request, f'{{"records":[{records}],"next_cursor":{encoded(cursor)}}}')


async def revoke(request: Request) -> Answer:
    async with request.database.transaction() as db:
        await tokens.revoke(db, id_in_path(request), by=request.actor)
    request.services.forget()
    request.services.tail.wake()
    return ok(request)


async def rotate(request: Request) -> Answer:
    rotation, token_id = await request.read_body(Rotation), id_in_path(request)

    async def run(db: Db) -> Once:
        by = await caller_of(db, request.actor, token_given(request))
        return once(request, await tokens.rotate(db, token_id, rotation, by=by))

    answer = await idempotency.post(request, run)
    request.services.forget()
    return answer


def once(request: Request, made: Made) -> Once:
    """The token goes out in the first answer, and is kept in none."""
    return Once(
        ok(request, f'{{"token":{encoded(made.token)},{made.body[1:]}'),
        ok(request, f'{{"token":null,{made.body[1:]}'),
    )


def token_given(request: Request) -> str | None:
    return bearer(dict(request.scope["headers"]))


def id_in_path(request: Request) -> UUID:
    try:
        return UUID(request.path_params["token"])
    except ValueError:
        tokens.no_token()


def make_cursor(id_: UUID) -> str:
    return base64.urlsafe_b64encode(id_.bytes).rstrip(b"=").decode()


def read_cursor(text: str) -> UUID:
    try:
        raw = base64.b64decode(text.encode("ascii") + b"==", b"-_", validate=True)
        return UUID(bytes=raw)
    except (ValueError, binascii.Error):
        raise Invalid.field("cursor", "This is not a cursor of this list.") from None


calls = [
    Call(
        "GET",
        "/api/me",
        me,
        "Who one is, and what one may do",
        "This is you.",
        data=Me,
        example={
            "id": f"agent:{AGENT['id']}",
            "kind": "agent",
            "role": "agent",
            "permissions": ["tickets:read"],
            "second_factor_needed": False,
            "agent": AGENT,
            "teams": [{"id": TEAM["id"], "name": TEAM["name"], "is_private": False}],
            "token": EXAMPLE,
        },
        tag="tokens",
        permission="me:read",
    ),
    Call(
        "POST",
        "/api/tokens",
        create,
        "Make an API token, which is shown this once",
        "Token has been created.",
        status=201,
        body=NewToken,
        data=MadeToken,
        example=MADE,
        tag="tokens",
        description="For oneself, or with tokens:admin for another agent (`agent_id`) or a service "
        f"(`role`). It may not more than who makes it. {REPEATS}",
        permission="tokens:own",
    ),
    Call(
        "GET",
        "/api/tokens",
        index,
        "List API tokens, the newest first",
        "Tokens have been fetched.",
        query=TokenQuery,
        data=TokenPage,
        example={"records": [EXAMPLE], "next_cursor": None},
        tag="tokens",
        description="One's own; with tokens:admin all.",
        permission="tokens:own",
    ),
    Call(
        "DELETE",
        "/api/tokens/{token}",
        revoke,
        "Revoke an API token, everywhere within a second",
        "Token has been revoked.",
        tag="tokens",
        permission="tokens:own",
    ),
    Call(
        "POST",
        "/api/tokens/{token}/rotate",
        rotate,
        "Put a new API token in the place of one, which goes on for `overlap` seconds",
        "Token has been rotated.",
        status=201,
        body=Rotation,
        data=MadeToken,
        example={**MADE, "id": "019aa4b1-7d20-7c55-9a41-0b2c3d4e5f60"},
        tag="tokens",
        refuses=[TokenEnded],
        description=f"Same name, scopes and holder. {REPEATS}",
        permission="tokens:own",
    ),
]
