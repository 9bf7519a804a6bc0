"""Several tickets at once from their list: changed, deleted, restored, and the whole taken back."""

import asyncio
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import httpx
import pytest

from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.people import calling, hire, run
from tests.access.sign_in import hire_with_password
from tests.api.calls import UNKNOWN, Body, facts
from tests.desk.desk import at_desk, changed, now, opened
from tests.desk.test_lists import numbers
from tests.teams.calls import new_team
from tests.web.visiting import led_to, parsed, send

BULK = "/tickets/bulk"
UNDO = "/tickets/undo"


@pytest.fixture
async def ada(database: Database) -> UUID:
    found: UUID = await hire_with_password(database, "Ada")
    return found


def seen(*tickets: Body) -> list[str]:
    return [f"{each['id']}.{each['version']}" for each in tickets]


async def told(client: httpx.AsyncClient, answer: httpx.Response) -> tuple[str, str]:
    """What the next page says, and the receipt that it has."""
    path = led_to(answer)
    page = await client.get(path)
    found = re.search(r'told__text" role="status">(.*?)</p>', page.text, re.S)
    assert found, page.text
    return " ".join(found[1].split()), parse_qs(urlsplit(path).query)["done"][0]


async def do(client: httpx.AsyncClient, *tickets: Body, **fields: Any) -> tuple[str, str]:
    answer = await send(client, BULK, {"ticket": seen(*tickets)} | fields)
    return await told(client, answer)


async def undo(client: httpx.AsyncClient, receipt: str, **fields: Any) -> tuple[str, str]:
    return await told(client, await send(client, UNDO, {"receipt": receipt} | fields))


async def test_several_are_changed_at_once_with_a_fact_each(
    served: Edge, database: Database, ada: UUID
) -> None:
    tickets = [await opened(served) for _ in range(3)]
    other = await opened(served)
    async with at_desk(served) as client:
        fields = {"status": "resolved", "priority": "high", "assigned_to": "me", "list": "q=help"}
        answer = await send(client, BULK, {"ticket": seen(*tickets)} | fields)
        assert led_to(answer).startswith("/tickets?q=help&done=")
        assert (await told(client, answer))[0] == "3 tickets changed."
    for each in tickets:
        found = await now(served, each)
        assert (found["status"], found["priority"]) == ("resolved", "high")
        assert found["assigned_to"] == str(ada)
        *_, last = await facts(database, each)
        assert (last.name, last.actor) == ("ticket.changed", f"agent:{ada}")
    assert (await now(served, other))["version"] == 1
    assert len({fact.request_id for each in tickets for fact in await facts(database, each)}) == 4


async def test_what_is_so_already_is_not_changed_and_said(served: Edge, ada: UUID) -> None:
    one, two = await opened(served), await opened(served, status="closed")
    async with at_desk(served) as client:
        text, _ = await do(client, one, two, status="closed")
        assert text == "1 ticket changed. 1 was so already."
        page = await send(client, BULK, {"ticket": seen(two), "status": "closed"})
        assert (await told(client, page))[0] == "Nothing was changed. 1 was so already."


async def test_nobodys_newer_change_is_overwritten(
    served: Edge, database: Database, ada: UUID
) -> None:
    one, two, three, gone = [await opened(served) for _ in range(4)]
    await hire_with_password(database, "Ben")
    async with at_desk(served) as client, at_desk(served, "Ben") as ben:
        await changed(ben, two, title="Ben was here")
        await ben.delete(f"/api/tickets/{gone['id']}")
        text, _ = await do(client, one, two, three, gone, status="closed")
        assert text == (
            "2 tickets changed. 1 has been changed by somebody else meanwhile and stays as it is."
            " 1 is not there any more."
        )
        assert (await now(served, two))["status"] == "open"
        text, _ = await do(client, two, gone, do="delete")
        assert text.startswith("Nothing was changed. 1 has been changed by somebody else")


