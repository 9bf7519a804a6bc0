"""What tests of teams arrange through the API, said shortly."""

from typing import Any

import httpx

from tests.api.calls import Body


async def new_team(client: httpx.AsyncClient, name: str, **fields: Any) -> Body:
    answer = await client.post("/api/teams", json={"name": name, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]


async def join(client: httpx.AsyncClient, team: Body, agent: Body) -> None:
    answer = await client.put(f"/api/teams/{team['id']}/members/{agent['id']}")
    assert answer.status_code == 200, answer.text
