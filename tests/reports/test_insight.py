"""Counts by day, team and agent: what anybody would find by going through all tickets."""

import asyncio
import math
import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from pullse.errors import Invalid
from pullse.kit.db import Database
from pullse.kit.events import Actor
from pullse.kit.ids import uuid7
from pullse.reports import asking, durations, insight, insight_queries, measuring
from pullse.reports.asking import Insight, InsightQuery
from pullse.reports.measuring import Key, Mark, News
from pullse.tickets.jobs import purge_trash
from pullse.tickets.model import URGENCY, Priority
from tests.api.calls import change, delete, get, new_agent, new_ticket
from tests.cli.settling import settled
from tests.reports.test_counts import Desk
from tests.teams.calls import join, new_team
from tests.tickets.test_purging import age

ALL = Actor("owner", teams=None)
DAY = timedelta(days=1)


async def catch_up(database: Database) -> None:
    await settled(database)
    async with database.session() as db:
        await insight_queries.begin(db)
    while await insight.step(database) or await is_behind(database):
        pass


async def is_behind(database: Database) -> bool:
    async with database.session() as db:
        return await insight_queries.is_first(db)


async def asked(database: Database, actor: Actor = ALL, **query: Any) -> Insight:
    await catch_up(database)
    return await asking.ask(database, actor, InsightQuery(**query))


async def shift(database: Database, ticket: Any, **back: timedelta) -> None:
    """As if the fact that made a ticket what it is (by version, as v1) had been so long ago."""
    async with database.session() as db:
        for version, ago in back.items():
            await db.run(
                "UPDATE events SET at = now() - $3::interval"
                " WHERE ticket_id = $1 AND data->>'version' = $2",
                UUID(ticket["id"]),
                version.removeprefix("v"),
                ago,
            )


def today() -> date:
    return datetime.now(UTC).date()


def about(seconds: float | None, wanted: float) -> bool:
    return seconds is not None and abs(seconds - wanted) <= wanted * durations.ERROR + 1e-9


async def test_what_came_and_what_was_done_by_day(
    client: httpx.AsyncClient, database: Database
) -> None:
    old = await new_ticket(client)
    await new_ticket(client)
    await change(client, old, status="in_progress")
    await change(client, old, status="resolved")
    await change(client, old, status="closed")
    await shift(database, old, v1=5 * DAY, v2=4 * DAY, v3=2 * DAY, v4=DAY)

    found = await asked(database, days=7)

    assert [each.day for each in found.flow] == [today() - n * DAY for n in range(6, -1, -1)]
    assert [each.created for each in found.flow] == [0, 1, 0, 0, 0, 0, 1]
    assert [each.resolved for each in found.flow] == [0, 0, 0, 0, 1, 0, 0]
    assert found.total.resolved.count == 1
    assert about(found.total.resolved.p50, 3 * 86_400)
    assert sum(found.backlog.values()) == 1
    assert (await asked(database, days=1)).total.created == 1


async def test_opened_again_it_is_not_resolved_and_then_counts_anew(
    client: httpx.AsyncClient, database: Database
) -> None:
    ticket = await new_ticket(client)
    await change(client, ticket, status="resolved")
    assert (await asked(database)).total.resolved.count == 1

    await change(client, ticket, status="open")
    found = await asked(database)
    assert (found.total.resolved.count, sum(found.backlog.values())) == (0, 1)

    await shift(database, ticket, v1=9 * DAY)
    await change(client, ticket, status="closed")
    await again(database)
    found = await asked(database)
    assert found.total.resolved.count == 1
    assert about(found.total.resolved.p90, 9 * 86_400)
    assert sum(found.backlog.values()) == 0


async def again(database: Database) -> None:
    """Forget all, and read history from its beginning."""
    async with database.session() as db:
        for table in ("ticket_marks", "ticket_rollups", "readers"):
            await db.run(f"DELETE FROM {table}")


