"""A desk as `pullse serve` has it: two processes on one database, and people who work there."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
import pytest

from pullse.access.finder import Finder, SessionFinder
from pullse.gateway import log
from pullse.kit.db import Database
from pullse.kit.guard import BearerToken
from pullse.kit.tail import Tail
from tests.access.people import OPERATORS, give, hire
from tests.access.sign_in import PASSWORD, enter, hire_with_password
from tests.gateway.protocol import DISCONNECTED, Client
from tests.gateway.served import Served, serving

TOKEN = "/api/realtime/token"
REVOKED = 40141


@dataclass
class Person:
    """Somebody who asks at the first process; `bearer` is an API token, if they show one."""

    desk: "Desk"
    id: UUID
    http: httpx.AsyncClient
    bearer: str | None = None

    async def token(self, **params: Any) -> str:
        answer = await self.http.get(TOKEN, params=params)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["token"])


@dataclass
class Stream:
    """One that is read over HTTP."""

    lines: Any
    told: list[str] = field(default_factory=list)

    async def data(self, word: str) -> str:
        """The next line with this word in it."""
        async with asyncio.timeout(10):
            async for line in self.lines:
                self.told.append(line)
                if word in line:
                    return str(line)
        raise AssertionError(f"over without {word}: {self.told}")

    async def end(self) -> str:
        """All that was told until it ended."""
        async with asyncio.timeout(10):
            self.told += [line async for line in self.lines]
        return "\n".join(self.told)


@dataclass
class Desk:
    here: Served
    elsewhere: Served
    database: Database
    operator: httpx.AsyncClient
    stack: contextlib.AsyncExitStack

    @property
    def both(self) -> tuple[Served, Served]:
        return self.here, self.elsewhere

    async def hire(self, name: str = "Ada", role: str = "agent", **token: Any) -> Person:
        """With an API token."""
        id_ = await hire(self.database, name, role)
        bearer = await give(self.database, id_, **token)
        return await self.as_bearer(id_, bearer)

    async def service(self, role: str = "agent") -> Person:
        bearer = await give(self.database, role=role)
        async with self.database.session() as db:
            id_ = await db.value("SELECT id FROM api_tokens WHERE agent_id IS NULL")
        return await self.as_bearer(id_, bearer)

    async def as_bearer(self, id_: UUID, bearer: str) -> Person:
        headers = {"authorization": f"Bearer {bearer}"}
        http = httpx.AsyncClient(base_url=self.here.url, headers=headers)
        return Person(self, id_, await self.stack.enter_async_context(http), bearer)

    async def hire_at_browser(self, name: str = "Ada", role: str = "agent") -> Person:
        """With a session."""
        id_ = await hire_with_password(self.database, name, role)
        return await self.at_browser(id_, name)

    async def at_browser(self, id_: UUID, name: str = "Ada", password: str = PASSWORD) -> Person:
        headers = {"sec-fetch-site": "same-origin"}
        http = httpx.AsyncClient(base_url=self.here.url, headers=headers)
        browser = await self.stack.enter_async_context(http)
        assert (await enter(browser, name, password)).status_code in (200, 201)
        return Person(self, id_, browser)

    @asynccontextmanager
    async def stream(self, at: Served, token: str, channels: str, **query: Any) -> Any:
        query |= {"v": "1.2", "channels": channels, "accessToken": token}
        async with at.http.stream("GET", "/sse", params=query) as answer:
            assert answer.status_code == 200, (await answer.aread()).decode()
            lines = answer.aiter_lines()
            await anext(lines)
            yield Stream(lines)

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Of the operator, at the first process."""
        answer = await self.operator.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json().get("data")

    async def new_team(self, *members: Person, is_private: bool = True, name: str = "Wages") -> str:
        team = await self.ask("POST", "/api/teams", {"name": name, "is_private": is_private})
        for each in members:
            await self.join(team["id"], each)
        return str(team["id"])

    async def join(self, team: str, person: Person) -> None:
        await self.ask("PUT", f"/api/teams/{team}/members/{person.id}")

    async def leave(self, team: str, person: Person) -> None:
        await self.ask("DELETE", f"/api/teams/{team}/members/{person.id}")

    async def new_ticket(self, team: str | None = None, title: str = "Help") -> str:
        given = {"title": title, "description": "It broke.", "team_id": team}
        return str((await self.ask("POST", "/api/tickets", given))["id"])

    async def change(self, ticket: str, **changes: Any) -> None:
        await self.ask("PATCH", f"/api/tickets/{ticket}", changes)


async def is_cut(client: Client) -> None:
    """It was disconnected because its token is void."""
    assert (await client.take(DISCONNECTED))["error"]["code"] == REVOKED
    await client.ended()


@pytest.fixture
async def desk(database: Database, tail: Tail, quick: None) -> AsyncIterator[Desk]:
    guards = [
        BearerToken(OPERATORS, find=Finder(database), find_session=SessionFinder(database))
        for _ in range(2)
    ]
    other = Tail(database, log)
    following = asyncio.create_task(other.run())
    async with (
        serving(database, tail, guards[0]) as here,
        serving(database, other, guards[1]) as elsewhere,
        contextlib.AsyncExitStack() as stack,
    ):
        headers = {"authorization": f"Bearer {OPERATORS}"}
        http = httpx.AsyncClient(base_url=here.url, headers=headers)
        operator = await stack.enter_async_context(http)
        yield Desk(here, elsewhere, database, operator, stack)
    other.close()
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following