async def test_the_whole_is_taken_back_and_again(
    served: Edge, database: Database, ada: UUID
) -> None:
    ben = await hire(database, "Ben")
    one = await opened(served, assigned_to=str(ben), priority="urgent")
    two = await opened(served, status="resolved")
    async with at_desk(served) as client:
        _, receipt = await do(client, one, two, status="closed", assigned_to="none", priority="low")
        text, back = await undo(client, receipt, list="status=closed")
        assert text == "Taken back for 2 tickets."
        found = [await now(served, each) for each in (one, two)]
        assert [each["status"] for each in found] == ["open", "resolved"]
        assert [each["priority"] for each in found] == ["urgent", "low"]
        assert found[0]["assigned_to"] == str(ben)
        text, _ = await undo(client, receipt)
        assert text.startswith("Nothing was changed.")
        await undo(client, back)
        found = [await now(served, each) for each in (one, two)]
        assert [each["status"] for each in found] == ["closed", "closed"]


async def test_what_somebody_has_changed_since_is_not_taken_back(
    served: Edge, database: Database, ada: UUID
) -> None:
    one, two, three = [await opened(served) for _ in range(3)]
    async with at_desk(served) as client:
        _, receipt = await do(client, one, two, three, status="resolved", priority="high")
        await changed(client, one, status="closed", priority="urgent")
        await changed(client, two, priority="low", title="Still here")
        text, _ = await undo(client, receipt)
        assert text.startswith("Taken back for 2 tickets. 1 has been changed by somebody else")
        found = [await now(served, each) for each in (one, two, three)]
        assert [each["status"] for each in found] == ["closed", "open", "open"]
        assert [each["priority"] for each in found] == ["urgent", "low", "low"]
        assert found[1]["title"] == "Still here"


async def test_several_are_deleted_and_come_back(served: Edge, ada: UUID) -> None:
    one, two, three = [await opened(served) for _ in range(3)]
    async with at_desk(served) as client:
        text, receipt = await do(client, one, two, do="delete")
        assert text == "2 tickets moved to the trash."
        assert numbers(await client.get("/tickets")) == [3]
        assert sorted(numbers(await client.get("/trash"))) == [1, 2]
        assert (await undo(client, receipt))[0] == "Taken back for 2 tickets."
        assert numbers(await client.get("/tickets")) == [3, 2, 1]
        three = await changed(client, three, status="closed")
        await client.delete(f"/api/tickets/{three['id']}")
        inputs = parsed(await client.get("/trash")).all("input")
        (value,) = [each["value"] for each in inputs if each.get("name") == "ticket"]
        fields = {"ticket": value, "do": "restore", "list": "trash"}
        answer = await send(client, BULK, fields)
        assert led_to(answer).startswith("/trash?done=")
        text, receipt = await told(client, answer)
        assert text == "1 ticket restored."
        assert (await now(served, three))["status"] == "closed"
        await undo(client, receipt, list="trash")
        assert numbers(await client.get("/trash")) == [3]


async def test_a_receipt_is_ones_own(served: Edge, database: Database, ada: UUID) -> None:
    ticket = await opened(served)
    await hire_with_password(database, "Ben")
    async with at_desk(served) as client, at_desk(served, "Ben") as ben:
        _, receipt = await do(client, ticket, status="closed")
        for text in (receipt, receipt[:-2] + "AA", "A" * 200, "x", "é", "="):
            answer = await send(ben, UNDO, {"receipt": text})
            assert answer.status_code == 400
            assert "can&#x27;t be taken back any more" in answer.text
            assert (await ben.get("/tickets", params={"done": text})).status_code == 200
        assert "told__text" not in (await ben.get("/tickets", params={"done": receipt})).text
        assert (await now(served, ticket))["status"] == "closed"