async def test_the_first_assignment_is_the_first_whatever_comes_later(
    client: httpx.AsyncClient, database: Database
) -> None:
    ada, ben = await new_agent(client, "Ada"), await new_agent(client, "Ben")
    ticket = await new_ticket(client)
    await change(client, ticket, assigned_to=ada["id"])
    await change(client, ticket, assigned_to=None)
    await change(client, ticket, assigned_to=ben["id"])
    await shift(database, ticket, v1=timedelta(hours=5), v2=timedelta(hours=3))
    await new_ticket(client, assigned_to=ada["id"])
    await new_ticket(client)

    found = await asked(database)

    assert found.total.assigned.count == 2
    assert found.total.assigned.p50 == 0
    assert about(found.total.assigned.p90, 2 * 3600)
    named = {line.name: line for line in found.agents}
    assert about(named["Ben"].assigned.p50, 2 * 3600)
    assert named["Ada"].assigned.p50 == 0
    assert named[None].assigned.count == 0


async def test_in_the_trash_a_ticket_is_in_no_number_and_restored_in_all_again(
    client: httpx.AsyncClient, database: Database
) -> None:
    ada = await new_agent(client)
    ticket = await new_ticket(client, assigned_to=ada["id"], status="resolved")
    before = await asked(database)
    assert before.total.created == 1

    await delete(client, ticket)
    found = await asked(database)
    assert found.total == asking.NOTHING
    assert found.teams == found.agents == []

    assert (await client.post(f"/api/tickets/{ticket['id']}/restore")).status_code == 200
    found = await asked(database)
    assert (found.total, found.agents, found.flow) == (before.total, before.agents, before.flow)

    await delete(client, ticket)
    await age(database, ticket, 31)
    await purge_trash.run(database)
    assert (await asked(database)).total == asking.NOTHING
    await again(database)
    assert (await asked(database)).total == asking.NOTHING
    async with database.session() as db:
        assert await db.value("SELECT count(*) FROM ticket_marks") == 0
        assert await db.value("SELECT count(*) FROM ticket_rollups") == 0


async def test_a_ticket_that_moves_takes_its_past_along(
    client: httpx.AsyncClient, database: Database
) -> None:
    billing = await new_team(client, "Billing")
    board = await new_team(client, "Board", is_private=True)
    ada = await new_agent(client)
    await join(client, board, ada)
    ticket = await new_ticket(client, team_id=billing["id"], assigned_to=ada["id"])
    await change(client, ticket, status="resolved")
    await shift(database, ticket, v1=3 * DAY)
    stranger = Actor("token:1", teams=frozenset())
    member = Actor(f"agent:{ada['id']}", teams=frozenset({UUID(board["id"])}))
    assert [line.name for line in (await asked(database, stranger)).teams] == ["Billing"]

    await change(client, ticket, team_id=board["id"])

    found = await asked(database, stranger)
    assert found.total == asking.NOTHING
    assert sum(each.created + each.resolved for each in found.flow) == 0
    assert found.teams == found.agents == []
    assert (await asked(database, stranger, team_id=board["id"])).total == asking.NOTHING
    for actor in (member, ALL):
        found = await asked(database, actor)
        assert [(line.name, line.created) for line in found.teams] == [("Board", 1)]
        assert found.flow[-4].created == 1


async def test_filters_are_for_one_team_and_one_agent(
    client: httpx.AsyncClient, database: Database
) -> None:
    team, ada = await new_team(client, "Billing"), await new_agent(client)
    await new_ticket(client, team_id=team["id"], assigned_to=ada["id"])
    await new_ticket(client, team_id=team["id"])
    await new_ticket(client, assigned_to=ada["id"], priority="urgent")
    await new_ticket(client)
    me = Actor(f"agent:{ada['id']}", teams=frozenset())

    async def open_now(actor: Actor = ALL, **query: Any) -> int:
        found = await asked(database, actor, **query)
        assert sum(found.backlog.values()) == found.total.backlog == found.total.created
        return found.total.backlog

    assert await open_now() == 4
    assert await open_now(team_id=team["id"]) == 2
    assert await open_now(team_id="none") == 2
    assert await open_now(assigned_to="none") == 2
    assert await open_now(assigned_to=ada["id"]) == 2
    assert await open_now(me, assigned_to="me") == 2
    assert await open_now(team_id=team["id"], assigned_to=ada["id"]) == 1
    assert (await asked(database)).backlog[0, "urgent"] == 1
    for wrong in ({"team_id": "x"}, {"assigned_to": "everybody"}, {"assigned_to": "me"}):
        with pytest.raises(Invalid):
            await open_now(**wrong)


