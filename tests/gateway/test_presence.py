"""Who is present (ABLY.md 5): told to all, kept through a cut, gone when its time is over."""

import asyncio
import base64
import time
from typing import Any

import pytest

from pullse.gateway.presence import MEMBERS_AT_MOST
from tests.gateway.protocol import (
    ABSENT,
    ACK,
    ATTACH,
    ATTACHED,
    AUTH,
    CONNECTED,
    ENTER,
    ERROR,
    HAS_PRESENCE,
    LEAVE,
    MODE_PRESENCE,
    MODE_PRESENCE_SUBSCRIBE,
    MODE_SUBSCRIBE,
    NACK,
    PRESENCE,
    PRESENT,
    SYNC,
    UPDATE,
    Client,
    Frame,
    jwt,
)
from tests.gateway.served import Served

FREE = {"*": ["*"]}
TICKET = {"title": "Help", "description": "It broke."}


async def watching(served: Served, channel: str = "room", **options: Any) -> Client:
    client = await served.connect(**options)
    await client.attach(channel)
    return client


def told(event: Frame) -> tuple[int, str, Any]:
    return event["action"], event["clientId"], event.get("data")


async def there(served: Served, channel: str = "room") -> list[tuple[str, Any]]:
    """Who is there as a newcomer gets to see it."""
    client = await served.connect()
    frame = await client.attach(channel)
    found = []
    if frame["flags"] & HAS_PRESENCE:
        found = await client.members(channel)
        assert {each["action"] for each in found} == {PRESENT}
    await client.close()
    return sorted((each["clientId"], each.get("data")) for each in found)


# -- 1. and 2.: entering, changing, leaving --


@pytest.mark.parametrize("format_", ["json", "msgpack"])
async def test_who_enters_changes_and_leaves_is_told_to_all(served: Served, format_: str) -> None:
    other = await watching(served, format=format_)
    client = await watching(served, format=format_, clientId="ann")
    before = time.time() * 1000
    ack = await client.present("room", ENTER, {"data": "here"})
    assert ack == {"action": ACK, "msgSerial": 0, "count": 1}
    await client.present("room", UPDATE, {"data": "typing"})
    await client.present("room", LEAVE, {"data": "bye"})
    for reader in (client, other):
        frames = [await reader.take(PRESENCE) for _ in range(3)]
        events = [event for frame in frames for event in frame["presence"]]
        assert [told(each) for each in events] == [
            (ENTER, "ann", "here"),
            (UPDATE, "ann", "typing"),
            (LEAVE, "ann", "bye"),
        ]
        for serial, (frame, event) in enumerate(zip(frames, events, strict=True)):
            assert frame["channel"] == "room"
            assert frame["channelSerial"]
            assert event["id"] == f"{client.id}:{serial}:0"
            assert event["connectionId"] == client.id
            assert abs(event["timestamp"] - before) < 5_000
    assert await there(served) == []


async def test_who_leaves_without_a_word_leaves_with_the_last_one(served: Served) -> None:
    client = await watching(served, clientId="ann")
    await client.present("room", ENTER, {"data": "here"})
    await client.present("room", LEAVE, {})
    assert told((await client.presence(2))[1]) == (LEAVE, "ann", "here")


async def test_an_update_of_who_is_not_there_is_an_enter(served: Served) -> None:
    client = await watching(served, clientId="ann")
    await client.present("room", UPDATE, {"data": "x"})
    assert told((await client.presence(1))[0]) == (ENTER, "ann", "x")
    assert await there(served) == [("ann", "x")]


async def test_entering_again_changes_the_data(served: Served) -> None:
    client = await watching(served, clientId="ann")
    await client.present("room", ENTER, {"data": "one"})
    await client.present("room", ENTER, {"data": "two"})
    events = await client.presence(2)
    assert [each["data"] for each in events] == ["one", "two"]
    assert await there(served) == [("ann", "two")]


