"""What it costs to know who asks, and whether signing in holds others up.

The same GET at `pullse serve`, with a token and with a session, and at `pullse dev`, in turn.
Then GETs at a steady rate, alone and while twenty people sign in.
"""

import asyncio
import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from argon2 import PasswordHasher

from bench import data, servers
from bench.client import Connection
from bench.cluster import Base, Cluster
from bench.load import Failed, Load, Result, drive
from bench.report import Section, Verdict, ms, per_second, share
from bench.servers import Server
from pullse.access import passwords, sign_in_queries
from pullse.agents.queries import insert_unless_taken
from pullse.kit.db import open_database

ROUNDS = 7
WARM_UP = 1.0
OF_DEV = 0.90
PEOPLE = 20
PASSWORD = "four words that nobody guesses"
GETS_A_SECOND = 200
READERS = 8
PATIENCE = 30.0
MICRO = "\N{MICRO SIGN}s"


@dataclass
class Way:
    """One way to ask, and what came of it, by round."""

    name: str
    server: Server
    token: str = ""
    session: str = ""
    results: list[Result] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    """Microseconds for one request."""

    def run(self, load: Load, seconds: float) -> None:
        before = self.server.cpu_seconds()
        result = drive(
            self.server.url, load, seconds=seconds, token=self.token, session=self.session
        )
        self.results.append(result)
        self.cpu.append((self.server.cpu_seconds() - before) / result.requests * 1e6)

    def share_of(self, other: "Way") -> float:
        pairs = zip(self.results, other.results, strict=True)
        return median(mine.rate / theirs.rate for mine, theirs in pairs)


def measure(cluster: Cluster, *, seconds: float, say: Callable[[str], None]) -> Iterator[Section]:
    base = cluster.filled("access", data.TICKETS)
    asyncio.run(hire(base))
    load = gets()
    with servers.dev(base) as dev, servers.ours(base, PULLSE_RATE="100000") as serve:
        token = new_token(serve)
        ways = [
            Way("dev, nothing", dev),
            Way("serve, token", serve, token=token),
            Way("serve, session", serve, session=new_session(serve)),
        ]
        for way in ways:
            drive(way.server.url, load, seconds=WARM_UP, token=way.token, session=way.session)
        for number in range(ROUNDS):
            say(f"GET one, round {number + 1} of {ROUNDS} …")
            for way in ways[number % len(ways) :] + ways[: number % len(ways)]:
                way.run(load, seconds / 2)
        yield compared(ways)
    with servers.ours(base, PULLSE_RATE="100000") as serve:
        say("GET one, and people who sign in …")
        yield asyncio.run(signing_in(serve, new_token(serve), seconds))


def gets() -> Load:
    ids = [data.ticket_id(number) for number in data.ticket_numbers(data.TICKETS)]
    return Load("GET", [(f"/api/tickets/{each}", "") for each in ids])


async def hire(base: Base) -> None:
    """People with a password; that they all have the same one is nobody's business."""
    hash_ = await passwords.hashed(PASSWORD)
    database = await open_database(base.url, size=1)
    try:
        async with database.transaction() as db:
            for number in range(PEOPLE):
                id_ = data.agent_id(1000 + number)
                await insert_unless_taken(
                    db, id_=id_, name=f"Person {number}", email=email(number), role="agent"
                )
                await sign_in_queries.set_password(db, id_, hash_)
            await db.run("UPDATE agents SET state = 'active'")
    finally:
        await database.close()


def email(number: int) -> str:
    return f"person{number}@example.com"


def new_token(server: Server) -> str:
    return str(post(server, "/api/tokens", {"name": "bench", "role": "agent"})[0]["token"])


def new_session(server: Server) -> str:
    _, headers = post(server, "/api/session", credentials(0))
    for cookie in headers.get_all("set-cookie", []):
        name, _, value = cookie.partition(";")[0].partition("=")
        if name == "pullse":
            return str(value)
    raise Failed("Signing in gave no cookie")


def credentials(number: int) -> dict[str, str]:
    return {"email": email(number), "password": PASSWORD}