async def test_the_backlog_is_by_days_since_creation(
    client: httpx.AsyncClient, database: Database
) -> None:
    for days in (0, 1, 2, 3, 6, 7, 29, 30, 89, 90, 400):
        await shift(database, await new_ticket(client, priority="high"), v1=days * DAY)

    found = await asked(database, days=1)

    ages = {age: count for (age, priority), count in found.backlog.items() if priority == "high"}
    assert ages == {0: 1, 1: 2, 3: 2, 7: 2, 30: 2, 90: 2}


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_people_do_the_counts_are_those_of_the_tickets(
    client: httpx.AsyncClient, database: Database, seed: int
) -> None:
    """Read in bits and pieces, stopped and begun again, or all at once in the end."""
    desk = await Desk.of(client, database, seed)
    async with database.session() as db:
        await insight_queries.begin(db)
    for _ in range(150):
        verb = desk.rng.choices(
            [desk.create, desk.change, desk.delete, desk.restore, desk.purge, desk.leave],
            [20, 50, 12, 8, 2, 1],
        )[0]
        try:
            await verb()
        except Exception:
            continue
        if desk.rng.random() < 0.1:
            await insight.step(database)
    await catch_up(database)
    in_pieces = await rollups(database)
    assert in_pieces == await by_hand(database)
    await again(database)
    await catch_up(database)
    assert await rollups(database) == in_pieces


async def rollups(database: Database) -> dict[Key, int]:
    async with database.session() as db:
        rows = await db.rows(
            "SELECT measure, day, team_id, assigned_to, bucket, count FROM ticket_rollups"
        )
    assert all(row[5] > 0 for row in rows)
    return {Key(*row[:5]): row[5] for row in rows}


async def by_hand(database: Database) -> dict[Key, int]:
    """From the tickets as they are, and the times at which they became so."""
    async with database.session() as db:
        rows = await db.rows(
            """
            SELECT team_id, assigned_to, priority, status, created_at,
                   (SELECT min(at) FROM events
                     WHERE ticket_id = tickets.id AND data->>'assigned_to' IS NOT NULL),
                   (SELECT min(at) FROM events
                     WHERE ticket_id = tickets.id
                       AND (data->>'version')::integer > coalesce(
                           (SELECT max((data->>'version')::integer) FROM events
                             WHERE ticket_id = tickets.id
                               AND data->>'status' IN ('open', 'in_progress')), 0))
              FROM tickets
             WHERE deleted_at IS NULL
            """
        )
    found: Counter[Key] = Counter()
    for team, agent, priority, status, created, assigned, resolved in rows:
        found[Key("created", created.date(), team, agent, 0)] += 1
        if assigned is not None:
            took = durations.bucket((assigned - created).total_seconds())
            found[Key("assigned", assigned.date(), team, agent, took)] += 1
        if status in measuring.DONE:
            took = durations.bucket((resolved - created).total_seconds())
            found[Key("resolved", resolved.date(), team, agent, took)] += 1
        else:
            urgency = URGENCY[Priority(priority)]
            found[Key("backlog", created.date(), team, agent, urgency)] += 1
    return dict(found)


