"""One WebSocket connection that publishes to our gateway, and hears when that is safe."""

import json
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from bench.gateways.ours import FREE, Ours
from bench.load import Failed
from bench.subscribers import HANDSHAKE, client_frame, marked

CONNECTED, ACKNOWLEDGED, REFUSED = b'"action":4,', b'{"action":1,', b'{"action":2,'
PATIENCE = 30.0

Moments = dict[int, float]
"""By the number of a message, in seconds of the machine's clock."""


class Publisher:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.serial = 0
        self.tail = b""

    def publish(self, numbers: Sequence[int], *, at_once: int) -> tuple[Moments, Moments]:
        """With so many under way at most; when each was sent, and when acknowledged."""
        sent: Moments = {}
        acknowledged: Moments = {}
        while len(acknowledged) < len(numbers):
            frames = b""
            for number in numbers[len(sent) : len(acknowledged) + at_once]:
                frames += self.message(text(number))
                sent[number] = time.monotonic()
            if frames:
                self.sock.sendall(frames)
            for _ in range(self.acknowledged()):
                acknowledged[numbers[len(acknowledged)]] = time.monotonic()
        return sent, acknowledged

    def say(self, text: str) -> None:
        """One message; returns when it is acknowledged."""
        self.sock.sendall(self.message(text))
        while not self.acknowledged():
            pass

    def message(self, text: str) -> bytes:
        messages = [{"name": "note", "data": text}]
        frame = {"action": 15, "channel": FREE, "msgSerial": self.serial, "messages": messages}
        self.serial += 1
        return client_frame(json.dumps(frame))

    def acknowledged(self) -> int:
        """How many more; they come in order, one for each frame."""
        data = self.tail + self.sock.recv(1 << 16)
        if REFUSED in data or data == self.tail:
            raise Failed(f"A publish was not acknowledged: {data[:300]!r}")
        self.tail = data[-len(ACKNOWLEDGED) + 1 :]
        return data.count(ACKNOWLEDGED)


@contextmanager
def publisher(own: Ours) -> Iterator[Publisher]:
    url = urlsplit(own.server.url)
    with socket.create_connection((url.hostname, url.port), timeout=PATIENCE) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(HANDSHAKE.format(path=own.path, host=url.netloc).encode())
        data = b""
        while CONNECTED not in data:
            more = sock.recv(1 << 16)
            if not more:
                raise Failed(f"The publisher could not connect: {data[:300]!r}")
            data += more
        yield Publisher(sock)


def text(number: int) -> str:
    """A hundred characters."""
    return f"{marked(number)} ".ljust(100, ".")


def on_time(
    publish: Callable[[str], None], numbers: Sequence[int], *, rate: float
) -> tuple[Moments, Moments]:
    """When each message was due, whatever the answers did, and when it was answered."""
    due: Moments = {}
    answered: Moments = {}
    started = time.monotonic()
    for position, number in enumerate(numbers):
        due[number] = started + position / rate
        time.sleep(max(0.0, due[number] - time.monotonic()))
        publish(text(number))
        answered[number] = time.monotonic()
    return due, answered
