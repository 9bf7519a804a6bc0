"""Signing in by a passkey alone, and all that does not open anything."""

import asyncio
from typing import Any

import pytest

from pullse.access import throttle
from pullse.access.passkeys import actions
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.authenticator import (
    LIES,
    ORIGIN,
    Authenticator,
    add,
    ask,
    decoded,
    enter_by,
    listed,
    with_passkey,
)
from tests.access.people import run
from tests.access.sign_in import audited, browser, enter, hire_with_password


@pytest.fixture
async def ada(database: Database) -> Any:
    return await hire_with_password(database, "Ada")


async def test_one_signs_in_by_it_alone(served: Edge, database: Database, ada: Any) -> None:
    key = await with_passkey(served)
    async with browser(served, address="198.51.100.9") as client:
        options = await ask(client, "/api/session/passkey/options")
        assert options["allowCredentials"] == []
        assert (options["rpId"], options["userVerification"]) == ("pullse.example", "required")
        answer = await enter_by(client, key)
        assert answer.status_code == 200, answer.text
        data = answer.json()["data"]
        assert (data["agent_id"], data["second_factor_needed"]) == (str(ada), False)
        assert {"pullse", "pullse-device"} <= set(client.cookies)
        assert (await client.get("/api/me")).json()["data"]["id"] == f"agent:{ada}"
        (one,) = await listed(client)
        assert one["last_used_at"] is not None
    actor, row, address = (await audited(database, "sign_in.succeeded"))[-1]
    assert (actor, address) == (f"agent:{ada}", "198.51.100.9")
    assert '"means": ["passkey"]' in row


async def test_each_of_several_signs_in(served: Edge, database: Database, ada: Any) -> None:
    keys = [await with_passkey(served) for _ in range(3)]
    async with browser(served) as client:
        for key in keys:
            assert (await enter_by(client, key)).status_code == 200
        removed = (await listed(client))[0]["id"]
        await client.post(f"/api/passkeys/{removed}/remove", json={})
    async with browser(served) as client:
        codes = [(await enter_by(client, key)).status_code for key in keys]
    assert codes == [200, 200, 401]


async def test_over_tls_and_a_port(served: Edge, ada: Any) -> None:
    key = Authenticator(origin="https://pullse.example")
    async with browser(served, scheme="https", Host="pullse.example:443") as client:
        await enter(client)
        assert (await add(client, key)).status_code == 201
        assert (await enter_by(client, key)).status_code == 200
        wrong = await enter_by(client, key, origin="http://pullse.example")
        assert wrong.status_code == 401
    key.origin = "https://pullse.example:8443"
    async with browser(served, scheme="https", Host="pullse.example:8443") as client:
        assert (await enter_by(client, key)).status_code == 200  # the same name, another port


async def test_one_made_at_another_name_opens_nothing(served: Edge, ada: Any) -> None:
    """Whoever shows people our pages under a name of their own gets nothing that is good here."""
    key = Authenticator(host="evil.example", origin="http://evil.example")
    async with browser(served, Host="evil.example") as client:
        await enter(client)
        assert (await add(client, key)).status_code == 201
    async with browser(served) as client:
        for lies in ({}, {"host": "pullse.example", "origin": ORIGIN}):
            assert (await enter_by(client, key, **lies)).status_code == 401


SIGNED_LIES = [
    *[each for each in LIES if "format" not in each and each != {"type": "webauthn.get"}],
    {"type": "webauthn.create"},
    {"signature": b""},
    {"signature": b"\x30\x06\x02\x01\x01\x02\x01\x01"},
    {"handle": None},
    {"handle": "AAAA"},
]


@pytest.mark.parametrize("lies", SIGNED_LIES, ids=str)
async def test_what_was_not_signed_for_us_now_opens_nothing(
    lies: dict[str, Any], served: Edge, database: Database, ada: Any
) -> None:
    key = await with_passkey(served)
    async with browser(served) as client:
        answer = await enter_by(client, key, **lies)
        if answer.status_code == 400:  # an empty signature or challenge is no credential at all
            assert "credential" in answer.text
            assert b"" in lies.values()
        else:
            assert (answer.status_code, answer.json()["code"]) == (401, "wrong_passkey")
            assert len(await audited(database, "sign_in.failed")) == 1
        assert "set-cookie" not in answer.headers
        assert (await client.get("/api/me")).status_code == 401
        assert (await enter_by(client, key)).status_code == 200


