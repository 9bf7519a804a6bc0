"""The owner of pullse dev works as one of the agents, to see how that is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx
import pytest

from pullse import app
from pullse.access.finder import SessionFinder
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.kit.guard import LocalOwner
from pullse.kit.secret import Secret
from pullse.kit.tail import Tail
from tests.access.people import hire, run
from tests.access.sign_in import OURS, audited, hire_with_password
from tests.conftest import SECRET
from tests.web.visiting import ACCEPT, led_to, parsed, send, sign_in, visitor


@pytest.fixture
def local(database: Database, tail: Tail) -> Edge:
    """As `pullse dev` has it."""
    guard = LocalOwner(find_session=SessionFinder(database))
    return app.build(database, tail, guard, secret=Secret(SECRET))


@asynccontextmanager
async def browser(edge: Edge) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(edge, raise_app_exceptions=True)  # type: ignore[arg-type]
    async with httpx.AsyncClient(
        transport=transport, base_url="http://localhost", headers=OURS | {"Accept": ACCEPT}
    ) as client:
        yield client


async def test_one_chooses_an_agent_and_is_it_until_one_signs_out(
    local: Edge, database: Database
) -> None:
    ada = str(await hire(database, "Ada"))
    async with browser(local) as one, browser(local) as other:
        assert 'href="/sign-in/as"' in (await one.get("/")).text
        page = await one.get("/sign-in/as")
        assert [each["value"] for each in parsed(page).all("button")] == [ada]
        assert led_to(await send(one, "/sign-in/as", {"agent_id": ada})) == "/"
        me = (await one.get("/api/me")).json()["data"]
        assert (me["id"], me["role"]) == (f"agent:{ada}", "agent")
        assert 'href="/sign-in/as"' not in (await one.get("/")).text
        assert (await other.get("/api/me")).json()["data"]["id"] == "owner"
        await send(one, "/sign-out")
        assert (await one.get("/api/me")).json()["data"]["id"] == "owner"


async def test_who_was_only_invited_is_active_then_and_it_is_in_the_audit_trail(
    local: Edge, database: Database
) -> None:
    ada = str(await hire(database, "Ada"))
    async with browser(local) as client:
        await send(client, "/sign-in/as", {"agent_id": ada})
        assert (await client.get(f"/api/agents/{ada}")).json()["data"]["state"] == "active"
    assert [
        '"means": ["local"]' in data for _, data, _ in await audited(database, "sign_in.succeeded")
    ] == [True]
    assert len(await audited(database, "agent.enabled")) == 1


async def test_nobody_but_the_owner_of_the_machine_does_so(
    served: Edge, database: Database
) -> None:
    ben = str(await hire(database, "Ben"))
    ada_id = await hire_with_password(database, "Ada", "owner")
    async with visitor(served) as ada:
        await sign_in(ada)
        assert (await ada.get("/sign-in/as")).status_code == 403
        assert (await send(ada, "/sign-in/as", {"agent_id": ben})).status_code == 403
        assert (await ada.get("/api/me")).json()["data"]["id"] == f"agent:{ada_id}"


async def test_who_left_or_was_never_there_is_nobody_to_be(local: Edge, database: Database) -> None:
    ada = str(await hire(database, "Ada"))
    await run(database, "UPDATE agents SET state = 'disabled'")
    async with browser(local) as client:
        assert not parsed(await client.get("/sign-in/as")).all("button")
        for agent_id in (ada, str(uuid4())):
            assert (await send(client, "/sign-in/as", {"agent_id": agent_id})).status_code == 404
        for fields in ({}, {"agent_id": "ada"}, {"agent_id": ada, "more": "1"}):
            assert (await send(client, "/sign-in/as", fields)).status_code == 400
        assert (await client.get("/api/me")).json()["data"]["id"] == "owner"
