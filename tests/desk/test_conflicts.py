"""Two people change one ticket: what nobody else touched goes through, and nothing is lost."""

import asyncio
from typing import Any

import pytest

from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.sign_in import hire_with_password
from tests.api.calls import facts
from tests.desk.desk import at_desk, changed, chosen, entries, now, opened, seen, written
from tests.web.visiting import led_to, parsed, send

AT = "/tickets/1/changes"


@pytest.fixture
async def people(database: Database) -> tuple[Any, Any]:
    """Ada and Ben."""
    return await hire_with_password(database, "Ada"), await hire_with_password(database, "Ben")


async def test_fields_that_nobody_else_touched_go_through(
    served: Edge, people: tuple[Any, Any]
) -> None:
    ticket = await opened(served)
    async with at_desk(served) as ada, at_desk(served, "Ben") as ben:
        await changed(ben, ticket, title="Help me", priority="high")
        form = {
            "version": 1,
            "status": "resolved",
            "priority": "low",
            "assigned_to": people[0],
            "team_id": "none",
        }
        assert led_to(await send(ada, AT, form)) == "/tickets/1?done=changed"
    found = await now(served, ticket)
    assert (found["title"], found["priority"]) == ("Help me", "high")
    assert (found["status"], found["assigned_to"]) == ("resolved", str(people[0]))


async def test_one_field_that_both_changed_is_shown_with_both(
    served: Edge, people: tuple[Any, Any]
) -> None:
    ticket = await opened(served)
    async with at_desk(served) as ada, at_desk(served, "Ben") as ben:
        await changed(ben, ticket, title="Ben's title")
        form = {"version": 1, "title": "Ada's title", "description": "It broke."}
        page = await send(ada, AT, form)
        assert page.status_code == 409
        assert "Ben changed the title while you wrote" in seen(page)
        assert parsed(page).field("title")["value"] == "Ada's title"
        assert "Ben's title" in seen(page)
        radios = [
            each["value"] for each in parsed(page).all("input") if each.get("type") == "radio"
        ]
        assert radios == ["yours", "theirs", "merged"]
        assert (await now(served, ticket))["title"] == "Ben's title"


@pytest.mark.parametrize(
    ("take", "title"),
    [("yours", "Ada's title"), ("theirs", "Ben's title"), ("merged", "Both titles")],
)
async def test_all_three_choices_do_what_they_say(
    take: str, title: str, served: Edge, people: tuple[Any, Any]
) -> None:
    ticket = await opened(served)
    async with at_desk(served) as ada, at_desk(served, "Ben") as ben:
        await changed(ben, ticket, title="Ben's title")
        form: dict[str, Any] = {"version": 2, "title": "Ada's title", "take_title": take}
        answer = await send(ada, AT, form | {"merged_title": "Both titles"})
        assert led_to(answer).startswith("/tickets/1?done=")
    assert (await now(served, ticket))["title"] == title


async def test_a_choice_is_asked_for_again_when_it_is_late_too(
    served: Edge, people: tuple[Any, Any]
) -> None:
    ticket = await opened(served)
    async with at_desk(served) as ada, at_desk(served, "Ben") as ben:
        await changed(ben, ticket, title="Ben's title")
        await changed(ben, ticket, title="Ben's other title")
        form = {"version": 2, "title": "Ada's title", "take_title": "yours"}
        page = await send(ada, AT, form)
        assert page.status_code == 409
        assert "Ben's other title" in seen(page)


async def test_what_does_not_collide_is_saved_beside_what_does(
    served: Edge, people: tuple[Any, Any]
) -> None:
    ticket = await opened(served, description="a\nb\nc")
    async with at_desk(served) as ada, at_desk(served, "Ben") as ben:
        await changed(ben, ticket, title="Ben's title")
        form = {"version": 1, "title": "Ada's title", "description": "a\r\nB\r\nc"}
        page = await send(ada, AT, form)
        assert page.status_code == 409
        assert "All the rest is saved" in seen(page)
        found = await now(served, ticket)
        assert (found["title"], found["description"]) == ("Ben's title", "a\nB\nc")
        assert parsed(page).all("textarea") == []
        again = await send(ada, AT, form)
        assert again.status_code == 409
        assert await now(served, ticket) == found


