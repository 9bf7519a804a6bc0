"""
Several processes on one database: one order, one picture of presence, and none is missed.

Three `pullse serve` on ports of their own, so that a test says which one a client is at;
`--workers` at the end. Everything between them goes through PostgreSQL alone.
"""

import asyncio
import contextlib
import os
import random
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.exceptions import WebSocketException

from tests.cli.program import AUTHORIZED, TOKEN, Program, holder, run, running
from tests.conftest import command
from tests.gateway import protocol
from tests.gateway.protocol import (
    ACK,
    DISCONNECTED,
    ENTER,
    HAS_PRESENCE,
    LEAVE,
    MESSAGE,
    NACK,
    RESUMED,
    Client,
    Refused,
)

SECRET = "the-secret-of-an-installation-of-several-processes"
CUT = (protocol.Gone, WebSocketException, ConnectionError)
"""What a client sees of a cut."""
GONE = 15.0
"""Seconds within which the members of a dead process have left."""


class Cluster:
    """Processes of one installation, by number, and clients of each."""

    def __init__(self, database_url: str, key: str) -> None:
        self.settings = {
            "DATABASE_URL": database_url,
            "PULLSE_SECRET": SECRET,
            "PULLSE_API_TOKEN": TOKEN,
        }
        self.key = key
        self.urls: list[str] = []
        self.programs: list[Program] = []
        self.stack = contextlib.AsyncExitStack()

    async def start(self, count: int, *words: str) -> None:
        words = ("serve", "--port", "0", *words)
        started = [self.stack.enter_context(running(*words, **self.settings)) for _ in range(count)]
        self.programs += started
        self.urls += [await each.url() for each in started]

    async def kill(self, number: int) -> None:
        await self.programs[number].end(signal.SIGKILL)

    async def connect(self, number: int, **options: Any) -> Client:
        client = await protocol.connect(self.urls[number], key=self.key, **options)
        self.stack.push_async_callback(client.cut)
        return client

    async def resume(self, client: Client, number: int, **options: Any) -> Client:
        again = await self.connect(number, resume=client.key, **options)
        again.serial = client.serial
        return again

    async def watching(self, number: int, channel: str = "room", **options: Any) -> Client:
        client = await self.connect(number, **options)
        await client.attach(channel)
        return client

    async def post(self, number: int, channel: str, data: str) -> None:
        async with httpx.AsyncClient(base_url=self.urls[number]) as http:
            await publish(http, self.key, channel, data)

    async def get(self, number: int, path: str) -> Any:
        async with httpx.AsyncClient(base_url=self.urls[number]) as http:
            answer = await http.get(path, auth=pair(self.key))
            assert answer.status_code == 200, answer.text
            return answer.json()

    async def there(self, number: int, channel: str = "room") -> list[str]:
        """Who is present, as that process tells by REST and by SYNC."""
        by_rest = [
            each["clientId"] for each in await self.get(number, f"/channels/{channel}/presence")
        ]
        client = await self.connect(number)
        frame = await client.attach(channel)
        members = await client.members(channel) if frame["flags"] & HAS_PRESENCE else []
        await client.close()
        assert sorted(by_rest) == sorted(each["clientId"] for each in members)
        return sorted(by_rest)


async def publish(http: httpx.AsyncClient, key: str, channel: str, data: str) -> None:
    answer = await http.post(f"/channels/{channel}/messages", json={"data": data}, auth=pair(key))
    assert answer.status_code == 201, answer.text


def pair(key: str) -> tuple[str, str]:
    name, _, secret = key.partition(":")
    return name, secret


@asynccontextmanager
async def cluster(database_url: str, count: int, *words: str) -> AsyncIterator[Cluster]:
    made = await asyncio.to_thread(
        run, "keys", "create", DATABASE_URL=database_url, PULLSE_SECRET=SECRET
    )
    assert made.returncode == 0, made.stderr
    cluster = Cluster(database_url, made.stdout.split()[0])
    async with cluster.stack:
        await cluster.start(count, *words)
        yield cluster


