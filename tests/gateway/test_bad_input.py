"""What clients could gain that mean no good, or that send what nobody should: nothing."""

import asyncio
import base64
import json
import random
from collections.abc import Awaitable
from typing import Any

import httpx
import msgspec
import pytest

from pullse.gateway import keys
from pullse.gateway.capability import Capability
from pullse.gateway.channels import APART
from pullse.gateway.connection import Connection
from pullse.gateway.wire import Action, Flag, Incoming
from pullse.kit.db import Database
from tests.gateway.protocol import (
    ACK,
    ATTACHED,
    AUTH,
    CONNECTED,
    DETACH,
    DETACHED,
    DEV_KEY,
    DISCONNECTED,
    ENTER,
    ERROR,
    HEARTBEAT,
    MESSAGE,
    MODE_SUBSCRIBE,
    NACK,
    RESUMED,
    SYNC,
    Client,
    Frame,
    jwt,
)
from tests.gateway.served import SECRET, Served

OWNER = httpx.BasicAuth(*DEV_KEY.split(":"))
TICKET = "ticket:0b9ee8a6-3f3b-4f6e-9d0a-3f4b1d1c9c11"


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


async def key_of(
    database: Database, capability: Any, *, app: str = "pullse", is_revocable: bool = False
) -> str:
    """A key of the database, with its secret."""
    async with database.session() as db:
        rights = Capability.parse(capability)
        name = await keys.create(db, rights, app=app, is_revocable=is_revocable)
    return f"{name}:{SECRET.of_key(name)}"


def basic(key: str) -> httpx.BasicAuth:
    return httpx.BasicAuth(*key.split(":"))


async def heard(client: Client, other: Client, channel: str) -> None:
    """What one says comes to the other at once."""
    assert (await other.publish(channel, "heard"))["action"] == ACK
    assert await client.data(1, channel, patience=2) == ["heard"]


# -- a message that nobody could read again --


@pytest.mark.parametrize("format_", ["json", "msgpack"])
async def test_extras_that_are_too_deep_are_refused(
    served: Served, format_: str, caplog: pytest.LogCaptureFixture
) -> None:
    """
    What one call can just decode, another one, deeper in calls, can't: such a message on any
    channel stopped what is read for all of them.
    """
    client, other = await served.connect(format=format_), await served.connect()
    await other.attach("room")
    assert (await client.publish("room", {"extras": nested(32)}))["action"] == ACK
    assert (await other.messages(1))[0]["extras"] == nested(32)
    for depth in (33, 100, 500, *range(900, 930, 3), 935, 940):
        raw = as_raw(nested_text(depth), format_)
        await client.send_as_is(raw)
        frame = await client.take(NACK, ERROR)
        assert frame["error"]["code"] in (40032, 40000), depth
        if frame["action"] == ERROR:
            client = await served.connect(format=format_)
    await heard(other, client, "room")
    assert not caplog.records


