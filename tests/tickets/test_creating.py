"""Creating tickets: the shapes, the defaults, and what is refused."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from pullse.kit.db import Database
from tests.api.calls import UNKNOWN, delete, facts, new_agent, new_ticket, problems, refused, titles

LEAST = {"title": "Help", "description": "It broke."}
FIELDS = [
    "id",
    "number",
    "title",
    "description",
    "status",
    "priority",
    "assigned_to",
    "team_id",
    "created_at",
    "updated_at",
    "version",
]


async def test_a_ticket_comes_back_as_the_contract_says(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/tickets", json=LEAST)

    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["etag"] == '"1"'
    body = answer.json()
    assert list(body) == ["status", "message", "data"]
    assert (body["status"], body["message"]) == (True, "Ticket has been created.")
    ticket = body["data"]
    assert list(ticket) == FIELDS
    assert UUID(ticket["id"]).version == 7
    assert ticket["number"] == 1
    assert {name: ticket[name] for name in LEAST} == LEAST
    assert ticket["created_at"] == ticket["updated_at"]
    assert ticket["version"] == 1


async def test_what_is_not_said_has_a_default(client: httpx.AsyncClient) -> None:
    ticket = await new_ticket(client)

    assert (ticket["status"], ticket["priority"], ticket["assigned_to"]) == ("open", "low", None)


async def test_what_is_said_is_taken(client: httpx.AsyncClient) -> None:
    ada = await new_agent(client)
    said = {"status": "in_progress", "priority": "urgent", "assigned_to": ada["id"]}

    ticket = await new_ticket(client, **said)

    assert {name: ticket[name] for name in said} == said


async def test_times_are_of_now_and_in_utc(client: httpx.AsyncClient) -> None:
    ticket = await new_ticket(client)

    created = datetime.fromisoformat(ticket["created_at"])
    assert created.utcoffset() == timedelta(0)
    assert abs(created - datetime.now(UTC)) < timedelta(minutes=1)


async def test_numbers_rise_one_by_one(client: httpx.AsyncClient) -> None:
    assert [(await new_ticket(client))["number"] for _ in range(3)] == [1, 2, 3]


async def test_one_fact_tells_of_it(client: httpx.AsyncClient, database: Database) -> None:
    ada = await new_agent(client)
    answer = await client.post(
        "/api/tickets",
        json={**LEAST, "priority": "high", "assigned_to": ada["id"]},
        headers={"X-Request-Id": "from-me"},
    )

    ticket = answer.json()["data"]
    (fact,) = await facts(database, ticket)
    assert (fact.name, fact.actor, fact.request_id) == ("ticket.created", "owner", "from-me")
    shown = ("number", "title", "status", "priority", "assigned_to", "team_id", "version")
    assert fact.data == {name: ticket[name] for name in shown}


@pytest.mark.parametrize("letter", ["a", "ß", "語", "🎟"])
async def test_a_title_has_at_most_300_characters(client: httpx.AsyncClient, letter: str) -> None:
    assert (await new_ticket(client, letter))["title"] == letter
    assert (await new_ticket(client, letter * 300))["title"] == letter * 300

    answer = await client.post("/api/tickets", json={**LEAST, "title": letter * 301})

    refused(answer, 400, "invalid")
    assert list(problems(answer)) == ["title"]


@pytest.mark.parametrize("letter", ["a", "語", "🎟"])
async def test_a_description_has_at_most_100_000_characters(
    client: httpx.AsyncClient, letter: str
) -> None:
    text = letter * 100_000
    assert (await new_ticket(client, description=text))["description"] == text

    answer = await client.post("/api/tickets", json={**LEAST, "description": text + letter})

    refused(answer, 400, "invalid")
    assert list(problems(answer)) == ["description"]


async def test_text_comes_back_as_it_was_sent(client: httpx.AsyncClient) -> None:
    text = ' "quoted" \\u0041 \\ <b>&amp;</b> \t\r\n \u2028 \u202e ⚠️ e\u0301 \x01\x7f \ufeff '

    ticket = await new_ticket(client, text, description=text)

    assert (ticket["title"], ticket["description"]) == (text, text)


@pytest.mark.parametrize("field", ["title", "description"])
async def test_blank_is_refused(client: httpx.AsyncClient, field: str) -> None:
    for blank in (" ", "\t\r\n", "\u00a0\u2003\u3000"):
        answer = await client.post("/api/tickets", json={**LEAST, field: blank})

        refused(answer, 400, "invalid")
        assert problems(answer) == {field: "This must not be blank."}

    answer = await client.post("/api/tickets", json={**LEAST, field: ""})
    refused(answer, 400, "invalid")
    assert list(problems(answer)) == [field]


@pytest.mark.parametrize("field", ["title", "description"])
async def test_what_is_required_is_missed(client: httpx.AsyncClient, field: str) -> None:
    body = {name: value for name, value in LEAST.items() if name != field}

    answer = await client.post("/api/tickets", json=body)

    refused(answer, 400, "invalid")
    assert problems(answer) == {field: "This field is required."}
    assert answer.json()["message"] == f"{field}: This field is required."


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": 1},
        {"title": None},
        {"title": ["Help"]},
        {"description": True},
        {"description": {"text": "It broke."}},
        {"status": "opened"},
        {"status": "OPEN"},
        {"status": None},
        {"status": 1},
        {"priority": ""},
        {"priority": "highest"},
        {"assigned_to": "nobody"},
        {"assigned_to": ""},
        {"assigned_to": 7},
        {"assigned_to": UNKNOWN},
        {"id": UNKNOWN},
        {"number": 7},
        {"created_at": "2026-11-22T09:30:00Z"},
        {"version": 1},
        {"colour": "red"},
        {"": ""},
    ],
    ids=repr,
)
async def test_a_field_that_does_not_fit_is_named(
    client: httpx.AsyncClient, database: Database, wrong: dict[str, Any]
) -> None:
    answer = await client.post("/api/tickets", json={**LEAST, **wrong})

    refused(answer, 400, "invalid")
    (field,) = wrong
    said = problems(answer)[field]
    assert answer.json()["message"] == f"{field}: {said}"
    assert await titles(client) == []
    assert await facts(database) == []


async def test_an_unknown_field_is_said_to_be_unknown(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/tickets", json={**LEAST, "colour": "red"})

    assert problems(answer) == {"colour": "There is no such field."}


async def test_an_unknown_agent_cannot_be_assigned(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/tickets", json={**LEAST, "assigned_to": UNKNOWN})

    refused(answer, 400, "invalid")
    assert problems(answer) == {"assigned_to": "There is no such agent."}


async def test_an_agent_who_has_left_cannot_be_assigned(client: httpx.AsyncClient) -> None:
    ada = await new_agent(client)
    await delete(client, ada)

    answer = await client.post("/api/tickets", json={**LEAST, "assigned_to": ada["id"]})

    refused(answer, 400, "invalid")
    assert problems(answer) == {"assigned_to": "There is no such agent."}


async def test_all_problems_are_told_at_once(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/api/tickets",
        json={"title": " ", "status": "new", "priority": 3, "assigned_to": "Ada", "colour": "red"},
    )

    refused(answer, 400, "invalid")
    assert problems(answer).keys() == {
        "title",
        "description",
        "status",
        "priority",
        "assigned_to",
        "colour",
    }


@pytest.mark.parametrize("body", ["[]", "null", "true", '"Help"', "42", "[{}]"])
async def test_a_body_is_an_object(client: httpx.AsyncClient, body: str) -> None:
    answer = await client.post(
        "/api/tickets", content=body, headers={"Content-Type": "application/json"}
    )

    refused(answer, 400, "malformed")


async def test_a_stream_tells_of_it(live: httpx.AsyncClient) -> None:
    async with live.stream("GET", "/api/events", headers={"accept": "text/event-stream"}) as stream:
        lines = stream.aiter_lines()
        assert (await anext(lines)).startswith("retry")
        await live.post("/api/tickets", json={"title": "Help", "description": "It broke."})
        async for line in lines:
            if line.startswith("data:"):
                assert "ticket.created" in line
                break


async def test_a_heap_of_marks_on_one_letter_is_refused(client: httpx.AsyncClient) -> None:
    """It would hold up the browser of whoever sees it written, or what was changed in it."""
    ticket = await new_ticket(client)
    heap = "It broke" + "\u0301\u200b" * 201
    says = "There are more than 200 marks on one letter: browsers can't show that."
    for answer in (
        await client.post("/api/tickets", json=LEAST | {"description": heap}),
        await client.patch(f"/api/tickets/{ticket['id']}", json={"description": heap}),
    ):
        refused(answer, 400, "invalid")
        assert problems(answer) == {"description": says}
    kept = await new_ticket(client, description="It broke" + "\u0301" * 200)
    assert kept["description"].count("\u0301") == 200
