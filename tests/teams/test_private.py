"""
A private team's tickets are for its members and for who sees all, whichever way one asks.

Ada is in the private team, Ben is not; both are agents. What Ben may not see is not there.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.people import calling, give, hire
from tests.api.calls import Body, change, get, new_agent, new_ticket
from tests.conftest import serving
from tests.teams.calls import new_team


@dataclass
class World:
    """Who asks, by name, and what there is."""

    database: Database
    team: Body
    secret: Body
    public: Body
    ids: dict[str, str]
    tokens: dict[str, str]
    callers: dict[str, httpx.AsyncClient]

    def __getitem__(self, name: str) -> httpx.AsyncClient:
        return self.callers[name]


INSIDE = ("operator", "ada", "admin", "admin's service")
OUTSIDE = ("ben", "reader", "agent's service", "admin's narrow token")


@pytest.fixture
async def world(served: Edge, database: Database) -> AsyncIterator[World]:
    ids = {
        name: await hire(database, name, role)
        for name, role in (
            ("ada", "agent"),
            ("ben", "agent"),
            ("admin", "admin"),
            ("reader", "read_only"),
        )
    }
    tokens = {name: await give(database, id_) for name, id_ in ids.items()}
    tokens["admin's service"] = await give(database, role="admin")
    tokens["agent's service"] = await give(database, role="agent")
    tokens["admin's narrow token"] = await give(
        database,
        ids["admin"],
        scopes=["me:read", "tickets:read", "tickets:write", "events:read", "agents:read"],
    )
    async with AsyncExitStack() as stack:
        callers = {
            name: await stack.enter_async_context(calling(served, token))
            for name, token in tokens.items()
        }
        operator = callers["operator"] = await stack.enter_async_context(calling(served))
        team = await new_team(operator, "People", is_private=True)
        path = f"/api/teams/{team['id']}/members/{ids['ada']}"
        assert (await operator.put(path)).status_code == 200
        secret = await new_ticket(operator, "Salary of zebra", team_id=team["id"])
        public = await new_ticket(operator, "Printer of zebra")
        texts = {name: str(id_) for name, id_ in ids.items()}
        yield World(database, team, secret, public, texts, tokens, callers)


@pytest.mark.parametrize("name", INSIDE)
async def test_who_is_in_it_or_sees_all_reads_and_changes_them(world: World, name: str) -> None:
    caller = world[name]
    for path in (f"/api/tickets/{world.secret['id']}", f"/api/tickets/{world.secret['number']}"):
        assert await get(caller, path) == world.secret
    assert await seen(caller, "/api/tickets", q="zebra") == {"Salary of zebra", "Printer of zebra"}
    assert await seen(caller, "/api/tickets", team_id=world.team["id"]) == {"Salary of zebra"}
    changed = await change(caller, world.secret, status="in_progress")
    assert changed["status"] == "in_progress"
    told = await get(caller, "/api/events", name="ticket.created,ticket.changed")
    assert {each["ticket_id"] for each in told["records"]} == {
        world.secret["id"],
        world.public["id"],
    }


@pytest.mark.parametrize("name", OUTSIDE)
async def test_to_everybody_else_they_are_not_there(world: World, name: str) -> None:
    caller, secret = world[name], world.secret
    may_write = name != "reader"
    for address in (secret["id"], str(secret["number"])):
        path = f"/api/tickets/{address}"
        for headers in ({}, {"If-None-Match": '"1"'}):
            assert (await caller.get(path, headers=headers)).status_code == 404
        assert (await caller.get(f"{path}/events")).status_code == 404
        for headers in ({}, {"If-Match": '"1"'}, {"If-Match": '"9"'}):
            refused = 404 if may_write else 403
            for body in ({"status": "closed"}, {"team_id": None}, {}):
                answer = await caller.patch(path, json=body, headers=headers)
                assert answer.status_code == refused
            assert (await caller.delete(path, headers=headers)).status_code == refused

    for params in (
        {},
        {"q": "salary"},
        {"q": "zebra"},
        {"team_id": world.team["id"]},
        {"assigned_to": "none", "sort": "priority"},
        {"status": "open", "sort": "-updated"},
    ):
        titles = await seen(caller, "/api/tickets", **params)
        assert "Salary of zebra" not in titles
    assert await seen(caller, "/api/tickets") == {"Printer of zebra"}
    assert await get(world["ada"], f"/api/tickets/{secret['id']}") == secret


@pytest.mark.parametrize("name", OUTSIDE)
async def test_nor_by_a_place_in_the_list_of_one_who_sees_them(world: World, name: str) -> None:
    for sort in ("created", "-created", "priority", "-updated"):
        theirs = await get(world["ada"], "/api/tickets", limit=1, sort=sort)
        rest = await seen(world[name], "/api/tickets", sort=sort, cursor=theirs["next_cursor"])
        assert rest <= {"Printer of zebra"}


@pytest.mark.parametrize("name", OUTSIDE)
async def test_nor_in_the_trash(world: World, name: str) -> None:
    path = f"/api/tickets/{world.secret['id']}"
    await world["ada"].delete(path)
    caller = world[name]

    assert await seen(caller, "/api/trash/tickets") == set()
    refused = 403 if name == "reader" else 404
    assert (await caller.post(f"{path}/restore")).status_code == refused
    number = f"/api/tickets/{world.secret['number']}/restore"
    assert (await caller.post(number)).status_code == refused

    assert await seen(world["ada"], "/api/trash/tickets") == {"Salary of zebra"}
    assert (await world["ada"].post(f"{path}/restore")).status_code == 200


@pytest.mark.parametrize("name", OUTSIDE)
async def test_nor_in_the_feed_by_any_filter_or_cursor(world: World, name: str) -> None:
    """Also by a cursor of one who sees them, and after they were deleted for good."""
    await change(world["ada"], world.secret, status="closed")
    theirs = await get(world["ada"], "/api/events", limit=1)
    await world["ada"].delete(f"/api/tickets/{world.secret['id']}")

    async def nothing() -> None:
        for params in (
            {},
            {"ticket_id": world.secret["id"]},
            {"name": "ticket.created,ticket.changed,ticket.deleted,ticket.purged"},
            {"after": theirs["cursor"]},
        ):
            answer = await world[name].get("/api/events", params=params)
            assert answer.status_code == 200
            assert world.secret["id"] not in answer.text
            assert "zebra" not in answer.text or world.public["id"] in answer.text

    await nothing()
    async with world.database.session() as db:
        await db.run("DELETE FROM tickets WHERE id = $1", world.secret["id"])
    await nothing()
    gone = await world["operator"].delete(f"/api/teams/{world.team['id']}")
    assert gone.status_code == 200
    await nothing()


async def test_a_page_of_the_feed_without_anything_to_show_leads_on(world: World) -> None:
    for turn in range(5):
        await change(world["ada"], world.secret, title=f"Salary {turn}")
    last = await new_ticket(world["ben"], "After it")

    found, cursor = [], None
    for _ in range(20):
        params = {"limit": 2, **({"after": cursor} if cursor else {})}
        page = await get(world["ben"], "/api/events", **params)
        found += [each["ticket_id"] for each in page["records"] if each["ticket_id"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == [world.public["id"], last["id"]]


async def test_what_becomes_private_is_gone_with_its_past_and_comes_back(world: World) -> None:
    """The rule is what the ticket is now, for all that was ever recorded of it."""
    ben, public = world["ben"], world.public
    path = f"/api/tickets/{public['id']}"

    async def told() -> bool:
        page = await get(ben, "/api/events", ticket_id=public["id"])
        return bool(page["records"])

    assert await told()
    await change(world["ada"], public, team_id=world.team["id"])
    assert (await ben.get(path)).status_code == 404
    assert not await told()

    await change(world["ada"], public, team_id=None)
    assert (await ben.get(path)).status_code == 200
    assert (await get(ben, f"{path}/events"))["records"][-1]["name"] == "ticket.changed"
    assert await told()


async def test_a_team_that_becomes_private_hides_its_tickets_at_once(world: World) -> None:
    operator, ben = world["operator"], world["ben"]
    team = await new_team(operator, "Legal")
    ticket = await new_ticket(ben, "A contract", team_id=team["id"], assigned_to=world.ids["ben"])

    await operator.patch(f"/api/teams/{team['id']}", json={"is_private": True})

    assert (await ben.get(f"/api/tickets/{ticket['id']}")).status_code == 404
    now = await get(operator, f"/api/tickets/{ticket['id']}")
    assert now["assigned_to"] is None
    await operator.patch(f"/api/teams/{team['id']}", json={"is_private": False})
    assert (await ben.get(f"/api/tickets/{ticket['id']}")).status_code == 200


async def test_one_may_hand_a_ticket_to_a_private_team_and_see_it_no_more(world: World) -> None:
    ben = world["ben"]
    handed = await new_ticket(ben, "For you", team_id=world.team["id"])
    moved = await change(ben, world.public, team_id=world.team["id"])

    for ticket in (handed, moved):
        assert ticket["team_id"] == world.team["id"]
        assert (await ben.get(f"/api/tickets/{ticket['id']}")).status_code == 404
        assert (await world["ada"].get(f"/api/tickets/{ticket['id']}")).status_code == 200


@pytest.mark.parametrize(("name", "may"), [("ada", True), ("ben", False), ("admin", True)])
async def test_they_are_assigned_to_who_may_see_them(world: World, name: str, may: bool) -> None:
    """Whatever is said together: the agent, the team, or both."""
    agent, team = world.ids[name], world.team["id"]
    operator, status = world["operator"], 200 if may else 400
    new = {"title": "a", "description": "b", "assigned_to": agent, "team_id": team}
    answers = [
        await operator.patch(f"/api/tickets/{world.secret['id']}", json={"assigned_to": agent}),
        await operator.post("/api/tickets", json=new),
        await operator.patch(f"/api/tickets/{world.public['id']}", json={"assigned_to": agent}),
        await operator.patch(f"/api/tickets/{world.public['id']}", json={"team_id": team}),
    ]
    assert [answer.status_code for answer in answers] == [status, 201 if may else 400, 200, status]
    if not may:
        for answer in (answers[0], answers[1], answers[3]):
            (error,) = answer.json()["errors"]
            assert error["field"] == "assigned_to"
        # with nobody it goes
        both = {"team_id": team, "assigned_to": None}
        path = f"/api/tickets/{world.public['id']}"
        assert (await operator.patch(path, json=both)).status_code == 200


async def test_who_leaves_a_private_team_leaves_its_open_tickets(world: World) -> None:
    operator, ada = world["operator"], world["ada"]
    path = f"/api/tickets/{world.secret['id']}"
    await change(operator, world.secret, assigned_to=world.ids["ada"])
    done = await new_ticket(
        operator,
        "Done",
        team_id=world.team["id"],
        assigned_to=world.ids["ada"],
        status="resolved",
    )

    await operator.delete(f"/api/teams/{world.team['id']}/members/{world.ids['ada']}")

    assert (await ada.get(path)).status_code == 404  # at once in this process
    assert (await get(operator, path))["assigned_to"] is None
    assert (await get(operator, f"/api/tickets/{done['id']}"))["assigned_to"] == world.ids["ada"]


async def test_who_sees_all_no_longer_does_so_with_another_role(world: World) -> None:
    path = f"/api/tickets/{world.secret['id']}"
    assert (await world["admin"].get(path)).status_code == 200

    await world["operator"].patch(f"/api/agents/{world.ids['admin']}", json={"role": "agent"})

    assert (await world["admin"].get(path)).status_code == 404


async def test_me_says_in_which_teams_one_is(world: World) -> None:
    shown = {name: world.team[name] for name in ("id", "name", "is_private")}
    assert (await get(world["ada"], "/api/me"))["teams"] == [shown]
    assert (await get(world["ben"], "/api/me"))["teams"] == []
    assert (await get(world["operator"], "/api/me"))["teams"] == []


async def test_a_stream_tells_nothing_of_them_and_ends_when_the_teams_change(
    world: World, served: Edge
) -> None:
    async with serving(served) as url, httpx.AsyncClient(base_url=url, timeout=10) as client:

        def following(name: str) -> Any:
            headers = {
                "Authorization": f"Bearer {world.tokens[name]}",
                "Accept": "text/event-stream",
            }
            return client.stream("GET", "/api/events", headers=headers)

        async with following("ada") as ada, following("ben") as ben:
            inside, outside = reading(ada), reading(ben)
            await asyncio.sleep(0.2)
            await change(world["operator"], world.secret, status="in_progress")
            await change(world["operator"], world.public, status="in_progress")
            assert (await anext(inside))["ticket_id"] == world.secret["id"]
            assert (await anext(inside))["ticket_id"] == world.public["id"]
            assert (await anext(outside))["ticket_id"] == world.public["id"]

            member = f"/api/teams/{world.team['id']}/members/{world.ids['ada']}"
            await world["operator"].delete(member)
            async with asyncio.timeout(5):
                rest = [fact["name"] async for fact in inside]
            assert "ticket.changed" not in rest


async def reading(answer: httpx.Response) -> AsyncIterator[Body]:
    """The facts of a stream, to its end."""
    async for line in answer.aiter_lines():
        if line.startswith("data: {") and '"id"' in line:
            yield json.loads(line.removeprefix("data: "))


async def seen(caller: httpx.AsyncClient, path: str, **params: str) -> set[str]:
    return {each["title"] for each in (await get(caller, path, **params))["records"]}


async def test_agents_see_that_a_private_team_is_there(world: World) -> None:
    """Its name and members are no secret; its tickets are."""
    assert await get(world["ben"], f"/api/teams/{world.team['id']}") == world.team
    made = await new_agent(world["operator"], "Cleo")
    assert made["state"] == "invited"
    assert (await world["ben"].post("/api/teams", json={"name": "Mine"})).status_code == 403
