"""/tickets/new: a ticket is made once, and what was typed stays when it is refused."""

import asyncio
import re
from typing import Any

import pytest

from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.people import calling
from tests.access.sign_in import hire_with_password
from tests.api.calls import UNKNOWN, facts, get
from tests.desk.desk import at_desk, chosen, seen, written
from tests.teams.calls import new_team
from tests.web.visiting import led_to, parsed, send

HERE = "/tickets"
TYPED = {"title": "The lamp is dark", "description": "Since **today**.\r\nIt broke."}


@pytest.fixture(autouse=True)
async def ada(database: Database) -> Any:
    return await hire_with_password(database, "Ada")


async def test_a_ticket_is_made_with_all_that_was_chosen(
    served: Edge, database: Database, ada: Any
) -> None:
    async with at_desk(served) as client, calling(served) as operator:
        team = await new_team(operator, "Billing")
        page = await client.get("/tickets/new")
        assert "Billing" in seen(page)
        form = TYPED | {"priority": "high", "assigned_to": str(ada), "team_id": team["id"]}
        assert led_to(await send(client, HERE, form)) == "/tickets/1?done=created"
        assert "The ticket is created." in seen(await client.get("/tickets/1?done=created"))
        ticket = await get(operator, "/api/tickets/1")
    assert ticket["description"] == "Since **today**.\nIt broke."
    assert (ticket["priority"], ticket["assigned_to"]) == ("high", str(ada))
    assert (ticket["team_id"], ticket["status"]) == (team["id"], "open")
    (fact,) = [each for each in await facts(database) if each.name == "ticket.created"]
    assert fact.actor == f"agent:{ada}"


async def test_the_least_is_a_title_and_a_description(served: Edge) -> None:
    async with at_desk(served) as client:
        form = TYPED | {"assigned_to": "none", "team_id": "none"}
        assert led_to(await send(client, HERE, form)) == "/tickets/1?done=created"
        assert led_to(await send(client, HERE, TYPED)) == "/tickets/2?done=created"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"title": ""}, "title"),
        ({"title": "   "}, "title"),
        ({"title": "x" * 301}, "title"),
        ({"title": "a\0b"}, "title"),
        ({"description": ""}, "description"),
        ({"description": "a" + "\u0301" * 201}, "description"),
        ({"description": " \r\n "}, "description"),
        ({"description": "x" * 100_001}, "description"),
        ({"priority": "extreme"}, "priority"),
        ({"assigned_to": "ada"}, "assigned_to"),
        ({"assigned_to": UNKNOWN}, "assigned_to"),
        ({"team_id": UNKNOWN}, "team_id"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_was_typed_stays_when_it_is_refused(
    fields: dict[str, str], problem: str, served: Edge, database: Database
) -> None:
    form = TYPED | {"priority": "urgent"} | fields
    async with at_desk(served) as client:
        page = await send(client, HERE, form)
        assert page.status_code == 400
        assert f'id="{problem}-problem"' in page.text
        if "\0" not in form["title"]:
            assert parsed(page).field("title")["value"] == form["title"]
        if problem != "description":
            assert written(page, "description") == "Since **today**.\nIt broke."
        if problem != "priority":
            assert chosen(page, "priority") == "urgent"
    assert await facts(database) == []


async def test_it_is_seen_before_how_it_will_read(served: Edge, database: Database) -> None:
    async with at_desk(served) as client:
        page = await send(client, HERE, TYPED | {"do": "preview", "priority": "high"})
        assert page.status_code == 200
        assert "<strong>today</strong>" in page.text
        assert written(page, "description") == "Since **today**.\nIt broke."
        assert chosen(page, "priority") == "high"
        for text in ("", "x" * 100_001):
            page = await send(client, HERE, {"do": "preview", "description": text})
            assert page.status_code == 400
    assert await facts(database) == []


def once(text: str) -> str:
    found = re.search(r'name="once" value="([0-9a-f]{32})"', text)
    assert found
    return found[1]


async def test_pressing_twice_makes_one_ticket(served: Edge, database: Database) -> None:
    async with at_desk(served) as client:
        form = TYPED | {"once": once((await client.get("/tickets/new")).text)}
        answers = await asyncio.gather(*(send(client, HERE, form) for _ in range(4)))
        assert {led_to(each) for each in answers} == {"/tickets/1?done=created"}
        assert len(await facts(database)) == 1
        other = form | {"title": "Another one"}
        assert led_to(await send(client, HERE, other)) == "/tickets/2?done=created"
        page = await send(client, HERE, form | {"title": ""})
        assert once(page.text) == form["once"]
        assert once((await client.get("/tickets/new")).text) != form["once"]
        assert (await send(client, HERE, TYPED | {"once": "x"})).status_code == 400


async def test_what_is_given_to_a_private_team_is_out_of_sight(
    served: Edge, database: Database
) -> None:
    async with at_desk(served) as client, calling(served) as operator:
        team = await new_team(operator, "People", is_private=True)
        where = led_to(await send(client, HERE, TYPED | {"team_id": team["id"]}))
        assert where == "/tickets/given?number=1"
        assert "Ticket #1 belongs to a private team now" in seen(await client.get(where))
        assert (await client.get("/tickets/1")).status_code == 404
        await send(client, HERE, TYPED)
        form = {"version": 1, "team_id": team["id"]}
        assert led_to(await send(client, "/tickets/2/changes", form)) == "/tickets/given?number=2"
        assert (await get(operator, "/api/tickets/2"))["team_id"] == team["id"]


@pytest.mark.parametrize("role", ["read_only", "collaborator"])
async def test_it_is_for_those_who_may_write(role: str, served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ben", role)
    async with at_desk(served, "Ben") as client:
        assert (await client.get("/tickets/new")).status_code == 403
        assert (await send(client, HERE, TYPED)).status_code == 403
    assert await facts(database) == []
