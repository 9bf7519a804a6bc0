"""Coming, staying, coming back and going, as ABLY.md (1.3, 1.5) has it: no channels yet."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from pullse.errors import Unavailable
from pullse.gateway import connections
from pullse.gateway.capability import Capability
from pullse.gateway.keys import create
from pullse.kit.db import Database, Db
from tests.gateway.protocol import (
    ATTACHED,
    AUTH,
    CLOSE,
    CLOSED,
    CONNECTED,
    DEV_KEY,
    DISCONNECT,
    DISCONNECTED,
    ERROR,
    HEARTBEAT,
    NACK,
    case,
    jwt,
)
from tests.gateway.served import SECRET, Served

FREE = {"*": ["*"]}
BOTH = ("json", "msgpack")


# -- CONNECTED --


@pytest.mark.parametrize("format_", ["json", "msgpack"])
async def test_a_key_connects_and_is_told_the_rules(served: Served, format_: str) -> None:
    client = await served.connect(format=format_)
    details = client.connected["connectionDetails"]
    assert client.connected["action"] == CONNECTED
    assert "error" not in client.connected
    assert details["connectionKey"].startswith(client.id)
    assert details["connectionKey"] != client.id
    assert details["clientId"] == "*"
    assert details["maxMessageSize"] == 65_536
    assert details["maxFrameSize"] == 524_288
    assert details["connectionStateTtl"] == 120_000
    assert details["maxIdleInterval"] == 15_000
    assert details["maxInboundRate"] > 0
    assert details["serverId"]


async def test_ids_and_keys_are_never_the_same(served: Served) -> None:
    clients = [await served.connect() for _ in range(20)]
    assert len({each.id for each in clients}) == 20
    assert len({each.key.removeprefix(each.id) for each in clients}) == 20


async def test_a_client_is_told_who_it_is(served: Served) -> None:
    for credentials, client_id in [
        ({"clientId": "ann"}, "ann"),
        ({"token": jwt(FREE, "ann")}, "ann"),
        ({"token": jwt(FREE, "ann"), "clientId": "ann"}, "ann"),
        ({"token": jwt(FREE, "*")}, "*"),
        ({"token": jwt(FREE, "*"), "clientId": "ann"}, "ann"),
        ({"token": jwt(FREE)}, None),
    ]:
        with case(credentials, client_id):
            client = await served.connect(**credentials)
            assert client.connected["connectionDetails"].get("clientId") == client_id


async def test_both_spellings_of_the_token_and_headers_do(served: Served) -> None:
    token = jwt(FREE, "ann")
    await served.connect(key=None, access_token=token)
    await served.connect(key=None, accessToken=token)
    wrapped = base64.b64encode(token.encode()).decode()
    await served.connect(key=None, headers={"authorization": f"Bearer {token}"})
    await served.connect(key=None, headers={"authorization": f"Bearer {wrapped}"})
    basic = base64.b64encode(DEV_KEY.encode()).decode()
    await served.connect(key=None, headers={"authorization": f"Basic {basic}"})


async def test_a_key_of_the_database_connects(served: Served, database: Database) -> None:
    async with database.session() as db:
        name = await create(db, Capability.parse({"chat:*": ["subscribe"]}))
    secret = SECRET.of_key(name)
    client = await served.connect(key=f"{name}:{secret}")
    assert (await client.attach("chat:one"))["action"] == ATTACHED
    assert (await client.attach("other"))["error"]["code"] == 40160
    refused = await served.refusal(key=f"{name}:{secret}x")
    assert refused.error["code"] == 40101


# -- refused --


async def test_a_wrong_key_is_40101(served: Served) -> None:
    for key in [
        "pullse.dev:wrong",
        "pullse.dev:",
        "pullse.dev",
        "pullse.none:x",
        "a",
        "",
        ":",
        "\0:é",
    ]:
        with case(key):
            refused = await served.refusal(key=key)
            assert (refused.action, refused.error["code"]) == (ERROR, 40101)
            assert refused.error["statusCode"] == 401
            assert refused.error["message"]


async def test_no_credentials_are_40101(served: Served) -> None:
    assert (await served.refusal(key=None)).error["code"] == 40101


async def test_a_bad_token_is_refused_with_its_code(served: Served) -> None:
    for token, codes in [
        (jwt(FREE, ttl=-1), {40142}),
        (jwt(FREE, key="pullse.dev:another-secret"), {40144}),
        (jwt({"a": ["fly"]}), {40000}),
        ("a.b.c", {40144}),
        ("nothing", {40101}),
        (jwt(FREE, key="elsewhere.key:secret"), {40400}),
    ]:
        with case(token, codes):
            refused = await served.refusal(token=token)
            assert refused.action == ERROR
            assert refused.error["code"] in codes
            if refused.error["code"] == 40142:
                assert refused.error["statusCode"] == 401


async def test_a_token_of_somebody_else_is_40102(served: Served) -> None:
    for credentials in [
        {"token": jwt(FREE, "ann"), "clientId": "bob"},
        {"token": jwt(FREE), "clientId": "bob"},
    ]:
        with case(credentials):
            assert (await served.refusal(**credentials)).error["code"] == 40102


async def test_nobody_is_called_the_wildcard(served: Served) -> None:
    for client_id in ["*", ""]:
        with case(client_id):
            assert (await served.refusal(clientId=client_id)).error["code"] == 40012


async def test_an_unknown_version_is_refused(served: Served) -> None:
    for version in [None, "", "0", "1", "1.2", "x", "-2", "²", "99999999999"]:
        with case(version):
            refused = await served.refusal(v=version)
            assert (refused.action, refused.error["code"]) == (ERROR, 40017)


async def test_known_and_later_versions_connect(served: Served) -> None:
    for version in ["2", "2.0", "3", "5", "6", "77"]:
        with case(version):
            await served.connect(v=version)


async def test_there_is_a_socket_at_the_root_alone(served: Served) -> None:
    for path in ("/realtime", "/channels", "/api/events", "//"):
        with pytest.raises(InvalidStatus) as answer:
            await served.connect(path=path)
        assert answer.value.response.status_code == 404


async def test_a_page_of_another_site_is_not_let_in_by_pullse_dev(served: Served) -> None:
    with pytest.raises(InvalidStatus) as answer:
        await served.connect(headers={"origin": "https://evil.example"})
    assert answer.value.response.status_code == 403


# -- staying --


async def test_a_heartbeat_is_answered_with_its_id(served: Served) -> None:
    client = await served.connect()
    await client.send(HEARTBEAT, id="abc")
    assert await client.next() == {"action": HEARTBEAT, "id": "abc"}
    await client.send(HEARTBEAT)
    async with asyncio.timeout(5):
        while not client.heartbeats:
            await asyncio.sleep(0.01)


async def test_the_interval_of_heartbeats_is_the_clients_choice(served: Served) -> None:
    for asked, told in [
        ("10000", 10_000),
        ("1", 5_000),
        ("9999999", 1_800_000),
        ("x", 15_000),
        ("-1", 15_000),
    ]:
        with case(asked, told):
            client = await served.connect(heartbeatInterval=asked)
            assert client.connected["connectionDetails"]["maxIdleInterval"] == told


async def test_who_hears_nothing_hears_a_heartbeat(quick: None, served: Served) -> None:
    """Unless it wants none, and is pinged; who is sent messages hears enough."""
    waiting = [await served.connect(heartbeatInterval=500, format=each) for each in BOTH]
    pinged = await served.connect(heartbeatInterval=500, heartbeats="false")
    busy = await served.connect(heartbeatInterval=500)
    await busy.attach("busy")
    started = time.monotonic()
    for _ in range(20):
        await busy.publish("busy", "x")
        await asyncio.sleep(0.1)
    for client in waiting:
        times = [started, *client.heartbeats]
        assert 2 <= len(client.heartbeats) <= 4
        assert all(later - sooner > 0.4 for sooner, later in pairwise(times)), times
    assert 2 <= pinged.pings <= 4
    assert pinged.heartbeats == busy.heartbeats == []
    await pinged.pinged()


# -- what is no protocol --


async def test_nonsense_ends_the_connection_with_an_error(served: Served) -> None:
    for data in [
        "",
        "x",
        "[]",
        "null",
        "{}",
        '{"action":"15"}',
        '{"action":99}',
        '{"action":-1}',
        '{"action":1.5}',
        '{"action":15,"messages":{}}',
        '{"action":10,"channel":7}',
        '{"action":15,"msgSerial":"0"}',
        "[" * 100_000,
        b"\x81\xa6action\x00",
    ]:
        with case(data):
            client = await served.connect()
            await client.send_as_is(data)
            frame = await client.take(ERROR)
            assert frame["error"]["code"] // 100 == 400
            assert "channel" not in frame
            await client.ended()


async def test_nonsense_in_messagepack_too(served: Served) -> None:
    for data in [
        b"",
        b"\xc1",
        b"\x90",
        b"\x81\xa6action",
        b"\x81\xa6action\xcb\x00",
        b"\xdf\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\x82\xa6action\x0f\xa8messages\xdd\xff\xff\xff\xff",
        b"\x91" * 100_000,
        b"\x82\xa6action\x0f\xa8messages" + b"\x91" * 100_000,
        '{"action":0}',
    ]:
        with case(data):
            client = await served.connect(format="msgpack")
            await client.send_as_is(data)
            frame = await client.take(ERROR)
            assert frame["error"]["code"] // 100 == 400
            await client.ended()


async def test_others_are_not_disturbed_by_nonsense(served: Served) -> None:
    well, ill = await served.connect(), await served.connect()
    await well.attach("room")
    await ill.send_as_is("[" * 1000)
    await ill.ended()
    assert (await well.publish("room", "x"))["action"] == 1
    assert await well.data(1) == ["x"]


async def test_what_only_servers_say_is_passed_over(served: Served) -> None:
    for action in [1, 2, 4, 6, 8, 9, 11, 13, 18, 19, 20, 21]:
        with case(action):
            client = await served.connect()
            await client.send(action, channel="room", msgSerial=0, count=1)
            await client.pinged()
            await client.nothing(0.05)


async def test_a_frame_that_is_too_large_ends_the_connection(served: Served) -> None:
    client = await served.connect()
    with_room = '{"action":0,"id":"' + "x" * 400_000 + '"}'
    await client.send_as_is(with_room)
    assert (await client.next())["action"] == HEARTBEAT
    await client.send_as_is('{"action":0,"id":"' + "x" * (1 << 20) + '"}')
    assert await client.ended() == 1009


# -- going --


async def test_a_close_is_answered_and_nobody_comes_back(served: Served) -> None:
    client = await served.connect()
    await client.send(CLOSE)
    assert await client.next() == {"action": CLOSED}
    assert await client.ended() == 1000
    again = await served.resume(client)
    assert again.id != client.id
    assert again.connected["error"]["code"] == 80018


async def test_a_disconnect_only_closes_the_socket(served: Served) -> None:
    client = await served.connect()
    await client.send(DISCONNECT)
    await client.ended()
    assert (await served.resume(client)).id == client.id


async def test_a_server_that_stops_says_so(served: Served) -> None:
    client = await served.connect()
    served.stop()
    frame = await client.next()
    assert frame["action"] == DISCONNECTED
    assert (frame["error"]["code"], frame["error"]["statusCode"]) == (80003, 503)
    await client.ended()


# -- coming back --


async def test_after_a_cut_the_connection_is_the_same(served: Served) -> None:
    client = await served.connect()
    for _ in range(3):
        await client.cut()
        again = await served.resume(client)
        assert again.id == client.id
        assert again.key == client.key
        assert "error" not in again.connected
        client = again


async def test_an_end_that_is_noticed_during_the_return_is_not_written_down(
    served: Served, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the statement that takes a connection over and what the process does of it."""
    assert served.realtime.sessions
    known = served.realtime.sessions.connections
    client = await served.connect()
    transaction = Database.transaction

    @asynccontextmanager
    async def slowly(of: Database) -> AsyncIterator[Db]:
        async with transaction(of) as db:
            yield db
            await client.cut()
            while client.id in known:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)

    monkeypatch.setattr(Database, "transaction", slowly)
    again = await served.resume(client)
    await asyncio.sleep(0.3)

    statement = "SELECT dropped_at FROM gateway_connections WHERE id = $1"
    async with database.session() as db:
        assert again.id == client.id
        assert await db.value(statement, client.id) is None


