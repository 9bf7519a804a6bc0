"""Node with the clients from npm: whether it can run here, and how to talk to a script."""

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

FOLDER = Path(__file__).parent
MODULES = FOLDER / "node_modules"
LOCK = FOLDER / "package-lock.json"
STAMP = MODULES / ".pullse-stamp"


def unable(why: str) -> NoReturn:
    """Skip, saying why; in CI, where everything is there, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def install(folder: Path = FOLDER) -> None:
    """What package-lock.json names, into node_modules, once for all workers of a run."""
    lock_file, stamp = folder / LOCK.name, folder / MODULES.name / STAMP.name
    for command in ("node", "npm"):
        if shutil.which(command) is None:
            unable(f"{command} is not there. On Debian: apt-get install nodejs npm")
    wanted = hashlib.sha256(lock_file.read_bytes()).hexdigest()
    with lock_file.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == wanted:
            return
        done = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=110,
        )
        if done.returncode:
            unable(f"npm ci did not succeed:\n{done.stderr[-2000:]}")
        stamp.write_text(wanted)


class Script:
    """A scenario of js/ that runs. It tells things by name; the last is its result."""

    def __init__(self, process: asyncio.subprocess.Process, complaints: Path) -> None:
        self.process = process
        self.complaints = complaints

    async def tells(self, name: str, patience: float = 30) -> Any:
        """The next thing of that name; others before it are passed over."""
        assert self.process.stdout
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while line := await self.process.stdout.readline():
                    told = json.loads(line)
                    if told["name"] == name:
                        return told["value"]
                    if told["name"] == "error":
                        raise AssertionError(f"the script failed: {told['value']}")
        raise AssertionError(f"it did not tell {name}:\n{self.complaints.read_text()[-3000:]}")

    async def result(self, patience: float = 30) -> Any:
        return await self.tells("result", patience)

    def say(self, word: str, value: Any = None) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"name": word, "value": value}).encode() + b"\n")

    def kill(self) -> None:
        """As if its machine had lost its power: nothing is closed in order."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()


@asynccontextmanager
async def script(file: str, scenario: str, **given: Any) -> AsyncIterator[Script]:
    """`js/<file>.mjs` exports the scenario, a function of `given`."""
    with tempfile.TemporaryDirectory(prefix="pullse-test-") as here:
        complaints = Path(here) / "stderr"
        with complaints.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *("node", str(FOLDER / "js" / "run.mjs"), file, scenario, json.dumps(given)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
                limit=1 << 26,
            )
        running = Script(process, complaints)
        try:
            yield running
        finally:
            running.kill()
            await process.communicate()


async def played(file: str, scenario: str, *, patience: float = 30, **given: Any) -> Any:
    """The result of a scenario that needs nothing from us while it runs."""
    async with script(file, scenario, **given) as running:
        return await running.result(patience)
