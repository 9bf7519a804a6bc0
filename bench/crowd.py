"""The process with the subscribers, as the bench gives it orders."""

import json
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from bench import servers
from bench.gateways.model import Gateway, Way
from bench.load import Failed

PATIENCE = 90.0
BUSY = 0.9
"""Of a core: a process that is busier than this would be what is measured."""


class Crowd:
    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self.count = 0
        self.number = 0
        """Of the last message that all should have."""

    def open(self, count: int, way: Way) -> float:
        """So many more; the seconds until the last one was attached."""
        self.count += count
        return self._attached(self._ask(do="open", count=count, **asdict(way)))

    def again(self, way: Way) -> float:
        """All are cut and come back; the seconds until the last one was attached."""
        return self._attached(self._ask(do="again", path=way.path, steps=way.steps))

    def numbers(self, count: int) -> range:
        """Of the messages that are published next; what came before is forgotten."""
        self._ask(do="forget")
        first, self.number = self.number + 1, self.number + count
        return range(first, self.number + 1)

    def received(
        self, numbers: range, *, in_any_order: bool = False
    ) -> dict[int, tuple[float, float]]:
        """When the first had each message, and when the last. Raises unless all have all."""
        due = len(numbers) * self.count
        until = time.monotonic() + PATIENCE
        while (now := self._ask(do="count"))["count"] < due and not now["lost"]:
            if time.monotonic() > until:
                break
            time.sleep(0.2)
        report = self._ask(do="report")
        missed = due - now["count"]
        disorder = 0 if in_any_order else report["disorder"]
        if missed or disorder or report["lost"]:
            raise Failed(
                f"{missed} deliveries missing, {disorder} out of turn, "
                f"{report['lost']} connections lost."
            )
        if report["share"] > BUSY:
            raise Failed(f"The subscribers used {report['share']:.0%} of a core.")
        return {int(number): (first, last)
                for number, (_, first, last) in report["messages"].items()}  # fmt: skip

    def _attached(self, answer: dict[str, Any]) -> float:
        if answer["attached"] != self.count or answer["lost"]:
            raise Failed(f"Of {self.count} subscribers {answer['attached']} were attached.")
        return float(answer["seconds"])

    def _ask(self, **order: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            raise Failed("The subscribers did not answer.")
        found: dict[str, Any] = json.loads(self.process.stdout.readline() or "{}")
        return found


@contextmanager
def crowd(gateway: Gateway, count: int = 0) -> Iterator[Crowd]:
    """Of so many who subscribe as the gateway wants it."""
    url = urlsplit(gateway.url)
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.subscribers", str(url.hostname), str(url.port)],
        cwd=servers.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        found = Crowd(process)
        if count:
            found.open(count, gateway.way)
        yield found
    finally:
        servers.end(process)
