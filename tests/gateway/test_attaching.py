"""Attaching to channels: what is granted, and from where on messages come (ABLY.md 1.4, 1.5)."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from pullse.gateway import log
from pullse.gateway.connection import CHANNELS_AT_MOST
from tests.gateway.protocol import (
    ACK,
    ATTACH,
    ATTACH_RESUME,
    ATTACHED,
    DETACH,
    DETACHED,
    ERROR,
    HAS_BACKLOG,
    HAS_PRESENCE,
    MESSAGE,
    MODE_ANNOTATION_PUBLISH,
    MODE_PRESENCE,
    MODE_PRESENCE_SUBSCRIBE,
    MODE_PUBLISH,
    MODE_SUBSCRIBE,
    MODES,
    NACK,
    RESUMED,
    Client,
    jwt,
)
from tests.gateway.served import Served

TICKET = {"title": "Help", "description": "It broke."}


async def two(served: Served, **options: Any) -> tuple[Client, Client]:
    return await served.connect(**options), await served.connect()


async def said(client: Client, channel: str, texts: Sequence[str]) -> None:
    """Publish all in one go, and wait until all is acknowledged."""
    serials = [await client.start_publish(channel, each) for each in texts]
    for serial in serials:
        assert (await client.take(ACK, NACK, msgSerial=serial))["action"] == ACK


def numbered(start: int, end: int) -> list[str]:
    return [str(each) for each in range(start, end)]


# -- ATTACHED --


@pytest.mark.parametrize("format_", ["json", "msgpack"])
async def test_without_wishes_a_client_gets_the_usual_modes(served: Served, format_: str) -> None:
    client = await served.connect(format=format_)
    frame = await client.attach("room")
    assert frame["channelSerial"]
    assert frame == {
        "action": ATTACHED,
        "channel": "room",
        "channelSerial": frame["channelSerial"],
        "flags": MODES,
        "params": {},
    }


@pytest.mark.parametrize(
    ("rights", "modes"),
    [
        (["subscribe"], MODE_SUBSCRIBE | MODE_PRESENCE_SUBSCRIBE),
        (["publish"], MODE_PUBLISH),
        (["presence"], MODE_PRESENCE),
        (["publish", "presence"], MODE_PUBLISH | MODE_PRESENCE),
        (["annotation-publish"], MODE_ANNOTATION_PUBLISH),
        (["*"], MODES),
    ],
)
async def test_modes_go_as_far_as_the_capability(
    served: Served, rights: list[str], modes: int
) -> None:
    client = await served.connect(token=jwt({"room": rights}, "ann"))
    assert (await client.attach("room"))["flags"] == modes


@pytest.mark.parametrize("rights", [{"other": ["*"]}, {"room": ["history", "channel-metadata"]}])
async def test_without_any_right_it_fails_and_the_connection_stays(
    served: Served, rights: dict[str, list[str]]
) -> None:
    client = await served.connect(token=jwt(rights, "ann"))
    frame = await client.attach("room")
    assert frame["action"] == ERROR
    assert frame["channel"] == "room"
    assert (frame["error"]["code"], frame["error"]["statusCode"]) == (40160, 401)
    await client.pinged()


async def test_modes_are_asked_for_by_flags(served: Served) -> None:
    client = await served.connect()
    for modes in (MODE_PUBLISH, MODE_SUBSCRIBE | MODE_PRESENCE, MODES):
        assert (await client.attach(f"room{modes}", flags=modes))["flags"] == modes


async def test_modes_are_asked_for_by_a_parameter(served: Served) -> None:
    client = await served.connect()
    frame = await client.attach("a", params={"modes": "subscribe,presence"})
    assert frame["flags"] == MODE_SUBSCRIBE | MODE_PRESENCE
    assert frame["params"] == {"modes": "subscribe,presence"}
    frame = await client.attach("b", params={"modes": "publish"}, flags=MODE_SUBSCRIBE)
    assert frame["flags"] == MODE_PUBLISH
    frame = await client.attach("c", params={"modes": "PRESENCE_SUBSCRIBE"})
    assert frame["flags"] == MODE_PRESENCE_SUBSCRIBE


async def test_what_is_asked_for_and_not_allowed_is_left_out(served: Served) -> None:
    client = await served.connect(token=jwt({"room": ["subscribe"]}, "ann"))
    frame = await client.attach("room", flags=MODE_PUBLISH | MODE_SUBSCRIBE)
    assert frame["flags"] == MODE_SUBSCRIBE
    frame = await client.attach("[?x=1]room", flags=MODE_PUBLISH)
    assert frame["error"]["code"] == 40160


@pytest.mark.parametrize("modes", ["", "fly", "subscribe,", "subscribe fly"])
async def test_unknown_modes_are_refused(served: Served, modes: str) -> None:
    client = await served.connect()
    frame = await client.attach("room", params={"modes": modes})
    assert frame["action"] == ERROR
    assert frame["error"]["code"] // 100 == 400


async def test_only_known_parameters_are_confirmed(served: Served) -> None:
    client = await served.connect()
    frame = await client.attach("room", params={"rewind": "3", "nonsense": "1", "delta": "x"})
    assert frame["params"]["rewind"] == "3"
    assert "nonsense" not in frame["params"]


async def test_a_qualifier_is_repeated_and_the_channel_is_the_same(served: Served) -> None:
    client, other = await two(served)
    await said(other, "room", ["before"])
    frame = await client.attach("[?rewind=1]room")
    assert frame["channel"] == "[?rewind=1]room"
    assert frame["params"] == {"rewind": "1"}
    assert frame["flags"] & HAS_BACKLOG
    await said(other, "room", ["after"])
    assert await client.data(2, channel="[?rewind=1]room") == ["before", "after"]
    answer = await client.publish("[?rewind=1]room", "mine")
    assert answer["action"] == ACK
    assert (await client.detach("[?rewind=1]room"))["action"] == DETACHED


@pytest.mark.parametrize(
    "name",
    [
        "",
        ":a",
        "[meta]log",
        "[queue]a",
        "[",
        "[?rewind=1]",
        "[?rewind=1]:a",
        "a\nb",
        "a\0b",
        "a" * 1100,
        "😀" * 300,
        "ticket:",
        "ticket:42",
        "ticket:018F6A5E-7B7C-7000-8000-000000000000",
    ],
)
async def test_a_bad_name_is_40010_and_the_connection_stays(served: Served, name: str) -> None:
    client = await served.connect()
    frame = await client.attach(name)
    assert (frame["action"], frame["error"]["code"]) == (ERROR, 40010)
    await client.pinged()


@pytest.mark.parametrize(
    "name",
    ["a:b", "a[b]", "a?rewind=1", "é 😀 &=%2F+", "a" * 1000, "😀" * 250, "*", "a:*", "tickets"],
)
async def test_any_other_name_is_a_channel(served: Served, name: str) -> None:
    client = await served.connect()
    assert (await client.attach(name))["action"] == ATTACHED
    assert (await client.publish(name, "x"))["action"] == ACK
    assert await client.data(1, channel=name) == ["x"]


async def test_a_name_is_not_its_own_pattern(served: Served) -> None:
    client, other = await two(served)
    await client.attach("a:*")
    await said(other, "a:b", ["x"])
    await client.nothing()


async def test_attaching_again_is_answered_again(served: Served) -> None:
    client, other = await two(served)
    await client.attach("room", params={"rewind": "1"})
    await said(other, "room", ["one"])
    assert await client.data(1) == ["one"]
    frame = await client.attach("room", params={"rewind": "1"})
    assert frame["flags"] & RESUMED
    assert frame["flags"] & MODES == MODES
    await said(other, "room", ["two"])
    assert await client.data(1) == ["two"]
    await client.nothing()
    await client.cut()
    again = await served.resume(client)
    await again.attach("room", channelSerial=frame["channelSerial"])
    assert await again.data(1) == ["two"]
    await again.nothing(0.1)


async def test_attaching_again_takes_other_modes(served: Served) -> None:
    client, other = await two(served)
    await client.attach("room", flags=MODE_PUBLISH)
    await other.attach("room")
    await said(other, "room", ["unheard"])
    assert await other.data(1) == ["unheard"]
    frame = await client.attach("room", flags=MODE_SUBSCRIBE)
    assert frame["flags"] & MODES == MODE_SUBSCRIBE
    await said(other, "room", ["heard"])
    assert await client.data(1) == ["heard"]
    assert (await client.publish("room", "x"))["error"]["code"] == 40165
    frame = await client.attach("room", params={"modes": "publish"})
    assert frame["flags"] & MODES == MODE_PUBLISH


async def test_attaching_again_without_the_right_fails_the_channel(served: Served) -> None:
    client, other = await two(served, token=jwt({"room": ["subscribe"]}, "ann"))
    await client.attach("room")
    frame = await client.attach("room", flags=MODE_PUBLISH)
    assert (frame["action"], frame["error"]["code"]) == (ERROR, 40160)
    await said(other, "room", ["unheard"])
    await client.nothing()


async def test_many_channels_at_once_are_all_answered(served: Served) -> None:
    client = await served.connect()
    names = [f"room:{each}" for each in range(300)]
    for name in names:
        await client.send(ATTACH, channel=name)
    answered = [(await client.take(ATTACHED, ERROR))["channel"] for _ in names]
    assert sorted(answered) == sorted(names)


async def test_channels_are_limited(served: Served) -> None:
    client = await served.connect()
    for each in range(CHANNELS_AT_MOST + 2):
        await client.send(ATTACH, channel=f"room:{each}")
    frames = [await client.take(ATTACHED, ERROR) for _ in range(CHANNELS_AT_MOST + 2)]
    refused = [each for each in frames if each["action"] == ERROR]
    assert [each["channel"] for each in refused] == [
        f"room:{CHANNELS_AT_MOST}",
        f"room:{CHANNELS_AT_MOST + 1}",
    ]
    assert {each["error"]["code"] for each in refused} == {90010}
    await client.detach("room:0")
    assert (await client.attach("another"))["action"] == ATTACHED
    await client.publish("another", "x")
    assert await client.data(1) == ["x"]


# -- rewind --


@pytest.mark.parametrize(
    ("rewind", "count"), [("1", 1), ("3", 3), ("9", 5), ("0", 0), ("1m", 5), ("10s", 5), ("1h", 5)]
)
async def test_rewind_gives_what_came_before(served: Served, rewind: str, count: int) -> None:
    client, other = await two(served)
    await said(other, "room", numbered(0, 5))
    frame = await client.attach("room", params={"rewind": rewind})
    assert bool(frame["flags"] & HAS_BACKLOG) == (count > 0)
    assert not frame["flags"] & RESUMED
    await said(other, "room", ["live"])
    assert await client.data(count + 1) == [*numbered(5 - count, 5), "live"]
    await client.nothing(0.1)


async def test_rewind_looks_at_the_time(served: Served) -> None:
    client, other = await two(served)
    await said(other, "room", ["old"])
    async with served.database.session() as db:
        await db.run("UPDATE channel_messages SET at = at - interval '1 minute'")
    await said(other, "room", ["new"])
    await client.attach("room", params={"rewind": "30s"})
    assert await client.data(1) == ["new"]
    await client.nothing(0.1)


async def test_rewind_gives_no_presence(served: Served) -> None:
    client, other = await two(served)
    await other.attach("room")
    await other.present("room", 2, "ann")
    await said(other, "room", ["one"])
    await other.present("room", 3, "ann")
    await client.attach("room", params={"rewind": "10"})
    assert await client.data(1) == ["one"]
    await client.nothing(0.1)


async def test_rewind_on_an_empty_channel_is_nothing(served: Served) -> None:
    client = await served.connect()
    frame = await client.attach("room", params={"rewind": "5"})
    assert not frame["flags"] & HAS_BACKLOG
    await client.publish("room", "x")
    assert await client.data(1) == ["x"]


@pytest.mark.parametrize("rewind", ["", "x", "-1", "1.5", "1d", "s", "1 s", "99999999999999999999"])
async def test_a_bad_rewind_fails_the_channel(served: Served, rewind: str) -> None:
    client = await served.connect()
    frame = await client.attach("room", params={"rewind": rewind})
    assert frame["action"] == ERROR
    assert frame["error"]["code"] // 100 == 400
    assert (await client.attach(f"[?rewind={rewind}]room"))["action"] == ERROR


async def test_rewind_is_for_those_who_come_anew(served: Served) -> None:
    client, other = await two(served)
    serial = (await client.attach("room"))["channelSerial"]
    await said(other, "room", ["one", "two"])
    assert await client.data(2) == ["one", "two"]

    third = await served.connect()
    frame = await third.attach("room", params={"rewind": "1"}, channelSerial=serial)
    assert frame["flags"] & RESUMED
    assert await third.data(2) == ["one", "two"]
    await third.nothing(0.1)

    fourth = await served.connect()
    await fourth.attach("room", params={"rewind": "1"}, flags=ATTACH_RESUME)
    await fourth.nothing(0.3, MESSAGE)


async def test_rewind_waits_for_subscribers(served: Served) -> None:
    """Who may not subscribe gets nothing of the past either."""
    client, other = await two(served, token=jwt({"room": ["publish"]}, "ann"))
    await said(other, "room", ["secret"])
    await client.attach("room", params={"rewind": "1"})
    await client.nothing(0.3, MESSAGE)


# -- going on by a serial --


async def test_who_gives_the_last_serial_misses_nothing(served: Served) -> None:
    client, other = await two(served)
    await client.attach("room")
    await said(other, "room", ["one"])
    last = (await client.take(MESSAGE))["channelSerial"]
    await client.cut()
    await said(other, "room", ["two", "three"])
    again = await served.resume(client)
    frame = await again.attach("room", channelSerial=last)
    assert frame["flags"] & RESUMED
    assert frame["flags"] & HAS_BACKLOG
    assert "error" not in frame
    await said(other, "room", ["four"])
    assert await again.data(3) == ["two", "three", "four"]
    await again.nothing(0.1)


async def test_the_serial_of_attached_will_do(served: Served) -> None:
    client, other = await two(served)
    await said(other, "room", ["before"])
    serial = (await client.attach("room"))["channelSerial"]
    await client.cut()
    await said(other, "room", ["one"])
    again = await served.resume(client)
    frame = await again.attach("room", channelSerial=serial)
    assert frame["flags"] & RESUMED
    assert await again.data(1) == ["one"]
    await again.cut()
    third = await served.resume(again)  # before any message came, by the serial of that ATTACHED
    await third.attach("room", channelSerial=frame["channelSerial"])
    assert await third.data(1) == ["one"]
    await third.nothing(0.1)


async def test_nothing_missed_is_resumed_too(served: Served) -> None:
    client, other = await two(served)
    serial = (await client.attach("room"))["channelSerial"]
    await said(other, "elsewhere", ["x"])
    await client.cut()
    again = await served.resume(client)
    frame = await again.attach("room", channelSerial=serial)
    assert frame["flags"] & RESUMED
    assert not frame["flags"] & HAS_BACKLOG
    await said(other, "room", ["one"])
    assert await again.data(1) == ["one"]


async def test_a_serial_is_good_on_another_connection(served: Served) -> None:
    """As after 80018: the connection is new, the channel goes on."""
    client, other = await two(served)
    serial = (await client.attach("room"))["channelSerial"]
    await client.close()
    await said(other, "room", ["one"])
    again = await served.connect(resume="gone!gone")
    frame = await again.attach("room", channelSerial=serial)
    assert frame["flags"] & RESUMED
    assert await again.data(1) == ["one"]


async def test_presence_of_meanwhile_comes_too(served: Served) -> None:
    client, other = await two(served)
    serial = (await client.attach("room"))["channelSerial"]
    await other.attach("room")
    await client.cut()
    await other.present("room", 2, "ann")
    await said(other, "room", ["one"])
    await other.present("room", 3, "ann")
    again = await served.resume(client)
    await again.attach("room", channelSerial=serial)
    kinds = [(await again.next())["action"] for _ in range(3)]
    assert kinds == [14, MESSAGE, 14]


async def test_own_messages_of_meanwhile_come_once(served: Served) -> None:
    client = await served.connect()
    serial = (await client.attach("room"))["channelSerial"]
    await client.publish("room", "mine")
    await client.cut()
    again = await served.resume(client)
    await again.attach("room", channelSerial=serial)
    assert await again.data(1) == ["mine"]
    await again.nothing(0.1)
    await again.cut()
    silent = await served.resume(again, echo="false")
    await silent.attach("room", channelSerial=serial)
    await silent.nothing(0.2)


@pytest.mark.parametrize("make", ["garbage", "foreign", "future", "horizon", "empty parts", "huge"])
async def test_a_serial_that_is_no_good_is_said_to_be(served: Served, make: str) -> None:
    client, other = await two(served)
    serial = (await client.attach("room"))["channelSerial"]
    epoch, tx, id_ = serial.split(".")
    await said(other, "room", ["lost"])
    match make:
        case "garbage":
            bad = "nonsense"
        case "foreign":
            bad = f"{int(epoch) + 1}.{tx}.{id_}"
        case "future":
            bad = f"{epoch}.{int(tx) + 1_000_000}.{id_}"
        case "empty parts":
            bad = ".."
        case "huge":
            bad = f"{epoch}.{'9' * 30}.{id_}"
        case _:
            bad = serial
            await client.take(MESSAGE)
            async with served.database.session() as db:
                await db.run("UPDATE channel_messages SET at = at - interval '25 hours'")
            async with served.database.session() as db:
                await log.purge(db, hours=24)
    again = await served.connect()
    frame = await again.attach("room", channelSerial=bad)
    assert frame["action"] == ATTACHED
    assert not frame["flags"] & (RESUMED | HAS_BACKLOG)
    assert frame["error"]["code"] == 80012
    assert frame["error"]["message"]
    assert frame["error"]["statusCode"]
    await said(other, "room", ["new"])
    assert await again.data(1) == ["new"]
    await again.nothing(0.1)


async def test_a_serial_at_the_horizon_is_good(served: Served) -> None:
    """Who had everything that was purged has lost nothing."""
    client, other = await two(served)
    await client.attach("room")
    await said(other, "room", ["one"])
    last = (await client.take(MESSAGE))["channelSerial"]
    async with served.database.session() as db:
        await db.run("UPDATE channel_messages SET at = at - interval '25 hours'")
    async with served.database.session() as db:
        await log.purge(db, hours=24)
    await said(other, "room", ["two"])
    again = await served.connect()
    frame = await again.attach("room", channelSerial=last)
    assert frame["flags"] & RESUMED
    assert await again.data(1) == ["two"]


@pytest.mark.parametrize("count", [99, 100, 101, 250])
async def test_a_long_past_comes_in_whole(served: Served, count: int) -> None:
    client, other = await two(served)
    serial = (await client.attach("room"))["channelSerial"]
    await client.cut()
    await said(other, "room", numbered(0, count))
    again = await served.resume(client)
    await again.attach("room", channelSerial=serial)
    assert await again.data(count) == numbered(0, count)
    await other.publish("room", "live")
    assert await again.data(1) == ["live"]
    await again.nothing(0.1)


@pytest.mark.parametrize("format_", ["json", "msgpack"])
async def test_a_long_past_and_a_busy_present_come_once_and_in_order(
    served: Served, format_: str
) -> None:
    """Who resumes while 2,000 more are published, several of them at the same time."""
    client, other = await two(served)
    serial = (await client.attach("room"))["channelSerial"]
    await client.cut()
    await said(other, "room", numbered(0, 600))
    publishing = asyncio.create_task(said(other, "room", numbered(600, 2600)))
    readers = [await served.connect(format=format_) for _ in range(3)]
    for reader in readers:
        await asyncio.sleep(0.1)
        assert (await reader.attach("room", channelSerial=serial))["flags"] & RESUMED
    await publishing
    for reader in readers:
        assert await reader.data(2600, patience=30) == numbered(0, 2600)
        await reader.nothing(0)


async def test_the_past_of_a_slow_reader_does_not_fill_the_memory(served: Served) -> None:
    """2,000 messages of 20 kB: more than may wait unsent, so they are sent as they are taken."""
    other = await served.connect(format="msgpack")
    client = await served.connect(format="msgpack")
    serial = (await client.attach("room"))["channelSerial"]
    await client.cut()
    large = b"x" * 20_000
    for _ in range(40):
        await said(other, "room", [large] * 50)  # type: ignore[list-item]
    again = await served.connect(format="msgpack")
    again.stop_reading()
    await again.send(ATTACH, channel="room", channelSerial=serial)
    await asyncio.sleep(1)
    again.go_on_reading()
    assert await again.data(2000, patience=30) == [large] * 2000


# -- the channels of tickets --


async def changed(served: Served) -> str:
    """A ticket that is created and resolved: two facts. Its id."""
    answer = await served.http.post("/api/tickets", json=TICKET)
    id_: str = answer.json()["data"]["id"]
    await served.http.patch(f"/api/tickets/{id_}", json={"status": "resolved"})
    return id_


async def test_changes_by_http_come_on_the_channels_of_tickets(served: Served) -> None:
    client = await served.connect()
    for channel in ("tickets-updates", "tickets-activity"):
        assert (await client.attach(channel))["action"] == ATTACHED
    id_ = await changed(served)
    names = [each["name"] for each in await client.messages(2, "tickets-updates")]
    assert names == ["ticket_created", "ticket_updated"]
    activity = await client.messages(2, "tickets-activity")
    assert [each["name"] for each in activity] == ["ticket.created", "ticket.changed"]
    assert all(each["encoding"] == "json" and each["id"] and each["serial"] for each in activity)

    await client.attach(f"ticket:{id_}")
    await served.http.patch(f"/api/tickets/{id_}", json={"status": "open"})
    (message,) = await client.messages(1, f"ticket:{id_}")
    assert message["name"] == "ticket.changed"


async def test_the_past_of_tickets_is_rewound_and_resumed(served: Served) -> None:
    client = await served.connect()
    serial = (await client.attach("tickets-activity"))["channelSerial"]
    await client.cut()
    id_ = await changed(served)
    again = await served.resume(client)
    for channel, names in {
        "tickets-updates": ["ticket_created", "ticket_updated"],
        "tickets-activity": ["ticket.created", "ticket.changed"],
        f"ticket:{id_}": ["ticket.created", "ticket.changed"],
    }.items():
        frame = await again.attach(channel, channelSerial=serial)
        assert frame["flags"] & RESUMED
        assert [each["name"] for each in await again.messages(2, channel)] == names
        other = await served.connect()
        await other.attach(channel, params={"rewind": "1"})
        assert [each["name"] for each in await other.messages(1, channel)] == names[1:]


async def test_the_past_of_tickets_has_no_horizon(served: Served) -> None:
    client = await served.connect()
    serial = (await client.attach("tickets-activity"))["channelSerial"]
    await client.publish("room", "x")
    await changed(served)
    async with served.database.session() as db:
        await db.run("UPDATE channel_messages SET at = at - interval '25 hours'")
    async with served.database.session() as db:
        await log.purge(db, hours=24)
    again = await served.connect()
    frame = await again.attach("tickets-activity", channelSerial=serial)
    assert frame["flags"] & RESUMED
    assert len(await again.messages(2)) == 2


async def test_one_ticket_is_not_another(served: Served) -> None:
    first, second = await changed(served), await changed(served)
    client = await served.connect()
    await client.attach(f"ticket:{first}", params={"rewind": "10"})
    assert len(await client.messages(2)) == 2
    await served.http.patch(f"/api/tickets/{second}", json={"status": "open"})
    await client.nothing()


# -- DETACH --


async def test_after_detaching_nothing_comes(served: Served) -> None:
    client, other = await two(served)
    await client.attach("room")
    assert await client.detach("room") == {"action": DETACHED, "channel": "room"}
    await said(other, "room", ["unheard"])
    await client.nothing()
    assert (await client.publish("room", "x"))["action"] == ACK
    frame = await client.attach("room")
    assert not frame["flags"] & RESUMED
    await said(other, "room", ["heard"])
    assert await client.data(1) == ["heard"]


async def test_detaching_from_where_one_is_not_is_answered(served: Served) -> None:
    client = await served.connect()
    assert (await client.detach("room"))["action"] == DETACHED


async def test_attaching_and_detaching_in_one_breath_ends_detached(served: Served) -> None:
    client, other = await two(served)
    for _ in range(5):
        await client.send(ATTACH, channel="room")
        await client.send(DETACH, channel="room")
    await client.send(ATTACH, channel="last")
    actions = [(await client.next())["action"] for _ in range(11)]
    assert actions == [ATTACHED, DETACHED] * 5 + [ATTACHED]
    await said(other, "room", ["unheard"])
    await client.nothing()


async def test_a_member_is_known_by_a_flag(served: Served) -> None:
    client, other = await two(served)
    assert not (await other.attach("room"))["flags"] & HAS_PRESENCE
    await other.present("room", 2, "ann")
    assert (await client.attach("room"))["flags"] & HAS_PRESENCE
    third = await served.connect()
    assert not (await third.attach("room", flags=MODE_SUBSCRIBE))["flags"] & HAS_PRESENCE
