"""/api/me and /api/tokens, as those who walk in find them."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from pullse import app
from pullse.access.finder import Finder
from pullse.access.secrets import is_well_formed, new_token
from pullse.agents.permissions import PERMISSIONS, ROLES
from pullse.gateway import log
from pullse.kit import events
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.kit.guard import BearerToken
from pullse.kit.tail import Tail
from pullse.realtime.projection import messages
from tests.access.people import OPERATORS, calling, give, hire, run
from tests.api.calls import UNKNOWN, facts, get, pages, problems, refused
from tests.cli.settling import settled
from tests.conftest import serving


async def make(client: httpx.AsyncClient, name: str = "Export", **fields: Any) -> Any:
    answer = await client.post("/api/tokens", json={"name": name, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]


async def status(edge: Edge, token: str | None, path: str = "/api/me") -> int:
    async with calling(edge, token) as client:
        return (await client.get(path)).status_code


# -- who comes in --


async def test_strangers_are_told_to_send_a_token(served: Edge, database: Database) -> None:
    good = await give(database, role="agent")
    wrong = good[:-1] + ("a" if good[-1] != "a" else "b")
    for token in (None, "", "x", wrong, new_token(), good.upper(), good + "x"):
        async with calling(served, token) as client:
            for path in ("/api/me", "/api/tokens", "/api/tickets", "/api/events", "/metrics"):
                answer = await client.get(path)
                refused(answer, 401, "unauthorized")
                assert answer.headers["www-authenticate"] == "Bearer"
            assert (await client.get("/health/live")).status_code == 200
    assert await status(served, good) == 200


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE api_tokens SET expires_at = now()",
        "UPDATE api_tokens SET revoked_at = now()",
        "UPDATE agents SET state = 'disabled'",
        "UPDATE agents SET deleted_at = now()",
    ],
)
async def test_what_is_no_longer_good_opens_nothing(
    served: Edge, database: Database, sql: str
) -> None:
    token = await give(database, await hire(database, "Ada"))
    await run(database, sql)
    assert await status(served, token) == 401


async def test_a_token_opens_what_its_scopes_say(served: Edge, database: Database) -> None:
    token = await give(database, role="admin", scopes=["tickets:read", "me:read"])
    async with calling(served, token) as client:
        assert (await client.get("/api/tickets")).status_code == 200
        body = {"title": "Help", "description": "It broke."}
        answer = await client.post("/api/tickets", json=body)
        refused(answer, 403, "forbidden")
        assert answer.json()["message"] == "This takes the permission tickets:write."
        refused(await client.get("/api/agents"), 403, "forbidden")
        refused(await client.get("/api/tokens"), 403, "forbidden")


async def test_a_database_that_is_away_is_told_and_not_that_the_token_is_wrong(
    served: Edge, database: Database
) -> None:
    token = await give(database, role="agent")
    await database.close()
    async with calling(served, token) as client:
        answer = await client.get("/api/me")
        refused(answer, 503, "unavailable")
        assert answer.headers["retry-after"] == "1"
        assert (await client.get("/health/live")).status_code == 200


# -- who one is --


async def test_everybody_is_told_who_they_are(served: Edge, database: Database) -> None:
    async with calling(served) as client:
        assert await get(client, "/api/me") == {
            "id": "token",
            "kind": "token",
            "role": "owner",
            "permissions": list(PERMISSIONS),
            "second_factor_needed": False,
            "agent": None,
            "teams": [],
            "token": None,
        }
    ada = await hire(database, "Ada", "collaborator")
    async with calling(served, await give(database, ada, scopes=["me:read"])) as client:
        found = await get(client, "/api/me")
        assert (found["id"], found["kind"]) == (f"agent:{ada}", "agent")
        assert (found["role"], found["permissions"]) == ("collaborator", ["me:read"])
        assert found["agent"]["email"] == "ada@example.org"
        assert found["token"]["scopes"] == ["me:read"]
    async with calling(served, await give(database, role="read_only")) as client:
        found = await get(client, "/api/me")
        assert (found["kind"], found["role"], found["agent"]) == ("service", "read_only", None)
        assert found["id"] == f"token:{found['token']['id']}"


# -- making --


async def test_a_token_is_shown_once_and_works(served: Edge, database: Database) -> None:
    ada = await hire(database, "Ada")
    async with calling(served, await give(database, ada)) as client:
        made = await make(client, scopes=["tickets:read", "me:read"])
        assert is_well_formed(made["token"])
        assert made["agent_id"] == str(ada)
        assert (made["role"], made["created_by"]) == (None, f"agent:{ada}")
        assert made["scopes"] == ["me:read", "tickets:read"]
        shown = (await get(client, "/api/tokens"))["records"][0]
        assert shown == {name: value for name, value in made.items() if name != "token"}
    async with calling(served, made["token"]) as client:
        assert (await get(client, "/api/me"))["token"]["id"] == made["id"]
    assert made["token"] not in str(await facts(database))


async def test_nobody_makes_one_stronger_than_themselves(served: Edge, database: Database) -> None:
    ada, ben = await hire(database, "Ada"), await hire(database, "Ben", "admin")
    async with calling(served, await give(database, ada)) as client:
        for fields in ({"role": "read_only"}, {"role": "owner"}, {"agent_id": str(ben)}):
            answer = await client.post("/api/tokens", json={"name": "x", **fields})
            refused(answer, 403, "forbidden")
        answer = await client.post("/api/tokens", json={"name": "x", "scopes": ["tokens:admin"]})
        assert list(problems(answer)) == ["scopes"]
    async with calling(served, await give(database, ben)) as client:
        await make(client, role="admin")
        answer = await client.post("/api/tokens", json={"name": "x", "role": "owner"})
        refused(answer, 403, "forbidden")
    async with calling(served) as client:
        await make(client, role="owner")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "x", "role": "king"}, "role"),
        ({"name": "x", "scopes": "tickets:read"}, "scopes"),
        ({"name": "x", "role": "agent", "scopes": ["x"]}, "scopes"),
        ({"name": "x", "role": "agent", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "role": "agent", "expires_at": "2126-01-01T00:00:00"}, "expires_at"),
        ({"name": "x", "role": "agent", "expires_at": "9999-12-31T23:59:59-12:00"}, "expires_at"),
        ({"name": "x", "agent_id": UNKNOWN}, "agent_id"),
        ({"name": "x", "hash": "x"}, "hash"),
    ],
)
async def test_bad_input_names_its_field(
    served: Edge, database: Database, body: Any, field: str
) -> None:
    async with calling(served) as client:
        answer = await client.post("/api/tokens", json=body)
    refused(answer, 400, "invalid")
    assert list(problems(answer)) == [field]


async def test_a_repeat_makes_no_second_one_and_does_not_show_it_again(
    served: Edge, database: Database
) -> None:
    key = {"Idempotency-Key": "a-key"}
    body = {"name": "x", "role": "agent"}
    async with calling(served) as client:
        answers = await asyncio.gather(
            *(client.post("/api/tokens", json=body, headers=key) for _ in range(4))
        )
        assert {answer.status_code for answer in answers} == {201}
        (first,) = [each for each in answers if "idempotency-replayed" not in each.headers]
        made = first.json()["data"]
        assert is_well_formed(made["token"])
        for answer in answers:
            if answer is not first:
                assert answer.json()["data"] == {**made, "token": None}
        refused(
            await client.post("/api/tokens", json={**body, "name": "y"}, headers=key),
            422,
            "idempotency_key_reused",
        )
        path, key = f"/api/tokens/{made['id']}/rotate", {"Idempotency-Key": "another"}
        rotated = [await client.post(path, json={}, headers=key) for _ in range(2)]
        assert [each.json()["data"]["token"] is None for each in rotated] == [False, True]
        assert len((await get(client, "/api/tokens"))["records"]) == 2
    async with database.session() as db:
        for (kept,) in await db.rows("SELECT convert_from(body, 'UTF8') FROM idempotency_keys"):
            assert json.loads(kept)["data"]["token"] is None
            assert "pullse_" not in kept


# -- seeing and revoking --


async def test_others_tokens_are_not_there(served: Edge, database: Database) -> None:
    ada, ben = await hire(database, "Ada"), await hire(database, "Ben")
    service = await give(database, role="agent")
    async with calling(served, await give(database, ben)) as client:
        theirs = await make(client, "Ben's")
    for token in (await give(database, ada), service):
        async with calling(served, token) as client:
            names = [each["agent_id"] for each in (await get(client, "/api/tokens"))["records"]]
            assert str(ben) not in names
            for id_ in (theirs["id"], UNKNOWN, "nonsense", "%00"):
                refused(await client.delete(f"/api/tokens/{id_}"), 404, "not_found")
                answer = await client.post(f"/api/tokens/{id_}/rotate", json={})
                refused(answer, 404, "not_found")
    assert await status(served, theirs["token"]) == 200


async def test_an_admin_sees_and_revokes_all(served: Edge, database: Database) -> None:
    ada, ben = await hire(database, "Ada"), await hire(database, "Ben", "admin")
    token = await give(database, ada)
    assert await status(served, token) == 200
    async with calling(served, await give(database, ben)) as client:
        found = (await get(client, "/api/tokens"))["records"]
        assert [each["agent_id"] for each in found] == [str(ben), str(ada)]
        for _ in range(2):
            answer = await client.delete(f"/api/tokens/{found[1]['id']}")
            assert answer.status_code == 200
    assert await status(served, token) == 401


async def test_the_list_is_paged_newest_first_and_a_cursor_shows_nothing_more(
    served: Edge, database: Database
) -> None:
    ada = await hire(database, "Ada")
    ids = []
    async with calling(served) as client:
        for number in range(5):
            owner = {"agent_id": str(ada)} if number % 2 else {"role": "agent"}
            ids.append((await make(client, str(number), **owner))["id"])
        found = [page async for page in pages(client, "/api/tokens", limit=2)]
        assert [[each["id"] for each in page] for page in found] == [
            ids[4:2:-1],
            ids[2:0:-1],
            ids[:1],
        ]
        cursor = (await get(client, "/api/tokens", limit=1))["next_cursor"]
        for wrong in ("x", "!", "a" * 2000, "0"):
            answer = await client.get("/api/tokens", params={"cursor": wrong})
            assert list(problems(answer)) == ["cursor"]
    async with calling(served, await give(database, ada, scopes=["tokens:own"])) as client:
        found = (await get(client, "/api/tokens", cursor=cursor))["records"]
        assert [each["id"] for each in found] == [ids[3], ids[1]]


async def test_a_revoked_token_ends_at_once_here_and_within_a_second_elsewhere(
    served: Edge, database: Database, tail: Tail
) -> None:
    other = app.build(database, tail, BearerToken(OPERATORS, find=Finder(database)))
    async with calling(served) as client:
        made = await make(client, role="agent")
        for edge in (served, other):
            assert await status(edge, made["token"]) == 200
        await client.delete(f"/api/tokens/{made['id']}")
    assert await status(served, made["token"]) == 401
    await asyncio.sleep(1.01)
    assert await status(other, made["token"]) == 401


async def test_a_service_revokes_and_rotates_itself(served: Edge, database: Database) -> None:
    async with calling(served, await give(database, role="read_only")) as client:
        id_ = (await get(client, "/api/me"))["token"]["id"]
        answer = await client.post(f"/api/tokens/{id_}/rotate", json={"overlap": 60})
        assert answer.status_code == 201
        assert answer.json()["data"]["role"] == "read_only"
        assert (await client.delete(f"/api/tokens/{id_}")).status_code == 200
        refused(await client.get("/api/me"), 401, "unauthorized")
    assert await status(served, answer.json()["data"]["token"]) == 200


# -- rotating --


async def test_both_are_good_while_they_overlap(served: Edge, database: Database) -> None:
    async with calling(served) as client:
        old = await make(client, "Robot", role="agent", scopes=["me:read"])
        path = f"/api/tokens/{old['id']}/rotate"
        new = (await client.post(path, json={"overlap": 1})).json()["data"]
        assert new["id"] != old["id"]
        for name in ("name", "role", "scopes", "agent_id", "expires_at"):
            assert new[name] == old[name]
        for each in (old, new):
            assert await status(served, each["token"]) == 200
        await asyncio.sleep(1.05)
        assert await status(served, old["token"]) == 401
        assert await status(served, new["token"]) == 200
        refused(await client.post(path, json={}), 409, "token_ended")


async def test_without_an_overlap_the_old_one_ends_at_once(
    served: Edge, database: Database
) -> None:
    async with calling(served) as client:
        old = await make(client, role="agent")
        assert await status(served, old["token"]) == 200
        until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        path = f"/api/tokens/{old['id']}/rotate"
        new = (await client.post(path, json={"expires_at": until})).json()["data"]
        assert datetime.fromisoformat(new["expires_at"]) == datetime.fromisoformat(until)
        for wrong in ({"overlap": -1}, {"overlap": 604_801}, {"overlap": "x"}):
            answer = await client.post(f"/api/tokens/{new['id']}/rotate", json=wrong)
            assert list(problems(answer)) == ["overlap"]
    assert await status(served, old["token"]) == 401
    assert await status(served, new["token"]) == 200


async def test_of_two_rotations_at_once_one_is_refused(served: Edge, database: Database) -> None:
    async with calling(served) as client:
        old = await make(client, role="agent")
        path = f"/api/tokens/{old['id']}/rotate"
        answers = await asyncio.gather(*(client.post(path, json={}) for _ in range(2)))
    assert sorted(each.status_code for each in answers) == [201, 409]


# -- the facts --


async def test_facts_about_tokens_are_for_those_who_may_audit(
    served: Edge, database: Database
) -> None:
    tokens = {role: await give(database, role=role) for role in ROLES}
    async with calling(served) as client:
        await client.post("/api/tickets", json={"title": "Help", "description": "It broke."})
    await settled(database)
    for role, token in tokens.items():
        async with calling(served, token) as client:
            found = await get(client, "/api/events", limit=200)
            names = {each["name"] for each in found["records"]}
            assert ("token.created" in names) == ("audit:read" in ROLES[role])
            assert "ticket.created" in names
            assert found["next_cursor"] is None
            only = await get(client, "/api/events", name="token.created")
            assert bool(only["records"]) == ("audit:read" in ROLES[role])
            walked = [page async for page in all_pages(client)]
            assert sum(map(len, walked)) == (6 if "audit:read" in ROLES[role] else 1)


async def all_pages(client: httpx.AsyncClient) -> Any:
    """Facts two at a time; a page from which some are hidden is short."""
    found = await get(client, "/api/events", limit=2)
    yield found["records"]
    while found["next_cursor"]:
        found = await get(client, "/api/events", limit=2, after=found["next_cursor"])
        yield found["records"]


async def test_facts_about_tokens_are_on_no_channel(database: Database) -> None:
    await give(database, role="agent")
    await settled(database)
    async with database.session() as db:
        (fact,) = await events.since(db, events.START)
        assert fact.name == "token.created"
        assert messages(fact) == []
        for is_backwards in (False, True):
            span = log.Span(is_backwards=is_backwards)
            assert await log.messages(db, "tickets-activity", span) == []


async def test_a_stream_shows_them_to_nobody_else(served: Edge, database: Database) -> None:
    """What it catches up with, and what comes while it is open."""
    reader = await give(database, role="agent")
    await settled(database)
    async with (
        serving(served) as url,
        httpx.AsyncClient(base_url=url) as client,
        calling(served) as operator,
    ):
        headers = {"Authorization": f"Bearer {reader}", "Accept": "text/event-stream"}
        start = (await client.get("/api/events", headers={**headers, "Accept": "*/*"})).json()
        query = {"after": start["data"]["cursor"].partition(".")[0] + ".0.0"}
        async with client.stream("GET", "/api/events", headers=headers, params=query) as answer:
            await make(operator, role="agent")
            await operator.post("/api/tickets", json={"title": "Help", "description": "It broke."})
            text = ""
            async for line in answer.aiter_lines():
                text += line
                if "ticket.created" in line:
                    break
    assert "token." not in text