@pytest.fixture
async def three(database_url: str) -> AsyncIterator[Cluster]:
    async with cluster(database_url, 3) as made:
        yield made
        for each in made.programs:
            assert "Traceback" not in each.said, each.said


def numbered(start: int, end: int) -> list[str]:
    return [str(each) for each in range(start, end)]


# -- one order --


async def test_all_subscribers_of_all_processes_have_one_order(three: Cluster) -> None:
    """Two WebSockets and REST publish at three processes at the same time."""
    readers = [
        await three.watching(number, format=format_)
        for number in range(3)
        for format_ in ("json", "msgpack")
    ]
    writers = [await three.connect(number) for number in (0, 1)]

    async def write(writer: Client, name: str) -> None:
        for each in range(150):
            await writer.start_publish("room", f"{name}-{each}")
            await asyncio.sleep(random.uniform(0, 0.004))

    async def post() -> None:
        async with httpx.AsyncClient(base_url=three.urls[2]) as http:
            for each in range(150):
                await publish(http, three.key, "room", f"c-{each}")

    await asyncio.gather(write(writers[0], "a"), write(writers[1], "b"), post())
    first, *others = [await reader.data(450, patience=20) for reader in readers]
    assert all(each == first for each in others)
    for name in "abc":
        own = [each for each in first if each.startswith(name)]
        assert own == [f"{name}-{each}" for each in range(150)]
    for reader in readers:
        await reader.nothing(0.1)


async def test_a_change_by_http_is_seen_at_all(three: Cluster) -> None:
    readers = [await three.watching(number, "tickets-updates") for number in range(3)]
    async with httpx.AsyncClient(base_url=three.urls[0], headers=AUTHORIZED) as http:
        answer = await http.post("/api/tickets", json={"title": "Help", "description": "Broken."})
        assert answer.status_code == 201
    for reader in readers:
        (message,) = await reader.messages(1)
        assert message["name"] == "ticket_created"


async def test_a_message_crosses_fast(three: Cluster) -> None:
    reader, writer = await three.watching(0), await three.connect(1)
    times = []
    for each in range(20):
        started = time.monotonic()
        await writer.start_publish("room", str(each))
        await reader.data(1)
        times.append(time.monotonic() - started)
        await asyncio.sleep(0.05)
    assert sorted(times)[10] < 0.15, times


# -- one picture --


async def test_presence_is_one_picture(three: Cluster) -> None:
    clients = [await three.watching(number, clientId=f"client{number}") for number in range(3)]
    for client in clients:
        await client.present("room", ENTER, {})
    for client in clients:
        assert sorted(each["clientId"] for each in await client.presence(3)) == [
            "client0",
            "client1",
            "client2",
        ]
    for number in range(3):
        assert await three.there(number) == ["client0", "client1", "client2"]
    await clients[1].close()
    for client in (clients[0], clients[2]):
        assert [each["clientId"] for each in await client.presence(1)] == ["client1"]
    for number in range(3):
        assert await three.there(number) == ["client0", "client2"]


async def test_the_dead_leave_within_15_seconds(three: Cluster) -> None:
    watchers = [await three.watching(number) for number in (1, 2)]
    for each in range(3):
        client = await three.watching(0, clientId=f"dead{each}")
        await client.present("room", ENTER, {"data": "here"})
    living = await three.watching(1, clientId="living")
    await living.present("room", ENTER, {})
    for watcher in watchers:
        await watcher.presence(4)
    await asyncio.sleep(random.random())  # at any moment between two beats
    killed = time.monotonic()
    await three.kill(0)
    assert len(await three.there(1)) == 4
    for watcher in watchers:
        events = await watcher.presence(3, patience=GONE + 2)
        assert time.monotonic() - killed < GONE
        assert {(each["action"], each["data"]) for each in events} == {(LEAVE, "here")}
        assert sorted(each["clientId"] for each in events) == ["dead0", "dead1", "dead2"]
    assert time.monotonic() - killed > 8, "nobody had the time to come back"
    assert await three.there(1) == await three.there(2) == ["living"]


