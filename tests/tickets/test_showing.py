"""Showing one ticket: by id or number, and not again to those who have it."""

import httpx
import pytest

from tests.api.calls import UNKNOWN, change, new_ticket, refused


async def test_a_ticket_is_found_by_its_id(client: httpx.AsyncClient) -> None:
    ticket = await new_ticket(client)

    answer = await client.get(f"/api/tickets/{ticket['id']}")

    assert answer.status_code == 200
    assert answer.headers["etag"] == '"1"'
    assert answer.json() == {"status": True, "message": "Ticket has been fetched.", "data": ticket}


async def test_a_ticket_is_found_by_its_number(client: httpx.AsyncClient) -> None:
    await new_ticket(client)
    ticket = await new_ticket(client)

    answer = await client.get(f"/api/tickets/{ticket['number']}")

    assert answer.json()["data"] == ticket


@pytest.mark.parametrize("name", [UNKNOWN, UNKNOWN.upper(), "0", "42", "9" * 18])
async def test_an_unknown_ticket_is_not_found(client: httpx.AsyncClient, name: str) -> None:
    await new_ticket(client)
    for method in ("GET", "DELETE", "PATCH"):
        body = {"json": {"title": "New"}} if method == "PATCH" else {}

        answer = await client.request(method, f"/api/tickets/{name}", **body)

        refused(answer, 404, "not_found")
        assert answer.json()["message"] == "There is no such ticket."


@pytest.mark.parametrize(
    "name",
    [
        "nonsense",
        "-1",
        "1.0",
        "1e3",
        "+1",
        "%201",
        "%D9%A1",  # an Arabic one
        "%C2%B2",  # a superscript two
        "9" * 19,
        "9" * 400,
        UNKNOWN[:-1],
        UNKNOWN + "0",
        UNKNOWN.replace("-", ":"),
        "%00",
        "1%00",
        "%F0%9F%8E%9F",
        "None",
        "..%2F1",
    ],
)
async def test_what_is_no_name_of_a_ticket_is_not_found(
    client: httpx.AsyncClient, name: str
) -> None:
    await new_ticket(client)

    answer = await client.get(f"/api/tickets/{name}")

    refused(answer, 404, "not_found")


async def test_who_has_this_version_is_not_sent_it_again(client: httpx.AsyncClient) -> None:
    ticket = await new_ticket(client)
    path = f"/api/tickets/{ticket['id']}"
    for known in ('"1"', 'W/"1"', '"7", "1"', "*"):
        answer = await client.get(path, headers={"If-None-Match": known})

        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == '"1"'


async def test_who_has_another_version_is_sent_this_one(client: httpx.AsyncClient) -> None:
    ticket = await new_ticket(client)
    await change(client, ticket, status="closed")
    for known in ('"1"', '"x"', "nonsense", '""'):
        answer = await client.get(f"/api/tickets/{ticket['id']}", headers={"If-None-Match": known})

        assert answer.status_code == 200
        assert answer.json()["data"]["status"] == "closed"
        assert answer.headers["etag"] == '"2"'


async def test_head_says_what_get_would_say_but_the_body(live: httpx.AsyncClient) -> None:
    ticket = await new_ticket(live)
    for path in (f"/api/tickets/{ticket['id']}", "/api/tickets"):
        got = await live.get(path)

        answer = await live.head(path)

        assert (answer.status_code, answer.content) == (200, b"")
        for name in ("content-length", "content-type", "etag"):
            assert answer.headers.get(name) == got.headers.get(name)

    assert (await live.head("/api/tickets/42")).status_code == 404


async def test_a_parameter_is_refused_where_there_is_none(client: httpx.AsyncClient) -> None:
    ticket = await new_ticket(client)

    answer = await client.get(f"/api/tickets/{ticket['id']}?expand=agent")

    refused(answer, 400, "invalid")
