"""Passkeys: made by who has just shown who they are, and what changes with each."""

import asyncio
import random
from typing import Any
from uuid import uuid4

import cbor2
import msgspec
import pytest

from pullse.access.passkeys import actions
from pullse.access.passkeys.ceremony import NotAnswered, Site, made, new_challenge, used
from pullse.access.passkeys.model import Credential, NewCredential
from pullse.access.passkeys.queries import Known
from pullse.errors import Invalid
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.authenticator import (
    HOST,
    LIES,
    ORIGIN,
    SYNCABLE,
    SYNCED,
    USUAL,
    Authenticator,
    add,
    ask,
    decoded,
    encoded,
    enter_by,
    listed,
    with_passkey,
)
from tests.access.people import OPERATORS, calling, give, run
from tests.access.sign_in import PASSWORD, audited, browser, enter, hire_with_password


@pytest.fixture
async def ada(database: Database) -> Any:
    return await hire_with_password(database, "Ada")


async def let_time_pass(database: Database) -> None:
    """More than ten minutes since everybody signed in."""
    await run(database, "UPDATE sessions SET created_at = now() - interval '601 seconds'")


# -- making one --


async def test_what_an_authenticator_is_asked(served: Edge, ada: Any) -> None:
    async with browser(served) as client:
        await enter(client)
        options = await ask(client, "/api/passkeys/options")
        assert options["rp"] == {"id": "pullse.example", "name": "pullse"}
        assert options["user"]["name"] == "ada@example.org"
        assert options["user"]["displayName"] == "Ada"
        assert options["authenticatorSelection"] == {
            "residentKey": "required",
            "requireResidentKey": True,
            "userVerification": "required",
        }
        assert options["attestation"] == "none"
        assert [each["alg"] for each in options["pubKeyCredParams"]] == [-7, -8, -257]
        assert options["excludeCredentials"] == []
        key = Authenticator()
        await add(client, key)
        again = await ask(client, "/api/passkeys/options")
        assert [each["transports"] for each in again["excludeCredentials"]] == [
            ["hybrid", "internal"]
        ]
        assert again["user"]["id"] == options["user"]["id"]
        assert again["challenge"] != options["challenge"]


async def test_one_is_made_listed_renamed_and_removed(
    served: Edge, database: Database, ada: Any
) -> None:
    async with browser(served) as client:
        await enter(client)
        made = await add(client, Authenticator(), "My laptop")
        assert made.status_code == 201
        one = made.json()["data"]
        assert (one["name"], one["host"], one["last_used_at"]) == (
            "My laptop",
            "pullse.example",
            None,
        )
        two = (await add(client, Authenticator(flags=USUAL | SYNCABLE | SYNCED), None)).json()[
            "data"
        ]
        assert (one["is_synced"], two["is_synced"]) == (False, True)
        assert two["name"].startswith("python-httpx")
        assert await listed(client) == [two, one]
        renamed = await client.patch(f"/api/passkeys/{one['id']}", json={"name": "The old one"})
        assert renamed.json()["data"] == one | {"name": "The old one"}
        assert (
            await client.patch(f"/api/passkeys/{one['id']}", json={"name": ""})
        ).status_code == 400
        path = f"/api/passkeys/{one['id']}/remove"
        assert (await client.post(path, json={})).status_code == 200
        assert (await client.post(path, json={})).status_code == 404
        assert await listed(client) == [two]
    assert [row[0] for row in await audited(database, "passkey.added")] == [f"agent:{ada}"] * 2
    ((actor, row, address),) = await audited(database, "passkey.removed")
    assert (actor, address) == (f"agent:{ada}", "192.0.2.1")
    assert one["id"] in row


async def test_it_takes_a_fresh_proof(served: Edge, database: Database, ada: Any) -> None:
    async with browser(served) as client:
        await enter(client)
        made = (await add(client, Authenticator())).json()["data"]
        await let_time_pass(database)
        for path in ("/api/passkeys/options", f"/api/passkeys/{made['id']}/remove"):
            old = await client.post(path, json={})
            assert (old.status_code, old.json()["code"]) == (403, "proof_needed")
            wrong = await client.post(path, json={"password": "wrong"})
            assert (wrong.status_code, wrong.json()["code"]) == (403, "wrong_password")
            assert (await client.post(path, json={"password": PASSWORD})).status_code == 200


async def test_a_stolen_session_does_not_guess_the_password(served: Edge, ada: Any) -> None:
    async with browser(served) as client:
        await enter(client)
        body = {"password": "wrong"}
        codes = [
            (await client.post("/api/passkeys/options", json=body)).status_code for _ in range(8)
        ]
    assert codes == [403] * 6 + [429] * 2


