"""What tests arrange through the API, said shortly, and what it has recorded, read back."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx

from pullse.kit.db import Database

Body = dict[str, Any]

UNKNOWN = "019aa4ae-5f0c-7cc2-8d6e-0a3f5b1c9e70"
"""An id that nothing has."""


@dataclass(frozen=True)
class Fact:
    name: str
    ticket_id: str | None
    actor: str
    request_id: str | None
    data: Body


async def new_ticket(client: httpx.AsyncClient, title: str = "Help", **fields: Any) -> Body:
    """A ticket, as the API shows it."""
    body = {"title": title, "description": "It broke.", **fields}
    answer = await client.post("/api/tickets", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]


async def new_agent(client: httpx.AsyncClient, name: str = "Ada", **fields: Any) -> Body:
    body = {"name": name, "email": f"{name.replace(' ', '.').lower()}@example.org", **fields}
    answer = await client.post("/api/agents", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]


async def change(client: httpx.AsyncClient, ticket: Body, **changes: Any) -> Body:
    answer = await client.patch(f"/api/tickets/{ticket['id']}", json=changes)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def delete(client: httpx.AsyncClient, thing: Body) -> None:
    """A ticket or an agent, told apart by what only one has."""
    kind = "agents" if "email" in thing else "tickets"
    answer = await client.delete(f"/api/{kind}/{thing['id']}")
    assert answer.status_code == 200, answer.text


async def get(client: httpx.AsyncClient, path: str, **params: Any) -> Body:
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def titles(client: httpx.AsyncClient, **params: Any) -> list[str]:
    """Of the tickets that a list shows, in its order."""
    return [each["title"] for each in (await get(client, "/api/tickets", **params))["records"]]


async def pages(
    client: httpx.AsyncClient, path: str = "/api/tickets", **params: Any
) -> AsyncIterator[list[Body]]:
    """Each page of a list, by its cursors, to the end."""
    found = await get(client, path, **params)
    yield found["records"]
    while found["next_cursor"]:
        found = await get(client, path, **params, cursor=found["next_cursor"])
        yield found["records"]


async def facts(database: Database, ticket: Body | None = None) -> list[Fact]:
    """All that was recorded, or all about one ticket, oldest first."""
    async with database.session() as db:
        rows = await db.rows(
            "SELECT name, ticket_id, actor, request_id, data FROM events"
            " WHERE $1::uuid IS NULL OR ticket_id = $1 ORDER BY tx, id",
            ticket and UUID(ticket["id"]),
        )
    return [
        Fact(name, id_ and str(id_), actor, request_id, json.loads(data))
        for name, id_, actor, request_id, data in rows
    ]


def problems(answer: httpx.Response) -> dict[str, str]:
    """What a refusal says, by field; and that it is a whole refusal."""
    body = answer.json()
    assert set(body) - {"data"} == {"status", "message", "code", "errors"}, body
    assert body["status"] is False
    assert isinstance(body["message"], str)
    assert body["message"]
    return {each["field"]: each["message"] for each in body["errors"]}


def refused(answer: httpx.Response, status: int, code: str) -> None:
    problems(answer)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


async def at_once(*asked: Any) -> list[Any]:
    return list(await asyncio.gather(*asked))
