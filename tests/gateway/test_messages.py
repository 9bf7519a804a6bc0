"""Publishing and receiving (ABLY.md 1.1, 1.4): acknowledgements, ids, payloads, repeats."""

import asyncio
import base64
import json
import time
from typing import Any

import pytest

from tests.gateway.protocol import (
    ACK,
    ATTACH,
    ATTACHED,
    MESSAGE,
    MODE_PUBLISH,
    MODE_SUBSCRIBE,
    NACK,
    Client,
    jwt,
)
from tests.gateway.served import Served

FREE = {"*": ["*"]}
BINARY = bytes(range(256))


async def stored(served: Served, channel: str) -> int:
    async with served.database.session() as db:
        count = await db.value("SELECT count(*) FROM channel_messages WHERE channel = $1", channel)
    return int(count or 0)


async def error_of(client: Client, channel: str, *messages: Any) -> int:
    """The code of the NACK; the connection lives on."""
    frame = await client.publish(channel, *messages)
    assert frame["action"] == NACK, frame
    assert frame["error"]["message"]
    assert frame["error"]["statusCode"] in (400, 401)
    await client.pinged()
    return int(frame["error"]["code"])


# -- ACK and MESSAGE --


@pytest.mark.parametrize("format_", ["json", "msgpack"])
async def test_a_publish_is_acknowledged_with_its_serial(served: Served, format_: str) -> None:
    client = await served.connect(format=format_)
    frame = await client.publish("room", {"name": "greeting", "data": "hello"})
    (result,) = frame["res"]
    (serial,) = result["serials"]
    assert isinstance(serial, str)
    assert serial
    assert frame == {"action": ACK, "msgSerial": 0, "count": 1, "res": [{"serials": [serial]}]}
    frame = await client.publish("room", "a", "b", "c")
    assert (frame["msgSerial"], frame["count"]) == (1, 1)
    serials = frame["res"][0]["serials"]
    assert len(set(serials)) == 3
    assert [serial, *serials] == sorted([serial, *serials])


@pytest.mark.parametrize("format_", ["json", "msgpack"])
async def test_a_message_arrives_with_all_that_is_known_of_it(served: Served, format_: str) -> None:
    client = await served.connect(format=format_)
    other = await served.connect(format=format_, clientId="ann")
    await client.attach("room")
    await other.publish("room", "first")
    await client.take(MESSAGE)
    before = time.time() * 1000
    extras = {"headers": {"a": 1}, "ref": {"type": "x", "timeserial": "y"}}
    ack = await other.publish("room", {"name": "greeting", "data": "hello", "extras": extras})
    frame = await client.take(MESSAGE)
    (message,) = frame["messages"]
    assert frame["channel"] == "room"
    assert frame["channelSerial"]
    assert frame["connectionId"] == other.id
    assert frame["id"] == f"{other.id}:1"
    assert abs(frame["timestamp"] - before) < 5_000
    serial = ack["res"][0]["serials"][0]
    assert message == {
        "id": f"{other.id}:1:0",
        "name": "greeting",
        "data": "hello",
        "clientId": "ann",
        "connectionId": other.id,
        "timestamp": frame["timestamp"],
        "extras": extras,
        "action": 0,
        "serial": serial,
        "version": {"serial": serial, "timestamp": frame["timestamp"]},
    }


async def test_several_messages_of_one_publish_are_told_apart_by_their_index(
    served: Served,
) -> None:
    client = await served.connect()
    await client.attach("room")
    await client.publish("room", "a", "b", "c")
    found = await client.messages(3)
    assert [each["id"] for each in found] == [f"{client.id}:0:{index}" for index in range(3)]
    assert [each["data"] for each in found] == ["a", "b", "c"]


async def test_a_message_needs_neither_name_nor_data(served: Served) -> None:
    client = await served.connect()
    await client.attach("room")
    for message in ({}, {"name": "n"}, {"data": None}, {"name": "", "data": ""}):
        assert (await client.publish("room", message))["action"] == ACK
    found = await client.messages(4)
    assert found[1]["name"] == "n"
    assert found[3].get("data", "") == ""