async def test_a_token_makes_none(served: Edge, database: Database, ada: Any) -> None:
    for token in (OPERATORS, await give(database, ada)):
        async with calling(served, token) as client:
            for method, path, body in (
                ("GET", "/api/passkeys", None),
                ("POST", "/api/passkeys/options", {"password": PASSWORD}),
            ):
                answer = await client.request(method, path, json=body)
                assert (answer.status_code, answer.json()["code"]) == (403, "session_needed")


async def test_others_passkeys_are_not_there(served: Edge, database: Database, ada: Any) -> None:
    await hire_with_password(database, "Ben", "owner")
    async with browser(served) as own, browser(served) as other:
        await enter(own)
        await enter(other, "Ben")
        id_ = (await add(own, Authenticator())).json()["data"]["id"]
        for path in (f"/api/passkeys/{id_}", "/api/passkeys/x"):
            assert (await other.patch(path, json={"name": "Mine"})).status_code == 404
            assert (await other.post(f"{path}/remove", json={})).status_code == 404
        assert await listed(other) == []
        assert len(await listed(own)) == 1


async def test_nobody_has_more_than_some(
    served: Edge, database: Database, ada: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "MOST", 2)
    async with browser(served) as client:
        await enter(client)
        asked = [await ask(client, "/api/passkeys/options") for _ in range(3)]
        codes = []
        for options in asked:
            body = {"credential": Authenticator().make(options)}
            answer = await client.post("/api/passkeys", json=body)
            codes.append(answer.status_code)
        assert codes == [201, 201, 409]
        answer = await client.post("/api/passkeys/options", json={})
        assert answer.json()["code"] == "too_many_passkeys"
        assert len(await listed(client)) == 2


@pytest.mark.parametrize("lies", LIES, ids=str)
async def test_what_is_not_as_it_was_asked_for_is_refused(
    lies: dict[str, Any], served: Edge, database: Database, ada: Any
) -> None:
    async with browser(served) as client:
        await enter(client)
        token = client.cookies["pullse"]
        answer = await add(client, Authenticator(), **lies)
        assert (answer.status_code, answer.json()["code"]) == (400, "not_answered")
        assert answer.json()["errors"][0]["field"] == "credential"
        assert await listed(client) == []
        assert client.cookies["pullse"] == token
    assert await audited(database, "passkey.added") == []


async def test_a_challenge_is_good_once_and_not_for_long(
    served: Edge, database: Database, ada: Any
) -> None:
    async with browser(served) as client:
        await enter(client)
        options = await ask(client, "/api/passkeys/options")
        wrong = Authenticator().make(options, origin="http://evil.example")
        for credential in (wrong, Authenticator().make(options)):  # the wrong one used it up
            answer = await client.post("/api/passkeys", json={"credential": credential})
            assert answer.json()["code"] == "not_answered"
        options = await ask(client, "/api/passkeys/options")
        await run(database, "UPDATE passkey_challenges SET expires_at = now()")
        late = await client.post(
            "/api/passkeys", json={"credential": Authenticator().make(options)}
        )
        assert late.json()["code"] == "not_answered"


async def test_of_many_answers_at_once_one_counts(
    served: Edge, database: Database, ada: Any
) -> None:
    async with browser(served) as client:
        await enter(client)
        options = await ask(client, "/api/passkeys/options")
        answers = await asyncio.gather(
            *(
                client.post("/api/passkeys", json={"credential": Authenticator().make(options)})
                for _ in range(4)
            )
        )
    codes = sorted(each.status_code for each in answers)
    assert codes[0] == 201
    # too late, or by a cookie that is no longer the session's
    assert set(codes[1:]) <= {400, 401}
    async with database.session() as db:
        assert await db.value("SELECT count(*) FROM passkeys") == 1


async def test_a_challenge_belongs_to_its_session_and_its_purpose(
    served: Edge, database: Database, ada: Any
) -> None:
    await hire_with_password(database, "Ben")
    async with browser(served) as own, browser(served) as elsewhere, browser(served) as other:
        await enter(own)
        await enter(elsewhere)
        await enter(other, "Ben")
        for client in (elsewhere, other):
            options = await ask(own, "/api/passkeys/options")
            body = {"credential": Authenticator().make(options)}
            assert (await client.post("/api/passkeys", json=body)).json()["code"] == "not_answered"
        options = await ask(own, "/api/session/passkey/options")
        made = Authenticator().make(options | {"user": {"id": "AAAA"}})
        answer = await own.post("/api/passkeys", json={"credential": made})
        assert answer.json()["code"] == "not_answered"
    key = await with_passkey(served)
    async with browser(served) as client:
        await enter(client)
        options = await ask(client, "/api/passkeys/options")
        answer = await client.post("/api/session/passkey", json={"credential": key.sign(options)})
        assert (answer.status_code, answer.json()["code"]) == (401, "wrong_passkey")


async def test_one_that_is_known_is_made_for_nobody_else(
    served: Edge, database: Database, ada: Any
) -> None:
    key = await with_passkey(served)
    await hire_with_password(database, "Ben")
    for name in ("Ada", "Ben"):
        async with browser(served) as client:
            await enter(client, name)
            answer = await add(client, key)
            assert (answer.status_code, answer.json()["code"]) == (409, "passkey_known")
    async with database.session() as db:
        assert await db.value("SELECT agent_id FROM passkeys") == ada


