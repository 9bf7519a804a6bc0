"""What is counted is what is there: in the same snapshot, at any moment, whoever asks."""

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from pullse.errors import Refusal
from pullse.kit.db import Database
from pullse.kit.events import Actor
from pullse.kit.ids import uuid7
from pullse.reports import count_queries as queries
from pullse.reports import counting, lists
from pullse.tickets import actions, departures
from pullse.tickets import queries as tickets
from pullse.tickets.jobs import purge_trash
from pullse.tickets.model import NewTicket, Priority, Status, TicketChanges
from tests.api.calls import change, delete, new_agent, new_ticket
from tests.cli.settling import settled
from tests.teams.calls import join, new_team
from tests.tickets.test_purging import age

ALL = Actor("owner", teams=None)
TODAY = datetime.now(UTC).date


async def catch_up(database: Database) -> None:
    """Read all that is settled; the first time, count all."""
    if not await counting.begun(database):
        await counting.fill(database)
    while await counting.step(database):
        pass


async def counts(database: Database, actor: Actor = ALL) -> dict[str, int | None]:
    found = await lists.of(database, actor)
    assert found.is_exact
    return {each.team or each.name: each.count for each in found.records}


async def differing(database: Database) -> int:
    async with database.session() as db:
        return await queries.differing(db)


async def test_each_list_says_how_many_tickets_it_has(
    client: httpx.AsyncClient, database: Database
) -> None:
    ada, ben = await new_agent(client, "Ada"), await new_agent(client, "Ben")
    await catch_up(database)
    mine = await new_ticket(client, assigned_to=ada["id"])
    await new_ticket(client, assigned_to=ada["id"], status="in_progress")
    await new_ticket(client, assigned_to=ben["id"])
    await new_ticket(client)
    await new_ticket(client, status="resolved", assigned_to=ada["id"])
    await new_ticket(client, status="closed")
    gone = await new_ticket(client, assigned_to=ada["id"])
    await delete(client, gone)
    actor = Actor(f"agent:{ada['id']}", teams=frozenset())

    wanted = {"mine": 2, "unassigned": 1, "open": 4, "resolved": 1, "trash": 1}
    assert await counts(database, actor) == wanted
    await settled(database)
    await catch_up(database)
    assert await counts(database, actor) == wanted

    await change(client, mine, status="closed")
    assert await counts(database, actor) == wanted | {"mine": 1, "open": 3}


async def test_before_anything_was_counted_there_are_lists_without_numbers(
    client: httpx.AsyncClient, database: Database
) -> None:
    await new_ticket(client)
    await new_team(client, "Billing")

    found = await lists.of(database, ALL)

    assert [each.team or each.name for each in found.records] == [
        "unassigned",
        "Billing",
        "open",
        "resolved",
        "trash",
    ]
    assert {each.count for each in found.records} == {None}
    assert not found.is_exact


async def test_what_was_there_before_the_reader_counts_too(
    client: httpx.AsyncClient, database: Database
) -> None:
    for status in ("open", "resolved", "open"):
        await new_ticket(client, status=status)

    await catch_up(database)

    assert await counts(database) == {"unassigned": 2, "open": 2, "resolved": 1, "trash": 0}


async def test_who_may_not_see_a_private_team_s_tickets_does_not_count_them(
    client: httpx.AsyncClient, database: Database
) -> None:
    await catch_up(database)
    ada = await new_agent(client)
    hidden = await new_team(client, "Board", is_private=True)
    shown = await new_team(client, "Billing")
    await join(client, hidden, ada)
    await new_ticket(client, team_id=hidden["id"])
    await delete(client, await new_ticket(client, team_id=hidden["id"]))
    moved = await new_ticket(client, team_id=shown["id"])
    await new_ticket(client, team_id=hidden["id"], status="resolved")
    stranger = Actor("token:1", teams=frozenset())
    member = Actor(f"agent:{ada['id']}", teams=frozenset({UUID(hidden["id"])}))

    assert await counts(database, stranger) == {
        "unassigned": 1, "Billing": 1, "open": 1, "resolved": 0, "trash": 0,
    }  # fmt: skip
    assert await counts(database, member) == {
        "mine": 0, "unassigned": 2, "Board": 1, "open": 2, "resolved": 1, "trash": 1,
    }  # fmt: skip

    await change(client, moved, team_id=hidden["id"])
    assert (await counts(database, stranger))["open"] == 0
    answer = await client.patch(f"/api/teams/{hidden['id']}", json={"is_private": False})
    assert answer.status_code == 200
    assert (await counts(database, stranger))["open"] == 2


async def test_recently_resolved_is_by_the_day_of_the_last_change(
    client: httpx.AsyncClient, database: Database
) -> None:
    ticket = await new_ticket(client, status="resolved")
    await long_ago(database, ticket["id"], days=8)
    await catch_up(database)
    assert (await counts(database))["resolved"] == 0

    await change(client, ticket, title="Looked at again")

    assert (await counts(database))["resolved"] == 1
    assert await differing(database) == 0
    await settled(database)
    await catch_up(database)
    assert (await counts(database))["resolved"] == 1
    assert await differing(database) == 0
    found = await lists.of(database, ALL, TODAY() + timedelta(days=8))
    assert [each.count for each in found.records if each.name == "resolved"] == [0]


