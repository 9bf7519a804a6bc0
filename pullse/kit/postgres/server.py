"""A running PostgreSQL that this process owns, kept running until it is stopped."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from pullse.kit.postgres import binaries, cluster, folders
from pullse.kit.postgres.account import Account
from pullse.kit.postgres.binaries import Binaries, Preference
from pullse.kit.postgres.cluster import DATABASE, FOLDER, PORT, ROLE, Cluster
from pullse.kit.postgres.errors import Unavailable
from pullse.kit.postgres.lock import Private, hold
from pullse.kit.postgres.log import Log
from pullse.kit.postgres.watcher import Watcher

logger = logging.getLogger("pullse.postgres")

RECOVERY = 300.0  # seconds a start may replay what was written before a crash
STOP = 20.0
NO_OPTIONS: Mapping[str, str] = {}


def start(
    home: Path, *, options: Mapping[str, str] = NO_OPTIONS, prefer: Preference = None
) -> Postgres:
    """Start the database of a home, made if need be; returns when it answers.

    `options` are further settings of the server. Raises Unavailable.
    """
    home = Path(os.path.realpath(home))
    try:
        return _start(home, options, prefer)
    except OSError as problem:
        raise Unavailable(
            f"{problem.filename or home}: {problem.strerror or problem}. "
            "Correct that, or choose another folder with --data-dir."
        ) from problem


class Postgres:
    """Restarts the server, and the watcher, when they die under the application."""

    def __init__(self, cluster: Cluster, lock: Private, log: Log) -> None:
        self.url = f"postgresql://{ROLE}@/{DATABASE}?host={quote(str(cluster.socket))}&port={PORT}"
        self.version = cluster.binaries.version
        self.source = cluster.binaries.source
        self.data = cluster.data
        self._cluster = cluster
        self._lock = lock
        self._log = log
        self._owner = os.getpid()
        self._guard = threading.Lock()  # over which server and which watcher there are
        self._stopping = threading.Event()
        self._stopped = threading.Event()
        self._server: subprocess.Popen[str] | None = None
        self._watcher = Watcher(cluster.account)
        self._threads: list[threading.Thread] = []
        try:
            self._launch(patience=10.0)
        except BaseException:
            self.stop()
            raise
        self._in_background("pullse-postgres", self._keep_server)
        self._in_background("pullse-postgres-watcher", self._keep_watcher)

    @property
    def pid(self) -> int:
        """Of the server as it is now."""
        return self._server.pid if self._server else 0

    @property
    def watcher_pid(self) -> int:
        return self._watcher.process.pid

    def stop(self) -> None:
        """Fast shutdown: open transactions are rolled back, nothing committed is lost."""
        if os.getpid() != self._owner:
            return  # a forked child unwinds; the server is its parent's
        with self._guard:
            first = not self._stopping.is_set()
            self._stopping.set()
        if not first:
            self._stopped.wait()
            return
        try:
            self._stop_server()
            self._watcher.close()
            for thread in self._threads:
                thread.join()
        finally:
            self._log.close()
            self._lock.close()
            self._stopped.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _launch(self, patience: float) -> None:
        """Start a server and see it ready.

        A crashed server's memory may take seconds to be free: until then PostgreSQL refuses.
        """
        until = time.monotonic() + patience
        while True:
            offset = self._log.size()
            with self._guard:
                if self._stopping.is_set():
                    return
                cluster.clear_the_way(self._cluster)
                command = self._cluster.command()
                server = self._watcher.popen(self._cluster.account, command, log=self._log.fd)
                self._server = server
            if self._comes_up(server):
                return
            said = self._log.complaint(offset) or f"it ended with {server.returncode}"
            busy = any(sign in said for sign in ("shared memory block", "lock file"))
            if not busy or time.monotonic() > until:
                raise Unavailable(f"PostgreSQL does not start: {said}. See {self._log.path}.")
            time.sleep(0.1)

    def _comes_up(self, server: subprocess.Popen[str]) -> bool:
        """Or is being stopped, which is as good."""
        until = time.monotonic() + RECOVERY
        while server.poll() is None:
            if self._stopping.is_set() or self._cluster.is_ready(server.pid):
                return True
            if time.monotonic() > until:
                raise Unavailable(
                    f"PostgreSQL has not come up in {RECOVERY:.0f} s. See {self._log.path}."
                )
            time.sleep(0.01)
        return self._stopping.is_set()

    def _in_background(self, name: str, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _keep_server(self) -> None:
        pause = Pause(self._stopping)
        while server := self._server:
            code = server.wait()
            with self._guard:
                self._watcher.watch(0)
            if self._stopping.is_set():
                return
            logger.warning(
                "PostgreSQL ended by itself; it is started again",
                extra={"pid": server.pid, "exit": code},
            )
            if not pause.before_next():
                return
            try:
                self._launch(patience=0.0)
            except (OSError, Unavailable) as problem:
                logger.error("PostgreSQL could not be started again: %s", problem)

    def _keep_watcher(self) -> None:
        pause = Pause(self._stopping)
        while True:
            self._watcher.process.wait()
            if self._stopping.is_set() or not pause.before_next():
                return
            logger.warning("The watcher of PostgreSQL was killed; there is a new one")
            with self._guard:
                if self._stopping.is_set():
                    return
                try:
                    watcher = Watcher(self._cluster.account)
                except (OSError, Unavailable) as problem:
                    logger.error("PostgreSQL has no watcher: %s", problem)
                    continue
                self._watcher.close()
                self._watcher = watcher
                if self._server and self._server.returncode is None:
                    watcher.watch(self._server.pid)

    def _stop_server(self) -> None:
        """And the sessions of one that was killed: a busy session takes long to notice."""
        server = self._server
        if server is None:
            return
        for number, patience in ((signal.SIGINT, STOP), (signal.SIGQUIT, 5.0)):
            server.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                server.wait(patience)
                break
        cluster.clear_the_way(self._cluster)
        server.wait()


class Pause:
    """None after a long life, then 0.1 s, doubling to 5 s."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._born = time.monotonic()
        self._seconds = 0.0

    def before_next(self) -> bool:
        """False when there is to be no next."""
        lived = time.monotonic() - self._born
        self._seconds = 0.0 if lived > 10 else min(max(0.1, self._seconds * 2), 5.0)
        going_on = not self._stopping.wait(self._seconds)
        self._born = time.monotonic()
        return going_on


