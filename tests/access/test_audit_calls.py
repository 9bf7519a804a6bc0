"""Reading the audit trail by HTTP and by command, and what gets into it by itself."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import httpx
import pytest

from pullse.access.audit import NAMES
from pullse.access.refusals import APART, Refusals
from pullse.agents.api import calls as agent_calls
from pullse.agents.permissions import ROLES
from pullse.errors import Forbidden, Unavailable
from pullse.kit import audit
from pullse.kit.audit import Entry
from pullse.kit.db import Database, open_database
from pullse.kit.edge import EVERYTHING, Edge, Visitor
from pullse.kit.events import Actor
from tests.api.calls import Body, get, new_agent, problems, refused
from tests.cli.conftest import On, pullse, pullse_on

__all__ = ["pullse", "pullse_on"]

ADA = Actor("agent:ada", "request-1", address="203.0.113.7")
CALL = agent_calls[0]


class Somebody:
    """Lets everybody in as `visitor`."""

    def __init__(self) -> None:
        self.visitor = Visitor("owner", EVERYTHING)

    async def admit(self, scope: Any, headers: dict[bytes, bytes]) -> Visitor:
        return self.visitor

    def screen(self, given: Any) -> None: ...

    def allows_origin(self, origin: bytes) -> bool:
        return False


@pytest.fixture
def guard() -> Somebody:
    return Somebody()


async def record(database: Database, name: str, *, by: Actor = ADA, **data: Any) -> None:
    async with database.transaction() as db:
        await audit.record(db, name, by=by, data=data)


async def trail(database: Database) -> list[Entry]:
    async with database.session() as db:
        return [entry async for entry in audit.entries(db)]


async def filled(database: Database, count: int) -> None:
    for number in range(count):
        name = ("token.created", "token.revoked", "agent.disabled")[number % 3]
        await record(database, name, by=Actor(("token", "owner")[number % 2]), n=number)


async def test_it_is_shown_as_the_contract_says(
    client: httpx.AsyncClient, database: Database
) -> None:
    await record(database, "token.created", scopes=["tickets:read"])
    (entry,) = await trail(database)

    answer = await client.get("/api/audit")

    assert answer.status_code == 200
    said = answer.json()
    # PostgreSQL leaves out zeros at the end of a second's fraction
    at = said["data"]["records"][0]["at"]
    assert datetime.fromisoformat(at) == entry.at
    assert said == {
        "status": True,
        "message": "Audit trail has been fetched.",
        "data": {
            "records": [
                {
                    "cursor": f"{entry.day}.1",
                    "at": at,
                    "name": "token.created",
                    "actor": "agent:ada",
                    "address": "203.0.113.7",
                    "request_id": "request-1",
                    "data": {"scopes": ["tickets:read"]},
                    "hash": entry.hash.hex(),
                }
            ],
            "next_cursor": None,
            "cursor": f"{entry.day}.1",
        },
    }


async def test_an_empty_trail_has_a_cursor_to_go_on_from(
    client: httpx.AsyncClient, database: Database
) -> None:
    found = await get(client, "/api/audit")
    assert (found["records"], found["next_cursor"]) == ([], None)

    await record(database, "token.created")

    assert len((await get(client, "/api/audit", after=found["cursor"]))["records"]) == 1


async def all_of(client: httpx.AsyncClient, **params: Any) -> list[Body]:
    records: list[Body] = []
    found = await get(client, "/api/audit", **params)
    while True:
        assert len(found["records"]) <= params.get("limit", 50)
        records += found["records"]
        if found["next_cursor"] is None:
            return records
        found = await get(client, "/api/audit", **params, after=found["next_cursor"])


@pytest.mark.parametrize("scanned", [2, 3, 7, 2000])
@pytest.mark.parametrize("limit", [1, 2, 4, 50])
@pytest.mark.parametrize(
    ("params", "wanted"),
    [
        ({}, range(12)),
        ({"name": "token.created"}, range(0, 12, 3)),
        ({"name": "token.created,agent.disabled"}, [0, 2, 3, 5, 6, 8, 9, 11]),
        ({"actor": "owner"}, range(1, 12, 2)),
        ({"actor": "owner", "name": "token.revoked"}, [1, 7]),
        ({"actor": "nobody"}, []),
    ],
    ids=str,
)
async def test_pages_have_each_row_once_in_order(
    client: httpx.AsyncClient,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    params: dict[str, str],
    wanted: Any,
    limit: int,
    scanned: int,
) -> None:
    monkeypatch.setattr("pullse.access.audit.SCANNED_AT_MOST", scanned)
    await filled(database, 12)

    found = await all_of(client, limit=limit, **params)

    assert [each["data"]["n"] for each in found] == list(wanted)


@pytest.mark.parametrize(
    "wrong",
    [
        {"after": "yesterday"},
        {"after": "2026-02-30.1"},
        {"after": "2026-01-01.-1"},
        {"after": "2026-01-01.1\n"},
        {"after": "0000-01-01.1"},
        {"after": "2026-01-01.9999999999999999999"},
        {"name": "token.stolen"},
        {"limit": 0},
        {"limit": 201},
        {"actor": "a" * 201},
        {"actor": "\0"},
        {"until": "now"},
    ],
    ids=str,
)
async def test_a_parameter_that_does_not_fit_is_named(
    client: httpx.AsyncClient, wrong: dict[str, Any]
) -> None:
    answer = await client.get("/api/audit", params=wrong)

    refused(answer, 400, "invalid")
    assert list(problems(answer)) == list(wrong)


@pytest.mark.parametrize("role", ROLES)
async def test_only_who_may_reads_it(client: httpx.AsyncClient, guard: Somebody, role: str) -> None:
    guard.visitor = Visitor("agent:ada", ROLES[role])

    answer = await client.get("/api/audit")

    if "audit:read" in ROLES[role]:
        assert answer.status_code == 200
    else:
        refused(answer, 403, "forbidden")


async def test_all_that_agents_do_is_in_the_list_of_names(
    client: httpx.AsyncClient, database: Database
) -> None:
    agent = await new_agent(client)
    path = f"/api/agents/{agent['id']}"
    await client.patch(path, json={"role": "admin", "state": "active"})
    await client.patch(path, json={"name": "Ada B", "email": "ada@example.com"})
    await client.patch(path, json={"state": "disabled"})
    await client.delete(path)
    found = {row.name for row in await trail(database)}
    assert found == {name for name in NAMES if name.startswith("agent.")}


# Refusals


@pytest.fixture
async def refusals(edge: Edge, database: Database) -> AsyncIterator[Refusals]:
    """Wired to the application, and running."""
    refusals = Refusals(database)
    edge.services = replace(edge.services, note_refusal=refusals.note)
    task = asyncio.create_task(refusals.run())
    yield refusals
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def written(database: Database, count: int) -> list[Entry]:
    for _ in range(500):
        found = [each for each in await trail(database) if each.name == "access.refused"]
        if len(found) >= count:
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"{len(found)} and not {count} refusals were audited")


async def test_who_was_refused_a_permission_is_audited_once_a_minute(
    client: httpx.AsyncClient, guard: Somebody, refusals: Refusals, database: Database
) -> None:
    guard.visitor = Visitor("agent:ada", ROLES["read_only"])
    body = {"name": "Eve", "email": "eve@example.org", "role": "owner"}
    for _ in range(20):
        refused(
            await client.post("/api/agents", json=body, headers={"X-Request-Id": "first"}),
            403,
            "forbidden",
        )
    refused(await client.get("/api/audit"), 403, "forbidden")

    first, second = await written(database, 2)

    assert (first.actor, first.address, first.request_id) == ("agent:ada", "127.0.0.1", "first")
    assert '"call": "POST /api/agents"' in first.data
    assert '"permission": "agents:admin"' in first.data
    assert '"permission": "audit:read"' in second.data
    async with database.session() as db:
        assert (await audit.verify(db)).findings == []


async def test_who_is_refused_by_a_rule_is_audited_too(
    client: httpx.AsyncClient, guard: Somebody, refusals: Refusals, database: Database
) -> None:
    guard.visitor = Visitor("token:019aa4ae-4c11-7a3e-9f6b-2d8e7c5a1b04", EVERYTHING)
    body = {"name": "Eve", "email": "eve@example.org", "role": "owner"}
    refused(await client.post("/api/agents", json=body), 403, "owners_only")

    (row,) = await written(database, 1)

    assert '"code": "owners_only"' in row.data


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_minute_later_it_is_worth_a_row_again(database: Database) -> None:
    clock = Clock()
    refusals = Refusals(database, clock)
    for now in (0.0, APART - 1, APART, APART + 1, 2 * APART):
        clock.now = now
        refusals.note(ADA, CALL, Forbidden("No."))
    for other in (
        replace_actor(ADA, id="agent:ben"),
        replace_actor(ADA, address="203.0.113.8"),
        replace_actor(ADA, request_id="another"),
        Actor("anonymous"),
    ):
        refusals.note(other, CALL, Forbidden("No."))
    await refusals.write()

    rows = await trail(database)
    assert [(row.actor, row.address) for row in rows] == [
        *3 * [("agent:ada", "203.0.113.7")],
        ("agent:ben", "203.0.113.7"),
        ("agent:ada", "203.0.113.8"),
    ]


def replace_actor(actor: Actor, **fields: Any) -> Actor:
    return Actor(**{**{name: getattr(actor, name) for name in Actor.__struct_fields__}, **fields})


async def test_a_flood_from_everywhere_stays_bounded(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pullse.access.refusals.KINDS_AT_MOST", 50)
    monkeypatch.setattr("pullse.access.refusals.WAITING_AT_MOST", 20)
    clock = Clock()
    refusals = Refusals(database, clock)

    async def flood() -> int:
        for number in range(1000):
            refusals.note(replace_actor(ADA, address=f"{clock.now}-{number}"), CALL, Forbidden(""))
        await refusals.write()
        return len(await trail(database))

    assert [await flood() for _ in range(4)] == [20, 40, 50, 50]
    clock.now = APART
    assert await flood() == 70


async def test_while_the_database_is_away_they_wait(database: Database, database_url: str) -> None:
    gone = await open_database(database_url)
    await gone.close()
    refusals = Refusals(gone)
    for name in ("agent:ada", "agent:ben"):
        refusals.note(Actor(name), CALL, Forbidden("No."))
    with pytest.raises(Unavailable):
        await refusals.write()
    assert await trail(database) == []

    refusals._database = database
    await refusals.write()

    assert [row.actor for row in await trail(database)] == ["agent:ada", "agent:ben"]


# Commands


async def test_verify_prints_the_newest_hash_and_finds_an_edit(
    pullse_on: On, database: Database
) -> None:
    assert (await pullse_on("audit", "verify")).startswith("0 rows")
    await filled(database, 3)
    said = await pullse_on("audit", "verify")
    newest = said.splitlines()[-1]
    assert newest == (await trail(database))[-1].hash.hex()
    assert await pullse_on("audit", "verify", "--expect", newest.upper()) == said
    await filled(database, 1)
    assert await pullse_on("audit", "verify", "--expect", newest)
    assert "64 hexadecimal" in await pullse_on("audit", "verify", "--expect", "ff", code=1)
    said = await pullse_on("audit", "verify", "--expect", "0" * 63 + "1", code=1)
    assert said.startswith("end: no row has the hash")

    async with database.session() as db:
        await db.run("UPDATE audit SET actor = 'agent:eve' WHERE number = 2")

    said = await pullse_on("audit", "verify", code=1)
    assert said.startswith(f"{(await trail(database))[0].day}.2: it was edited")


async def test_the_operator_disables_enables_and_gives_roles(
    pullse_on: On, database: Database, client: httpx.AsyncClient
) -> None:
    assert await pullse_on("agents", "list") == "There are no agents."
    ada = await new_agent(client, "Ada", role="owner")
    said = "ada@example.org is active, with the role owner."
    assert await pullse_on("agents", "enable", "ADA@example.org") == said
    said = "ada@example.org is disabled, with the role owner."
    assert await pullse_on("agents", "disable", "ada@example.org") == said
    assert await pullse_on("agents", "disable", "ada@example.org") == said
    said = "ada@example.org is disabled, with the role read_only."
    assert await pullse_on("agents", "role", "ada@example.org", "read_only") == said
    await pullse_on("agents", "role", "ada@example.org", "king", code=2)
    assert "There is no agent" in await pullse_on("agents", "enable", "eve@example.org", code=1)
    listed = await pullse_on("agents", "list")
    assert listed.split() == ["disabled", "read_only", "ada@example.org", "Ada"]

    assert (await get(client, f"/api/agents/{ada['id']}"))["state"] == "disabled"
    assert [(row.name, row.actor) for row in await trail(database)] == [
        ("agent.invited", "owner"),
        ("agent.enabled", "operator"),
        ("agent.disabled", "operator"),
        ("agent.role_changed", "operator"),
    ]


async def test_keys_of_the_gateway_are_audited(pullse_on: On, database: Database) -> None:
    made = (await pullse_on("keys", "create", "--note", "for a test")).split(":")
    await pullse_on("keys", "revoke", made[0])
    await pullse_on("keys", "reset", "--yes")

    rows = await trail(database)

    assert [(row.name, row.actor) for row in rows] == [
        ("key.created", "operator"),
        ("key.revoked", "operator"),
        ("key.reset", "operator"),
    ]
    assert made[0] in rows[0].data
    assert made[1].split()[0] not in rows[0].data
