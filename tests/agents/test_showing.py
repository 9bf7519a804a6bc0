"""Showing agents: one, and all by name."""

import base64
import json

import httpx
import pytest

from tests.api.calls import UNKNOWN, delete, get, new_agent, pages, problems, refused


async def test_one_is_found_by_id(client: httpx.AsyncClient) -> None:
    agent = await new_agent(client)

    answer = await client.get(f"/api/agents/{agent['id']}")

    assert answer.status_code == 200
    assert answer.headers["etag"] == '"1"'
    assert answer.json() == {"status": True, "message": "Agent has been fetched.", "data": agent}


async def test_who_has_this_version_is_not_sent_it_again(client: httpx.AsyncClient) -> None:
    agent = await new_agent(client)

    answer = await client.get(f"/api/agents/{agent['id']}", headers={"If-None-Match": '"1"'})

    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", '"1"')


@pytest.mark.parametrize("name", [UNKNOWN, "1", "nonsense", "%00", "%F0%9F%8E%9F"])
async def test_an_unknown_agent_is_not_found(client: httpx.AsyncClient, name: str) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        body = {"json": {"name": "New"}} if method == "PATCH" else {}

        answer = await client.request(method, f"/api/agents/{name}", **body)

        refused(answer, 404, "not_found")
        assert answer.json()["message"] == "There is no such agent."


async def test_the_list_comes_back_as_the_contract_says(client: httpx.AsyncClient) -> None:
    ben, ada = await new_agent(client, "Ben"), await new_agent(client, "Ada")
    gone = await new_agent(client, "Cem")
    await delete(client, gone)

    answer = await client.get("/api/agents")

    assert answer.status_code == 200
    assert answer.json() == {
        "status": True,
        "message": "Agents have been fetched.",
        "data": {"records": [ada, ben], "next_cursor": None},
    }


async def test_pages_have_each_agent_once_also_those_of_one_name(
    client: httpx.AsyncClient,
) -> None:
    for number in range(9):
        name = ("Ada", "Ben", "Ümit 語")[number // 3]
        await new_agent(client, name, email=f"{number}@example.org")
    whole = (await get(client, "/api/agents"))["records"]
    assert len(whole) == 9
    for limit in (1, 2, 8, 9):
        split = [page async for page in pages(client, "/api/agents", limit=limit)]

        assert [each for page in split for each in page] == whole
        assert {len(page) for page in split[:-1]} <= {limit}


async def test_what_it_does_not_know_is_refused(client: httpx.AsyncClient) -> None:
    def packed(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()

    for query, field in (
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("name=Ada", "name"),
        ("cursor=", "cursor"),
        ("cursor=nonsense", "cursor"),
        (f"cursor={packed(['Ada'])}", "cursor"),
        (f"cursor={packed(['Ada', 'Ben'])}", "cursor"),
        (f"cursor={packed([1, UNKNOWN])}", "cursor"),
        (f"cursor={packed([chr(0), UNKNOWN])}", "cursor"),
        (f"cursor={packed([chr(0xD800), UNKNOWN])}", "cursor"),
        (f"cursor={packed(['a' * 3000, UNKNOWN])}", "cursor"),
    ):
        answer = await client.get(f"/api/agents?{query}")

        refused(answer, 400, "invalid")
        assert list(problems(answer)) == [field]
