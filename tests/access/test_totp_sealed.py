"""Keys of second factors are sealed in the database, and what a wrong secret does to them."""

import asyncio
from dataclasses import replace

import pytest

from pullse import app
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.kit.secret import Secret
from pullse.settings import Settings
from tests.access.people import run
from tests.access.sign_in import browser, enter, hire_with_password
from tests.access.test_totp import ada, begin, code, enrol, now, try_code
from tests.conftest import SECRET

__all__ = ["ada", "now"]


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
