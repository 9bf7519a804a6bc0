"""Streams over HTTP: what comes, in which shape, after what id, and how they end."""

import asyncio
import contextlib
import time
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pullse.gateway import sse
from pullse.gateway.log import Draft, append
from pullse.gateway.rest import Rest
from pullse.gateway.service import Gateway
from pullse.gateway.wire import Body
from pullse.kit import events
from pullse.kit.db import Database
from pullse.kit.events import SYSTEM
from pullse.kit.tail import Tail
from tests.gateway.conftest import Tokens
from tests.gateway.streams import Reader
from tests.gateway.test_rest_channels import enter
from tests.gateway.test_rest_door import bearer
from tests.gateway.test_rest_publishing import packed

TICKET = "019aa4ae-5f0c-7cc2-8d6e-0a3f5b1c9e70"


def stream(rest: Rest, channels: str = "a", *, path: str = "/sse", **query: Any) -> Reader:
    headers = query.pop("headers", {})
    return Reader(rest, {"channels": channels, **query}, path, headers)


async def publish(door: httpx.AsyncClient, *data: Any, channel: str = "a") -> None:
    for each in data:
        answer = await door.post(f"/channels/{channel}/messages", json={"name": "n", "data": each})
        assert answer.status_code == 201


async def record(database: Database, tail: Tail, *numbers: int) -> None:
    """Facts that are shown on three channels each."""
    for number in numbers:
        async with database.transaction() as db:
            data = {"number": number, "title": "Help", "status": "open", "priority": "low"}
            await events.record(db, "ticket.created", by=SYSTEM, ticket_id=None, data=data)
    tail.wake()


# -- what comes --


async def test_what_is_published_comes_as_events(rest: Rest, door: httpx.AsyncClient) -> None:
    async with stream(rest) as reader:
        await reader.opened()
        await publish(door, "one", {"two": 2})
        first, second = await reader.events(2)
    assert reader.status == 200
    assert reader.answered["content-type"] == "text/event-stream"
    (two, one) = (await door.get("/channels/a/messages")).json()
    assert first.name == second.name == "message"
    assert first.content == {**one, "channel": "a"}
    assert second.content == {**two, "channel": "a"}
    assert second.content["encoding"] == "json"
    assert first.id < second.id


async def test_only_from_now_on(rest: Rest, door: httpx.AsyncClient) -> None:
    await publish(door, "before")
    async with stream(rest) as reader:
        await publish(door, "after")
        assert await reader.data(1) == ["after"]


async def test_several_channels_and_no_others(rest: Rest, door: httpx.AsyncClient) -> None:
    async with stream(rest, "a,b") as reader:
        await publish(door, "1", channel="a")
        await publish(door, "no", channel="c")
        await publish(door, "2", channel="b")
        found = [(each.content["channel"], each.content["data"]) for each in await reader.events(2)]
    assert found == [("a", "1"), ("b", "2")]


async def test_channels_with_commas_and_aliases(rest: Rest, door: httpx.AsyncClient) -> None:
    query = {"channels": None, "channel": "a,1|b", "separator": "|"}
    async with Reader(rest, query) as reader:
        await publish(door, "1", channel="a,1")
        assert (await reader.event()).content["channel"] == "a,1"


async def test_a_channel_named_twice_is_one(rest: Rest, door: httpx.AsyncClient) -> None:
    async with stream(rest, "a,[?rewind=1]a,a") as reader:
        await publish(door, "1", "2")
        assert await reader.data(2) == ["1", "2"]


async def test_bytes_are_base64(rest: Rest, door: httpx.AsyncClient) -> None:
    async with stream(rest) as reader, stream(rest, enveloped="false") as raw:
        await door.post("/channels/a/messages", **packed({"data": b"\xde\xad\xbe\xef"}))
        content = (await reader.event()).content
        assert (content["data"], content["encoding"]) == ("3q2+7w==", "base64")
        assert (await raw.event()).data == "3q2+7w=="


async def test_payloads_alone(rest: Rest, door: httpx.AsyncClient) -> None:
    async with stream(rest, enveloped="false") as reader:
        await publish(door, "plain", {"a": 1}, "two\nlines", "a\u2028b\x0bc", "\r\n: id: 7\r", "")
        found = [each.data for each in await reader.events(6)]
    assert found == ["plain", '{"a":1}', "two\nlines", "a\u2028b\x0bc", "\n: id: 7\n", ""]


