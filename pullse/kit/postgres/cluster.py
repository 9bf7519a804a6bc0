"""One data folder: makes it, configures it, and clears away what a crash left on it."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pullse.kit.postgres.account import Account
from pullse.kit.postgres.binaries import Binaries
from pullse.kit.postgres.errors import Unavailable

FOLDER = "postgres"  # of the data, in the home
ROLE = DATABASE = "pullse"
PORT = 5432  # names the socket file; nothing listens on the network

# For one machine that does other things too.
SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "cluster_name": "pullse",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "max_wal_size": "1GB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    # Tickets are private: neither statements nor the rows they failed on go to the log.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
NEWER_SETTINGS = {18: {"io_method": "sync"}}  # no I/O worker processes: saves memory


@dataclass(frozen=True)
class Cluster:
    data: Path
    socket: Path
    binaries: Binaries
    account: Account
    options: Mapping[str, str]

    def command(self) -> list[str]:
        settings = {**SETTINGS, "unix_socket_directories": _quoted(str(self.socket))}
        for major, newer in NEWER_SETTINGS.items():
            if self.binaries.major >= major:
                settings |= newer
        settings |= self.options
        words = [str(self.binaries.bin / "postgres"), "-D", str(self.data)]
        for name, value in settings.items():
            words += ["-c", f"{name}={value}"]
        return words

    def is_ready(self, server: int) -> bool:
        """PostgreSQL says so itself, in the eighth line of its pid file."""
        said = _pid_file(self.data)
        return len(said) > 7 and said[0] == str(server) and said[7].strip() == "ready"


def major(data: Path) -> int | None:
    """Of the PostgreSQL that made the folder; None where there is none yet."""
    try:
        return int((data / "PG_VERSION").read_text().strip())
    except FileNotFoundError:
        pass
    except ValueError:
        raise Unavailable(
            f"{data / 'PG_VERSION'} is damaged. Restore {data} from a copy."
        ) from None
    if data.exists() and any(data.iterdir()):
        raise Unavailable(
            f"{data} has files but no database of PostgreSQL. "
            "Move it away, or choose another folder with --data-dir."
        )
    return None


def create(cluster: Cluster) -> None:
    """Make the database, whole or not at all: beside its place, then moved there."""
    home = cluster.data.parent
    half = Path(tempfile.mkdtemp(prefix=f"{cluster.data.name}.part-", dir=home))
    try:
        cluster.account.give(half)
        _initialise(cluster, half)
        half.rename(cluster.data)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise
    _sync(home)


def sweep(cluster: Cluster) -> None:
    """Drop what first starts left that were killed; their initdb may have gone on for a while."""
    for leftover in cluster.data.parent.glob(f"{cluster.data.name}.part-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def configure(cluster: Cluster) -> None:
    """Let in, over the socket alone, the accounts that this server is for."""
    names = sorted({Account.of(os.geteuid()).name, cluster.account.name})
    users = "".join(f"pullse {_quoted(name)} {ROLE}\n" for name in names)
    _write(cluster, "pg_ident.conf", users)
    _write(cluster, "pg_hba.conf", "local all all peer map=pullse\n")


def clear_the_way(cluster: Cluster) -> None:
    """Stop a server that outlived its application, and drop what a dead one left.

    The caller holds the home's lock, so no application is behind a server that runs here.
    """
    recorded = "".join(_pid_file(cluster.data)[:1])
    _stop_orphans(cluster, int(recorded) if recorded.isdigit() else 0)
    # The number may be another process's by now, and PostgreSQL would then refuse to start.
    (cluster.data / "postmaster.pid").unlink(missing_ok=True)
    for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
        (cluster.socket / name).unlink(missing_ok=True)


def _initialise(cluster: Cluster, folder: Path) -> None:
    initdb = cluster.binaries.bin / "initdb"
    options: list[str | Path] = ["-D", folder, "-U", ROLE, "-E", "UTF8", "-k", "-N", "-A", "peer"]
    for locale in _locales(cluster.binaries):
        failed, _, said = cluster.account.run([initdb, *options, "--no-instructions", *locale])
        if not failed or "invalid locale" not in said:
            break
    if not failed:
        single = [str(cluster.binaries.bin / "postgres"), "--single", "-c", "fsync=off", "-D"]
        failed, _, said = cluster.account.run(
            [*single, str(folder), "postgres"], stdin=f"CREATE DATABASE {DATABASE} OWNER {ROLE}\n"
        )
    if not failed and cluster.options.get("fsync") != "off":
        failed, _, said = cluster.account.run([initdb, "--sync-only", "-D", folder])
    if failed:
        raise Unavailable(
            f"PostgreSQL could not make its database in {cluster.data}: {_last_lines(said)}"
        )


def _locales(binaries: Binaries) -> list[list[str]]:
    """Sorted by code point, so that no upgrade of the system can corrupt an index.

    The character type of libc still matters: without C.UTF-8 full-text search takes quotation
    marks and dashes for letters.
    """
    if binaries.major >= 17:
        builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        return [[*builtin, "--lc-ctype=C.UTF-8"], builtin]
    libc = ["--locale-provider=libc", "--locale=C"]
    return [[*libc, "--lc-ctype=C.UTF-8"], libc]


def _stop_orphans(cluster: Cluster, server: int) -> None:
    """Politely first; without a server its sessions only hold the memory, so they just go."""
    steps = [(signal.SIGINT, 10.0), (signal.SIGQUIT, 3.0), (signal.SIGKILL, 3.0)]
    for each, patience in steps:
        running = _processes(cluster, server)
        if not running:
            return
        if server in running and each != signal.SIGKILL:
            _signal_all([server], each)
        else:
            _signal_all(running, max(each, signal.SIGQUIT))
        until = time.monotonic() + patience
        while _processes(cluster, server) and time.monotonic() < until:
            time.sleep(0.02)
    if left := _processes(cluster, server):
        raise Unavailable(
            f"PostgreSQL still runs on {cluster.data} (process {left[0]}) and can't be stopped. "
            "Stop it by hand, then start again."
        )


def _processes(cluster: Cluster, server: int) -> list[int]:
    """PostgreSQL's processes on this data, known by their working folder: numbers get reused."""
    if sys.platform != "linux":
        command = cluster.account.run(["/bin/ps", "-o", "command=", "-p", str(server)])[1]
        ours = server > 1 and "postgres" in command and str(cluster.data) in command
        return [server] if ours else []
    here = cluster.data.stat()
    return [int(each.name) for each in Path("/proc").glob("[0-9]*") if _works_in(each, here)]


def _works_in(process: Path, folder: os.stat_result) -> bool:
    try:
        return os.path.samestat((process / "cwd").stat(), folder) and (
            (process / "comm").read_text().strip() == "postgres"
        )
    except OSError:
        return False


def _signal_all(processes: list[int], number: int) -> None:
    for each in processes:
        with suppress(ProcessLookupError):
            os.kill(each, number)


def _pid_file(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _write(cluster: Cluster, name: str, text: str) -> None:
    """By a new file, never through what lies there: the folder belongs to another account."""
    fd, path = tempfile.mkstemp(prefix=name, dir=cluster.data)
    with open(fd, "w") as file:
        file.write(text)
        cluster.account.give(fd)
    os.replace(path, cluster.data / name)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _quoted(word: str) -> str:
    return '"' + word.replace('"', '""') + '"'


def _last_lines(text: str, count: int = 3) -> str:
    return " | ".join(line.strip() for line in text.strip().splitlines()[-count:])
