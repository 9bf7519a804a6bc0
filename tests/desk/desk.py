"""A desk with people at it: what the tests of its pages arrange."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from pullse.kit.edge import Edge
from tests.access.people import calling
from tests.access.sign_in import enter
from tests.web.visiting import visitor


@asynccontextmanager
async def at_desk(edge: Edge, name: str = "Ada", **more: str) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody's browser, signed in."""
    async with visitor(edge, **more) as client:
        answer = await enter(client, name)
        assert answer.status_code == 200, answer.text
        yield client


async def opened(edge: Edge, title: str = "Help", **fields: Any) -> dict[str, Any]:
    """A ticket, as the API shows it."""
    async with calling(edge) as operator:
        body = {"title": title, "description": "It broke.", **fields}
        answer = await operator.post("/api/tickets", json=body)
        assert answer.status_code == 201, answer.text
        ticket: dict[str, Any] = answer.json()["data"]
        return ticket


async def now(edge: Edge, ticket: dict[str, Any]) -> dict[str, Any]:
    async with calling(edge) as operator:
        answer = await operator.get(f"/api/tickets/{ticket['id']}")
        found: dict[str, Any] = answer.json()["data"]
        return found


async def changed(
    client: httpx.AsyncClient, ticket: dict[str, Any], **fields: Any
) -> dict[str, Any]:
    """By the API, as who `client` is."""
    answer = await client.patch(f"/api/tickets/{ticket['id']}", json=fields)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found
