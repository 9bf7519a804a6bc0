"""A load generator for machines without wrk: keep-alive connections on plain asyncio.

`python -m bench.generator URL SECONDS METHOD FILE HEADER` sends the lines of FILE (path, tab,
body) in turn, each connection one request at a time, and prints one line of JSON. HEADER says
who asks, or is empty.
It understands only answers with a Content-Length, which is all that the measured servers give.
"""

import asyncio
import json
import sys
import time
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvloop

from bench.load import CONNECTIONS


class Tally:
    """What all connections share: the requests to send, and what came of them."""

    def __init__(self, requests: list[bytes], until: float) -> None:
        self.requests = cycle(requests)
        self.until = until
        self.milliseconds: list[float] = []
        self.refused = 0
        self.broken = 0
        self.bytes = 0


class Connection(asyncio.Protocol):
    """Sends, waits for the whole answer, sends the next."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.buffer = b""
        self.sent = 0.0
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        self.sent = time.perf_counter()
        if self.sent >= self.tally.until:
            self.transport.close()
            return
        self.transport.write(next(self.tally.requests))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        start = head.find(b"content-length:")
        if start < 0:
            self.transport.abort()
            return
        length = int(head[start + 15 :].split(b"\r\n", 1)[0])
        if len(self.buffer) < end + 4 + length:
            return
        self.tally.milliseconds.append((time.perf_counter() - self.sent) * 1000)
        self.tally.bytes += len(self.buffer)
        self.tally.refused += head[9:10] != b"2"
        self.buffer = b""
        self.send()

    def connection_lost(self, error: Exception | None) -> None:
        self.tally.broken += time.perf_counter() < self.tally.until
        if not self.closed.done():
            self.closed.set_result(None)


def prepare(host: str, method: str, file: str, header: str) -> list[bytes]:
    head = f"Host: {host}\r\n"
    if header:
        head += f"{header}\r\n"
    if method != "GET":
        head += "Content-Type: application/json\r\n"
    requests = []
    for line in Path(file).read_text().splitlines():
        path, body = line.split("\t", 1)
        length = f"Content-Length: {len(body.encode())}\r\n" if body else ""
        requests.append(f"{method} {path} HTTP/1.1\r\n{head}{length}\r\n{body}".encode())
    return requests


async def run(base: str, seconds: float, requests: list[bytes]) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    url = urlsplit(base)
    started = time.perf_counter()
    tally = Tally(requests, started + seconds)
    connections = [
        (
            await loop.create_connection(
                lambda: Connection(tally), url.hostname or "", url.port or 80
            )
        )[1]
        for _ in range(CONNECTIONS)
    ]
    async with asyncio.timeout(seconds + 30):
        await asyncio.gather(*(connection.closed for connection in connections))
    times = sorted(tally.milliseconds) or [0.0]
    return {
        "requests": len(tally.milliseconds),
        "seconds": time.perf_counter() - started,
        "refused": tally.refused,
        "broken": tally.broken,
        "p50_ms": times[len(times) // 2],
        "p99_ms": times[len(times) * 99 // 100],
        "bytes": tally.bytes,
    }


def main() -> None:
    base, seconds, method, file, header = sys.argv[1:]
    requests = prepare(urlsplit(base).netloc, method, file, header)
    print(json.dumps(uvloop.run(run(base, float(seconds), requests))))


if __name__ == "__main__":
    main()