async def test_an_answer_counts_once(served: Edge, database: Database, ada: Any) -> None:
    key = await with_passkey(served, counts=False)
    async with browser(served) as client, browser(served) as thief:
        options = await ask(client, "/api/session/passkey/options")
        body = {"credential": key.sign(options)}
        assert (await client.post("/api/session/passkey", json=body)).status_code == 200
        for who in (client, thief):
            again = await who.post("/api/session/passkey", json=body)
            assert (again.status_code, again.json()["code"]) == (401, "wrong_passkey")
        options = await ask(client, "/api/session/passkey/options")
        await run(database, "UPDATE passkey_challenges SET expires_at = now()")
        late = await client.post("/api/session/passkey", json={"credential": key.sign(options)})
        assert late.status_code == 401
    rows = await audited(database, "sign_in.failed")
    assert all(str(ada) in row and '"passkey"' in row for _, row, _ in rows)


async def test_of_many_at_once_one_gets_in(served: Edge, ada: Any) -> None:
    key = await with_passkey(served)
    async with browser(served) as client:
        options = await ask(client, "/api/session/passkey/options")
        body = {"credential": key.sign(options)}
        answers = await asyncio.gather(
            *(client.post("/api/session/passkey", json=body) for _ in range(5))
        )
    assert sorted(each.status_code for each in answers) == [200, 401, 401, 401, 401]


async def test_a_copy_of_an_authenticator_is_noticed(
    served: Edge, database: Database, ada: Any
) -> None:
    key = await with_passkey(served)
    async with browser(served) as client:
        assert (await enter_by(client, key, count=40)).status_code == 200
        for count in (40, 39, 1, 0):
            answer = await enter_by(client, key, count=count)
            assert (answer.status_code, answer.json()["code"]) == (401, "wrong_passkey")
        assert (await enter_by(client, key, count=41)).status_code == 200
    rows = await audited(database, "sign_in.failed")
    assert len(rows) == 4
    assert all('"passkey_counter"' in row and str(ada) in row for _, row, _ in rows)


async def test_one_without_a_counter_works_for_good(served: Edge, ada: Any) -> None:
    key = await with_passkey(served, counts=False)
    async with browser(served) as client:
        for _ in range(3):
            assert (await enter_by(client, key)).status_code == 200


async def test_somebody_elses_passkey_is_somebody_elses(
    served: Edge, database: Database, ada: Any
) -> None:
    ben = await hire_with_password(database, "Ben", "owner")
    adas, bens = await with_passkey(served), await with_passkey(served, "Ben")
    async with browser(served) as client:
        for lies in ({"id": bens.id}, {"id": bens.id, "handle": None}):
            assert (await enter_by(client, adas, **lies)).status_code == 401
        adas.handle, handle = bens.handle, adas.handle
        assert (await enter_by(client, adas)).status_code == 401
        assert (await enter_by(client, adas, id=bens.id)).status_code == 401
        adas.handle = handle
        assert (await enter_by(client, bens)).json()["data"]["agent_id"] == str(ben)
        assert (await enter_by(client, adas)).json()["data"]["agent_id"] == str(ada)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE agents SET state = 'disabled'",
        "UPDATE agents SET deleted_at = now()",
        "DELETE FROM passkeys",
    ],
)
async def test_who_may_not_or_is_not_there_gets_the_same_answer(
    change: str, served: Edge, database: Database, ada: Any
) -> None:
    key = await with_passkey(served)
    async with browser(served) as client:
        unknown = await enter_by(client, Authenticator(handle=b"x"))
        await run(database, change)
        answer = await enter_by(client, key)
        assert (answer.status_code, answer.json()) == (401, unknown.json())
        assert "set-cookie" not in answer.headers


async def test_what_is_asked_says_nothing_of_who_has_an_account(
    served: Edge, database: Database
) -> None:
    async with browser(served) as client:
        before = await ask(client, "/api/session/passkey/options")
        await hire_with_password(database, "Ada")
        await with_passkey(served)
        after = await ask(client, "/api/session/passkey/options")
    assert before | {"challenge": ""} == after | {"challenge": ""}
    async with browser(served) as client:
        answer = await client.post("/api/session/passkey/options", json={"email": "ada@x"})
        assert answer.status_code == 400


