"""A client of an event stream, in this process: it takes what is sent, or does not."""

import asyncio
import json
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

from pullse.gateway.keys import DEV_KEY
from pullse.gateway.rest import Rest

PATIENCE = 10.0


@dataclass
class Event:
    """As an EventSource gives it: `id` is the last one that was seen."""

    id: str
    name: str
    data: str

    @property
    def content(self) -> Any:
        return json.loads(self.data)


@dataclass
class Reader:
    """`async with Reader(rest, channels="a") as reader: await reader.event()`."""

    rest: Rest
    query: dict[str, Any]
    path: str = "/sse"
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 0
    answered: dict[str, str] = field(default_factory=dict)
    last_id: str = ""
    comments: int = 0
    is_over: bool = False

    def __post_init__(self) -> None:
        self._sent: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._text = ""
        self._gone = asyncio.Event()
        self.reads = asyncio.Event()
        self.reads.set()
        self._head = asyncio.Event()

    async def __aenter__(self) -> "Reader":
        query = {"v": "1.2", **self.query}
        if not {"key", "accessToken"} & query.keys() and "authorization" not in self.headers:
            query["key"] = DEV_KEY.text
        scope = {
            "type": "http",
            "method": "GET",
            "scheme": "http",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": urlencode({k: v for k, v in query.items() if v is not None}).encode(),
            "headers": [(k.lower().encode(), v.encode()) for k, v in self.headers.items()],
        }
        self.task = asyncio.create_task(self.rest(scope, self._receive, self._send))
        async with asyncio.timeout(PATIENCE):
            await self._head.wait()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._gone.set()
        async with asyncio.timeout(PATIENCE):
            await self.task

    async def _receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.answered = {k.decode(): v.decode() for k, v in message["headers"]}
            self._head.set()
            return
        await self.reads.wait()
        self._sent.put_nowait(message["body"])
        if not message.get("more_body"):
            self._sent.put_nowait(None)

    async def whole(self) -> Any:
        """The body of what is no stream."""
        body = b""
        while (piece := await self._sent.get()) is not None:
            body += piece
        return json.loads(body)

    async def block(self, end: str = "\n\n") -> str | None:
        """The next block, or line; None when there are no more."""
        async with asyncio.timeout(PATIENCE):
            while end not in self._text:
                piece = None if self.is_over else await self._sent.get()
                if piece is None:
                    self.is_over = True
                    return None
                self._text += piece.decode()
        found, _, self._text = self._text.partition(end)
        return found

    async def event(self) -> Event:
        """The next event, as the standard has it."""
        while True:
            block = await self.block()
            assert block is not None, "the stream is over"
            name, data = "message", []
            for line in block.split("\n"):
                key, _, value = line.partition(":")
                value = value.removeprefix(" ")
                match key:
                    case "id":
                        self.last_id = value
                    case "event":
                        name = value
                    case "data":
                        data.append(value)
                    case "":
                        self.comments += 1
            if data:
                return Event(self.last_id, name, "\n".join(data))

    async def events(self, count: int) -> list[Event]:
        return [await self.event() for _ in range(count)]

    async def line(self) -> Any:
        """The next line that is not empty."""
        while True:
            line = await self.block("\n")
            assert line is not None, "the stream is over"
            if line:
                return json.loads(line)

    async def data(self, count: int) -> list[Any]:
        """What the next messages say."""
        return [each.content.get("data") for each in await self.events(count)]

    async def nothing(self, seconds: float = 0.15) -> bool:
        """Does nothing more come?"""
        await asyncio.sleep(seconds)
        return self._sent.empty() and not self._text

    async def opened(self) -> str:
        """The id with which it began."""
        block = await self.block()
        assert block is not None
        self.last_id = block.rpartition("id: ")[2]
        return self.last_id

    async def over(self) -> bool:
        """Does it end?"""
        while await self.block() is not None:
            pass
        return True
