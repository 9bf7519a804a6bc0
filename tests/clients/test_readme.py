"""The README's tour of real time, run as it is written: both programs, and the change by curl."""

import asyncio
import re
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.clients import javascript
from tests.test_docs import CONSOLE, ROOT, parts, run

TOUR = (ROOT / "README.md").read_text().partition("## Real time")[2].partition("\n## ")[0]


def block(language: str, number: int = 0) -> str:
    return re.findall(rf"```{language}\n(.*?)```", TOUR, re.DOTALL)[number]


@asynccontextmanager
async def listening(*command: str) -> AsyncIterator[asyncio.StreamReader]:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout
    try:
        yield process.stdout
    finally:
        process.kill()
        await process.wait()


async def shows(reader: asyncio.StreamReader, expected: str) -> None:
    """`…` in what is shown stands for anything."""
    shown = ""
    pattern = ".*".join(re.escape(piece) for piece in expected.split("…"))
    async with asyncio.timeout(30):
        while shown.count("\n") < expected.count("\n"):
            line = (await reader.readline()).decode()
            assert line, shown
            shown += line
    assert re.fullmatch(pattern, shown, re.DOTALL), shown


@pytest.mark.skipif(not shutil.which("curl"), reason="the change is made by curl")
@pytest.mark.parametrize("language", ["js", "python"])
async def test_the_tour_shows_what_the_readme_says(
    language: str, live: httpx.AsyncClient, tmp_path: Path
) -> None:
    port = str(live.base_url.port)
    program = tmp_path / {"js": "tour.mjs", "python": "tour.py"}[language]
    program.write_text(block(language).replace("3000", port))
    command = sys.executable
    if language == "js":
        javascript.install()
        (tmp_path / "node_modules").symlink_to(javascript.MODULES)
        command = "node"
    expected = block("text", ["js", "python"].index(language))
    begin, rest = expected.split("\n", 1)
    ticket = {"title": "Wrong address", "description": "Our old street.", "priority": "high"}
    await live.post("/api/tickets", json=ticket | {"status": "resolved"})

    async with listening(command, str(program)) as reader:
        await shows(reader, begin + "\n")
        ((change, answer),) = [each for console in CONSOLE.findall(TOUR) for each in parts(console)]
        answered = await run(change.replace("localhost:3000", f"localhost:{port}"))
        assert re.fullmatch(".*".join(map(re.escape, answer.split("…"))), answered), answered
        await shows(reader, rest)