async def test_leaving_where_one_is_not_is_nothing(served: Served) -> None:
    client = await watching(served, clientId="ann")
    assert (await client.present("room", LEAVE, {}))["action"] == ACK
    await client.nothing(0.2)


async def test_the_one_who_enters_is_told_whatever_its_modes(served: Served) -> None:
    """RTP17a: its SDK keeps its own members by that; others are told only if they asked."""
    client = await served.connect(clientId="ann", echo="false")
    await client.attach("room", flags=MODE_PRESENCE)
    deaf = await served.connect()
    await deaf.attach("room", flags=MODE_SUBSCRIBE)
    await client.present("room", ENTER, {})
    await client.present("room", LEAVE, {})
    assert [told(each)[0] for each in await client.presence(2)] == [ENTER, LEAVE]
    await deaf.nothing(0.2)


async def test_one_connection_may_enter_for_several(served: Served) -> None:
    client = await watching(served)
    await client.present("room", ENTER, "ann", "bob", {"clientId": "eve", "data": {"a": 1}})
    events = await client.presence(3)
    assert [each["id"] for each in events] == [f"{client.id}:0:{index}" for index in range(3)]
    assert [each["clientId"] for each in events] == ["ann", "bob", "eve"]
    assert events[2]["data"] == '{"a":1}'
    assert events[2]["encoding"] == "json"
    await client.present("room", LEAVE, "bob")
    await client.presence(1)
    assert await there(served) == [("ann", None), ("eve", '{"a":1}')]


async def test_one_client_on_two_connections_is_there_twice(served: Served) -> None:
    first = await watching(served, clientId="ann")
    second = await watching(served, clientId="ann")
    await first.present("room", ENTER, {"data": "1"})
    await second.present("room", ENTER, {"data": "2"})
    assert await there(served) == [("ann", "1"), ("ann", "2")]
    await first.present("room", LEAVE, {})
    assert await there(served) == [("ann", "2")]


async def test_binary_presence_is_put_into_the_readers_format(served: Served) -> None:
    reader = await watching(served)
    client = await watching(served, format="msgpack", clientId="ann")
    await client.present("room", ENTER, {"data": b"\x00\xff"})
    (event,) = await reader.presence(1)
    assert (event["data"], event["encoding"]) == (base64.b64encode(b"\x00\xff").decode(), "base64")
    assert (await client.presence(1))[0]["data"] == b"\x00\xff"
    late = await served.connect(format="msgpack")
    await late.attach("room")
    assert (await late.members("room"))[0]["data"] == b"\x00\xff"


# -- 1.: who may not --


async def refused(client: Client, *members: Any, channel: str = "room", action: int = ENTER) -> int:
    frame = await client.present(channel, action, *members)
    assert frame["action"] == NACK
    await client.pinged()
    return int(frame["error"]["code"])


async def test_presence_needs_an_attachment(served: Served) -> None:
    client = await served.connect(clientId="ann")
    assert await refused(client, {}) == 91001
    await client.attach("room")
    await client.detach("room")
    assert await refused(client, {}) == 91001


async def test_presence_needs_a_client_id(served: Served) -> None:
    assert await refused(await watching(served), {}) == 91000
    anonymous = await watching(served, token=jwt(FREE))
    assert await refused(anonymous, {}) == 91000
    assert await refused(anonymous, "ann") == 40012


async def test_nobody_enters_as_somebody_else(served: Served) -> None:
    client = await watching(served, token=jwt(FREE, "ann"))
    assert await refused(client, "bob") == 40012
    assert await refused(client, "*") == 40012
    assert await refused(client, {}, "bob") == 40012
    assert await there(served) == []
    wildcard = await watching(served, token=jwt(FREE, "*"))
    assert (await wildcard.present("room", ENTER, "bob"))["action"] == ACK


async def test_presence_needs_the_capability_and_the_mode(served: Served) -> None:
    client = await watching(served, token=jwt({"room": ["subscribe"]}, "ann"))
    assert await refused(client, {}) in (40160, 40165)
    client = await served.connect(clientId="ann")
    await client.attach("room", flags=MODE_SUBSCRIBE)
    assert await refused(client, {}) in (40160, 40165)
    assert await there(served) == []


