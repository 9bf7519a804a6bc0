"""History by HTTP: order, spans, pages; one message; figures."""

import re
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from pullse.gateway import reading
from pullse.gateway.log import Draft, append
from pullse.gateway.service import Gateway
from pullse.gateway.wire import Body
from pullse.kit.db import Database
from tests.gateway.test_rest_door import error

PATH = "/channels/a/messages"
LINK = re.compile(r'\s*<\./(\w+)\?(.*)>; rel="(\w+)"')
"""As strict as ably-js is, which splits at commas first."""


async def publish(client: httpx.AsyncClient, count: int, channel: str = "a") -> None:
    for number in range(count):
        answer = await client.post(f"/channels/{channel}/messages", json={"data": str(number)})
        assert answer.status_code == 201


def data(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [each["data"] for each in answer.json()]


def links(answer: httpx.Response) -> dict[str, dict[str, str]]:
    """Parameters by relation, as the SDKs take them."""
    found = {}
    for each in answer.headers["link"].split(","):
        match = LINK.fullmatch(each)
        assert match is not None, each
        assert match[1] == answer.url.path.rpartition("/")[2]
        found[match[3]] = dict(parse_qsl(match[2]))
    return found


async def pages(client: httpx.AsyncClient, path: str, **params: Any) -> list[list[str]]:
    """All pages, by their links."""
    found = []
    answer = await client.get(path, params=params)
    while True:
        found.append(data(answer))
        following = links(answer).get("next")
        if following is None:
            return found
        answer = await client.get(path, params=following)


# -- order and spans --


async def test_the_newest_comes_first_unless_asked_otherwise(door: httpx.AsyncClient) -> None:
    await publish(door, 3)
    assert data(await door.get(PATH)) == ["2", "1", "0"]
    assert data(await door.get(f"{PATH}?direction=backwards")) == ["2", "1", "0"]
    assert data(await door.get(f"{PATH}?direction=forwards")) == ["0", "1", "2"]
    assert data(await door.get("/channels/a/history?direction=forwards")) == ["0", "1", "2"]


async def test_messages_of_one_publish_keep_their_order(door: httpx.AsyncClient) -> None:
    await door.post(PATH, json=[{"data": "0"}, {"data": "1"}, {"data": "2"}])
    assert data(await door.get(PATH)) == ["2", "1", "0"]
    assert await pages(door, PATH, limit=1, direction="forwards") == [["0"], ["1"], ["2"]]


async def test_only_the_channel_s_own(door: httpx.AsyncClient) -> None:
    await publish(door, 1, "b")
    assert data(await door.get(PATH)) == []


async def test_start_and_end_are_part_of_the_span(door: httpx.AsyncClient) -> None:
    await publish(door, 1)
    (message,) = (await door.get(PATH)).json()
    at = message["timestamp"]
    for start, end, expected in (
        (at, at, ["0"]),
        (at + 1, at + 100, []),
        (at - 100, at - 1, []),
        (0, 1 << 62, ["0"]),
    ):
        assert data(await door.get(PATH, params={"start": start, "end": end})) == expected


async def test_until_attached(door: httpx.AsyncClient, gateway: Gateway) -> None:
    await publish(door, 3)
    middle = (await door.get(PATH)).json()[1]["serial"]
    tx, id_ = (int(each) for each in middle.partition("@")[0].split("-"))
    for name in ("from_serial", "fromSerial"):
        params = {name: f"{gateway.epoch}.{tx}.{id_}", "limit": "1"}
        assert await pages(door, PATH, **params) == [["1"], ["0"]]
        forwards = {**params, "direction": "forwards"}
        assert await pages(door, PATH, **forwards) == [["0"], ["1"]]


@pytest.mark.parametrize(
    "query",
    [
        "limit=abc",
        "limit=0",
        "limit=-1",
        "limit=1001",
        "limit=1.5",
        "limit=",
        "direction=up",
        "start=x",
        "start=-1",
        "start=2&end=1",
        "end=99999999999999999999",
        "from_serial=abc",
        "from_serial=1.2",
        "from_serial=2.1.1",
        "from_serial=1.99999999999999999999.1",
        "cursor=abc",
        "cursor=9.1.1",
        "cursor=%00",
    ],
)
async def test_spans_that_make_no_sense(door: httpx.AsyncClient, query: str) -> None:
    assert error(await door.get(f"{PATH}?{query}")) == (400, 40003)
    assert error(await door.get(f"/channels/a/presence/history?{query}")) == (400, 40003)


async def test_the_ends_of_all_time_are_places_too(door: httpx.AsyncClient) -> None:
    biggest = (1 << 63) - 1
    await publish(door, 1)
    for name in ("from_serial", "cursor"):
        params = {name: f"1.{biggest}.{biggest}"}
        assert data(await door.get(PATH, params=params)) == ["0"]


# -- pages --


@pytest.mark.parametrize("direction", ["backwards", "forwards"])
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
async def test_pages_have_all_and_nothing_twice(
    door: httpx.AsyncClient, direction: str, limit: int
) -> None:
    await publish(door, 7)
    found = await pages(door, PATH, direction=direction, limit=limit)
    expected = [str(n) for n in range(7)]
    assert [each for page in found for each in page] == (
        expected if direction == "forwards" else expected[::-1]
    )
    assert [len(page) for page in found[:-1]] == [limit] * (len(found) - 1)
    assert len(found) == -(-7 // limit)


async def test_the_last_page_has_no_next(door: httpx.AsyncClient) -> None:
    assert set(links(await door.get(PATH))) == {"first", "current"}
    await publish(door, 2)
    assert set(links(await door.get(f"{PATH}?limit=2"))) == {"first", "current"}
    assert set(links(await door.get(f"{PATH}?limit=1"))) == {"first", "current", "next"}


@pytest.mark.parametrize("direction", ["backwards", "forwards"])
async def test_pages_stay_what_they_are_while_more_is_published(
    door: httpx.AsyncClient, direction: str
) -> None:
    await publish(door, 4)
    first = await door.get(PATH, params={"direction": direction, "limit": 2})
    end = int(links(first)["first"]["end"])
    while reading.now() <= end:  # it is exact to the millisecond
        pass
    await publish(door, 3)
    second = await door.get(PATH, params=links(first)["next"])
    assert set(data(first) + data(second)) == {"0", "1", "2", "3"}
    assert "next" not in links(second)
    assert data(await door.get(PATH, params=links(second)["first"])) == data(first)
    assert data(await door.get(PATH, params=links(second)["current"])) == data(second)


async def test_a_link_keeps_the_format_but_no_credentials(door: httpx.AsyncClient) -> None:
    answer = await door.get(PATH, params={"format": "json", "key": "x", "rnd": "1", "v": "2"})
    assert set(links(answer)["first"]) == {"end", "direction", "limit", "format"}


async def test_a_page_of_large_messages_ends_early(
    door: httpx.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PORTION", 2)
    monkeypatch.setattr(reading, "PAGE_BYTES", 1_000)
    drafts = [Draft("a", f"~x:{n}", Body(None, str(n) * 300)) for n in range(9)]
    async with database.session() as db:
        await append(db, drafts)
    for direction in ("forwards", "backwards"):
        found = await pages(door, PATH, direction=direction, limit=100)
        assert [len(page) for page in found] == [4, 4, 1]
        kept = sorted(each[0] for page in found for each in page)
        assert kept == [str(n) for n in range(9)]


async def test_a_thousand_messages_are_one_page(
    door: httpx.AsyncClient, database: Database
) -> None:
    drafts = [Draft("a", f"~x:{n}", Body(None, str(n))) for n in range(1001)]
    async with database.session() as db:
        await append(db, drafts)
    first, second = await pages(door, PATH, limit=1000, direction="forwards")
    assert (len(first), second) == (1000, ["1000"])


# -- one message --


async def test_one_message_by_its_serial(door: httpx.AsyncClient) -> None:
    await publish(door, 3)
    for message in (await door.get(PATH)).json():
        answer = await door.get(f"{PATH}/{message['serial']}")
        assert answer.json() == message


@pytest.mark.parametrize(
    "serial",
    ["x", "@", "1-1@1", "0000000000000001-0000000000000001@1", "9" * 30 + "-1@1", "²-²@²"],
)
async def test_a_serial_that_is_none_has_no_message(door: httpx.AsyncClient, serial: str) -> None:
    assert error(await door.get(f"{PATH}/{serial}")) == (404, 40400)


# -- the projections --


async def test_a_ticket_s_history_is_what_happened_to_it(door: httpx.AsyncClient) -> None:
    for channel in ("tickets-updates", "tickets-activity"):
        assert data(await door.get(f"/channels/{channel}/messages")) == []
    path = "/channels/ticket:019aa4ae-5f0c-7cc2-8d6e-0a3f5b1c9e70/messages"
    assert data(await door.get(path)) == []
    assert error(await door.get("/channels/ticket:42/messages")) == (400, 40010)


async def test_there_are_no_figures(door: httpx.AsyncClient) -> None:
    assert (await door.get("/stats")).json() == []
    answer = await door.post("/stats", json=[{"intervalId": "x"}])
    assert (answer.status_code, answer.json()) == (201, [])
