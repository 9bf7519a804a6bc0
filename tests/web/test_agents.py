"""Who is here: invitations, links, roles, the end of an agent's access."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.people import calling, hire
from tests.access.sign_in import PASSWORD, audited, hire_with_password
from tests.web.visiting import led_to, once, parsed, send, sign_in, visitor

BEN = {"email": "ben@example.org", "name": "Ben", "role": "agent"}


async def test_an_invitation_lets_somebody_in(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada", "admin")
    async with visitor(served) as client, visitor(served) as ben:
        await sign_in(client)
        made = await send(client, "/agents/invite", BEN)
        assert made.status_code == 201
        address = once(made)
        assert address.startswith("http://pullse.example/links/")
        path = address.removeprefix("http://pullse.example")
        page = parsed(await ben.get(path))
        assert page.field("name")["value"] == "Ben"
        await send(ben, path, {"name": "Ben", "password": PASSWORD, "repeated": PASSWORD})
        assert led_to(await sign_in(ben, "Ben")) == "/"
        assert "Active" in (await client.get("/agents")).text
    assert len(await audited(database, "agent.invited")) == 1
    assert len(await audited(database, "link.made")) == 1


@pytest.mark.parametrize(
    ("more", "status", "field"),
    [
        ({"email": "no address"}, 400, "email"),
        ({"email": "ADA@example.org"}, 409, "email"),
        ({"email": ""}, 400, "email"),
        ({"name": "x" * 201}, 400, "name"),
        ({"role": "king"}, 400, None),
        ({"role": "owner"}, 403, None),
        ({"state": "active"}, 400, None),
    ],
)
async def test_an_invitation_that_may_not_be_makes_nothing(
    more: Any, status: int, field: str | None, served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada", "admin")
    async with visitor(served) as client:
        await sign_in(client)
        answer = await send(client, "/agents/invite", BEN | more)
        assert answer.status_code == status
        assert field is None or parsed(answer).problem(field)
    async with database.session() as db:
        assert await db.value("SELECT count(*) FROM agents") == 1
        assert await db.value("SELECT count(*) FROM links") == 0


async def test_who_is_disabled_is_out(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada", "admin")
    ben = await hire_with_password(database, "Ben")
    async with visitor(served) as client, visitor(served) as other:
        await sign_in(client)
        await sign_in(other, "Ben")
        answer = await send(client, f"/agents/{ben}", {"state": "disabled"})
        assert led_to(answer) == f"/agents/{ben}?done=changed"
        assert "Disabled" in (await client.get(led_to(answer))).text
        assert led_to(await other.get("/account")).startswith("/sign-in")
        assert (await sign_in(other, "Ben")).status_code == 401
        await send(client, f"/agents/{ben}", {"state": "active"})
        assert led_to(await sign_in(other, "Ben")) == "/"


async def test_a_role_and_a_reset(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada", "admin")
    ben = await hire_with_password(database, "Ben")
    async with visitor(served) as client:
        await sign_in(client)
        await send(client, f"/agents/{ben}", {"role": "read_only"})
        assert "Read only" in (await client.get(f"/agents/{ben}")).text
        made = await send(client, f"/agents/{ben}/link")
        assert made.status_code == 201
        assert "another password" in made.text


async def test_all_sessions_of_an_agent_are_ended(served: Edge, database: Database) -> None:
    ada = await hire_with_password(database, "Ada", "admin")
    ben = await hire_with_password(database, "Ben")
    async with visitor(served) as client, visitor(served) as other:
        await sign_in(client)
        await sign_in(other, "Ben")
        answer = await send(client, f"/agents/{ben}/end-sessions")
        assert led_to(answer) == f"/agents/{ben}?done=sessions_ended"
        assert "have ended" in (await client.get(led_to(answer))).text
        assert led_to(await other.get("/account")).startswith("/sign-in")
        assert led_to(await sign_in(other, "Ben")) == "/"
    ((actor, data, _),) = await audited(database, "session.ended")
    assert (actor, '"count": 1' in data) == (f"agent:{ada}", True)


async def test_sessions_of_an_agent_are_shown_and_one_is_ended(
    served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada", "admin")
    ben = await hire_with_password(database, "Ben")
    here = f"/agents/{ben}"
    strange = {"User-Agent": "<b>Kiosk</b>", "address": "198.51.100.7"}
    async with visitor(served) as client, visitor(served, **strange) as kiosk:
        await sign_in(client)
        assert "None is open." in (await client.get(here)).text
        await sign_in(kiosk, "Ben")
        page = await client.get(here)
        assert "198.51.100.7" in page.text
        assert "&lt;b&gt;Kiosk&lt;" in page.text
        assert "<b>Kiosk" not in page.text
        (form,) = [each for each in parsed(page).all("form") if "sessions/" in str(each["action"])]
        assert led_to(await send(client, str(form["action"]))) == f"{here}?done=session_ended"
        assert "The session has ended." in (await client.get(f"{here}?done=session_ended")).text
        assert led_to(await kiosk.get("/")).startswith("/sign-in")
        assert (await send(client, str(form["action"]))).status_code == 404
        assert led_to(await client.get(str(form["action"]))) == here
        page = await client.get("/audit?name=session.ended")
        assert "Ben" in parsed(page).text


async def test_nobody_gets_above_themselves(served: Edge, database: Database) -> None:
    ada = await hire_with_password(database, "Ada", "admin")
    olga = await hire_with_password(database, "Olga", "owner")
    async with visitor(served) as client:
        await sign_in(client)
        for path, fields in (
            (f"/agents/{ada}", {"role": "owner"}),
            (f"/agents/{ada}", {"state": "disabled"}),
            (f"/agents/{ada}/link", {}),
            (f"/agents/{olga}", {"role": "agent"}),
            (f"/agents/{olga}", {"state": "disabled"}),
            (f"/agents/{olga}/link", {}),
            (f"/agents/{ada}/end-sessions", {}),
            (f"/agents/{olga}/end-sessions", {}),
            (f"/agents/{olga}/sessions/{olga}/end", {}),
        ):
            answer = await send(client, path, fields)
            assert answer.status_code == 403, path
            assert "<h1>" in answer.text
    async with database.session() as db:
        rows = await db.rows("SELECT role, state FROM agents ORDER BY name")
        assert [tuple(row) for row in rows] == [("admin", "active"), ("owner", "active")]


@pytest.mark.parametrize("role", ["agent", "collaborator", "read_only"])
async def test_agents_are_for_admins(role: str, served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada", role)
    async with visitor(served) as client:
        await sign_in(client)
        assert (await client.get("/agents")).status_code == 403
        assert (await send(client, "/agents/invite", BEN)).status_code == 403
        assert "Not for you" in (await client.get("/agents")).text


@pytest.mark.parametrize("agent", [uuid4(), "nonsense", UUID(int=0), "%00", "..%2f..%2fetc"])
async def test_who_is_not_there_is_404(agent: Any, served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada", "admin")
    async with visitor(served) as client:
        await sign_in(client)
        assert (await client.get(f"/agents/{agent}")).status_code == 404
        for fields in ({"role": "agent"}, {"state": "disabled"}):
            assert (await send(client, f"/agents/{agent}", fields)).status_code == 404
        for path in ("link", "end-sessions", f"sessions/{uuid4()}/end"):
            assert (await send(client, f"/agents/{agent}/{path}")).status_code == 404


async def test_a_long_list_has_a_next_page(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada", "admin")
    for number in range(101):
        await hire(database, f"Agent{number:03}")
    async with visitor(served) as client:
        await sign_in(client)
        first = await client.get("/agents")
        (more,) = [
            str(each["href"])
            for each in parsed(first).all("a")
            if str(each["href"]).startswith("/agents?")
        ]
        second = await client.get(more)
        assert "agent100@example.org" in second.text
        assert "agent100@example.org" not in first.text
        assert (await client.get("/agents?cursor=x")).status_code == 400


async def test_a_name_and_an_address_are_changed_and_no_other_admins_words_lost(
    served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada", "admin")
    ben = await hire_with_password(database, "Ben")
    at = f"/agents/{ben}"
    async with visitor(served) as client:
        await sign_in(client)
        page = parsed(await client.get(at))
        assert page.field("name")["value"] == "Ben"
        fields = {"name": "Benedict", "email": "b@example.org"}
        version = {"version": page.field("version")["value"]}
        answer = await send(client, f"{at}/name", fields | version)
        assert led_to(answer) == f"{at}?done=changed"
        assert "b@example.org" in (await client.get(at)).text
        answer = await send(client, f"{at}/name", fields | version | {"name": "Benno"})
        assert answer.status_code == 412
        assert "Somebody changed this agent" in answer.text
        assert parsed(answer).field("name")["value"] == "Benno"
        version = {"version": parsed(answer).field("version")["value"]}
        for wrong, status, field in (
            ({"email": "ada@example.org"}, 409, "email"),
            ({"email": "no address"}, 400, "email"),
            ({"name": " "}, 400, "name"),
            ({"version": "x"}, 400, None),
            ({"role": "owner"}, 400, None),
        ):
            answer = await send(client, f"{at}/name", fields | version | wrong)
            assert answer.status_code == status, wrong
            assert field is None or parsed(answer).problem(field)
        assert "Benedict" in (await client.get(at)).text


async def test_who_is_removed_is_out_and_leaves_what_is_open_to_nobody(
    served: Edge, database: Database
) -> None:
    ada = await hire_with_password(database, "Ada", "admin")
    ben = await hire_with_password(database, "Ben")
    olga = await hire_with_password(database, "Olga", "owner")
    async with visitor(served) as client, visitor(served) as other, calling(served) as operator:
        await sign_in(client)
        await sign_in(other, "Ben")
        body = {"title": "A question", "description": "How?", "assigned_to": str(ben)}
        ticket = (await operator.post("/api/tickets", json=body)).json()["data"]["id"]
        answer = await send(client, f"/agents/{ben}/remove")
        assert led_to(answer) == "/agents?done=removed"
        assert "The agent is removed." in (await client.get(led_to(answer))).text
        assert led_to(await other.get("/account")).startswith("/sign-in")
        found = (await operator.get(f"/api/tickets/{ticket}")).json()["data"]
        assert found["assigned_to"] is None
        assert (await send(client, f"/agents/{ben}/remove")).status_code == 404
        assert (await send(client, f"/agents/{olga}/remove")).status_code == 403
    ((actor, _, _),) = await audited(database, "agent.deleted")
    assert actor == f"agent:{ada}"
