"""Passwords, and who gets in by one: how it is kept, how long it takes, how often one may try."""

import asyncio
import statistics
import time

import pytest
from argon2 import PasswordHasher

from pullse.access import passwords, throttle
from pullse.errors import Invalid, Unavailable
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.people import run
from tests.access.sign_in import PASSWORD, audited, browser, enter, hire_with_password


async def test_a_hash_is_argon2id_with_the_parameters_of_today() -> None:
    hash_ = await passwords.hashed(PASSWORD)
    assert hash_.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.fits(PASSWORD, hash_)
    assert not await passwords.fits(PASSWORD + " ", hash_)
    assert not await passwords.fits("", hash_)
    assert not await passwords.fits("what an unknown account is compared with", None)
    assert not await passwords.fits(PASSWORD, "no hash")


async def test_however_a_keyboard_composes_it() -> None:
    assert await passwords.fits(
        "cafe\u0301 in the morning", await passwords.hashed("café in the morning")
    )


@pytest.mark.parametrize(
    "password",
    [
        "",
        "elevenchars",
        "x" * 1001,
        "PASSWORD1234",
        "aaaaaaaaaaaaa",
        "ada.lovelace@example.org",
        "ada.lovelace",
    ],
)
def test_what_others_try_first_is_refused(password: str) -> None:
    with pytest.raises(Invalid):
        passwords.check(password, about=("Ada Lovelace", "ada.lovelace@example.org"))


@pytest.mark.parametrize("password", [PASSWORD, "x y" * 4, "é" * 6 + "abcdefg", "a b" * 333])
def test_all_else_is_taken(password: str) -> None:
    passwords.check(password, about=("Ada Lovelace", "ada@example.org"))


async def test_hashing_leaves_the_loop_free_and_waits_in_a_short_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hashing = [asyncio.ensure_future(passwords.hashed(PASSWORD)) for _ in range(20)]
    gaps, last = [], time.perf_counter()
    while not all(each.done() for each in hashing):
        await asyncio.sleep(0)
        now = time.perf_counter()
        gaps.append(now - last)
        last = now
    assert len(gaps) > 50
    assert statistics.median(gaps) < 0.01
    monkeypatch.setattr(passwords, "WAITING_AT_MOST", 0)
    with pytest.raises(Unavailable):
        await passwords.hashed(PASSWORD)


async def test_one_signs_in_and_acts_as_oneself(served: Edge, database: Database) -> None:
    ada = await hire_with_password(database, "Ada")
    async with browser(served) as client:
        answer = await enter(client)
        assert answer.status_code == 200, answer.text
        data = answer.json()["data"]
        assert data["agent_id"] == str(ada)
        assert data["address"] == "192.0.2.1"
        me = (await client.get("/api/me")).json()["data"]
        assert (me["id"], me["role"], me["token"]) == (f"agent:{ada}", "agent", None)
        assert "tickets:write" in me["permissions"]
    ((actor, row, address),) = await audited(database, "sign_in.succeeded")
    assert (actor, address) == (f"agent:{ada}", "192.0.2.1")
    assert data["id"] in row


