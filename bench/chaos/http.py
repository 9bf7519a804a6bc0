"""One HTTP/1.1 connection that may break at any moment, and says so."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

ANSWER_WITHIN = 20.0
BROKEN = (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError)
"""What a call raises when the server went away before its answer was whole."""


class NotSent(ConnectionError):
    """Nobody was there: what was to be sent was certainly not done."""


class Connection:
    """Opens itself when it is needed and closes itself when a call does not end well."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and JSON. Raises one of BROKEN, and then nobody knows whether it was done."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                status, fields, reader = await self._send(method, path, body, headers or {})
                content = await reader.readexactly(int(fields["content-length"]))
        except BaseException:
            self.close()
            raise
        return status, json.loads(content)

    async def lines(self, path: str, headers: dict[str, str]) -> AsyncIterator[str]:
        """The lines of an answer that goes on for ever, without those a cut left unfinished."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                status, _, reader = await self._send("GET", path, None, headers)
            if status != 200:
                raise ValueError(f"GET {path}: {status}")
            pending = b""
            while True:
                size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
                if not size:
                    return
                *whole, pending = (pending + await reader.readexactly(size)).split(b"\n")
                await reader.readexactly(2)
                for line in whole:
                    yield line.decode()
        finally:
            self.close()

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _send(
        self, method: str, path: str, body: Any, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], asyncio.StreamReader]:
        if self._streams is None:
            try:
                opening = asyncio.open_connection("127.0.0.1", self._port, limit=1 << 24)
                self._streams = await opening
            except OSError as error:
                raise NotSent from error
        reader, writer = self._streams
        content = b"" if body is None else json.dumps(body).encode()
        fields = {"Host": f"127.0.0.1:{self._port}", "Content-Length": str(len(content)), **headers}
        if content:
            fields["Content-Type"] = "application/json"
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        split = (line.partition(":") for line in lines[1:] if line)
        return int(lines[0].split(" ")[1]), {n.lower(): v.strip() for n, _, v in split}, reader


async def whole_list(connection: Connection, path: str) -> list[Any]:
    """All records of a list or of the feed, page by page."""
    found: list[Any] = []
    cursor, name = "", "after" if "events" in path else "cursor"
    while True:
        query = f"limit=200&{name}={cursor}" if cursor else "limit=200"
        status, body = await connection.call("GET", f"{path}?{query}")
        if status != 200:
            raise ValueError(f"GET {path}: {status} {body}")
        found += body["data"]["records"]
        cursor = body["data"]["next_cursor"]
        if cursor is None:
            return found