async def test_publishing_needs_no_attachment(served: Served) -> None:
    client, other = await served.connect(), await served.connect()
    await other.attach("room")
    await client.publish("room", "x")
    assert await other.data(1) == ["x"]
    await client.nothing(0.1)


async def test_acknowledgements_come_in_order_whatever_the_channel(served: Served) -> None:
    """JavaScript's SDK takes them by position."""
    client = await served.connect()
    other = await served.connect()
    for name in "abc":
        await other.attach(name)
    bad = {"data": 7}
    for each in range(300):
        await client.start_publish("abc"[each % 3], bad if each % 10 == 0 else str(each))
        if each % 50 == 0:
            await client.send(ATTACH, channel=f"room:{each}")
    frames = [await client.take(ACK, NACK) for _ in range(300)]
    assert [each["msgSerial"] for each in frames] == list(range(300))
    assert [each["action"] == NACK for each in frames] == [each % 10 == 0 for each in range(300)]
    for offset, name in enumerate("abc"):
        wanted = [str(each) for each in range(offset, 300, 3) if each % 10]
        assert await other.data(len(wanted), channel=name) == wanted


async def test_all_subscribers_have_the_same_order(served: Served) -> None:
    readers = [await served.connect(format=each) for each in ("json", "msgpack", "json")]
    writers = [await served.connect() for _ in range(4)]
    for reader in readers:
        await reader.attach("room")

    async def write(number: int, writer: Client) -> None:
        for each in range(50):
            await writer.start_publish("room", f"{number}-{each}")
            await asyncio.sleep(0)

    await asyncio.gather(*(write(*each) for each in enumerate(writers)))
    first, *others = [await reader.data(200) for reader in readers]
    assert all(each == first for each in others)
    for number in range(4):
        own = [each for each in first if each.startswith(f"{number}-")]
        assert own == [f"{number}-{each}" for each in range(50)]


async def test_what_rest_publishes_arrives_too(served: Served) -> None:
    client = await served.connect()
    await client.attach("room")
    answer = await served.http.post(
        "/channels/room/messages",
        json={"name": "n", "data": {"a": 1}},
        auth=("pullse.dev", "local-development-only"),
    )
    assert answer.status_code == 201
    (message,) = await client.messages(1)
    assert message["name"] == "n"
    assert json.loads(message["data"]) == {"a": 1}
    assert message["encoding"] == "json"
    assert "connectionId" not in message
    assert message["serial"] == answer.json()["serials"][0]


# -- NACK --


@pytest.mark.parametrize("data", [7, 1.5, True, False])
async def test_data_is_text_bytes_or_json(served: Served, data: Any) -> None:
    client = await served.connect()
    assert await error_of(client, "room", {"data": data}) == 40013


@pytest.mark.parametrize(
    "message",
    [
        7,
        "text",
        [],
        None,
        {"name": 7},
        {"clientId": 7},
        {"encoding": 7},
        {"extras": "x"},
        {"extras": [1]},
        {"id": 7},
    ],
)
async def test_what_is_no_message_is_refused(served: Served, message: Any) -> None:
    client = await served.connect()
    await client.send(MESSAGE, channel="room", msgSerial=0, messages=[message])
    frame = await client.take(ACK, NACK)
    assert frame["action"] == NACK
    assert frame["error"]["code"] // 100 == 400
    await client.pinged()
    assert await stored(served, "room") == 0


@pytest.mark.parametrize("fields", [{}, {"messages": []}, {"messages": None}])
async def test_no_message_is_refused(served: Served, fields: dict[str, Any]) -> None:
    client = await served.connect()
    await client.send(MESSAGE, channel="room", msgSerial=3, **fields)
    frame = await client.take(ACK, NACK)
    assert (frame["action"], frame["msgSerial"], frame["count"]) == (NACK, 3, 1)


