"""Ending all sessions of somebody else: by whom, of whom, and what is written down."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from pullse import app
from pullse.access.finder import Finder, SessionFinder
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.kit.guard import BearerToken
from pullse.kit.tail import Tail
from tests.access.people import OPERATORS, calling, give, run
from tests.access.sign_in import audited, browser, enter, hire_with_password


async def end(client: httpx.AsyncClient, agent: Any) -> httpx.Response:
    return await client.delete(f"/api/agents/{agent}/sessions")


async def test_an_admin_ends_all_of_an_agent(served: Edge, database: Database) -> None:
    ada = await hire_with_password(database, "Ada", "admin")
    ben = await hire_with_password(database, "Ben")
    token = await give(database, ben)
    async with (
        browser(served, address="198.51.100.7") as admin,
        browser(served) as one,
        browser(served) as two,
    ):
        await enter(admin)
        for client in (one, two):
            await enter(client, "Ben")
            assert (await client.get("/api/me")).status_code == 200
        answer = await end(admin, ben)
        assert (answer.status_code, answer.json()["data"]) == (200, {"ended": 2})
        for client in (one, two):
            assert (await client.get("/api/me")).status_code == 401
        assert (await admin.get("/api/me")).status_code == 200
        assert (await end(admin, ben)).json()["data"] == {"ended": 0}
        assert (await enter(one, "Ben")).status_code == 200
    async with calling(served, token) as program:
        assert (await program.get("/api/me")).status_code == 200
    ((actor, data, address),) = await audited(database, "session.ended")
    assert (actor, address) == (f"agent:{ada}", "198.51.100.7")
    assert json.loads(data) == {"agent_id": str(ben), "count": 2}


async def test_other_processes_know_within_a_second(
    served: Edge, database: Database, tail: Tail
) -> None:
    ben = await hire_with_password(database, "Ben")
    guard = BearerToken(OPERATORS, find=Finder(database), find_session=SessionFinder(database))
    other = app.build(database, tail, guard)
    async with browser(other) as client, calling(served) as operator:
        await enter(client, "Ben")
        assert (await client.get("/api/me")).status_code == 200
        assert (await end(operator, ben)).json()["data"] == {"ended": 1}
        await asyncio.sleep(1.05)
        assert (await client.get("/api/me")).status_code == 401


async def test_an_owners_are_not_an_admins_to_end(served: Edge, database: Database) -> None:
    olga = await hire_with_password(database, "Olga", "owner")
    await hire_with_password(database, "Ada", "admin")
    service = await give(database, role="admin")
    async with browser(served) as owner, browser(served) as admin:
        await enter(owner, "Olga")
        await enter(admin)
        assert (await end(admin, olga)).json()["code"] == "owners_only"
        async with calling(served, service) as program:
            assert (await end(program, olga)).json()["code"] == "owners_only"
        assert (await owner.get("/api/me")).status_code == 200
    assert await audited(database, "session.ended") == []


async def test_an_owner_ends_those_of_an_owner_and_an_admin(
    served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada", "owner")
    others = [
        await hire_with_password(database, name, role)
        for name, role in (("Olga", "owner"), ("Anna", "admin"))
    ]
    async with browser(served) as owner:
        await enter(owner)
        for name, id_ in zip(("Olga", "Anna"), others, strict=True):
            async with browser(served) as client:
                await enter(client, name)
                assert (await end(owner, id_)).json()["data"] == {"ended": 1}
                assert (await client.get("/api/me")).status_code == 401


async def test_who_may_less_ends_none(served: Edge, database: Database) -> None:
    """A token that may change agents, and not all that this one may."""
    ben = await hire_with_password(database, "Ben")
    few = await give(database, role="admin", scopes=["agents:admin"])
    async with browser(served) as client, calling(served, few) as program:
        await enter(client, "Ben")
        answer = await end(program, ben)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert "This agent has the permission" in answer.text
        assert (await client.get("/api/me")).status_code == 200
    assert await audited(database, "session.ended") == []


@pytest.mark.parametrize("role", ["agent", "collaborator", "read_only"])
async def test_others_may_not(role: str, served: Edge, database: Database) -> None:
    ben = await hire_with_password(database, "Ben", "read_only")
    await hire_with_password(database, "Ada", role)
    async with browser(served) as client, browser(served) as other:
        await enter(other, "Ben")
        await enter(client)
        answer = await end(client, ben)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert (await other.get("/api/me")).status_code == 200


async def test_ones_own_are_ended_elsewhere(served: Edge, database: Database) -> None:
    ada = await hire_with_password(database, "Ada", "owner")
    async with browser(served) as client:
        await enter(client)
        answer = await end(client, ada)
        assert answer.status_code == 403
        assert "DELETE /api/sessions" in answer.json()["message"]
        assert (await client.get("/api/me")).status_code == 200


async def test_a_disabled_agent_comes_back_without_any(served: Edge, database: Database) -> None:
    ben = await hire_with_password(database, "Ben")
    async with browser(served) as client, calling(served) as operator:
        await enter(client, "Ben")
        await operator.patch(f"/api/agents/{ben}", json={"state": "disabled"})
        assert (await end(operator, ben)).json()["data"] == {"ended": 1}
        await operator.patch(f"/api/agents/{ben}", json={"state": "active"})
        assert (await client.get("/api/me")).status_code == 401


async def test_who_is_not_there_is_404(served: Edge, database: Database) -> None:
    gone = await hire_with_password(database, "Ben")
    await run(database, "UPDATE agents SET deleted_at = now()")
    async with calling(served) as operator:
        for agent in (gone, uuid4(), "x"):
            assert (await end(operator, agent)).status_code == 404
