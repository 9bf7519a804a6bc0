"""/api/events as JSON pages: a client catches up from any place, or is told to start over."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from pullse.kit import events
from pullse.kit.db import Database
from pullse.realtime.feed import NAMES
from tests.cli.settling import settled

Json = dict[str, Any]
Feed = Callable[..., Awaitable[Json]]


async def create(client: httpx.AsyncClient, title: str = "Help") -> Json:
    answer = await client.post("/api/tickets", json={"title": title, "description": "It broke."})
    data: Json = answer.json()["data"]
    return data


@pytest.fixture
def feed(client: httpx.AsyncClient, database: Database) -> Feed:
    """Reads a page once all that is committed is settled."""

    async def read(path: str = "/api/events", **query: Any) -> Json:
        await settled(database)
        answer = await client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert (body["status"], body["message"]) == (True, "Events have been fetched.")
        data: Json = body["data"]
        return data

    return read


async def refused(client: httpx.AsyncClient, path: str = "/api/events", **query: Any) -> Json:
    answer = await client.get(path, params=query)
    assert answer.status_code == 400
    body: Json = answer.json()
    return body


def names(page: Json) -> list[str]:
    return [each["name"] for each in page["records"]]


# -- what a fact looks like --


async def test_a_fact_tells_what_changed_and_who_did_it(
    client: httpx.AsyncClient, feed: Feed
) -> None:
    ticket = await create(client)
    headers = {"x-request-id": "r-1"}
    path = f"/api/tickets/{ticket['id']}"
    await client.patch(path, json={"status": "resolved"}, headers=headers)

    created, changed = (await feed())["records"]
    assert created["name"] == "ticket.created"
    assert changed["id"] > created["id"]
    assert changed["at"].endswith("+00:00")
    del changed["id"], changed["at"], changed["cursor"]
    assert changed == {
        "name": "ticket.changed",
        "ticket_id": ticket["id"],
        "actor": "owner",
        "request_id": "r-1",
        "data": {
            "number": ticket["number"],
            "title": "Help",
            "status": "resolved",
            "priority": "low",
            "assigned_to": None,
            "team_id": None,
            "version": 2,
            "changes": {"status": ["open", "resolved"]},
        },
    }


async def test_what_changes_nothing_is_no_fact(client: httpx.AsyncClient, feed: Feed) -> None:
    ticket = await create(client)
    await client.patch(f"/api/tickets/{ticket['id']}", json={"status": "open"})
    assert names(await feed()) == ["ticket.created"]


# -- pages --


async def test_an_empty_feed_has_a_cursor_to_go_on_from(
    client: httpx.AsyncClient, feed: Feed
) -> None:
    empty = await feed()
    assert (empty["records"], empty["next_cursor"]) == ([], None)

    await create(client)
    assert names(await feed(after=empty["cursor"])) == ["ticket.created"]


async def test_pages_follow_each_other_without_gap_or_repeat(
    client: httpx.AsyncClient, feed: Feed
) -> None:
    for number in range(7):
        await create(client, f"Ticket {number}")

    seen, query = [], {"limit": 3}
    sizes = []
    while True:
        page = await feed(**query)
        seen += [each["data"]["title"] for each in page["records"]]
        sizes.append(len(page["records"]))
        if page["next_cursor"] is None:
            break
        assert page["next_cursor"] == page["cursor"] == page["records"][-1]["cursor"]
        query["after"] = page["next_cursor"]
    assert seen == [f"Ticket {number}" for number in range(7)]
    assert sizes == [3, 3, 1]


async def test_each_fact_is_a_place_to_go_on_from(client: httpx.AsyncClient, feed: Feed) -> None:
    for number in range(3):
        await create(client, f"Ticket {number}")
    first, second, third = (await feed())["records"]

    assert (await feed(after=first["cursor"]))["records"] == [second, third]
    assert (await feed(after=third["cursor"]))["records"] == []


async def test_at_the_end_the_cursor_stays_where_it_is(
    client: httpx.AsyncClient, feed: Feed
) -> None:
    await create(client)
    end = (await feed())["cursor"]

    again = await feed(after=end)
    assert (again["records"], again["cursor"], again["next_cursor"]) == ([], end, None)
    now = await feed(after="now")
    assert (now["records"], now["cursor"]) == ([], end)


# -- filters --


async def test_facts_of_one_ticket_alone(client: httpx.AsyncClient, feed: Feed) -> None:
    mine, other = await create(client, "Mine"), await create(client, "Other")
    await client.patch(f"/api/tickets/{mine['id']}", json={"priority": "high"})
    await client.delete(f"/api/tickets/{other['id']}")

    page = await feed(ticket_id=mine["id"])
    assert names(page) == ["ticket.created", "ticket.changed"]
    assert {each["ticket_id"] for each in page["records"]} == {mine["id"]}


async def test_facts_of_some_names_alone(client: httpx.AsyncClient, feed: Feed) -> None:
    ticket = await create(client)
    await client.patch(f"/api/tickets/{ticket['id']}", json={"priority": "high"})
    await client.post("/api/agents", json={"name": "Ada", "email": "ada@example.org"})
    await client.delete(f"/api/tickets/{ticket['id']}")

    both = ["ticket.created", "agent.created"]
    assert names(await feed(name=",".join(both))) == both
    assert names(await feed(name=both)) == both
    assert names(await feed(name="ticket.deleted")) == ["ticket.deleted"]
    assert names(await feed(name="ticket.changed", ticket_id=ticket["id"])) == ["ticket.changed"]


async def test_a_filter_that_matches_nothing_still_moves_on(
    client: httpx.AsyncClient, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "SCANNED_AT_MOST", 2)
    for _ in range(3):
        await create(client)
    await client.post("/api/agents", json={"name": "Ada", "email": "ada@example.org"})

    first = await feed(name="agent.created")
    assert first["records"] == []
    assert first["next_cursor"] is not None
    second = await feed(name="agent.created", after=first["next_cursor"])
    assert names(second) == ["agent.created"]


async def test_an_unknown_name_is_refused_with_those_there_are(client: httpx.AsyncClient) -> None:
    for query in ("ticket.exploded", "ticket.created,ticket.exploded", " "):
        body = await refused(client, name=query)
        assert body["errors"][0]["field"] == "name"
        assert all(name in body["message"] for name in NAMES)


SENSELESS = [
    ("limit", "0"),
    ("limit", "201"),
    ("limit", "many"),
    ("ticket_id", "42"),
    ("after", "yesterday"),
    ("after", ""),
    ("after", "1.2"),
    ("after", "x" * 101),
    ("after", "1." + "9" * 90 + ".1"),
    ("unknown", "1"),
]


async def test_a_query_that_makes_no_sense_is_refused(client: httpx.AsyncClient) -> None:
    for field, value in SENSELESS:
        body = await refused(client, **{field: value})
        assert [each["field"] for each in body["errors"]] == [field], value


async def test_every_name_that_is_recorded_can_be_asked_for(
    client: httpx.AsyncClient, feed: Feed
) -> None:
    ticket = await create(client)
    path = f"/api/tickets/{ticket['id']}"
    await client.patch(path, json={"priority": "high"})
    await client.delete(path)
    await client.post(f"{path}/restore")
    made = await client.post("/api/agents", json={"name": "Ada", "email": "ada@example.org"})
    agent = f"/api/agents/{made.json()['data']['id']}"
    await client.patch(agent, json={"name": "Ada B"})
    made = await client.post("/api/teams", json={"name": "Billing"})
    team = f"/api/teams/{made.json()['data']['id']}"
    await client.patch(team, json={"name": "Refunds"})
    member = f"{team}/members/{agent.rpartition('/')[2]}"
    await client.put(member)
    await client.delete(member)
    await client.delete(team)
    await client.delete(agent)
    made = await client.post("/api/tokens", json={"name": "Export", "role": "agent"})
    token = f"/api/tokens/{made.json()['data']['id']}"
    await client.post(f"{token}/rotate", json={})
    await client.delete(token)

    recorded = names(await feed())
    assert len(recorded) == 15
    assert set(NAMES) - set(recorded) == {"ticket.purged"}
    assert names(await feed(name=",".join(NAMES))) == recorded


# -- another life of the feed --


async def new_life(database: Database) -> None:
    async with database.transaction() as db:
        await db.run("UPDATE events SET tx = tx + 1000000000")
        await events.mend_after_move(db)


async def test_after_a_move_an_old_cursor_says_start_over(
    client: httpx.AsyncClient, feed: Feed, database: Database
) -> None:
    await create(client)
    cursor = (await feed())["cursor"]
    await new_life(database)

    for path in ("/api/events", "/api/tickets/1/events"):
        answer = await client.get(path, params={"after": cursor})
        assert (answer.status_code, answer.json()["code"]) == (410, "start_over")
    assert names(await feed()) == ["ticket.created"]


async def test_a_cursor_ahead_of_the_feed_says_start_over(
    client: httpx.AsyncClient, feed: Feed
) -> None:
    await create(client)
    epoch, tx, id_ = (await feed())["cursor"].split(".")
    for ahead in (f"{epoch}.{tx}.{int(id_) + 1}", f"{epoch}.{int(tx) + 1}.0"):
        answer = await client.get("/api/events", params={"after": ahead})
        assert (answer.status_code, answer.json()["code"]) == (410, "start_over")


# -- a ticket's history --


async def test_a_tickets_history_is_oldest_first_by_id_or_number(
    client: httpx.AsyncClient,
    feed: Feed,
) -> None:
    ticket = await create(client)
    await create(client, "Other")
    for status in ("in_progress", "resolved"):
        await client.patch(f"/api/tickets/{ticket['id']}", json={"status": status})

    by_id = await feed(f"/api/tickets/{ticket['id']}/events")
    by_number = await feed(f"/api/tickets/{ticket['number']}/events")
    assert by_id == by_number
    assert [each["data"]["version"] for each in by_id["records"]] == [1, 2, 3]


async def test_a_history_has_pages_too(client: httpx.AsyncClient, feed: Feed) -> None:
    ticket = await create(client)
    path = f"/api/tickets/{ticket['number']}"
    await client.patch(path, json={"priority": "high"})
    first = await feed(f"{path}/events", limit=1)
    second = await feed(f"{path}/events", limit=1, after=first["next_cursor"])

    assert names(first) == ["ticket.created"]
    assert names(second) == ["ticket.changed"]


async def test_there_is_no_history_of_what_is_not_there(client: httpx.AsyncClient) -> None:
    ticket = await create(client)
    await client.delete(f"/api/tickets/{ticket['id']}")
    for path in (ticket["id"], ticket["number"], "999", "nonsense"):
        assert (await client.get(f"/api/tickets/{path}/events")).status_code == 404
    assert (await refused(client, "/api/tickets/1/events", name="x"))["status"] is False
