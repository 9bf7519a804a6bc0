"""`pullse` as a process of its own, always ended, and what can be seen of it from outside."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "a-token-of-more-than-twenty-characters"
AUTHORIZED = {"authorization": f"Bearer {TOKEN}"}
OURS = ("PULLSE_", "ABLY_", "SUPABASE_", "DATABASE_")


def environment(**more: str) -> dict[str, str]:
    """Ours without any setting of whoever runs the tests."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(OURS) and name != "PORT"
    }
    return {**clean, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-P", "-m", "pullse", *map(str, words)]


def run(
    *words: str | Path, folder: Path | str = "/", **settings: str
) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(
        command(*words),
        env=environment(**settings),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


class Program:
    """A command that goes on until it is stopped."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self.log = log
        self.seen: set[tuple[int, str]] = set()

    @property
    def said(self) -> str:
        return self.log.read_text()

    async def says(self, pattern: str, patience: float = 30.0) -> str:
        until = time.monotonic() + patience
        while time.monotonic() < until:
            if found := re.search(pattern, self.said):
                self.look()
                return found[0]
            if self.process.poll() is not None:
                break
            await asyncio.sleep(0.02)
        raise AssertionError(f"it did not say {pattern}:\n{self.said}")

    async def url(self) -> str:
        await self.says(r"API  +http")
        return await self.says(r"http://[^\s/]+:\d+")

    def look(self) -> set[tuple[int, str]]:
        """Note and return all processes that it has started and that run."""
        self.seen |= descendants(self.process.pid)
        return {each for each in self.seen if born(each[0]) == each[1]}

    async def end(self, number: int = signal.SIGTERM, patience: float = 20.0) -> tuple[int, float]:
        """Its exit code, and how many seconds it took to end."""
        self.look()
        started = time.monotonic()
        self.process.send_signal(number)
        return await self.ended(patience), time.monotonic() - started

    async def ended(self, patience: float = 20.0) -> int:
        until = time.monotonic() + patience
        while self.process.poll() is None:
            assert time.monotonic() < until, f"it goes on:\n{self.said}"
            await asyncio.sleep(0.01)
        return self.process.returncode

    async def all_gone(self, patience: float = 5.0) -> None:
        """It and what it started ends in that time."""
        until = time.monotonic() + patience
        while left := self.look():
            assert time.monotonic() < until, f"still there: {[told(pid) for pid, _ in left]}"
            await asyncio.sleep(0.02)


@contextmanager
def running(
    *words: str | Path, folder: Path | str | None = None, **settings: str
) -> Iterator[Program]:
    """In an empty folder, so that no `.env` of ours is read."""
    with tempfile.TemporaryDirectory(prefix="pullse-test-") as here:
        log = Path(here) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command(*words),
                env=environment(**settings),
                cwd=folder or here,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        program = Program(process, log)
        try:
            yield program
        finally:
            if process.poll() is None:
                program.look()
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(10)
            for pid, start in program.seen:
                if born(pid) == start:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            if process.poll() is None:
                process.kill()
            process.wait()


def descendants(pid: int) -> set[tuple[int, str]]:
    """Children, their children and so on, with their times of birth: numbers are used again."""
    found = set()
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found |= {(int(child), born(int(child))), *descendants(int(child))}
    return {each for each in found if each[1]}


def born(pid: int) -> str:
    """Empty when it does not run, also when it only waits to be buried."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def told(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return str(pid)


def resident(pid: int) -> int:
    """Megabytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    assert found
    return int(found[1]) // 1024


def holder(local: int, remote: int, pids: list[int]) -> int | None:
    """Which of these processes has the connection between these ports?"""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        here, there, *rest = line.split()[1:]
        if (int(here[-4:], 16), int(there[-4:], 16)) != (local, remote):
            continue
        for pid in pids:
            for file in Path(f"/proc/{pid}/fd").glob("*"):
                with suppress(OSError):
                    if str(file.readlink()) == f"socket:[{rest[6]}]":
                        return pid
    return None
