"""
One statement for many concurrent requests of the same kind.

Items that arrive while a statement is under way wait, and go together in the next one.
An item joins only a statement that has not been sent yet, so what a caller has written
before it asks is seen by what it asks. A refused item never takes others with it: when
a statement fails, its items are tried again one by one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

from pullse.errors import Unavailable
from pullse.kit.db import Database, Db

Item = TypeVar("Item")
Result = TypeVar("Result")
Query = Callable[[Db, Sequence[Item]], Awaitable[Sequence[Result]]]

MOST = 100
AT_ONCE = 2


Waiting = tuple[Any, Hashable, "asyncio.Future[Any]"]
"""An item, its key, and who waits for its result."""


class Loader(Generic[Item, Result]):
    """Collects items for `query`, which answers with one result for each, in their order."""

    def __init__(self, database: Database, query: Query[Item, Result]) -> None:
        self._database = database
        self._query = query
        self._waiting: list[Waiting] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._called = False

    def load(self, item: Item, key: Hashable = None) -> Awaitable[Result]:
        """Of several items with one key, each goes in a statement of its own, in their order."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((item, key, future))
        if not self._called and len(self._under_way) < AT_ONCE:
            self._called = True
            loop.call_soon(self._send)
        return future

    def _send(self) -> None:
        self._called = False
        while self._waiting and len(self._under_way) < AT_ONCE:
            task = asyncio.ensure_future(self._run(self._take()))
            self._under_way.add(task)
            task.add_done_callback(self._done)

    def _take(self) -> list[Waiting]:
        batch: list[Waiting] = []
        rest: list[Waiting] = []
        keys: set[Hashable] = set()
        for each in self._waiting:
            key = each[1]
            if len(batch) == MOST or (key is not None and key in keys):
                rest.append(each)
            else:
                batch.append(each)
                keys.add(key)
        self._waiting = rest
        return batch

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        self._send()

    async def _run(self, batch: list[Waiting]) -> None:
        try:
            async with self._database.session() as db:
                results = await self._query(db, [item for item, _, _ in batch])
            for (_, _, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)
        except Exception as error:  # handed to those who wait
            if len(batch) == 1 or isinstance(error, Unavailable):
                for _, _, future in batch:
                    if not future.done():
                        future.set_exception(error)
            else:
                for single in batch:
                    await self._run([single])


def gather(
    database: Database, query: Query[Item, Result], item: Item, *, key: Hashable = None
) -> Awaitable[Result]:
    """Answer `query` for `item` together with all who ask the same query of this database."""
    loader = database.loaders.get(query)
    if loader is None:
        loader = database.loaders[query] = Loader(database, query)
    found: Awaitable[Result] = loader.load(item, key)
    return found