async def test_a_resume_may_change_the_format(served: Served) -> None:
    client = await served.connect(format="json")
    await client.cut()
    assert (await served.resume(client, format="msgpack")).id == client.id


@pytest.mark.parametrize(
    "key",
    ["", "!", "nothing", "abcdefghijkl!x", "_____!undefined-undefined", "\0!\0", "é!ü", "x" * 5000],
)
@pytest.mark.parametrize("how", ["resume", "recover"])
async def test_an_unknown_connection_is_a_new_one(served: Served, how: str, key: str) -> None:
    client = await served.connect(**{how: key})
    if key:  # an empty one is none
        assert client.connected["error"]["code"] == 80018
        assert client.connected["error"]["statusCode"] == 400
    assert (await client.attach("room"))["action"] == ATTACHED


async def test_the_id_alone_is_no_key(served: Served) -> None:
    client = await served.connect()
    other = await served.connect()
    for key in (client.id, f"{client.id}!", f"{client.id}!{other.key.partition('!')[2]}"):
        again = await served.connect(resume=key)
        assert again.id not in (client.id, other.id)
        assert again.connected["error"]["code"] == 80018
    await client.pinged()


async def test_nobody_resumes_as_somebody_else(served: Served) -> None:
    for before, after in [
        ({"token": jwt(FREE, "ann")}, {"token": jwt(FREE, "bob")}),
        ({"clientId": "ann"}, {"clientId": "bob"}),
        ({"token": jwt(FREE, "ann")}, {"token": jwt(FREE)}),
        ({"token": jwt(FREE)}, {"token": jwt(FREE, "bob")}),
    ]:
        with case(before, after):
            client = await served.connect(**before)
            await client.cut()
            again = await served.resume(client, **after)
            assert again.id != client.id
            assert again.connected["error"]["code"] == 80018


