"""Several tickets by the API: all or nothing, each as it was seen, the whole taken back."""

from typing import Any

import httpx
import pytest

from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.people import calling, give, hire
from tests.api.calls import (
    UNKNOWN,
    Body,
    at_once,
    change,
    delete,
    facts,
    get,
    new_agent,
    new_ticket,
    problems,
    refused,
)
from tests.teams.calls import new_team

BULK = "/api/tickets/bulk"
UNDO = "/api/tickets/bulk/undo"


def seen(*tickets: Body) -> list[Body]:
    return [{"id": each["id"], "version": each["version"]} for each in tickets]


async def do(client: httpx.AsyncClient, *tickets: Body, **more: Any) -> Body:
    answer = await client.post(BULK, json={"tickets": seen(*tickets), **more})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def undo(client: httpx.AsyncClient, receipt: str) -> Body:
    answer = await client.post(UNDO, json={"receipt": receipt})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def now(client: httpx.AsyncClient, ticket: Body) -> Body:
    return await get(client, f"/api/tickets/{ticket['id']}")


def result(**named: list[Body]) -> Body:
    """Without the receipt: which tickets are where."""
    kinds = ("done", "unchanged", "stale", "not_found", "refused")
    return {kind: sorted(each["id"] for each in named.get(kind, [])) for kind in kinds}


def counted(found: Body) -> Body:
    return {kind: ids for kind, ids in found.items() if kind != "receipt"}


async def test_each_is_changed_with_a_fact_of_its_own(
    client: httpx.AsyncClient, database: Database
) -> None:
    ada = await new_agent(client)
    one, two = await new_ticket(client), await new_ticket(client, priority="urgent")
    closed = await new_ticket(client, status="closed", assigned_to=ada["id"])

    body = {
        "tickets": seen(one, two, closed),
        "changes": {"status": "closed", "assigned_to": ada["id"]},
    }
    answer = await client.post(BULK, json=body, headers={"X-Request-Id": "from-me"})

    assert answer.json()["message"] == "Tickets have been changed."
    assert counted(answer.json()["data"]) == result(done=[one, two], unchanged=[closed])
    for each in (one, two):
        fact = (await facts(database, each))[-1]
        assert (fact.name, fact.actor, fact.request_id) == ("ticket.changed", "owner", "from-me")
        assert fact.data["changes"] == {
            "status": ["open", "closed"],
            "assigned_to": [None, ada["id"]],
        }
    assert len(await facts(database, closed)) == 1


async def test_what_has_changed_since_it_was_seen_is_left_so(client: httpx.AsyncClient) -> None:
    one, two, gone = [await new_ticket(client) for _ in range(3)]
    newer = await change(client, two, title="Newer")
    await delete(client, gone)

    found = await do(client, one, two, gone, changes={"priority": "high"})

    assert counted(found) == result(done=[one], stale=[two], not_found=[gone])
    assert await now(client, two) == newer


async def test_who_names_no_version_takes_each_as_it_is(client: httpx.AsyncClient) -> None:
    ticket = await change(client, await new_ticket(client), title="Newer")
    for action, more in (
        ("change", {"changes": {"status": "closed"}}),
        ("delete", {}),
        ("restore", {}),
    ):
        body = {"tickets": [{"id": ticket["id"]}], "action": action, **more}
        answer = await client.post(BULK, json=body)
        assert counted(answer.json()["data"]) == result(done=[ticket])
    assert (await now(client, ticket))["version"] == 5


async def test_the_whole_is_taken_back_but_for_what_others_did(client: httpx.AsyncClient) -> None:
    one, two = await new_ticket(client), await new_ticket(client, status="in_progress")
    three = await new_ticket(client)
    found = await do(client, one, two, three, changes={"status": "closed"})
    await change(client, three, status="resolved")

    back = await undo(client, found["receipt"])

    assert counted(back) == result(done=[one, two], stale=[three])
    states = [(await now(client, each))["status"] for each in (one, two, three)]
    assert states == ["open", "in_progress", "resolved"]
    await undo(client, back["receipt"])
    assert (await now(client, two))["status"] == "closed"


async def test_several_are_deleted_and_come_back(client: httpx.AsyncClient) -> None:
    one, two, kept = [await new_ticket(client) for _ in range(3)]
    gone = await do(client, one, two, action="delete")
    assert counted(gone) == result(done=[one, two])
    assert [each["id"] for each in (await get(client, "/api/tickets"))["records"]] == [kept["id"]]

    in_trash = (await get(client, "/api/trash/tickets"))["records"]
    back = await do(client, *in_trash, kept, action="restore")

    assert counted(back) == result(done=[one, two], not_found=[kept])
    assert counted(await undo(client, back["receipt"])) == result(done=[one, two])
    assert counted(await undo(client, gone["receipt"])) == result(stale=[one, two])


