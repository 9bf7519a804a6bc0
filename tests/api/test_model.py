"""
Tickets and agents as a small model, driven at random against the real application.

After each step the lists, the trash and the number of facts have to be what the model says.
`HYPOTHESIS_CASES=1000 bin/test tests/api/test_model.py` is a long run.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pullse import app
from pullse.kit.db import Database, open_database
from pullse.kit.guard import LocalOwner
from pullse.kit.tail import Tail
from tests.api.calls import UNKNOWN, Body, facts, pages
from tests.conftest import TEMPLATE, command, on

CASES = int(os.environ.get("HYPOTHESIS_CASES", "20"))
STATUSES = ["open", "in_progress", "resolved", "closed"]
PRIORITIES = ["low", "medium", "high", "urgent"]
OPEN = ("open", "in_progress")
ORDERS = ["-created", "created", "-updated", "updated", "-priority", "priority"]

statuses, priorities = st.sampled_from(STATUSES), st.sampled_from(PRIORITIES)
titles = st.text("abc ", min_size=1, max_size=4).filter(str.strip)
picks = st.integers(0, 1000)
changes = st.fixed_dictionaries(
    {}, optional={"title": titles, "status": statuses, "priority": priorities, "assigned_to": picks}
)


class World:
    """The application, a database of its own, and a loop to run it in."""

    def __init__(self, runner: asyncio.Runner, client: httpx.AsyncClient, database: Database):
        self.runner = runner
        self.client = client
        self.database = database

    def run(self, what: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(what)

    def call(self, method: str, path: str, **asked: Any) -> httpx.Response:
        answer: httpx.Response = self.run(self.client.request(method, f"/api{path}", **asked))
        assert answer.status_code < 500, answer.text
        return answer

    def at_once(self, *calls: Coroutine[Any, Any, httpx.Response]) -> list[httpx.Response]:
        async def gather() -> list[httpx.Response]:
            return list(await asyncio.gather(*calls))

        answers: list[httpx.Response] = self.run(gather())
        return answers


class HelpDesk(RuleBasedStateMachine):
    """What should be there, and the steps that anyone may take."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.tickets: dict[str, Body] = {}
        self.trash: dict[str, Body] = {}
        self.agents: dict[str, Body] = {}
        self.gone: set[str] = set()
        self.facts = 0

    def teardown(self) -> None:
        async def empty() -> None:
            async with self.world.database.session() as db:
                tables = "tickets, agents, audit, events, idempotency_keys"
                await db.script(f"TRUNCATE {tables} CASCADE")

        self.world.run(empty())

    @rule(name=st.sampled_from("ABCDE"))
    def an_agent_comes(self, name: str) -> None:
        email = f"{name}@example.org"
        answer = self.world.call("POST", "/agents", json={"name": name, "email": email})

        if any(each["email"] == email for each in self.agents.values()):
            assert answer.status_code == 409
        else:
            assert answer.status_code == 201
            agent = answer.json()["data"]
            self.agents[agent["id"]] = agent
            self.facts += 1

    @precondition(lambda self: self.agents)
    @rule(pick=picks)
    def an_agent_leaves(self, pick: int) -> None:
        agent = self.picked(self.agents, pick)
        assert self.world.call("DELETE", f"/agents/{agent['id']}").status_code == 200

        del self.agents[agent["id"]]
        self.gone.add(agent["id"])
        self.facts += 1
        for ticket in self.tickets.values():
            if ticket["assigned_to"] == agent["id"] and ticket["status"] in OPEN:
                self.facts += 1
                self.takes_over(ticket["id"], {"assigned_to": None})

    @rule(title=titles, status=statuses, priority=priorities, pick=st.none() | picks)
    def a_ticket_is_created(self, title: str, status: str, priority: str, pick: int | None) -> None:
        body = {"title": title, "description": "x", "status": status, "priority": priority}
        wanted = {**body, "assigned_to": self.someone(pick)}
        answer = self.world.call("POST", "/tickets", json=wanted)

        if wanted["assigned_to"] == UNKNOWN:
            assert answer.status_code == 400
        else:
            ticket = answer.json()["data"]
            assert {name: ticket[name] for name in wanted} == wanted
            self.tickets[ticket["id"]] = ticket
            self.facts += 1

    @precondition(lambda self: self.tickets)
    @rule(pick=picks, asked=changes, seen=st.sampled_from([None, 0, 0, 1, -1]))
    def a_ticket_changes(self, pick: int, asked: Body, seen: int | None) -> None:
        ticket = self.picked(self.tickets, pick)
        wanted = self.with_agent(asked)
        headers = {} if seen is None else {"If-Match": f'"{ticket["version"] + seen}"'}
        answer = self.world.call("PATCH", f"/tickets/{ticket['id']}", json=wanted, headers=headers)

        if seen:
            assert answer.status_code == 412
            assert answer.json()["data"]["version"] == ticket["version"]
        elif wanted.get("assigned_to") == UNKNOWN:
            assert answer.status_code == 400
        else:
            self.is_changed(ticket, wanted, answer)

    @precondition(lambda self: self.tickets)
    @rule(pick=picks, several=st.lists(titles, min_size=2, max_size=4))
    def several_change_what_they_have_seen_at_once(self, pick: int, several: list[str]) -> None:
        ticket = self.picked(self.tickets, pick)
        path, headers = f"/api/tickets/{ticket['id']}", {"If-Match": f'"{ticket["version"]}"'}
        wanted = [{"title": f"{title} {number}"} for number, title in enumerate(several)]
        answers = self.world.at_once(
            *(self.world.client.patch(path, json=each, headers=headers) for each in wanted)
        )

        won = [number for number, answer in enumerate(answers) if answer.status_code == 200]
        same = [n for n, each in enumerate(wanted) if each["title"] == ticket["title"]]
        changed = [number for number in won if number not in same]
        assert len(changed) == 1
        assert {answer.status_code for answer in answers} <= {200, 412}
        self.is_changed(ticket, wanted[changed[0]], answers[changed[0]])

    @precondition(lambda self: self.tickets)
    @rule(pick=picks, status=statuses, priority=priorities, title=titles)
    def several_change_different_fields_at_once(
        self, pick: int, status: str, priority: str, title: str
    ) -> None:
        ticket = self.picked(self.tickets, pick)
        parts = [{"status": status}, {"priority": priority}, {"title": title}]
        path = f"/api/tickets/{ticket['id']}"
        answers = self.world.at_once(*(self.world.client.patch(path, json=p) for p in parts))

        assert [answer.status_code for answer in answers] == [200, 200, 200]
        now = self.world.call("GET", f"/tickets/{ticket['id']}").json()["data"]
        wanted = self.expected(ticket, {"status": status, "priority": priority, "title": title})
        assert {**now, "updated_at": 0, "version": 0} == {**wanted, "updated_at": 0, "version": 0}
        steps = sum(self.expected(ticket, part) != ticket for part in parts)
        assert now["version"] == ticket["version"] + steps
        self.facts += steps
        self.tickets[ticket["id"]] = now

    @precondition(lambda self: self.tickets)
    @rule(pick=picks)
    def a_ticket_is_deleted(self, pick: int) -> None:
        ticket = self.picked(self.tickets, pick)
        assert self.world.call("DELETE", f"/tickets/{ticket['number']}").status_code == 200
        assert self.world.call("DELETE", f"/tickets/{ticket['id']}").status_code == 404

        del self.tickets[ticket["id"]]
        self.trash[ticket["id"]] = {**ticket, "version": ticket["version"] + 1}
        self.facts += 1

    @precondition(lambda self: self.trash)
    @rule(pick=picks)
    def a_ticket_is_restored(self, pick: int) -> None:
        ticket = self.picked(self.trash, pick)
        answer = self.world.call("POST", f"/tickets/{ticket['id']}/restore")

        back = answer.json()["data"]
        has_left = ticket["assigned_to"] in self.gone and ticket["status"] in OPEN
        assert back == {
            **ticket,
            "version": ticket["version"] + 1,
            "updated_at": back["updated_at"],
            "assigned_to": None if has_left else ticket["assigned_to"],
        }
        del self.trash[ticket["id"]]
        self.tickets[ticket["id"]] = back
        self.facts += 1

    @rule(
        status=st.lists(statuses, max_size=3),
        priority=st.lists(priorities, max_size=3),
        order=st.sampled_from(ORDERS),
        pick=st.none() | st.integers(-1, 5),
        limit=st.integers(1, 5),
    )
    def someone_looks(
        self, status: list[str], priority: list[str], order: str, pick: int | None, limit: int
    ) -> None:
        who = "none" if pick is None else self.someone(pick)
        params: Body = {"sort": order, "limit": limit}
        params |= {"status": status} if status else {}
        params |= {"priority": ",".join(priority)} if priority else {}
        params |= {"assigned_to": who} if pick != -1 else {}
        wanted = [
            ticket
            for ticket in self.tickets.values()
            if (not status or ticket["status"] in status)
            and (not priority or ticket["priority"] in priority)
            and (pick == -1 or (ticket["assigned_to"] or "none") == who)
        ]

        async def look() -> list[Body]:
            return [each async for page in pages(self.world.client, **params) for each in page]

        found = self.world.run(look())
        assert found == sorted(wanted, key=key_of(order), reverse=order.startswith("-"))

    @invariant()
    def everything_is_as_it_should_be(self) -> None:
        async def look() -> tuple[list[Body], list[Body], list[Body], int]:
            client = self.world.client
            every, trash, agents = [
                [each async for page in pages(client, f"/api/{path}", limit=200) for each in page]
                for path in ("tickets", "trash/tickets", "agents")
            ]
            return every, trash, agents, len(await facts(self.world.database))

        every, trash, agents, count = self.world.run(look())
        assert {each["id"]: each for each in every} == self.tickets
        for each in trash:
            assert each.pop("deleted_at")
        assert {each["id"]: each for each in trash} == self.trash
        assert {each["id"]: each for each in agents} == self.agents
        assert count == self.facts

    def picked(self, things: dict[str, Body], pick: int) -> Body:
        return list(things.values())[pick % len(things)]

    def someone(self, pick: int | None) -> str | None:
        """An agent, sometimes one who has left or never was, or nobody."""
        if pick is None:
            return None
        return ([*self.agents, UNKNOWN])[pick % (len(self.agents) + 1)]

    def with_agent(self, asked: Body) -> Body:
        if "assigned_to" not in asked:
            return asked
        pick = asked["assigned_to"]
        return {**asked, "assigned_to": None if pick % 5 == 0 else self.someone(pick)}

    def expected(self, ticket: Body, wanted: Body) -> Body:
        found = {**ticket, **wanted}
        is_opened = ticket["status"] not in OPEN and found["status"] in OPEN
        if is_opened and "assigned_to" not in wanted and found["assigned_to"] in self.gone:
            found["assigned_to"] = None
        return found

    def is_changed(self, ticket: Body, wanted: Body, answer: httpx.Response) -> None:
        assert answer.status_code == 200, answer.text
        now = answer.json()["data"]
        expected = self.expected(ticket, wanted)
        if expected == ticket:
            assert now == ticket
            return
        assert now == {
            **expected,
            "version": ticket["version"] + 1,
            "updated_at": now["updated_at"],
        }
        assert now["updated_at"] > ticket["updated_at"]
        self.tickets[ticket["id"]] = now
        self.facts += 1

    def takes_over(self, ticket_id: str, wanted: Body) -> None:
        now = self.world.call("GET", f"/tickets/{ticket_id}").json()["data"]
        ticket = self.tickets[ticket_id]
        expected = {**ticket, **wanted, "version": ticket["version"] + 1}
        assert now == {**expected, "updated_at": now["updated_at"]}
        self.tickets[ticket_id] = now


