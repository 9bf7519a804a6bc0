"""Every call has a permission; roles, scopes and strangers get exactly what the table says."""

import asyncio
import re
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from pullse import app
from pullse.access.finder import Finder
from pullse.agents.permissions import PERMISSIONS, ROLES, rights_of
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.kit.web import Call
from tests.access.people import calling, give, hire, run
from tests.conftest import serving

DOCS = Path(__file__).parents[2] / "docs"
GUARDED = [call for call in app.calls if not call.is_open]
OPEN = {
    "GET /health/live",
    "GET /health/ready",
    "POST /api/session",
    "POST /api/session/passkey",
    "POST /api/session/passkey/options",
    "POST /api/links/{link}",
    "POST /api/links/{link}/passkey",
    "POST /api/links/{link}/passkey/options",
    "GET /api/sign-in/providers",
    "GET /api/sign-in/oidc/{provider}",
    "GET /api/sign-in/oidc/{provider}/callback",
}


def address(call: Call) -> str:
    return re.sub(r"{\w+}", str(uuid4()), call.path)


def test_a_call_without_a_permission_is_one_of_the_few_that_are_open() -> None:
    assert {call.name for call in app.calls if call.is_open} == OPEN
    assert {call.permission for call in GUARDED} <= set(PERMISSIONS)


def test_roles_have_no_more_than_those_above_them() -> None:
    assert ROLES["read_only"] <= ROLES["collaborator"] <= ROLES["agent"]
    assert ROLES["agent"] < ROLES["admin"] <= ROLES["owner"] == set(PERMISSIONS)
    assert rights_of("nobody") == frozenset()
    assert rights_of("read_only", ["tickets:write", "tickets:read"]) == {"tickets:read"}


def test_the_documents_show_the_table() -> None:
    page = (DOCS / "security.md").read_text()
    for role in ROLES:
        assert f"`{role}`" in page
    for permission in PERMISSIONS:
        assert f"`{permission}`" in page


@pytest.mark.parametrize("role", ROLES)
async def test_each_role_may_what_the_table_says(
    role: str, served: Edge, database: Database
) -> None:
    """An agent's own token, and a service's of that role: refused just where it is not there."""
    tokens = [
        await give(database, await hire(database, role, role)),
        await give(database, role=role),
    ]
    for token in tokens:
        async with calling(served, token) as client:
            for call in GUARDED:
                answer = await client.request(call.method, address(call))
                is_refused = answer.status_code == 403 and call.permission in answer.text
                assert is_refused == (call.permission not in ROLES[role]), (call.name, answer.text)
                assert answer.status_code not in (401, 500), call.name


@pytest.mark.parametrize("scope", PERMISSIONS)
async def test_a_scope_opens_itself_alone(scope: str, served: Edge, database: Database) -> None:
    token = await give(database, role="admin", scopes=[scope])
    async with calling(served, token) as client:
        for call in GUARDED:
            answer = await client.request(call.method, address(call))
            is_refused = answer.status_code == 403 and call.permission in answer.text
            assert is_refused == (call.permission != scope), (call.name, answer.text)


@pytest.mark.parametrize("token", [None, "", "x", "pullse_" + "a" * 49, "Bearer", "\xe9"])
async def test_a_stranger_is_let_in_nowhere(token: str | None, served: Edge) -> None:
    async with calling(served, None) as client:
        for call in GUARDED:
            headers = (
                {} if token is None else {"Authorization": f"Bearer {token}".encode("latin-1")}
            )
            answer = await client.request(call.method, address(call), headers=headers)
            assert answer.status_code == 401, call.name


async def test_a_stream_ends_within_a_second_of_its_token(
    served: Edge, database: Database, finder: Finder
) -> None:
    token = await give(database, await hire(database, "Ada"))
    async with serving(served) as url, httpx.AsyncClient(base_url=url) as client:
        headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
        async with client.stream("GET", "/api/events", headers=headers) as stream:
            lines = stream.aiter_lines()
            assert (await anext(lines)).startswith("retry:")
            await run(database, "UPDATE agents SET state = 'disabled'")
            async with asyncio.timeout(3):
                assert [line async for line in lines if line.startswith("data")] == []
        answer = await client.get("/api/events", headers=headers)
        assert answer.status_code == 401
