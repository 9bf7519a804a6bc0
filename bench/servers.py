"""The HTTP servers that are measured, each a process of its own that is always ended by its id."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit, urlunsplit

from bench.cluster import Base
from bench.load import Failed

ROOT = Path(__file__).parents[1]
TOKEN = "bench-token-of-at-least-thirty-two-characters"
SECRET = "bench-secret-of-at-least-thirty-two-characters"
PATIENCE = 60.0


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[bytes]
    url: str
    token: str = ""

    def get(self, path: str) -> bytes:
        """One request by hand; raises unless the answer is a 2xx."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        request = urllib.request.Request(self.url + path, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            return bytes(response.read())

    def cpu_seconds(self) -> float:
        """What the process has used so far, all its threads together."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def ours(base: Base, **settings: str) -> Iterator[Server]:
    """`pullse serve` as a team would run it: one worker, a token, logs to a file."""
    command = [sys.executable, "-m", "pullse", "serve", "--port", "0"]
    with running(command, {**of_team(base), **settings}) as (process, log):
        server = Server(process, printed_address(process, log), TOKEN)
        answering(server, log)
        yield server


@contextmanager
def dev(base: Base) -> Iterator[Server]:
    """`pullse dev` on the same database: nobody has to show anything."""
    command = [sys.executable, "-m", "pullse", "dev", "--port", "0"]
    with running(command, {"DATABASE_URL": base.url}) as (process, log):
        server = Server(process, printed_address(process, log))
        answering(server, log)
        yield server


def of_team(base: Base) -> dict[str, str]:
    return {"DATABASE_URL": base.url, "PULLSE_API_TOKEN": TOKEN, "PULLSE_SECRET": SECRET}


@contextmanager
def ours_behind_granian(base: Base) -> Iterator[Server]:
    command = [sys.executable, "-m", "bench.behind_granian"]
    with running(command, {"DATABASE_URL": base.url}) as (process, log):
        server = Server(process, printed_address(process, log), TOKEN)
        answering(server, log)
        yield server


@contextmanager
def reference(base: Base) -> Iterator[Server]:
    """The reference behind uvicorn with its fast parts, one worker."""
    url = urlunsplit(urlsplit(base.url)._replace(scheme="postgresql+asyncpg"))
    port = free_port()
    with running([*uvicorn(port), "bench.reference.app:app"], {"REFERENCE_DATABASE_URL": url}) as (
        process,
        log,
    ):
        server = Server(process, f"http://127.0.0.1:{port}")
        answering(server, log)
        yield server


def uvicorn(port: int) -> list[str]:
    options = f"--port {port} --loop uvloop --http httptools --workers 1"
    return [sys.executable, "-m", "uvicorn", *options.split(), "--no-access-log",
            "--log-level", "warning"]  # fmt: skip


@contextmanager
def running(
    command: list[str], environment: Mapping[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Start it with its output in a file, away from any .env; end it whatever happens."""
    with tempfile.TemporaryDirectory(prefix="pullse-bench-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=clean(environment),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            yield process, log
        finally:
            end(process)


def clean(environment: Mapping[str, str]) -> dict[str, str]:
    """This process's own, without what concerns pullse, and with `environment`."""
    own = {name: value for name, value in os.environ.items()
           if not name.startswith(("PULLSE_", "ABLY_", "SUPABASE_", "DATABASE_"))
           and name != "PORT"}  # fmt: skip
    return {**own, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environment}


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


def printed_address(process: subprocess.Popen[bytes], log: Path) -> str:
    """The address in the line that `pullse` prints once it serves."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        if found := re.search(r"http://[^\s/:]+:\d+", log.read_text()):
            return found[0]
        time.sleep(0.05)
    raise Failed(f"pullse did not start:\n{log.read_text()}")


def answering(server: Server, log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and server.process.poll() is None:
        try:
            server.get("/api/tickets?limit=1")
        except (URLError, ConnectionError):
            time.sleep(0.05)
        else:
            return
    raise Failed(f"The server did not start:\n{log.read_text()}")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