async def test_a_connection_that_is_too_old_is_gone(served: Served, database: Database) -> None:
    client = await served.connect()
    await client.cut()
    await until_dropped(database, client.id)
    await age(database, client.id, 121)
    assert (await served.resume(client)).connected["error"]["code"] == 80018

    client = await served.connect()
    await client.cut()
    await until_dropped(database, client.id)
    await age(database, client.id, 115)
    assert (await served.resume(client)).id == client.id


async def test_a_recovered_connection_has_another_key(served: Served) -> None:
    client = await served.connect()
    await client.cut()
    again = await served.connect(recover=client.key)
    assert again.id == client.id
    assert again.key != client.key
    assert "error" not in again.connected
    late = await served.resume(client)
    assert late.id != client.id
    assert late.connected["error"]["code"] == 80018
    await again.cut()
    assert (await served.resume(again)).id == client.id


@pytest.mark.parametrize("how", ["resume", "recover"])
async def test_a_live_connection_is_taken_over(quick: None, served: Served, how: str) -> None:
    client = await served.connect()
    await client.attach("room")
    again = await served.connect(**{how: client.key})
    assert again.id == client.id
    frame = await client.take(DISCONNECTED)
    assert frame["error"]["code"]
    await client.ended()
    await again.attach("room")
    await again.publish("room", "x")
    assert await again.data(1) == ["x"]
    await asyncio.sleep(0.3)  # the end of the first one's socket does not drop the connection
    await again.pinged()
    assert await dropped(served.database, client.id) is None


