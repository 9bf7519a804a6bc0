"""
Thousands of WebSocket clients in one process, as lean as Python allows: epoll and no event loop.

`python -m bench.subscribers HOST PORT` takes one order a line, as JSON, and answers each with
one. It understands only what it needs of what it gets: where a frame ends, and the number
after `bench:` in it. A clock that all processes of the machine share tells when.
"""

import collections
import json
import re
import resource
import select
import socket
import sys
import time
from typing import Any

MARK = b"bench:"
DIGITS = 7
HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
KEY = re.compile(rb'"connectionKey":"([^"]+)"')
SERIAL = re.compile(rb'"channelSerial":"([^"]+)"')
PATIENCE = 60.0


def marked(number: int) -> str:
    """What a message has to have in it somewhere."""
    return f"{MARK.decode()}{number:0{DIGITS}}"


def client_frame(text: str) -> bytes:
    """A text frame from a client; masked with zeros, which leaves it as it is."""
    data = text.encode()
    size = len(data)
    if size < 126:
        return bytes([0x81, 0x80 | size]) + b"\0\0\0\0" + data
    return b"\x81\xfe" + size.to_bytes(2, "big") + b"\0\0\0\0" + data


class Subscriber:
    """One client: first it works through the steps, then it only counts."""

    __slots__ = ("buffer", "had", "hello", "key", "last", "sock", "steps")

    def __init__(self) -> None:
        self.sock: socket.socket
        self.hello = b""
        self.steps: list[tuple[bytes, str]] = []
        self.buffer = b""
        self.last = 0
        self.had = b""
        """The frame that its channelSerial is in."""
        self.key = ""


class Crowd:
    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.epoll = select.epoll()
        self.members: dict[int, Subscriber] = {}
        self.ready = 0
        self.lost = 0
        self.replies: dict[bytes, bytes] = {}
        self.forget()

    def forget(self) -> None:
        self.counts: dict[int, int] = collections.defaultdict(int)
        self.first: dict[int, float] = {}
        self.latest: dict[int, float] = {}
        self.disorder = 0
        self.since = time.monotonic(), time.process_time()

    # Orders

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        match order.pop("do"):
            case "open":
                return self.open(**order)
            case "again":
                return self.again(**order)
            case "count":
                return {"count": sum(self.counts.values()), "lost": self.lost}
            case "report":
                return self.report()
            case "forget":
                self.forget()
        return {}

    def open(
        self, count: int, path: str, steps: list[tuple[str, str]], replies: dict[str, str]
    ) -> dict[str, Any]:
        """
        That many more. Each waits for the one text of a step, then sends the other.

        Answers with the seconds until all have done all steps.
        """
        self.replies = {name.encode(): client_frame(text) for name, text in replies.items()}
        given = [(awaited.encode(), text) for awaited, text in steps]
        return self.connect([(Subscriber(), path, given) for _ in range(count)])

    def again(self, path: str, steps: list[tuple[str, str]]) -> dict[str, Any]:
        """All are cut and come back with what they had: {key} and {serial} are filled in."""
        members = list(self.members.values())
        for each in members:
            each.sock.close()
        self.members = {}
        self.ready = 0
        wanted = []
        for each in members:
            serials = SERIAL.findall(each.had)
            serial = serials[-1].decode() if serials else ""
            given = [
                (awaited.encode(), text.replace("{serial}", serial)) for awaited, text in steps
            ]
            wanted.append((each, path.replace("{key}", each.key), given))
        return self.connect(wanted)

    def connect(self, wanted: list[tuple[Subscriber, str, Any]]) -> dict[str, Any]:
        started = time.monotonic()
        total = self.ready + len(wanted)
        for member, path, steps in wanted:
            self.dial(member, path, steps)
        while self.ready < total and not self.lost and time.monotonic() < started + PATIENCE:
            self.turn(1.0)
        return {
            "attached": self.ready,
            "lost": self.lost,
            "seconds": time.monotonic() - started,
        }

    def dial(self, member: Subscriber, path: str, steps: Any) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex((self.host, self.port))
        member.sock, member.steps = sock, steps
        member.hello = HANDSHAKE.format(path=path, host=f"{self.host}:{self.port}").encode()
        self.members[sock.fileno()] = member
        self.epoll.register(sock.fileno(), select.EPOLLOUT)

    def report(self) -> dict[str, Any]:
        """By number: how many have had it, when the first, when the last. `share` is of a core."""
        since, used = self.since
        return {
            "messages": {
                number: (self.counts[number], self.first[number], self.latest[number])
                for number in self.counts
            },
            "disorder": self.disorder,
            "lost": self.lost,
            "share": (time.process_time() - used) / (time.monotonic() - since),
        }

    # Frames

    def turn(self, timeout: float) -> bool:
        """Take what has come; False when there is an order."""
        is_free = True
        for fd, _ in self.epoll.poll(timeout, 1024):
            if fd == 0:
                is_free = False
                continue
            member = self.members[fd]
            try:
                if member.hello:
                    member.sock.send(member.hello)
                    member.hello = b""
                    self.epoll.modify(fd, select.EPOLLIN)
                    continue
                data = member.sock.recv(4096)
            except OSError:
                data = b""
            if not data:
                self.lost += 1
                member.sock.close()
                del self.members[fd]
            elif member.steps:
                self.advance(member, data)
            else:
                self.take(member, data)
        return is_free

    def advance(self, member: Subscriber, data: bytes) -> None:
        """The steps are looked for in the bytes, wherever frames begin."""
        member.buffer += data
        while member.steps:
            awaited, text = member.steps[0]
            at = member.buffer.find(awaited)
            if at < 0:
                return
            if found := KEY.search(member.buffer):
                member.key = found[1].decode()
            member.steps = member.steps[1:]
            if text:
                member.sock.send(client_frame(text))
        member.had, member.buffer = member.buffer, b""
        self.ready += 1

    def take(self, member: Subscriber, data: bytes) -> None:
        if member.buffer:
            data = member.buffer + data
            member.buffer = b""
        while True:
            size = data[1] + 2 if len(data) > 1 else 2
            if size == 128:
                size = int.from_bytes(data[2:4], "big") + 4
            if size > len(data):
                member.buffer = data
                return
            at = data.find(MARK, 0, size)
            if at >= 0:
                member.had = data
                self.note(member, int(data[at + 6 : at + 6 + DIGITS]))
            elif (reply := self.replies.get(data[2:size])) is not None:
                member.sock.send(reply)
            if size == len(data):
                return
            data = data[size:]

    def note(self, member: Subscriber, number: int) -> None:
        now = time.monotonic()
        if number != member.last + 1:
            self.disorder += 1
        member.last = number
        count = self.counts[number]
        if not count:
            self.first[number] = now
        self.counts[number] = count + 1
        self.latest[number] = now


def main() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    crowd = Crowd(sys.argv[1], int(sys.argv[2]))
    crowd.epoll.register(0, select.EPOLLIN)
    while True:
        if not crowd.turn(-1):
            line = sys.stdin.readline()
            if not line:
                return
            print(json.dumps(crowd.obey(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
