"""What `pullse dev` keeps in memory while nothing happens: it, its PostgreSQL and the watcher.

The sum of PSS, which counts memory that processes share once. The processes are found by their
parents and by an environment variable that children inherit, as the server may be detached.
"""

import os
import re
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from bench import data, servers
from bench.load import Failed, Load, drive
from bench.report import Section, Verdict

MOST = 200.0
SETTLE = 10.0
PATIENCE = 10.0
MARK = "BENCH_MARK"


def measure(*, seconds: float, say: Callable[[str], None]) -> Section:
    """After a little use, then `seconds` of rest."""
    mark = str(uuid.uuid4())
    with tempfile.TemporaryDirectory(prefix="pullse-bench-") as folder:
        Path(folder).chmod(0o755)
        command = [sys.executable, "-m", "pullse", "dev", "--port", "0", "--data-dir", folder]
        with servers.running(command, {MARK: mark}) as (process, log):
            url = servers.printed_address(process, log)
            say("a little use, then rest …")
            bodies = data.new_ticket_bodies(200)
            drive(url, Load("POST", [("/api/tickets", body) for body in bodies]), seconds=1)
            drive(url, Load("GET", [("/api/tickets", "")]), seconds=1)
            time.sleep(seconds)
            pids = family(process.pid, f"{MARK}={mark}")
            used = [(name_of(pid), pss(pid)) for pid in pids]
        ended(pids)
    return section(used)


def ended(pids: list[int]) -> None:
    """All of them are gone some seconds after the server was told to stop."""
    until = time.monotonic() + PATIENCE
    while left := [pid for pid in pids if Path(f"/proc/{pid}").exists()]:
        if time.monotonic() > until:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            raise Failed(f"These outlived pullse dev and were killed: {left}")
        time.sleep(0.1)


def family(root: int, mark: str) -> list[int]:
    """The process, all below it, all that carry the mark, and all below those."""
    parents = {pid: parent for pid in processes() if (parent := parent_of(pid)) is not None}
    found = {root} | {pid for pid in parents if mark in environment_of(pid)}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)


def processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def parent_of(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def environment_of(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/environ").read_text(errors="replace").split("\0")
    except OSError:
        return []


def name_of(pid: int) -> str:
    """`postgres` for each of its processes, the module for ours."""
    words = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
    if "postgres:" in words or re.search(r"/bin/postgres\b", words):
        return "PostgreSQL"
    return "watcher" if "watch" in words else "pullse"


def pss(pid: int) -> float:
    """In MB of 10^6 bytes."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(size) for size in re.findall(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)) / 976.5625


def section(used: list[tuple[str, float]]) -> Section:
    names = sorted({name for name, _ in used})
    sizes = {name: [size for each, size in used if each == name] for name in names}
    rows = [(name, str(len(each)), f"{sum(each):.1f} MB") for name, each in sizes.items()]
    total = sum(size for _, size in used)
    rows.append(("together", str(len(used)), f"{total:.1f} MB"))
    verdict = Verdict(f"at rest ≤ {MOST:.0f} MB", f"{total:.1f} MB", total <= MOST)
    return Section("Memory", ("what", "processes", "PSS"), rows, [verdict])
