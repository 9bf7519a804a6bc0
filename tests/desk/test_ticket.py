"""The page of one ticket: what it shows to whom, the trash, the list around it, what it costs."""

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest

from pullse.desk import ticket_queries
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.people import calling, hire, run
from tests.access.sign_in import hire_with_password
from tests.api.calls import facts
from tests.api.test_statements import statements
from tests.desk.desk import at_desk, changed, chosen, entries, now, opened, own, seen, written
from tests.teams.calls import new_team
from tests.web.visiting import led_to, parsed, send

__all__ = ["statements"]

AT = "/tickets/1"

NOBODYS = "0198f3a2-7c11-7d3e-9f6b-2d8e7c5a1b04"
"""An id of nothing."""


@pytest.fixture(autouse=True)
async def ada(database: Database) -> Any:
    return await hire_with_password(database, "Ada")


async def test_it_shows_the_ticket(served: Edge, ada: Any) -> None:
    ticket = await opened(
        served, "The <lamp>", description="It **broke**.", priority="high", assigned_to=str(ada)
    )
    async with at_desk(served) as client:
        page = await client.get(AT)
        assert page.status_code == 200
        assert "<title>#1 The &lt;lamp&gt;" in page.text
        assert "<strong>broke</strong>" in page.text
        assert (chosen(page, "status"), chosen(page, "priority")) == ("open", "high")
        assert (chosen(page, "assigned_to"), chosen(page, "team_id")) == (str(ada), "none")
        assert f'data-ticket="{ticket["id"]}"' in page.text
        assert 'data-number="1"' in page.text
        assert 'data-version="1"' in page.text
        keys = set(re.findall(r'data-key="(\w)"', page.text))
        assert {"s", "p", "a", "t", "e"} <= keys


async def test_an_id_leads_on_to_the_number(served: Edge) -> None:
    ticket = await opened(served)
    async with at_desk(served) as client:
        assert led_to(await client.get(f"/tickets/{ticket['id']}")) == AT
        answer = await client.get(f"/tickets/{ticket['id']}?fact=1&list=status%3Dopen")
        assert led_to(answer) == f"{AT}?fact=1&list=status%3Dopen"


@pytest.mark.parametrize(
    "path",
    ["2", "0", "99999999999999999999", "x", "-1", "1.0", "%00", "1%20", "..%2f1", NOBODYS],
)
async def test_what_is_not_there_is_a_page_that_says_so(path: str, served: Edge) -> None:
    await opened(served)
    async with at_desk(served) as client:
        for answer in (
            await client.get(f"/tickets/{path}"),
            await send(client, f"/tickets/{path}/changes", {"version": 1, "status": "closed"}),
            await send(client, f"/tickets/{path}/delete", {"version": 1}),
            await send(client, f"/tickets/{path}/restore"),
            await send(client, f"/tickets/{path}/undo", {"fact": 1}),
            await client.get(f"/tickets/{path}/facts/1"),
        ):
            assert answer.status_code == 404, answer.url
            assert "<h1>" in answer.text


@pytest.mark.parametrize(
    "query",
    ["x=1", "edit=all", "done=<script>", "fragment=page", "fact=1&fact=2", f"list={'a' * 4001}"],
)
async def test_an_address_that_makes_no_sense_is_refused(query: str, served: Edge) -> None:
    await opened(served)
    async with at_desk(served) as client:
        answer = await client.get(f"{AT}?{query}")
        assert answer.status_code == 400
        assert "<script>" not in answer.text


async def test_a_ticket_of_a_private_team_is_for_its_members(served: Edge, ada: Any) -> None:
    async with at_desk(served) as client, calling(served) as operator:
        team = await new_team(operator, "People", is_private=True)
        ticket = await opened(served, team_id=team["id"])
        for path in (AT, f"/tickets/{ticket['id']}", f"{AT}/facts/1", f"{AT}?fragment=parts"):
            assert (await client.get(path)).status_code == 404
        for path, fields in (
            ("changes", {"version": 1, "status": "closed"}),
            ("delete", {"version": 1}),
            ("restore", {}),
            ("undo", {"fact": 1}),
        ):
            assert (await send(client, f"{AT}/{path}", fields)).status_code == 404
        await operator.put(f"/api/teams/{team['id']}/members/{ada}")
        served.services.forget()
        page = await client.get(AT)
        assert chosen(page, "team_id") == team["id"]
    assert (await now(served, ticket))["version"] == 1