async def test_descriptions_go_together_by_lines(served: Edge, people: tuple[Any, Any]) -> None:
    ticket = await opened(served, description="one\ntwo\nthree\nfour")
    async with at_desk(served) as ada, at_desk(served, "Ben") as ben:
        await changed(ben, ticket, description="ONE\ntwo\nthree\nfour")
        form = {"version": 1, "title": "Help", "description": "one\r\ntwo\r\nthree\r\nFOUR"}
        page = await send(ada, AT, form)
        assert page.status_code == 409
        assert written(page, "merged_description") == "ONE\ntwo\nthree\nFOUR"
        (checked,) = [each for each in parsed(page).all("input") if "checked" in each]
        assert checked["value"] == "merged"
        form = {
            "version": 2,
            "description": form["description"],
            "take_description": "merged",
            "merged_description": written(page, "merged_description").replace("\n", "\r\n"),
        }
        assert led_to(await send(ada, AT, form)) == "/tickets/1?done=changed"
    assert (await now(served, ticket))["description"] == "ONE\ntwo\nthree\nFOUR"


async def test_lines_that_both_changed_are_marked_with_names(
    served: Edge, people: tuple[Any, Any]
) -> None:
    ticket = await opened(served, description="one\ntwo")
    async with at_desk(served) as ada, at_desk(served, "Ben") as ben:
        await changed(ben, ticket, description="one\nTWO")
        page = await send(ada, AT, {"version": 1, "title": "Help", "description": "one\r\n2"})
        expected = "one\n<<<<<<< Yours\n2\n=======\nTWO\n>>>>>>> Ben"
        assert written(page, "merged_description") == expected
        assert not [each for each in parsed(page).all("input") if "checked" in each]


@pytest.mark.parametrize(
    ("field", "base", "bens", "adas"),
    [
        ("status", "open", "resolved", "closed"),
        ("priority", "low", "high", "urgent"),
        ("assigned_to", "none", "{ben}", "{ada}"),
    ],
)
async def test_choices_collide_too(
    field: str, base: str, bens: str, adas: str, served: Edge, people: tuple[Any, Any]
) -> None:
    ticket = await opened(served)
    mine, his = adas.format(ada=people[0]), bens.format(ben=people[1], ada="")
    async with at_desk(served) as ada, at_desk(served, "Ben") as ben:
        await changed(ben, ticket, **{field: his})
        page = await send(ada, AT, {"version": 1, field: mine})
        assert page.status_code == 409
        assert chosen(page, f"merged_{field}") == mine
        form = {"version": 2, field: mine, f"take_{field}": "yours"}
        assert led_to(await send(ada, AT, form)) == "/tickets/1?done=changed"
    assert (await now(served, ticket))[field] == mine


async def test_the_same_change_of_both_is_no_conflict(
    served: Edge, people: tuple[Any, Any], database: Database
) -> None:
    ticket = await opened(served)
    async with at_desk(served) as ada, at_desk(served, "Ben") as ben:
        await changed(ben, ticket, status="closed")
        answer = await send(ada, AT, {"version": 1, "status": "closed"})
        assert led_to(answer) == "/tickets/1?done=nothing"
    assert len(await facts(database, ticket)) == 2


async def test_a_field_that_was_changed_and_changed_back_is_free(
    served: Edge, people: tuple[Any, Any]
) -> None:
    ticket = await opened(served)
    async with at_desk(served) as ada, at_desk(served, "Ben") as ben:
        await changed(ben, ticket, title="Another")
        await changed(ben, ticket, title="Help")
        answer = await send(ada, AT, {"version": 1, "title": "Mine", "description": "It broke."})
        assert led_to(answer) == "/tickets/1?done=changed"
    assert (await now(served, ticket))["title"] == "Mine"