def post(server: Server, path: str, body: Any) -> tuple[Any, Any]:
    """The answer's data and its headers."""
    headers = {"Content-Type": "application/json"}
    if path != "/api/session":
        headers["Authorization"] = f"Bearer {server.token}"
    request = urllib.request.Request(server.url + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        return json.loads(response.read())["data"], response.headers


def compared(ways: list[Way]) -> Section:
    dev, *others = ways
    rows = []
    for way in ways:
        of_dev = "" if way is dev else share(way.share_of(dev))
        rows.append(
            (way.name, per_second(median(each.rate for each in way.results)),
             ms(median(each.p50_ms for each in way.results)),
             ms(median(each.p99_ms for each in way.results)),
             f"{median(way.cpu):.1f} {MICRO}", of_dev)
        )  # fmt: skip
    verdicts = [
        Verdict(
            f"GET one at {way.name} ≥ {share(OF_DEV)} of dev's rate",
            share(way.share_of(dev)),
            way.share_of(dev) >= OF_DEV,
        )
        for way in others
    ]
    columns = ("GET one at", "rate", "p50", "p99", "CPU each", "of dev's rate")
    return Section("Access", columns, rows, verdicts)


async def signing_in(server: Server, token: str, seconds: float) -> Section:
    one_hash = hash_ms()
    reading = Server(server.process, server.url, token)
    alone = await steady(reading, seconds)
    delays: list[float] = []
    until = time.perf_counter() + seconds + WARM_UP
    people = [asyncio.create_task(sign_in(server, n, until, delays)) for n in range(PEOPLE)]
    await asyncio.sleep(WARM_UP)
    among = await steady(reading, seconds)
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*people)
    rows = [
        ("alone", "", "", ms(share_of(alone, 0.5)), ms(share_of(alone, 0.99)), ms(max(alone))),
        (f"while {PEOPLE} sign in", per_second(len(delays) / (seconds + WARM_UP)),
         ms(share_of(delays, 0.5)), ms(share_of(among, 0.5)), ms(share_of(among, 0.99)),
         ms(max(among))),
    ]  # fmt: skip
    p99 = share_of(among, 0.99)
    promise = f"GET one, p99 while {PEOPLE} sign in, below one hash ({ms(one_hash)})"
    verdict = Verdict(promise, ms(p99), p99 < one_hash)
    columns = ("GETs", "sign-ins", "each takes, p50", "GET p50", "p99", "max")
    return Section("Signing in", columns, rows, [verdict])


def hash_ms() -> float:
    """One at a time, with nothing beside it."""
    hasher: PasswordHasher = passwords.hasher
    times = []
    for _ in range(5):
        started = time.perf_counter()
        hasher.verify(passwords.OF_NOBODY, "what an unknown account is compared with")
        times.append((time.perf_counter() - started) * 1000)
    return min(times)


async def steady(server: Server, seconds: float) -> list[float]:
    """GETs that are due at a steady rate; milliseconds from then until the answer."""
    paths = [path for path, _ in gets().requests]
    started = time.perf_counter() + 0.1
    count = round(seconds * GETS_A_SECOND)

    async def reader(first: int) -> list[float]:
        connection, delays = await Connection(server).open(), []
        for number in range(first, count, READERS):
            due = started + number / GETS_A_SECOND
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await connection.call("GET", paths[number % len(paths)])
            delays.append((time.perf_counter() - due) * 1000)
        await connection.close()
        return delays

    found = await asyncio.gather(*(reader(first) for first in range(READERS)))
    return [each for delays in found for each in delays]


async def sign_in(server: Server, number: int, until: float, delays: list[float]) -> None:
    """Again and again, as a new browser each time."""
    connection = await Connection(Server(server.process, server.url)).open()
    while time.perf_counter() < until:
        started = time.perf_counter()
        await connection.call("POST", "/api/session", credentials(number))
        delays.append((time.perf_counter() - started) * 1000)
    await connection.close()


def share_of(delays: list[float], share: float) -> float:
    return sorted(delays)[int(len(delays) * share)]