async def test_base64_that_is_none_is_refused(served: Served) -> None:
    client = await served.connect()
    assert await error_of(client, "room", {"data": "no base64!", "encoding": "base64"}) == 40013


@pytest.mark.parametrize("channel", ["", ":x", "[meta]x", "ticket:42"])
async def test_a_bad_channel_is_refused(served: Served, channel: str) -> None:
    assert await error_of(await served.connect(), channel, "x") == 40010


async def test_the_size_of_a_publish_is_limited(served: Served) -> None:
    client = await served.connect(format="msgpack")
    assert (await client.publish("room", "x" * 65_536))["action"] == ACK
    assert await error_of(client, "room", "x" * 65_537) == 40009
    assert await error_of(client, "room", *["x" * 40_000] * 2) == 40009
    assert await error_of(client, "room", {"name": "n" * 40_000, "data": "x" * 40_000}) == 40009
    assert await error_of(client, "room", {"data": "é" * 40_000}) == 40009
    assert await error_of(client, "room", {"extras": {"a": "x" * 70_000}}) == 40009
    assert await error_of(client, "room", b"x" * 65_537) == 40009
    assert await stored(served, "room") == 1


async def test_binary_counts_as_it_is_and_not_as_base64(served: Served) -> None:
    client = await served.connect()
    data = base64.b64encode(b"x" * 65_536).decode()
    assert (await client.publish("room", {"data": data, "encoding": "base64"}))["action"] == ACK


async def test_an_attachment_without_the_mode_may_not_publish(served: Served) -> None:
    client = await served.connect()
    await client.attach("room", flags=MODE_SUBSCRIBE)
    assert await error_of(client, "room", "x") in (40160, 40165)
    await client.attach("other", flags=MODE_PUBLISH)
    assert (await client.publish("other", "x"))["action"] == ACK
    await client.nothing(0.2)


async def test_a_capability_without_publish_may_not(served: Served) -> None:
    client = await served.connect(token=jwt({"room": ["subscribe"], "free": ["publish"]}, "ann"))
    assert await error_of(client, "room", "x") == 40160
    await client.attach("room")
    assert await error_of(client, "room", "x") in (40160, 40165)
    assert (await client.publish("free", "x"))["action"] == ACK


@pytest.mark.parametrize(
    "channel",
    [
        "tickets-updates",
        "tickets-activity",
        "ticket:018f6a5e-7b7c-7000-8000-000000000000",
        "[?x=1]tickets-updates",
    ],
)
async def test_nobody_publishes_on_the_channels_of_tickets(served: Served, channel: str) -> None:
    client = await served.connect()
    assert await error_of(client, channel, "x") == 40160
    await client.attach(channel)
    assert await error_of(client, channel, "x") in (40160, 40165)


@pytest.mark.parametrize(
    ("credentials", "client_id", "told"),
    [
        ({}, "bob", "bob"),
        ({"clientId": "ann"}, None, "ann"),
        ({"clientId": "ann"}, "ann", "ann"),
        ({"clientId": "ann"}, "bob", None),
        ({"token": jwt(FREE, "ann")}, "bob", None),
        ({"token": jwt(FREE, "*")}, "bob", "bob"),
        ({"token": jwt(FREE)}, "bob", None),
        ({}, "*", None),
        ({}, "", None),
        ({"clientId": "ann"}, "*", None),
    ],
)
async def test_nobody_publishes_as_somebody_else(
    served: Served, credentials: dict[str, str], client_id: str | None, told: str | None
) -> None:
    client = await served.connect(**credentials)
    await client.attach("room")
    message = {"data": "x"} | ({} if client_id is None else {"clientId": client_id})
    if told is None:
        assert await error_of(client, "room", message) == 40012
    else:
        await client.publish("room", message)
        assert (await client.messages(1))[0]["clientId"] == told