async def test_presence_comes_too(rest: Rest, database: Database, tail: Tail) -> None:
    async with stream(rest) as reader:
        await enter(database, "ada")
        tail.wake()
        event = await reader.event()
    assert event.name == "presence"
    assert (event.content["clientId"], event.content["action"]) == ("ada", 2)


async def test_what_happens_to_tickets(
    rest: Rest, database: Database, tail: Tail, door: httpx.AsyncClient
) -> None:
    async with stream(rest, "tickets-updates") as reader:
        await record(database, tail, 1)
        event = await reader.event()
    assert event.content["name"] == "ticket_created"
    assert event.content["channel"] == "tickets-updates"


# -- lines --


async def test_lines_of_json(rest: Rest, door: httpx.AsyncClient) -> None:
    async with stream(rest, path="/event-stream") as reader:
        await publish(door, "one")
        line = await reader.line()
    assert reader.answered["content-type"] == "application/x-ndjson"
    assert line["event"] == "message"
    assert (line["data"]["data"], line["data"]["channel"]) == ("one", "a")
    async with stream(rest, path="/event-stream", lastEvent=line["id"]) as reader:
        await publish(door, "two")
        assert (await reader.line())["data"]["data"] == "two"


async def test_lines_of_payloads(rest: Rest, door: httpx.AsyncClient) -> None:
    async with stream(rest, path="/event-stream", enveloped="false") as reader:
        await publish(door, "one\ntwo", {"a": 1}, None)
        lines = [await reader.line() for _ in range(3)]
    assert [each["data"] for each in lines] == ["one\ntwo", '{"a":1}', None]


async def test_the_other_address_gives_events_to_who_accepts_them(
    rest: Rest, door: httpx.AsyncClient
) -> None:
    headers = {"accept": "text/event-stream"}
    async with stream(rest, path="/event-stream", headers=headers) as reader:
        assert reader.answered["content-type"] == "text/event-stream"


# -- rewind --


async def test_the_last_messages_first(rest: Rest, door: httpx.AsyncClient) -> None:
    await publish(door, "1", "2", "3")
    async with stream(rest, rewind=2) as reader:
        await publish(door, "4")
        assert await reader.data(3) == ["2", "3", "4"]


async def test_each_channel_may_have_its_own_rewind(rest: Rest, door: httpx.AsyncClient) -> None:
    for number in range(4):
        await publish(door, f"a{number}", channel="a")
        await publish(door, f"b{number}", channel="b")
        await publish(door, f"c{number}", channel="c")
    async with stream(rest, "a,[?rewind=2]b,[?rewind=0]c", rewind=1) as reader:
        assert await reader.data(3) == ["b2", "a3", "b3"]
        await publish(door, "new")
        assert await reader.data(1) == ["new"]


async def test_those_of_the_last_seconds(
    rest: Rest, door: httpx.AsyncClient, database: Database
) -> None:
    await publish(door, "old")
    async with database.session() as db:
        await db.run("UPDATE channel_messages SET at = at - interval '1 hour'")
    await publish(door, "new")
    async with stream(rest, rewind="30m") as reader:
        assert await reader.data(1) == ["new"]
    async with stream(rest, rewind="2h") as reader:
        assert await reader.data(2) == ["old", "new"]


async def test_whoever_resumes_does_not_rewind(rest: Rest, door: httpx.AsyncClient) -> None:
    await publish(door, "1")
    async with stream(rest, rewind=1) as reader:
        (event,) = await reader.events(1)
    await publish(door, "2")
    async with stream(rest, rewind=2, lastEvent=event.id) as reader:
        assert await reader.data(1) == ["2"]
        assert await reader.nothing()


async def test_a_rewound_event_is_a_place_to_resume_from(
    rest: Rest, door: httpx.AsyncClient
) -> None:
    await publish(door, "1", "2", "3")
    async with stream(rest, rewind=3) as reader:
        first, *_ = await reader.events(3)
    async with stream(rest, lastEvent=first.id) as reader:
        assert await reader.data(2) == ["2", "3"]


# -- resuming --


