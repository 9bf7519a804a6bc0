"""ably-python in two generations, and how to talk to one of its scenarios."""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.cli.program import ROOT
from tests.clients.javascript import Script, unable

SCENARIOS = Path(__file__).parent / "python" / "scenarios.py"
GENERATIONS = ("2", "3")


def folder(generation: str) -> list[str]:
    """What goes before this environment's own packages: nothing for the newest."""
    if generation == "3":
        return []
    sys.path.insert(0, str(ROOT / "bin"))
    try:
        import environment  # noqa: PLC0415 (not a package)

        return [str(environment.packages("ably2"))]
    except SystemExit as error:
        unable(str(error))
    finally:
        sys.path.remove(str(ROOT / "bin"))


@asynccontextmanager
async def script(generation: str, scenario: str, **given: Any) -> AsyncIterator[Script]:
    """Running; see python/scenarios.py."""
    path = await asyncio.to_thread(folder, generation)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ABLY_")}
    with tempfile.TemporaryDirectory(prefix="pullse-test-") as here:
        complaints = Path(here) / "stderr"
        with complaints.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", str(SCENARIOS), scenario, json.dumps(given)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
                env={**clean, "PYTHONPATH": os.pathsep.join(path)},
                cwd=here,
                limit=1 << 26,
            )
        running = Script(process, complaints)
        try:
            version = await running.tells("version")
            assert version.startswith(f"{generation}."), version
            yield running
        finally:
            running.kill()
            await process.communicate()


async def played(generation: str, scenario: str, *, patience: float = 60, **given: Any) -> Any:
    """The result of a scenario that needs nothing from us while it runs."""
    async with script(generation, scenario, **given) as running:
        return await running.result(patience)