async def long_ago(database: Database, ticket_id: str, *, days: int) -> None:
    """As if nothing had been done with a ticket since."""
    async with database.session() as db:
        for sql in (
            "UPDATE tickets SET updated_at = now() - make_interval(days => $2) WHERE id = $1",
            "UPDATE events SET at = now() - make_interval(days => $2) WHERE ticket_id = $1",
        ):
            await db.run(sql, UUID(ticket_id), days)


async def test_the_query_of_a_list_finds_as_many_as_it_says(
    client: httpx.AsyncClient, database: Database
) -> None:
    await catch_up(database)
    ada, team = await new_agent(client), await new_team(client, "Billing")
    await join(client, team, ada)
    for number, status in enumerate(Status):
        for _ in range(number + 1):
            await new_ticket(client, status=status, assigned_to=ada["id"])
            await new_ticket(client, status=status, team_id=team["id"])
    found = await lists.of(database, Actor(f"agent:{ada['id']}", teams=frozenset()))

    assert len(found.records) == 6
    for each in found.records:
        if each.query is not None:
            answer = await client.get(f"/api/tickets?{each.query}&limit=200")
            assert len(answer.json()["data"]["records"]) == each.count, each


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_people_do_counts_and_tickets_agree(
    client: httpx.AsyncClient, database: Database, seed: int
) -> None:
    """Any verbs in any order, with the reader at any place, also over what was erased."""
    desk = await Desk.of(client, database, seed)
    for _ in range(120):
        await desk.act()
        assert await differing(database) == 0, desk.done
    await settled(database)
    await catch_up(database)
    assert await differing(database) == 0, desk.done


class Desk:
    """Somebody who does anything at random."""

    def __init__(
        self, database: Database, seed: int, agents: list[UUID], teams: list[UUID]
    ) -> None:
        self.rng = random.Random(seed)
        self.database = database
        self.agents = agents
        self.teams = teams
        self.tickets: list[UUID] = []
        self.done: list[str] = []

    @classmethod
    async def of(cls, client: httpx.AsyncClient, database: Database, seed: int) -> "Desk":
        agents = [UUID((await new_agent(client, name))["id"]) for name in ("Ada", "Ben", "Cy")]
        teams = [UUID((await new_team(client, name))["id"]) for name in ("Billing", "Board")]
        return cls(database, seed, agents, teams)

    async def act(self) -> None:
        verbs: list[tuple[Callable[[], Any], int]] = [
            (self.create, 20),
            (self.change, 45),
            (self.delete, 12),
            (self.restore, 6),
            (self.purge, 2),
            (self.leave, 1),
            (self.read, 10),
            (self.pass_time, 3),
        ]
        (verb,) = self.rng.choices([each for each, _ in verbs], [often for _, often in verbs])
        self.done.append(verb.__name__)
        try:
            await verb()
        except Refusal:
            self.done.append("refused")

    async def create(self) -> None:
        async with self.database.transaction() as db:
            made = await actions.create(db, self.new(), by=ALL)
        self.tickets.append(UUID(made.body[7:43]))

    def new(self) -> NewTicket:
        rng = self.rng
        return NewTicket(
            "Help", "It broke.", rng.choice(list(Priority)), rng.choice(list(Status)),
            rng.choice([None, *self.agents]), rng.choice([None, *self.teams]),
        )  # fmt: skip

    async def change(self) -> None:
        rng = self.rng
        fields: dict[str, Any] = {
            "status": rng.choice(list(Status)),
            "assigned_to": rng.choice([None, *self.agents]),
            "team_id": rng.choice([None, *self.teams]),
            "title": rng.choice(["Help", "Help!", "Help!!"]),
            "priority": rng.choice(list(Priority)),
        }
        chosen = rng.sample(sorted(fields), rng.randint(1, 3))
        wanted = TicketChanges(**{name: fields[name] for name in chosen})
        async with self.database.transaction() as db:
            await actions.change(db, self.some(), wanted, by=ALL)

    async def delete(self) -> None:
        async with self.database.transaction() as db:
            await actions.delete(db, self.some(), by=ALL)

    async def restore(self) -> None:
        async with self.database.transaction() as db:
            await actions.restore(db, self.some(), by=ALL)

    async def purge(self) -> None:
        async with self.database.session() as db:
            await tickets.purge(db, days=0, most=self.rng.randint(1, 5))

    async def leave(self) -> None:
        if len(self.agents) > 1:
            agent = self.agents.pop()
            async with self.database.transaction() as db:
                await departures.dismiss(db, agent, by=ALL)

    async def read(self) -> None:
        if not await counting.begun(self.database):
            await counting.fill(self.database)
        await counting.step(self.database)

    async def pass_time(self) -> None:
        days = self.rng.randint(1, 12)
        await long_ago(self.database, str(self.some()), days=days)
        if await counting.begun(self.database):
            async with self.database.session() as db:
                await queries.forget(db)
            await counting.fill(self.database)

    def some(self) -> UUID:
        return self.rng.choice(self.tickets) if self.tickets else uuid7()


