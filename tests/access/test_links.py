"""Links that are used once: who makes them, for whom, and what they are good for."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from pullse.access import link_commands, links
from pullse.access.commands import ME
from pullse.agents.model import NewAgent
from pullse.errors import Invalid, NotFound
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.people import calling, give, hire, run
from tests.access.sign_in import PASSWORD, audited, browser, enter, hire_with_password

HERE = "https://help.example.com"


async def use(client: httpx.AsyncClient, token: str, **given: Any) -> httpx.Response:
    return await client.post(f"/api/links/{token}", json={"password": PASSWORD} | given)


async def invite(edge: Edge, agent_id: Any, token: str | None = None) -> httpx.Response:
    async with calling(edge) as client:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        body = {"agent_id": str(agent_id)}
        return await client.post("/api/invitations", json=body, headers=headers)


async def test_an_invited_agent_sets_a_password_and_signs_in(
    served: Edge, database: Database
) -> None:
    ada = await hire(database, "Ada")
    answer = await invite(served, ada)
    assert answer.status_code == 201
    made = answer.json()["data"]
    assert made["purpose"] == "invitation"
    async with browser(served) as client:
        used = await use(client, made["token"], name="Ada Brandt")
        assert used.json()["data"] == {"agent_id": str(ada), "purpose": "invitation"}
        assert "set-cookie" not in used.headers
        assert (await enter(client)).status_code == 200
        agent = (await client.get("/api/me")).json()["data"]["agent"]
        assert (agent["name"], agent["state"]) == ("Ada Brandt", "active")
        assert (await use(client, made["token"])).status_code == 404
    async with database.session() as db:
        rows = await db.rows("SELECT l::text FROM links AS l")
        rows += await db.rows("SELECT a::text FROM audit AS a")
    assert made["token"] not in str(rows)
    assert [actor for actor, _, _ in await audited(database, "link.made")] == ["token"]
    assert [actor for actor, _, _ in await audited(database, "link.used")] == [f"agent:{ada}"]
    ((actor, data, _),) = await audited(database, "agent.name_changed")
    assert (actor, json.loads(data)["name"]) == (f"agent:{ada}", ["Ada", "Ada Brandt"])


async def test_a_reset_ends_all_sessions(served: Edge, database: Database) -> None:
    ada = await hire_with_password(database, "Ada")
    async with browser(served) as client:
        await enter(client)
        made = (await invite(served, ada)).json()["data"]
        assert made["purpose"] == "reset"
        async with browser(served) as other:
            used = await use(other, made["token"], password="another heron entirely")
            assert used.status_code == 200
        assert (await client.get("/api/me")).status_code == 401
        assert (await enter(client)).status_code == 401
        assert (await enter(client, "Ada", "another heron entirely")).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE links SET expires_at = now()",
        "UPDATE links SET used_at = now()",
        "UPDATE agents SET state = 'disabled'",
        "UPDATE agents SET deleted_at = now()",
    ],
)
async def test_one_that_is_over_opens_nothing(
    change: str, served: Edge, database: Database
) -> None:
    token = (await invite(served, await hire(database, "Ada"))).json()["data"]["token"]
    await run(database, change)
    async with browser(served) as client:
        assert (await use(client, token)).status_code == 404
    async with database.session() as db:
        assert await db.value("SELECT count(*) FROM passwords") == 0


@pytest.mark.parametrize("token", ["x", "A" * 43, "A" * 3000, "%00", "%E9" * 43, "..%2f"])
async def test_nonsense_is_none(token: str, served: Edge) -> None:
    async with browser(served) as client:
        assert (await use(client, token)).status_code == 404


async def test_a_bad_password_does_not_use_it_up(served: Edge, database: Database) -> None:
    token = (await invite(served, await hire(database, "Ada"))).json()["data"]["token"]
    async with browser(served) as client:
        for password in ("short", "password1234", "ada@example.org"):
            assert (await use(client, token, password=password)).status_code == 400
        assert (await use(client, token, email="eve@example.org")).status_code == 400
        assert (await use(client, token)).status_code == 200


async def test_of_many_at_once_one_uses_it(served: Edge, database: Database) -> None:
    token = (await invite(served, await hire(database, "Ada"))).json()["data"]["token"]
    async with browser(served) as client:
        answers = await asyncio.gather(*(use(client, token) for _ in range(5)))
    assert sorted(each.status_code for each in answers) == [200, 404, 404, 404, 404]


async def test_a_new_one_voids_the_one_before(served: Edge, database: Database) -> None:
    ada = await hire(database, "Ada")
    first, second = [(await invite(served, ada)).json()["data"]["token"] for _ in range(2)]
    async with browser(served) as client:
        assert (await use(client, first)).status_code == 404
        assert (await use(client, second)).status_code == 200


async def test_a_repeat_shows_no_token(served: Edge, database: Database) -> None:
    body = {"agent_id": str(await hire(database, "Ada"))}
    async with calling(served) as client:
        headers = {"Idempotency-Key": "once"}
        one = await client.post("/api/invitations", json=body, headers=headers)
        two = await client.post("/api/invitations", json=body, headers=headers)
    assert one.json()["data"]["token"]
    assert two.json()["data"] == one.json()["data"] | {"token": None}


async def test_nobody_makes_one_for_who_may_more(served: Edge, database: Database) -> None:
    owner, admin = await hire(database, "Olga", "owner"), await hire(database, "Adam", "admin")
    other, agent = await hire(database, "Berta", "admin"), await hire(database, "Ada")
    by_admin = await give(database, admin)
    narrow = await give(database, admin, scopes=["agents:admin"])
    assert (await invite(served, owner, by_admin)).json()["code"] == "owners_only"
    assert (await invite(served, other, by_admin)).status_code == 201
    assert (await invite(served, other, narrow)).status_code == 403
    assert (await invite(served, agent, narrow)).status_code == 403
    assert (await invite(served, admin, by_admin)).status_code == 403  # oneself
    assert (await invite(served, agent, await give(database, agent))).status_code == 403
    assert (await invite(served, owner, await give(database, owner))).status_code == 403
    assert (await invite(served, owner)).status_code == 201


async def test_the_first_owner_sets_up(served: Edge, database: Database) -> None:
    async with database.transaction() as db:
        made = [await links.set_up(db, by=ME) for _ in range(2)]
    tokens = [each.token for each in made if each]
    async with browser(served) as client:
        for given in ({}, {"name": "Olga"}, {"email": "olga@example.org"}):
            assert (await use(client, tokens[0], **given)).status_code == 400
        owner = {"name": "Olga", "email": "olga@example.org"}
        answers = await asyncio.gather(*(use(client, token, **owner) for token in tokens))
        assert sorted(each.status_code for each in answers)[0] == 200
        assert sorted(each.status_code for each in answers)[1] in (404, 409)
        assert (await enter(client, "Olga")).status_code == 200
        me = (await client.get("/api/me")).json()["data"]
        assert (me["role"], me["agent"]["state"]) == ("owner", "active")
    async with database.transaction() as db:
        assert await links.set_up(db, by=ME) is None
        assert await db.value("SELECT count(*) FROM agents") == 1


async def test_a_set_up_link_is_worth_nothing_once_there_is_an_owner(
    served: Edge, database: Database
) -> None:
    async with database.transaction() as db:
        made = await links.set_up(db, by=ME)
    assert made
    await hire_with_password(database, "Olga", "owner")
    async with browser(served) as client:
        answer = await use(client, made.token, name="Eve", email="eve@example.org")
    assert (answer.status_code, answer.json()["code"]) == (409, "is_set_up")


async def test_the_commands(served: Edge, database: Database) -> None:
    said = await link_commands.invite(
        database, link_commands.new_agent("eva@example.org", None, "admin"), HERE
    )
    async with browser(served) as client:
        assert (await use(client, token_in(said))).status_code == 200
        assert (await enter(client, "Eva")).status_code == 200
        with pytest.raises(Invalid, match="pullse agents reset"):
            await link_commands.invite(database, NewAgent("Eva", "eva@example.org"), HERE)
        said = await link_commands.reset(database, "EVA@example.org", HERE)
        assert (await use(client, token_in(said))).status_code == 200
    with pytest.raises(NotFound):
        await link_commands.reset(database, "nobody@example.org", HERE)
    with pytest.raises(Invalid):
        link_commands.new_agent("no address", None, "agent")
    assert "first owner" in str(await link_commands.set_up(database, HERE))


def token_in(said: str) -> str:
    """From the address on the first line."""
    start, _, token = said.split("\n")[0].rpartition("/")
    assert start == f"{HERE}/links"
    return token
