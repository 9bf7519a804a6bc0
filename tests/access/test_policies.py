"""How everybody has to sign in, and what those may do who have not."""

import asyncio
import base64
from typing import Any

import httpx
import pytest

from pullse.access import totp
from pullse.agents.permissions import ROLES
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.authenticator import Authenticator, add, ask, enter_by, listed, with_passkey
from tests.access.people import calling, give, hire, run
from tests.access.sign_in import PASSWORD, audited, browser, enter, hire_with_password
from tests.conftest import serving

NONE = {"second_factor": False, "single_sign_on": False}
FACTOR, SINGLE = NONE | {"second_factor": True}, NONE | {"single_sign_on": True}


@pytest.fixture
async def ada(database: Database) -> Any:
    return await hire_with_password(database, "Ada")


@pytest.fixture
def with_provider(served: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if there was one where people can sign in."""
    monkeypatch.setitem(vars(served.services), "providers", ("google",))


async def require(edge: Edge, policy: dict[str, bool]) -> httpx.Response:
    async with calling(edge) as operator:
        return await operator.put("/api/policies", json=policy)


def code_now(key: bytes, steps: int = 0) -> str:
    return totp.code_at(key, int(totp.clock()) // 30 + steps)


async def enrol_totp(client: httpx.AsyncClient) -> bytes:
    begun = await client.post("/api/session/totp", json={})
    assert begun.status_code == 200, begun.text
    key = base64.b32decode(begun.json()["data"]["secret"])
    confirmed = await client.put("/api/session/totp", json={"code": code_now(key)})
    assert confirmed.status_code == 200, confirmed.text
    return key


async def may_work(client: httpx.AsyncClient) -> bool:
    answer = await client.get("/api/tickets")
    me = (await client.get("/api/me")).json()["data"]
    if answer.status_code == 200:
        assert me["second_factor_needed"] is False
        return True
    assert (answer.status_code, answer.json()["code"]) == (403, "second_factor_needed")
    assert me["second_factor_needed"] is True
    assert me["permissions"] == ["me:read", "sessions:own"]
    return False


# -- changing it --


async def test_nothing_is_required_at_first_and_each_change_is_audited(
    served: Edge, database: Database
) -> None:
    async with calling(served) as operator:
        assert (await operator.get("/api/policies")).json()["data"] == NONE
        for _ in range(2):  # the second one changes nothing
            answer = await operator.put("/api/policies", json=FACTOR)
            assert (answer.status_code, answer.json()["data"]) == (200, FACTOR)
        assert (await operator.get("/api/policies")).json()["data"] == FACTOR
    ((actor, row, _),) = await audited(database, "policy.changed")
    assert (actor, row) == ("token", '{"changes": {"second_factor": [false, true]}}')


@pytest.mark.parametrize(
    "body",
    [{}, {"second_factor": True}, FACTOR | {"x": 1}, FACTOR | {"single_sign_on": "no"}, []],
    ids=str,
)
async def test_what_is_malformed_is_400(body: Any, served: Edge) -> None:
    assert (await require(served, body)).status_code == 400


@pytest.mark.parametrize("role", ROLES)
async def test_only_admins_and_owners_do_it(role: str, served: Edge, database: Database) -> None:
    async with calling(served, await give(database, role=role)) as client:
        for answer in (
            await client.get("/api/policies"),
            await client.put("/api/policies", json=NONE),
        ):
            assert answer.status_code == (200 if role in ("owner", "admin") else 403)


async def test_nobody_shuts_themselves_out(
    served: Edge, database: Database, with_provider: None
) -> None:
    await hire_with_password(database, "Adam", "admin")
    async with browser(served) as client:
        await enter(client, "Adam")
        for policy in (FACTOR, SINGLE):
            answer = await client.put("/api/policies", json=policy)
            assert (answer.status_code, answer.json()["code"]) == (409, "would_shut_you_out")
        assert (await client.get("/api/policies")).json()["data"] == NONE
        await add(client, Authenticator())
        assert (await client.put("/api/policies", json=FACTOR)).status_code == 200
        assert (await client.put("/api/policies", json=NONE)).status_code == 200


async def test_single_sign_on_needs_a_provider(served: Edge) -> None:
    answer = await require(served, SINGLE)
    assert (answer.status_code, answer.json()["code"]) == (409, "no_provider")


async def test_one_that_is_on_stays_when_the_provider_goes(
    served: Edge, database: Database, monkeypatch: pytest.MonkeyPatch, with_provider: None
) -> None:
    assert (await require(served, SINGLE)).status_code == 200
    monkeypatch.setitem(vars(served.services), "providers", ())
    assert (await require(served, SINGLE | {"second_factor": True})).status_code == 200
    assert (await require(served, NONE)).status_code == 200


# -- a second factor --


async def test_who_has_none_may_set_one_up_and_nothing_else(
    served: Edge, database: Database, ada: Any
) -> None:
    await require(served, FACTOR)
    async with browser(served) as client:
        answer = await enter(client)
        assert answer.status_code == 200
        assert answer.json()["data"]["second_factor_needed"] is True
        assert not await may_work(client)
        for method, path in (
            ("POST", "/api/tokens"),
            ("POST", "/api/tickets"),
            ("GET", "/api/events"),
            ("GET", "/api/realtime/token"),
            ("GET", "/api/agents"),
        ):
            refused = await client.request(method, path, json={})
            assert (refused.status_code, refused.json()["code"]) == (403, "second_factor_needed")
        await enrol_totp(client)
        assert await may_work(client)


async def test_a_passkey_is_one(served: Edge, database: Database, ada: Any) -> None:
    await require(served, FACTOR)
    key = Authenticator()
    async with browser(served) as client:
        await enter(client)
        assert (await add(client, key)).status_code == 201
        assert await may_work(client)
    async with browser(served) as client:
        assert (await enter_by(client, key)).json()["data"]["second_factor_needed"] is False
        assert await may_work(client)
        refused = await enter(client)  # the password alone
        assert (refused.status_code, refused.json()["code"]) == (401, "passkey_needed")
        wrong = await enter(client, "Ada", "wrong")
        assert wrong.json()["code"] == "wrong_credentials"


async def test_a_code_is_one(served: Edge, database: Database, ada: Any) -> None:
    async with browser(served) as client:
        await enter(client)
        key = await enrol_totp(client)
        assert (await require(served, FACTOR)).status_code == 200
        assert await may_work(client)
        code = code_now(key, 1)
        body = {"email": "ada@example.org", "password": PASSWORD, "code": code}
        answer = await client.post("/api/session", json=body)
        assert answer.json()["data"]["second_factor_needed"] is False
        assert await may_work(client)


async def test_open_sessions_are_held_to_it_within_a_second(
    served: Edge, database: Database, ada: Any
) -> None:
    key = await with_passkey(served)
    async with browser(served) as by_password, browser(served) as by_passkey:
        await enter(by_password)
        await enter_by(by_passkey, key)
        assert await may_work(by_password)
        # by another process
        await run(database, "INSERT INTO policies (second_factor) VALUES (true)")
        await asyncio.sleep(1.05)
        assert not await may_work(by_password)
        assert await may_work(by_passkey)
        await require(served, NONE)
        assert await may_work(by_password)


async def test_an_open_stream_ends_within_a_second(
    served: Edge, database: Database, ada: Any
) -> None:
    async with browser(served) as client:
        await enter(client)
        cookie = f"pullse={client.cookies['pullse']}"
    async with serving(served) as url, httpx.AsyncClient(base_url=url) as client:
        headers = {"Cookie": cookie, "Host": "pullse.example", "Accept": "text/event-stream"}
        async with client.stream("GET", "/api/events", headers=headers) as stream:
            lines = stream.aiter_lines()
            assert (await anext(lines)).startswith("retry:")
            await run(database, "INSERT INTO policies (second_factor) VALUES (true)")
            async with asyncio.timeout(3):
                assert [line async for line in lines if line.startswith("data")] == []


async def test_who_stole_a_password_sets_up_no_factor_beside_the_one_that_is_there(
    served: Edge, database: Database, ada: Any
) -> None:
    key = await with_passkey(served)
    async with browser(served) as thief:
        await enter(thief)  # before it was required
        await require(served, FACTOR)
        for path in ("/api/passkeys/options", "/api/session/totp", "/api/session/totp/remove"):
            for body in ({}, {"password": PASSWORD}):
                answer = await thief.post(path, json=body)
                assert (answer.status_code, answer.json()["code"]) == (403, "second_factor_needed")
        body = {"password": PASSWORD, "new_password": "four other words"}
        answer = await thief.put("/api/session/password", json=body)
        assert answer.json()["code"] == "second_factor_needed"
        (one,) = await listed(thief)
        answer = await thief.post(f"/api/passkeys/{one['id']}/remove", json={})
        assert answer.json()["code"] == "second_factor_needed"
    async with browser(served) as client:
        assert (await enter_by(client, key)).status_code == 200


async def test_what_was_begun_before_it_was_required_is_not_finished_either(
    served: Edge, database: Database, ada: Any
) -> None:
    await with_passkey(served)
    async with browser(served) as thief:
        await enter(thief)
        options = await ask(thief, "/api/passkeys/options")
        begun = await thief.post("/api/session/totp", json={})
        key = base64.b32decode(begun.json()["data"]["secret"])
        await require(served, FACTOR)
        body = {"credential": Authenticator().make(options)}
        for answer in (
            await thief.post("/api/passkeys", json=body),
            await thief.put("/api/session/totp", json={"code": code_now(key)}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (403, "second_factor_needed")


async def test_who_removes_the_only_one_has_to_set_up_another(
    served: Edge, database: Database, ada: Any
) -> None:
    await require(served, FACTOR)
    async with browser(served) as client:
        await enter(client)
        await enrol_totp(client)
        assert (await client.post("/api/session/totp/remove", json={})).status_code == 200
        assert not await may_work(client)
        made = (await add(client, Authenticator())).json()["data"]
        second = (await add(client, Authenticator())).json()["data"]
        for each, may in ((made, True), (second, False)):
            await client.post(f"/api/passkeys/{each['id']}/remove", json={})
            assert await may_work(client) == may


async def test_tokens_of_programs_are_as_they_are(
    served: Edge, database: Database, ada: Any
) -> None:
    token = await give(database, ada)
    await require(served, FACTOR)
    async with calling(served, token) as program:
        assert await may_work(program)


async def test_an_owner_is_held_to_it_too(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Olga", "owner")
    await require(served, FACTOR)
    async with browser(served) as client:
        await enter(client, "Olga")
        assert not await may_work(client)
        assert (await client.put("/api/policies", json=NONE)).status_code == 403


# -- single sign-on --


async def test_passwords_and_passkeys_of_agents_open_nothing(
    served: Edge, database: Database, ada: Any, with_provider: None
) -> None:
    key = await with_passkey(served)
    await require(served, SINGLE)
    async with browser(served) as client:
        for answer in (await enter(client), await enter_by(client, key)):
            assert (answer.status_code, answer.json()["code"]) == (401, "sso_needed")
            assert "set-cookie" not in answer.headers
        wrong = await enter(client, "Ada", "wrong")  # says nothing to who does not know it
        assert wrong.json()["code"] == "wrong_credentials"
        await require(served, NONE)
        assert (await enter(client)).status_code == 200
    rows = await audited(database, "sign_in.failed")
    assert ['"policy"' in row for _, row, _ in rows] == [True, True, False]


async def test_an_owner_gets_in_by_password_and_by_passkey(
    served: Edge, database: Database, with_provider: None
) -> None:
    await hire_with_password(database, "Olga", "owner")
    key = await with_passkey(served, "Olga")
    await require(served, SINGLE)
    async with browser(served) as client:
        assert (await enter(client, "Olga")).status_code == 200
        assert (await enter_by(client, key)).status_code == 200
        assert (await client.put("/api/policies", json=NONE)).status_code == 200


async def test_open_sessions_that_no_provider_vouched_for_are_good_no_longer(
    served: Edge, database: Database, ada: Any, with_provider: None
) -> None:
    ben = await hire_with_password(database, "Ben")
    async with browser(served) as client, browser(served) as vouched:
        await enter(client)
        await enter(vouched, "Ben")
        await run(database, "UPDATE sessions SET means = '{oidc:google}' WHERE agent_id = $1", ben)
        assert await may_work(client)
        await require(served, SINGLE)
        assert (await client.get("/api/me")).status_code == 401
        assert await may_work(vouched)
        await require(served, SINGLE | {"second_factor": True})
        assert await may_work(vouched)  # the provider asks for what it asks for
        await require(served, NONE)
        assert await may_work(client)


async def test_a_link_is_no_way_around(
    served: Edge, database: Database, with_provider: None
) -> None:
    ada = await hire(database, "Ada")
    async with calling(served) as operator:
        made = await operator.post("/api/invitations", json={"agent_id": str(ada)})
    await require(served, SINGLE)
    async with browser(served) as client:
        link = f"/api/links/{made.json()['data']['token']}"
        assert (await client.post(link, json={"password": PASSWORD})).status_code == 200
        assert (await enter(client)).json()["code"] == "sso_needed"
