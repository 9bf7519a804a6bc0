"""The side bar: on every page the lists that everybody has, with how many tickets are in them."""

from typing import Any

import httpx

from pullse.desk.side import same_list
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.reports import counting
from tests.access.people import calling, give
from tests.access.sign_in import hire_with_password
from tests.api.calls import new_ticket
from tests.teams.calls import join, new_team
from tests.web.visiting import Parsed, parsed, sign_in, visitor


def lists(answer: httpx.Response) -> dict[str, str | None]:
    """Address of each list, by its name in the page."""
    assert answer.status_code == 200, answer.text
    return {str(link["data-command"]): link["href"] for link in links(parsed(answer))}


def links(page: Parsed) -> list[dict[str, Any]]:
    return [link for link in page.all("a") if "data-list" in link]


def numbers(answer: httpx.Response) -> list[str]:
    parts = answer.text.split('<span class="side__count">')[1:]
    return [part.partition("<")[0] for part in parts]


async def test_it_is_on_every_page_with_what_one_may_see(served: Edge, database: Database) -> None:
    ada = await hire_with_password(database, "Ada")
    await counting.fill(database)
    async with calling(served) as owner:
        team = await new_team(owner, "Billing")
        hidden = await new_team(owner, "Board", is_private=True)
        await join(owner, team, {"id": ada})
        await new_ticket(owner, assigned_to=str(ada))
        await new_ticket(owner, team_id=team["id"])
        await new_ticket(owner, team_id=hidden["id"])
    async with visitor(served) as client:
        await sign_in(client)
        answer = await client.get("/account")

    live = "/tickets?status=open&status=in_progress"
    assert lists(answer) == {
        "Mine": f"{live}&assigned_to=me",
        "Unassigned": f"{live}&assigned_to=none",
        "Billing": f"{live}&team_id={team['id']}",
        "All open": live,
        "Recently resolved": f"/tickets?{resolved()}",
        "Trash": "/trash",
    }
    assert numbers(answer) == ["1", "1", "2", "0", "0", "1"]


def resolved() -> str:
    moment = f"{counting.recent()}T00%3A00%3A00Z"
    return f"status=resolved&updated_after={moment}&sort=-updated"


async def test_the_fragment_is_what_the_page_has(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada")
    await counting.fill(database)
    async with visitor(served) as client:
        await sign_in(client)
        page, fragment = await client.get("/account"), await client.get("/side?fragment=side")

    assert fragment.text.strip().startswith("<side-counts")
    assert lists(fragment) == lists(page)
    assert fragment.text.strip() in page.text
    assert len(fragment.content) < 4000


async def test_without_a_count_there_is_no_number(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada")
    async with visitor(served) as client:
        await sign_in(client)
        answer = await client.get("/side?fragment=side")
    assert set(numbers(answer)) == {""}


def test_a_list_that_is_shown_is_marked_whatever_the_order_of_its_filters() -> None:
    one = same_list("/tickets?status=open&status=in_progress&assigned_to=me")
    assert one == same_list("/tickets?assigned_to=me&status=in_progress&status=open&cursor=x")
    assert one != same_list("/tickets?status=open&status=in_progress")
    assert one != same_list("/trash")


async def test_who_may_not_read_tickets_has_no_lists(served: Edge, database: Database) -> None:
    ada = await hire_with_password(database, "Ada")
    token = await give(database, ada, scopes=["me:read", "sessions:own"])
    async with calling(served, token) as client:
        answer = await client.get("/account", headers={"Accept": "text/html"})
        assert links(parsed(answer)) == []
        assert (await client.get("/side")).status_code == 403