async def test_a_form_that_is_sent_twice_changes_once(
    served: Edge, people: tuple[Any, Any], database: Database
) -> None:
    ticket = await opened(served)
    form = {"version": 1, "title": "Mine", "description": "Both\r\nlines"}
    async with at_desk(served) as ada:
        answers = await asyncio.gather(*(send(ada, AT, form) for _ in range(4)))
        assert {each.status_code for each in answers} == {303}
        assert led_to(await send(ada, AT, form)) == "/tickets/1?done=nothing"
    assert len(await facts(database, ticket)) == 2
    assert (await now(served, ticket))["description"] == "Both\nlines"


async def test_the_ends_of_lines_that_browsers_send_change_nothing(
    served: Edge, people: tuple[Any, Any]
) -> None:
    ticket = await opened(served, "Two\nlines", description="a\r\nb\nc\rd")
    async with at_desk(served) as ada:
        form = {"version": 1, "title": "Twolines", "description": "a\r\nb\r\nc\r\nd"}
        assert led_to(await send(ada, AT, form)) == "/tickets/1?done=nothing"
    assert (await now(served, ticket))["version"] == 1


async def test_what_was_written_into_a_ticket_that_is_deleted_stays(
    served: Edge, people: tuple[Any, Any]
) -> None:
    ticket = await opened(served)
    async with at_desk(served) as ada, at_desk(served, "Ben") as ben:
        await ben.delete(f"/api/tickets/{ticket['id']}")
        form = {"version": 1, "title": "Mine", "description": "My text"}
        page = await send(ada, AT, form)
        assert page.status_code == 409
        assert "has been moved to the trash" in seen(page)
        assert written(page, "description") == "My text"
        assert "Restore and save" in seen(page)
        answer = await send(ada, AT, form | {"do": "restore"})
        assert led_to(answer) == "/tickets/1?done=changed"
    found = await now(served, ticket)
    assert (found["title"], found["description"]) == ("Mine", "My text")


async def test_many_steps_later_it_is_still_known_what_was_read(
    served: Edge, people: tuple[Any, Any]
) -> None:
    """More than the 50 that the API tells of."""
    ticket = await opened(served)
    async with at_desk(served) as ada, at_desk(served, "Ben") as ben:
        await changed(ben, ticket, title="Ben's title")
        for number in range(60):
            await changed(ben, ticket, priority="high" if number % 2 else "urgent")
        page = await send(ada, AT, {"version": 1, "title": "Mine", "description": "It broke."})
        assert page.status_code == 409
        assert "Ben changed the title" in seen(page)
        assert len(entries(page)) == 50


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "version"),
        ({"version": "x"}, "version"),
        ({"version": "-1"}, "version"),
        ({"version": "99"}, "version"),
        ({"version": "9" * 40}, "version"),
        ({"version": 1, "title": ""}, "title"),
        ({"version": 1, "title": " "}, "title"),
        ({"version": 1, "title": "x" * 301}, "title"),
        ({"version": 1, "title": "a\0b"}, "title"),
        ({"version": 1, "description": ""}, "description"),
        ({"version": 1, "description": "x" * 100_001}, "description"),
        ({"version": 1, "status": "lost"}, "status"),
        ({"version": 1, "priority": "extreme"}, "priority"),
        ({"version": 1, "assigned_to": "ada"}, "assigned_to"),
        ({"version": 1, "assigned_to": "00000000-0000-0000-0000-000000000000"}, "assigned_to"),
        ({"version": 1, "team_id": "00000000-0000-0000-0000-000000000000"}, "team_id"),
        ({"version": 1, "take_title": "his"}, "take_title"),
        ({"version": 1, "id": "x"}, "id"),
    ],
    ids=str,
)
async def test_what_does_not_fit_is_refused(
    fields: dict[str, Any], field: str, served: Edge, people: tuple[Any, Any], database: Database
) -> None:
    ticket = await opened(served)
    async with at_desk(served) as ada:
        page = await send(ada, AT, fields)
        assert page.status_code == 400
        assert "Help" in seen(page)
        if field in ("title", "description"):
            assert f'id="{field}-problem"' in page.text
        else:
            assert 'role="alert"' in page.text
    assert len(await facts(database, ticket)) == 1
