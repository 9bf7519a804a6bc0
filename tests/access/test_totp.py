"""The second factor: enrolled by a code, asked for from then on, and each code counts once."""

import asyncio
import base64
from dataclasses import replace

import httpx
import pytest

from pullse import app
from pullse.access import link_commands, totp
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.kit.secret import Secret
from pullse.settings import Settings
from tests.access.people import give, run
from tests.access.sign_in import PASSWORD, audited, browser, enter, hire_with_password
from tests.conftest import SECRET


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


# -- sealed --


async def stored(database: Database) -> bytes:
    async with database.session() as db:
        return bytes(await db.value("SELECT secret FROM totp"))


def with_secret(edge: Edge, secret: Secret | None) -> Edge:
    """The same application, started with another secret."""
    return replace(edge, services=replace(edge.services, secret=secret))


async def test_the_database_alone_makes_no_codes(
    served: Edge, database: Database, ada: object, now: list[float]
) -> None:
    async with browser(served) as client:
        secret, _ = await enrol(client, now)
    kept = await stored(database)
    assert secret not in kept
    assert code(kept, now) != code(secret, now)


async def test_what_was_put_at_another_agents_place_fits_nothing(
    served: Edge, database: Database, ada: object, now: list[float]
) -> None:
    await hire_with_password(database, "Ben")
    async with browser(served) as client:
        await enrol(client, now)
    async with browser(served) as client:
        await enter(client, "Ben")
        bens = await begin(client)
        await client.put("/api/session/totp", json={"code": code(bens, now)})
        now[0] += 30
        await run(
            database,
            """
            UPDATE totp SET secret = (SELECT secret FROM totp WHERE agent_id <> $1)
             WHERE agent_id = $1
            """,
            ada,
        )
        answer = await try_code(client, code(bens, now))
        assert (answer.status_code, answer.json()["code"]) == (503, "wrong_secret")


async def test_what_an_earlier_version_kept_works_and_is_sealed_at_the_next_start(
    served: Edge, database: Database, ada: object, now: list[float]
) -> None:
    plain = bytes(range(20))
    await run(
        database,
        "INSERT INTO totp (agent_id, secret, confirmed_at) VALUES ($1, $2, now())",
        ada,
        plain,
    )
    async with browser(served) as client:
        assert (await try_code(client, code(plain, now))).status_code == 200
        settings = Settings(secret=SECRET)
        opened = await asyncio.gather(*(app.open_secret(database, settings) for _ in range(3)))
        assert opened == [Secret(SECRET)] * 3
        kept = await stored(database)
        assert plain not in kept
        await app.open_secret(database, settings)
        assert await stored(database) == kept
        assert (await try_code(client, code(plain, now))).status_code == 401  # used
        now[0] += 30
        assert (await try_code(client, code(plain, now))).status_code == 200


@pytest.mark.parametrize("other", [Secret("quite another secret" * 2), None])
async def test_with_another_secret_it_says_what_is_wrong_and_recovery_codes_work(
    other: Secret | None, served: Edge, database: Database, ada: object, now: list[float]
) -> None:
    async with browser(served) as client:
        secret, codes = await enrol(client, now)
    async with browser(with_secret(served, other)) as client:
        answer = await try_code(client, code(secret, now))
        assert (answer.status_code, answer.json()["code"]) == (503, "wrong_secret")
        assert "PULLSE_SECRET" in answer.json()["message"]
        assert (await try_code(client, codes[0])).status_code == 200
        assert (await client.post("/api/session/totp/remove", json={})).status_code == 200
        if other is None:
            begun = await client.post("/api/session/totp", json={})
            assert (begun.status_code, begun.json()["code"]) == (503, "wrong_secret")


async def test_the_wrong_secret_is_not_taken_and_seals_nothing(
    database: Database, ada: object, caplog: pytest.LogCaptureFixture
) -> None:
    assert await app.open_secret(database, Settings(secret=SECRET))
    plain = bytes(20)
    await run(database, "INSERT INTO totp (agent_id, secret) VALUES ($1, $2)", ada, plain)
    assert await app.open_secret(database, Settings(secret="quite another secret" * 2)) is None
    assert "second factors" in caplog.text
    assert await stored(database) == plain
