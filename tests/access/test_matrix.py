"""
Every role, as an agent and as a service, at every call about a ticket, for every kind of
ticket: the answer is what the table of permissions and the ticket's team say, and nothing else.

The calls are those of the application, so a new one is asked too.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx
import pytest

from pullse import app
from pullse.agents.permissions import ROLES
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.kit.web import Call
from tests.access.people import calling, give, hire
from tests.api.calls import Body, get, new_ticket
from tests.teams.calls import new_team

CALLS = [call for call in app.calls if "{ticket}" in call.path]
LISTS = {
    "/api/tickets": "title",
    "/api/trash/tickets": "title",
    "/api/events": "ticket_id",
}
KINDS = ("of no team", "of an open team", "of a private team, mine", "of a private team, not mine")
HOLDERS = ("agent", "service")
BODIES = {"PATCH": {"priority": "high"}, "POST": {}}


@dataclass
class Desk:
    operator: httpx.AsyncClient
    caller: httpx.AsyncClient
    tickets: dict[str, Body]
    trashed: dict[str, Body]

    def sees(self, kind: str, role: str, holder: str) -> bool:
        if kind == "of a private team, mine":
            return holder == "agent" or "tickets:private" in ROLES[role]
        return "not mine" not in kind or "tickets:private" in ROLES[role]


@pytest.fixture(params=[(role, holder) for role in ROLES for holder in HOLDERS], ids=" ".join)
def who(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
async def desk(who: tuple[str, str], served: Edge, database: Database) -> AsyncIterator[Desk]:
    role, holder = who
    agent = await hire(database, "Ada", role)
    token = await give(database, agent) if holder == "agent" else await give(database, role=role)
    async with AsyncExitStack() as stack:
        operator = await stack.enter_async_context(calling(served))
        caller = await stack.enter_async_context(calling(served, token))
        teams = [None]
        for name, is_private in (("Open", False), ("Mine", True), ("Theirs", True)):
            teams.append((await new_team(operator, name, is_private=is_private))["id"])
        assert (await operator.put(f"/api/teams/{teams[2]}/members/{agent}")).status_code == 200
        made = [
            {
                kind: await new_ticket(operator, f"{word} {kind}", team_id=team)
                for kind, team in zip(KINDS, teams, strict=True)
            }
            for word in ("A ticket", "Trash")
        ]
        for ticket in made[1].values():
            assert (await operator.delete(f"/api/tickets/{ticket['id']}")).status_code == 200
        yield Desk(operator, caller, *made)


def cases() -> Iterator[tuple[Call, str, str]]:
    for call in CALLS:
        for kind in KINDS:
            for name in ("id", "number"):
                yield call, kind, name


async def test_each_call_answers_as_the_table_and_the_team_say(
    desk: Desk, who: tuple[str, str]
) -> None:
    role, holder = who
    count = 0
    for call, kind, name in cases():
        is_of_trash = call.path.endswith("/restore")
        ticket = (desk.trashed if is_of_trash else desk.tickets)[kind]
        path = call.path.replace("{ticket}", str(ticket[name]))
        answer = await desk.caller.request(call.method, path, json=BODIES.get(call.method))
        if call.permission not in ROLES[role]:
            wanted = {403}
        elif not desk.sees(kind, role, holder):
            wanted = {404}
        else:
            wanted = {200, 201}
        assert answer.status_code in wanted, (call.name, kind, name, answer.text)
        count += 1
        await put_back(desk, ticket, is_of_trash=is_of_trash)
    assert count == len(CALLS) * len(KINDS) * 2 >= 40


async def put_back(desk: Desk, ticket: Body, *, is_of_trash: bool) -> None:
    path = f"/api/tickets/{ticket['id']}"
    is_there = (await desk.operator.get(path)).status_code == 200
    if is_there and is_of_trash:
        await desk.operator.delete(path)
    elif not is_there and not is_of_trash:
        await desk.operator.post(f"{path}/restore")


@pytest.mark.parametrize("path", LISTS)
async def test_each_list_has_what_one_may_see_and_all_of_it(
    desk: Desk, who: tuple[str, str], path: str
) -> None:
    role, holder = who
    field = LISTS[path]
    trashed = [] if path == "/api/tickets" else list(desk.trashed.items())
    living = [] if path == "/api/trash/tickets" else list(desk.tickets.items())
    key = "id" if field == "ticket_id" else "title"
    wanted = {ticket[key] for kind, ticket in [*trashed, *living] if desk.sees(kind, role, holder)}
    page = await get(desk.caller, path, limit=200)
    found = {each[field] for each in page["records"] if each[field] is not None}
    assert found == wanted
