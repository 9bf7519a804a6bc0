"""The gateway's HTTP calls as part of pullse, by a real server: one port, two doors."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from pullse.gateway.keys import DEV_KEY
from pullse.gateway.opening import Realtime
from pullse.kit.edge import Guard
from pullse.kit.guard import BearerToken
from tests.gateway.test_rest_door import error

KEY = (DEV_KEY.name, DEV_KEY.secret)
TICKET = {"title": "Help", "description": "It broke."}


@asynccontextmanager
async def events(
    client: httpx.AsyncClient, channels: str, **query: str
) -> AsyncIterator[AsyncIterator[Any]]:
    """Events with data, as they come."""
    params = {"v": "1.2", "channels": channels, **query}
    async with (
        asyncio.timeout(15),
        client.stream("GET", "/sse", params=params, auth=KEY, timeout=15) as answer,
    ):
        assert answer.status_code == 200

        async def found() -> AsyncIterator[Any]:
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))

        yield found()


async def create(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.post("/api/tickets", json=TICKET)
    found: dict[str, Any] = answer.json()["data"]
    return found


async def test_a_new_ticket_is_an_event_on_its_channels(live: httpx.AsyncClient) -> None:
    async with events(live, "tickets-updates,tickets-activity") as found:
        ticket = await create(live)
        public, whole = await anext(found), await anext(found)
    assert (public["channel"], public["name"]) == ("tickets-updates", "ticket_created")
    assert json.loads(public["data"])["ticketId"] == ticket["id"]
    assert (whole["channel"], whole["name"]) == ("tickets-activity", "ticket.created")

    path = f"/channels/ticket:{ticket['id']}/messages"
    (message,) = (await live.get(path, auth=KEY)).json()
    assert (message["name"], message["encoding"]) == ("ticket.created", "json")
    async with events(live, f"[?rewind=1]ticket:{ticket['id']}") as found:
        assert (await anext(found))["id"] == message["id"]


async def test_the_end_of_the_process_ends_streams(
    live: httpx.AsyncClient, realtime: Realtime
) -> None:
    async with events(live, "a") as found:
        realtime.close()
        assert [each async for each in found] == []


async def test_the_owner_s_door_is_not_the_gateway_s(live: httpx.AsyncClient) -> None:
    assert (await live.get("/api/tickets")).status_code == 200
    assert error(await live.get("/channels/a/messages")) == (401, 40101)
    assert (await live.get("/channels/a/messages", auth=KEY)).status_code == 200


async def test_calls_are_counted_by_their_address(live: httpx.AsyncClient) -> None:
    for channel in "ab":
        await live.get(f"/channels/{channel}/messages", auth=KEY)
    counted = (await live.get("/metrics")).text
    labels = 'method="GET",path="/channels/*/messages",status="200"'
    assert f"pullse_requests_total{{{labels}}} 2.0" in counted


async def test_a_head_has_no_body(live: httpx.AsyncClient) -> None:
    for path in ("/time", "/sse?v=1.2&channels=a"):
        answer = await live.head(path, auth=KEY)
        assert (answer.status_code, answer.content) == (200, b"")


async def test_in_dev_other_sites_do_not_get_in(live: httpx.AsyncClient) -> None:
    foreign = {"Origin": "https://shop.example"}
    assert (await live.get("/time", headers=foreign)).status_code == 403
    own = {"Origin": "http://localhost:3000"}
    answer = await live.get("/time", headers=own)
    assert answer.headers.get_list("access-control-allow-origin") == ["http://localhost:3000"]


class TestServed:
    @pytest.fixture
    def guard(self) -> Guard:
        return BearerToken("the API's token")

    async def test_keys_open_it_and_the_api_token_does_not(self, live: httpx.AsyncClient) -> None:
        bearer = {"Authorization": "Bearer the API's token"}
        assert (await live.get("/api/tickets", headers=bearer)).status_code == 200
        assert error(await live.get("/channels/a/messages", headers=bearer)) == (401, 40101)

    async def test_pages_of_any_site_may_ask_with_a_key(self, live: httpx.AsyncClient) -> None:
        foreign = {"Origin": "https://shop.example"}
        asked = {"Access-Control-Request-Method": "GET"}
        answer = await live.options("/channels/a/messages", headers={**foreign, **asked})
        assert answer.status_code == 204
        answer = await live.get("/channels/a/messages", headers=foreign, auth=KEY)
        assert answer.status_code == 200
        assert answer.headers.get_list("access-control-allow-origin") == ["https://shop.example"]