async def test_guessing_waits_for_strangers_and_not_for_who_was_here(
    served: Edge, database: Database, ada: Any
) -> None:
    key = await with_passkey(served)
    async with browser(served, address="198.51.100.9") as own:
        assert (await enter_by(own, key)).status_code == 200
        async with browser(served, address="198.51.100.9") as stranger:
            codes = [
                (await enter_by(stranger, key, origin="http://evil.example")).status_code
                for _ in range(25)
            ]
            assert codes[:20] == [401] * 20
            assert 429 in codes
            await run(
                database, "UPDATE sign_in_failures SET paused_until = now() + interval '9 min'"
            )
            assert (await enter_by(stranger, key)).status_code == 429
        assert (await enter_by(own, key)).status_code == 200  # by its device
    async with browser(served, address="203.0.113.5") as elsewhere:
        assert (await enter_by(elsewhere, key)).status_code == 200  # no account is paused


async def test_challenges_of_strangers_are_few_and_take_none_from_others(
    served: Edge, database: Database, ada: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "OF_STRANGERS", 5)
    key = await with_passkey(served)
    async with browser(served) as own, browser(served, address="198.51.100.9") as stranger:
        options = await ask(own, "/api/session/passkey/options")
        await asyncio.gather(*(ask(stranger, "/api/session/passkey/options") for _ in range(20)))
        async with database.session() as db:
            place = f"address:{throttle.place('198.51.100.9')}"
            few = await db.value(
                "SELECT count(*) FROM passkey_challenges WHERE made_for = $1", place
            )
        assert few <= 10  # those that come at once pass over each other's
        answer = await own.post("/api/session/passkey", json={"credential": key.sign(options)})
        assert answer.status_code == 200


async def test_the_database_has_no_challenge(served: Edge, database: Database, ada: Any) -> None:
    async with browser(served) as client:
        options = await ask(client, "/api/session/passkey/options")
    async with database.session() as db:
        rows = await db.rows("SELECT c::text FROM passkey_challenges AS c")
    assert len(rows) == 1
    assert decoded(options["challenge"]).hex() not in str(rows)
    assert options["challenge"] not in str(rows)


async def test_pages_of_other_sites_begin_and_finish_nothing(served: Edge, ada: Any) -> None:
    key = await with_passkey(served)
    async with browser(served) as client:
        options = await ask(client, "/api/session/passkey/options")
        client.headers["Sec-Fetch-Site"] = "cross-site"
        for path, body in (
            ("/api/session/passkey/options", {}),
            ("/api/session/passkey", {"credential": key.sign(options)}),
        ):
            answer = await client.post(path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")


NONSENSE: list[Any] = [
    None,
    "x",
    {},
    [],
    {"id": "x"},
    {"id": "AA", "rawId": "AA", "type": "public-key", "response": {}},
    {"id": "AA", "rawId": "AA", "type": "password", "response": {}},
    {"id": "é", "rawId": "é", "type": "public-key", "response": {}},
]
BYTES = [
    "A",
    "AAAAA",
    "!!!!",
    "AA==",
    "",
    "e30",
    "W10",
    "bnVsbA",
    "eyJjaGFsbGVuZ2UiOjF9",
    "W" * 30000,
]


@pytest.mark.parametrize("credential", NONSENSE, ids=str)
async def test_nonsense_is_no_credential(credential: Any, served: Edge, ada: Any) -> None:
    async with browser(served) as client:
        await enter(client)
        for path in ("/api/session/passkey", "/api/passkeys"):
            answer = await client.post(path, json={"credential": credential})
            assert answer.status_code == 400, answer.text


@pytest.mark.parametrize("part", BYTES, ids=lambda part: part[:20])
async def test_nonsense_in_any_place_is_refused(part: str, served: Edge, ada: Any) -> None:
    key = await with_passkey(served)
    async with browser(served) as client:
        await enter(client)
        for field in ("clientDataJSON", "attestationObject"):
            credential = Authenticator().make(await ask(client, "/api/passkeys/options"))
            credential["response"][field] = part
            answer = await client.post("/api/passkeys", json={"credential": credential})
            assert answer.status_code == 400, (field, answer.text)
        for field in ("clientDataJSON", "authenticatorData", "signature", "userHandle"):
            credential = key.sign(await ask(client, "/api/session/passkey/options"))
            credential["response"][field] = part
            answer = await client.post("/api/session/passkey", json={"credential": credential})
            assert answer.status_code in (400, 401), (field, answer.text)
        for field in ("id", "rawId"):
            credential = key.sign(await ask(client, "/api/session/passkey/options")) | {field: part}
            answer = await client.post("/api/session/passkey", json={"credential": credential})
            assert answer.status_code in (400, 401), (field, answer.text)
