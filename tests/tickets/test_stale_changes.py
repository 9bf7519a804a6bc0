"""`If-Match`: nobody overwrites what they have not seen."""

import asyncio
from typing import Any

import httpx
import pytest

from pullse.kit.db import Database
from tests.api.calls import Body, change, delete, facts, get, new_agent, new_ticket, refused


async def ask(
    client: httpx.AsyncClient, method: str, thing: Body, if_match: str, **changes: Any
) -> httpx.Response:
    kind = "agents" if "email" in thing else "tickets"
    body = {"json": changes} if method == "PATCH" else {}
    headers = {"If-Match": if_match}
    return await client.request(method, f"/api/{kind}/{thing['id']}", headers=headers, **body)


@pytest.mark.parametrize("if_match", ['"2"', "*", 'W/"2"', '"1", "2"', '"x","2"', ' "2" '])
async def test_who_has_seen_the_newest_version_may_change_and_delete(
    client: httpx.AsyncClient, if_match: str
) -> None:
    ticket = await change(client, await new_ticket(client), status="closed")

    answer = await ask(client, "PATCH", ticket, if_match, status="open")

    assert answer.status_code == 200
    assert answer.headers["etag"] == '"3"'
    answer = await ask(client, "DELETE", ticket, if_match.replace("2", "3"))
    assert answer.status_code == 200


async def test_who_has_not_is_told_what_has_changed_and_by_whom(
    client: httpx.AsyncClient, database: Database
) -> None:
    ada = await new_agent(client)
    ticket = await new_ticket(client)
    await change(client, ticket, priority="high")
    await change(client, ticket, status="in_progress", assigned_to=ada["id"])
    await change(client, ticket, status="resolved")
    for method in ("PATCH", "DELETE"):
        answer = await ask(client, method, ticket, '"2"', title="Mine")

        refused(answer, 412, "stale")
        assert answer.json()["data"] == {
            "version": 4,
            "changes": {"status": ["open", "resolved"], "assigned_to": [None, ada["id"]]},
            "by": ["owner"],
        }
        message = answer.json()["message"]
        assert message.startswith("The ticket has changed since you read it: ")
        assert "status" in message
        assert message.endswith("It is at version 4 now.")
    assert (await get(client, f"/api/tickets/{ticket['id']}"))["title"] == "Help"
    assert len(await facts(database, ticket)) == 4


@pytest.mark.parametrize("if_match", ['"7"', '"0"', '"x"', '""', '"99999999999"', '"-1"', '"1 2"'])
async def test_a_version_that_never_was_is_stale(client: httpx.AsyncClient, if_match: str) -> None:
    ticket = await new_ticket(client)

    answer = await ask(client, "PATCH", ticket, if_match, status="closed")

    refused(answer, 412, "stale")
    assert answer.json()["data"]["version"] == 1


@pytest.mark.parametrize("if_match", ["1", "", "nonsense", '"1', '"1";"2"', "'1'", '"1",', "**"])
async def test_what_is_no_version_is_refused(client: httpx.AsyncClient, if_match: str) -> None:
    ticket = await new_ticket(client)
    agent = await new_agent(client)
    for thing in (ticket, agent):
        for method in ("PATCH", "DELETE"):
            answer = await ask(client, method, thing, if_match)

            refused(answer, 400, "invalid")
            assert answer.json()["errors"][0]["field"] == "If-Match"


async def test_a_stale_change_that_would_change_nothing_is_stale_too(
    client: httpx.AsyncClient,
) -> None:
    ticket = await change(client, await new_ticket(client), status="closed")

    refused(await ask(client, "PATCH", ticket, '"1"', status="closed"), 412, "stale")


async def test_a_fresh_change_that_changes_nothing_keeps_the_version(
    client: httpx.AsyncClient,
) -> None:
    ticket = await new_ticket(client)

    answer = await ask(client, "PATCH", ticket, '"1"', status="open")

    assert (answer.status_code, answer.headers["etag"]) == (200, '"1"')


async def test_what_is_gone_is_not_found_whatever_the_version(client: httpx.AsyncClient) -> None:
    ticket = await new_ticket(client)
    await delete(client, ticket)
    for if_match in ('"1"', '"2"', "*"):
        for method in ("PATCH", "DELETE"):
            refused(await ask(client, method, ticket, if_match), 404, "not_found")


async def test_of_many_at_once_with_the_same_version_exactly_one_wins(
    client: httpx.AsyncClient, database: Database
) -> None:
    for _ in range(5):
        ticket = await new_ticket(client)

        answers = await asyncio.gather(
            *(ask(client, "PATCH", ticket, '"1"', title=f"By {name}") for name in range(8))
        )

        won = [answer for answer in answers if answer.status_code == 200]
        lost = [answer for answer in answers if answer.status_code == 412]
        assert (len(won), len(lost)) == (1, 7)
        title = won[0].json()["data"]["title"]
        for answer in lost:
            assert answer.json()["data"]["changes"] == {"title": ["Help", title]}
        assert (await get(client, f"/api/tickets/{ticket['id']}"))["title"] == title
        assert len(await facts(database, ticket)) == 2


async def test_of_a_change_and_a_deletion_at_once_exactly_one_wins(
    client: httpx.AsyncClient,
) -> None:
    for _ in range(5):
        ticket = await new_ticket(client)

        changed, deleted = await asyncio.gather(
            ask(client, "PATCH", ticket, '"1"', title="Mine"), ask(client, "DELETE", ticket, '"1"')
        )

        assert sorted((changed.status_code, deleted.status_code)) in ([200, 404], [200, 412])


async def test_each_who_tries_again_gets_through(client: httpx.AsyncClient) -> None:
    """The loop that `If-Match` is for: read, add to what is there, try until it is fresh."""
    ticket = await new_ticket(client, "0")
    path = f"/api/tickets/{ticket['id']}"

    async def add_one() -> None:
        while True:
            seen = await client.get(path)
            title = str(int(seen.json()["data"]["title"]) + 1)
            answer = await client.patch(
                path, json={"title": title}, headers={"If-Match": seen.headers["etag"]}
            )
            if answer.status_code == 200:
                return

    await asyncio.gather(*(add_one() for _ in range(8)))

    assert (await get(client, path))["title"] == "8"


async def test_a_stale_one_takes_no_other_with_it(client: httpx.AsyncClient) -> None:
    """Changes that come at once go in one statement; each is judged alone."""
    tickets = [await new_ticket(client, str(number)) for number in range(20)]
    for ticket in tickets[::2]:
        await change(client, ticket, priority="high")

    answers = await asyncio.gather(
        *(ask(client, "PATCH", ticket, '"1"', status="closed") for ticket in tickets)
    )

    assert [answer.status_code for answer in answers] == [412, 200] * 10


async def test_agents_are_guarded_too(client: httpx.AsyncClient) -> None:
    agent = await new_agent(client)
    assert (await ask(client, "PATCH", agent, '"1"', name="Ada B")).status_code == 200
    for method in ("PATCH", "DELETE"):
        answer = await ask(client, method, agent, '"1"', name="Ada C")

        refused(answer, 412, "stale")
        assert answer.json()["data"]["version"] == 2
    assert (await ask(client, "DELETE", agent, '"2"')).status_code == 200