@pytest.mark.parametrize("action", [ABSENT, 5, -1, "2", None])
async def test_other_actions_are_refused(served: Served, action: Any) -> None:
    client = await watching(served, clientId="ann")
    assert await refused(client, {"action": action}) // 100 == 400


@pytest.mark.parametrize("member", [7, None, [], "x" * 3000, {"data": 7}, {"data": "x" * 70_000}])
async def test_what_is_no_member_is_refused(served: Served, member: Any) -> None:
    client = await watching(served)
    await client.send(
        PRESENCE,
        channel="room",
        msgSerial=0,
        presence=[
            member
            if not isinstance(member, str | dict)
            else {"action": ENTER, "clientId": member}
            if isinstance(member, str)
            else {"action": ENTER, "clientId": "ann", **member}
        ],
    )
    frame = await client.take(ACK, NACK)
    assert frame["action"] == NACK
    assert frame["error"]["code"] // 100 == 400
    await client.pinged()


async def test_of_several_all_or_none_enter(served: Served) -> None:
    client = await watching(served)
    assert await refused(client, "ann", "*") == 40012
    assert await there(served) == []


# -- 3.: SYNC --


async def test_a_newcomer_is_told_who_is_there(served: Served) -> None:
    client = await watching(served, clientId="ann")
    await client.present("room", ENTER, {"data": "here"})
    late = await served.connect()
    assert (await late.attach("room"))["flags"] & HAS_PRESENCE
    frame = await late.take(SYNC)
    assert frame["channel"] == "room"
    name, _, cursor = frame["channelSerial"].partition(":")
    assert name.replace("-", "").isalnum()
    assert cursor == ""
    (member,) = frame["presence"]
    assert told(member) == (PRESENT, "ann", "here")
    assert member["id"] == f"{client.id}:0:0"
    assert member["connectionId"] == client.id
    assert member["timestamp"]
    await late.nothing(0.2)


async def test_a_newcomer_without_the_mode_is_not_told(served: Served) -> None:
    client = await watching(served, clientId="ann")
    await client.present("room", ENTER, {})
    for flags in (MODE_SUBSCRIBE, MODE_PRESENCE):
        late = await served.connect()
        assert not (await late.attach("room", flags=flags))["flags"] & HAS_PRESENCE
        await late.nothing(0.1)


async def test_250_members_come_page_by_page(served: Served) -> None:
    client = await watching(served)
    names = [f"client{number:03}" for number in range(250)]
    for name in names:
        await client.send(
            PRESENCE,
            channel="room",
            msgSerial=client.next_serial(),
            presence=[{"action": ENTER, "clientId": name, "data": name}],
        )
    assert [(await client.take(ACK, NACK))["action"] for _ in names] == [ACK] * 250
    assert [each["clientId"] for each in await client.presence(250)] == names
    late = await served.connect(format="msgpack")
    await late.attach("room")
    frames: list[Frame] = []
    while not frames or not frames[-1]["channelSerial"].endswith(":"):
        frames.append(await late.take(SYNC))
    assert len(frames) > 1
    assert len({each["channelSerial"].partition(":")[0] for each in frames}) == 1
    members = [member for frame in frames for member in frame["presence"]]
    assert sorted(each["clientId"] for each in members) == names
    assert all(each["data"] == each["clientId"] for each in members)


@pytest.mark.parametrize("count", [100, 200])
async def test_a_full_last_page_ends_the_sync_too(served: Served, count: int) -> None:
    client = await watching(served)
    await client.present("room", ENTER, *(f"client{number:03}" for number in range(count)))
    late = await served.connect()
    await late.attach("room")
    assert len(await late.members("room")) == count


