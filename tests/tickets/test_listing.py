"""Listing tickets: the page, the filters and the orders."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.api.calls import (
    UNKNOWN,
    Body,
    change,
    get,
    new_agent,
    new_ticket,
    problems,
    refused,
    titles,
)

STATUSES = ("open", "in_progress", "resolved", "closed")
PRIORITIES = ("low", "medium", "high", "urgent")
ORDERS = ("-created", "created", "-updated", "updated", "-priority", "priority")


@pytest.fixture
async def sixteen(client: httpx.AsyncClient) -> list[Body]:
    """One ticket of each status and priority, titled "open low" and so on."""
    return [
        await new_ticket(client, f"{status} {priority}", status=status, priority=priority)
        for status in STATUSES
        for priority in PRIORITIES
    ]


async def test_a_page_comes_back_as_the_contract_says(client: httpx.AsyncClient) -> None:
    first = await new_ticket(client, "First")
    second = await new_ticket(client, "Second")

    answer = await client.get("/api/tickets")

    assert answer.status_code == 200
    assert answer.json() == {
        "status": True,
        "message": "Tickets have been fetched.",
        "data": {"records": [second, first], "next_cursor": None},
    }


async def test_without_tickets_the_page_is_empty(client: httpx.AsyncClient) -> None:
    assert await get(client, "/api/tickets") == {"records": [], "next_cursor": None}


@pytest.mark.usefixtures("sixteen")
async def test_one_value_filters(client: httpx.AsyncClient) -> None:
    for status in STATUSES:
        shown = await titles(client, status=status, sort="created")
        assert shown == [f"{status} {priority}" for priority in PRIORITIES]
    for priority in PRIORITIES:
        shown = await titles(client, priority=priority, sort="created")
        assert shown == [f"{status} {priority}" for status in STATUSES]


@pytest.mark.parametrize(
    "query",
    [
        "status=open,closed&priority=high,urgent",
        "status=open&status=closed&priority=high&priority=urgent",
        "status=open,open&status=closed&priority=urgent,high,urgent",
        "status=closed%2Copen&priority=high,urgent",
    ],
)
@pytest.mark.usefixtures("sixteen")
async def test_several_values_come_by_comma_or_by_repeating(
    client: httpx.AsyncClient, query: str
) -> None:
    for order in ORDERS:
        shown = await titles(client, **dict(httpx.QueryParams(sort=order)))
        wanted = {"open high", "open urgent", "closed high", "closed urgent"}

        answer = await client.get(f"/api/tickets?{query}&sort={order}")

        found = [each["title"] for each in answer.json()["data"]["records"]]
        assert found == [title for title in shown if title in wanted]


async def test_each_order_is_kept_with_and_without_filters(
    client: httpx.AsyncClient, sixteen: list[Body]
) -> None:
    for ticket in sixteen[::3]:
        await change(client, ticket, description="It broke again.")
    now = (await get(client, "/api/tickets", limit=200))["records"]
    for order in ORDERS:
        field = {"created": "created_at", "updated": "updated_at"}.get(order.strip("-"))
        for filters in (
            {},
            {"status": "open,resolved"},
            {"priority": "low,urgent"},
            {"assigned_to": "none"},
            {"status": "open", "priority": "low,high", "assigned_to": "none"},
        ):

            def key(each: Body, field: str | None = field) -> tuple[Any, ...]:
                urgency = PRIORITIES.index(each["priority"])
                return (each[field], each["id"]) if field else (urgency, each["created_at"])

            kept = [each for each in now if fits(each, filters)]
            wanted = sorted(kept, key=key, reverse=order.startswith("-"))

            shown = await get(client, "/api/tickets", sort=order, **filters)

            assert shown["records"] == wanted, (order, filters)


def fits(ticket: Body, filters: dict[str, str]) -> bool:
    return all(
        filters.get(name) is None or ticket[name] in filters[name].split(",")
        for name in ("status", "priority")
    )


async def test_tickets_are_found_by_who_has_them(client: httpx.AsyncClient) -> None:
    ada, ben = await new_agent(client, "Ada"), await new_agent(client, "Ben")
    await new_ticket(client, "Ada's", assigned_to=ada["id"], priority="high")
    await new_ticket(client, "Ben's", assigned_to=ben["id"], status="closed")
    await new_ticket(client, "Nobody's")

    async def shown(asked: str, **params: Any) -> list[str]:
        return await titles(client, assigned_to=asked, sort="created", **params)

    assert await shown(ada["id"]) == ["Ada's"]
    assert await shown(ada["id"].upper()) == ["Ada's"]
    assert await shown("none") == ["Nobody's"]
    assert await shown(f"{ada['id']},{ben['id']}") == ["Ada's", "Ben's"]
    assert await shown(f"none,{ben['id']},none,{ben['id']}") == ["Ben's", "Nobody's"]
    assert await shown(f"{ada['id']},{ben['id']},none") == ["Ada's", "Ben's", "Nobody's"]
    assert await shown(f"{ada['id']},{ben['id']}", status="open") == ["Ada's"]
    assert await shown(f"{ada['id']},none", priority="low") == ["Nobody's"]
    assert await shown(UNKNOWN) == []


async def test_ranges_take_the_start_in_and_leave_the_end_out(client: httpx.AsyncClient) -> None:
    first, second, third = [await new_ticket(client, title) for title in ("1", "2", "3")]
    first = await change(client, first, title="1 again")

    async def shown(**params: str) -> list[str]:
        return await titles(client, sort="created", **params)

    middle = second["created_at"]
    assert await shown(created_after=middle) == ["2", "3"]
    assert await shown(created_before=middle) == ["1 again"]
    assert await shown(created_after=middle, created_before=third["created_at"]) == ["2"]
    assert await shown(created_after=third["created_at"], created_before=middle) == []
    assert await shown(updated_after=first["updated_at"]) == ["1 again"]
    assert await shown(updated_before=first["updated_at"]) == ["2", "3"]
    assert await shown(updated_after=middle, created_before=middle) == ["1 again"]
    assert await shown(created_after=middle, status="open", priority="low") == ["2", "3"]


async def test_a_moment_is_taken_with_any_offset(client: httpx.AsyncClient) -> None:
    ticket = await new_ticket(client, "Help")
    created = datetime.fromisoformat(ticket["created_at"])
    for hours in (-12, 0, 5.5, 14):
        local = created + timedelta(hours=hours)
        sign, size = ("-", -hours) if hours < 0 else ("+", hours)
        offset = f"{sign}{int(size):02}:{int(size * 60) % 60:02}"
        moment = local.replace(tzinfo=None).isoformat(timespec="microseconds") + offset

        assert await titles(client, created_after=moment) == ["Help"]
        assert await titles(client, created_before=moment) == []


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("status=opened", "status"),
        ("priority=1", "priority"),
        ("assigned_to=Ada", "assigned_to"),
        ("assigned_to=" + ",".join(["none"] * 11), "assigned_to"),
        ("created_after=yesterday", "created_after"),
        ("created_after=2026-11-22", "created_after"),
        ("created_after=2026-11-22T09:30:00", "created_after"),
        ("created_before=2026-13-22T09:30:00Z", "created_before"),
        ("updated_after=0001-01-01T00:00:00%2B14:00", "updated_after"),
        ("updated_before=9999-12-31T23:59:59-14:00", "updated_before"),
        ("sort=title", "sort"),
        ("sort=-created,updated", "sort"),
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=201", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("limit=1.5", "limit"),
        ("limit=99999999999999999999999999", "limit"),
        ("limit=1&limit=2", "limit"),
        ("sort=created&sort=created", "sort"),
        ("q=a&q=b", "q"),
        ("q=" + "a" * 301, "q"),
        ("q=a%00b", "q"),
        ("page=2", "page"),
        ("Status=open", "Status"),
        ("status[]=open", "status[]"),
        ("=", ""),
    ],
)
async def test_a_parameter_that_does_not_fit_is_named(
    client: httpx.AsyncClient, query: str, named: str
) -> None:
    answer = await client.get(f"/api/tickets?{query}")

    refused(answer, 400, "invalid")
    assert list(problems(answer)) == [named]


async def test_all_problems_of_a_query_are_told_at_once(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/tickets?status=new&limit=0&sort=x&page=2")

    assert problems(answer).keys() == {"status", "limit", "sort", "page"}


@pytest.mark.usefixtures("sixteen")
async def test_the_limit_says_how_many(client: httpx.AsyncClient) -> None:
    for limit in (1, 15, 16, 17, 200):
        assert len(await titles(client, limit=limit)) == min(limit, 16)


async def test_a_page_has_fifty_unless_told_otherwise(client: httpx.AsyncClient) -> None:
    for number in range(51):
        await new_ticket(client, str(number))

    found = await get(client, "/api/tickets")

    assert len(found["records"]) == 50
    assert found["next_cursor"]


async def test_a_filter_without_a_value_filters_nothing(client: httpx.AsyncClient) -> None:
    await new_ticket(client, "One", status="closed")
    answer = await client.get("/api/tickets?status=&priority=&assigned_to=&q=")
    assert [each["title"] for each in answer.json()["data"]["records"]] == ["One"]
