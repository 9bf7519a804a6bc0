"""HTTP/1.1 on asyncio streams, just enough for a stand-in that may also misbehave on the wire."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote_plus, urlsplit


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Response:
    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class Cut(Exception):
    """Close the connection instead of answering, after `sent` was sent."""

    def __init__(self, sent: bytes = b"") -> None:
        super().__init__()
        self.sent = sent


Handle = Callable[[Request], Awaitable[Response]]


async def serve(handle: Handle, port: int, *, tls: ssl.SSLContext | None = None) -> asyncio.Server:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await read(reader)
                writer.write(wire(await handle(request)))
                await writer.drain()
        except Cut as cut:
            writer.write(cut.sent)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(talk, "127.0.0.1", port, ssl=tls)


async def read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    fields = (line.partition(":") for line in head[1:] if line)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    return Request(method, unquote_plus(parts.path), dict(parse_qsl(parts.query)), headers, body)


def wire(response: Response) -> bytes:
    more = "".join(f"{name}: {value}\r\n" for name, value in response.headers)
    head = (
        f"HTTP/1.1 {response.status} .\r\nContent-Type: {response.content_type}\r\n{more}"
        f"Content-Length: {len(response.body)}\r\n\r\n"
    )
    return head.encode() + response.body