async def test_a_receipt_is_good_for_a_day(
    served: Edge, ada: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = await opened(served)
    async with at_desk(served) as client:
        _, receipt = await do(client, ticket, status="closed")
        monkeypatch.setattr("pullse.tickets.receipts.GOOD_FOR", -1)
        fields = {"ticket": seen(await now(served, ticket)), "status": "open"}
        late = led_to(await send(client, BULK, fields)).partition("done=")[2]
        assert (await send(client, UNDO, {"receipt": late})).status_code == 400
        assert (await send(client, UNDO, {"receipt": receipt})).status_code == 303


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "This is needed."),
        ({"ticket": "1.1"}, "This does not look right."),
        ({"ticket": [f"{UUID(int=each)}.1" for each in range(201)]}, "At most 200."),
        ({"ticket": f"{UNKNOWN}.1"}, "Choose what is to be changed."),
        ({"ticket": f"{UNKNOWN}.1", "status": "new"}, "There is no"),
        ({"ticket": f"{UNKNOWN}.1", "team_id": "x"}, "This does not look right."),
        ({"ticket": f"{UNKNOWN}.1", "assigned_to": "nobody here"}, "There is no such agent."),
        ({"ticket": f"{UNKNOWN}.1", "do": "burn"}, "There is no"),
        ({"ticket": f"{UNKNOWN}.1", "status": "open", "other": "1"}, "There is no such field."),
    ],
    ids=["none", "id", "many", "nothing", "status", "team", "agent", "do", "other"],
)
async def test_what_can_not_be_is_said_on_the_list_again(
    fields: dict[str, Any], problem: str, served: Edge, ada: UUID
) -> None:
    await opened(served)
    async with at_desk(served) as client:
        answer = await send(client, BULK, fields | {"list": "status=open"})
        assert answer.status_code == 400
        assert problem in parsed(answer).text
        assert numbers_of(answer) == [1]


def numbers_of(answer: httpx.Response) -> list[int]:
    return [int(each) for each in re.findall(r'data-number="(\d+)"', answer.text)]


async def test_what_was_chosen_is_still_chosen_after_a_refusal(served: Edge, ada: UUID) -> None:
    one, _ = await opened(served), await opened(served)
    async with at_desk(served) as client:
        answer = await send(client, BULK, {"ticket": seen(one), "priority": "high", "status": "x"})
        boxes = [each for each in parsed(answer).all("input") if each.get("name") == "ticket"]
        assert ["checked" in each for each in boxes] == [False, True]
        assert "Status:" in parsed(answer).text


async def test_an_agent_or_a_team_that_is_not_there_changes_nothing(
    served: Edge, database: Database, ada: UUID
) -> None:
    ticket = await opened(served)
    async with at_desk(served) as client:
        for fields in ({"assigned_to": UNKNOWN}, {"team_id": UNKNOWN}):
            answer = await send(client, BULK, {"ticket": seen(ticket), "status": "closed"} | fields)
            assert answer.status_code == 400
            assert "There is no such" in answer.text
    assert (await now(served, ticket))["version"] == 1


async def test_somebody_is_named_by_address_or_whole_name(
    served: Edge, database: Database, ada: UUID
) -> None:
    ben = await hire(database, "Ben")
    ticket = await opened(served)
    async with at_desk(served) as client:
        for text in ("ben", "BEN@example.org", str(ben)):
            await do(client, await now(served, ticket), assigned_to=text)
            assert (await now(served, ticket))["assigned_to"] == str(ben)
            await do(client, await now(served, ticket), assigned_to="none")
        await hire(database, "Bea")
        await run(database, "UPDATE agents SET name = 'Ben' WHERE name = 'Bea'")
        answer = await send(client, BULK, {"ticket": seen(ticket), "assigned_to": "ben"})
        assert "Several agents have this name" in answer.text
        await do(client, await now(served, ticket), assigned_to="bea@example.org")
        await run(database, "UPDATE agents SET state = 'disabled' WHERE email = 'ben@example.org'")
        answer = await send(
            client, BULK, {"ticket": seen(ticket), "assigned_to": "ben@example.org"}
        )
        assert "There is no such agent." in answer.text


async def test_private_teams_keep_what_is_theirs(
    served: Edge, database: Database, ada: UUID
) -> None:
    ben = await hire_with_password(database, "Ben")
    async with calling(served) as operator:
        team = await new_team(operator, "Secret", is_private=True)
        await operator.put(f"/api/teams/{team['id']}/members/{ada}")
    hidden = await opened(served, team_id=team["id"])
    shown = await opened(served)
    async with at_desk(served) as client, at_desk(served, "Ben") as other:
        text, _ = await do(other, hidden, shown, status="closed")
        assert text == "1 ticket changed. 1 is not there any more."
        text, _ = await do(other, hidden, do="delete")
        assert text == "Nothing was changed. 1 is not there any more."
        shown = await now(served, shown)
        text, receipt = await do(client, hidden, shown, assigned_to=str(ben))
        assert text.startswith("1 ticket changed. 1 belongs to a private team")
        text, receipt = await do(client, await now(served, shown), team_id=team["id"])
        assert text.startswith("Nothing was changed. 1 belongs to a private team")
        text, receipt = await do(
            client, await now(served, shown), team_id=team["id"], assigned_to="me"
        )
        assert (await undo(client, receipt))[0] == "Taken back for 1 ticket."
        assert (await now(served, shown))["team_id"] is None