async def test_a_refused_publish_takes_no_other_with_it(served: Served) -> None:
    client = await served.connect()
    await client.attach("room")
    for each in ("good", {"data": 7}, {"id": "a\0b", "data": "x"}, {"name": "a\0b"}, "good"):
        await client.start_publish("room", each)
    frames = [await client.take(ACK, NACK) for _ in range(5)]
    assert [each["msgSerial"] for each in frames] == list(range(5))
    assert frames[0]["action"] == frames[4]["action"] == ACK
    assert frames[1]["action"] == NACK


async def test_one_bad_message_takes_its_publish_with_it(served: Served) -> None:
    client = await served.connect()
    assert await error_of(client, "room", "good", {"data": 7}) == 40013
    assert await stored(served, "room") == 0


async def test_strange_texts_are_kept_or_refused_and_never_a_failure(served: Served) -> None:
    client = await served.connect()
    await client.attach("room")
    strange = ["a\0b", "\x1f", "\u2028", "😀", "\ufeff", "\r\n", "'\"\\"]
    for text in strange:
        for message in (
            {"data": text},
            {"name": text},
            {"clientId": text},
            {"id": text + "!"},
            {"extras": {text: text}},
            {"encoding": text},
        ):
            frame = await client.publish("room", message)
            assert frame["action"] in (ACK, NACK), message
            if frame["action"] == ACK:
                (found,) = await client.messages(1)
                for name, value in message.items():
                    assert found[name] == value
    half = '{"action":15,"channel":"room","msgSerial":%d,"messages":[{"data":"\\ud800"}]}'
    await client.send_as_is(half % client.next_serial())
    frame = await client.next()
    assert frame["action"] in (ACK, NACK, 9)


@pytest.mark.parametrize("serial", [-1, 1 << 40, (1 << 63) - 1, 10**25, 10**4000])
async def test_strange_numbers_of_a_publish_are_no_failure(served: Served, serial: int) -> None:
    client = await served.connect()
    await client.attach("room")
    await client.send(MESSAGE, channel="room", msgSerial=serial, messages=[{"data": "x"}])
    frame = await client.take(ACK, NACK, 9)
    if frame["action"] == ACK:
        assert frame["msgSerial"] == serial
        await client.messages(1)
    else:
        assert frame["error"]["code"] // 100 == 400


# -- ids: once is once --


async def test_an_id_of_the_client_is_kept(served: Served) -> None:
    client = await served.connect()
    await client.attach("room")
    await client.publish("room", {"id": "mine", "data": "x"})
    assert (await client.messages(1))[0]["id"] == "mine"


async def test_the_same_id_is_published_once(served: Served) -> None:
    client, other = await served.connect(), await served.connect()
    await client.attach("room")
    first = await client.publish("room", {"id": "mine", "data": "first"})
    again = await other.publish("room", {"id": "mine", "data": "second"})
    assert again["action"] == ACK
    assert again["res"] == first["res"]
    elsewhere = await other.publish("elsewhere", {"id": "mine", "data": "third"})
    assert elsewhere["res"] != first["res"]
    await other.publish("room", "last")
    assert await client.data(2) == ["first", "last"]


async def test_several_in_one_publish_have_one_base(served: Served) -> None:
    client = await served.connect()
    await client.attach("room")
    messages = [{"id": f"base:{index}", "data": str(index)} for index in range(3)]
    first = await client.publish("room", *messages)
    assert len(first["res"][0]["serials"]) == 3
    assert (await client.publish("room", *messages))["res"] == first["res"]
    found = await client.messages(3)
    assert [each["id"] for each in found] == ["base:0", "base:1", "base:2"]
    await client.nothing(0.2)


@pytest.mark.parametrize(
    "ids",
    [
        ["a:0", "b:1"],
        ["a:0", "a:2"],
        ["a:1", "a:2"],
        ["a:0", None],
        [None, "a:1"],
        ["a", "a"],
        [":0", ":1"],
        ["a:0", "a:0"],
    ],
)
async def test_other_ids_in_one_publish_are_40031(served: Served, ids: list[str | None]) -> None:
    client = await served.connect()
    messages = [{"data": "x"} | ({} if id_ is None else {"id": id_}) for id_ in ids]
    assert await error_of(client, "room", *messages) == 40031
    assert await stored(served, "room") == 0