async def test_members_with_much_data_come_too(served: Served) -> None:
    """40 of 60 kB are more than a frame may have, and more than may wait unsent."""
    client = await watching(served)
    for number in range(40):
        await client.present("room", ENTER, {"clientId": f"c{number:02}", "data": "x" * 60_000})
    late = await served.connect()
    late.stop_reading()
    await late.send(ATTACH, channel="room")
    await asyncio.sleep(0.5)
    late.go_on_reading()
    await late.take(ATTACHED)
    count = 0
    while True:
        frame = await late.take(SYNC)
        assert sum(len(each["data"]) for each in frame["presence"]) < 524_288
        count += len(frame["presence"])
        if frame["channelSerial"].endswith(":"):
            break
    assert count == 40


async def test_a_client_may_ask_for_a_sync(served: Served) -> None:
    client = await watching(served, clientId="ann")
    await client.present("room", ENTER, {})
    await client.presence(1)
    for _ in range(2):
        await client.send(SYNC, channel="room", channelSerial="anything:")
        assert [each["clientId"] for each in await client.members("room")] == ["ann"]
    await client.send(SYNC, channel="elsewhere")
    await client.send(SYNC)
    await client.pinged()
    await client.nothing(0.1)


async def test_members_are_limited(served: Served) -> None:
    client = await watching(served)
    names = [f"client{number:04}" for number in range(MEMBERS_AT_MOST)]
    for start in range(0, MEMBERS_AT_MOST, 200):
        await client.present("room", ENTER, *names[start : start + 200])
    assert await refused(client, "one more") == 91003
    assert (await client.present("room", UPDATE, names[0]))["action"] == ACK
    await client.present("room", LEAVE, names[1])
    assert (await client.present("room", ENTER, "one more"))["action"] == ACK


async def test_while_all_come_and_go_everybody_ends_with_the_same_picture(served: Served) -> None:
    """Newcomers at any moment: their SYNC and what they are told after it add up."""
    writer = await watching(served)
    names = [f"client{number:03}" for number in range(150)]

    async def churn() -> None:
        for name in names:
            await writer.present("room", ENTER, {"clientId": name, "data": "1"})
        for name in names[::2]:
            await writer.present("room", LEAVE, name)
        for name in names[1::4]:
            await writer.present("room", UPDATE, {"clientId": name, "data": "2"})

    churning = asyncio.create_task(churn())
    pictures = []
    while not churning.done():
        late = await served.connect()
        frame = await late.attach("room")
        pictures.append((late, bool(frame["flags"] & HAS_PRESENCE)))
        await asyncio.sleep(0.03)
    await churning
    await asyncio.sleep(0.5)
    wanted = {name: "2" if name in names[1::4] else "1" for name in names[1::2]}
    for late, has_members in pictures:
        assert await picture(late, has_members=has_members) == wanted


async def picture(client: Client, *, has_members: bool) -> dict[str, Any]:
    """As an SDK makes it: the latest of what was synchronized and what came, by its id (RTP2b)."""
    members: dict[str, Frame] = {}

    def put(event: Frame) -> None:
        known = members.get(event["clientId"])
        if known is not None and order(event) < order(known):
            return
        members[event["clientId"]] = event

    if has_members:
        for each in await client.members("room"):
            put(each)
    await client.pinged()
    while True:
        try:
            frame = await client.take(PRESENCE, patience=0)
        except AssertionError:
            break
        for each in frame["presence"]:
            put(each)
    return {name: each.get("data") for name, each in members.items() if each["action"] != LEAVE}


def order(event: Frame) -> tuple[int, int]:
    _, serial, index = event["id"].rsplit(":", 2)
    return int(serial), int(index)


# -- 5.: leaving without a word --


def check_is_synthetic(event: Frame, client: Client) -> None:
    """Newer by its time, which a client compares if the id is not the connection's (RTP2b1)."""
    assert not event["id"].startswith(client.id)
    assert event["connectionId"] == client.id
    assert event["timestamp"] <= time.time() * 1000 + 1000


