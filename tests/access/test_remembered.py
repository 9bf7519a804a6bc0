"""
What a process remembers of sessions: a sign-in makes it forget nobody, but the session that
the browser had, and that at once. The finder's clock stands still, so nothing is forgotten by
itself.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from pullse import app
from pullse.access.finder import Finder, SessionFinder
from pullse.access.oidc.discovery import Live
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.kit.guard import BearerToken
from pullse.kit.secret import Secret
from pullse.kit.tail import Tail
from tests.access import single_sign_on
from tests.access.authenticator import enter_by, with_passkey
from tests.access.people import OPERATORS, calling
from tests.access.sign_in import browser, enter, hire_with_password
from tests.conftest import SECRET
from tests.standins.oidc import Provider
from tests.web import visiting

Enter = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]


class Counting(SessionFinder):
    """Counts its statements' keys."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, clock=lambda: 1000.0)
        self.asked: list[Any] = []

    async def look_up(self, key: Any) -> Any:
        self.asked.append(key)
        return await super().look_up(key)


@pytest.fixture
def sessions(database: Database) -> Counting:
    return Counting(database)


@pytest.fixture
def edge(database: Database, tail: Tail, sessions: Counting, provider: Provider) -> Edge:
    guard = BearerToken(OPERATORS, find=Finder(database), find_session=sessions)
    lives = [Live(single_sign_on.settings(provider))]
    return app.build(database, tail, guard, secret=Secret(SECRET), providers=lives)


@pytest.fixture(params=["api", "page", "code", "passkey", "provider"])
async def way(request: pytest.FixtureRequest, edge: Edge, database: Database) -> Enter:
    """A way in for Ada, who is here already."""
    await hire_with_password(database, "Ada")
    if request.param == "passkey":
        key = await with_passkey(edge)
        return lambda client: enter_by(client, key)
    if request.param == "code":
        return await by_code(edge)
    ways: dict[str, Enter] = {
        "api": enter,
        "page": visiting.sign_in,
        "provider": single_sign_on.sign_in,
    }
    return ways[request.param]


async def by_code(edge: Edge) -> Enter:
    here, steps = "/account/second-factor", iter((-1, 0, 1))
    async with browser(edge) as client:
        await enter(client)
        secret = visiting.once(await visiting.send(client, f"{here}/begin"))
        fields = {"secret": secret, "code": visiting.code_of(secret, steps=next(steps))}
        assert (await visiting.send(client, f"{here}/confirm", fields)).status_code == 200

    async def run(client: httpx.AsyncClient) -> httpx.Response:
        await visiting.sign_in(client)
        code = {"code": visiting.code_of(secret, steps=next(steps))}
        return await visiting.send(client, "/sign-in/code", code)

    return run


async def test_a_sign_in_makes_nobody_else_be_looked_up_anew(
    way: Enter, edge: Edge, database: Database, sessions: Counting
) -> None:
    await hire_with_password(database, "Ben")
    async with browser(edge) as ben, browser(edge) as ada:
        await enter(ben, "Ben")
        assert (await ben.get("/api/me")).status_code == 200
        before = list(sessions.asked)
        assert (await way(ada)).status_code in (200, 303)
        assert (await ben.get("/api/me")).status_code == 200
        assert sessions.asked == before
        assert (await ada.get("/api/me")).status_code == 200
        assert len(sessions.asked) == len(before) + 1


async def test_the_session_that_the_browser_had_is_over_at_once(way: Enter, edge: Edge) -> None:
    async with browser(edge) as ada:
        await way(ada)
        assert (await ada.get("/api/me")).status_code == 200
        old = ada.cookies["pullse"]
        await way(ada)
        assert ada.cookies["pullse"] != old
        assert (await ada.get("/api/me")).status_code == 200
    async with browser(edge, Cookie=f"pullse={old}") as thief:
        assert (await thief.get("/api/me")).status_code == 401


async def test_so_is_somebody_elses_in_the_same_browser(
    way: Enter, edge: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ben")
    async with browser(edge) as client:
        await enter(client, "Ben")
        assert (await client.get("/api/me")).status_code == 200
        old = client.cookies["pullse"]
        await way(client)
        assert (await client.get("/api/me")).json()["data"]["agent"]["name"] == "Ada"
    async with browser(edge, Cookie=f"pullse={old}") as thief:
        assert (await thief.get("/api/me")).status_code == 401


async def test_what_an_admin_ended_is_over_at_once(edge: Edge, database: Database) -> None:
    ada = await hire_with_password(database, "Ada")
    async with browser(edge) as client, calling(edge) as operator:
        await enter(client)
        assert (await client.get("/api/me")).status_code == 200
        answer = await operator.delete(f"/api/agents/{ada}/sessions")
        assert answer.json()["data"] == {"ended": 1}
        assert (await client.get("/api/me")).status_code == 401