async def test_history_is_read_in_portions_by_whoever_is_free(
    client: httpx.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(insight, "PORTION", 7)
    ticket = await new_ticket(client)
    for number in range(40):
        await change(client, ticket, title=f"{number}")
    await settled(database)
    async with database.session() as db:
        await insight_queries.begin(db)
    assert await insight.step(database)
    found = await asking.ask(database, ALL, InsightQuery())
    assert found.progress.is_first
    assert found.progress.until is not None

    async def read() -> None:
        for _ in range(20):
            await insight.step(database)

    await asyncio.gather(*(read() for _ in range(4)))

    found = await asking.ask(database, ALL, InsightQuery())
    assert not found.progress.is_first
    assert found.total.created == 1
    await change(client, ticket, status="closed")
    await settled(database)
    assert not await insight.step(database)
    assert (await asking.ask(database, ALL, InsightQuery())).total.resolved.count == 1


async def test_what_has_read_history_leaves_no_row_that_waits_for_ever(database: Database) -> None:
    async def rows() -> list[str]:
        async with database.session() as db:
            return [row[0] for row in await db.rows("SELECT name FROM readers ORDER BY name")]

    async with database.session() as db:
        await insight_queries.begin(db)
        assert await rows() == ["insight.first"]
    await catch_up(database)
    assert await rows() == ["insight"]
    async with database.session() as db:
        await db.run("INSERT INTO readers (name) VALUES ('insight.first')")  # an earlier release
        await insight_queries.begin(db)
    assert await rows() == ["insight"]


async def test_percentiles_are_by_nearest_rank(
    client: httpx.AsyncClient, database: Database
) -> None:
    hours = [1, 2, 3, 4, 5, 6, 7, 8, 9, 40]
    for each in hours:
        ticket = await new_ticket(client)
        await change(client, ticket, status="resolved")
        await shift(database, ticket, v1=timedelta(hours=each))

    took = (await asked(database)).total.resolved

    assert took.count == 10
    assert about(took.p50, 5 * 3600)
    assert about(took.p90, 9 * 3600)


def test_a_duration_is_within_5_percent_over_all_that_happens() -> None:
    rng = random.Random(1)
    for _ in range(5000):
        seconds = math.exp(rng.uniform(0, math.log(80 * 365 * 86_400)))
        assert about(durations.seconds(durations.bucket(seconds)), seconds)
    assert durations.seconds(durations.bucket(0.99)) == 0
    assert durations.bucket(-5) == 0
    assert durations.bucket(1e30) == durations.LONGEST
    assert about(durations.seconds(durations.bucket(1)), 1)


def test_what_no_fact_begins_is_passed_over() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    known = News("ticket.changed", uuid7(), at, None, None, "open", "low")
    assert measuring.after(None, known) is None
    mark = Mark(known.ticket_id, None, None, "open", "low", False, at, None, None)
    odd = News("ticket.changed", known.ticket_id, at, None, None, None, None)
    assert measuring.after(mark, odd) == mark


async def test_by_api_each_table_has_its_name(
    client: httpx.AsyncClient, database: Database
) -> None:
    team, ada = await new_team(client, "Billing"), await new_agent(client)
    await new_ticket(client, team_id=team["id"], assigned_to=ada["id"], priority="high")
    await catch_up(database)

    found = {name: await get(client, f"/api/insight/{name}", days=2) for name in asking.TABLES}

    assert found["flow"]["is_complete"]
    assert found["flow"]["records"][-1] == {"day": str(today()), "created": 1, "resolved": 0}
    assert found["backlog"]["records"][0] == {
        "from_days": 0, "to_days": 0, "urgent": 0, "high": 1, "medium": 0, "low": 0, "total": 1,
    }  # fmt: skip
    assert found["assignment"]["records"][-1] == {
        "from": str(today()), "tickets": 1, "p50_seconds": 0, "p90_seconds": 0,
    }  # fmt: skip
    assert found["resolution"]["records"][-1]["p50_seconds"] is None
    assert found["teams"]["records"][0]["team"] == "Billing"
    assert found["agents"]["records"][0]["assigned_to"] == ada["id"]
    assert (await client.get("/api/insight/nothing")).status_code == 404
    for wrong in ("days=0", "days=367", "days=x", "team_id=x", "zone=UTC"):
        assert (await client.get(f"/api/insight/flow?{wrong}")).status_code == 400, wrong
