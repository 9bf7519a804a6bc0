"""
One serving process, and a parent that keeps several of them.

The socket is bound here, exclusively, and shared by all workers.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import uvloop

from pullse import app
from pullse.access.oidc.discovery import Live
from pullse.access.refusals import Refusals
from pullse.errors import Refusal
from pullse.gateway import log as channel_log
from pullse.gateway.keys import DevKey
from pullse.kit import background, jobs, relay
from pullse.kit.db import Address, Database, open_database
from pullse.kit.guard import BearerToken, LocalOwner
from pullse.kit.http import BACKLOG, SocketServer
from pullse.kit.proxies import Proxies
from pullse.kit.rates import Rates
from pullse.kit.tail import Tail
from pullse.operations.checkup import Checkup
from pullse.realtime import ably
from pullse.reports import counting, insight
from pullse.settings import Settings
from pullse.store import Store

log = logging.getLogger(__name__)

PATIENCE = 15.0
"""Seconds that a stop waits for requests under way."""
UNREAD = 30_000
"""Milliseconds after which Linux cuts a connection whose client takes nothing of what is sent."""


class PortTaken(Exception):
    """The address can't be bound; the message says why."""


@dataclass(frozen=True)
class Process:
    """What a serving process needs to know."""

    settings: Settings
    database_url: str
    guard: LocalOwner | BearerToken
    dev_key: DevKey | None = None
    has_sandbox: bool = False
    announce: Callable[[], None] = lambda: None


def bind(host: str, port: int) -> socket.socket:
    """Port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # connections inherit it
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD)
    try:
        bound.bind((host, port))
        bound.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        bound.close()
        raise PortTaken(
            f"Port {port} on {host} can't be used: {getattr(error, 'strerror', None) or error}. "
            "Choose another with --port (0 takes a free one)."
        ) from error
    bound.setblocking(False)
    return bound


def run(process: Process, bound: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT; returns when all is finished and closed."""
    uvloop.run(serve(process, bound))


async def serve(process: Process, bound: socket.socket) -> None:
    settings = process.settings
    database = await open_database(
        process.database_url, direct_url=settings.database_direct_url, size=settings.pool_size
    )
    tail = Tail(database, channel_log)
    works = readers(settings, database, tail)
    realtime = await app.open_realtime(
        database, tail, settings, process.dev_key, has_sandbox=process.has_sandbox
    )
    secret = await app.open_secret(database, settings)
    guard = app.with_tokens(process.guard, database, settings)
    refusals = Refusals(database)
    rates = Rates(settings.rate) if settings.rate else None
    edge = app.build(
        database,
        tail,
        guard,
        readers=list(works),
        realtime=realtime,
        secret=secret,
        refusals=refusals,
        proxies=Proxies(settings.proxies),
        rates=rates,
        providers=[Live(each) for each in settings.oidc],
        checkup=Checkup(settings, store_of(process)),
    )
    works = {"tail": tail.run, "refusals": refusals.run, **works, **realtime.works}
    if rates is not None:
        works["rates"] = lambda: rates.run(database)
    server = SocketServer(edge, bound)
    stop = asyncio.Event()
    on_signals(stop.set)
    spare_the_collector()
    try:
        for name in works.keys() & {"ably", "relay"}:
            await relay.begin(database, name)  # before the first change, so that they get it too
        async with background.running(works):
            serving = asyncio.create_task(server.serve())
            process.announce()
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if serving.done():
                serving.result()
            tail.close()
            realtime.close()
            server.stop()
            if not await edge.idle(PATIENCE):
                log.warning("%d requests did not finish in time", edge.under_way)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(serving, 5)
            with contextlib.suppress(Refusal):
                await realtime.stop()
                await refusals.write()
                if rates is not None:
                    await rates.exchange(database)
    finally:
        await database.close()


def store_of(process: Process) -> Store:
    """The database that this process uses, as it may be shown."""
    url, settings = process.database_url, process.settings
    if settings.database_url is None:
        return Store(url, "the embedded PostgreSQL")
    return Store(url, f"PostgreSQL at {Address.parse(settings.database_url).shown}")


def spare_the_collector() -> None:
    """What is there now stays: full collections need not look through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def readers(settings: Settings, database: Database, tail: Tail) -> dict[str, Callable[[], Any]]:
    """What reads facts and works through jobs; every process does, and leaders are elected."""
    found: dict[str, Callable[[], Any]] = {
        "jobs": lambda: jobs.work(database, app.jobs, app.schedule),
        "counts": lambda: counting.run(database),
        "insight": lambda: insight.run(database),
    }
    if app.reactions:
        found["relay"] = lambda: relay.run(database, tail, app.reactions)
    if settings.ably is not None:
        options = settings.ably
        found["ably"] = lambda: ably.forward(database, tail, options)
    return found


async def work(process: Process) -> None:
    """Jobs and forwarder alone, without HTTP."""
    settings = process.settings
    database = await open_database(
        process.database_url, direct_url=settings.database_direct_url, size=settings.pool_size
    )
    tail = Tail(database)
    stop = asyncio.Event()
    on_signals(stop.set)
    try:
        async with background.running({"tail": tail.run, **readers(settings, database, tail)}):
            process.announce()
            await stop.wait()
            tail.close()
    finally:
        await database.close()


def on_signals(stop: Callable[[], None]) -> None:
    """The first asks to finish; a second one does not wait."""
    loop = asyncio.get_running_loop()

    def told() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told)


def keep_workers(count: int, bound: socket.socket, environment: dict[str, str]) -> None:
    """Run `count` child processes on the socket until told to stop; replace those that die."""
    children: dict[int, subprocess.Popen[bytes]] = {}
    reading, writing = os.pipe()
    stopping = False

    def told(number: int, _: object) -> None:
        nonlocal stopping
        stopping = True
        signal.signal(number, signal.SIG_DFL)  # who asks again does not wait

    signal.signal(signal.SIGTERM, told)
    signal.signal(signal.SIGINT, told)

    def spawn(index: int) -> None:
        children[index] = subprocess.Popen(
            [sys.executable, "-P", "-m", "pullse", "worker", str(bound.fileno()), str(reading)],
            env={**os.environ, **environment},
            pass_fds=(bound.fileno(), reading),
            start_new_session=True,
        )

    for index in range(count):
        spawn(index)
    try:
        while not stopping:
            time.sleep(0.1)
            for index, child in list(children.items()):
                if child.poll() is not None and not stopping:
                    code = child.returncode
                    log.warning("Worker %d ended (%s); a new one starts", index + 1, code)
                    time.sleep(0.5)
                    spawn(index)
        for child in children.values():
            child.terminate()
        for child in children.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(PATIENCE + 10)
    finally:
        for child in children.values():
            if child.poll() is None:
                child.kill()
        os.close(writing)


def run_worker(process: Process, socket_fd: int, pipe_fd: int) -> None:
    """A child of `keep_workers`; it stops when the parent, who holds the pipe, is gone."""
    bound = socket.socket(fileno=socket_fd)
    bound.setblocking(False)

    async def until_alone() -> None:
        loop = asyncio.get_running_loop()

        def alone() -> None:
            loop.remove_reader(pipe_fd)
            os.kill(os.getpid(), signal.SIGTERM)

        loop.add_reader(pipe_fd, alone)
        await serve(process, bound)

    uvloop.run(until_alone())