async def test_where_nothing_is_done_there_is_nothing_to_take_back(
    client: httpx.AsyncClient,
) -> None:
    ticket = await new_ticket(client)
    found = await do(client, ticket, changes={"status": "open"})
    assert found == result(unchanged=[ticket]) | {"receipt": None}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "tickets"),
        ({"tickets": []}, "tickets"),
        ({"tickets": [{"id": UNKNOWN}] * 201, "changes": {"status": "open"}}, "tickets"),
        ({"tickets": [{"id": UNKNOWN}] * 2, "changes": {"status": "open"}}, "tickets"),
        ({"tickets": [{"id": "1"}], "changes": {"status": "open"}}, "tickets[0].id"),
        (
            {"tickets": [{"id": UNKNOWN, "version": 2**31}], "action": "delete"},
            "tickets[0].version",
        ),
        ({"tickets": [{"id": UNKNOWN, "version": 0}], "action": "delete"}, "tickets[0].version"),
        ({"tickets": [{"id": UNKNOWN}]}, "changes"),
        ({"tickets": [{"id": UNKNOWN}], "changes": {}}, "changes"),
        ({"tickets": [{"id": UNKNOWN}], "changes": {"status": "new"}}, "changes.status"),
        ({"tickets": [{"id": UNKNOWN}], "changes": {"title": "One for all"}}, "changes"),
        (
            {"tickets": [{"id": UNKNOWN}], "action": "delete", "changes": {"status": "open"}},
            "changes",
        ),
        ({"tickets": [{"id": UNKNOWN}], "action": "burn"}, "action"),
        ({"tickets": [{"id": UNKNOWN}], "action": "delete", "other": 1}, "other"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
async def test_what_can_not_be_is_refused(
    body: Body, field: str, client: httpx.AsyncClient
) -> None:
    answer = await client.post(BULK, json=body)
    refused(answer, 400, "invalid")
    assert [*problems(answer)] == [field]


async def test_an_agent_or_a_team_that_is_not_there_changes_nothing(
    client: httpx.AsyncClient,
) -> None:
    tickets = [await new_ticket(client), await new_ticket(client)]
    for field in ("assigned_to", "team_id"):
        changes = {"status": "closed", field: UNKNOWN}
        answer = await client.post(BULK, json={"tickets": seen(*tickets), "changes": changes})
        refused(answer, 400, "invalid")
        assert [*problems(answer)] == [field]
    assert [await now(client, each) for each in tickets] == tickets


async def test_one_that_is_sent_again_is_done_once(
    client: httpx.AsyncClient, database: Database
) -> None:
    ticket = await new_ticket(client)
    body = {"tickets": [{"id": ticket["id"]}], "action": "delete"}
    headers = {"Idempotency-Key": "once"}
    one, two = await at_once(*(client.post(BULK, json=body, headers=headers) for _ in range(2)))
    assert one.json() == two.json()
    assert counted(one.json()["data"]) == result(done=[ticket])
    assert len(await facts(database, ticket)) == 2


async def test_two_at_once_in_any_order_end(client: httpx.AsyncClient) -> None:
    tickets = [await new_ticket(client) for _ in range(20)]
    tasks = [do(client, *order, changes={"status": "closed"}) for order in (tickets, tickets[::-1])]
    found = await at_once(*tasks)
    assert sorted(len(each["done"]) for each in found) == [0, 20]
    assert sorted(len(each["stale"]) for each in found) == [0, 20]


async def test_what_a_private_team_has_is_not_there_for_others(
    served: Edge, database: Database
) -> None:
    ada, ben = await hire(database, "Ada"), await hire(database, "Ben")
    async with (
        calling(served) as operator,
        calling(served, await give(database, ben)) as other,
    ):
        team = await new_team(operator, "Secret", is_private=True)
        await operator.put(f"/api/teams/{team['id']}/members/{ada}")
        hidden = await new_ticket(operator, team_id=team["id"])
        shown = await new_ticket(operator)
        for more in ({"changes": {"status": "closed"}}, {"action": "delete"}):
            assert counted(await do(other, hidden, **more)) == result(not_found=[hidden])
        found = await do(operator, hidden, shown, changes={"assigned_to": str(ben)})
        assert counted(found) == result(done=[shown], refused=[hidden])
        for receipt in (found["receipt"], found["receipt"][:-2] + "AA", "x", "é", "A" * 1000):
            answer = await other.post(UNDO, json={"receipt": receipt})
            refused(answer, 400, "invalid")
            assert [*problems(answer)] == ["receipt"]
        assert (await now(operator, shown))["assigned_to"] == str(ben)