async def test_who_closes_leaves_at_once(served: Served) -> None:
    other = await watching(served)
    client = await watching(served, clientId="ann")
    await client.present("room", ENTER, {"data": "here"})
    await other.presence(1)
    started = time.monotonic()
    await client.close()
    (event,) = await other.presence(1)
    assert time.monotonic() - started < 1
    assert told(event) == (LEAVE, "ann", "here")
    check_is_synthetic(event, client)
    assert await there(served) == []


async def test_who_detaches_leaves_at_once(served: Served) -> None:
    other = await watching(served)
    await other.attach("elsewhere")
    client = await watching(served, clientId="ann")
    await client.attach("elsewhere")
    await client.present("room", ENTER, {"data": "here"})
    await client.present("elsewhere", ENTER, {"data": "there"})
    await other.presence(2)
    await client.detach("room")
    frame = await other.take(PRESENCE)
    assert frame["channel"] == "room"
    assert told(frame["presence"][0]) == (LEAVE, "ann", "here")
    check_is_synthetic(frame["presence"][0], client)
    assert await there(served, "elsewhere") == [("ann", "there")]


async def test_whose_channel_fails_leaves_at_once(served: Served) -> None:
    other = await watching(served)
    client = await watching(served, token=jwt(FREE, "ann"))
    await client.present("room", ENTER, {})
    await other.presence(1)
    await client.send(AUTH, auth={"accessToken": jwt({"elsewhere": ["*"]}, "ann")})
    await client.take(CONNECTED)
    assert (await client.take(ERROR))["channel"] == "room"
    (event,) = await other.presence(1, patience=3)
    assert told(event)[:2] == (LEAVE, "ann")
    assert await there(served) == []


async def test_who_loses_the_right_to_be_there_leaves(served: Served) -> None:
    other = await watching(served)
    client = await watching(served, token=jwt(FREE, "ann"))
    await client.present("room", ENTER, {})
    await other.presence(1)
    await client.send(AUTH, auth={"accessToken": jwt({"room": ["subscribe"]}, "ann")})
    await client.take(CONNECTED)
    (event,) = await other.presence(1, patience=3)
    assert told(event)[:2] == (LEAVE, "ann")
    assert await there(served) == []


async def test_who_is_cut_stays_for_15_seconds(served: Served) -> None:
    other = await watching(served)
    client = await watching(served, clientId="ann")
    await client.present("room", ENTER, {"data": "here"})
    await other.presence(1)
    started = time.monotonic()
    await client.cut()
    assert await there(served) == [("ann", "here")]
    (event,) = await other.presence(1, patience=20)
    assert 14.5 < time.monotonic() - started < 17.5
    assert told(event) == (LEAVE, "ann", "here")
    check_is_synthetic(event, client)
    assert await there(served) == []
    late = await served.resume(client)  # still within its two minutes
    assert late.id == client.id
    assert not (await late.attach("room"))["flags"] & HAS_PRESENCE


@pytest.mark.parametrize(("asked", "seconds"), [(300, 0.3), (1000, 1)])
async def test_how_long_is_the_clients_choice(
    quick: None, served: Served, asked: int, seconds: float
) -> None:
    other = await watching(served)
    client = await watching(served, clientId="ann", remainPresentFor=asked)
    await client.present("room", ENTER, {})
    await other.presence(1)
    started = time.monotonic()
    await client.cut()
    await other.presence(1, patience=5)
    assert seconds - 0.05 < time.monotonic() - started < seconds + 1


async def test_who_comes_back_in_time_never_left(quick: None, served: Served) -> None:
    other = await watching(served)
    client = await watching(served, clientId="ann", remainPresentFor=600)
    await client.present("room", ENTER, {"data": "here"})
    await other.presence(1)
    for _ in range(3):
        await client.cut()
        await asyncio.sleep(0.3)
        client = await served.resume(client, clientId="ann", remainPresentFor=600)
    await asyncio.sleep(0.9)
    await other.nothing(0)
    assert await there(served) == [("ann", "here")]
    await client.cut()
    assert told((await other.presence(1))[0]) == (LEAVE, "ann", "here")