async def test_two_who_change_the_same_at_once_both_hear_what_came_of_it(
    served: Edge, database: Database, ada: UUID
) -> None:
    tickets = [await opened(served) for _ in range(20)]
    await hire_with_password(database, "Ben")
    async with at_desk(served) as client, at_desk(served, "Ben") as other:
        for _ in range(3):
            versions = [await now(served, each) for each in tickets]
            answers = await asyncio.gather(
                send(client, BULK, {"ticket": seen(*versions), "status": "closed"}),
                send(other, BULK, {"ticket": seen(*reversed(versions)), "status": "resolved"}),
            )
            texts = sorted(
                [(await told(client, answers[0]))[0], (await told(other, answers[1]))[0]]
            )
            assert texts[0].startswith("20 tickets changed.")
            assert texts[1].startswith("Nothing was changed. 20 have been changed")
            await do(client, *[await now(served, each) for each in tickets], status="open")


async def test_two_hundred_at_once(served: Edge, database: Database, ada: UUID) -> None:
    await run(
        database,
        "INSERT INTO tickets (id, title, description)"
        " SELECT gen_random_uuid(), 'Help', 'x' FROM generate_series(1, 200)",
    )
    async with database.session() as db:
        rows = await db.rows("SELECT id, version FROM tickets")
    tickets = [{"id": str(id_), "version": version} for id_, version in rows]
    async with at_desk(served) as client:
        text, receipt = await do(client, *tickets, priority="high", list="priority=high")
        assert text == "200 tickets changed."
        assert (await undo(client, receipt))[0] == "Taken back for 200 tickets."
        tickets = [{**each, "version": 3} for each in tickets]
        text, receipt = await do(client, *tickets, do="delete")
        assert text == "200 tickets moved to the trash."
        assert (await undo(client, receipt))[0] == "Taken back for 200 tickets."


async def test_a_script_gets_what_was_done_alone(served: Edge, ada: UUID) -> None:
    ticket = await opened(served)
    async with at_desk(served) as client:
        fields = {"ticket": seen(ticket), "status": "closed", "fragment": "told"}
        answer = await send(client, BULK, fields)
        assert answer.status_code == 200
        assert "1 ticket changed." in answer.text
        assert "<html" not in answer.text
        (receipt,) = [
            str(each["value"])
            for each in parsed(answer).all("input")
            if each.get("name") == "receipt"
        ]
        answer = await send(client, UNDO, {"receipt": receipt, "fragment": "told"})
        assert "Taken back for 1 ticket." in answer.text
        answer = await send(client, BULK, fields | {"status": "x"})
        assert answer.status_code == 400
        assert (await client.get(BULK)).status_code == 303


async def test_a_row_becomes_a_form_without_a_script(
    served: Edge, database: Database, ada: UUID
) -> None:
    await opened(served)
    async with at_desk(served) as client:
        page = parsed(await client.get("/tickets?status=open"))
        links = [str(each["href"]) for each in page.all("a") if "data-sets" in each]
        assert len(links) == 3
        page = parsed(await client.get(links[0].partition("#")[0]))
        forms = [each for each in page.all("form") if each.get("aria-label") == "Change ticket 1"]
        assert len(forms) == 1


async def test_who_only_reads_changes_nothing(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Eve", "read_only")
    ticket = await opened(served)
    async with at_desk(served, "Eve") as client:
        answer = await send(client, BULK, {"ticket": seen(ticket), "status": "closed"})
        assert answer.status_code == 403
        assert (await send(client, UNDO, {"receipt": "x"})).status_code == 403
    assert (await now(served, ticket))["version"] == 1