@pytest.mark.parametrize("id_", ["a" * 1000, "😀" * 250, "a:0:b", " "])
async def test_long_and_strange_ids_are_kept(served: Served, id_: str) -> None:
    client = await served.connect()
    channel = "c" * 1000
    await client.attach(channel)
    assert (await client.publish(channel, {"id": id_}))["action"] == ACK
    assert (await client.messages(1))[0]["id"] == id_


@pytest.mark.parametrize("id_", ["", "a" * 5000, "😀" * 1500, "x" * 2048, "é" * 2048])
async def test_ids_have_their_limits(served: Served, id_: str) -> None:
    client = await served.connect()
    frame = await client.publish("c" * 1000, {"id": id_})
    if frame["action"] == NACK:
        assert frame["error"]["code"] == 40031
    await client.pinged()


async def test_an_id_may_not_be_one_of_ours(served: Served) -> None:
    """Who claims the id of another's message keeps nobody from publishing it."""
    client, evil = await served.connect(), await served.connect()
    await client.attach("room")
    await evil.publish("room", {"id": f"{client.id}:0:0", "data": "evil"})
    await client.publish("room", "good")
    assert sorted(await client.data(2)) == ["evil", "good"]


# -- sent again --


async def test_a_publish_that_is_sent_again_is_published_once(served: Served) -> None:
    """RTN19a2: after a cut, with the same msgSerial, as its acknowledgement may have been lost."""
    reader, client = await served.connect(), await served.connect()
    await reader.attach("room")
    first = [await client.publish("room", "a", "b"), await client.publish("room", "c")]
    await client.cut()
    again = await served.resume(client)
    second = [
        await again.publish("room", "a", "b", serial=0),
        await again.publish("room", "c", serial=1),
        await again.publish("room", "d"),
    ]
    assert second[:2] == first
    assert second[2]["msgSerial"] == 2
    assert await reader.data(4) == ["a", "b", "c", "d"]
    await reader.nothing(0.2)


async def test_a_publish_whose_fate_is_unknown_is_sent_again(served: Served) -> None:
    """Cut right after writing, twenty times: each is published once, whether it came or not."""
    reader, client = await served.connect(), await served.connect()
    await reader.attach("room")
    for each in range(20):
        serial = await client.start_publish("room", str(each))
        await asyncio.sleep(0.001 * (each % 5))
        await client.cut()
        client = await served.resume(client)
        assert (await client.publish("room", str(each), serial=serial))["action"] == ACK
    assert await reader.data(20) == [str(each) for each in range(20)]
    await reader.nothing(0.2)


async def test_twice_on_one_socket_is_once_too(served: Served) -> None:
    client = await served.connect()
    await client.attach("room")
    for _ in range(2):
        await client.start_publish("room", "x", serial=0)
    first, second = [await client.take(ACK, NACK) for _ in range(2)]
    assert first == second
    assert await client.data(1) == ["x"]
    await client.nothing(0.2)


async def test_another_connection_with_the_same_serial_is_another_message(served: Served) -> None:
    reader = await served.connect()
    await reader.attach("room")
    for _ in range(3):
        client = await served.connect()
        await client.publish("room", "x")
    assert len({each["id"] for each in await reader.messages(3)}) == 3


async def test_after_a_failed_resume_the_count_begins_anew(served: Served) -> None:
    """RTN15c7: the connection is another one, so serial 0 is a new message."""
    client = await served.connect()
    await client.attach("room")
    await client.publish("room", "old")
    await client.close()
    again = await served.connect(resume=client.key)
    await again.attach("room")
    assert (await again.publish("room", "new", serial=0))["action"] == ACK
    assert await again.data(1) == ["new"]


# -- echo --


async def test_echo_can_be_turned_off(served: Served) -> None:
    client, other = await served.connect(echo="false"), await served.connect()
    await client.attach("room")
    await client.publish("room", "mine")
    await other.publish("room", "theirs")
    assert await client.data(1) == ["theirs"]
    await client.nothing(0.2)


