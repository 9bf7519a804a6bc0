"""Who is present and which channels there are, by HTTP; and the junk that no call minds."""

from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pullse.gateway import presence
from pullse.gateway.hub import Delivery
from pullse.gateway.presence import Change
from pullse.gateway.rest import CALLS
from pullse.gateway.service import Gateway
from pullse.gateway.wire import Body, Flag, Presence
from pullse.kit.db import Database
from tests.gateway.conftest import Tokens
from tests.gateway.test_rest_door import bearer, error
from tests.gateway.test_rest_reading import links

PATH = "/channels/a/presence"


async def enter(database: Database, client: str, connection: str = "c", channel: str = "a") -> None:
    change = Change(
        channel,
        Presence.ENTER,
        client,
        connection,
        f"{connection}:0:{client}",
        Body(None, f"I am {client}", client_id=client, connection_id=connection),
    )
    async with database.session() as db:
        await presence.change(db, change)


def clients(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [each["clientId"] for each in answer.json()]


# -- presence --


async def test_who_is_present(door: httpx.AsyncClient, database: Database) -> None:
    await enter(database, "ada")
    (member,) = (await door.get(PATH)).json()
    assert isinstance(member.pop("timestamp"), int)
    assert member == {
        "id": "c:0:ada",
        "clientId": "ada",
        "connectionId": "c",
        "data": "I am ada",
        "action": 1,
    }


async def test_members_can_be_asked_for(door: httpx.AsyncClient, database: Database) -> None:
    for client, connection in (("ada", "c"), ("ada", "d"), ("bob", "d")):
        await enter(database, client, connection)
    assert clients(await door.get(f"{PATH}?clientId=ada")) == ["ada", "ada"]
    assert clients(await door.get(f"{PATH}?connectionId=d")) == ["ada", "bob"]
    assert clients(await door.get(f"{PATH}?clientId=ada&connectionId=d")) == ["ada"]
    assert clients(await door.get(f"{PATH}?clientId=nobody")) == []


async def test_who_asks_for_a_client_may_be_another(
    stranger: httpx.AsyncClient, token: Tokens, database: Database
) -> None:
    await enter(database, "ada")
    answer = await stranger.get(f"{PATH}?clientId=ada", headers=bearer(token(client_id="bob")))
    assert clients(answer) == ["ada"]


async def test_members_come_in_pages(door: httpx.AsyncClient, database: Database) -> None:
    names = ["ada", "ada.", "bob", "7.x", "ä", "", " ", "a,b", "c&d=e"]
    for each in names:
        await enter(database, each or "z", "c.1")
    found = []
    answer = await door.get(f"{PATH}?limit=2")
    while True:
        found.append(clients(answer))
        following = links(answer).get("next")
        if following is None:
            break
        answer = await door.get(PATH, params=following)
    assert [len(each) for each in found] == [2, 2, 2, 2, 1]
    assert sorted(each for page in found for each in page) == sorted(name or "z" for name in names)


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "cursor=x", "cursor=-1.x"])
async def test_pages_of_members_that_make_no_sense(door: httpx.AsyncClient, query: str) -> None:
    assert error(await door.get(f"{PATH}?{query}")) == (400, 40003)


async def test_who_came_and_went(door: httpx.AsyncClient, database: Database) -> None:
    await enter(database, "ada")
    async with database.session() as db:
        body = Body(None, None, client_id="ada", connection_id="c")
        await presence.change(db, Change("a", Presence.LEAVE, "ada", "c", "c:1:0", body))
    answer = await door.get("/channels/a/presence/history?direction=forwards&limit=1")
    (entered,) = answer.json()
    assert (entered["action"], entered["data"]) == (2, "I am ada")
    answer = await door.get("/channels/a/presence/history", params=links(answer)["next"])
    (gone,) = answer.json()
    assert (gone["action"], gone["clientId"], gone["data"]) == (3, "ada", "I am ada")
    assert (await door.get("/channels/a/messages")).json() == []


async def test_members_of_many_channels(
    stranger: httpx.AsyncClient, token: Tokens, database: Database
) -> None:
    await enter(database, "ada", channel="a")
    await enter(database, "bob", channel="b")
    stranger.headers.update(bearer(token({"a": ["subscribe"], "b": ["presence"]})))
    content = (await stranger.get("/presence?channels=a,b,no")).json()
    assert (content["successCount"], content["failureCount"]) == (2, 1)
    a, b, refused = content["results"]
    assert [a["presence"][0]["clientId"], b["presence"][0]["clientId"]] == ["ada", "bob"]
    assert (refused["channel"], refused["error"]["code"]) == ("no", 40160)

    old = {"X-Ably-Version": "2"}
    flat = await stranger.get("/presence?channels=a,b", headers=old)
    assert [each["channel"] for each in flat.json()] == ["a", "b"]
    answer = await stranger.get("/presence?channels=a,no", headers=old)
    assert error(answer) == (400, 40020)
    assert [each["channel"] for each in answer.json()["batchResponse"]] == ["a", "no"]


async def test_names_with_commas_need_another_separator(door: httpx.AsyncClient) -> None:
    answer = await door.get("/presence", params={"channels": "a,1|b,2", "separator": "|"})
    assert [each["channel"] for each in answer.json()["results"]] == ["a,1", "b,2"]