def _start(home: Path, options: Mapping[str, str], prefer: Preference) -> Postgres:
    account = Account.owning(home / FOLDER)
    folders.open_home(home, account)
    lock = hold(home, account)
    try:
        chosen = _choose(home, account, prefer)
        served = Cluster(
            home / FOLDER, folders.socket(home, account), chosen, account, dict(options)
        )
        cluster.sweep(served)
        if cluster.major(served.data) is None:
            cluster.create(served)
        cluster.configure(served)
        return Postgres(served, lock, Log(home / "postgres.log", account))
    except BaseException:
        lock.close()
        raise


def _choose(home: Path, account: Account, prefer: Preference) -> Binaries:
    """Data stays with the major version that made it, even when there is a newer one."""
    made_by = cluster.major(home / FOLDER)
    found: list[Binaries] = []
    for each in binaries.search(prefer):
        found.append(each)
        if made_by in (None, each.major):
            runs = binaries.within_reach(each, account, home / "binaries")
            if runs:
                return runs
    if not found:
        binaries.find(prefer)
    if made_by in (None, *(each.major for each in found)):
        raise Unavailable(
            f"{found[0]} in {found[0].bin} can't be run as {account.name}, also not from a copy "
            f"in {home}. If that disk is mounted noexec, choose another with --data-dir."
        )
    raise Unavailable(
        f"The data in {home / FOLDER} was made by PostgreSQL {made_by}, and here is "
        f"{' and '.join(map(str, found))}, which can't read it. Install PostgreSQL {made_by} "
        "beside it (it is then used for this data), or move the folder away, start anew and "
        "restore a backup."
    )
