"""A browser that signs in by a provider, for the tests of single sign-on."""

from typing import Any
from urllib.parse import urlsplit

import httpx

from pullse import app, providers
from pullse.access.finder import Finder, SessionFinder
from pullse.access.oidc.discovery import Live
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.kit.guard import BearerToken
from pullse.kit.tail import Tail
from tests.access.people import OPERATORS
from tests.standins.oidc import CLIENT, SECRET, Provider

HERE = "http://pullse.example"


def settings(provider: Provider, name: str = "corp", **more: Any) -> providers.Provider:
    given = {"client_id": CLIENT, "client_secret": SECRET, **more}
    return providers.Provider(name, name.title(), provider.issuer, **given)


def edge_with(database: Database, tail: Tail, *lives: Live) -> Edge:
    guard = BearerToken(OPERATORS, find=Finder(database), find_session=SessionFinder(database))
    return app.build(database, tail, guard, providers=lives)


async def depart(client: httpx.AsyncClient, name: str = "corp", **query: str) -> str:
    """Where the browser is sent to."""
    answer = await client.get(f"/api/sign-in/oidc/{name}", params=query)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def visit(url: str) -> str:
    """The provider's page; where it sends the browser back to, without our own host."""
    async with httpx.AsyncClient(verify=False) as outside:
        answer = await outside.get(url)
    assert answer.status_code == 303, answer.text
    parts = urlsplit(answer.headers["location"])
    return f"{parts.path}?{parts.query}"


async def sign_in(client: httpx.AsyncClient, name: str = "corp", **query: str) -> httpx.Response:
    """All the way, to the answer of the callback."""
    return await client.get(await visit(await depart(client, name, **query)))


def refusal(answer: httpx.Response) -> str:
    """The word that the page of /sign-in is told; nobody has signed in."""
    assert answer.status_code == 303, answer.text
    assert not any(cookie.startswith(("pullse=", "__Host-pullse=")) for cookie in cookies(answer))
    page, _, error = answer.headers["location"].partition("?error=")
    assert page == "/sign-in"
    return error


def cookies(answer: httpx.Response) -> list[str]:
    return answer.headers.get_list("set-cookie")
