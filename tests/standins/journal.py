"""
The messages that the stand-in has accepted, in order, each once by channel and id.

A message is in the file before it is acknowledged, so kill -9 loses none that was.
"""

import json
import os
from pathlib import Path
from typing import Any


class Journal:
    def __init__(self, file: Path) -> None:
        self.messages: list[dict[str, Any]] = []
        self.repeats = 0
        self._serials: dict[tuple[str, str], str] = {}
        whole = file.read_bytes() if file.exists() else b""
        whole = whole[: whole.rfind(b"\n") + 1]  # half a line was never acknowledged
        for line in whole.splitlines():
            self._keep(json.loads(line))
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.ftruncate(self._file, len(whole))

    def add(self, message: dict[str, Any]) -> str:
        """Its serial; that of the first one when its id was published before."""
        known = self._serials.get((message["channel"], message["id"]))
        if known is not None:
            self.repeats += 1
            return known
        message = message | {"serial": f"{len(self.messages):014d}-000@standin:000"}
        os.write(self._file, json.dumps(message).encode() + b"\n")
        self._keep(message)
        return str(message["serial"])

    def clear(self) -> None:
        os.ftruncate(self._file, 0)
        self.messages, self.repeats, self._serials = [], 0, {}

    def _keep(self, message: dict[str, Any]) -> None:
        self.messages.append(message)
        self._serials[message["channel"], message["id"]] = message["serial"]