def nested_text(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


def as_raw(extras: str, format_: str) -> str | bytes:
    """A publish; deeper than encoders can write it."""
    if format_ == "json":
        return f'{{"action":15,"channel":"room","msgSerial":0,"messages":[{{"extras":{extras}}}]}}'
    depth = extras.count("{")
    return (
        b"\x84\xa6action\x0f\xa7channel\xa4room\xa9msgSerial\x00\xa8messages\x91\x81\xa6extras"
        + b"\x81\xa1a" * depth
        + b"\x01"
    )


async def test_nor_by_any_other_way(served: Served) -> None:
    client = await served.connect()
    await client.attach("room")
    frame = await client.present("room", ENTER, clientId="ann", extras=nested(33))
    assert frame["error"]["code"] == 40032
    answer = await served.http.post(
        "/channels/room/messages", json={"extras": nested(33)}, auth=OWNER
    )
    assert answer.json()["error"]["code"] == 40032
    batch = {"channels": "room", "messages": {"extras": nested(33)}}
    answer = await served.http.post("/messages", json=batch, auth=OWNER)
    assert answer.json()[0]["results"][0]["error"]["code"] == 40032
    await heard(client, client, "room")


async def test_an_item_that_can_not_be_shown_holds_nobody_up(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """As if a bug had let it in."""
    client = await served.connect()
    await client.attach("room")
    async with served.database.session() as db:
        await db.run(
            """
            INSERT INTO channel_messages (channel, action, once, body)
                 VALUES ('room', 0, '~x', $1)
            """,
            b"\xc1",
        )
    await heard(client, client, "room")
    assert [each.getMessage().partition(" at ")[0] for each in caplog.records] == ["What is"]


# -- sizes --


@pytest.mark.parametrize("format_", ["json", "msgpack"])
@pytest.mark.parametrize("way", ["name", "data", "client_id", "extras", "binary", "two"])
async def test_64_kib_are_taken_and_one_byte_more_is_not(
    served: Served, format_: str, way: str
) -> None:
    client, reader = await served.connect(format=format_), await served.connect()
    await reader.attach("room")

    def of_size(size: int) -> list[Frame]:
        match way:
            case "name":
                return [{"name": "é" * (size // 2) + "x" * (size % 2)}]
            case "data":
                return [{"name": "x", "data": "x" * (size - 1)}]
            case "client_id":
                return [{"clientId": "ann", "data": "x" * (size - 3)}]
            case "extras":
                return [{"extras": {"a": "x" * (size - len('{"a":""}'))}}]
            case "binary" if format_ == "msgpack":
                return [{"data": b"\0" * size}]
            case "binary":
                data = base64.b64encode(b"\0" * size).decode()
                return [{"data": data, "encoding": "base64"}]
        return [{"data": "x" * 65_000}, {"data": "x" * (size - 65_000)}]

    assert (await client.publish("room", *of_size(65_536)))["action"] == ACK
    await reader.messages(2 if way == "two" else 1)
    frame = await client.publish("room", *of_size(65_537))
    assert (frame["action"], frame["error"]["code"]) == (NACK, 40009)
    await heard(reader, client, "room")


@pytest.mark.parametrize("content_type", ["application/json", "application/x-msgpack"])
async def test_by_rest_too(served: Served, content_type: str) -> None:
    codec: Any = msgspec.json if content_type.endswith("json") else msgspec.msgpack
    headers = {"content-type": content_type, "accept": "application/json"}
    for size, status in ((65_536, 201), (65_537, 400)):
        body = codec.encode({"data": "x" * size})
        answer = await served.http.post(
            "/channels/room/messages", content=body, headers=headers, auth=OWNER
        )
        assert answer.status_code == status
    assert answer.json()["error"]["code"] == 40009
    raw = await served.http.post(
        "/channels/room/messages?enveloped=false", content=b"x" * 65_537, auth=OWNER
    )
    assert raw.json()["error"]["code"] == 40009


async def test_a_member_s_data_has_the_same_limit(served: Served) -> None:
    client = await served.connect()
    await client.attach("room")
    for size, action in ((65_533, ACK), (65_534, NACK)):
        frame = await client.present("room", ENTER, clientId="ann", data="x" * size)
        assert frame["action"] == action
    assert frame["error"]["code"] == 40009


async def test_messages_of_one_publish_and_members_of_one_frame_are_counted(
    served: Served,
) -> None:
    client = await served.connect()
    await client.attach("room")
    await client.attach("quiet", flags=MODE_SUBSCRIBE | 1 << 16)
    assert (await client.publish("other", *[{}] * 1000))["action"] == ACK
    assert (await client.publish("other", *[{}] * 1001))["error"]["code"] == 40009
    frame = await client.present("room", ENTER, *["ann"] * 1001)
    assert frame["error"]["code"] == 40009
    body = [{}] * 1001
    answer = await served.http.post("/channels/room/messages", json=body, auth=OWNER)
    assert answer.json()["error"]["code"] == 40009


@pytest.mark.parametrize("encoding", ["e" * 1025, "é" * 513, "x/" * 5000 + "base64"])
async def test_an_encoding_is_no_place_to_hide_a_message_in(served: Served, encoding: str) -> None:
    client = await served.connect()
    await client.attach("room")
    message = {"data": "x", "encoding": encoding}
    assert (await client.publish("room", message))["error"]["code"] == 40013
    frame = await client.present("room", ENTER, {"clientId": "ann", **message})
    assert frame["error"]["code"] == 40013
    answer = await served.http.post("/channels/room/messages", json=message, auth=OWNER)
    assert answer.json()["error"]["code"] == 40013
    longest = {"data": "x", "encoding": "e" * 1024}
    assert (await client.publish("room", longest))["action"] == ACK


async def test_a_name_with_its_parameters_is_no_place_either(served: Served) -> None:
    client = await served.connect()
    assert (await client.attach(f"[?x={'y' * 2000}]room"))["action"] == ATTACHED
    frame = await client.attach(f"[?x={'y' * 2100}]room")
    assert (frame["action"], frame["error"]["code"]) == (ERROR, 40010)


# -- numbers --


@pytest.mark.parametrize("serial", [-1, 1 << 53, 1 << 63, 1 << 64, 10**30, -(10**30)])
async def test_a_serial_is_a_count(served: Served, serial: int) -> None:
    client = await served.connect()
    await client.send(MESSAGE, channel="room", msgSerial=serial, messages=[{}])
    frame = await client.take(ERROR)
    assert frame["error"]["code"] == 40000
    await client.ended()


async def test_flags_of_no_meaning_leave_nothing_behind(served: Served) -> None:
    """Python remembers each combination of flags that it has ever seen."""
    client = await served.connect()
    full = (await client.attach("room"))["flags"]
    known = len(Flag._value2member_map_)
    rng = random.Random(1)
    for _ in range(50):
        others = rng.getrandbits(62) << 23
        frame = await client.attach("room", flags=rng.choice([others, -others, others << 100]))
        assert frame["flags"] & ~(full | RESUMED) == 0
    assert len(Flag._value2member_map_) <= known + 5


# -- names of topics that are nobody's to name --

FORBIDDEN = [
    "other\x1froom",
    "\x1froom",
    "room\x1f",
    "\x1fprocess:x",
    "[?rewind=1]other\x1froom",
    "\0",
    "a\nb",
    "\x7f",
]


@pytest.mark.parametrize("name", FORBIDDEN)
async def test_no_door_lets_control_characters_into_a_name(served: Served, name: str) -> None:
    client = await served.connect(format="msgpack")
    assert (await client.attach(name))["error"]["code"] == 40010
    client.serial = 0
    assert (await client.publish(name, "x"))["error"]["code"] == 40010
    assert (await client.present(name, ENTER, "ann"))["error"]["code"] == 40010
    await client.send(SYNC, channel=name)
    await client.send(DETACH, channel=name)
    assert (await client.next())["action"] == DETACHED

    http = served.http
    quoted = "/channels/" + "".join(f"%{each:02x}" for each in name.encode())
    calls: list[Awaitable[httpx.Response]] = [
        http.get(quoted, auth=OWNER),
        http.get(f"{quoted}/messages", auth=OWNER),
        http.get(f"{quoted}/presence", auth=OWNER),
        http.get(f"{quoted}/presence/history", auth=OWNER),
        http.post(f"{quoted}/messages", json={}, auth=OWNER),
    ]
    for call in calls:
        assert (await call).json()["error"]["code"] == 40010
    params = {"channels": name, "v": "1.2", "separator": ";"}
    for path in ("/sse", "/event-stream"):
        answer = await http.get(path, params=params, auth=OWNER)
        assert answer.json()["error"]["code"] in (40010, 40003)  # NUL in no parameter at all
    answer = await http.get("/presence", params=params, auth=OWNER)
    assert "40010" in answer.text or "40003" in answer.text
    batch = {"channels": [name], "messages": {"data": "x"}}
    answer = await http.post("/messages", json=batch, auth=OWNER)
    assert answer.json()[0]["results"][0]["error"]["code"] == 40010
    assert APART not in "".join(served.realtime.gateway.hub.topics.keys() - own(served))


def own(served: Served) -> set[str]:
    assert served.realtime.sessions is not None
    return {f"{APART}process:{served.realtime.sessions.process}"}


async def test_what_processes_tell_each_other_is_listed_nowhere(served: Served) -> None:
    client = await served.connect()
    await client.attach("room")
    for prefix in ("", "\x1f", "other", "other\x1f", "\x1fprocess:"):
        answer = await served.http.get("/channels", params={"prefix": prefix}, auth=OWNER)
        assert answer.json() == (["room"] if prefix == "" else [])


# -- two apps --


async def test_an_app_reaches_nothing_of_another(served: Served, database: Database) -> None:
    """Neither channels, nor connections, nor keys."""
    ours = await served.connect(clientId="ann")
    stranger = await key_of(database, {"*": ["*"]}, app="other")
    theirs = await served.connect(key=stranger, clientId="ann")
    for client in (ours, theirs):
        await client.attach("room")
        await client.present("room", ENTER)
        assert [each["connectionId"] for each in await client.presence(1)] == [client.id]
    await ours.publish("room", "ours")
    await theirs.publish("room", "theirs")
    assert await ours.data(1) == ["ours"]
    assert await theirs.data(1) == ["theirs"]
    await ours.nothing(0.1)

    for way in ("resume", "recover"):
        again = await served.connect(key=stranger, clientId="ann", **{way: ours.key})
        assert (again.id != ours.id, again.connected["error"]["code"]) == (True, 80018)
    await ours.pinged()
    answer = await served.http.post(
        "/channels/room/messages", json={"connectionKey": ours.key}, auth=basic(stranger)
    )
    assert answer.json()["error"]["code"] == 40006
    for path in ("/channels/room/messages", "/channels/room/presence"):
        answer = await served.http.get(path, auth=basic(stranger))
        assert [each["connectionId"] for each in answer.json()] == [theirs.id]
    answer = await served.http.get("/channels", params={"prefix": ""}, auth=basic(stranger))
    assert answer.json() == ["room"]
    answer = await served.http.get("/channels/room", auth=basic(stranger))
    assert answer.json()["status"]["occupancy"]["metrics"]["connections"] == 1
    for call in ("requestToken", "revokeTokens"):
        answer = await served.http.post(
            f"/keys/pullse.dev/{call}", json={"targets": ["clientId:ann"]}, auth=basic(stranger)
        )
        assert answer.json()["error"]["code"] == 40101
    for channel in ("tickets-updates", TICKET):  # just names, over there
        assert (await theirs.publish(channel, "mine"))["action"] == ACK
    assert (await ours.attach("tickets-updates", params={"rewind": "9"}))["action"] == ATTACHED
    await ours.nothing(0.1)


async def test_a_connection_does_not_move_to_another_app(
    served: Served, database: Database
) -> None:
    client = await served.connect(token=jwt({"*": ["*"]}))
    stranger = await key_of(database, {"*": ["*"]}, app="other")
    await client.attach("room")
    await client.send(AUTH, auth={"accessToken": jwt({"*": ["*"]}, key=stranger)})
    assert (await client.take(ERROR))["error"]["code"] == 40102
    await client.ended()


# -- connections of others --


@pytest.mark.parametrize("how", ["resume", "recover"])
async def test_nobody_takes_a_connection_without_its_key(served: Served, how: str) -> None:
    client = await served.connect(token=jwt({"*": ["*"]}, "ann"))
    await client.attach("room")
    id_, _, secret = client.key.partition("!")
    forged = [
        f"{id_}!{secret[:-1]}",
        f"{id_}!{secret.swapcase()}",
        f"{id_}!",
        id_,
        f"{id_}!{secret}!",
        f"{id_}!{secret}\0",
        f"{id_}\0!{secret}",
        f"{id_}%!{secret}",
        f"!{secret}",
        "!",
        "\0",
        "x" * 5000,
    ]
    for key in forged:
        other = await served.connect(token=jwt({"*": ["*"]}, "ann"), **{how: key})
        assert (other.id != id_, other.connected["error"]["code"]) == (True, 80018), key
    for somebody in ("bob", None):
        token = jwt({"*": ["*"]}, somebody)
        other = await served.connect(token=token, **{how: client.key})
        assert (other.id != id_, other.connected["error"]["code"]) == (True, 80018)
    await heard(client, other, "room")


async def test_nobody_publishes_on_behalf_of_who_they_are_not(
    served: Served, database: Database
) -> None:
    client = await served.connect(token=jwt({"*": ["*"]}, "ann"))
    reader = await served.connect()
    await reader.attach("room")
    http, path = served.http, "/channels/room/messages"
    for key in (client.id, f"{client.id}!x", f"{client.id}!\0", "\0", "!"):
        answer = await http.post(path, json={"connectionKey": key}, auth=OWNER)
        assert answer.json()["error"]["code"] == 40006
    bob = {"authorization": f"Bearer {jwt({'*': ['*']}, 'bob')}"}
    answer = await http.post(path, json={"connectionKey": client.key}, headers=bob)
    assert answer.json()["error"]["code"] == 40012
    body = [{"connectionKey": client.key}, {"connectionKey": reader.key}]
    assert (await http.post(path, json=body, auth=OWNER)).json()["error"]["code"] == 40006
    await reader.nothing(0.1)


@pytest.mark.parametrize("client_id", ["*", "", "ann\0", "x" * 1025, "é" * 513])
async def test_names_that_nobody_has(served: Served, client_id: str) -> None:
    client = await served.connect()
    await client.attach("room")
    message = {"clientId": client_id, "data": "x"}
    assert (await client.publish("room", message))["error"]["code"] == 40012
    assert (await client.present("room", ENTER, message))["error"]["code"] == 40012
    answer = await served.http.post("/channels/room/messages", json=message, auth=OWNER)
    assert answer.json()["error"]["code"] == 40012
    if client_id != "*":
        assert (await served.refusal(token=jwt({"*": ["*"]}, client_id))).error["code"] == 40012
    assert (await served.refusal(clientId=client_id)).error["code"] == 40012
    wrapped = base64.b64encode(client_id.encode()).decode()
    answer = await served.http.post(
        "/channels/room/messages", json={}, auth=OWNER, headers={"x-ably-clientid": wrapped}
    )
    assert answer.json()["error"]["code"] == 40012


async def test_ids_of_others_messages_are_no_way_to_suppress_them(served: Served) -> None:
    """The gateway's own ids and those that clients give are never the same."""
    ann, eve = await served.connect(), await served.connect()
    await ann.attach("room")
    for serial in range(3):
        for id_ in (f"{ann.id}:{serial}:0", f"~{ann.id}:{serial}:0", f"={ann.id}:{serial}:0"):
            await eve.publish("room", {"id": id_, "data": "eve"})
            await served.http.post(
                "/channels/room/messages", json={"id": id_, "data": "eve"}, auth=OWNER
            )
    assert (await ann.data(9)) == ["eve"] * 9
    for serial in range(3):
        assert (await ann.publish("room", f"ann {serial}", serial=serial))["action"] == ACK
    assert await ann.data(3) == ["ann 0", "ann 1", "ann 2"]


async def test_nobody_is_entered_or_removed_by_another_connection(served: Served) -> None:
    ann, eve = await served.connect(), await served.connect()
    for each in (ann, eve):
        await each.attach("room")
    await ann.present("room", ENTER, clientId="ann", data="here")
    await eve.presence(1)
    as_ann = {"clientId": "ann", "connectionId": ann.id, "id": f"{ann.id}:999:0", "data": "eve"}
    for action in (3, 4, 2, 3):
        await eve.present("room", action, as_ann)
    answer = await served.http.get("/channels/room/presence", auth=OWNER)
    assert [(each["connectionId"], each["data"]) for each in answer.json()] == [(ann.id, "here")]
    seen = await ann.presence(3)
    assert {each["connectionId"] for each in seen[1:]} == {eve.id}
    assert not [each for each in seen[1:] if each["id"].startswith(ann.id)]


# -- rights --


async def test_presence_is_for_those_who_may_subscribe(served: Served) -> None:
    ann = await served.connect(clientId="ann")
    await ann.attach("room")
    await ann.present("room", ENTER, data="secret")
    for rights in (["presence"], ["publish"], ["publish", "presence", "history"]):
        eve = await served.connect(token=jwt({"room": rights}, "eve"))
        frame = await eve.attach("room", flags=(1 << 23) - 1)
        assert not frame["flags"] & (1 | MODE_SUBSCRIBE | 1 << 19)
        await eve.send(SYNC, channel="room")
        await ann.present("room", 4, data="secret too")
        await eve.pinged()
        await eve.nothing(0.1)
        headers = {"authorization": f"Bearer {jwt({'room': rights}, 'eve')}"}
        query = {"channels": "room", "v": "1.2"}
        for path in ("/sse", "/event-stream"):
            answer = await served.http.get(path, params=query, headers=headers)
            assert answer.json()["error"]["code"] == 40160
        if "presence" not in rights:
            answer = await served.http.get("/channels/room/presence", headers=headers)
            assert answer.json()["error"]["code"] == 40160


async def test_fewer_rights_in_band_end_what_they_do_not_cover(served: Served) -> None:
    ann = await served.connect(token=jwt({"*": ["*"]}, "ann"))
    other = await served.connect()
    await ann.attach("room")
    await ann.attach("[?rewind=1]room")
    await ann.send(AUTH, auth={"accessToken": jwt({"room": ["publish"]}, "ann")})
    await ann.take(CONNECTED)
    await ann.pinged()
    await other.attach("room")
    await other.publish("room", "unheard")
    await other.present("room", ENTER, "bob")
    await ann.send(SYNC, channel="room")
    await ann.send(SYNC, channel="[?rewind=1]room")
    await ann.pinged()
    await ann.nothing(0.1)
    assert (await ann.present("room", ENTER))["error"]["code"] == 40160
    assert (await ann.publish("room", "x"))["action"] == ACK
    assert (await ann.publish("other", "x"))["error"]["code"] == 40160
    frame = await ann.attach("room", flags=MODE_SUBSCRIBE)
    assert (frame["action"], frame["error"]["code"]) == (ERROR, 40160)


async def test_echo_hides_messages_and_no_presence(served: Served) -> None:
    ann = await served.connect(echo="false")
    await ann.attach("room")
    await ann.publish("room", "mine")
    await ann.present("room", ENTER, "ann")
    assert [each["clientId"] for each in await ann.presence(1)] == ["ann"]
    await ann.nothing(0.1)


@pytest.mark.parametrize(
    ("resource", "inside", "outside"),
    [
        ("ticket:*", TICKET, "ticket"),
        ("a:*", "a:b:c", "a"),
        ("a:*:c", "a:b:c", "a:b"),
        ("foo*", "foo*", "foobar"),
        ("a", "[?rewind=1]a", "b"),
        ("*", "x:y", "[meta]x"),
        ("[*]*", "x:y", "[meta]x"),
        ("[meta]*", None, "[meta]x"),
        ("[queue]a", None, "a"),
        ("a b", "a b", "a+b"),
        ("tickets-*", "tickets-*", "tickets-updates"),
        ("é", "é", "e\u0301"),
        ("a\x1fb", None, "a\x1fb"),
    ],
)
async def test_a_capability_covers_what_it_names_and_no_more(
    served: Served, resource: str, inside: str | None, outside: str
) -> None:
    client = await served.connect(token=jwt({resource: ["subscribe"]}))
    if inside is not None:
        assert (await client.attach(inside))["action"] == ATTACHED
    frame = await client.attach(outside)
    assert (frame["action"], frame["error"]["code"] in (40160, 40010)) == (ERROR, True)


async def test_a_long_token_fits_into_the_address_and_the_head(served: Served) -> None:
    """As long as tokens may be; what is longer is refused in a way that clients understand."""
    rights = {f"channel:{n:03}": ["subscribe"] for n in range(330)}
    token = jwt(rights)
    assert 12_000 < len(token) < 16_384
    for given in ({"token": token}, {"key": None, "headers": {"authorization": f"Bearer {token}"}}):
        client = await served.connect(**given)
        assert (await client.attach("channel:329"))["action"] == ATTACHED
        assert (await client.attach("channel:330"))["error"]["code"] == 40160
    refused = await served.refusal(token=jwt({**rights, "x" * 4000: ["*"]}))
    assert refused.error["code"] == 40144


# -- credentials that end --


async def test_a_revoked_key_loses_its_connections_and_streams(
    quick: None, served: Served, database: Database
) -> None:
    """And those of its tokens; nobody else's."""
    key = await key_of(database, {"*": ["*"]})
    kept = await served.connect()
    by_key = await served.connect(key=key)
    by_token = await served.connect(token=jwt({"*": ["*"]}, "ann", key=key))
    for each in (kept, by_key, by_token):
        await each.attach("room")
    query = {"channels": "room", "v": "1.2", "key": key}
    async with served.http.stream("GET", "/sse", params=query) as stream:
        lines = stream.aiter_lines()
        await anext(lines)
        async with database.session() as db:
            assert await keys.revoke(db, key.partition(":")[0])
        for each in (by_key, by_token):
            assert (await each.take(DISCONNECTED))["error"]["code"] == 40141
            await each.ended()
        async with asyncio.timeout(5):
            told = [line async for line in lines]
    assert "event: error" in told
    assert "40141" in "".join(told)
    await heard(kept, kept, "room")
    assert (await served.refusal(key=key)).error["code"] == 40131


async def test_a_revocation_while_somebody_connects_is_not_missed(
    served: Served, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await key_of(database, {"*": ["*"]})
    sessions = served.realtime.sessions
    assert sessions is not None
    opened = sessions.open

    async def open_slowly(connection: Connection) -> None:
        async with database.session() as db:
            await keys.revoke(db, key.partition(":")[0])
        await sessions._look_at_rights()  # the clock's turn: nobody to tell yet
        await opened(connection)

    monkeypatch.setattr(sessions, "open", open_slowly)
    refused = await served.refusal(key=key)
    assert refused.error["code"] == 40141


# -- order and time --


async def test_nothing_is_joined_after_the_end(served: Served) -> None:
    """An ATTACH that is begun in the moment in which the socket breaks."""
    client = await served.connect()
    gateway, sessions = served.realtime.gateway, served.realtime.sessions
    assert sessions is not None
    connection = sessions.connections[client.id]
    frames = [Incoming(Action.ATTACH, channel=f"room:{n}") for n in range(50)]
    attaching = asyncio.ensure_future(connection._attach_all(frames))
    await asyncio.sleep(0)
    connection.closed()
    await attaching
    assert not [topic for topic in gateway.hub.topics if topic.startswith("room")]


async def test_nothing_is_answered_before_somebody_is_known(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A heartbeat is no way to keep a connection that never says who it is."""
    keyring = served.realtime.gateway.keyring
    identify, asked, go_on = keyring.identify, asyncio.Event(), asyncio.Event()

    async def identify_slowly(credentials: Any) -> Any:
        asked.set()
        await go_on.wait()
        return await identify(credentials)

    monkeypatch.setattr(keyring, "identify", identify_slowly)
    connecting = asyncio.create_task(early(served, [{"action": HEARTBEAT, "id": "1"}]))
    await asked.wait()
    await asyncio.sleep(0.1)
    go_on.set()
    frames = await connecting
    assert [each["action"] for each in frames] == [CONNECTED, HEARTBEAT]


async def early(served: Served, frames: list[Frame]) -> list[Frame]:
    """What is answered to frames that are sent before CONNECTED."""
    from websockets.asyncio.client import connect  # noqa: PLC0415

    url = served.url.replace("http", "ws", 1) + f"/?v=6&key={DEV_KEY}"
    async with connect(url, compression=None, proxy=None) as socket:
        for frame in frames:
            await socket.send(json.dumps(frame))
        return [json.loads(await socket.recv()) for _ in range(len(frames) + 1)]
