"""What happened to a ticket, in words; undone where that can be; found again by its link."""

import re
from typing import Any
from uuid import uuid4

import pytest

from pullse.desk.timeline import reading
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.people import calling, give, hire, run
from tests.access.sign_in import hire_with_password
from tests.api.calls import Body, facts
from tests.desk.desk import at_desk, changed, entries, now, opened, seen, undoable
from tests.teams.calls import new_team
from tests.web.visiting import Parsed, led_to, parsed, send

AT = "/tickets/1"


@pytest.fixture
async def people(database: Database) -> tuple[Any, Any]:
    """Ada and Ben."""
    return await hire_with_password(database, "Ada"), await hire_with_password(database, "Ben")


async def test_every_change_is_told_in_words(served: Edge, people: tuple[Any, Any]) -> None:
    ada_id, ben_id = map(str, people)
    ticket = await opened(served)
    async with at_desk(served) as ada, calling(served) as operator:
        team = await new_team(operator, "Billing")
        await changed(ada, ticket, status="in_progress", priority="urgent")
        await changed(ada, ticket, assigned_to=ben_id)
        await changed(ada, ticket, assigned_to=None)
        await changed(ada, ticket, assigned_to=ada_id)
        await changed(ada, ticket, assigned_to=None)
        await changed(ada, ticket, team_id=team["id"])
        await changed(ada, ticket, team_id=None)
        await changed(ada, ticket, title="Help me", description="It broke again.")
        await ada.delete("/api/tickets/1")
        await ada.post("/api/tickets/1/restore")
        assert entries(await ada.get(AT)) == [
            "The operator's token created this ticket",
            "Ada set status to In progress, from Open",
            "Ada set priority to Urgent, from Low",
            "Ada assigned this ticket to Ben",
            "Ada took this ticket from Ben",
            "Ada took this ticket",
            "Ada gave this ticket back",
            "Ada gave this ticket to the team Billing",
            "Ada took this ticket out of the team Billing",
            "Ada changed the title from Help to Help me",
            "Ada changed the description",
            "Ada moved this ticket to the trash",
            "Ada took this ticket out of the trash",
        ]


@pytest.mark.parametrize("language", ["de", "en"])
async def test_it_is_told_in_the_language_of_who_reads(
    language: str, served: Edge, people: tuple[Any, Any]
) -> None:
    ticket = await opened(served)
    async with at_desk(served, **{"Accept-Language": language}) as ada:
        await changed(ada, ticket, priority="urgent")
        said = entries(await ada.get(AT))[1]
    german = "Ada hat die Priorität auf Dringend gesetzt, vorher Niedrig"
    assert said == {"de": german, "en": "Ada set priority to Urgent, from Low"}[language]


@pytest.mark.parametrize(
    ("actor", "name"),
    [
        ("owner", "The local owner"),
        ("operator", "The operator"),
        ("token", "The operator's token"),
        ("system", "pullse"),
        ("demo", "The demo story"),
        ("anonymous", "Somebody unknown"),
        ("bot:7", "Somebody"),
        ("agent:", "Somebody"),
        ("agent:019aa4ae-5f0c-7cc2-8d6e-0a3f5b1c9e70", "Somebody"),
        ("agent:<script>", "Somebody"),
    ],
)
async def test_whoever_did_it_has_a_name(
    actor: str, name: str, served: Edge, people: tuple[Any, Any], database: Database
) -> None:
    await opened(served)
    await run(database, "UPDATE events SET actor = $1", actor)
    async with at_desk(served) as ada:
        assert entries(await ada.get(AT)) == [f"{name} created this ticket"]


async def test_services_and_those_who_left_are_named(
    served: Edge, people: tuple[Any, Any], database: Database
) -> None:
    token = await give(database, role="agent")
    zoe = await hire(database, "Zoe")
    async with at_desk(served) as ada, calling(served, token) as service, calling(served) as op:
        await service.post("/api/tickets", json={"title": "Help", "description": "It broke."})
        ticket: Body = (await op.get("/api/tickets/1")).json()["data"]
        await changed(ada, ticket, assigned_to=str(zoe))
        await op.delete(f"/api/agents/{zoe}")
        page = await ada.get(AT)
        assert entries(page) == [
            "A token (API token) created this ticket",
            "Ada assigned this ticket to Zoe (has left)",
            "The operator's token took this ticket from Zoe (has left)",
        ]
        assert undoable(page) == []