async def test_the_address_is_compared_without_regard_to_case(
    served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada")
    async with browser(served) as client:
        assert (await enter(client, "ADA")).status_code == 200


async def test_wrong_ones_get_the_same_answer(served: Edge, database: Database) -> None:
    ada = await hire_with_password(database, "Ada")
    ben = await hire_with_password(database, "Ben")
    await run(database, "UPDATE agents SET state = 'disabled' WHERE id = $1", ben)
    await run(database, "DELETE FROM passwords WHERE agent_id <> $1", ada)
    bodies = []
    async with browser(served) as client:
        for name, password in (("Ada", "wrong"), ("Ben", PASSWORD), ("Nobody", PASSWORD)):
            answer = await enter(client, name, password)
            assert answer.status_code == 401
            assert "set-cookie" not in answer.headers
            bodies.append(answer.json())
    assert bodies[0] == bodies[1] == bodies[2]
    assert bodies[0]["code"] == "wrong_credentials"
    rows = await audited(database, "sign_in.failed")
    assert [actor for actor, _, _ in rows] == ["anonymous"] * 3
    assert str(ada) in rows[0][1]
    assert "nobody@" not in str(rows)


async def test_an_unknown_account_takes_as_long(
    served: Edge, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hire_with_password(database, "Ada")
    monkeypatch.setattr(throttle, "LONGEST", 0.0)
    taken: dict[str, list[float]] = {"Ada": [], "Nobody": []}
    async with browser(served) as client:
        await enter(client, "Ada", "warm")
        for _ in range(25):
            for name, times in taken.items():
                began = time.perf_counter()
                assert (await enter(client, name, "wrong")).status_code == 401
                times.append(time.perf_counter() - began)
    known, unknown = (statistics.median(times) for times in taken.values())
    assert 0.6 < known / unknown < 1.6


async def test_an_outdated_hash_is_made_anew(served: Edge, database: Database) -> None:
    ada = await hire_with_password(database, "Ada")
    old = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    await run(database, "UPDATE passwords SET hash = $2 WHERE agent_id = $1", ada, old)
    async with browser(served) as client:
        assert (await enter(client)).status_code == 200
        assert (await enter(client)).status_code == 200
    async with database.session() as db:
        hash_ = await db.value("SELECT hash FROM passwords")
    assert "m=19456,t=2,p=1" in hash_


async def test_guessing_gets_slower_for_strangers_and_not_for_who_was_here(
    served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada")
    async with browser(served, address="192.0.2.1") as own:
        assert (await enter(own)).status_code == 200
        own.cookies.delete("pullse")
        async with browser(served, address="198.51.100.9") as stranger:
            codes = [(await enter(stranger, "Ada", "wrong")).status_code for _ in range(8)]
            assert codes[:6] == [401] * 6
            assert codes[6:] == [429, 429]
            refused = await enter(stranger)  # not even with the right one
            assert refused.status_code == 429
            assert refused.json()["code"] == "too_many"
            assert 1 <= int(refused.headers["retry-after"]) <= 2
        async with browser(served, address="192.0.2.1") as other:  # the address proves nothing
            assert (await enter(other)).status_code == 429
        assert (await enter(own)).status_code == 200
        codes = [(await enter(own, "Ada", "wrong")).status_code for _ in range(8)]
        assert codes == [401] * 6 + [429] * 2


async def test_a_device_of_one_account_says_nothing_to_another(
    served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada")
    await hire_with_password(database, "Ben")
    async with browser(served) as client:
        assert (await enter(client, "Ben")).status_code == 200
        codes = [(await enter(client, "Ada", "wrong")).status_code for _ in range(7)]
        assert codes[-1] == 429
    async with browser(served, address="198.51.100.9") as client:
        assert (await enter(client)).status_code == 429


async def test_an_address_that_tries_many_accounts_waits(served: Edge, database: Database) -> None:
    async with browser(served, address="2001:db8:1:2::9") as client:
        codes = [(await enter(client, f"A{n}", "wrong")).status_code for n in range(22)]
        assert codes == [401] * 21 + [429]
    async with browser(served, address="2001:db8:1:2:ffff::1") as client:
        assert (await enter(client, "B", "wrong")).status_code == 429
    async with browser(served, address="2001:db8:1:3::9") as client:
        assert (await enter(client, "B", "wrong")).status_code == 401


async def test_many_at_once_are_no_way_around(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada")
    async with browser(served) as client:
        answers = await asyncio.gather(*(enter(client, "Ada", "wrong") for _ in range(15)))
    codes = [answer.status_code for answer in answers]
    assert codes.count(401) == 6
    assert codes.count(429) == 9


async def test_a_success_begins_the_account_anew_and_not_the_address(
    served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada")
    async with browser(served) as client:
        for _ in range(4):
            await enter(client, "Ada", "wrong")
        assert (await enter(client)).status_code == 200
    async with database.session() as db:
        rows = await db.rows("SELECT split_part(key, ':', 1), count FROM sign_in_failures")
    assert [tuple(row) for row in rows] == [("address", 4)]


@pytest.mark.parametrize(
    "body",
    [{}, {"email": "a"}, {"email": 1, "password": 2}, {"email": "a", "password": "x" * 1001}],
)
async def test_what_is_malformed_is_400(served: Edge, body: dict[str, object]) -> None:
    async with browser(served) as client:
        assert (await client.post("/api/session", json=body)).status_code == 400
        plain = await client.post("/api/session", content="email=a")
        assert plain.status_code == 415