async def test_of_two_who_come_back_at_once_one_stays(quick: None, served: Served) -> None:
    """The other is told, and nobody is there that the clock doesn't know."""
    client = await served.connect(token=jwt(FREE, "ann", ttl=2))
    await client.cut()
    token = jwt(FREE, "ann", ttl=2)
    both = await asyncio.gather(*(served.resume(client, token=token) for _ in range(4)))
    assert {each.id for each in both} == {client.id}
    await asyncio.sleep(0.3)
    (stays,) = [each for each in both if each.is_open]
    await stays.pinged()
    await stays.take(DISCONNECTED, patience=4)  # when its token ends
    assert not any(each.is_open for each in both) or await stays.ended() == 1000


@pytest.fixture
def slow_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends of sockets are written down late, as when the database is busy."""
    drop_all = connections.drop_all

    async def slowly(db: Any, dropped: Any) -> Any:
        await asyncio.sleep(0.3)
        return await drop_all(db, dropped)

    monkeypatch.setattr(connections, "drop_all", slowly)


async def test_the_end_of_a_socket_does_not_overtake_its_return(
    slow_ends: None, served: Served
) -> None:
    client = await served.connect()
    await client.cut()
    again = await served.resume(client)
    assert again.id == client.id
    await asyncio.sleep(0.6)
    assert await dropped(served.database, client.id) is None


@pytest.fixture
def failing_ends(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The database is away the first three times that an end is written down."""
    drop_all, tries = connections.drop_all, [0]

    async def at_last(db: Any, dropped: Any) -> Any:
        tries[0] += 1
        if tries[0] < 4:
            raise Unavailable("The database is away.")
        return await drop_all(db, dropped)

    monkeypatch.setattr(connections, "drop_all", at_last)
    return tries


async def test_the_end_of_a_socket_is_written_down_when_the_database_is_back(
    quick: None, failing_ends: list[int], served: Served
) -> None:
    """Or its members would be there for ever."""
    client = await served.connect()
    await client.cut()
    await until_dropped(served.database, client.id)
    assert failing_ends == [4]


async def test_two_do_not_take_a_connection_from_each_other_for_ever(served: Served) -> None:
    """As two SDKs do of which one recovers the other's: each resumes when it is disconnected."""
    first = await served.connect()
    second = await served.connect(recover=first.key)
    await first.take(DISCONNECTED)
    first_again = await served.resume(first)
    assert first_again.id != second.id
    await second.pinged()
    await first_again.pinged()


# -- other credentials on the same connection --


