"""Teams and their members, as pages."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from pullse.access.pages import teams
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.people import calling, hire
from tests.access.sign_in import audited, browser, enter, hire_with_password
from tests.api.calls import Body, facts
from tests.web.visiting import led_to, parsed, send, sign_in, visitor

HERE = "/teams"


async def made(client: httpx.AsyncClient, name: str = "Billing", **more: str) -> str:
    """The address of the new team's page."""
    answer = await send(client, HERE, {"name": name} | more)
    return led_to(answer).removesuffix("?done=created")


async def opened(served: Edge, team: str, assigned_to: Any = None) -> Body:
    """A ticket of the team."""
    fields: dict[str, Any] = {"title": "A question", "description": "How?"}
    fields |= {"team_id": team.rpartition("/")[2]}
    if assigned_to is not None:
        fields["assigned_to"] = str(assigned_to)
    async with calling(served) as operator:
        answer = await operator.post("/api/tickets", json=fields)
        assert answer.status_code == 201, answer.text
        ticket: Body = answer.json()["data"]
        return ticket


async def ticket_now(served: Edge, ticket: Body) -> Body:
    async with calling(served) as operator:
        found: Body = (await operator.get(f"/api/tickets/{ticket['id']}")).json()["data"]
        return found


async def test_a_team_from_its_name_to_its_end(served: Edge, database: Database) -> None:
    ada = await hire_with_password(database, "Ada", "admin")
    ben = await hire_with_password(database, "Ben")
    async with visitor(served) as client:
        await sign_in(client)
        assert HERE in [each["href"] for each in parsed(await client.get("/")).all("a")]
        assert "none yet" in (await client.get(HERE)).text
        team = await made(client)
        page = await client.get(f"{team}?done=created")
        assert "Say who is in it" in page.text
        assert "Nobody is in it yet" in page.text
        chosen = {each["value"] for each in parsed(page).all("option")}
        assert chosen == {str(ada), str(ben)}

        answer = await send(client, f"{team}/members", {"agent": ben})
        assert led_to(answer) == f"{team}?done=joined"
        page = await client.get(team)
        assert "ben@example.org" in page.text
        assert {each["value"] for each in parsed(page).all("option")} == {str(ada)}

        version = parsed(await client.get(team)).field("version")["value"]
        answer = await send(client, f"{team}/rename", {"name": "Refunds", "version": version})
        assert led_to(answer) == f"{team}?done=renamed"
        assert "Refunds" in parsed(await client.get(HERE)).text

        answer = await send(client, f"{team}/members/{ben}/remove")
        assert led_to(answer) == f"{team}?done=left"
        assert "Nobody is in it yet" in (await client.get(team)).text

        assert led_to(await send(client, f"{team}/delete")) == f"{HERE}?done=deleted"
        assert (await client.get(team)).status_code == 404
        assert "is deleted" in (await client.get(f"{HERE}?done=deleted")).text
    names = [fact.name for fact in await facts(database)]
    expected = [f"team.{each}" for each in ("created", "joined", "changed", "left", "deleted")]
    assert [name for name in names if name.startswith("team.")] == expected
    for name in expected:
        ((actor, _, _),) = await audited(database, name)
        assert actor == f"agent:{ada}"


