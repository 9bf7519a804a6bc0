"""`/palette`: tickets by number, by words and as visited, for who may see them; and the story."""

from typing import Any
from uuid import UUID

import httpx
import pytest

from pullse import demo
from pullse.desk import finding
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.people import calling
from tests.access.sign_in import hire_with_password
from tests.web.visiting import led_to, parsed, send, sign_in, visitor


async def found(client: httpx.AsyncClient, **asked: str) -> list[str]:
    answer = await client.get("/palette", params={"fragment": "found", **asked})
    assert answer.status_code == 200, answer.text
    return [str(each["data-href"]).rpartition("/")[2] for each in parsed(answer).all("li")]


async def ticket(client: httpx.AsyncClient, title: str, **more: Any) -> str:
    body = {"title": title, "description": "Nothing of the kind.", **more}
    answer = await client.post("/api/tickets", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["data"]["number"])


async def test_a_ticket_is_found_by_its_number_with_or_without_a_sign(
    client: httpx.AsyncClient,
) -> None:
    number = await ticket(client, "The lamp is dark")
    assert await found(client, q=number) == [number]
    assert await found(client, q=f" #{number} ") == [number]
    assert await found(client, q="#99") == await found(client, q="9" * 300) == []


async def test_beginnings_of_words_of_a_title_find_it_the_newest_first(
    client: httpx.AsyncClient,
) -> None:
    lamp = await ticket(client, "The lamp (rear) is dark")
    other = await ticket(client, "A lampshade, broken")
    await ticket(client, "A clamp")
    assert await found(client, q="lam") == [other, lamp]
    assert await found(client, q="LAM the") == [lamp]
    assert await found(client, q="(rear)") == [lamp]


async def test_whole_words_find_also_what_is_older_than_the_newest(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    lamp = await ticket(client, "The lamps are dark")
    await ticket(client, "Something else")
    monkeypatch.setattr(finding, "NEWEST", 1)
    assert await found(client, q="lam") == []
    assert await found(client, q="lamp") == [lamp]


async def test_what_was_visited_comes_in_its_order_and_without_the_trash(
    client: httpx.AsyncClient,
) -> None:
    first, second, third = [await ticket(client, f"Number {each}") for each in range(3)]
    await client.delete(f"/api/tickets/{second}")
    assert await found(client, visited=f"{third},{second},{first},x,99") == [third, first]


@pytest.mark.parametrize(
    "typed", ["\\", "(", "[a", "a|b", "*", "\\m", "'", '"', "-", "%", "x" * 250]
)
async def test_nothing_that_is_typed_is_a_pattern(client: httpx.AsyncClient, typed: str) -> None:
    number = await ticket(client, f"It says {typed} here")
    await ticket(client, "It says no more")
    assert await found(client, q=typed) == [number]
    assert (await found(client, q=f"says {typed}"))[0] == number


async def test_a_private_team_s_tickets_are_not_there_for_others(
    served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada", "agent")
    async with calling(served) as operator, visitor(served) as ada:
        made = await operator.post("/api/teams", json={"name": "Staff", "is_private": True})
        number = await ticket(operator, "Salary", team_id=made.json()["data"]["id"])
        await sign_in(ada)
        for asked in ({"q": number}, {"q": "sal"}, {"q": "salary"}, {"visited": number}):
            assert await found(ada, **asked) == []
            assert await found(operator, **asked) == [number]


async def test_without_a_script_it_leads_to_the_list(client: httpx.AsyncClient) -> None:
    assert led_to(await client.get("/palette", params={"q": "a b"})) == "/tickets?q=a+b"
    assert led_to(await client.get("/palette")) == "/"
    assert (await client.get("/palette", params={"q": "x" * 301})).status_code == 400


async def test_the_owner_of_this_machine_loads_the_story_once(client: httpx.AsyncClient) -> None:
    headers = {"Accept": "text/html"}
    assert led_to(await send(client, "/demo", **headers)) == "/"
    tickets = (await client.get("/api/tickets")).json()["data"]["records"]
    assert len(tickets) == 40
    assert {UUID(each["assigned_to"]) for each in tickets if each["assigned_to"]}
    teams = (await client.get("/api/teams")).json()["data"]["records"]
    members = (await client.get(f"/api/teams/{teams[0]['id']}/members")).json()["data"]["records"]
    assert {each["joined_at"] for each in members} == {teams[0]["created_at"]}
    assert (await send(client, "/demo", **headers)).status_code == 409


async def test_nobody_else_loads_the_story(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada", "owner")
    async with visitor(served) as ada:
        await sign_in(ada)
        assert (await send(ada, "/demo")).status_code == 403


async def test_the_story_is_told_in_the_order_of_its_times(database: Database) -> None:
    assert await demo.load(database)
    async with database.session() as db:
        in_order = await db.value(
            """
            SELECT bool_and(before <= at)
              FROM (SELECT at, lag(at, 1, at) OVER (ORDER BY tx, id) AS before FROM events) AS told
            """
        )
        spread = await db.value("SELECT count(DISTINCT at::date) FROM events")
        by_number = await db.value(
            """
            SELECT bool_and(created_at >= before)
              FROM (SELECT created_at, lag(created_at, 1, created_at) OVER (ORDER BY number)
                           AS before FROM tickets) AS told
            """
        )
    assert in_order
    assert by_number
    assert spread > 30