@pytest.mark.parametrize(
    "host", ["127.0.0.1:3000", "[::1]:3000", "10.0.0.7", "", "a b", "é.example"]
)
async def test_an_address_has_no_passkeys(host: str, served: Edge, ada: Any) -> None:
    async with browser(served) as client:
        await enter(client)
        for path in ("/api/passkeys/options", "/api/session/passkey/options"):
            headers = {b"Host": host.encode("latin-1")}
            answer = await client.post(path, json={}, headers=headers)  # type: ignore[arg-type]
            assert (answer.status_code, answer.json()["code"]) == (409, "no_passkeys_here")


# -- what changes with them --


async def test_making_and_removing_one_gives_this_session_a_new_token_and_ends_all_others(
    served: Edge, ada: Any
) -> None:
    async with browser(served) as client:
        await enter(client)
        made = None
        for change in ("add", "remove"):
            async with browser(served) as other:
                await enter(other)
                old = client.cookies["pullse"]
                if made is None:
                    made = (await add(client, Authenticator())).json()["data"]
                else:
                    done = await client.post(f"/api/passkeys/{made['id']}/remove", json={})
                    assert done.status_code == 200
                assert client.cookies["pullse"] != old, change
                assert (await client.get("/api/me")).status_code == 200
                assert (await other.get("/api/me")).status_code == 401
            async with browser(served, Cookie=f"pullse={old}") as thief:
                assert (await thief.get("/api/me")).status_code == 401


async def test_the_last_way_in_stays(served: Edge, database: Database, ada: Any) -> None:
    key = await with_passkey(served)
    await run(database, "DELETE FROM passwords")
    async with browser(served) as client:
        await enter_by(client, key)
        (one,) = await listed(client)
        answer = await client.post(f"/api/passkeys/{one['id']}/remove", json={})
        assert (answer.status_code, answer.json()["code"]) == (409, "last_way_in")
        assert (await listed(client))[0]["id"] == one["id"]
        changed = await client.put("/api/session/password", json={"new_password": PASSWORD})
        assert changed.status_code == 200
        assert (await client.post(f"/api/passkeys/{one['id']}/remove", json={})).status_code == 200
    async with browser(served) as client:
        assert (await enter(client)).status_code == 200


async def test_who_has_a_password_does_not_change_it_without(
    served: Edge, database: Database, ada: Any
) -> None:
    async with browser(served) as client:
        await enter(client)
        answer = await client.put(
            "/api/session/password", json={"new_password": "four other words"}
        )
        assert (answer.status_code, answer.json()["code"]) == (403, "wrong_password")


def test_whatever_bytes_come_in_it_is_an_answer_or_none() -> None:
    """Parsers of CBOR, keys and certificates raise what they like; nobody else gets to see it."""
    chance, key, site = random.Random(7), Authenticator(), Site(HOST, ORIGIN)
    challenge = new_challenge()
    options = {"challenge": encoded(challenge), "user": {"id": encoded(bytes(16))}}
    whole = key.make(options)
    good = made(msgspec.convert(whole, NewCredential), challenge, site)
    ada = Known(uuid4(), uuid4(), good.public_key, bytes(16), HOST, 0)
    taken = 0
    for _ in range(1500):
        attestation = cbor2.loads(decoded(whole["response"]["attestationObject"]))
        if chance.random() < 0.3:
            attestation["fmt"] = chance.choice(["none", "packed", "tpm", "apple", "fido-u2f"])
            attestation["attStmt"] = {
                name: chance.choice([-7, b"x", [b"0\x82"], "2.0", None, {}])
                for name in chance.sample(["alg", "sig", "x5c", "ver", "certInfo"], 3)
            }
        given = key.make(options)
        given["response"]["attestationObject"] = encoded(changed(cbor2.dumps(attestation), chance))
        try:
            made(msgspec.convert(given, NewCredential), challenge, site)
            taken += 1
        except (NotAnswered, Invalid, msgspec.ValidationError):
            pass
        signed = key.sign(options)
        part = chance.choice(["authenticatorData", "signature", "clientDataJSON"])
        before = decoded(signed["response"][part])
        after = changed(before, chance)
        signed["response"][part] = encoded(after)
        try:
            used(msgspec.convert(signed, Credential), challenge, site, ada)
            assert after == before
        except (NotAnswered, Invalid, msgspec.ValidationError):
            assert after != before
    assert taken < 100


def changed(data: bytes, chance: random.Random) -> bytes:
    """Some bytes are others, more or fewer."""
    found = bytearray(data)
    for _ in range(chance.randint(1, 5)):
        start = chance.randrange(len(found) + 1)
        found[start : start + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
    return bytes(found)
