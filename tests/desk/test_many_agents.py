"""A desk of 3,000 agents: every one can be found, named and chosen, with a script and without."""

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from pullse.desk import queries, ticket_queries
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.people import calling, run
from tests.access.sign_in import PASSWORD, hire_with_password
from tests.conftest import serving
from tests.desk.desk import at_desk, now, opened
from tests.teams.calls import join, new_team
from tests.web.browsing import browser, fill, person, press
from tests.web.visiting import Parsed, led_to, parsed, send

if TYPE_CHECKING:
    from playwright.async_api import Browser

__all__ = ["browser"]

NO_GATEWAY = ("status of 503",)
LAST = "agent3000@example.org"


@pytest.fixture
async def ada(database: Database) -> UUID:
    found: UUID = await hire_with_password(database, "Ada")
    await fill_desk(database, 1, 3_000)
    return found


async def fill_desk(database: Database, first: int, last: int) -> None:
    await run(
        database,
        "INSERT INTO agents (id, name, email, role, state) SELECT gen_random_uuid(),"
        " 'Agent ' || to_char(n, 'FM00000'), 'agent' || n || '@example.org', 'agent', 'active'"
        f" FROM generate_series({first}, {last}) AS n",
    )
    await run(database, "ANALYZE agents")


async def id_of(database: Database, email: str) -> UUID:
    async with database.session() as db:
        found: UUID = await db.value("SELECT id FROM agents WHERE email = $1", email)
    return found


def options(page: Parsed, field: str) -> list[dict[str, str | None]]:
    """Of one choice, in their order."""
    found, is_in = [], False
    for tag, attributes in page.tags:
        if tag in ("select", "input", "button"):
            is_in = tag == "select" and attributes.get("id") == field
        elif tag == "option" and is_in:
            found.append(attributes)
    return found


async def test_the_filter_finds_by_name_and_by_address(
    served: Edge, database: Database, ada: UUID
) -> None:
    last = await id_of(database, LAST)
    await opened(served, assigned_to=str(last))
    async with at_desk(served) as client:
        for typed in (LAST.upper(), "agent 03000"):
            answer = await client.get("/tickets", params={"assigned_to": typed, "status": "open"})
            assert led_to(answer) == f"/tickets?status=open&assigned_to={last}"
        page = parsed(await client.get(led_to(answer)))
        (box,) = [each for each in page.all("input") if each.get("value") == str(last)]
        assert "checked" in box
        assert page.text.count("Agent 03000") >= 2  # the box, and what is set
        nobody = await client.get("/tickets?assigned_to=nobody@example.org")
        assert (nobody.status_code, "There is no such agent." in nobody.text) == (400, True)


async def test_a_beginning_is_answered_with_those_that_have_it(
    served: Edge, database: Database, ada: UUID
) -> None:
    ticket = await opened(served)
    several = [str(await id_of(database, f"agent{n}@example.org")) for n in (2998, 2999)]
    async with at_desk(served) as client:
        answer = await client.get("/tickets?assigned_to=agent+0299")
        assert answer.status_code == 400
        found = [each.get("value") for each in parsed(answer).all("input")]
        assert {*several} <= {*found}
        assert "agent 0299" not in found
        for path, field, fields in (
            ("/tickets/1/changes", "set-assignee", {"version": 1}),
            ("/tickets", "assigned_to", {"title": "x", "description": "y"}),
        ):
            answer = await send(client, path, {**fields, "who": "agent 0299"})
            assert answer.status_code == 400
            page = parsed(answer)
            offered = [each["value"] for each in options(page, field)]
            assert {*several} <= {*offered}
            assert len(offered) == 11
            assert "assigned_to-problem" in page.ids
            (typed,) = [each for each in page.all("input") if each.get("name") == "who"]
            assert typed["value"] == ""  # so that one of them can be chosen
            assert "Choose one of those found by “agent 0299”." in page.text
        bulk = {"ticket": f"{ticket['id']}.1", "who": "agent 0299"}
        answer = await send(client, "/tickets/bulk", bulk)
        assert answer.status_code == 400
        for each in several:
            assert f'<option value="{each}"' in answer.text
        nobody = await send(client, "/tickets/1/changes", {"version": 1, "who": "Nobody"})
        (typed,) = [each for each in parsed(nobody).all("input") if each.get("name") == "who"]
        assert (typed["value"], typed["aria-invalid"]) == ("Nobody", "true")
        new = {"title": "x", "description": "y", "who": "agent 0299", "do": "preview"}
        preview = parsed(await send(client, "/tickets", new))
        (typed,) = [each for each in preview.all("input") if each.get("name") == "who"]
        assert typed["value"] == "agent 0299"
    assert (await now(served, ticket))["assigned_to"] is None


async def test_everyone_can_be_typed_on_every_form(
    served: Edge, database: Database, ada: UUID
) -> None:
    last = str(await id_of(database, LAST))
    ticket = await opened(served)
    async with at_desk(served) as client:
        made = {"title": "x", "description": "y", "who": LAST}
        assert led_to(await send(client, "/tickets", made)).startswith("/tickets/2?")
        assert (await client.get("/api/tickets/2")).json()["data"]["assigned_to"] == last
        fields = {"version": 1, "status": "open", "assigned_to": "none", "who": "Agent 03000"}
        led_to(await send(client, "/tickets/1/changes", fields))
        assert (await now(served, ticket))["assigned_to"] == last
        bulk = {"ticket": f"{ticket['id']}.2", "who": "ada@example.org"}
        led_to(await send(client, "/tickets/bulk", bulk))
        assert (await now(served, ticket))["assigned_to"] == str(ada)
        page = parsed(await client.get("/tickets?edit=1"))
        names = [each.get("id") for each in page.all("input") if each.get("name") == "who"]
        assert sorted(names, key=str) == ["bulk-who", "row-who"]


