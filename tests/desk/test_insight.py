"""/insight: charts that say in words what they show, tables beside them, and files."""

import csv
import io
import re
from typing import Any

import httpx
import pytest

from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.reports import asking
from pullse.reports.sheets import harmless
from tests.access.people import calling
from tests.access.sign_in import hire_with_password
from tests.api.calls import Body, change, new_ticket
from tests.reports.test_insight import catch_up
from tests.teams.calls import join, new_team
from tests.web.visiting import parsed, sign_in, visitor

FORMULA = '=HYPERLINK("https://evil.example","Pay")'


async def arranged(served: Edge, database: Database) -> tuple[Any, Body, Body]:
    """Ada, a team with a nasty name, and a private one that she is not in."""
    ada = await hire_with_password(database, "Ada")
    async with calling(served) as owner:
        team = await new_team(owner, FORMULA)
        board = await new_team(owner, "Board", is_private=True)
        await join(owner, team, {"id": ada})
        ticket = await new_ticket(owner, team_id=team["id"], assigned_to=str(ada))
        await change(owner, ticket, status="resolved")
        await new_ticket(owner, priority="urgent")
        await new_ticket(owner, team_id=board["id"])
    await catch_up(database)
    return ada, team, board


async def test_each_chart_says_in_words_what_it_shows(served: Edge, database: Database) -> None:
    await arranged(served, database)
    async with visitor(served) as client:
        await sign_in(client)
        answer = await client.get("/insight")

    page = parsed(answer)
    assert answer.status_code == 200
    charts = [each for each in page.all("svg") if each.get("role") == "img"]
    assert len(charts) == 8
    ids = {each.get("id") for _, each in page.tags}
    for chart in charts:
        assert {chart["aria-labelledby"], chart["aria-describedby"]} <= ids
    assert "2 tickets were created and 1 resolved" in page.text
    assert "1 tickets are open or in progress." in page.text
    assert "half took no longer than 0 s" in page.text
    assert len(page.all("table")) == 6
    assert all(each.get("scope") in ("col", "row") for each in page.all("th"))
    assert 'style="' not in answer.text


async def test_what_one_may_not_see_is_in_no_number_and_no_choice(
    served: Edge, database: Database
) -> None:
    _, _, board = await arranged(served, database)
    async with visitor(served) as client:
        await sign_in(client)
        answer = await client.get("/insight")
        assert "Board" not in answer.text
        asked = await client.get(f"/insight?team_id={board['id']}")
        assert "0 tickets were created" in asked.text
        sheet = await client.get("/insight/teams.csv")
        assert "Board" not in sheet.text


async def test_an_address_keeps_what_was_chosen(served: Edge, database: Database) -> None:
    _, team, _ = await arranged(served, database)
    async with visitor(served) as client:
        await sign_in(client)
        answer = await client.get(f"/insight?days=90&team_id={team['id']}&assigned_to=me")
        page = parsed(answer)
        chosen = {each["value"] for each in page.all("option") if "selected" in each}
        assert chosen == {team["id"], "me"}
        files = [link["href"] for link in page.all("a") if "download" in link]
        assert len(files) == len(asking.TABLES)
        for file in files:
            assert file is not None
            assert file.endswith(f".csv?days=90&team_id={team['id']}&assigned_to=me")
            assert (await client.get(file)).status_code == 200
        assert (await client.get("/insight?days=30&team_id=&assigned_to=")).status_code == 200
        gone = await client.get("/insight?assigned_to=019aa4ae-5f0c-7cc2-8d6e-0a3f5b1c9e70")
        assert "0 tickets were created" in gone.text
        for wrong in ("days=0", "days=x", "team_id=x", "assigned_to=x", "other=1"):
            refused = await client.get(f"/insight?{wrong}")
            assert refused.status_code == 400, wrong
            assert "<h1>" in refused.text


async def test_files_are_for_spreadsheets_and_hold_no_formulas(
    served: Edge, database: Database
) -> None:
    await arranged(served, database)
    async with visitor(served) as client:
        await sign_in(client)
        answer = await client.get("/insight/teams.csv?days=7")
        assert (await client.get("/insight/teams.xlsx")).status_code == 404
        assert (await client.get("/insight/nothing.csv")).status_code == 404
        assert (await client.get("/insight/teams")).status_code == 404

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    disposition = answer.headers["content-disposition"]
    assert re.fullmatch(
        r'attachment; filename="pullse-teams-[\d-]{10}-[\d-]{10}\.csv"', disposition
    )
    assert answer.content.startswith(b"\xef\xbb\xbfteam_id,team,created")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
    assert [row["team"] for row in rows] == [f"'{FORMULA}", ""]
    assert rows[0]["resolved"] == "1"
    assert rows[1]["resolved_p50_seconds"] == ""


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("  =1", "'  =1"),
        ("\uff1d1", "'\uff1d1"),
        ("Ada = Ben", "Ada = Ben"),
        (-1, -1),
        (None, None),
    ],
)
def test_what_a_spreadsheet_would_run_is_text(cell: Any, written: Any) -> None:
    assert harmless(cell) == written


async def test_while_history_is_read_the_page_says_so(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada")
    async with visitor(served) as client:
        await sign_in(client)
        answer = await client.get("/insight")
        assert "Older history is still being read" in answer.text
        await catch_up(database)
        answer = await client.get("/insight")
        assert "Older history" not in answer.text
        assert "Nothing is open. Well done." in answer.text


async def test_in_german_it_is_german(served: Edge, database: Database) -> None:
    await arranged(served, database)
    async with visitor(served, **{"Accept-Language": "de"}) as client:
        await sign_in(client)
        answer: httpx.Response = await client.get("/insight?days=366")
    assert "<h1>Auswertung</h1>" in answer.text
    assert "Eröffnet und gelöst pro Woche" in answer.text