async def test_a_team_that_becomes_private_takes_tickets_from_outsiders(
    served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada", "admin")
    ben = await hire_with_password(database, "Ben")
    async with visitor(served) as client, browser(served) as other:
        await sign_in(client)
        await enter(other, "Ben")
        team = await made(client)
        ticket = await opened(served, team, ben)
        at = f"/api/tickets/{ticket['id']}"
        assert (await other.get(at)).status_code == 200
        assert "becomes unassigned" in (await client.get(team)).text
        answer = await send(client, f"{team}/privacy", {"is_private": "yes"})
        assert led_to(answer) == f"{team}?done=private"
        assert (await other.get(at)).status_code == 404
        assert (await ticket_now(served, ticket))["assigned_to"] is None
        assert "all agents see its tickets" in (await client.get(team)).text

        await send(client, f"{team}/members", {"agent": ben})
        assert (await other.get(at)).status_code == 200
        await send(client, f"{team}/members/{ben}/remove")
        assert (await other.get(at)).status_code == 404
        answer = await send(client, f"{team}/privacy", {"is_private": "no"})
        assert led_to(answer) == f"{team}?done=open"
        assert (await other.get(at)).status_code == 200


async def test_who_leaves_a_private_team_leaves_its_tickets(
    served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada", "admin")
    ben = await hire_with_password(database, "Ben")
    async with visitor(served) as client:
        await sign_in(client)
        team = await made(client, is_private="yes")
        assert "for its members alone" in (await client.get(team)).text.lower()
        await send(client, f"{team}/members", {"agent": ben})
        ticket = await opened(served, team, ben)
        await send(client, f"{team}/members/{ben}/remove")
        assert (await ticket_now(served, ticket))["assigned_to"] is None


async def test_a_team_with_tickets_stays(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada", "admin")
    async with visitor(served) as client:
        await sign_in(client)
        team = await made(client)
        await opened(served, team)
        answer = await send(client, f"{team}/delete")
        assert answer.status_code == 409
        assert "Tickets belong to this team" in answer.text
        assert (await client.get(team)).status_code == 200
    assert await audited(database, "team.deleted") == []


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"name": "BILLING"}, 409),
        ({"name": ""}, 400),
        ({"name": "  "}, 400),
        ({"name": "x" * 201}, 400),
        ({"name": "a\0b"}, 400),
    ],
    ids=["taken", "empty", "blank", "long", "nul"],
)
async def test_a_name_that_may_not_be_is_told_beside_its_field(
    fields: Any, status: int, served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada", "admin")
    async with visitor(served) as client:
        await sign_in(client)
        await made(client)
        team = await made(client, "Refunds")
        for path in (HERE, f"{team}/rename"):
            more = {} if path == HERE else {"version": "1"}
            answer = await send(client, path, fields | more)
            assert answer.status_code == status, path
            assert parsed(answer).problem("name")
        assert "Refunds" in parsed(await client.get(team)).text
    assert len(await audited(database, "team.created")) == 2
    assert await audited(database, "team.changed") == []


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("", {"name": "A", "is_private": "true"}),
        ("", {"name": "A", "id": str(uuid4())}),
        ("{team}/privacy", {}),
        ("{team}/privacy", {"is_private": "maybe"}),
        ("{team}/rename", {"name": "A", "version": "1", "is_private": "yes"}),
        ("{team}/rename", {"name": "A"}),
        ("{team}/rename", {"name": "A", "version": "-1"}),
        ("{team}/members", {}),
        ("{team}/members", {"agent": "nobody"}),
        ("{team}/members", {"agent": "<script>"}),
    ],
)
async def test_what_the_forms_do_not_send_changes_nothing(
    path: str, fields: Any, served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada", "admin")
    async with visitor(served) as client:
        await sign_in(client)
        team = await made(client)
        answer = await send(client, path.replace("{team}", team) or HERE, fields)
        assert answer.status_code == 400
        assert "<script>" not in answer.text
    assert len(await audited(database, "team.created")) == 1
    assert await audited(database, "team.changed") == await audited(database, "team.joined") == []


async def test_another_admins_name_is_not_overwritten_without_a_word(
    served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada", "admin")
    await hire_with_password(database, "Ben", "admin")
    async with visitor(served) as ada, visitor(served) as ben:
        await sign_in(ada)
        await sign_in(ben, "Ben")
        team = await made(ada)
        seen = parsed(await ben.get(team)).field("version")["value"]
        await send(ada, f"{team}/rename", {"name": "Refunds", "version": seen})
        answer = await send(ben, f"{team}/rename", {"name": "Money", "version": seen})
        assert answer.status_code == 412
        page = parsed(answer)
        assert "Somebody changed this team while you wrote" in page.text
        assert "Refunds" in page.text
        assert page.field("name")["value"] == "Money"
        fields = {"name": "Money", "version": page.field("version")["value"]}
        assert led_to(await send(ben, f"{team}/rename", fields)) == f"{team}?done=renamed"


@pytest.mark.parametrize("team", [uuid4(), "nonsense", UUID(int=0), "%00", "..%2f..%2fetc"])
async def test_a_team_that_is_not_there_is_404(team: Any, served: Edge, database: Database) -> None:
    ada = await hire_with_password(database, "Ada", "admin")
    async with visitor(served) as client:
        await sign_in(client)
        at = f"{HERE}/{team}"
        answers = [
            await client.get(at),
            await send(client, f"{at}/rename", {"name": "A"}),
            await send(client, f"{at}/privacy", {"is_private": "yes"}),
            await send(client, f"{at}/members", {"agent": ada}),
            await send(client, f"{at}/members/{ada}/remove"),
            await send(client, f"{at}/delete"),
        ]
        assert [each.status_code for each in answers] == [404] * 6
        real = await made(client)
        for agent in (uuid4(), UUID(int=0)):
            assert (await send(client, f"{real}/members", {"agent": agent})).status_code == 404
        assert (await send(client, f"{real}/members/nonsense/remove")).status_code == 404


@pytest.mark.parametrize("role", ["agent", "collaborator", "read_only"])
async def test_teams_are_for_admins(role: str, served: Edge, database: Database) -> None:
    """A private team's page too, whoever is in it."""
    ben = await hire_with_password(database, "Ben", role)
    async with visitor(served) as client, calling(served) as operator:
        body = {"name": "People", "is_private": True}
        team = (await operator.post("/api/teams", json=body)).json()["data"]["id"]
        await operator.put(f"/api/teams/{team}/members/{ben}")
        await sign_in(client, "Ben")
        assert (await client.get(HERE)).status_code == 403
        assert HERE not in (await client.get("/")).text
        for path, fields in (
            ("", None),
            ("/rename", {"name": "A"}),
            ("/privacy", {"is_private": "no"}),
            ("/members", {"agent": ben}),
            (f"/members/{ben}/remove", {}),
            ("/delete", {}),
        ):
            at = f"{HERE}/{team}{path}"
            answer = await (client.get(at) if fields is None else send(client, at, fields))
            assert answer.status_code == 403, path
        assert (await operator.get(f"/api/teams/{team}")).json()["data"]["version"] == 1


async def test_long_lists_have_next_pages(
    served: Edge, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teams, "ON_A_PAGE", 3)
    monkeypatch.setattr(teams, "OTHERS_AT_MOST", 2)
    await hire_with_password(database, "Ada", "admin")
    people = [await hire(database, f"Agent{number}") for number in range(7)]
    async with visitor(served) as client:
        await sign_in(client)
        team = await made(client, "Team0")
        for number in range(1, 5):
            await made(client, f"Team{number}")
        for agent in people[:4]:
            await send(client, f"{team}/members", {"agent": agent})
        for path, last in ((HERE, "Team4"), (team, "agent3@")):
            first = await client.get(path)
            assert last not in first.text.partition("<main")[2]  # the side bar has all
            links = [str(each["href"]) for each in parsed(first).all("a")]
            (more,) = [each for each in links if each.startswith(f"{path}?cursor")]
            assert last in parsed(await client.get(more)).text
            assert (await client.get(f"{path}?cursor=x")).status_code == 400
        page = await client.get(team)
        assert len(parsed(page).all("option")) == 2
        assert "by name; for others there is the API" in page.text


async def test_a_name_is_text(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada", "admin")
    name = '"><script>alert(1)</script>{{ 7 * 7 }}'
    async with visitor(served) as client:
        await sign_in(client)
        team = await made(client, name)
        for path in (HERE, team):
            page = await client.get(path)
            assert "<script>" not in page.text
            assert name in parsed(page).text
        assert parsed(await client.get(team)).field("name")["value"] == name