async def test_nothing_is_lost_while_nobody_listens(rest: Rest, door: httpx.AsyncClient) -> None:
    async with stream(rest, "a,b") as reader:
        await publish(door, "1")
        event = await reader.event()
    await publish(door, "2")
    await publish(door, "3", channel="b")
    await publish(door, "4")
    async with stream(rest, "a,b", lastEvent=event.id) as reader:
        await publish(door, "5")
        assert await reader.data(4) == ["2", "3", "4", "5"]


async def test_a_stream_that_was_cut_before_its_first_event_resumes_too(
    rest: Rest, door: httpx.AsyncClient
) -> None:
    await publish(door, "0")
    async with stream(rest) as reader:
        id_ = await reader.opened()
    await publish(door, "1")
    async with stream(rest, lastEvent=id_) as reader:
        assert await reader.data(1) == ["1"]


async def test_the_header_is_newer_than_the_address(rest: Rest, door: httpx.AsyncClient) -> None:
    async with stream(rest) as reader:
        await publish(door, "1", "2")
        first, second = await reader.events(2)
    await publish(door, "3")
    headers = {"Last-Event-ID": second.id}
    async with stream(rest, lastEvent=first.id, headers=headers) as reader:
        assert await reader.data(1) == ["3"]


async def test_a_long_absence_is_read_in_portions(
    rest: Rest, door: httpx.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "TOGETHER", 4)
    monkeypatch.setattr(sse, "PIECE", 100)
    async with stream(rest, "a,b,c") as reader:
        id_ = await reader.opened()
    expected = []
    for number in range(30):
        channel = "aab"[number % 3]
        expected.append(f"{channel}{number}")
        await publish(door, f"{channel}{number}", channel=channel)
        await publish(door, "no", channel="d")
    async with stream(rest, "a,b,c", lastEvent=id_) as reader:
        assert await reader.data(30) == expected
        await publish(door, "live", channel="c")
        assert await reader.data(1) == ["live"]


async def test_resuming_while_others_publish_loses_and_repeats_nothing(
    rest: Rest, door: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "TOGETHER", 3)
    sent: list[str] = []

    async def others() -> None:
        while True:
            await publish(door, str(len(sent)), channel="ab"[len(sent) % 2])
            sent.append(str(len(sent)))

    async with stream(rest, "a,b") as reader:
        id_ = await reader.opened()
    publishing = asyncio.create_task(others())
    found: list[str] = []
    for _ in range(12):
        async with stream(rest, "a,b", lastEvent=id_) as reader:
            for _ in range(7):
                event = await reader.event()
                found.append(event.content["data"])
                id_ = event.id
    publishing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await publishing
    assert found == [str(number) for number in range(len(found))]


async def test_the_channels_of_one_fact_are_resumed_together(
    rest: Rest, database: Database, tail: Tail
) -> None:
    """Whoever got the one and not the other gets both again, and loses none."""
    channels = "tickets-activity,tickets-updates"
    async with stream(rest, channels) as reader:
        start = await reader.opened()
        await record(database, tail, 1, 2)
        seen = await reader.events(4)
    assert [each.content["channel"] for each in seen] == ["tickets-updates", "tickets-activity"] * 2
    assert seen[0].id == start
    assert seen[1].id == seen[2].id
    for index, expected in ((0, 4), (1, 2), (2, 2)):
        async with stream(rest, channels, lastEvent=seen[index].id) as reader:
            assert len(await reader.events(expected)) == expected
            assert await reader.nothing()


@pytest.mark.parametrize("kind", ["life", "future", "cloud", "junk"])
async def test_a_place_that_is_no_more_is_said_so_and_the_stream_goes_on(
    rest: Rest, door: httpx.AsyncClient, kind: str
) -> None:
    async with stream(rest) as reader:
        await publish(door, "1")
        event = await reader.event()
    await publish(door, "2")
    epoch, tx, id_ = event.id.split(".")
    asked = {
        "life": f"{int(epoch) + 1}.{tx}.{id_}",
        "future": f"{epoch}.{int(tx) + 1_000_000}.{id_}",
        "cloud": "cbfKayrzgAXDWM:1556806691343-0",
        "junk": "☃",
    }[kind]
    async with stream(rest, lastEvent=asked) as reader:
        error = await reader.event()
        assert (error.name, error.content["code"]) == ("error", 80012)
        await publish(door, "3")
        assert await reader.data(1) == ["3"]