async def test_a_team_that_is_gone_is_named_still(
    served: Edge, people: tuple[Any, Any], database: Database
) -> None:
    ticket = await opened(served)
    async with at_desk(served) as ada, calling(served) as operator:
        team = await new_team(operator, "Billing")
        await changed(ada, ticket, team_id=team["id"])
        await changed(ada, ticket, team_id=None)
        assert (await operator.delete(f"/api/teams/{team['id']}")).status_code == 200
        page = await ada.get(AT)
        assert entries(page)[1:] == [
            "Ada gave this ticket to the team Billing",
            "Ada took this ticket out of the team Billing",
        ]
        assert undoable(page) == []


async def test_a_private_team_is_named_to_its_members_alone(
    served: Edge, people: tuple[Any, Any], database: Database
) -> None:
    ticket = await opened(served)
    async with at_desk(served) as ada, at_desk(served, "Ben") as ben, calling(served) as operator:
        team = await new_team(operator, "Redundancies", is_private=True)
        await operator.put(f"/api/teams/{team['id']}/members/{people[0]}")
        await changed(ada, ticket, team_id=team["id"])
        assert (await ben.get(AT)).status_code == 404
        assert (await ben.get(f"/tickets/{ticket['id']}")).status_code == 404
        await changed(ada, ticket, team_id=None)
        assert entries(await ada.get(AT))[1].endswith("to the team Redundancies")
        assert entries(await ben.get(AT))[1:] == [
            "Ada gave this ticket to a private team",
            "Ada took this ticket out of a private team",
        ]


async def test_a_change_is_undone_in_one_press(
    served: Edge, people: tuple[Any, Any], database: Database
) -> None:
    ticket = await opened(served, status="open", description="Old")
    async with at_desk(served) as ada:
        await changed(ada, ticket, status="closed", description="New", title="Other")
        (fact,) = undoable(await ada.get(AT))
        answer = await send(ada, f"{AT}/undo", {"fact": fact})
        assert led_to(answer) == f"{AT}?done=undone"
        found = await now(served, ticket)
        assert (found["status"], found["description"], found["title"]) == ("open", "Old", "Help")
        assert len(await facts(database, ticket)) == 3
        again = await send(ada, f"{AT}/undo", {"fact": fact})
        assert led_to(again) == f"{AT}?done=undone"
        assert len(await facts(database, ticket)) == 3
        back = undoable(await ada.get(AT))
        assert led_to(await send(ada, f"{AT}/undo", {"fact": back[-1]})) == f"{AT}?done=undone"
    assert (await now(served, ticket))["description"] == "New"


async def test_a_change_that_somebody_changed_again_is_not_undone(
    served: Edge, people: tuple[Any, Any], database: Database
) -> None:
    ticket = await opened(served)
    async with at_desk(served) as ada, at_desk(served, "Ben") as ben:
        await changed(ada, ticket, status="closed", priority="high")
        (fact,) = undoable(await ada.get(AT))
        await changed(ben, ticket, status="resolved")
        page = await ada.get(AT)
        assert undoable(page) != [fact]
        answer = await send(ada, f"{AT}/undo", {"fact": fact})
        assert answer.status_code == 409
        assert "has been changed again since" in seen(answer)
    found = await now(served, ticket)
    assert (found["status"], found["priority"]) == ("resolved", "high")


async def test_other_fields_may_change_meanwhile(served: Edge, people: tuple[Any, Any]) -> None:
    ticket = await opened(served)
    async with at_desk(served) as ada, at_desk(served, "Ben") as ben:
        await changed(ada, ticket, status="closed")
        (fact,) = undoable(await ada.get(AT))
        await changed(ben, ticket, priority="urgent")
        assert led_to(await send(ada, f"{AT}/undo", {"fact": fact})) == f"{AT}?done=undone"
    found = await now(served, ticket)
    assert (found["status"], found["priority"]) == ("open", "urgent")


