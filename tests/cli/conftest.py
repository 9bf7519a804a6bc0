"""The commands run in this process: settings are the test's own, logging is as it was after."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pullse.cli import main
from tests.cli.program import OURS
from tests.cli.settling import settled_at

Pullse = Callable[..., Result]
On = Callable[..., Awaitable[str]]


@pytest.fixture
def pullse(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Pullse]:
    """Runs a command with exactly these settings."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    for name in list(os.environ):
        if name.startswith(OURS) or name == "PORT":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(*words: object, **settings: str) -> Result:
        result = CliRunner().invoke(main, [str(word) for word in words], env=settings)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "Traceback" not in result.output
        return result

    yield run
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def pullse_on(pullse: Pullse, database_url: str) -> On:
    """Runs a command on a fresh, migrated database and gives what it said."""

    async def run(*words: object, code: int | None = 0, is_empty: bool = False) -> str:
        if not is_empty:
            await settled_at(database_url)
        done = await asyncio.to_thread(pullse, *words, DATABASE_URL=database_url)
        assert code is None or done.exit_code == code, done.output
        return done.output.strip()

    return run
