"""Lists of tickets: what is on them, in which order, how they are asked for, who sees what."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit
from uuid import UUID

import httpx
import pytest

from pullse.desk import columns, lists
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.kit.events import Actor
from tests.access.people import calling, give, hire, run
from tests.access.sign_in import hire_with_password
from tests.api.calls import UNKNOWN
from tests.desk.desk import at_desk, changed, opened
from tests.teams.calls import new_team
from tests.web.visiting import led_to, parsed, send

OF_PAGES = re.compile(r"\b(tickets|teams|preferences|agents)\b")
LIVE = "status=open&status=in_progress"


def numbers(answer: httpx.Response) -> list[int]:
    """Of the rows, in their order."""
    assert answer.status_code == 200, answer.text
    return [int(each) for each in re.findall(r'data-number="(\d+)"', answer.text)]


def heading(answer: httpx.Response) -> str:
    found = re.search(r"<h1>\s*(.*?)\s*</h1>", answer.text, re.S)
    assert found
    return found[1]


@pytest.fixture
async def ada(database: Database) -> UUID:
    found: UUID = await hire_with_password(database, "Ada")
    return found


async def test_an_agent_begins_with_what_is_open_and_ones_own(
    served: Edge, database: Database, ada: UUID
) -> None:
    ben = await hire(database, "Ben")
    for agent, status in ((ada, "open"), (ada, "in_progress"), (ada, "resolved"), (ben, "open")):
        await opened(served, assigned_to=str(agent), status=status)
    async with at_desk(served) as client:
        home = await client.get("/")
        assert (heading(home), numbers(home)) == ("Mine", [2, 1])
        everything = await client.get("/tickets")
        assert (heading(everything), numbers(everything)) == ("All tickets", [4, 3, 2, 1])


async def test_who_is_no_agent_begins_with_all_that_is_open(client: httpx.AsyncClient) -> None:
    for status in ("open", "closed"):
        body = {"title": "Help", "description": "x", "status": status}
        await client.post("/api/tickets", json=body)
    home = await client.get("/", headers={"Accept": "text/html"})
    assert (heading(home), numbers(home)) == ("All open", [1])


async def test_nothing_of_ones_own_says_where_there_is_something(
    served: Edge, database: Database, ada: UUID
) -> None:
    async with at_desk(served) as client:
        await opened(served)
        home = await client.get("/")
        assert "Nothing waits for you" in home.text
        assert f"/tickets?{LIVE.replace('&', '&amp;')}&amp;assigned_to=none" in home.text
        none = await client.get("/tickets?status=closed")
        assert "Nothing fits these filters" in none.text


@pytest.mark.parametrize(
    ("asked", "name", "found"),
    [
        ("", "All tickets", [6, 5, 4, 3, 2, 1]),
        (LIVE, "All open", [6, 4, 3, 2, 1]),
        ("status=in_progress&status=open", "All open", [6, 4, 3, 2, 1]),
        ("status=open,in_progress", "All open", [6, 4, 3, 2, 1]),
        ("status=resolved&sort=-updated", "Recently resolved", [5]),
        (f"{LIVE}&assigned_to=none", "Unassigned", [6, 3, 2]),
        (f"{LIVE}&assigned_to=me", "Mine", [4, 1]),
        ("assigned_to=me&assigned_to=none", "Tickets", [6, 5, 4, 3, 2, 1]),
        ("priority=urgent", "Tickets", [4]),
        ("q=printer", "Search: printer", [2]),
        ("q=printer&status=resolved", "Search: printer", []),
        ("sort=created", "All tickets", [1, 2, 3, 4, 5, 6]),
        ("sort=-priority", "All tickets", [4, 6, 5, 3, 2, 1]),
        ("created_after=2000-01-01", "Tickets", [6, 5, 4, 3, 2, 1]),
        ("created_before=2000-01-01", "Tickets", []),
        ("updated_before=2000-01-01T00:00:00Z", "Tickets", []),
        (f"assigned_to={UNKNOWN}", "Tickets", []),
        ("team_id=none", "Tickets", [6, 5, 4, 3, 2, 1]),
    ],
)
async def test_the_address_says_what_is_on_the_list(
    asked: str, name: str, found: list[int], served: Edge, ada: UUID
) -> None:
    own = str(ada)
    await opened(served, assigned_to=own)
    await opened(served, "The printer smokes")
    await opened(served)
    await opened(served, assigned_to=own, priority="urgent", status="in_progress")
    await opened(served, status="resolved")
    await opened(served, priority="high")
    async with at_desk(served) as client:
        page = await client.get(f"/tickets?{asked}")
        assert (heading(page), numbers(page)) == (name, found)
        titles = re.findall(r"<title>(.*?)</title>", page.text, re.S)
        assert titles == [f"{name} · pullse"]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ("status=new", "status"),
        ("priority=1", "priority"),
        ("assigned_to=nobody", "assigned_to"),
        ("team_id=1", "team_id"),
        ("created_after=yesterday", "created_after"),
        ("created_before=2026-13-01", "created_before"),
        ("updated_after=2026-11-28T00:00:00", "updated_after"),
        ("created_after=9999-12-31T23:59:59-23:59", "created_after"),
        ("sort=title", "sort"),
        ("limit=0", "limit"),
        ("cursor=abc", "cursor"),
        ("cursor=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "cursor"),
        ("whatever=1", "whatever"),
        ("edit=one", "edit"),
        ("q=a&q=b", "q"),
        ("q=%00", "q"),
        (f"q={'a' * 301}", "q"),
        ("&".join(f"assigned_to={UUID(int=each)}" for each in range(11)), "assigned_to"),
    ],
)
async def test_what_can_not_be_is_refused_by_a_page_that_names_it(
    asked: str, field: str, served: Edge, ada: UUID
) -> None:
    async with at_desk(served) as client:
        page = await client.get(f"/tickets?{asked}")
        assert page.status_code == 400
        assert page.headers["content-type"].startswith("text/html")
        found = parsed(page)
        assert "data-number" not in page.text
        assert found.all("form")
        if field in ("cursor", "limit", "whatever", "edit"):
            said = "This place" if field == "cursor" else f"{field}:"
            assert said in found.text
        else:
            assert found.text.count("There is no such list.") == 1
            described = [each for each in found.tags if describes(each[1], f"{field}-problem")]
            assert described
            assert found.ids.count(f"{field}-problem") == 1


def describes(attributes: dict[str, str | None], id_: str) -> bool:
    return id_ in (attributes.get("aria-describedby") or "").split()


async def test_all_that_is_wrong_stands_in_the_filters_and_is_cleared_by_a_link(
    served: Edge, ada: UUID
) -> None:
    await opened(served)
    asked = "status=open,nonsense&sort=x&created_after=tomorrow&priority=low&q=%3Cx-y%3E&team_id=7"
    async with at_desk(served) as client:
        answer = await client.get(f"/tickets?{asked}")
        assert answer.status_code == 400
        page = parsed(answer)
        assert {each for each in page.ids if each.endswith("-problem")} == {
            "status-problem",
            "sort-problem",
            "created_after-problem",
            "team_id-problem",
        }
        checked = [each for each in page.all("input") if "checked" in each]
        assert [
            (each["name"], each["value"], each.get("aria-invalid")) for each in checked[:4]
        ] == [
            ("status", "open", None),
            ("status", "nonsense", "true"),
            ("priority", "low", None),
            ("team_id", "7", "true"),
        ]
        (day,) = [each for each in page.all("input") if each.get("name") == "created_after"]
        assert (day["type"], day["value"], day["aria-invalid"]) == ("text", "tomorrow", "true")
        assert "<x-y>" not in answer.text
        assert "There is no &#x27;nonsense&#x27; here." in answer.text
        assert page.all("nav")
        assert {"href": "/tickets?priority=low&q=%3Cx-y%3E"} in page.all("a")
        assert "live-rows" not in answer.text


async def test_a_place_that_is_not_there_leads_to_the_beginning(served: Edge, ada: UUID) -> None:
    async with at_desk(served) as client:
        page = await client.get("/tickets?status=open&cursor=abc")
        assert page.status_code == 400
        assert {"href": "/tickets?status=open"} in parsed(page).all("a")
        assert "Back to the first page" in page.text
        assert "No tickets here" not in page.text
        for asked, said in (("cursor=abc", "first page"), ("x=1", "without what is wrong")):
            page = await client.get(f"/trash?{asked}")
            assert page.status_code == 400
            assert said in page.text
            assert {"href": "/trash"} in parsed(page).all("a")
            assert "The trash is empty" not in page.text


async def test_what_nobody_can_read_is_no_list(served: Edge, ada: UUID) -> None:
    async with at_desk(served) as client:
        for asked in ("q=%ff", "&".join(["status=open"] * 401)):
            page = await client.get(f"/tickets?{asked}")
            assert page.status_code == 400
            assert {"href": "/tickets"} in parsed(page).all("a")
            assert parsed(page).all("nav")


@pytest.mark.parametrize("asked", ["fragment=head", "id=1&fragment=rows", "fragment=more&sort=x"])
async def test_a_piece_that_can_not_be_is_refused_plainly(
    asked: str, served: Edge, ada: UUID
) -> None:
    async with at_desk(served) as client:
        page = await client.get(f"/tickets?{asked}")
        assert page.status_code == 400
        assert not parsed(page).all("nav")
        program = await client.get("/tickets?sort=x", headers={"Accept": "application/json"})
        assert program.status_code == 400
        assert program.headers["content-type"] == "application/json"


async def test_days_begin_where_the_agent_is(served: Edge, database: Database, ada: UUID) -> None:
    await opened(served)
    await run(database, "UPDATE tickets SET created_at = '2026-06-01T22:30:00Z'")
    async with at_desk(served) as client:
        assert numbers(await client.get("/tickets?created_after=2026-06-02")) == []
        answer = await client.patch("/api/me/preferences", json={"zone": "Europe/Berlin"})
        assert answer.status_code == 200, answer.text
        assert numbers(await client.get("/tickets?created_after=2026-06-02")) == [1]
        assert numbers(await client.get("/tickets?created_before=2026-06-02")) == []


async def test_what_a_form_left_empty_is_not_in_the_address(served: Edge, ada: UUID) -> None:
    async with at_desk(served) as client:
        answer = await client.get("/tickets?q=&status=open&created_after=&sort=")
        assert led_to(answer) == "/tickets?status=open"
        assert led_to(await client.get("/tickets?q=")) == "/tickets"
        answer = await client.get("/tickets?q=&cursor=abc&sort=created")
        assert led_to(answer) == "/tickets?sort=created&cursor=abc"


async def test_each_filter_that_is_set_can_be_taken_away(served: Edge, ada: UUID) -> None:
    await opened(served)
    async with at_desk(served) as client:
        page = await client.get(f"/tickets?{LIVE}&assigned_to=me&q=lamp&sort=created")
        chips = [str(each["href"]) for each in parsed(page).all("a") if each.get("class") == "chip"]
        assert chips == [
            "/tickets?status=in_progress&assigned_to=me&q=lamp&sort=created",
            "/tickets?status=open&assigned_to=me&q=lamp&sort=created",
            "/tickets?status=open&status=in_progress&q=lamp&sort=created",
            "/tickets?status=open&status=in_progress&assigned_to=me&sort=created",
        ]
        ticked = [
            (each["name"], each["value"])
            for each in parsed(page).all("input")
            if each.get("type") == "checkbox" and "checked" in each
        ]
        assert ("status", "open") in ticked
        assert ("assigned_to", "me") in ticked
        assert ("assigned_to", "none") not in ticked


async def test_a_head_turns_the_order_round(served: Edge, ada: UUID) -> None:
    await opened(served)
    async with at_desk(served) as client:
        page = parsed(await client.get("/tickets?status=open&sort=-priority"))
        (sorted_,) = [each for each in page.all("th") if "aria-sort" in each]
        assert (sorted_["data-column"], sorted_["aria-sort"]) == ("priority", "descending")
        links = [each.get("href") for each in page.all("a")]
        assert "/tickets?status=open&sort=priority" in links
        assert "/tickets?status=open" in links


async def test_more_comes_by_a_link_and_nothing_twice(served: Edge, ada: UUID) -> None:
    for _ in range(7):
        await opened(served)
    async with at_desk(served) as client:
        path, found = "/tickets?limit=3&status=open", []
        for _ in range(3):
            page = await client.get(path)
            found.append(numbers(page))
            more = [
                str(each["href"])
                for each in parsed(page).all("a")
                if "cursor=" in str(each.get("href"))
            ]
            path = (more or [""])[0].replace("/tickets?", "/tickets?limit=3&")
        assert found == [[7, 6, 5], [4, 3, 2], [1]]
        assert "Back to the first page" in page.text
        cursor = parse_qs(urlsplit(path).query).get("cursor")
        assert cursor is None


async def test_a_piece_is_rows_and_the_way_on_alone(served: Edge, ada: UUID) -> None:
    for _ in range(3):
        await opened(served)
    async with at_desk(served) as client:
        first = await client.get("/tickets?limit=2")
        (more,) = re.findall(r'href="&#x2f;tickets\?(cursor=[^"]+)"', first.text)
        piece = await client.get(f"/tickets?{more}&fragment=more")
        assert numbers(piece) == [1]
        assert "<html" not in piece.text


async def test_rows_are_read_anew_and_say_whether_they_are_on_the_list(
    served: Edge, database: Database, ada: UUID
) -> None:
    one, two, three = [await opened(served) for _ in range(3)]
    async with at_desk(served) as client:
        await changed(client, two, status="closed")
        await client.delete(f"/api/tickets/{three['id']}")
        ids = "&".join(f"id={each['id']}" for each in (one, two, three))
        piece = await client.get(f"/tickets?status=open&fragment=rows&{ids}&id={UNKNOWN}")
        assert numbers(piece) == [1, 2]
        rows = {each["data-number"]: each for each in parsed(piece).all("tr")}
        assert "data-off" not in rows["1"]
        assert "data-off" in rows["2"]
        assert rows["2"]["data-version"] == "2"
        many = "&".join(f"id={UUID(int=each)}" for each in range(101))
        assert (await client.get(f"/tickets?fragment=rows&{many}")).status_code == 400


async def test_a_row_knows_where_one_comes_from(served: Edge, ada: UUID) -> None:
    await opened(served)
    async with at_desk(served) as client:
        page = parsed(await client.get("/tickets?status=open&q=broke&sort=created"))
        (link,) = [str(each["href"]) for each in page.all("a") if each.get("data-key") == "o"]
        wanted = "status=open&q=broke&sort=created"
        assert link == f"/tickets/1?list={quote(wanted, safe='')}"
        assert (await client.get(link)).status_code == 200


@pytest.mark.parametrize("sort", ["-created", "created", "-updated", "updated", "-priority"])
async def test_neighbours_are_those_beside_it_in_the_list(
    sort: str, served: Edge, database: Database, ada: UUID
) -> None:
    for priority in ("low", "urgent", "low", "high", "urgent"):
        await opened(served, priority=priority)
    await opened(served, status="closed")
    actor = Actor("owner", teams=None)
    wanted = lists.read(f"status=open&sort={sort}", actor, "UTC")
    async with database.session() as db:
        rows, _ = await lists.page(db, wanted.query, actor)
        order = [None, *(each.number for each in rows), None]
        for place, ticket in enumerate(rows, 1):
            found = await lists.neighbours(db, wanted.query, ticket, None)
            assert found == (order[place - 1], order[place + 1])
        closed = (await lists.page(db, lists.read("status=closed", actor, "UTC").query, actor))[0]
        before, after = await lists.neighbours(db, wanted.query, closed[0], None)
        assert before or after


def test_a_list_in_an_address_may_be_nonsense() -> None:
    actor = Actor("owner", teams=None)
    assert lists.find(None, actor, "UTC") is None
    for text in ("status=new", "q=%ff", "x=1", "q=" + "a" * 4000, "q=é", "status=open&" * 401):
        assert lists.find(text, actor, "UTC") is None, text
    found = lists.find("status=open", actor, "UTC")
    assert found
    assert found.path == "/tickets?status=open"
    assert lists.find("", actor, "UTC") is not None


async def test_private_tickets_and_names_are_for_who_may_see_them(
    served: Edge, database: Database, ada: UUID
) -> None:
    await hire_with_password(database, "Ben")
    async with calling(served) as operator:
        team = await new_team(operator, "Secret people", is_private=True)
        await operator.put(f"/api/teams/{team['id']}/members/{ada}")
    ticket = await opened(served, "Hush", team_id=team["id"])
    await opened(served, "For all")
    paths = ("/tickets", f"/tickets?team_id={team['id']}", "/tickets?q=hush", "/trash")
    rows = f"/tickets?fragment=rows&id={ticket['id']}"
    async with at_desk(served) as own, at_desk(served, "Ben") as other:
        assert numbers(await own.get("/tickets")) == [2, 1]
        assert numbers(await own.get(rows)) == [1]
        assert heading(await own.get(f"/tickets?{LIVE}&team_id={team['id']}")) == "Secret people"
        for _ in range(2):
            for path in (*paths, rows):
                page = await other.get(path)
                assert page.status_code == 200
                assert "Hush" not in page.text
                assert "Secret people" not in page.text
                assert 1 not in numbers(page)
            await own.delete(f"/api/tickets/{ticket['id']}")
        assert "Hush" in (await own.get("/trash")).text


async def test_the_trash_shows_what_was_deleted_last_first(served: Edge, ada: UUID) -> None:
    one, two = await opened(served, "One"), await opened(served, "Two")
    async with at_desk(served) as client:
        assert "The trash is empty" in (await client.get("/trash")).text
        for each in (two, one):
            await client.delete(f"/api/tickets/{each['id']}")
        page = await client.get("/trash")
        assert (heading(page), numbers(page)) == ("Trash", [1, 2])
        assert numbers(await client.get("/tickets")) == []
        assert (await client.get("/trash?cursor=abc")).status_code == 400


async def test_who_only_reads_gets_no_boxes_and_no_forms(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Eve", "read_only")
    await opened(served)
    async with at_desk(served, "Eve") as client:
        page = parsed(await client.get("/tickets"))
        assert len([each for each in page.all("tr") if "data-row" in each]) == 1
        assert not [each for each in page.all("input") if each.get("name") == "ticket"]
        assert not [each for each in page.all("form") if "bulk" in str(each.get("action"))]
        assert not [each for each in page.all("a") if "data-sets" in each]


async def test_columns_and_density_are_ones_own(
    served: Edge, database: Database, ada: UUID
) -> None:
    await opened(served)
    async with at_desk(served) as client:
        fields = {"density": "compact", "column": ["title", "status", "updated"]}
        answer = await send(client, "/tickets/look", fields | {"list": "status=open"})
        assert led_to(answer) == "/tickets?status=open"
        page = await client.get("/tickets?status=open")
        assert shown_columns(page) == ["title", "status", "updated"]
        assert 'data-density="compact"' in page.text
        answer = await send(client, "/tickets/look", fields | {"up": "updated"})
        assert led_to(answer) == "/tickets?open=look"
        page = await client.get("/tickets?open=look")
        assert shown_columns(page) == ["title", "updated", "status"]
        answer = await send(client, "/tickets/look", {"density": "compact", "column": ["nonsense"]})
        assert shown_columns(await client.get("/tickets")) == [
            each.name for each in columns.COLUMNS
        ]
        refused = await send(client, "/tickets/look", {"density": "wide"})
        assert refused.status_code == 400


def shown_columns(page: httpx.Response) -> list[str]:
    heads = [each for each in parsed(page).all("th") if each.get("scope") == "col"]
    return [str(each["data-column"]) for each in heads if each["data-column"] != "select"]


def test_columns_are_chosen_from_those_there_are() -> None:
    usual = [each.name for each in columns.COLUMNS if each.is_usual]
    assert [each.name for each in columns.chosen([])] == usual
    assert [each.name for each in columns.chosen(["gone"])] == usual
    assert [each.name for each in columns.chosen(["status", "status"])] == ["title", "status"]
    assert columns.ahead(["a", "b", "c"], "c") == ["a", "c", "b"]
    assert columns.ahead(["a", "b"], "a") == ["a", "b"]
    assert columns.ahead(["a"], "new") == ["a", "new"]
    assert {each.name for each in columns.all_of(["status"])} == set(columns.BY_NAME)


async def test_somebody_is_found_by_how_a_name_begins(
    served: Edge, database: Database, ada: UUID
) -> None:
    for name in ("Ben", "Bea", "Out"):
        await hire(database, name)
    await run(database, "UPDATE agents SET state = 'disabled' WHERE name = 'Out'")
    await run(database, "UPDATE agents SET name = 'Jo von Berg' WHERE name = 'Bea'")
    async with calling(served) as operator:
        team = await new_team(operator, "Secret", is_private=True)
        other = await new_team(operator, "Other", is_private=True)
        await operator.put(f"/api/teams/{team['id']}/members/{ada}")
    async with at_desk(served) as client:

        async def people(**asked: Any) -> list[str]:
            piece = await client.get("/tickets", params={"fragment": "people"} | asked)
            assert piece.status_code == 200, piece.text
            return re.findall(r'person__name">([^<]+)<', piece.text)

        assert await people() == ["Nobody", "Ada", "Ben", "Jo von Berg"]
        assert await people(q="be") == ["Ben", "Jo von Berg"]
        assert await people(q="ben@") == ["Ben"]
        assert await people(q="%") == []
        assert await people(q="out") == []
        assert await people(team_id=team["id"]) == ["Nobody", "Ada"]
        assert await people(team_id=other["id"]) == ["Nobody"]


@asynccontextmanager
async def counted(database: Database, into: list[str]) -> AsyncIterator[None]:
    """What is asked of the database meanwhile."""

    def note(record: Any) -> None:
        # Others ask at times of their own: the tail, and who notes when a session was used.
        if OF_PAGES.search(record.query) and not re.search("sessions|facts", record.query):
            into.append(record.query)

    connections = [await database.pool.acquire() for _ in range(database.pool.get_max_size())]
    for each in connections:
        each.add_query_logger(note)
        await database.pool.release(each)
    yield
    connections = [await database.pool.acquire() for _ in range(database.pool.get_max_size())]
    for each in connections:
        each.remove_query_logger(note)
        await database.pool.release(each)


async def test_a_page_asks_as_little_of_the_database_for_many_as_for_few(
    served: Edge, database: Database, ada: UUID
) -> None:
    ben = await hire(database, "Ben")
    costs = []
    async with at_desk(served) as client:
        for count in (1, 30):
            for number in range(count):
                await opened(served, assigned_to=str((ada, ben)[number % 2]))
            for path, at_most in (
                ("/tickets?status=open", 9),
                ("/tickets?status=open&fragment=more", 4),
                ("/trash", 8),
            ):
                await client.get(path)
                asked: list[str] = []
                async with counted(database, asked):
                    await client.get(path)
                costs.append(len(asked))
                assert len(asked) <= at_most, asked
    assert costs[:3] == costs[3:]


async def test_a_list_without_a_right_is_not_there(served: Edge, database: Database) -> None:
    token = await give(database, role="agent", scopes=["me:read"])
    async with calling(served, token) as client:
        for path in ("/", "/tickets", "/trash"):
            assert (await client.get(path)).status_code == 403


async def test_neighbours_among_words_are_found_too(
    served: Edge, database: Database, ada: UUID
) -> None:
    for title in ("A lamp", "A bell", "A lamp again"):
        await opened(served, title)
    async with at_desk(served) as client:
        page = parsed(await client.get("/tickets/1?list=q%3Dlamp"))
        assert [each for each in page.all("a") if str(each.get("href")).startswith("/tickets/3?")]
        page = parsed(await client.get("/tickets/1?list=q%3Dlamp%26sort%3Dupdated"))
        assert not [
            each for each in page.all("a") if str(each.get("href")).startswith("/tickets/3?")
        ]


async def test_the_side_bar_says_which_list_one_is_in(served: Edge, ada: UUID) -> None:
    await opened(served)
    async with at_desk(served) as client:
        for path, name in (
            ("/", "mine"),
            (f"/tickets?{LIVE}", "open"),
            ("/tickets?status=in_progress&status=open", "open"),
            ("/trash", "trash"),
        ):
            page = parsed(await client.get(path))
            here = [
                each["data-list"]
                for each in page.all("a")
                if "data-list" in each and each.get("aria-current") == "page"
            ]
            assert here == [name], path