async def test_the_channel_forgets_a_dead_processs_connections(three: Cluster) -> None:
    for number in range(3):
        await three.watching(number)

    async def connections() -> int:
        found = await three.get(1, "/channels/room")
        return int(found["status"]["occupancy"]["metrics"]["connections"])

    await until(connections, 3, 5)
    await three.kill(0)
    await until(connections, 2, GONE)


async def until(asked: Any, wanted: Any, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while await asked() != wanted:
            await asyncio.sleep(0.2)


async def test_who_comes_back_elsewhere_in_time_never_left(three: Cluster) -> None:
    watcher = await three.watching(2)
    client = await three.watching(0, clientId="ann")
    await client.present("room", ENTER, {"data": "here"})
    await watcher.presence(1)
    await three.kill(0)
    await asyncio.sleep(3)
    again = await three.resume(client, 1, clientId="ann")
    assert again.id == client.id
    await watcher.nothing(GONE + 2)
    assert await three.there(1) == await three.there(2) == ["ann"]
    await again.pinged()


# -- coming back at another process --


@pytest.mark.parametrize("format_", ["json", "msgpack"])
async def test_after_a_kill_a_client_goes_on_elsewhere(three: Cluster, format_: str) -> None:
    """While others publish all the time, at the process that dies and at one that stays."""
    reader = await three.watching(0, format=format_)
    writer = await three.connect(1)
    for each in range(20):
        await writer.start_publish("room", str(each))
    frames = [await reader.take(MESSAGE) for _ in range(10)]
    last = frames[-1]["channelSerial"]
    await three.kill(0)
    for each in range(20, 200):
        await writer.start_publish("room", str(each))
    again = await three.resume(reader, 2, format=format_)
    assert again.id == reader.id
    assert "error" not in again.connected
    assert (await again.attach("room", channelSerial=last))["flags"] & RESUMED
    for each in range(200, 220):
        await writer.start_publish("room", str(each))
    assert await again.data(210) == numbered(10, 220)
    await again.nothing(0.2)


async def test_a_live_connection_is_taken_over_from_another_process(three: Cluster) -> None:
    watcher = await three.watching(2)
    client = await three.watching(0, clientId="ann")
    await client.present("room", ENTER, {})
    await watcher.presence(1)
    started = time.monotonic()
    again = await three.resume(client, 1, clientId="ann")
    assert again.id == client.id
    await client.take(DISCONNECTED, patience=3)
    await client.ended()
    assert time.monotonic() - started < 2
    await again.attach("room")
    await watcher.publish("room", "x")
    assert await again.data(1) == ["x"]
    await watcher.nothing(17, protocol.PRESENCE)
    back = await three.resume(again, 0, clientId="ann")
    assert back.id == client.id
    await again.take(DISCONNECTED, patience=3)
    await back.pinged()


async def test_recovering_from_another_process_ends_the_first_for_good(three: Cluster) -> None:
    client = await three.connect(0)
    again = await three.connect(1, recover=client.key)
    assert again.id == client.id
    await client.take(DISCONNECTED, patience=3)
    late = await three.resume(client, 2)
    assert late.connected["error"]["code"] == 80018
    await again.pinged()


async def test_a_connection_wanders_and_its_publishes_are_counted(three: Cluster) -> None:
    """Sent again at another process with the same msgSerial: once, and the same serials."""
    reader = await three.watching(2)
    client = await three.connect(0)
    first = await client.publish("room", "a", "b")
    await client.start_publish("room", "c")  # whose acknowledgement is lost
    await client.cut()
    for number in (1, 2, 0):
        client = await three.resume(client, number)
        assert await client.publish("room", "a", "b", serial=0) == first
        assert (await client.publish("room", "c", serial=1))["action"] == ACK
    await client.publish("room", "d")
    assert await reader.data(4) == ["a", "b", "c", "d"]
    await reader.nothing(0.2)


async def test_after_a_restart_of_all_everything_goes_on(three: Cluster) -> None:
    """kill -9 of all, then others: connection ids, serials, acknowledgements, presence."""
    reader = await three.watching(0, clientId="ann")
    await reader.present("room", ENTER, {})
    await reader.presence(1)
    writer = await three.connect(1)
    first = await writer.publish("room", "a")
    last = (await reader.take(MESSAGE))["channelSerial"]
    unheard = await writer.publish("room", "b")
    for number in range(3):
        await three.kill(number)
    await three.start(2)
    writer = await three.resume(writer, 3)
    assert "error" not in writer.connected
    assert await writer.publish("room", "a", serial=0) == first
    assert await writer.publish("room", "b", serial=1) == unheard
    assert (await writer.publish("room", "c"))["action"] == ACK
    again = await three.resume(reader, 4, clientId="ann")
    assert again.id == reader.id
    assert (await again.attach("room", channelSerial=last))["flags"] & RESUMED
    assert await again.data(2) == ["b", "c"]
    assert await three.there(3) == ["ann"]
    await again.nothing(GONE + 2, MESSAGE, protocol.PRESENCE)
    assert await three.there(3) == ["ann"]


async def test_after_a_restart_who_does_not_come_back_leaves(three: Cluster) -> None:
    client = await three.watching(0, clientId="ann")
    await client.present("room", ENTER, {})
    for number in range(3):
        await three.kill(number)
    await asyncio.sleep(3)
    await three.start(1)
    watcher = await three.watching(3)
    assert [each["clientId"] for each in await watcher.members("room")] == ["ann"]
    (event,) = await watcher.presence(1, patience=GONE + 2)
    assert (event["action"], event["clientId"]) == (LEAVE, "ann")


# -- a stop --


async def test_a_stop_tells_its_clients_and_loses_nothing(three: Cluster) -> None:
    watcher = await three.watching(2)
    clients = [await three.watching(0, clientId=f"client{each}") for each in range(10)]
    for client in clients:
        await client.present("room", ENTER, {})
    await watcher.presence(10)
    writer = await three.connect(1)
    writing = asyncio.create_task(steadily(writer, 300))
    await asyncio.sleep(0.5)
    heard: list[list[Any]] = [[] for _ in clients]
    three.programs[0].look()
    three.programs[0].process.terminate()

    async def follow(number: int) -> None:
        client, last = clients[number], ""
        while True:
            frame = await client.take(MESSAGE, DISCONNECTED)
            if frame["action"] == DISCONNECTED:
                assert frame["error"]["statusCode"] == 503
                assert frame["error"]["code"] // 1000 in (50, 80)
                break
            last = frame["channelSerial"]
            heard[number] += [each["data"] for each in frame["messages"]]
        assert last
        again = await three.resume(client, 1, clientId=f"client{number}")
        assert again.id == client.id
        assert (await again.attach("room", channelSerial=last))["flags"] & RESUMED
        heard[number] += await again.data(300 - len(heard[number]), patience=20)
        await again.nothing(0.1, MESSAGE)

    await asyncio.gather(*(follow(number) for number in range(10)), writing)
    assert all(each == numbered(0, 300) for each in heard)
    assert await three.programs[0].ended(20) == 0
    assert len(await three.there(2)) == 10
    await watcher.nothing(GONE + 2, protocol.PRESENCE)


async def steadily(writer: Client, count: int) -> None:
    """100 a second."""
    for each in range(count):
        await writer.start_publish("room", str(each))
        await asyncio.sleep(0.01)
    for each in range(count):
        assert (await writer.take(ACK, NACK, msgSerial=each))["action"] == ACK


async def test_a_publish_under_way_at_a_stop_is_acknowledged_or_can_be_sent_again(
    three: Cluster,
) -> None:
    reader = await three.watching(2)
    client = await three.connect(0)
    three.programs[0].look()
    sent: list[int] = []

    async def send() -> None:
        with contextlib.suppress(*CUT):
            while client.is_open:
                sent.append(await client.start_publish("room", str(client.serial)))
                await asyncio.sleep(0.001)

    sending = asyncio.create_task(send())
    await asyncio.sleep(0.3)
    three.programs[0].process.terminate()
    await client.ended()
    await sending
    acknowledged = {frame["msgSerial"] for frame in client.waiting if frame["action"] == ACK}
    again = await three.resume(client, 1)
    assert again.id == client.id
    for serial in range(client.serial):
        if serial not in acknowledged:
            assert (await again.publish("room", str(serial), serial=serial))["action"] == ACK
    assert await reader.data(client.serial, patience=20) == numbered(0, client.serial)
    await reader.nothing(0.2)


# -- all at once --


class Wanderer:
    """A client that comes back after each cut, at any process, as an SDK does."""

    def __init__(self, cluster: Cluster, chance: random.Random, **options: Any) -> None:
        self.cluster = cluster
        self.chance = chance
        self.options = options
        self.client: Client | None = None
        self.ids: set[str] = set()

    async def connected(self) -> Client:
        await asyncio.sleep(0)  # after a cut nothing else here may wait
        if self.client is not None and self.client.is_open:
            return self.client
        while True:
            url = self.chance.choice(self.cluster.urls)
            options = dict(self.options)
            if self.client is not None:
                options["resume"] = self.client.key
            with contextlib.suppress(OSError, Refused, *CUT):
                again = await protocol.connect(url, key=self.cluster.key, **options)
                if self.client is not None:
                    again.serial = self.client.serial
                self.client = again
                self.ids.add(again.id)
                return again
            await asyncio.sleep(0.05)

    async def cut(self) -> None:
        if self.client is not None:
            await self.client.cut()


class Reader(Wanderer):
    def __init__(self, cluster: Cluster, chance: random.Random, **options: Any) -> None:
        super().__init__(cluster, chance, **options)
        self.heard: list[str] = []
        self.last: str | None = None
        self.lost = 0

    async def read(self, count: int) -> None:
        while len(self.heard) < count:
            client = await self.connected()
            more = {} if self.last is None else {"channelSerial": self.last}
            with contextlib.suppress(*CUT):
                frame = await client.attach("room", **more)
                self.lost += self.last is not None and not frame["flags"] & RESUMED
                self.last = frame["channelSerial"]
                while len(self.heard) < count:
                    frame = await client.take(MESSAGE, patience=600)
                    self.heard += [each["data"] for each in frame["messages"]]
                    self.last = frame["channelSerial"]


class Writer(Wanderer):
    async def write(self, numbers: list[str], pause: float) -> None:
        unacknowledged: dict[int, str] = {}
        left = iter(numbers)
        while True:
            client = await self.connected()
            with contextlib.suppress(*CUT):
                for serial, data in unacknowledged.items():
                    await client.start_publish("room", data, serial=serial)
                while True:
                    new = next(left, None)
                    if new is None and not unacknowledged:
                        return
                    if new is not None:
                        unacknowledged[client.serial] = new
                        await client.start_publish("room", new)
                        await asyncio.sleep(pause)
                    while client.has_frames or new is None:
                        frame = await client.take(ACK, NACK)
                        assert frame["action"] == ACK, frame
                        del unacknowledged[frame["msgSerial"]]
                        if not unacknowledged:
                            break


async def test_200_cuts_and_two_kills_lose_and_repeat_nothing(three: Cluster) -> None:
    """
    Two writers of 25 messages a second and four readers are cut at random, come back at any
    process, and two of the processes are killed and replaced meanwhile.
    """
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    count = 500
    writers = [Writer(three, chance, format=each) for each in ("json", "msgpack")]
    readers = [Reader(three, chance, format=each) for each in ("json", "msgpack") * 2]
    reading = [asyncio.create_task(each.read(2 * count)) for each in readers]
    while not all(each.last for each in readers):
        await asyncio.sleep(0.05)
    writing = [
        asyncio.create_task(each.write([f"{number}-{n}" for n in range(count)], 0.04))
        for number, each in enumerate(writers)
    ]
    for cut in range(200):
        await asyncio.sleep(chance.uniform(0.02, 0.18))
        await chance.choice([*writers, *readers]).cut()
        if cut in (60, 130):
            await three.kill(0)
            three.urls.pop(0)
            three.programs.pop(0)
            starting = asyncio.create_task(three.start(1))
    await starting
    async with asyncio.timeout(60):
        await asyncio.gather(*writing, *reading)
    first = readers[0].heard
    for each in readers:
        assert each.heard == first, seed
        assert each.lost == 0, seed
    for number in range(2):
        own = [each for each in first if each.startswith(f"{number}-")]
        assert own == [f"{number}-{each}" for each in range(count)], seed
    assert all(len(each.ids) == 1 for each in (*writers, *readers)), "a resume failed"


async def test_a_database_that_goes_away_for_moments_loses_nothing(
    three: Cluster, server_url: str, database_url: str
) -> None:
    """All its sessions are ended, ten times; of them twice again and again for two seconds."""
    chance = random.Random(7)
    watcher = await three.watching(2)
    member = await three.watching(2, clientId="ann")
    await member.present("room", ENTER, {})
    count = 300
    writers = [Writer(three, chance), Writer(three, chance, format="msgpack")]
    readers = [Reader(three, chance) for _ in range(3)]
    reading = [asyncio.create_task(each.read(2 * count)) for each in readers]
    while not all(each.last for each in readers):
        await asyncio.sleep(0.05)
    writing = [
        asyncio.create_task(each.write([f"{number}-{n}" for n in range(count)], 0.03))
        for number, each in enumerate(writers)
    ]
    name = database_url.rpartition("?")[0].rpartition("/")[2]
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    for moment in range(10):
        await asyncio.sleep(0.8)
        for _ in range(40 if moment in (3, 7) else 1):
            await command(server_url, end)
            await asyncio.sleep(0.05)
    async with asyncio.timeout(60):
        await asyncio.gather(*writing, *reading)
    for each in readers:
        assert each.heard == readers[0].heard
        assert each.lost == 0
    for number in range(2):
        own = [each for each in readers[0].heard if each.startswith(f"{number}-")]
        assert own == [f"{number}-{each}" for each in range(count)]
    assert member.is_open
    assert watcher.is_open
    assert await three.there(0) == ["ann"]


async def test_of_three_workers_one_is_killed_and_nobody_notices(database_url: str) -> None:
    """The kernel decides which worker gets a connection; the parent starts another one."""
    async with cluster(database_url, 1, "--workers", "3") as made:
        (program,) = made.programs
        chance = random.Random(1)
        readers = [Reader(made, chance) for _ in range(6)]
        writers = [Writer(made, chance) for _ in range(2)]
        reading = [asyncio.create_task(each.read(400)) for each in readers]
        while not all(each.last for each in readers):
            await asyncio.sleep(0.05)
        writing = [
            asyncio.create_task(each.write([f"{number}-{n}" for n in range(200)], 0.02))
            for number, each in enumerate(writers)
        ]
        await asyncio.sleep(1.5)
        workers = {pid for pid, _ in program.look()}
        owners = {owner(each.client, made.urls[0], workers) for each in readers}
        os.kill(next(each for each in owners if each), signal.SIGKILL)
        await program.says(r"Worker . ended .-9.; a new one starts")
        async with asyncio.timeout(60):
            await asyncio.gather(*writing, *reading)
        for each in readers:
            assert each.heard == readers[0].heard
            assert sorted(each.heard) == sorted(f"{a}-{b}" for a in range(2) for b in range(200))
            assert each.lost == 0
            assert len(each.ids) == 1


def owner(client: Client | None, url: str, pids: set[int]) -> int | None:
    assert client is not None
    found = re.search(r":(\d+)$", url)
    assert found
    return holder(int(found[1]), client.port, list(pids))
