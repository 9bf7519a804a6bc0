"""The second factor: enrolled by a code, asked for from then on, and each code counts once."""

import asyncio
import base64

import httpx
import pytest

from pullse.access import link_commands, totp
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.people import give, run
from tests.access.sign_in import PASSWORD, audited, browser, enter, hire_with_password


@pytest.fixture
async def ada(database: Database) -> object:
    return await hire_with_password(database, "Ada")


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    moment = [1_800_000_000.0]
    monkeypatch.setattr(totp, "clock", lambda: moment[0])
    return moment


async def try_code(client: httpx.AsyncClient, code: str) -> httpx.Response:
    body = {"email": "ada@example.org", "password": PASSWORD, "code": code}
    return await client.post("/api/session", json=body)


def code(secret: bytes, now: list[float], steps: int = 0) -> str:
    return totp.code_at(secret, int(now[0]) // 30 + steps)


async def begin(client: httpx.AsyncClient) -> bytes:
    answer = await client.post("/api/session/totp", json={"password": PASSWORD})
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    assert data["secret"] in data["uri"]
    return base64.b32decode(data["secret"])


async def enrol(client: httpx.AsyncClient, now: list[float]) -> tuple[bytes, list[str]]:
    await enter(client)
    secret = await begin(client)
    answer = await client.put("/api/session/totp", json={"code": code(secret, now)})
    assert answer.status_code == 200, answer.text
    now[0] += 30
    return secret, answer.json()["data"]["recovery_codes"]


def test_it_is_rfc_6238() -> None:
    secret = b"12345678901234567890"
    shown = {59: "287082", 1111111109: "081804", 1234567890: "005924", 20000000000: "353130"}
    for moment, wanted in shown.items():
        assert totp.code_at(secret, moment // 30) == wanted


async def test_it_is_asked_for_once_it_is_confirmed(
    served: Edge, database: Database, ada: object, now: list[float]
) -> None:
    async with browser(served) as client:
        await enter(client)
        await begin(client)
        assert (await enter(client)).status_code == 200  # not confirmed
        secret, codes = await enrol(client, now)
        assert len(set(codes)) == 10
        answer = await enter(client)
        assert (answer.status_code, answer.json()["code"]) == (401, "code_needed")
        wrong = await enter(client, "Ada", "wrong")
        assert wrong.json()["code"] == "wrong_credentials"
        assert (await try_code(client, code(secret, now))).status_code == 200
    async with database.session() as db:
        rows = await db.rows("SELECT r::text FROM recovery_codes AS r")
        rows += await db.rows("SELECT a::text FROM audit AS a")
    assert not any(each in str(rows) for each in [*codes, secret.hex()])
    assert len(await audited(database, "totp.enrolled")) == 1
    assert '"totp"' in (await audited(database, "sign_in.succeeded"))[-1][1]


async def test_a_code_counts_once(served: Edge, ada: object, now: list[float]) -> None:
    async with browser(served) as client:
        secret, _ = await enrol(client, now)
        used = code(secret, now, -1)  # by which it was confirmed
        assert (await try_code(client, used)).json()["code"] == "wrong_code"
        answers = await asyncio.gather(*(try_code(client, code(secret, now)) for _ in range(4)))
        assert sorted(each.status_code for each in answers) == [200, 401, 401, 401]
        now[0] += 30
        assert (await try_code(client, code(secret, now))).status_code == 200


async def test_a_clock_may_be_a_step_wrong_and_no_more(
    served: Edge, ada: object, now: list[float]
) -> None:
    async with browser(served) as client:
        secret, _ = await enrol(client, now)
        for steps in (-2, 2, 9):
            assert (await try_code(client, code(secret, now, steps))).status_code == 401
        assert (await try_code(client, code(secret, now, 1))).status_code == 200


async def test_a_recovery_code_counts_once(
    served: Edge, database: Database, ada: object, now: list[float]
) -> None:
    async with browser(served) as client:
        _, codes = await enrol(client, now)
        assert (await try_code(client, codes[3])).status_code == 200
        assert (await try_code(client, codes[3])).status_code == 401
        assert (await try_code(client, codes[4])).status_code == 200
    await hire_with_password(database, "Ben")
    async with browser(served) as client:  # another's
        body = {"email": "ada@example.org", "password": PASSWORD, "code": "x" * 14}
        assert (await client.post("/api/session", json=body)).status_code == 401


@pytest.mark.parametrize("given", ["", "12345", "1234567", "١٢٣٤٥٦", "000000", "-", "x" * 100])
async def test_nonsense_is_no_code(given: str, served: Edge, ada: object, now: list[float]) -> None:
    async with browser(served) as client:
        await enrol(client, now)
        assert (await try_code(client, given)).json()["code"] == "wrong_code"


async def test_guessing_codes_gets_slower(served: Edge, ada: object, now: list[float]) -> None:
    async with browser(served) as own:
        await enrol(own, now)
    async with browser(served, address="198.51.100.9") as client:
        codes = [(await try_code(client, f"{n:06}")).status_code for n in range(8)]
    assert codes == [401] * 6 + [429] * 2


async def test_it_is_removed_with_the_password_alone(
    served: Edge, database: Database, ada: object, now: list[float]
) -> None:
    async with browser(served) as client:
        await enrol(client, now)
        again = await client.post("/api/session/totp", json={"password": PASSWORD})
        assert again.json()["code"] == "totp_enrolled"
        for path in ("/api/session/totp", "/api/session/totp/remove"):
            answer = await client.post(path, json={"password": "wrong"})
            assert answer.json()["code"] == "wrong_password"
        done = await client.post("/api/session/totp/remove", json={"password": PASSWORD})
        assert done.status_code == 200
        assert (await enter(client)).status_code == 200
    assert len(await audited(database, "totp.removed")) == 1
    async with database.session() as db:
        assert await db.value("SELECT count(*) FROM recovery_codes") == 0


async def test_a_token_does_not_touch_it(served: Edge, database: Database, ada: object) -> None:
    headers = {"Authorization": f"Bearer {await give(database, ada)}"}
    async with browser(served) as client:
        for method, path, body in (
            ("POST", "/api/session/totp", {"password": PASSWORD}),
            ("PUT", "/api/session/totp", {"code": "123456"}),
            ("POST", "/api/session/totp/remove", {"password": PASSWORD}),
        ):
            answer = await client.request(method, path, json=body, headers=headers)
            assert answer.json()["code"] == "session_needed"


async def test_a_reset_does_not_go_around_it(
    served: Edge, database: Database, ada: object, now: list[float]
) -> None:
    async with browser(served) as client:
        await enrol(client, now)
        for without, status in ((False, 401), (True, 200)):
            said = await link_commands.reset(database, "ada@example.org", without_totp=without)
            link = f"/api/links/{said.split()[0]}"
            assert (await client.post(link, json={"password": PASSWORD})).status_code == 200
            assert (await enter(client)).status_code == status


async def test_setting_it_up_and_removing_it_gives_this_session_a_new_token_and_ends_all_others(
    served: Edge, ada: object, now: list[float]
) -> None:
    async with browser(served) as client:
        await enter(client)
        secret = await begin(client)
        for change in ("set up", "remove"):
            async with browser(served) as other:
                if change == "set up":
                    await enter(other)
                    body = {"code": code(secret, now)}
                    old = client.cookies["pullse"]
                    answer = await client.put("/api/session/totp", json=body)
                else:
                    now[0] += 60
                    await try_code(other, code(secret, now))
                    old = client.cookies["pullse"]
                    answer = await client.post("/api/session/totp/remove", json={})
                assert answer.status_code == 200, answer.text
                assert client.cookies["pullse"] != old
                assert (await client.get("/api/me")).status_code == 200
                assert (await other.get("/api/me")).status_code == 401
            async with browser(served, Cookie=f"pullse={old}") as thief:
                assert (await thief.get("/api/me")).status_code == 401


async def test_a_wrong_code_changes_no_session(served: Edge, ada: object, now: list[float]) -> None:
    async with browser(served) as client, browser(served) as other:
        await enter(client)
        await enter(other)
        await begin(client)
        old = client.cookies["pullse"]
        answer = await client.put("/api/session/totp", json={"code": "000000"})
        assert (answer.status_code, client.cookies["pullse"]) == (400, old)
        removed = await client.post("/api/session/totp/remove", json={"password": PASSWORD})
        assert removed.status_code == 200  # one that was never confirmed
        assert (await client.get("/api/me")).status_code == 200


async def test_a_proof_may_be_that_one_has_just_signed_in(
    served: Edge, database: Database, ada: object, now: list[float]
) -> None:
    async with browser(served) as client:
        await enter(client)
        assert (await client.post("/api/session/totp", json={})).status_code == 200
        await run(database, "UPDATE sessions SET created_at = now() - interval '601 seconds'")
        for path in ("/api/session/totp", "/api/session/totp/remove"):
            answer = await client.post(path, json={})
            assert (answer.status_code, answer.json()["code"]) == (403, "proof_needed")