def key_of(order: str) -> Any:
    def key(ticket: Body) -> tuple[Any, ...]:
        if order.endswith("priority"):
            return PRIORITIES.index(ticket["priority"]), ticket["created_at"], ticket["id"]
        return ticket["updated_at" if order.endswith("updated") else "created_at"], ticket["id"]

    return key


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[tuple[httpx.AsyncClient, Database]]:
    database = await open_database(url, size=6)
    edge = app.build(database, Tail(database), LocalOwner())
    transport = httpx.ASGITransport(edge)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client, database
    await database.close()


@pytest.fixture
def world(server_url: str) -> Iterator[World]:
    name = f"model_{os.getpid()}"
    with asyncio.Runner() as runner:
        runner.run(command(server_url, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}"))
        context = opened(on(server_url, name))
        client, database = runner.run(context.__aenter__())
        yield World(runner, client, database)
        runner.run(context.__aexit__(None, None, None))
        runner.run(command(server_url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.mark.timeout(900)
def test_the_application_does_as_the_model_says(world: World) -> None:
    machine = type("HelpDesk", (HelpDesk,), {"world": world})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=CASES,
            stateful_step_count=25,
            deadline=None,
            database=None,
            derandomize=CASES <= 20,
            suppress_health_check=list(HealthCheck),
        ),
    )
