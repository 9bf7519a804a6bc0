"""How long a committed write takes to reach a subscriber of the event stream.

200 writes a second, half creates and half status changes, each of another ticket, so the ticket
tells which write an event is about. The moment of commit is PostgreSQL's own
(track_commit_timestamp): taken just before the commit is flushed to disk, so it is early rather
than late. Writer, subscriber and PostgreSQL read the same clock. Also shown: from the write's
answer (an event that came before the answer counts as 0) and from sending the request.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench import data, servers
from bench.client import Connection, events
from bench.cluster import Base, Cluster
from bench.load import Failed
from bench.report import Section, Verdict, ms
from bench.servers import Server

WRITES_A_SECOND = 200
WRITERS = 16
WARM_UP = 200
PATIENCE = 10.0
P50_MS = 5.0
P99_MS = 25.0
# Committed when, by ticket. Facts of the warm-up are of other tickets.
COMMITTED = """
    SELECT ticket_id::text AS ticket,
           extract(epoch FROM pg_xact_commit_timestamp(
               ((tx - feed_offset()) % 4294967296)::text::xid))::float8 AS at
      FROM events
"""


@dataclass
class Log:
    """Moments by ticket, in seconds since the epoch."""

    sent: dict[str, float] = field(default_factory=dict)
    answered: dict[str, float] = field(default_factory=dict)
    received: dict[str, float] = field(default_factory=dict)


def measure(cluster: Cluster, *, seconds: float, say: Callable[[str], None]) -> Section:
    """`cluster` has to run with track_commit_timestamp=on."""
    base = cluster.filled("latency", data.TICKETS)
    with servers.ours(base) as server:
        say(f"{WRITES_A_SECOND} writes/s for {seconds:.0f} s …")
        log = asyncio.run(run(server, seconds))
    return section(log, committed(base))


def committed(base: Base) -> dict[str, float]:
    return {row["ticket"]: row["at"] for row in base.rows(COMMITTED)}


async def run(server: Server, seconds: float) -> Log:
    log = Log()
    async with asyncio.timeout(seconds + 60):
        listening = asyncio.Event()
        listener = asyncio.create_task(listen(server, log, listening))
        try:
            await asyncio.wait({listener, asyncio.create_task(listening.wait())},
                               return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
            await write(server, log, round(seconds * WRITES_A_SECOND))
            until = time.monotonic() + PATIENCE
            while log.sent.keys() - log.received.keys() and time.monotonic() < until:
                if listener.done():
                    break
                await asyncio.sleep(0.05)
        finally:
            listener.cancel()
            await asyncio.wait({listener})
    if not listener.cancelled() and (error := listener.exception()):
        raise error
    return log


async def listen(server: Server, log: Log, listening: asyncio.Event) -> None:
    connection = await Connection(server).open()
    try:
        async for event in events(connection, "/api/events"):
            if event:
                log.received[event["ticket_id"]] = time.time()
            listening.set()
    finally:
        connection.writer.close()


async def write(server: Server, log: Log, count: int) -> None:
    """On time whatever the answers do: a slow write delays no other."""
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(WRITERS):
        free.put_nowait(await Connection(server).open())
    bodies = [json.loads(body) for body in data.new_ticket_bodies(500)]
    await one_by_one(free, bodies)
    started = time.perf_counter()
    tasks = set()
    for number in range(count):
        ahead = started + number / WRITES_A_SECOND - time.perf_counter()
        if ahead > 0:
            await asyncio.sleep(ahead)
        if number % 2:
            work = create(free, random.choice(bodies), log)
        else:
            work = change(free, str(data.ticket_id(number + 1)), log)
        tasks.add(asyncio.create_task(work))
    await asyncio.gather(*tasks)
    while not free.empty():
        await free.get_nowait().close()


async def one_by_one(free: asyncio.Queue[Connection], bodies: list[Any]) -> None:
    """Warm up: plans, caches, pools. Not measured."""
    for number in range(WARM_UP):
        await create(free, bodies[number % len(bodies)], Log())


async def create(free: asyncio.Queue[Connection], body: Any, log: Log) -> None:
    connection = await free.get()
    sent = time.time()
    answer = await connection.call("POST", "/api/tickets", body)
    answered = time.time()
    free.put_nowait(connection)
    ticket = json.loads(answer)["data"]["id"]
    log.sent[ticket], log.answered[ticket] = sent, answered


async def change(free: asyncio.Queue[Connection], ticket: str, log: Log) -> None:
    connection = await free.get()
    log.sent[ticket] = time.time()
    body = {"status": "in_progress", "title": "Changed while someone looks on"}
    await connection.call("PATCH", f"/api/tickets/{ticket}", body)
    log.answered[ticket] = time.time()
    free.put_nowait(connection)


def section(log: Log, at: dict[str, float]) -> Section:
    lost = log.sent.keys() - log.received.keys()
    if lost:
        raise Failed(f"{len(lost)} of {len(log.sent)} writes never reached the subscriber.")
    rows = []
    verdicts = []
    for name, origin in (("commit", at), ("answer", log.answered), ("request", log.sent)):
        delays = sorted(max(0.0, log.received[each] - origin[each]) * 1000 for each in log.sent)
        p50, p99 = delays[len(delays) // 2], delays[len(delays) * 99 // 100]
        rows.append((f"from {name}", ms(p50), ms(delays[len(delays) * 95 // 100]), ms(p99),
                     ms(delays[-1])))  # fmt: skip
        if origin is at:
            what = f"{name} to subscriber"
            verdicts = [
                Verdict(f"{what}, p50 ≤ {ms(P50_MS)}", ms(p50), p50 <= P50_MS),
                Verdict(f"{what}, p99 ≤ {ms(P99_MS)}", ms(p99), p99 <= P99_MS),
            ]
    return Section("Latency", ("to the subscriber", "p50", "p95", "p99", "max"), rows, verdicts)