async def test_a_new_token_is_taken_in_band(served: Served) -> None:
    client = await served.connect(token=jwt({"a": ["subscribe"]}, "ann"))
    assert (await client.attach("b"))["error"]["code"] == 40160
    await client.send(AUTH, auth={"accessToken": jwt({"b": ["subscribe"]}, "ann")})
    frame = await client.take(CONNECTED)
    assert frame["connectionId"] == client.id
    assert frame["connectionDetails"]["connectionKey"] == client.key
    assert frame["connectionDetails"]["clientId"] == "ann"
    assert (await client.attach("b"))["action"] == ATTACHED
    assert (await client.attach("a"))["error"]["code"] == 40160


async def test_a_channel_whose_rights_are_gone_fails(served: Served) -> None:
    rights = {"a": ["subscribe", "publish"], "b": ["subscribe", "publish"]}
    client = await served.connect(token=jwt(rights, "ann"))
    other = await served.connect()
    await client.attach("a")
    await client.attach("b")
    await client.send(AUTH, auth={"accessToken": jwt({"b": ["subscribe"]}, "ann")})
    assert (await client.take(CONNECTED))["connectionId"] == client.id
    frame = await client.take(ERROR)
    assert (frame["channel"], frame["error"]["code"]) == ("a", 40160)
    await other.publish("a", "unheard")
    await other.publish("b", "heard")
    assert await client.data(1) == ["heard"]
    await client.nothing(0.1)
    assert (await client.publish("b", "x"))["action"] == NACK
    assert (await client.publish("a", "x"))["error"]["code"] in (40160, 40165)


async def test_a_bad_token_in_band_ends_the_connection(served: Served) -> None:
    for token, code in [
        (jwt(FREE, "bob"), 40102),
        (jwt(FREE), 40102),
        (jwt(FREE, "ann", key="pullse.dev:wrong"), 40144),
        (jwt(FREE, "ann", ttl=-1), 40142),
        ("nothing", 40101),
        (7, 40000),
        (None, 40000),
    ]:
        with case(token, code):
            client = await served.connect(token=jwt(FREE, "ann"))
            await client.send(AUTH, auth={"accessToken": token})
            frame = await client.take(ERROR, DISCONNECTED)
            assert frame["error"]["code"] == code
            await client.ended()


async def test_a_wildcard_takes_a_wildcard_in_band(served: Served) -> None:
    client = await served.connect(token=jwt(FREE, "*"))
    await client.send(AUTH, auth={"accessToken": jwt(FREE, "*")})
    assert (await client.take(CONNECTED))["connectionDetails"]["clientId"] == "*"


async def test_a_client_is_asked_for_a_token_half_a_minute_before(
    quick: None, served: Served
) -> None:
    client = await served.connect(token=jwt(FREE, "ann", ttl=30.7))
    await client.nothing(0.3, AUTH)
    assert await client.take(AUTH, patience=3) == {"action": AUTH}
    await client.nothing(0.3, AUTH)
    await client.send(AUTH, auth={"accessToken": jwt(FREE, "ann", ttl=30.7)})
    await client.take(CONNECTED)
    assert await client.take(AUTH, patience=3) == {"action": AUTH}


async def test_a_new_token_takes_the_end_of_the_old_away(quick: None, served: Served) -> None:
    client = await served.connect(token=jwt(FREE, "ann", ttl=1))
    await client.send(AUTH, auth={"accessToken": jwt(FREE, "ann", ttl=60)})
    await client.take(CONNECTED)
    await client.nothing(1.5)
    await client.pinged()


async def test_a_client_whose_token_ends_is_disconnected(quick: None, served: Served) -> None:
    client = await served.connect(token=jwt(FREE, "ann", ttl=1))
    frame = await client.take(DISCONNECTED, patience=6)
    assert (frame["error"]["code"], frame["error"]["statusCode"]) == (40142, 401)
    await client.ended()
    again = await served.resume(client, token=jwt(FREE, "ann"))
    assert again.id == client.id


# -- below --


async def dropped(database: Database, id_: str) -> Any:
    async with database.session() as db:
        return await db.value("SELECT dropped_at FROM gateway_connections WHERE id = $1", id_)


async def until_dropped(database: Database, id_: str) -> None:
    async with asyncio.timeout(5):
        while await dropped(database, id_) is None:
            await asyncio.sleep(0.01)


async def age(database: Database, id_: str, seconds: int) -> None:
    async with database.session() as db:
        await db.run(
            """
            UPDATE gateway_connections SET dropped_at = dropped_at - make_interval(secs => $2)
             WHERE id = $1
            """,
            id_,
            seconds,
        )