async def test_the_key_undoes_ones_own_last_change(served: Edge, people: tuple[Any, Any]) -> None:
    ticket = await opened(served)
    async with at_desk(served) as ada, at_desk(served, "Ben") as ben:
        await changed(ada, ticket, priority="high")
        await changed(ada, ticket, status="closed")
        await changed(ben, ticket, title="Ben's")

        async def keyed(client: Any) -> list[int]:
            page = (await client.get(AT)).text
            forms = re.findall(r"<form[^>]*/undo.*?</form>", page, re.S)
            return [
                int(re.search(r'value="(\d+)"', form)[1])  # type: ignore[index]
                for form in forms
                if 'data-key="u"' in form
            ]

        all_of_them = undoable(await ada.get(AT))
        assert await keyed(ada) == [all_of_them[1]]
        assert await keyed(ben) == [all_of_them[2]]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 400),
        ({"fact": "x"}, 400),
        ({"fact": "9" * 40}, 400),
        ({"fact": "999999"}, 404),
        ({"fact": "1"}, 400),
    ],
    ids=str,
)
async def test_what_is_no_change_is_not_undone(
    fields: dict[str, str], status: int, served: Edge, people: tuple[Any, Any], database: Database
) -> None:
    await opened(served)
    async with at_desk(served) as ada:
        assert (await send(ada, f"{AT}/undo", fields)).status_code == status
    assert len(await facts(database)) == 1


async def test_a_fact_of_another_ticket_is_not_there(
    served: Edge, people: tuple[Any, Any], database: Database
) -> None:
    await opened(served)
    other = await opened(served)
    async with at_desk(served) as ada:
        await changed(ada, other, status="closed")
        (fact,) = undoable(await ada.get("/tickets/2"))
        assert (await send(ada, f"{AT}/undo", {"fact": fact})).status_code == 404
        assert (await ada.get(f"{AT}/facts/{fact}")).status_code == 404
        assert (await ada.get(f"/tickets/2/facts/{fact}")).status_code == 200


async def test_what_a_change_did_to_the_text_is_shown_on_demand(
    served: Edge, people: tuple[Any, Any]
) -> None:
    lines = [f"line {number}" for number in range(20)]
    ticket = await opened(served, description="\n".join(lines))
    lines[10] = "line ten <b>"
    async with at_desk(served) as ada:
        await changed(ada, ticket, description="\n".join(lines))
        page = await ada.get(AT)
        (link,) = [each for each in parsed(page).all("a") if "data-diff" in each]
        for address in (str(link["href"]), f"{link['href']}?fragment=diff"):
            shown = (await ada.get(address)).text
            assert re.findall("<(?:del|ins)>.*?</(?:del|ins)>", shown) == [
                "<del>10</del>",
                "<ins>ten &lt;b&gt;</ins>",
            ]
            assert "8 lines are the same" in shown
            assert "line 7" not in shown
        assert (await ada.get(f"{link['href']}?fragment=x")).status_code == 400
        assert (await ada.get(f"{AT}/facts/x")).status_code == 404


async def long_history(served: Edge, database: Database, count: int) -> Body:
    """As many facts of priorities that went up and down, the last of them urgent."""
    ticket = await opened(served)
    await run(
        database,
        """
        INSERT INTO events (tx, name, ticket_id, actor, data)
             SELECT tx, 'ticket.changed', ticket_id, 'owner',
                    jsonb_build_object('version', n + 1, 'changes', jsonb_build_object('priority',
                        CASE WHEN n % 2 = 0 THEN '["low", "urgent"]'::jsonb
                             ELSE '["urgent", "low"]' END))
               FROM events, generate_series(1, $1::integer) AS n
        """,
        count,
    )
    version = count + 1
    await run(database, "UPDATE tickets SET priority = 'urgent', version = $1", version)
    return ticket


def ids(html: str) -> list[int]:
    return [int(each) for each in re.findall(r'<li id="fact-(\d+)"', html)]