@pytest.mark.parametrize("query", ["", "channels=", "channels=" + ",".join(map(str, range(101)))])
async def test_a_batch_of_no_or_too_many_channels(door: httpx.AsyncClient, query: str) -> None:
    assert error(await door.get(f"/presence?{query}")) == (400, 40003)


# -- channels --


class Somebody:
    modes = Flag.SUBSCRIBE

    def deliver(self, delivery: Delivery) -> None:
        pass


async def test_a_channel_s_status(door: httpx.AsyncClient, gateway: Gateway) -> None:
    gateway.hub.join("a", Somebody())
    await enter(gateway.database, "ada")
    content = (await door.get("/channels/a")).json()
    assert content["channelId"] == "a"
    assert content["status"]["isActive"] is True
    assert content["status"]["occupancy"]["metrics"] == {
        "connections": 1,
        "publishers": 0,
        "subscribers": 1,
        "presenceConnections": 0,
        "presenceMembers": 1,
        "presenceSubscribers": 0,
        "objectPublishers": 0,
        "objectSubscribers": 0,
    }


async def test_channels_where_somebody_is(door: httpx.AsyncClient, gateway: Gateway) -> None:
    for name in ("b:1", "a", "b:2", "c,ü"):
        gateway.hub.join(name, Somebody())
    assert (await door.get("/channels")).json() == ["a", "b:1", "b:2", "c,ü"]
    assert (await door.get("/channels?prefix=b:")).json() == ["b:1", "b:2"]

    first = await door.get("/channels?limit=3&by=id")
    second = await door.get("/channels", params=links(first)["next"])
    assert first.json() + second.json() == ["a", "b:1", "b:2", "c,ü"]
    assert "next" not in links(second)


async def test_channels_with_what_there_is_to_say(
    door: httpx.AsyncClient, gateway: Gateway
) -> None:
    gateway.hub.join("a", Somebody())
    for asked in ({"params": {"by": "value"}}, {"headers": {"X-Ably-Version": "2"}}):
        (found,) = (await door.get("/channels", **asked)).json()  # type: ignore[arg-type]
        assert found == (await door.get("/channels/a")).json()
    assert error(await door.get("/channels?by=name")) == (400, 40003)


async def test_all_channels_are_shown_to_who_may_see_all(
    stranger: httpx.AsyncClient, token: Tokens
) -> None:
    some = bearer(token({"a:*": ["channel-metadata"], "b": ["*"]}))
    assert error(await stranger.get("/channels", headers=some)) == (401, 40160)
    every = bearer(token({"*": ["channel-metadata"]}))
    assert (await stranger.get("/channels", headers=every)).json() == []


# -- junk --


NAMES = st.sampled_from(
    [
        "limit",
        "start",
        "end",
        "direction",
        "cursor",
        "from_serial",
        "fromSerial",
        "clientId",
        "connectionId",
        "channels",
        "channel",
        "separator",
        "prefix",
        "by",
        "format",
        "envelope",
        "enveloped",
        "_forceNack",
        "messageId",
        "name",
        "encoding",
        "connectionKey",
        "rewind",
        "heartbeats",
        "v",
    ]
)
TEXTS = st.one_of(
    st.text(max_size=30),
    st.integers().map(str),
    st.from_regex(r"[0-9]{1,20}\.[0-9]{1,20}\.[0-9]{1,20}", fullmatch=True),
    st.sampled_from(["", "json", "true", "false", "forwards", "1.1.1", "0.", "9.abc", "é,☃", "\0"]),
)
QUERIES = st.dictionaries(NAMES, TEXTS, max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["id", "name", "data", "encoding", "clientId", "connectionKey", "extras", "action"]
)
MESSAGES = st.dictionaries(FIELDS, VALUES, max_size=4)
CALLS_OF_ALL = sorted(
    (method, "/" + "/".join(shape))
    for shape, methods in CALLS.items()
    for method in methods
    if shape[0] not in ("sse", "event-stream")
)
JUNK = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize(("method", "path"), CALLS_OF_ALL)
@JUNK
@given(query=QUERIES, segments=st.lists(st.text(min_size=1, max_size=20), min_size=2, max_size=2))
async def test_no_query_makes_a_call_fail(
    door: httpx.AsyncClient, method: str, path: str, query: dict[str, str], segments: list[str]
) -> None:
    for segment in segments:
        path = path.replace("*", httpx.QueryParams({"": segment}).__str__()[1:], 1)
    answer = await door.request(method, path, params=query)
    assert answer.status_code < 500, answer.text


@JUNK
@given(content=st.one_of(VALUES, MESSAGES, st.lists(MESSAGES, max_size=3)), raw=st.binary())
async def test_no_body_makes_a_publish_fail(
    door: httpx.AsyncClient, content: Any, raw: bytes
) -> None:
    bodies = {"application/x-msgpack": raw, "application/json": raw}
    try:
        bodies["application/json"] = msgspec.json.encode(content)
        bodies["application/x-msgpack"] = msgspec.msgpack.encode(content)
    except (OverflowError, UnicodeError):
        pass  # no client could send it
    for kind, body in bodies.items():
        for path in ("/channels/a/messages", "/messages", "/keys/pullse.dev/requestToken"):
            answer = await door.post(path, content=body, headers={"Content-Type": kind})
            assert answer.status_code < 500, (path, body, answer.text)