async def test_counts_are_exact_while_many_write(
    client: httpx.AsyncClient, database: Database
) -> None:
    """
    Writers, some of them slow, a reader, and somebody who looks again and again: in each
    snapshot the counts are those of the tickets, the first fill in the middle of it.
    """
    desks = [await Desk.of(client, database, 1)]
    agents, teams = desks[0].agents, desks[0].teams
    desks += [Desk(database, seed, agents, teams) for seed in (2, 3)]
    looked = 0
    is_over = asyncio.Event()

    async def write(desk: Desk) -> None:
        for _ in range(150):
            verb = desk.rng.choices(
                [desk.create, desk.change, desk.delete, desk.restore, desk.purge], [5, 9, 3, 2, 1]
            )[0]
            try:
                await verb()
            except Refusal:
                desk.done.append("refused")

    async def write_slowly(desk: Desk) -> None:
        """An old transaction, which writes last of all and so holds back what is settled."""
        while not is_over.is_set():
            async with AsyncExitStack() as stack:
                db = await stack.enter_async_context(database.transaction())
                await db.value("SELECT pg_current_xact_id()")
                await asyncio.sleep(desk.rng.random() / 10)
                if desk.tickets:
                    wanted = TicketChanges(status=desk.rng.choice(list(Status)))
                    with suppress(Refusal):
                        await actions.change(db, desk.some(), wanted, by=ALL)
                await asyncio.sleep(desk.rng.random() / 20)

    async def read() -> None:
        await asyncio.sleep(0.1)
        while not is_over.is_set():
            await desks[0].read()
            await asyncio.sleep(0.01)

    async def look() -> None:
        nonlocal looked
        while not is_over.is_set():
            assert await differing(database) == 0
            looked += 1

    async with asyncio.TaskGroup() as group:
        others = [group.create_task(each) for each in (write_slowly(desks[0]), read(), look())]
        await asyncio.gather(*(write(desk) for desk in desks))
        is_over.set()
        await asyncio.gather(*others)
    await settled(database)
    await catch_up(database)
    assert await differing(database) == 0
    assert looked > 20


async def test_one_process_at_a_time_reads(client: httpx.AsyncClient, database: Database) -> None:
    await catch_up(database)
    await new_ticket(client)
    await settled(database)
    async with database.transaction() as other:
        await other.run("SELECT FROM readers WHERE name = 'counts' FOR UPDATE")

        assert not await counting.step(database)
        assert (await counts(database))["open"] == 1
    await asyncio.gather(*(counting.step(database) for _ in range(5)))
    assert await differing(database) == 0
    assert (await counts(database))["open"] == 1


async def test_two_that_begin_at_once_count_once(
    client: httpx.AsyncClient, database: Database
) -> None:
    await new_ticket(client)

    await asyncio.gather(*(counting.fill(database) for _ in range(3)))

    assert (await counts(database))["open"] == 1


async def test_what_was_erased_before_it_was_counted_is_no_loss(
    client: httpx.AsyncClient, database: Database
) -> None:
    ada, team = await new_agent(client), await new_team(client, "Billing")
    ticket = await new_ticket(client, assigned_to=ada["id"])
    await settled(database)
    await catch_up(database)
    await change(client, ticket, status="resolved", team_id=team["id"], assigned_to=None)
    await change(client, ticket, status="in_progress")
    await delete(client, ticket)
    await age(database, ticket, 31)
    await purge_trash.run(database)

    assert await differing(database) == 0
    assert set((await counts(database)).values()) == {0}
    await settled(database)
    await catch_up(database)
    assert set((await counts(database)).values()) == {0}


async def test_far_behind_the_counts_say_so(
    client: httpx.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await catch_up(database)
    ticket = await new_ticket(client)
    async with database.session() as db:
        await db.run(
            """
            INSERT INTO events (name, ticket_id, actor, data)
                 SELECT 'ticket.changed', $1, 'owner',
                        '{"status": "open", "changes": {"title": ["a", "b"]}}'
                   FROM generate_series(1, 2500)
            """,
            UUID(ticket["id"]),
        )

    assert not (await lists.of(database, ALL)).is_exact
    await settled(database)
    await catch_up(database)
    assert (await lists.of(database, ALL)).is_exact


async def test_a_count_that_went_wrong_is_found_and_counted_anew(
    client: httpx.AsyncClient, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await new_ticket(client)
    await catch_up(database)
    await counting.check_counts.run(database)
    assert caplog.messages == []
    async with database.session() as db:
        await db.run("UPDATE ticket_counts SET count = count + 1")

    await counting.check_counts.run(database)

    assert [each.partition(" of ")[0] for each in caplog.messages] == ["2 counts"]
    assert not await counting.step(database)
    assert (await counts(database))["open"] == 1


def test_recent_is_a_week() -> None:
    assert counting.recent(date(2026, 3, 3)) == date(2026, 2, 24)