@pytest.mark.parametrize("echo", [None, "true", ""])
async def test_echo_is_usual(served: Served, echo: str | None) -> None:
    client = await served.connect(echo=echo)
    await client.attach("room")
    await client.publish("room", "mine")
    assert await client.data(1) == ["mine"]


# -- payloads between JSON and MessagePack --


PAYLOADS: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    # published in one of the formats; as JSON shows it; as MessagePack shows it
    ({"data": "text"}, {"data": "text"}, {"data": "text"}),
    (
        {"data": '{"a":1}', "encoding": "json"},
        {"data": '{"a":1}', "encoding": "json"},
        {"data": '{"a":1}', "encoding": "json"},
    ),
    (
        {"data": {"a": [1, None, "é"]}},
        {"data": '{"a":[1,null,"é"]}', "encoding": "json"},
        {"data": '{"a":[1,null,"é"]}', "encoding": "json"},
    ),
    (
        {"data": ["a", 1]},
        {"data": '["a",1]', "encoding": "json"},
        {"data": '["a",1]', "encoding": "json"},
    ),
    (
        {"data": base64.b64encode(BINARY).decode(), "encoding": "base64"},
        {"data": base64.b64encode(BINARY).decode(), "encoding": "base64"},
        {"data": BINARY},
    ),
    (
        {"data": base64.b64encode(BINARY).decode(), "encoding": "utf-8/cipher+aes-256-cbc/base64"},
        {"data": base64.b64encode(BINARY).decode(), "encoding": "utf-8/cipher+aes-256-cbc/base64"},
        {"data": BINARY, "encoding": "utf-8/cipher+aes-256-cbc"},
    ),
    (
        {"data": "text", "encoding": "made/up"},
        {"data": "text", "encoding": "made/up"},
        {"data": "text", "encoding": "made/up"},
    ),
    ({"data": "", "encoding": "base64"}, {"data": "", "encoding": "base64"}, {"data": b""}),
]
ONLY_MSGPACK: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    (
        {"data": BINARY},
        {"data": base64.b64encode(BINARY).decode(), "encoding": "base64"},
        {"data": BINARY},
    ),
    (
        {"data": BINARY, "encoding": "json/utf-8/cipher+aes-128-cbc"},
        {
            "data": base64.b64encode(BINARY).decode(),
            "encoding": "json/utf-8/cipher+aes-128-cbc/base64",
        },
        {"data": BINARY, "encoding": "json/utf-8/cipher+aes-128-cbc"},
    ),
    ({"data": b""}, {"data": "", "encoding": "base64"}, {"data": b""}),
]


@pytest.mark.parametrize("format_", ["json", "msgpack"])
async def test_payloads_are_put_into_the_readers_format(served: Served, format_: str) -> None:
    cases = PAYLOADS + (ONLY_MSGPACK if format_ == "msgpack" else [])
    writer = await served.connect(format=format_)
    readers = {"json": await served.connect(), "msgpack": await served.connect(format="msgpack")}
    for each in readers.values():
        await each.attach("room")
    for published, as_json, as_msgpack in cases:
        assert (await writer.publish("room", published))["action"] == ACK
        for name, shown in (("json", as_json), ("msgpack", as_msgpack)):
            (found,) = await readers[name].messages(1)
            given = {key: found[key] for key in ("data", "encoding") if key in found}
            assert given == shown, (published, name)


async def test_a_payload_of_the_past_is_the_same_as_live(served: Served) -> None:
    writer, live = await served.connect(format="msgpack"), await served.connect()
    await live.attach("room")
    await writer.publish("room", {"name": "n", "data": BINARY, "extras": {"a": [1.5, None]}})
    (first,) = await live.messages(1)
    late = await served.connect()
    assert (await late.attach("room", params={"rewind": "1"}))["action"] == ATTACHED
    assert await late.messages(1) == [first]