def way(page: str, which: str) -> str:
    """Where "show earlier" or "show later" leads to."""
    found = re.search(rf'data-more="{which}"><a[^>]* href="([^"#]*)', page)
    assert found, which
    return found[1].replace("&amp;", "&")


async def test_a_long_history_is_read_page_by_page(
    served: Edge, people: tuple[Any, Any], database: Database
) -> None:
    await long_history(served, database, 120)
    async with at_desk(served) as ada:
        page = (await ada.get(AT)).text
        found = ids(page)
        assert len(found) == reading.ON_A_PAGE
        assert found == sorted(found)
        assert 'data-more="later"' not in page
        pages = [found]
        while 'data-more="earlier"' in page:
            page = (await ada.get(way(page, "earlier"))).text
            pages.insert(0, ids(page))
        assert sum(map(len, pages)) == 121
        assert [each for page in pages for each in page] == list(range(1, 122))
        page = (await ada.get(way(page, "later"))).text
        assert ids(page) == pages[1] + pages[2][: len(ids(page)) - len(pages[1])]
        piece = await ada.get(f"{AT}?fragment=timeline")
        assert "<html" not in piece.text
        assert ids(piece.text) == pages[-1]


async def test_a_link_to_a_change_is_followed_wherever_it_is(
    served: Edge, people: tuple[Any, Any], database: Database
) -> None:
    await long_history(served, database, 200)
    async with at_desk(served) as ada:
        for fact in (1, 70, 201):
            page = (await ada.get(f"{AT}?fact={fact}")).text
            assert fact in ids(page)
            pointed = [
                attributes["id"]
                for tag, attributes in Parsed(page).tags
                if "data-pointed" in attributes
            ]
            assert pointed == [f"fact-{fact}"]
        newest = ids((await ada.get(AT)).text)
        assert ids((await ada.get(f"{AT}?fact=99999999")).text) == newest
        for query in ("fact=x", "fact=0", "before=1", "before=x.y", "after=1.x", "after=-1.1"):
            assert (await ada.get(f"{AT}?{query}")).status_code == 400, query


async def test_kinds_without_words_are_left_out(
    served: Edge, people: tuple[Any, Any], database: Database
) -> None:
    ticket = await opened(served)
    await run(
        database,
        "INSERT INTO events (name, ticket_id, actor) VALUES ('ticket.sung', $1, 'owner')",
        ticket["id"],
    )
    async with at_desk(served) as ada:
        assert len(entries(await ada.get(AT))) == 1


async def test_a_history_of_large_texts_is_a_small_page(
    served: Edge, people: tuple[Any, Any]
) -> None:
    ticket = await opened(served)
    async with at_desk(served) as ada:
        for letter in "abcdefgh":
            await changed(ada, ticket, description=letter * 90_000)
        await changed(ada, ticket, description="Short again.")
        page = await ada.get(AT)
        assert len(page.content) < 60_000
        assert len(entries(page)) == 10


async def test_names_are_text(served: Edge, database: Database) -> None:
    name = '<img src=x onerror="alert(1)">'
    await hire_with_password(database, "Ada")
    await run(database, "UPDATE agents SET name = $1", name)
    ticket = await opened(served)
    async with at_desk(served) as ada:
        await changed(ada, ticket, title=name)
        page = await ada.get(AT)
        assert "<img" not in page.text
        assert entries(page)[1] == f"{name} changed the title from Help to {name}"


async def test_who_may_only_read_sees_no_undo(served: Edge, database: Database) -> None:
    ada = await hire_with_password(database, "Ada", "read_only")
    ticket = await opened(served)
    async with at_desk(served) as client, calling(served) as operator:
        await changed(operator, ticket, assigned_to=str(ada))
        page = await client.get(AT)
        assert undoable(page) == []
        assert "/tickets/" not in " ".join(
            str(each.get("action")) for each in parsed(page).all("form")
        )
        for path in ("undo", "changes", "delete", "restore"):
            assert (await send(client, f"{AT}/{path}", {"fact": 2})).status_code == 403
        assert (await client.get(f"/tickets/{uuid4()}")).status_code == 404
