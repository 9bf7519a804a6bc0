"""
python -m bench.chaos [--kills 20] [--seconds-between 2] [--postgres] [--ably] [--rate 150]

Kills the server with -9 under load; with --postgres the postmaster too, alone and together
with the server; with --ably the stand-in for Ably as well. Exits with 1 if anything that
was acknowledged is lost, or anything is there twice or out of order.
"""

import argparse
import asyncio
import itertools
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.chaos import checks
from bench.chaos.http import Connection, whole_list
from bench.chaos.server import Server
from bench.chaos.subscriber import Subscriber
from bench.chaos.writers import Ledger, Writer
from tests.standins.process import Ably

WRITERS = 16
DRAINED_WITHIN = 120.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seconds-between", type=float, default=2.0)
    parser.add_argument("--rate", type=float, default=150.0, help="writes a second, all together")
    parser.add_argument("--postgres", action="store_true", help="kill the postmaster too")
    parser.add_argument("--ably", action="store_true", help="kill the stand-in for Ably too")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="pullse-chaos-"))
    folder.chmod(0o755)  # PostgreSQL's user has to reach it
    with Ably(folder) as ably:
        server = Server(folder, ably.port)
        try:
            wrong = asyncio.run(run(given, server, ably))
            is_clean = server.stop()
        finally:
            server.kill()
    if not is_clean:
        wrong.append(f"LEFT RUNNING after the stop: {server.left_over()}")
    for sentence in wrong[:50]:
        print(sentence)
    if wrong:
        sys.exit(f"\n{len(wrong)} things are wrong. Logs and data are in {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    print("\nNothing lost, nothing twice, all in order.")


async def run(given: argparse.Namespace, server: Server, ably: Ably) -> list[str]:
    server.start()
    await asyncio.to_thread(server.wait)
    await first_message(Connection(server.port), ably)
    subscriber = Subscriber(server.port, "1.0.0")
    ledger = Ledger()
    listening = asyncio.create_task(subscriber.run())
    seconds = WRITERS / given.rate
    writers = [Writer(index, server.port, ledger, seconds=seconds) for index in range(WRITERS)]
    writing = [asyncio.create_task(writer.run()) for writer in writers]
    started = time.monotonic()
    kills, pauses = await kill_again_and_again(given, server, ably)
    await asyncio.sleep(given.seconds_between)
    ledger.stops.set()
    async with asyncio.timeout(60):
        await asyncio.gather(*writing)
    took = time.monotonic() - started
    connection = Connection(server.port)
    facts = await whole_list(connection, "/api/events")
    tickets = await whole_list(connection, "/api/tickets")
    # Facts from before the forwarder's first start are not published, see first_message.
    first = first_id(ably)
    since = next((n for n, fact in enumerate(facts) if str(fact["id"]) == first), 0)
    expected = len(facts) - since + len(list(checks.announced(facts[since:])))
    lags = await asyncio.gather(
        until(lambda: len(subscriber.ids) >= len(facts)),
        until(lambda: len(ably.messages()) >= expected),
    )
    await asyncio.sleep(1)  # for what should not come
    listening.cancel()
    report = {
        "killed with -9": ", ".join(f"{name} {count} times" for name, count in kills.items()),
        "load": f"{WRITERS} writers for {took:.0f} s",
        "ready again after, median and longest": f"{statistics.median(pauses):.1f} s, "
        f"{max(pauses):.1f} s",
        "writes acknowledged": f"{ledger.counts['acknowledged']:,}",
        "of these after a repeat": f"{ledger.counts['acknowledged after a repeat']:,}",
        "calls cut off, answered 503, found nobody": f"{ledger.counts['cut off']:,}, "
        f"{ledger.counts['turned away']:,}, {ledger.counts['found nobody']:,}",
        "writes left in doubt, as not repeated": f"{ledger.counts['in doubt']:,}",
        "tickets and facts in the database": f"{len(tickets):,}, {len(facts):,}",
        "facts the subscriber saw, in connections": f"{len(subscriber.ids):,}, "
        f"{subscriber.came_back + 1}",
        "messages at the stand-in, on both channels": f"{len(ably.messages()):,}",
        "all there after the load's end": "subscriber {:.1f} s, stand-in {:.1f} s".format(*lags),
    }
    wrong = [
        *ledger.wrong,
        *checks.kept(ledger.promises, tickets, facts),
        *checks.told(tickets, facts),
        *checks.heard(subscriber.ids, facts),
        *checks.forwarded(ably.messages(), facts[since:]),
    ]
    if subscriber.was_told_to_start_over:
        wrong.append("THE SUBSCRIBER was told to start over")
    if not ledger.promises:
        wrong.append("NOTHING was acknowledged")
    report["lost, repeated, out of order"] = str(len(wrong))
    print("| what | count |\n|---|---|")
    for name, value in report.items():
        print(f"| {name} | {value} |")
    return wrong


async def until(is_so: Callable[[], bool]) -> float:
    """Seconds until it is so, or until there is no more hope."""
    started = time.monotonic()
    while not is_so() and time.monotonic() < started + DRAINED_WITHIN:
        await asyncio.sleep(0.2)
    return time.monotonic() - started


async def first_message(connection: Connection, ably: Ably) -> None:
    """The forwarder's first start begins at the end of the feed, so see it at work first."""
    for number in range(60):
        body = {"title": f"before the load {number}", "description": "Is anybody there?"}
        status, answer = await connection.call("POST", "/api/tickets", body)
        if status != 201:
            raise SystemExit(f"The first ticket was refused: {status} {answer}")
        await asyncio.sleep(0.5)
        if ably.messages(checks.ACTIVITY):
            return
    raise SystemExit("Nothing reaches the stand-in for Ably.")


def first_id(ably: Ably) -> str:
    return str(ably.messages(checks.ACTIVITY)[0]["id"])


async def kill_again_and_again(
    given: argparse.Namespace, server: Server, ably: Ably
) -> tuple[dict[str, int], list[float]]:
    """How often each was killed, and after how many seconds it was ready again."""
    dice = random.Random(given.seed)
    victims = ["server", *(["postgres", "both"] if given.postgres else [])]
    victims += ["ably"] if given.ably else []
    kills, pauses = dict.fromkeys(victims, 0), []
    for victim in itertools.islice(itertools.cycle(victims), given.kills):
        await asyncio.sleep(given.seconds_between * dice.uniform(0.5, 1.5))
        started = time.monotonic()
        if victim in ("postgres", "both"):
            while not server.kill_postgres():  # it is just being started again
                await asyncio.sleep(0.05)
        if victim in ("server", "both"):
            server.kill()
            server.start()
        if victim == "ably":
            ably.kill()
            await asyncio.sleep(dice.uniform(0, 1))
            await asyncio.to_thread(ably.start)
        await asyncio.to_thread(server.wait)
        kills[victim] += 1
        pauses.append(time.monotonic() - started)
    return kills, pauses


if __name__ == "__main__":
    main()
