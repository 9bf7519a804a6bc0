"""Roles and states: who may change whose, and that each change is kept twice, once chained."""

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from pullse.agents import actions
from pullse.agents.model import AgentChanges, NewAgent, Role
from pullse.agents.permissions import EVERYTHING, ROLES
from pullse.agents.rules import LastOwner, OwnAccount, OwnersOnly
from pullse.errors import Forbidden
from pullse.kit import audit
from pullse.kit.audit import Entry
from pullse.kit.db import Database
from pullse.kit.events import OPERATOR, Actor
from pullse.tickets.departures import dismiss
from tests.api.calls import facts, get, new_agent, problems, refused

TOKEN = Actor("token")


def test_each_role_has_its_permissions() -> None:
    assert {role.value for role in Role} == ROLES.keys()


async def made(
    database: Database, name: str, role: Role = Role.AGENT, *, is_active: bool = True
) -> UUID:
    new = NewAgent(name, f"{name.lower()}@example.org", role)
    async with database.transaction() as db:
        await actions.create(db, new, by=TOKEN)
    async with database.transaction() as db:
        id_: UUID = await db.value("SELECT id FROM agents WHERE email = $1", new.email)
        if is_active:
            await actions.change(db, id_, AgentChanges(state="active"), by=TOKEN)
    return id_


async def change(database: Database, id_: UUID, *, by: Actor, **wanted: Any) -> None:
    async with database.transaction() as db:
        await actions.change(db, id_, AgentChanges(**wanted), by=by)


async def remove(database: Database, id_: UUID, *, by: Actor) -> None:
    async with database.transaction() as db:
        await dismiss(db, id_, by=by)


async def service(database: Database, role: str, *, is_revoked: bool = False) -> Actor:
    id_ = UUID(int=7)
    async with database.session() as db:
        await db.run(
            "INSERT INTO api_tokens (id, name, hash, role, created_by, revoked_at)"
            " VALUES ($1, 'Robot', 'x', $2, 'token', CASE WHEN $3 THEN now() END)",
            id_,
            role,
            is_revoked,
        )
    return Actor(f"token:{id_}", rights=EVERYTHING)


async def trail(database: Database) -> list[Entry]:
    async with database.session() as db:
        return [entry async for entry in audit.entries(db)]


def agent(id_: UUID) -> Actor:
    return Actor(f"agent:{id_}", rights=EVERYTHING)


async def test_a_new_agent_is_invited_and_has_the_role_agent(client: httpx.AsyncClient) -> None:
    ada = await new_agent(client, "Ada")
    ben = await new_agent(client, "Ben", role="admin")

    assert (ada["role"], ada["state"]) == ("agent", "invited")
    assert (ben["role"], ben["state"]) == ("admin", "invited")
    assert await get(client, f"/api/agents/{ben['id']}") == ben
    assert (await get(client, "/api/agents"))["records"] == [ada, ben]


async def test_role_and_state_change_with_a_fact_and_a_row_each(
    client: httpx.AsyncClient, database: Database
) -> None:
    ada = await new_agent(client, "Ada")

    answer = await client.patch(
        f"/api/agents/{ada['id']}",
        json={"role": "admin", "state": "active"},
        headers={"X-Request-Id": "from-me"},
    )

    changed = answer.json()["data"]
    wanted = {"role": "admin", "state": "active", "version": 2}
    assert changed == {**ada, **wanted, "updated_at": changed["updated_at"]}
    fact = (await facts(database))[-1]
    assert (fact.name, fact.data["changes"]) == (
        "agent.changed",
        {"role": ["agent", "admin"], "state": ["invited", "active"]},
    )
    rows = await trail(database)
    assert [(row.name, row.actor) for row in rows] == [
        ("agent.invited", "owner"),
        ("agent.role_changed", "owner"),
        ("agent.enabled", "owner"),
    ]
    assert {row.request_id for row in rows[1:]} == {"from-me"}
    assert rows[0].address == "127.0.0.1"
    assert '"role": ["agent", "admin"]' in rows[1].data


async def test_disabling_enabling_and_leaving_are_audited(
    client: httpx.AsyncClient, database: Database
) -> None:
    ada = await new_agent(client, "Ada")
    path = f"/api/agents/{ada['id']}"
    for changes in (
        {"state": "disabled"},
        {"state": "disabled"},
        {"state": "active"},
    ):
        assert (await client.patch(path, json=changes)).status_code == 200
    await client.delete(path)

    names = [row.name for row in await trail(database)]
    assert names == ["agent.invited", "agent.disabled", "agent.enabled", "agent.deleted"]


