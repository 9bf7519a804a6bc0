"""The gateway's keys, by API and by page: made and shown once, listed, revoked."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from pullse import app
from pullse.gateway.auth import Credentials
from pullse.gateway.errors import Failure
from pullse.gateway.opening import Realtime
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.kit.guard import LocalOwner
from pullse.kit.secret import Secret
from pullse.kit.tail import Tail
from pullse.settings import Ably
from tests.access.conftest import finder, served
from tests.access.people import run
from tests.access.sign_in import audited, hire_with_password
from tests.api.calls import Body, get, problems, refused
from tests.web.visiting import led_to, once, parsed, send, sign_in, visitor

__all__ = ["finder", "served"]

HERE = "/api/realtime/keys"
LISTEN = {"tickets-updates": ["subscribe"]}


async def make(client: httpx.AsyncClient, **fields: Any) -> Body:
    answer = await client.post(HERE, json=fields)
    assert answer.status_code == 201, answer.text
    made: Body = answer.json()["data"]
    return made


@pytest.fixture
async def at_ably(database: Database, tail: Tail) -> AsyncIterator[httpx.AsyncClient]:
    ably = Realtime(ably=Ably("app.key:secret"))
    edge = app.build(database, tail, LocalOwner(), realtime=ably, secret=Secret("x" * 40))
    transport = httpx.ASGITransport(edge)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


# By API


async def test_a_key_is_shown_once_and_opens_what_it_may(
    client: httpx.AsyncClient, database: Database, realtime: Realtime
) -> None:
    made = await make(client, note="The status page", capability=LISTEN)
    assert realtime.keyring is not None
    identity = await realtime.keyring.identify(Credentials(key=made["key"]))
    assert identity.capability.ops("tickets-updates") == {"subscribe"}
    (listed,) = (await get(client, HERE))["records"]
    assert listed == {name: value for name, value in made.items() if name != "key"}
    assert listed["capability"] == LISTEN
    ((actor, data, _),) = await audited(database, "key.created")
    assert actor == "owner"
    assert json.loads(data)["key"] == made["name"]
    assert made["key"] not in data


async def test_a_revoked_key_opens_nothing_and_twice_is_once(
    client: httpx.AsyncClient, database: Database, realtime: Realtime
) -> None:
    made = await make(client)
    assert made["capability"] == {"*": ["*"]}
    for _ in range(2):
        assert (await client.delete(f"{HERE}/{made['name']}")).status_code == 200
    assert realtime.keyring is not None
    await realtime.keyring.refresh()
    with pytest.raises(Failure, match="revoked"):
        await realtime.keyring.identify(Credentials(key=made["key"]))
    (listed,) = (await get(client, HERE))["records"]
    assert listed["revoked_at"]
    assert len(await audited(database, "key.revoked")) == 1


async def test_a_repeat_makes_no_other_key_and_does_not_show_it(
    client: httpx.AsyncClient,
) -> None:
    headers = {"Idempotency-Key": "once"}
    first = await client.post(HERE, json={}, headers=headers)
    second = await client.post(HERE, json={}, headers=headers)
    assert first.json()["data"]["key"]
    assert second.json()["data"] == first.json()["data"] | {"key": None}
    assert len((await get(client, HERE))["records"]) == 1


@pytest.mark.parametrize("limit", [1, 2, 50])
async def test_pages_have_each_key_once_the_newest_first(
    limit: int, client: httpx.AsyncClient, database: Database
) -> None:
    names = [(await make(client))["name"] for _ in range(3)]
    await run(
        database, "INSERT INTO realtime_keys (name, app, capability) VALUES ('a.b', 'a', '{}')"
    )
    found, cursor = [], None
    while True:
        params = {"limit": limit} | ({"cursor": cursor} if cursor else {})
        page = await get(client, HERE, **params)
        found += [each["name"] for each in page["records"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == names[::-1]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"capability": {}}, "capability"),
        ({"capability": {"a": []}}, "capability"),
        ({"capability": {"a": ["fly"]}}, "capability"),
        ({"capability": {"a": "subscribe"}}, "capability"),
        ({"capability": []}, "capability"),
        ({"note": "x" * 201}, "note"),
        ({"note": "\0"}, None),
        ({"is_revocable": "yes"}, "is_revocable"),
        ({"key": "mine"}, "key"),
    ],
    ids=str,
)
async def test_a_key_that_can_not_be_is_refused(
    body: Any, field: str | None, client: httpx.AsyncClient
) -> None:
    answer = await client.post(HERE, json=body)
    refused(answer, 400, "invalid")
    assert field is None or list(problems(answer)) == [field]
    assert (await get(client, HERE))["records"] == []


@pytest.mark.parametrize("name", ["x", "pullse.nothing", "pullse.dev", "a%2Fb.c", "x" * 2000])
async def test_what_is_no_key_is_not_there(name: str, client: httpx.AsyncClient) -> None:
    refused(await client.delete(f"{HERE}/{name}"), 404, "not_found")


async def test_at_ably_keys_are_made_there(at_ably: httpx.AsyncClient) -> None:
    refused(await at_ably.post(HERE, json={}), 409, "keys_at_ably")
    page = await at_ably.get("/realtime")
    assert page.status_code == 200
    assert "made and revoked in its dashboard" in page.text
    assert "<textarea" not in page.text


async def test_with_another_secret_no_key_is_made(
    client: httpx.AsyncClient, edge: Edge, database: Database
) -> None:
    await make(client)
    for secret in (None, Secret("another secret of more than 32 characters")):
        edge.services = replace(edge.services, secret=secret)
        refused(await client.post(HERE, json={}), 409, "no_secret")
    assert len(await audited(database, "key.created")) == 1


# By page


async def test_an_admin_makes_a_key_and_revokes_it(served: Edge, database: Database) -> None:
    ada = await hire_with_password(database, "Ada", "admin")
    async with visitor(served) as client:
        await sign_in(client)
        assert "There are none" in (await client.get("/realtime")).text
        answer = await send(client, "/realtime", {"note": "The status page", "may": "listen"})
        assert answer.status_code == 201
        key = once(answer)
        name = key.partition(":")[0]
        page = await client.get("/realtime")
        assert "The status page" in page.text
        assert "presence-subscribe" in page.text
        assert key not in page.text
        answer = await send(client, f"/realtime/{name}/revoke")
        assert led_to(answer) == "/realtime?done=revoked"
        assert f"/realtime/{name}/revoke" not in (await client.get(led_to(answer))).text
        assert (await send(client, "/realtime/pullse.nothing/revoke")).status_code == 404
    ((actor, _, _),) = await audited(database, "key.revoked")
    assert actor == f"agent:{ada}"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"may": "own", "capability": '{"chat:*":["subscribe"]}', "is_revocable": "yes"}, 201),
        ({"may": "everything", "capability": "nonsense"}, 201),
        ({"may": "own", "capability": "nonsense"}, 400),
        ({"may": "own", "capability": "[" * 12_000}, 400),
        ({"may": "own", "capability": '{"chat:*":["fly"]}'}, 400),
        ({"may": "own"}, 400),
        ({"may": "fly"}, 400),
        ({}, 400),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_what_was_typed_is_there_again_beside_what_is_wrong(
    fields: dict[str, str], status: int, served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada", "admin")
    async with visitor(served) as client:
        await sign_in(client)
        answer = await send(client, "/realtime", fields | {"note": "Mine"})
        assert answer.status_code == status
        if status == 400:
            assert parsed(answer).field("note")["value"] == "Mine"
            if fields.get("may") == "own":
                assert "capability-problem" in answer.text
