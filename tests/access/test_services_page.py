"""Tokens of services, and everybody's, as a page for admins."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from pullse.access.pages import services
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.people import calling, give, run
from tests.access.sign_in import audited, hire_with_password
from tests.web.visiting import led_to, once, parsed, send, sign_in, visitor

NEW = {"name": "Export", "role": "read_only", "expires": "365"}


async def id_of(database: Database) -> Any:
    """Of the newest token."""
    async with database.session() as db:
        return await db.value("SELECT id FROM api_tokens ORDER BY id DESC LIMIT 1")


async def test_a_service_from_its_token_to_its_end(served: Edge, database: Database) -> None:
    ada = await hire_with_password(database, "Ada", "admin")
    async with visitor(served) as client:
        await sign_in(client)
        assert "There are none" in (await client.get("/services")).text
        answer = await send(client, "/services", NEW | {"scopes": ["tickets:read", "me:read"]})
        assert answer.status_code == 201
        first = once(answer)
        async with calling(served, first) as service:
            me = (await service.get("/api/me")).json()["data"]
            assert (me["kind"], me["role"]) == ("service", "read_only")
            assert me["permissions"] == ["me:read", "tickets:read"]
            token = await id_of(database)
            page = await client.get("/services")
            assert "Export" in page.text
            assert first not in page.text

            answer = await send(client, f"/services/{token}/rotate", {"overlap": "none"})
            assert answer.status_code == 201
            second = once(answer)
            assert (await service.get("/api/me")).status_code == 401
        async with calling(served, second) as service:
            assert (await service.get("/api/me")).status_code == 200
            token = await id_of(database)
            answer = await send(client, f"/services/{token}/revoke")
            assert led_to(answer) == "/services?done=revoked"
            assert "good no longer" in (await client.get(led_to(answer))).text
            assert (await service.get("/api/me")).status_code == 401
        page = await client.get("/services?show=ended")
        assert page.text.count('scope="row"') == 2
    for name in ("token.created", "token.rotated", "token.revoked"):
        ((actor, _, _),) = await audited(database, name)
        assert actor == f"agent:{ada}"


async def test_an_overlap_keeps_the_old_one_for_a_while(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada", "admin")
    old = await give(database, role="read_only")
    token = await id_of(database)
    async with visitor(served) as client, calling(served, old) as service:
        await sign_in(client)
        await send(client, f"/services/{token}/rotate", {"overlap": "day"})
        assert (await service.get("/api/me")).status_code == 200
        async with database.session() as db:
            until = await db.value("SELECT expires_at FROM api_tokens WHERE id = $1", token)
        assert timedelta(hours=23) < until - datetime.now(UTC) <= timedelta(days=1)


async def test_each_tab_has_its_tokens(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada", "admin")
    ben = await hire_with_password(database, "Ben")
    eve = await hire_with_password(database, "Eve")
    for holder, name in ((ben, "Of Ben"), (eve, "Of Eve"), (None, "Service"), (None, "Old")):
        await give(database, holder, role=None if holder else "agent")
        await run(database, "UPDATE api_tokens SET name = $1 WHERE name = 'A token'", name)
    await run(database, "UPDATE agents SET state = 'disabled' WHERE id = $1", eve)
    await run(
        database,
        """
        UPDATE api_tokens SET created_at = now() - interval '1 h', expires_at = now()
         WHERE name = 'Old'
        """,
    )
    async with visitor(served) as client:
        await sign_in(client)
        for tab, wanted in (
            ("services", {"Service"}),
            ("agents", {"Of Ben"}),
            ("ended", {"Of Eve", "Old"}),
        ):
            text = parsed(await client.get(f"/services?show={tab}")).text
            assert {n for n in ("Of Ben", "Of Eve", "Service\n", "Old") if n in text} <= {
                *wanted,
                "Service\n",
            }
            assert all(each in text for each in wanted)


async def test_more_tokens_than_a_page_holds_are_behind_more(
    served: Edge, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "ON_A_PAGE", 2)
    await hire_with_password(database, "Ada", "admin")
    for _ in range(3):
        await give(database, role="agent")
    async with visitor(served) as client:
        await sign_in(client)
        page = parsed(await client.get("/services"))
        (more,) = [each["href"] for each in page.all("a") if "cursor=" in str(each["href"])]
        assert (await client.get(str(more))).text.count('scope="row"') == 1


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"name": ""}, 400),
        ({"name": "a\0b"}, 400),
        ({"role": "owner"}, 403),
        ({"role": "king"}, 400),
        ({"role": ""}, 400),
        ({"scopes": ["tickets:write"]}, 400),
        ({"scopes": ["fly"]}, 400),
        ({"expires": "1000000"}, 400),
        ({"agent_id": "0198f3a2-7c11-7d3e-9f6b-2d8e7c5a1b04"}, 400),
    ],
    ids=str,
)
async def test_a_service_that_may_not_be_makes_no_token(
    more: Any, status: int, served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada", "admin")
    async with visitor(served) as client:
        await sign_in(client)
        answer = await send(client, "/services", NEW | more)
        assert answer.status_code == status
        if more.get("name") is None:
            assert parsed(answer).field("name")["value"] == "Export"
    async with database.session() as db:
        assert await db.value("SELECT count(*) FROM api_tokens") == 0


async def test_an_admin_replaces_no_token_of_an_owner(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada", "admin")
    await give(database, role="owner")
    token = await id_of(database)
    async with visitor(served) as client:
        await sign_in(client)
        assert f"/services/{token}/rotate" not in (await client.get("/services")).text
        answer = await send(client, f"/services/{token}/rotate", {"overlap": "none"})
        assert answer.status_code == 403
        answer = await send(client, f"/services/{token}/rotate", {"overlap": "ever"})
        assert answer.status_code == 400
        for path in (f"/services/{uuid4()}", "/services/x"):
            answer = await send(client, f"{path}/rotate", {"overlap": "none"})
            assert answer.status_code == 404
            assert (await send(client, f"{path}/revoke")).status_code == 404
        assert (await client.get("/services?cursor=x")).status_code == 400
        assert (await client.get("/services?show=x")).status_code == 400
