"""A small HTTP/1.1 client on asyncio streams: cheap enough to time milliseconds with."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

from bench.load import Failed
from bench.servers import Server

LINE_AT_MOST = 1 << 20


class Connection:
    """One keep-alive connection, one request at a time."""

    def __init__(self, server: Server) -> None:
        url = urlsplit(server.url)
        self.host, self.port = url.hostname, url.port
        self.head = f"Host: {url.netloc}\r\n"
        if server.token:
            self.head += f"Authorization: Bearer {server.token}\r\n"

    async def open(self) -> "Connection":
        self.reader, self.writer = await asyncio.open_connection(
            self.host, self.port, limit=LINE_AT_MOST
        )
        return self

    async def close(self) -> None:
        self.writer.close()
        await asyncio.wait({asyncio.ensure_future(self.writer.wait_closed())}, timeout=5)

    def send(self, method: str, path: str, body: Any = None, *, accept: str = "*/*") -> None:
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\n{self.head}Accept: {accept}\r\n"
        if content:
            head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        self.writer.write(head.encode() + b"\r\n" + content)

    async def answer(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the answer that comes next."""
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = (line.split(":", 1) for line in lines[1:] if line)
        return int(lines[0].split(" ")[1]), {name.lower(): value.strip() for name, value in fields}

    async def call(self, method: str, path: str, body: Any = None) -> bytes:
        """The answer's body; raises unless it is a 2xx."""
        self.send(method, path, body)
        status, headers = await self.answer()
        content = await self.reader.readexactly(int(headers["content-length"]))
        if status // 100 != 2:
            raise Failed(f"{method} {path}: {status} {content[:300]!r}")
        return content

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body of an answer that goes on for ever."""
        while size := int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16):
            yield await self.reader.readexactly(size)
            await self.reader.readexactly(2)


async def events(connection: Connection, path: str) -> AsyncIterator[dict[str, Any]]:
    """The data of each Server-Sent Event; the first thing yielded is {} once the stream is open."""
    connection.send("GET", path, accept="text/event-stream")
    status, _ = await connection.answer()
    if status != 200:
        raise Failed(f"GET {path}: {status}")
    yield {}
    pending = b""
    async for chunk in connection.chunks():
        pending += chunk
        *whole, pending = pending.split(b"\n\n")
        for event in whole:
            data = [line[5:] for line in event.split(b"\n") if line.startswith(b"data:")]
            if data:
                yield json.loads(b"\n".join(data))