async def test_another_name_and_another_address_are_audited_from_what_to_what(
    client: httpx.AsyncClient, database: Database
) -> None:
    ada = await new_agent(client, "Ada")
    path = f"/api/agents/{ada['id']}"
    both = {"name": "Ada B", "email": "ada@example.com"}
    for changes in (both, both, {"name": "Ada C", "role": "admin"}):
        assert (await client.patch(path, json=changes)).status_code == 200

    rows = (await trail(database))[1:]
    about = {"agent_id": ada["id"], "email": "ada@example.com"}
    assert [(row.name, row.actor, row.address, json.loads(row.data)) for row in rows] == [
        ("agent.name_changed", "owner", "127.0.0.1", about | {"name": ["Ada", "Ada B"]}),
        (
            "agent.email_changed",
            "owner",
            "127.0.0.1",
            about | {"email": ["ada@example.org", "ada@example.com"]},
        ),
        ("agent.name_changed", "owner", "127.0.0.1", about | {"name": ["Ada B", "Ada C"]}),
        ("agent.role_changed", "owner", "127.0.0.1", about | {"role": ["agent", "admin"]}),
    ]
    async with database.session() as db:
        assert (await audit.verify(db)).findings == []


async def test_an_address_that_is_taken_leaves_no_row(
    client: httpx.AsyncClient, database: Database
) -> None:
    ada = await new_agent(client, "Ada")
    await new_agent(client, "Ben")
    both = {"name": "Ada B", "email": "ben@example.org"}
    assert (await client.patch(f"/api/agents/{ada['id']}", json=both)).status_code == 409
    assert [row.name for row in await trail(database)] == ["agent.invited", "agent.invited"]


@pytest.mark.parametrize(
    "wrong", [{"role": "boss"}, {"role": None}, {"state": "invited"}, {"state": "gone"}]
)
async def test_what_is_no_role_or_state_is_named(
    client: httpx.AsyncClient, database: Database, wrong: dict[str, Any]
) -> None:
    ada = await new_agent(client)

    answer = await client.patch(f"/api/agents/{ada['id']}", json=wrong)

    refused(answer, 400, "invalid")
    assert list(problems(answer)) == list(wrong)
    assert len(await trail(database)) == 1


OWNERS_WORK: list[dict[str, Any]] = [
    {"role": "owner"},
    {"role": "agent"},
    {"state": "disabled"},
    {"name": "Another"},
    {"email": "another@example.org"},
]


@pytest.mark.parametrize("wanted", OWNERS_WORK, ids=str)
@pytest.mark.parametrize("who", ["token", "owner", "operator", "agent", "service"])
async def test_owners_change_owners(database: Database, who: str, wanted: dict[str, Any]) -> None:
    actor = Actor(who)
    if who == "agent":
        actor = agent(await made(database, "Boss", Role.OWNER))
    elif who == "service":
        actor = await service(database, "owner")
    await made(database, "Second", Role.OWNER)
    target = await made(database, "Ada", Role.AGENT if "owner" in wanted.values() else Role.OWNER)

    await change(database, target, by=actor, **wanted)


@pytest.mark.parametrize("wanted", OWNERS_WORK, ids=str)
@pytest.mark.parametrize("who", ["admin", "disabled owner", "service", "revoked", "unknown"])
async def test_nobody_else_does(database: Database, who: str, wanted: dict[str, Any]) -> None:
    if who == "admin":
        actor = agent(await made(database, "Boss", Role.ADMIN))
    elif who == "disabled owner":
        boss = await made(database, "Boss", Role.OWNER, is_active=False)
        await change(database, boss, by=TOKEN, state="disabled")
        actor = agent(boss)
    elif who == "service":
        actor = await service(database, "admin")
    elif who == "revoked":
        actor = await service(database, "owner", is_revoked=True)
    else:
        actor = agent(UUID(int=1))
    await made(database, "Second", Role.OWNER)
    target = await made(database, "Ada", Role.AGENT if "owner" in wanted.values() else Role.OWNER)
    before = await trail(database), await facts(database)

    with pytest.raises(OwnersOnly):
        await change(database, target, by=actor, **wanted)

    assert (await trail(database), await facts(database)) == before


