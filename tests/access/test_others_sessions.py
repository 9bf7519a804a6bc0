"""Sessions of somebody else: who sees and ends them, of whom, and what is written down."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from pullse import app
from pullse.access import session_queries
from pullse.access.finder import Finder, SessionFinder
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.kit.guard import BearerToken
from pullse.kit.tail import Tail
from tests.access.people import OPERATORS, calling, give, run
from tests.access.sign_in import audited, browser, enter, hire_with_password


async def end(client: httpx.AsyncClient, agent: Any) -> httpx.Response:
    return await client.delete(f"/api/agents/{agent}/sessions")


async def seen(client: httpx.AsyncClient, agent: Any) -> httpx.Response:
    return await client.get(f"/api/agents/{agent}/sessions")


async def listed(client: httpx.AsyncClient, agent: Any) -> list[Any]:
    answer = await seen(client, agent)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["records"]  # type: ignore[no-any-return]


async def end_one(client: httpx.AsyncClient, agent: Any, session: Any) -> httpx.Response:
    return await client.delete(f"/api/agents/{agent}/sessions/{session}")


async def test_an_admin_sees_those_of_an_agent(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada", "admin")
    ben = await hire_with_password(database, "Ben")
    firefox = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/133.0"}
    async with (
        browser(served) as admin,
        browser(served, address="198.51.100.7", **firefox) as one,
        browser(served) as two,
    ):
        await enter(admin)
        assert await listed(admin, ben) == []
        for client in (one, two):
            await enter(client, "Ben")
        own = (await one.get("/api/sessions")).json()["data"]["records"]
        found = await listed(admin, ben)
        assert found == [each | {"is_current": False} for each in own]
        first = {name: found[1][name] for name in ("agent_id", "device", "address")}
        assert first == {
            "agent_id": str(ben),
            "device": "Firefox 133 on Linux",
            "address": "198.51.100.7",
        }
        assert not {"hash", "device_hash", "means"} & set(found[0])
        await one.delete("/api/session")
        assert [each["id"] for each in await listed(admin, ben)] == [found[0]["id"]]
    assert len(await audited(database, "session.ended")) == 1


async def test_an_admin_ends_one_and_leaves_the_others(served: Edge, database: Database) -> None:
    ada = await hire_with_password(database, "Ada", "admin")
    ben = await hire_with_password(database, "Ben")
    async with (
        browser(served, address="198.51.100.7") as admin,
        browser(served) as one,
        browser(served) as two,
    ):
        await enter(admin)
        for client in (one, two):
            await enter(client, "Ben")
        newest = (await listed(admin, ben))[0]["id"]
        assert (await end_one(admin, ben, newest)).status_code == 200
        assert (await two.get("/api/me")).status_code == 401
        assert (await one.get("/api/me")).status_code == 200
        assert newest not in str(await listed(admin, ben))
        for session in (newest, uuid4(), "x"):
            assert (await end_one(admin, ben, session)).status_code == 404
    ((actor, data, address),) = await audited(database, "session.ended")
    assert (actor, address) == (f"agent:{ada}", "198.51.100.7")
    assert json.loads(data) == {"agent_id": str(ben), "session_id": newest}


async def test_a_session_is_ended_at_its_own_agent_alone(served: Edge, database: Database) -> None:
    """Who may end an agent's sessions gets at no owner's by the address of an agent."""
    olga = await hire_with_password(database, "Olga", "owner")
    await hire_with_password(database, "Ada", "admin")
    ben = await hire_with_password(database, "Ben")
    async with browser(served) as owner, browser(served) as admin:
        await enter(owner, "Olga")
        await enter(admin)
        session = (await owner.get("/api/sessions")).json()["data"]["records"][0]["id"]
        assert (await end_one(admin, ben, session)).status_code == 404
        assert (await end_one(admin, olga, session)).json()["code"] == "owners_only"
        assert (await owner.get("/api/me")).status_code == 200
    assert await audited(database, "session.ended") == []


async def test_who_may_not_end_them_does_not_see_them(served: Edge, database: Database) -> None:
    olga = await hire_with_password(database, "Olga", "owner")
    ada = await hire_with_password(database, "Ada", "admin")
    ben = await hire_with_password(database, "Ben")
    service = await give(database, role="admin")
    few = await give(database, role="admin", scopes=["agents:admin"])
    async with (
        browser(served, address="198.51.100.7", **{"User-Agent": "curl/8.1"}) as owner,
        browser(served) as admin,
        browser(served, address="198.51.100.8", **{"User-Agent": "curl/8.2"}) as agent,
        calling(served, service) as program,
        calling(served, few) as weak,
    ):
        await enter(owner, "Olga")
        await enter(admin)
        await enter(agent, "Ben")
        session = (await agent.get("/api/sessions")).json()["data"]["records"][0]["id"]
        for client, whose, code in (
            (admin, olga, "owners_only"),
            (program, olga, "owners_only"),
            (weak, ben, "forbidden"),
            (agent, ben, "forbidden"),
            (agent, ada, "forbidden"),
            (admin, ada, "forbidden"),
        ):
            for answer in (await seen(client, whose), await end_one(client, whose, session)):
                assert (answer.status_code, answer.json()["code"]) == (403, code), whose
                assert session not in answer.text
            page = await client.get(f"/agents/{whose}", headers={"Accept": "text/html"})
            assert page.status_code == (403 if client is agent else 200)
            for secret in ("curl 8", "198.51.100", session):
                assert secret not in page.text
        assert "GET /api/sessions" in (await seen(admin, ada)).text
        for client in (owner, admin, agent):
            assert (await client.get("/api/me")).status_code == 200
    assert await audited(database, "session.ended") == []


async def test_those_of_who_is_disabled_are_seen_too(served: Edge, database: Database) -> None:
    ben = await hire_with_password(database, "Ben")
    async with browser(served) as client, calling(served) as operator:
        await enter(client, "Ben")
        await operator.patch(f"/api/agents/{ben}", json={"state": "disabled"})
        (session,) = await listed(operator, ben)
        assert (await end_one(operator, ben, session["id"])).status_code == 200
        await operator.patch(f"/api/agents/{ben}", json={"state": "active"})
        assert (await client.get("/api/me")).status_code == 401


async def test_with_one_too_many_ends_what_was_not_used_for_longest(
    served: Edge, database: Database
) -> None:
    most = session_queries.AT_ONCE
    ben = await hire_with_password(database, "Ben")
    async with browser(served) as first, browser(served) as second, browser(served) as last:
        await enter(first, "Ben")
        await enter(second, "Ben")
        await run(
            database,
            """
            INSERT INTO sessions (id, hash, agent_id, device_hash, device, means, role,
                                  last_used_at, expires_at)
                 SELECT gen_random_uuid(), sha256(n::text::bytea), $1, '', 'curl 8', '{password}',
                        'agent', now() - n * interval '1 minute', now() + interval '1 day'
                   FROM generate_series(1, $2) AS n
            """,
            ben,
            most - 2,
        )
        await run(
            database,
            "UPDATE sessions SET last_used_at = now() - interval '1 day' WHERE id ="
            " (SELECT id FROM sessions WHERE device <> 'curl 8' ORDER BY id LIMIT 1)",
        )
        assert (await first.get("/api/me")).status_code == 200
        async with calling(served) as operator:
            assert len(await listed(operator, ben)) == most
            await enter(last, "Ben")
            assert len(await listed(operator, ben)) == most
        assert (await first.get("/api/me")).status_code == 401
        for client in (second, last):
            assert (await client.get("/api/me")).status_code == 200
        ((actor, data, _),) = await audited(database, "session.ended")
        assert actor == f"agent:{ben}"
        assert json.loads(data) == {"agent_id": str(ben), "count": 1, "reason": "too_many"}
        # what was over by its time goes first, and nobody hears of it
        await run(
            database,
            "UPDATE sessions SET last_used_at = now() - interval '15 days'"
            " WHERE device = 'curl 8' AND ended_at IS NULL",
        )
        async with browser(served) as another:
            await enter(another, "Ben")
        assert (await second.get("/api/me")).status_code == 200
    assert len(await audited(database, "session.ended")) == 1


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
        assert "This role has the permission" in answer.text
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
            assert (await seen(operator, agent)).status_code == 404
            assert (await end_one(operator, agent, uuid4())).status_code == 404