async def test_who_it_is_now_is_named_also_who_has_left(
    served: Edge, database: Database, ada: UUID
) -> None:
    last = await id_of(database, LAST)
    ticket = await opened(served, assigned_to=str(last))
    async with at_desk(served) as client:
        for is_gone in (False, True):
            if is_gone:
                await run(database, "UPDATE agents SET state = 'disabled' WHERE id = $1", last)
            page = parsed(await client.get("/tickets/1"))
            (chosen,) = [each for each in options(page, "set-assignee") if "selected" in each]
            assert chosen["value"] == str(last)
            assert "Agent 03000" in page.text
            led_to(
                await send(
                    client,
                    "/tickets/1/changes",
                    {"version": 1, "assigned_to": str(last), "who": ""},
                )
            )
            page = parsed(await client.get("/tickets?edit=1"))
            assert page.text.count("Agent 03000") >= 2
        assert (await now(served, ticket))["version"] == 1
        again = await send(client, "/tickets", {"title": "x", "assigned_to": str(ada)})
        (chosen,) = [each for each in options(parsed(again), "assigned_to") if "selected" in each]
        assert chosen["value"] == str(ada)


async def test_of_a_private_team_those_alone_are_offered_who_may_see_it(
    served: Edge, database: Database, ada: UUID
) -> None:
    async with calling(served) as operator:
        team = await new_team(operator, "Secret", is_private=True)
        for each in (ada, await id_of(database, LAST)):
            await join(operator, team, {"id": each})
    async with at_desk(served) as client:
        await opened(served, team_id=team["id"])
        page = parsed(await client.get("/tickets/1"))
        assert len(options(page, "set-assignee")) == 3  # few, so all of them
        assert "set-who" not in page.ids
        refused = await send(client, "/tickets/1/changes", {"version": 1, "who": "Agent 00001"})
        assert refused.status_code in (400, 409)


@pytest.mark.parametrize("is_private", [False, True])
async def test_what_a_page_costs_does_not_grow_with_the_agents(
    is_private: bool, served: Edge, database: Database, ada: UUID
) -> None:
    async with calling(served) as operator:
        team = await new_team(operator, "One", is_private=is_private)
    await fill_desk(database, 3_001, 20_000)
    async with database.transaction() as db:
        pages = int(await db.value("SELECT relpages FROM pg_class WHERE relname = 'agents'"))
        asked = Noted(db)
        await ticket_queries.choices(asked, UUID(team["id"]))
        await queries.choices(asked, [], [], None)
        for each in asked.asked:
            # Of each that is offered at most its place in an index, and itself.
            assert await asked.blocks(*each) < 200 < pages


class Noted:
    """A session that keeps what it is asked."""

    def __init__(self, db: Any) -> None:
        self.db = db
        self.asked: list[tuple[Any, ...]] = []

    async def all(self, shape: Any, *asked: Any) -> Any:
        self.asked.append(asked)
        return await self.db.all(shape, *asked)

    async def blocks(self, sql: str, *values: Any) -> int:
        """How many pages of tables and indexes it reads."""
        plan = await self.db.value("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + sql, *values)
        top = json.loads(plan)[0]["Plan"]
        return int(top["Shared Hit Blocks"] + top["Shared Read Blocks"])


async def test_one_is_found_and_chosen_by_keyboard(
    served: Edge, database: Database, ada: UUID, browser: "Browser"
) -> None:
    last = str(await id_of(database, LAST))
    async with calling(served) as operator:
        team = await new_team(operator, "Large", is_private=True)
    await run(
        database,
        "INSERT INTO team_members (team_id, agent_id) SELECT $1::uuid, id FROM agents"
        " WHERE name <> 'Agent 02999'",
        team["id"],
    )
    ticket = await opened(served, team_id=team["id"])
    async with serving(served) as url, person(browser, expected=NO_GATEWAY) as page:
        await page.goto(f"{url}/sign-in")
        await fill(page, email="ada@example.org", password=PASSWORD)
        await press(page, "Sign in")
        await page.goto(f"{url}/tickets/1")
        await page.keyboard.press("a")
        await page.keyboard.type("agent 0299")
        await page.locator("#set-who-found option").nth(8).wait_for(state="attached")
        assert await page.locator("#set-who-found option").count() == 9
        await page.keyboard.press("ControlOrMeta+a")
        await page.keyboard.type("agent 03")
        await page.locator(f'#set-who-found option[value="{LAST}"]').wait_for(state="attached")
        await page.keyboard.press("ControlOrMeta+a")
        await page.keyboard.type(LAST)
        await page.keyboard.press("Enter")
        await page.locator("#set-assignee option:checked", has_text="Agent 03000").wait_for(
            state="attached"
        )
        await page.wait_for_function("() => document.getElementById('set-who').value === ''")
        assert (await now(served, ticket))["assigned_to"] == last
