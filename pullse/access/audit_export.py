"""
The audit trail as a file: rows as the API shows them, one a line (NDJSON), or as CSV.

The newest come first, as on the page. They are read and sent in portions: however many rows
there are and however slowly they are taken, one portion is in memory, and no connection to the
database is held meanwhile. A file that ends before its last row was not sent whole.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from pullse.access import audit, audit_queries
from pullse.access.audit import NAMES, Place
from pullse.access.audit_queries import Span
from pullse.errors import Forbidden, Refusal
from pullse.kit.audit import Entry
from pullse.kit.streams import gone, push
from pullse.kit.web import Receive, Request, Scope, Send, encoded
from pullse.reports import sheets

log = logging.getLogger(__name__)

PORTION = 500
"""Rows; some 250 kB."""
COLUMNS = ("cursor", "at", "name", "actor", "address", "request_id", "data", "hash")
TYPES = {"ndjson": b"application/x-ndjson", "csv": b"text/csv; charset=utf-8"}
RIGHT = "audit:read"


class NewExport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal["ndjson", "csv"]
    name: Annotated[
        Literal[NAMES] | None,  # type: ignore[valid-type]
        Meta(description="Rows of this name only."),
    ] = None
    actor: Annotated[
        Annotated[str, Meta(max_length=200)] | None, Meta(description="What this actor did.")
    ] = None
    since: Annotated[date | None, Meta(description="A day of UTC, included.")] = None
    until: Annotated[date | None, Meta(description="A day of UTC, included.")] = None

    @property
    def filters(self) -> dict[str, str]:
        given = (("name", self.name), ("actor", self.actor))
        days = (("since", self.since), ("until", self.until))
        return {name: str(value) for name, value in (*given, *days) if value}


async def begin(request: Request, asked: NewExport) -> "Export":
    """The row that tells of it is there before any goes out."""
    data: dict[str, Any] = {"format": asked.format, "filters": asked.filters}
    async with request.database.transaction() as db:
        await audit.record(db, "audit.exported", by=request.actor, data=data)
    return Export(request, asked)


class Export:
    """An answer that is sent while it is read."""

    def __init__(self, request: Request, asked: NewExport) -> None:
        self._request = request
        self._asked = asked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = self._asked.format
        name = f'attachment; filename="pullse-audit.{kind}"'.encode("ascii")
        headers = [(b"content-type", TYPES[kind]), (b"content-disposition", name)]
        leaving = asyncio.ensure_future(gone(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            if kind == "csv":
                await push(send, sheets.MARK + sheets.lines([COLUMNS]))
            async for entries in self._portions():
                if leaving.done():
                    return
                await push(send, written(entries, kind))
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except Refusal as error:  # without an end, the client sees that this is not all
            log.warning("An export of the audit trail was cut short: %s", error)
        finally:
            leaving.cancel()

    async def _portions(self) -> AsyncIterator[list[Entry]]:
        asked = self._asked
        span = Span(asked.since or date.min, asked.until or date.max)
        before = None
        while True:
            async with self._request.database.session() as db:
                found = await audit_queries.newest(
                    db, span, before, actor=asked.actor, name=asked.name, limit=PORTION
                )
            yield found
            if len(found) < PORTION:
                return
            before = Place(found[-1].day, found[-1].number)
            await self._check()

    async def _check(self) -> None:
        """Whose right is taken away meanwhile gets no more. Raises what the guard raises too."""
        scope = self._request.scope
        visitor = await scope["edge"].guard.admit(scope, dict(scope["headers"]))
        if RIGHT not in visitor.rights:
            raise Forbidden(f"This takes the permission {RIGHT}.")


def written(entries: Sequence[Entry], kind: str) -> str:
    if kind == "csv":
        return sheets.lines([*cells(each).values()] for each in entries)
    return "".join(line(each) for each in entries)


def line(entry: Entry) -> str:
    data = {"data": msgspec.Raw(entry.data.encode())}
    return f"{encoded(cells(entry) | data)}\n"


def cells(entry: Entry) -> dict[str, Any]:
    """In the order of the columns; the moment as the chain has it."""
    return {
        "cursor": entry.place,
        "at": entry.at.isoformat(timespec="microseconds"),
        "name": entry.name,
        "actor": entry.actor,
        "address": entry.address,
        "request_id": entry.request_id,
        "data": entry.data,
        "hash": entry.hash.hex(),
    }