async def test_of_what_is_too_old_the_rest_comes_with_a_word(
    rest: Rest, door: httpx.AsyncClient, database: Database
) -> None:
    async with stream(rest) as reader:
        await publish(door, "1")
        event = await reader.event()
    await publish(door, "2", "3")
    async with database.session() as db:
        gone = "DELETE FROM channel_messages WHERE id = 2 RETURNING tx, id"
        tx, id_ = (await db.rows(gone))[0]
        await db.run("UPDATE channel_horizon SET tx = $1, id = $2", tx, id_)
    async with stream(rest, lastEvent=event.id) as reader:
        error = await reader.event()
        assert (error.name, error.content["code"]) == ("error", 80012)
        assert await reader.data(1) == ["3"]


async def test_facts_are_never_too_old(
    rest: Rest, door: httpx.AsyncClient, database: Database, tail: Tail
) -> None:
    async with stream(rest, "tickets-updates") as reader:
        start = await reader.opened()
        await record(database, tail, 1)
        assert (await reader.event()).name == "message"
    async with database.session() as db:
        await db.run("UPDATE channel_horizon SET (tx, id) = (SELECT tx, id FROM events)")
    async with stream(rest, "tickets-updates", lastEvent=start) as reader:
        assert (await reader.event()).name == "message"
    async with stream(rest, "tickets-updates,a", lastEvent=start) as reader:
        assert [each.name for each in await reader.events(2)] == ["error", "message"]


# -- hearing nothing --


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/sse", {}, ":keepalive"),
        ("/sse", {"heartbeats": "true"}, "event: heartbeat\ndata:"),
        ("/event-stream", {"heartbeats": "true"}, '{"event":"heartbeat"}'),
        ("/event-stream", {}, ""),
    ],
)
async def test_a_quiet_stream_says_that_it_is_there(
    rest: Rest,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    query: dict[str, str],
    expected: str,
) -> None:
    monkeypatch.setattr(sse, "HEARTBEAT", 0.0)
    monkeypatch.setattr(sse, "BEAT", 0.05)
    end = "\n" if path == "/event-stream" else "\n\n"
    async with stream(rest, path=path, **query) as reader:
        await reader.block(end)
        assert await reader.block(end) == expected
        assert await reader.block(end) == expected


