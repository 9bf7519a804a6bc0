"""Teams and who is in them: what the calls do, and the facts of it."""

import httpx
import pytest

from pullse.kit.db import Database
from tests.api.calls import UNKNOWN, Body, change, delete, facts, get, new_agent, new_ticket
from tests.teams.calls import join, new_team


async def test_a_team_comes_back_as_the_contract_says(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/teams", json={"name": "Billing", "is_private": True})

    assert answer.status_code == 201
    assert answer.headers["etag"] == '"1"'
    body = answer.json()
    assert body["message"] == "Team has been created."
    team = body["data"]
    assert list(team) == ["id", "name", "is_private", "created_at", "updated_at", "version"]
    assert (team["name"], team["is_private"], team["version"]) == ("Billing", True, 1)
    assert await get(client, f"/api/teams/{team['id']}") == team


async def test_teams_are_listed_by_name_and_paged(client: httpx.AsyncClient) -> None:
    for name in ("Refunds", "Billing", "Sales"):
        await new_team(client, name)

    first = await get(client, "/api/teams", limit=2)
    second = await get(client, "/api/teams", limit=2, cursor=first["next_cursor"])

    names = [each["name"] for page in (first, second) for each in page["records"]]
    assert names == ["Billing", "Refunds", "Sales"]
    assert second["next_cursor"] is None


async def test_a_name_is_one_teams_whatever_its_case(client: httpx.AsyncClient) -> None:
    await new_team(client, "Billing")
    sales = await new_team(client, "Sales")

    again = await client.post("/api/teams", json={"name": "BILLING"})
    renamed = await client.patch(f"/api/teams/{sales['id']}", json={"name": "billing"})

    for answer in (again, renamed):
        assert answer.status_code == 409
        assert answer.json()["code"] == "team_taken"
        assert answer.json()["errors"][0]["field"] == "name"


async def test_a_change_is_a_fact_and_no_change_is_none(
    client: httpx.AsyncClient, database: Database
) -> None:
    team = await new_team(client, "Billing")
    path = f"/api/teams/{team['id']}"

    for _ in range(2):
        answer = await client.patch(path, json={"name": "Refunds"})
    assert (answer.json()["data"]["name"], answer.headers["etag"]) == ("Refunds", '"2"')
    told = [fact for fact in await facts(database) if fact.name == "team.changed"]
    assert [fact.data["changes"] for fact in told] == [{"name": ["Billing", "Refunds"]}]

    stale = await client.patch(path, json={"name": "x"}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412


async def test_agents_join_and_leave_and_twice_is_once(
    client: httpx.AsyncClient, database: Database
) -> None:
    team, ada = await new_team(client, "Billing"), await new_agent(client)
    member = f"/api/teams/{team['id']}/members/{ada['id']}"

    for _ in range(2):
        assert (await client.put(member)).status_code == 200
    (listed,) = (await get(client, f"/api/teams/{team['id']}/members"))["records"]
    assert {name: listed[name] for name in ada} == ada
    assert listed["joined_at"] >= team["created_at"]
    for _ in range(2):
        assert (await client.delete(member)).status_code == 200
    assert (await get(client, f"/api/teams/{team['id']}/members"))["records"] == []

    told = [(fact.name, fact.data) for fact in await facts(database)][-2:]
    about = {"team_id": team["id"], "name": "Billing", "agent_id": ada["id"]}
    assert told == [("team.joined", about), ("team.left", about)]


async def test_one_who_is_not_there_joins_nothing(client: httpx.AsyncClient) -> None:
    team, ada = await new_team(client, "Billing"), await new_agent(client)
    await delete(client, ada)

    for path in (
        f"/api/teams/{team['id']}/members/{UNKNOWN}",
        f"/api/teams/{team['id']}/members/{ada['id']}",
        f"/api/teams/{team['id']}/members/nobody",
        f"/api/teams/{UNKNOWN}/members/{UNKNOWN}",
    ):
        assert (await client.put(path)).status_code == 404, path


async def test_an_agent_who_has_left_is_in_no_team(client: httpx.AsyncClient) -> None:
    team, ada = await new_team(client, "Billing"), await new_agent(client)
    await join(client, team, ada)

    await delete(client, ada)

    assert (await get(client, f"/api/teams/{team['id']}/members"))["records"] == []


async def test_a_team_with_tickets_stays(client: httpx.AsyncClient) -> None:
    """Also with one in the trash, which may come back."""
    team = await new_team(client, "Billing")
    ticket = await new_ticket(client, team_id=team["id"])
    await delete(client, ticket)
    path = f"/api/teams/{team['id']}"

    answer = await client.delete(path)
    assert (answer.status_code, answer.json()["code"]) == (409, "has_tickets")

    await client.post(f"/api/tickets/{ticket['id']}/restore")
    await change(client, ticket, team_id=None)
    assert (await client.delete(path)).status_code == 200
    assert (await client.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"name": "Billing", "is_private": "yes"}, "is_private"),
        ({"name": "Billing", "members": []}, "members"),
    ],
)
async def test_what_is_no_team_is_refused_by_its_field(
    client: httpx.AsyncClient, body: Body, field: str
) -> None:
    answer = await client.post("/api/teams", json=body)
    assert answer.status_code == 400
    assert field in [each["field"] for each in answer.json()["errors"]]


async def test_tickets_are_filtered_by_team(client: httpx.AsyncClient) -> None:
    billing, sales = await new_team(client, "Billing"), await new_team(client, "Sales")
    await new_ticket(client, "In billing", team_id=billing["id"])
    await new_ticket(client, "In sales", team_id=sales["id"], priority="high")
    await new_ticket(client, "In none")

    async def found(**params: str) -> set[str]:
        page = await get(client, "/api/tickets", **params)
        return {each["title"] for each in page["records"]}

    for sort in ("-created", "updated", "priority"):
        assert await found(team_id=billing["id"], sort=sort) == {"In billing"}
        both = f"{billing['id']},{sales['id']}"
        assert await found(team_id=both, sort=sort) == {"In billing", "In sales"}
        assert await found(team_id="none", sort=sort) == {"In none"}
        assert await found(team_id=f"none,{sales['id']}", sort=sort) == {"In none", "In sales"}
        assert await found(team_id=both, priority="high", sort=sort) == {"In sales"}
    answer = await client.get("/api/tickets", params={"team_id": "billing"})
    assert answer.json()["errors"][0]["field"] == "team_id"


async def test_an_unknown_team_is_refused_and_nothing_changes(client: httpx.AsyncClient) -> None:
    ticket = await new_ticket(client)

    made = await client.post(
        "/api/tickets", json={"title": "a", "description": "b", "team_id": UNKNOWN}
    )
    moved = await client.patch(
        f"/api/tickets/{ticket['id']}", json={"team_id": UNKNOWN, "status": "closed"}
    )

    for answer in (made, moved):
        assert answer.status_code == 400
        assert answer.json()["errors"] == [
            {"field": "team_id", "message": "There is no such team."}
        ]
    assert await get(client, f"/api/tickets/{ticket['id']}") == ticket


async def test_moving_a_ticket_is_one_fact(client: httpx.AsyncClient, database: Database) -> None:
    team, ticket = await new_team(client, "Billing"), await new_ticket(client)

    moved = await change(client, ticket, team_id=team["id"])

    assert (moved["team_id"], moved["version"]) == (team["id"], 2)
    (fact,) = (await facts(database, ticket))[1:]
    assert fact.data["changes"] == {"team_id": [None, team["id"]]}
