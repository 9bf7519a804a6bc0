"""A link that is used once, and a passkey instead of a password."""

import asyncio
from typing import Any

import httpx
import pytest

from pullse.access import link_commands, links
from pullse.access.commands import ME
from pullse.errors import Invalid
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.authenticator import (
    LIES,
    Authenticator,
    ask,
    decoded,
    enter_by,
    listed,
    with_passkey,
)
from tests.access.people import calling, hire, run
from tests.access.sign_in import PASSWORD, audited, browser, enter, hire_with_password
from tests.cli.conftest import On, pullse, pullse_on

__all__ = ["pullse", "pullse_on"]


async def invite(edge: Edge, agent_id: Any) -> dict[str, Any]:
    async with calling(edge) as client:
        answer = await client.post("/api/invitations", json={"agent_id": str(agent_id)})
        return answer.json()["data"]  # type: ignore[no-any-return]


async def use(
    client: httpx.AsyncClient, token: str, key: Authenticator, **given: Any
) -> httpx.Response:
    person = {name: given[name] for name in ("name", "email") if name in given}
    options = await ask(client, f"/api/links/{token}/passkey/options", **person)
    lies = given.pop("lies", {})
    body = {"credential": key.make(options, **lies)} | given
    return await client.post(f"/api/links/{token}/passkey", json=body)


async def test_an_invited_agent_makes_a_passkey_and_signs_in(
    served: Edge, database: Database
) -> None:
    ada, key = await hire(database, "Ada"), Authenticator()
    made = await invite(served, ada)
    assert made["purpose"] == "invitation"
    async with browser(served) as client:
        used = await use(client, made["token"], key, name="Ada Brandt", passkey_name="My phone")
        assert used.status_code == 200, used.text
        assert used.json()["data"] == {"agent_id": str(ada), "purpose": "invitation"}
        assert "set-cookie" not in used.headers
        assert (await client.get("/api/me")).status_code == 401
        assert (await enter_by(client, key)).json()["data"]["agent_id"] == str(ada)
        agent = (await client.get("/api/me")).json()["data"]["agent"]
        assert (agent["name"], agent["state"]) == ("Ada Brandt", "active")
        assert [each["name"] for each in await listed(client)] == ["My phone"]
        path = f"/api/links/{made['token']}/passkey"
        assert (await client.post(f"{path}/options", json={})).status_code == 404
        assert (
            await client.post(f"/api/links/{made['token']}", json={"password": PASSWORD})
        ).status_code == 404
    for name in ("link.used", "passkey.added"):
        assert [actor for actor, _, _ in await audited(database, name)] == [f"agent:{ada}"]
    assert await audited(database, "password.changed") == []
    again = await invite(served, ada)
    assert again["purpose"] == "reset"  # she can sign in already
    new = link_commands.new_agent("ada@example.org", None, "agent")
    with pytest.raises(Invalid, match="has a passkey"):
        await link_commands.invite(database, new)


async def test_the_first_owner_sets_up_by_passkey(served: Edge, database: Database) -> None:
    async with database.transaction() as db:
        made = [await links.set_up(db, by=ME) for _ in range(2)]
    tokens = [each.token for each in made if each]
    owner = {"name": "Olga", "email": "olga@example.org"}
    keys = [Authenticator(), Authenticator()]
    async with browser(served) as client:
        for given in ({}, {"name": "Olga"}, {"email": "olga@example.org"}, {"x": 1}):
            answer = await client.post(f"/api/links/{tokens[0]}/passkey/options", json=given)
            assert answer.status_code == 400
        asked = await ask(client, f"/api/links/{tokens[0]}/passkey/options", **owner)
        assert (asked["user"]["name"], asked["user"]["displayName"]) == ("olga@example.org", "Olga")
        answers = await asyncio.gather(
            *(use(client, token, key, **owner) for token, key in zip(tokens, keys, strict=True))
        )
        codes = [each.status_code for each in answers]
        assert sorted(codes)[0] == 200
        assert sorted(codes)[1] in (404, 409)
        winner = keys[codes.index(200)]
        assert (await enter_by(client, winner)).status_code == 200
        me = (await client.get("/api/me")).json()["data"]
        assert (me["role"], me["agent"]["email"]) == ("owner", "olga@example.org")
        options = await ask(client, "/api/passkeys/options")
        assert decoded(options["user"]["id"]) == winner.handle
    async with database.session() as db:
        assert await db.value("SELECT count(*) FROM passkeys") == 1


async def test_what_is_no_answer_does_not_use_it_up(served: Edge, database: Database) -> None:
    token = (await invite(served, await hire(database, "Ada")))["token"]
    async with browser(served) as client:
        for lies in LIES:
            answer = await use(client, token, Authenticator(), lies=lies)
            assert (answer.status_code, answer.json()["code"]) == (400, "not_answered"), lies
        answer = await client.post(
            f"/api/links/{token}/passkey/options", json={"email": "eve@example.org"}
        )
        assert answer.status_code == 400
        assert (await use(client, token, Authenticator())).status_code == 200
    async with database.session() as db:
        assert await db.value("SELECT count(*) FROM passkeys") == 1


