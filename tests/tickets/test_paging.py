"""Paging: each ticket once, in every order, whatever happens meanwhile."""

import base64
from typing import Any
from uuid import uuid4

import httpx
import pytest

from pullse.kit.db import Database
from tests.api.calls import get, new_agent, new_ticket, pages, problems, refused

ORDERS = ("-created", "created", "-updated", "updated", "-priority", "priority")


async def fill(database: Database, count: int) -> None:
    """Tickets of all kinds, of which several share each moment: ties in every order."""
    async with database.session() as db:
        await db.run(
            """
            INSERT INTO tickets (id, title, description, status, priority, created_at, updated_at)
                 SELECT gen_random_uuid(), 'T' || n, 'It broke.',
                        (ARRAY['open', 'in_progress', 'resolved', 'closed'])[1 + n % 4],
                        (ARRAY['low', 'medium', 'high', 'urgent'])[1 + n / 4 % 4],
                        timestamptz '2026-01-01 UTC' + make_interval(secs => n / 5),
                        timestamptz '2026-02-01 UTC' + make_interval(secs => n * 7 % 11)
                   FROM generate_series(0, $1 - 1) AS n
            """,
            count,
        )


@pytest.mark.parametrize("order", ORDERS)
async def test_all_pages_together_are_the_whole_list(
    client: httpx.AsyncClient, database: Database, order: str
) -> None:
    await fill(database, 60)
    for filters in ({}, {"status": "open,closed"}, {"priority": "low,high"}, {"q": "broke"}):
        whole = (await get(client, "/api/tickets", sort=order, limit=200, **filters))["records"]
        for limit in (1, 7, len(whole)):
            split = [page async for page in pages(client, sort=order, limit=limit, **filters)]

            assert [ticket for page in split for ticket in page] == whole
            assert {len(page) for page in split[:-1]} <= {limit}
            assert split[-1]


@pytest.mark.parametrize("order", ORDERS)
async def test_no_ticket_is_skipped_or_repeated_while_others_come(
    client: httpx.AsyncClient, database: Database, order: str
) -> None:
    await fill(database, 40)
    before = {each["id"] for each in (await get(client, "/api/tickets", limit=200))["records"]}
    seen: list[str] = []
    async for page in pages(client, sort=order, limit=6):
        seen += [each["id"] for each in page]
        for priority in ("low", "high", "urgent"):
            if len(seen) < 30:
                await new_ticket(client, priority=priority)

    assert len(seen) == len(set(seen))
    assert before <= set(seen)


async def test_a_page_goes_on_although_its_last_ticket_is_gone(
    client: httpx.AsyncClient, database: Database
) -> None:
    await fill(database, 9)
    whole = (await get(client, "/api/tickets"))["records"]
    found = await get(client, "/api/tickets", limit=3)
    await client.delete(f"/api/tickets/{found['records'][-1]['id']}")

    rest = await get(client, "/api/tickets", cursor=found["next_cursor"])

    assert rest["records"] == whole[3:]


async def test_pages_of_an_agents_tickets_are_whole_too(client: httpx.AsyncClient) -> None:
    ada = await new_agent(client)
    for number in range(12):
        status = ("open", "closed", "resolved")[number % 3]
        await new_ticket(client, assigned_to=(ada["id"], None)[number % 2], status=status)
    asked: dict[str, Any] = {"assigned_to": f"{ada['id']},none"}
    for order in ORDERS:
        whole = (await get(client, "/api/tickets", sort=order, **asked))["records"]

        split = [
            each async for page in pages(client, sort=order, limit=5, **asked) for each in page
        ]

        assert len(split) == 12
        assert split == whole


async def test_a_cursor_belongs_to_its_sort(client: httpx.AsyncClient, database: Database) -> None:
    await fill(database, 3)
    cursors = {
        order: (await get(client, "/api/tickets", sort=order, limit=1))["next_cursor"]
        for order in ORDERS
    }
    for order in ORDERS:
        for other, cursor in cursors.items():
            answer = await client.get("/api/tickets", params={"sort": order, "cursor": cursor})

            if order == other:
                assert answer.status_code == 200
            else:
                refused(answer, 400, "invalid")
                assert problems(answer) == {"cursor": "This cursor belongs to another sort."}


@pytest.mark.parametrize("path", ["/api/tickets", "/api/trash/tickets"])
async def test_what_is_no_cursor_is_refused(client: httpx.AsyncClient, path: str) -> None:
    far = b"\0\0\1" + b"\x7f" + b"\xff" * 7 + uuid4().bytes
    for garbage in (
        "",
        "x",
        "AAAA",
        "1.2.3",
        "é",
        "====",
        " ",
        "a" * 300,
        "a" * 301,
        base64.urlsafe_b64encode(b"\xff" * 27).decode(),
        base64.urlsafe_b64encode(b"\6" + b"\0" * 26).decode(),
        base64.urlsafe_b64encode(far).decode(),
        base64.urlsafe_b64encode(b"\0" * 26).decode(),
    ):
        answer = await client.get(path, params={"cursor": garbage})

        refused(answer, 400, "invalid")
        assert list(problems(answer)) == ["cursor"]


async def test_a_made_up_cursor_does_no_harm(client: httpx.AsyncClient) -> None:
    await new_ticket(client)
    for place in (b"\0" * 27, b"\0\x80\0" + b"\0" * 24, b"\0\x7f\xff" + b"\0" * 24):
        cursor = base64.urlsafe_b64encode(place).decode()

        assert (await client.get(f"/api/tickets?cursor={cursor}")).status_code == 200