async def test_an_admin_makes_and_removes_all_but_owners(database: Database) -> None:
    boss = agent(await made(database, "Boss", Role.ADMIN))
    ada = await made(database, "Ada")
    await change(database, ada, by=boss, role=Role.ADMIN, state="disabled")
    await remove(database, ada, by=boss)
    async with database.transaction() as db:
        with pytest.raises(OwnersOnly):
            await actions.create(db, NewAgent("Eve", "eve@example.org", Role.OWNER), by=boss)
        await actions.create(db, NewAgent("Eve", "eve@example.org", Role.ADMIN), by=boss)
    owner = await made(database, "Owner", Role.OWNER)
    with pytest.raises(OwnersOnly):
        await remove(database, owner, by=boss)


async def test_who_may_only_make_agents_makes_no_admin_and_gives_none_an_address(
    database: Database,
) -> None:
    """Or it would be an admin next, where a provider of single sign-on vouches for the address."""
    clerk = Actor(f"token:{uuid4()}", rights={"agents:admin"})
    boss, ada = await made(database, "Boss", Role.ADMIN), await made(database, "Ada")
    before = await trail(database), await facts(database)
    for id_, wanted in ((ada, {"role": Role.ADMIN}), (boss, {"email": "eve@example.org"})):
        with pytest.raises(Forbidden, match="This role has the permission"):
            await change(database, id_, by=clerk, **wanted)
    async with database.transaction() as db:
        with pytest.raises(Forbidden):
            await actions.create(db, NewAgent("Eve", "eve@example.org", Role.ADMIN), by=clerk)
    assert (await trail(database), await facts(database)) == before

    async with database.transaction() as db:
        await actions.create(db, NewAgent("Eve", "eve@example.org"), by=clerk)
    await change(database, ada, by=clerk, email="ada.b@example.org", role=Role.READ_ONLY)
    await change(database, boss, by=clerk, name="The boss", role=Role.AGENT)


@pytest.mark.parametrize("role", [Role.OWNER, Role.ADMIN])
async def test_nobody_changes_their_own_role_or_shuts_themselves_out(
    database: Database, role: Role
) -> None:
    await made(database, "Second", Role.OWNER)
    me = await made(database, "Ada", role)
    for wanted in ({"role": Role.OWNER}, {"role": Role.AGENT}, {"state": "disabled"}):
        if wanted == {"role": role}:
            continue
        with pytest.raises(OwnAccount):
            await change(database, me, by=agent(me), **wanted)
    with pytest.raises(OwnAccount):
        await remove(database, me, by=agent(me))
    assert issubclass(OwnAccount, Forbidden)

    await change(database, me, by=agent(me), name="Ada B", role=role)


async def test_the_last_active_owner_stays(database: Database) -> None:
    await made(database, "Invited", Role.OWNER, is_active=False)
    ada = await made(database, "Ada", Role.OWNER)
    before = await trail(database), await facts(database)

    for wanted in ({"role": Role.ADMIN}, {"state": "disabled"}):
        with pytest.raises(LastOwner):
            await change(database, ada, by=TOKEN, **wanted)
    with pytest.raises(LastOwner):
        await remove(database, ada, by=TOKEN)

    assert (await trail(database), await facts(database)) == before
    await change(database, ada, by=OPERATOR, state="disabled")
    await change(database, ada, by=TOKEN, role=Role.AGENT)  # none was active: no rule


async def test_of_two_owners_who_disable_each_other_at_once_one_stays(database: Database) -> None:
    for number in range(10):
        ada = await made(database, f"Ada{number}", Role.OWNER)
        ben = await made(database, f"Ben{number}", Role.OWNER)

        done = await asyncio.gather(
            change(database, ada, by=agent(ben), state="disabled"),
            remove(database, ben, by=agent(ada)),
            return_exceptions=True,
        )

        (refusal,) = [each for each in done if each is not None]
        assert isinstance(refusal, (LastOwner, OwnersOnly))
        async with database.session() as db:
            await db.run("UPDATE agents SET deleted_at = now()")


async def test_the_api_says_why_not(client: httpx.AsyncClient) -> None:
    ada = await new_agent(client, "Ada", role="owner")
    path = f"/api/agents/{ada['id']}"
    await client.patch(path, json={"state": "active"})

    refused(await client.patch(path, json={"role": "agent"}), 409, "last_owner")
    refused(await client.delete(path), 409, "last_owner")