async def test_many_who_are_cut_at_once_all_leave(quick: None, served: Served) -> None:
    other = await watching(served)
    clients = [
        await watching(served, clientId=f"client{number:02}", remainPresentFor=300)
        for number in range(30)
    ]
    for client in clients:
        await client.present("room", ENTER, {})
    await other.presence(30)
    await asyncio.gather(*(client.cut() for client in clients))
    assert {told(each)[0] for each in await other.presence(30)} == {LEAVE}
    assert await there(served) == []


async def test_a_takeover_is_no_leave(quick: None, served: Served) -> None:
    other = await watching(served)
    client = await watching(served, clientId="ann", remainPresentFor=200)
    await client.present("room", ENTER, {})
    await other.presence(1)
    again = await served.resume(client, clientId="ann")
    await client.ended()
    await asyncio.sleep(0.6)
    await other.nothing(0)
    await again.pinged()
    assert await there(served) == [("ann", None)]


# -- 6.: entering again --


async def test_entering_again_with_the_same_id_is_nothing_new(served: Served) -> None:
    """RTP17g: after a cut the SDK enters its members again, with the ids they had."""
    other = await watching(served)
    client = await watching(served, clientId="ann")
    await client.present("room", ENTER, {"data": "here"})
    (event,) = await other.presence(1)
    await client.cut()
    again = await served.resume(client, clientId="ann")
    await again.attach("room")
    ack = await again.present("room", ENTER, {"id": event["id"], "data": "here"})
    assert ack["action"] == ACK
    await other.nothing(0.2)
    assert await there(served) == [("ann", "here")]
    late = await served.connect()
    await late.attach("room")
    assert [each["id"] for each in await late.members("room")] == [event["id"]]


async def test_after_the_time_is_over_entering_again_is_an_enter(
    quick: None, served: Served
) -> None:
    other = await watching(served)
    client = await watching(served, clientId="ann", remainPresentFor=100)
    await client.present("room", ENTER, {"data": "here"})
    (event,) = await other.presence(1)
    await client.cut()
    assert told((await other.presence(1))[0])[0] == LEAVE
    again = await served.resume(client, clientId="ann")
    await again.attach("room")
    await again.present("room", ENTER, {"id": event["id"], "data": "here"})
    assert told((await other.presence(1))[0]) == (ENTER, "ann", "here")
    assert await there(served) == [("ann", "here")]


async def test_an_enter_that_is_sent_again_is_told_once(served: Served) -> None:
    other = await watching(served)
    client = await watching(served, clientId="ann")
    await client.present("room", ENTER, {"data": "here"})
    await client.cut()
    again = await served.resume(client, clientId="ann")
    await again.attach("room")
    await again.present("room", ENTER, {"data": "here"}, msgSerial=0)
    assert len(await other.presence(1)) == 1
    await other.nothing(0.2)


async def test_changes_that_are_sent_again_are_told_once(served: Served) -> None:
    """As after a cut before any acknowledgement came."""
    other = await watching(served)
    client = await watching(served, clientId="ann")
    changes = [(ENTER, "1"), (UPDATE, "2"), (UPDATE, "3")]
    for action, data in changes:
        await client.present("room", action, {"data": data})
    assert [told(each)[2] for each in await other.presence(3)] == ["1", "2", "3"]
    await client.cut()
    again = await served.resume(client, clientId="ann")
    await again.attach("room")
    for serial, (action, data) in enumerate(changes):
        ack = await again.present("room", action, {"data": data}, msgSerial=serial)
        assert ack["action"] == ACK
    await other.nothing(0.2)
    assert await there(served) == [("ann", "3")]