async def test_who_may_not_see_a_ticket_is_not_offered_for_it(served: Edge, ada: Any) -> None:
    await hire_with_outsider(served)
    async with at_desk(served) as client, calling(served) as operator:
        team = await new_team(operator, "People", is_private=True)
        await operator.put(f"/api/teams/{team['id']}/members/{ada}")
        await opened(served)
        await opened(served, team_id=team["id"])
        served.services.forget()
        assert "Olga" in (await client.get(AT)).text
        assert "Olga" not in (await client.get("/tickets/2")).text


async def hire_with_outsider(served: Edge) -> None:
    await hire(served.services.database, "Olga")


async def test_text_is_edited_with_a_look_before(served: Edge) -> None:
    ticket = await opened(served, description="Old\nlines")
    async with at_desk(served) as client:
        page = await client.get(f"{AT}?edit=text")
        assert parsed(page).field("title")["value"] == "Help"
        assert written(page, "description") == "Old\nlines"
        form = {"version": 1, "title": "New", "description": "\r\nIt *broke*.", "do": "preview"}
        page = await send(client, f"{AT}/changes", form)
        assert page.status_code == 200
        assert "<em>broke</em>" in page.text
        assert written(page, "description") == "\nIt *broke*."
        assert parsed(page).field("title")["value"] == "New"
        assert (await now(served, ticket))["title"] == "Help"
        answer = await send(client, f"{AT}/changes", form | {"do": "save"})
        assert led_to(answer) == f"{AT}?done=changed"
    found = await now(served, ticket)
    assert (found["title"], found["description"]) == ("New", "\nIt *broke*.")


async def test_a_preview_keeps_the_version_that_was_read(served: Edge) -> None:
    ticket = await opened(served)
    async with at_desk(served) as client, calling(served) as operator:
        await changed(operator, ticket, title="Theirs")
        form = {"version": 1, "title": "Mine", "description": "It broke.", "do": "preview"}
        page = await send(client, f"{AT}/changes", form)
        assert parsed(page).field("title")["value"] == "Mine"
        assert re.search(r'<input name="version" value="1"', page.text)


async def test_to_the_trash_and_back(served: Edge, database: Database) -> None:
    ticket = await opened(served)
    async with at_desk(served) as client:
        assert led_to(await send(client, f"{AT}/delete", {"version": 1})) == f"{AT}?done=deleted"
        assert led_to(await send(client, f"{AT}/delete", {"version": 1})) == f"{AT}?done=deleted"
        page = await client.get(AT)
        assert "This ticket is in the trash" in seen(page)
        assert "It broke." in seen(page)
        assert f"{AT}/changes" not in page.text
        assert f"{AT}/restore" in page.text
        assert entries(page)[-1] == "Ada moved this ticket to the trash"
        form = {"version": 2, "status": "closed"}
        answer = await send(client, f"{AT}/changes", form)
        assert answer.status_code == 409
        assert led_to(await send(client, f"{AT}/restore")) == f"{AT}?done=restored"
        assert led_to(await send(client, f"{AT}/restore")) == f"{AT}?done=restored"
        assert f"{AT}/changes" in (await client.get(AT)).text
    names = [each.name for each in await facts(database, ticket)]
    assert names == ["ticket.created", "ticket.deleted", "ticket.restored"]


async def test_what_has_changed_is_looked_at_before_it_is_deleted(served: Edge) -> None:
    ticket = await opened(served)
    async with at_desk(served) as client, calling(served) as operator:
        await changed(operator, ticket, title="Urgent: Help")
        page = await send(client, f"{AT}/delete", {"version": 1})
        assert page.status_code == 412
        assert "has changed since you looked" in seen(page)
        assert "Urgent: Help" in seen(page)
        assert led_to(await send(client, f"{AT}/delete", {"version": 2})) == f"{AT}?done=deleted"


