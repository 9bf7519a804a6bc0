"""
Debian's Firefox, led by WebDriver BiDi (https://w3c.github.io/webdriver-bidi/), which it speaks
by itself: Playwright would need a Firefox of its own.
"""

import asyncio
import json
import os
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.clients.javascript import unable

PROGRAM = "firefox-esr"
LISTENING = b"WebDriver BiDi listening on "
PATIENCE = 30
"""Seconds."""

NAMED = {
    "Shift": "\ue008",
    "Control": "\ue009",
    "Tab": "\ue004",
    "Enter": "\ue006",
    "Escape": "\ue00c",
    "End": "\ue010",
    "ArrowLeft": "\ue012",
    "ArrowRight": "\ue014",
    "ArrowDown": "\ue015",
}
"""https://w3c.github.io/webdriver/#keyboard-actions"""


class Firefox:
    """One window of it; `complaints` is what it had to say against pages."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._said = 0
        self._window = ""
        self.complaints: list[str] = []

    async def open(self) -> None:
        await self._ask("session.new", capabilities={})
        await self._ask("session.subscribe", events=["log.entryAdded"])
        # One that is made has the focus; the first has none, and no button takes Enter there.
        self._window = (await self._ask("browsingContext.create", type="tab"))["context"]

    async def goto(self, url: str) -> None:
        await self._ask("browsingContext.navigate", context=self._window, url=url, wait="complete")

    async def asked(self, question: str) -> Any:
        """The answer to some JavaScript: a text, a number, true or false; none is None."""
        target = {"context": self._window}
        answer = await self._ask(
            "script.evaluate", expression=question, target=target, awaitPromise=True
        )
        assert answer["type"] == "success", answer
        return answer["result"].get("value")

    async def until(self, question: str, expected: Any = True) -> None:
        """On whatever page one is by then."""
        found = None
        for _ in range(PATIENCE * 10):
            try:
                found = await self.asked(question)
            except (AssertionError, LookupError) as error:
                found = error
            if found == expected:
                return
            await asyncio.sleep(0.1)
        assert found == expected, f"{question} is {found!r}"

    async def keys(self, *names: str) -> None:
        """`Control+k` is both at once."""
        actions = []
        for name in names:
            held = [NAMED.get(each, each) for each in (name.split("+") if name != "+" else name)]
            actions += [{"type": "keyDown", "value": each} for each in held]
            actions += [{"type": "keyUp", "value": each} for each in reversed(held)]
        board = {"type": "key", "id": "board", "actions": actions}
        await self._ask("input.performActions", context=self._window, actions=[board])

    async def type_(self, text: str) -> None:
        await self.keys(*text)

    async def _ask(self, method: str, **given: Any) -> Any:
        self._said += 1
        await self._socket.send(json.dumps({"id": self._said, "method": method, "params": given}))
        async with asyncio.timeout(PATIENCE):
            while True:
                heard = json.loads(await self._socket.recv())
                if heard.get("method") == "log.entryAdded":
                    self._note(heard["params"])
                if heard.get("id") == self._said:
                    break
        if heard["type"] == "error":
            raise LookupError(f"{method}: {heard['error']}: {heard['message']}")
        return heard["result"]

    def _note(self, entry: dict[str, Any]) -> None:
        if entry["level"] in ("error", "warn"):
            self.complaints.append(entry["text"])


@asynccontextmanager
async def firefox(folder: Path) -> AsyncIterator[Firefox]:
    """It keeps what it has to keep in `folder`."""
    path = shutil.which(PROGRAM)
    if path is None:
        unable(f"{PROGRAM} is not there. On Debian: apt-get install {PROGRAM}")
    process = await asyncio.create_subprocess_exec(
        *(path, "--headless", "--no-remote", "--profile", str(folder)),
        *("--remote-debugging-port", "0"),
        env={**os.environ, "HOME": str(folder)},
        stdout=DEVNULL,
        stderr=PIPE,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE):
            while LISTENING not in (line := await process.stderr.readline()):
                assert line, "Firefox ended at once"
        address = line.partition(LISTENING)[2].decode().strip()
        async with connect(f"{address}/session", max_size=None, proxy=None) as socket:
            reading = asyncio.create_task(process.stderr.read())
            opened = Firefox(socket)
            await opened.open()
            yield opened
            reading.cancel()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