async def test_a_leave_that_is_sent_again_is_told_once(served: Served) -> None:
    other = await watching(served)
    client = await watching(served, clientId="ann")
    await client.present("room", ENTER, {})
    await client.present("room", LEAVE, {})
    await other.presence(2)
    await client.cut()
    again = await served.resume(client, clientId="ann")
    await again.attach("room")
    await again.present("room", ENTER, {}, msgSerial=0)
    await again.present("room", LEAVE, {}, msgSerial=1)
    assert await there(served) == []
    came = await counted(other)
    assert came in ([], [ENTER, LEAVE])


async def counted(client: Client) -> list[int]:
    await asyncio.sleep(0.2)
    found: list[int] = []
    while True:
        try:
            frame = await client.take(PRESENCE, patience=0)
        except AssertionError:
            return found
        found += [each["action"] for each in frame["presence"]]


@pytest.mark.parametrize("end", ["", ":", "x", ":0", ":0:", ":0:x", ":0:0:0", ":²:0", ":-1:0"])
async def test_an_id_of_no_shape_is_not_taken(served: Served, end: str) -> None:
    client = await watching(served, clientId="ann")
    for id_ in (client.id + end, end.removeprefix(":")):
        await client.present("room", ENTER, {"id": id_})
        await client.present("room", UPDATE, {})
        await client.present("room", LEAVE, {})
        entered, *_ = await client.presence(3)
        assert entered["id"] == f"{client.id}:{client.serial - 3}:0"


async def test_an_id_of_another_connection_is_not_taken(served: Served) -> None:
    """Who could enter under another's id could make others pass over what that one does."""
    client, evil = await watching(served, clientId="ann"), await watching(served, clientId="eve")
    await evil.present("room", ENTER, {"id": f"{client.id}:9:0"})
    (event,) = await client.presence(1)
    assert event["id"].startswith(f"{evil.id}:")


# -- the channel of a ticket --


async def test_a_ticket_has_its_viewers(served: Served) -> None:
    answer = await served.http.post("/api/tickets", json=TICKET)
    channel = f"ticket:{answer.json()['data']['id']}"
    rights = {"ticket:*": ["subscribe", "presence"]}
    client = await watching(served, channel, token=jwt(rights, "ann"))
    other = await watching(served, channel, token=jwt(rights, "bob"))
    await client.present(channel, ENTER, {"data": {"viewing": True}})
    (event,) = await other.presence(1)
    assert told(event) == (ENTER, "ann", '{"viewing":true}')
    await served.http.patch(f"/api/tickets/{channel[7:]}", json={"status": "resolved"})
    assert (await other.messages(1))[0]["name"] == "ticket.changed"
    assert await there(served, channel) == [("ann", '{"viewing":true}')]
    late = await served.connect()
    await late.attach(channel, params={"rewind": "10"})
    names = [each["name"] for each in await late.messages(2)]
    assert names == ["ticket.created", "ticket.changed"]
    assert len(await late.members(channel)) == 1


async def test_presence_and_facts_of_a_ticket_are_resumed_in_their_order(served: Served) -> None:
    answer = await served.http.post("/api/tickets", json=TICKET)
    channel = f"ticket:{answer.json()['data']['id']}"
    client = await served.connect()
    serial = (await client.attach(channel))["channelSerial"]
    other = await watching(served, channel)
    for number in range(3):
        await other.present(channel, ENTER, f"client{number}")
        await served.http.patch(f"/api/tickets/{channel[7:]}", json={"title": f"Help {number}"})
    again = await served.connect()
    await again.attach(channel, channelSerial=serial)
    kinds: list[int] = []
    while len(kinds) < 6:
        frame = await again.next()
        if frame["action"] != SYNC:
            kinds.append(frame["action"])
    assert kinds == [PRESENCE, 15] * 3
    await again.members(channel)


async def test_no_presence_without_its_mode_on_subscribe_alone(served: Served) -> None:
    client = await served.connect()
    await client.attach("room", flags=MODE_PRESENCE_SUBSCRIBE)
    other = await watching(served)
    await other.publish("room", "unheard")
    await other.present("room", ENTER, "ann")
    assert told((await client.presence(1))[0]) == (ENTER, "ann", None)
    await client.nothing(0.1)