async def test_a_challenge_belongs_to_its_link(served: Edge, database: Database) -> None:
    one, two = [await invite(served, await hire(database, name)) for name in ("Ada", "Ben")]
    async with browser(served) as client:
        options = await ask(client, f"/api/links/{one['token']}/passkey/options")
        body = {"credential": Authenticator().make(options)}
        answer = await client.post(f"/api/links/{two['token']}/passkey", json=body)
        assert answer.json()["code"] == "not_answered"
        again = await client.post(f"/api/links/{one['token']}/passkey", json=body)
        assert again.status_code == 200


@pytest.mark.parametrize("token", ["x", "A" * 43, "%00", "%E9" * 43])
async def test_nonsense_is_none(token: str, served: Edge) -> None:
    async with browser(served) as client:
        options = await client.post(f"/api/links/{token}/passkey/options", json={})
        assert options.status_code == 404
        made = Authenticator().make({"challenge": "A" * 43, "user": {"id": "AAAA"}})
        answer = await client.post(f"/api/links/{token}/passkey", json={"credential": made})
        assert answer.status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE links SET expires_at = now()",
        "UPDATE links SET used_at = now()",
        "UPDATE agents SET state = 'disabled'",
        "UPDATE agents SET deleted_at = now()",
    ],
)
async def test_one_that_is_over_while_the_authenticator_is_asked_opens_nothing(
    change: str, served: Edge, database: Database
) -> None:
    token = (await invite(served, await hire(database, "Ada")))["token"]
    async with browser(served) as client:
        options = await ask(client, f"/api/links/{token}/passkey/options")
        await run(database, change)
        body = {"credential": Authenticator().make(options)}
        answer = await client.post(f"/api/links/{token}/passkey", json=body)
        assert answer.status_code == 404
    async with database.session() as db:
        assert await db.value("SELECT count(*) FROM passkeys") == 0


async def test_a_reset_by_passkey_ends_the_password_and_all_sessions(
    served: Edge, database: Database
) -> None:
    ada, key = await hire_with_password(database, "Ada"), Authenticator()
    async with browser(served) as client, browser(served) as other:
        await enter(client)
        token = (await invite(served, ada))["token"]
        assert (await use(other, token, key)).status_code == 200
        assert (await client.get("/api/me")).status_code == 401
        assert (await enter(client)).json()["code"] == "wrong_credentials"
        assert (await enter_by(client, key)).status_code == 200
    assert len(await audited(database, "password.removed")) == 1


async def test_a_reset_keeps_passkeys_unless_they_are_to_go(
    served: Edge, database: Database, pullse_on: On
) -> None:
    await hire_with_password(database, "Ada")
    key = await with_passkey(served)
    for without in (False, True):
        async with browser(served) as thief, browser(served) as client:
            assert (await enter_by(thief, key)).status_code == 200
            flags = ["--without-passkeys"] if without else []
            said = await pullse_on("agents", "reset", "ada@example.org", *flags)
            # a session that a passkey opened does not bring it back until the link is used
            served.services.forget()
            assert (await thief.get("/api/me")).status_code == (401 if without else 200)
            link = f"/api/links/{said.split()[0]}"
            assert (await client.post(link, json={"password": PASSWORD})).status_code == 200
            assert (await enter_by(client, key)).status_code == (401 if without else 200)
            assert (await enter(client)).status_code == 200
            assert len(await listed(client)) == (0 if without else 1)
    ((actor, row, _),) = await audited(database, "passkey.removed")
    assert (actor, '"count": 1' in row) == ("operator", True)


async def test_a_link_is_no_way_around_a_second_factor(served: Edge, database: Database) -> None:
    ada = await hire_with_password(database, "Ada")
    await with_passkey(served)
    token = (await invite(served, ada))["token"]
    codes = "INSERT INTO totp (agent_id, secret, confirmed_at) VALUES ($1, $2, now())"
    async with browser(served) as client:
        options = await ask(client, f"/api/links/{token}/passkey/options")
        body = {"credential": Authenticator().make(options)}
        for there, gone in (
            ("INSERT INTO policies (second_factor) VALUES (true)", "DELETE FROM policies"),
            (codes, "DELETE FROM totp"),
        ):
            await run(database, there, *([ada, bytes(20)] if there == codes else []))
            path = f"/api/links/{token}/passkey"
            for answer in (
                await client.post(f"{path}/options", json={}),
                await client.post(path, json=body),
            ):
                assert (answer.status_code, answer.json()["code"]) == (409, "second_factor_set")
            await run(database, gone)
            body = {"credential": Authenticator().make(await ask(client, f"{path}/options"))}
        assert (await enter(client)).status_code == 200  # the password is as it was
        assert (await use(client, token, Authenticator())).status_code == 200  # and the link