async def test_the_id_of_a_quiet_stream_moves_on(
    rest: Rest, door: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what was said elsewhere would be looked through again, or be gone by its age."""
    monkeypatch.setattr(sse, "HEARTBEAT", 0.0)
    monkeypatch.setattr(sse, "BEAT", 0.05)
    async with stream(rest) as reader:
        first = await reader.opened()
        await publish(door, "elsewhere", channel="b")
        while (block := await reader.block()) == ":keepalive":
            pass
        assert block is not None
        assert block.startswith("id: ")
        assert block.removeprefix("id: ") != first
        await publish(door, "here")
        event = await reader.event()
        assert event.content["data"] == "here"


# -- the end --


async def test_a_token_ends_its_stream(
    rest: Rest, token: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "BEAT", 0.05)
    async with stream(rest, accessToken=token(ttl=1)) as reader:
        event = await reader.event()
        assert (event.name, event.content["code"], event.content["statusCode"]) == (
            "error",
            40142,
            401,
        )
        assert await reader.over()
    async with stream(rest, accessToken=token(age=2, ttl=1)) as reader:
        assert reader.status == 401
        assert (await reader.whole())["error"]["code"] == 40142


async def test_a_revocation_ends_it_too(
    rest: Rest, gateway: Gateway, token: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "BEAT", 0.05)
    async with stream(rest, accessToken=token(client_id="ada"), path="/event-stream") as reader:
        monkeypatch.setattr(gateway.keyring, "revocation_of", lambda identity: object())
        line = await reader.line()
        assert (line["event"], line["data"]["code"]) == ("error", 40141)
        assert await reader.over()


async def test_the_end_of_the_process_ends_streams(rest: Rest, gateway: Gateway) -> None:
    async with stream(rest, "a") as one, stream(rest, "b", path="/event-stream") as two:
        started = time.monotonic()
        gateway.closing.set()
        assert await one.over()
        assert await two.over()
        assert time.monotonic() - started < 0.5
    async with stream(rest) as late:
        assert await late.over()


async def test_a_client_that_leaves_is_let_go(rest: Rest, gateway: Gateway) -> None:
    async with stream(rest, "a,b"):
        assert set(gateway.hub.topics) == {"a", "b"}
        assert len(rest.streams) == 1
    assert gateway.hub.topics == {}
    assert len(rest.streams) == 0


async def test_a_slow_reader_is_cut_and_resumes(
    rest: Rest,
    gateway: Gateway,
    door: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sse, "EVENTS_QUEUED", 10)
    monkeypatch.setattr(sse, "GRACE", 0.05)
    async with stream(rest) as reader:
        id_ = await reader.opened()
        reader.reads.clear()
        await publish(door, *map(str, range(30)))
        async with asyncio.timeout(5):
            await reader.task
    assert gateway.hub.topics == {}
    async with stream(rest, lastEvent=id_) as reader:
        assert await reader.data(30) == [str(number) for number in range(30)]


async def test_one_that_reads_slowly_but_does_gets_all(
    rest: Rest, database: Database, tail: Tail
) -> None:
    async with stream(rest) as reader:
        await reader.opened()
        async with database.session() as db:
            await append(db, [Draft("a", f"~x:{n}", Body(None, str(n))) for n in range(900)])
        tail.wake()
        assert await reader.data(900) == [str(number) for number in range(900)]


async def test_a_database_that_does_not_answer_refuses(
    rest: Rest, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def attached(topic: str) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(sse, "PATIENCE", 0.05)
    monkeypatch.setattr(gateway.hub, "attached", attached)
    async with stream(rest) as reader:
        assert reader.status == 503
        assert (await reader.whole())["error"]["code"] == 50003
    assert gateway.hub.topics == {}


# -- who may --


async def test_a_channel_that_is_not_allowed_refuses_all(
    rest: Rest, gateway: Gateway, token: Tokens
) -> None:
    some = token({"a": ["subscribe"], "b": ["publish", "history", "presence"]})
    async with stream(rest, "a,b", accessToken=some) as reader:
        assert reader.status == 401
        assert (await reader.whole())["error"]["code"] == 40160
    assert gateway.hub.topics == {}
    async with stream(
        rest, "a", headers={"authorization": bearer(some)["Authorization"]}
    ) as reader:
        assert reader.status == 200


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"v": None}, 40017),
        ({"v": "x"}, 40003),
        ({"channels": None}, 40003),
        ({"channels": ""}, 40003),
        ({"channels": "a,,b"}, 40010),
        ({"channels": "[meta]log"}, 40010),
        ({"channels": "ticket:42"}, 40010),
        ({"rewind": "soon"}, 40003),
        ({"channels": "[?rewind=x]a"}, 40003),
        ({"heartbeats": "perhaps"}, 40003),
        ({"enveloped": "perhaps"}, 40003),
        ({"channels": ",".join(map(str, range(101)))}, 40003),
    ],
)
async def test_what_makes_no_sense(rest: Rest, query: dict[str, Any], code: int) -> None:
    async with Reader(rest, {"channels": "a", **query}) as reader:
        assert reader.status == 400
        assert (await reader.whole())["error"]["code"] == code


async def test_other_origins_may_read_it(rest: Rest) -> None:
    async with stream(rest, headers={"Origin": "https://shop.example"}) as reader:
        assert reader.answered["access-control-allow-origin"] == "https://shop.example"


async def test_a_look_at_the_head_opens_no_stream(door: httpx.AsyncClient, rest: Rest) -> None:
    answered: list[Any] = []

    async def send(message: Any) -> None:
        answered.append(message)

    async def receive() -> Any:
        raise AssertionError

    scope = {
        "type": "http",
        "method": "GET",
        "is_head": True,
        "path": "/sse",
        "raw_path": b"/sse",
        "query_string": b"v=1.2&channels=a&key=pullse.dev:local-development-only",
        "headers": [],
    }
    await rest(scope, receive, send)
    assert answered[0]["status"] == 200
    assert len(rest.streams) == 0


@settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.dictionaries(
        st.sampled_from(
            ["channels", "separator", "rewind", "lastEvent", "enveloped", "heartbeats", "v"]
        ),
        st.text(max_size=20) | st.from_regex(r"[0-9]+\.[0-9]+\.[0-9]+", fullmatch=True),
        max_size=4,
    )
)
async def test_no_query_makes_a_stream_fail(rest: Rest, query: dict[str, str]) -> None:
    async with Reader(rest, {"channels": "a", **query}) as reader:
        assert reader.status < 500