async def test_one_goes_through_the_list_that_one_came_from(served: Edge) -> None:
    for number in range(4):
        await opened(served, f"Number {number}", priority="high" if number % 2 else "low")
    async with at_desk(served) as client:
        page = unescape((await client.get("/tickets/2?list=priority%3Dhigh")).text)
        following = re.search(r'href="(/tickets/\d+\?list=[^"]*)" rel="prev" data-key="k"', page)
        assert following
        assert following[1] == "/tickets/4?list=priority%3Dhigh"
        assert 'rel="next"' not in page
        assert 'href="/tickets?priority=high#t2"' in page
        assert '<input type="hidden" name="list" value="priority=high">' in page
        form = {"version": 1, "status": "closed", "list": "priority=high"}
        answer = await send(client, "/tickets/2/changes", form)
        assert led_to(answer) == "/tickets/2?done=changed&list=priority%3Dhigh"
        all_of_them = (await client.get("/tickets/3?list=")).text
        assert 'rel="prev"' in all_of_them
        assert 'rel="next"' in all_of_them
        for nonsense in ("x=y", "%00", "status=lost", "<script>"):
            page = await client.get(f"/tickets/2?list={nonsense}")
            assert page.status_code in (200, 400)
            assert "<script>" not in page.text
        assert 'rel="next"' not in (await client.get("/tickets/2")).text


async def test_parts_come_alone_for_who_has_the_page(served: Edge) -> None:
    await opened(served)
    async with at_desk(served) as client:
        piece = await client.get(f"{AT}?fragment=parts")
        page = await client.get(AT)
        ids = re.findall(r'id="(ticket-\w+)"', piece.text)
        assert ids == re.findall(r'id="(ticket-\w+)"', page.text)
        assert ids == [f"ticket-{each}" for each in PARTS]
        assert "<html" not in piece.text


PARTS = ("head", "properties", "conflict", "text", "timeline")


@pytest.mark.parametrize("count", [1, 60])
async def test_a_page_costs_four_statements_whatever_happened(
    count: int, served: Edge, statements: Callable[..., Any]
) -> None:
    """The ticket, its history, names, choices; its neighbours in a list, one each."""
    ticket = await opened(served)
    async with at_desk(served) as client:
        for number in range(count):
            await changed(client, ticket, priority="high" if number % 2 else "urgent")
        await client.get(AT)
        sent = own(await statements(client.get(f"{AT}?fragment=parts")))
        assert len(sent) == 4, sent
        looked = own(await statements(client.get(f"{AT}?list=status%3Dopen&fragment=parts")))
        assert len(looked) == 6, looked


async def test_a_change_costs_two_statements(served: Edge, statements: Callable[..., Any]) -> None:
    await opened(served)
    async with at_desk(served) as client:
        await client.get(AT)

        async def changing() -> Any:
            answer = await send(client, f"{AT}/changes", {"version": 1, "status": "closed"})
            assert led_to(answer)
            return await client.get(f"{AT}?fragment=parts")

        sent = own(await statements(changing()))
        assert len(sent) == 2 + 4, sent


async def test_many_agents_are_not_all_offered_but_the_present_one_is(
    served: Edge, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoe = await hire(database, "Zoe")
    await opened(served, assigned_to=str(zoe))
    monkeypatch.setattr(ticket_queries.choices, "__defaults__", (1,))
    async with at_desk(served) as client:
        page = await client.get(AT)
        assert chosen(page, "assigned_to") == str(zoe)
        assert "Zoe" in page.text


async def test_very_long_and_foreign_texts_are_shown(served: Edge) -> None:
    await opened(served, "שלום " * 50, description="x" * 100_000)
    await opened(served, "W" * 300, description="🙂" * 50_000)
    async with at_desk(served) as client:
        for path in (AT, "/tickets/2", f"{AT}?edit=text"):
            page = await client.get(path)
            assert page.status_code == 200
            assert 'dir="auto"' in page.text


async def test_a_purged_ticket_is_gone(served: Edge, database: Database) -> None:
    await opened(served)
    await run(database, "DELETE FROM tickets")
    async with at_desk(served) as client:
        assert (await client.get(AT)).status_code == 404
