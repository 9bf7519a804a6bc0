"""What the bench needs to know of a gateway: how to subscribe, how to publish, what it costs."""

import http.client
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from bench import memory
from bench.load import Failed

PATIENCE = 30.0
IDLE = 3.0
"""Seconds without a request after which a server may close a connection (Node: 5)."""


class Absent(Exception):
    """This gateway can't be had here; the message is a sentence that says why."""


@dataclass(frozen=True)
class Way:
    """
    How a client subscribes: the path of the WebSocket, then step by step the text that it
    waits for and what it answers. `replies` are to texts that come later.
    """

    path: str
    steps: list[tuple[str, str]]
    replies: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Gateway:
    """A running one. `publish` sends a text to all subscribers and waits for the answer."""

    name: str
    url: str
    pid: int
    way: Way
    publish: Callable[[str], None]

    def cpu_seconds(self) -> float:
        """What its process has used so far, all its threads together."""
        with open(f"/proc/{self.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kilobytes(self) -> float:
        return memory.pss(self.pid) * 1000


class Caller:
    """One keep-alive connection; raises unless the answer is a 2xx."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
        self.headers = {"Content-Type": "application/json", **(headers or {})}
        self.used = 0.0

    def call(self, method: str, path: str, body: Any) -> None:
        if time.monotonic() - self.used > IDLE:
            self.connection.close()  # the next request opens it again
        try:
            self.connection.request(method, path, json.dumps(body).encode(), self.headers)
            response = self.connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as problem:
            raise Failed(f"{method} {path}: {problem!r}") from problem
        self.used = time.monotonic()
        if response.status // 100 != 2:
            raise Failed(f"{method} {path}: {response.status} {content[:300]!r}")
