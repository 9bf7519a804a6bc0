"""/api/events as a stream: after a cut a client goes on where it was, and none costs the others."""

import asyncio
import contextlib
import json
import random
import socket
import string
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from pullse.kit import events
from pullse.kit import tail as tails
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.realtime import feed
from tests.cli.program import resident, running
from tests.cli.settling import settled

SSE = {"accept": "text/event-stream"}


@dataclass
class Sent:
    """One event of a stream, as the format's own rules read it."""

    id: str | None = None
    event: str = "message"
    data: str | None = None
    retry: int | None = None
    comment: str | None = None

    @property
    def title(self) -> Any:
        return json.loads(self.data or "{}")["data"].get("title")


async def read(answer: httpx.Response) -> AsyncIterator[Sent]:
    sent = Sent()
    async for line in answer.aiter_lines():
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            yield sent
            sent = Sent()
        elif not name:
            sent.comment = value
        elif name == "retry":
            sent.retry = int(value)
        else:
            setattr(sent, name, value)


@asynccontextmanager
async def stream(
    client: httpx.AsyncClient, after: str | None = None, last: str | None = None, **query: Any
) -> AsyncIterator[AsyncIterator[Sent]]:
    """A stream, after its opening event."""
    params = query if after is None else {**query, "after": after}
    headers = SSE if last is None else SSE | {"last-event-id": last}
    async with client.stream("GET", "/api/events", params=params, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        sent = read(answer)
        opening = await anext(sent)
        assert opening.retry == feed.RETRY
        assert opening.data is None
        yield sent


async def take(sent: AsyncIterator[Sent], count: int) -> list[Sent]:
    """So many facts."""
    found: list[Sent] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            each = await anext(sent)
            if each.data is not None:
                found.append(each)
    return found


async def create(client: httpx.AsyncClient, title: str) -> str:
    answer = await client.post("/api/tickets", json={"title": title, "description": "It broke."})
    return str(answer.json()["data"]["id"])


async def cursor(client: httpx.AsyncClient, database: Database) -> str:
    await settled(database)
    return str((await client.get("/api/events")).json()["data"]["cursor"])


async def until(is_so: Callable[[], bool], patience: float = 5.0) -> None:
    async with asyncio.timeout(patience):
        while not is_so():
            await asyncio.sleep(0.005)


# -- what a stream is --


async def test_a_stream_says_what_it_is(live: httpx.AsyncClient, database: Database) -> None:
    async with live.stream("GET", "/api/events", headers=SSE) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["x-accel-buffering"] == "no"
        assert "no-cache" in answer.headers["cache-control"]
        opening = await anext(read(answer))
    assert opening.retry == 1000
    assert opening.id == await cursor(live, database)


async def test_a_fact_is_the_same_in_a_stream_and_on_a_page(
    live: httpx.AsyncClient, database: Database
) -> None:
    async with stream(live) as sent:
        await create(live, "Help")
        (fact,) = await take(sent, 1)
    await settled(database)
    (record,) = (await live.get("/api/events")).json()["data"]["records"]
    assert json.loads(fact.data or "") == record
    assert (fact.event, fact.id) == ("message", record["cursor"])


async def test_without_a_place_it_begins_with_the_next_fact(
    live: httpx.AsyncClient, database: Database
) -> None:
    await create(live, "before")
    for query in ({}, {"after": "now"}):
        await settled(database)
        async with stream(live, **query) as sent:
            await create(live, "after")
            assert [each.title for each in await take(sent, 1)] == ["after"]


async def test_it_begins_after_the_place_that_is_asked_for(
    live: httpx.AsyncClient, database: Database
) -> None:
    begin = await cursor(live, database)
    await create(live, "1")
    place = await cursor(live, database)
    await create(live, "2")

    async with stream(live, after=begin) as sent:
        assert [each.title for each in await take(sent, 2)] == ["1", "2"]
    async with stream(live, after=place) as sent:
        await create(live, "3")
        assert [each.title for each in await take(sent, 2)] == ["2", "3"]


async def test_the_last_event_id_goes_before_the_query(
    live: httpx.AsyncClient, database: Database
) -> None:
    """A browser keeps the address and sends the id it has seen when it comes back."""
    begin = await cursor(live, database)
    await create(live, "1")
    seen = await cursor(live, database)
    await create(live, "2")
    async with stream(live, after=begin, last=seen) as sent:
        assert [each.title for each in await take(sent, 1)] == ["2"]


async def test_a_stream_cut_before_its_first_fact_resumes_where_it_began(
    live: httpx.AsyncClient,
) -> None:
    async with live.stream("GET", "/api/events", headers=SSE) as answer:
        opening = await anext(read(answer))
    await create(live, "meanwhile")
    async with stream(live, last=opening.id) as sent:
        assert [each.title for each in await take(sent, 1)] == ["meanwhile"]


async def test_many_cuts_lose_and_repeat_nothing(
    live: httpx.AsyncClient, database: Database
) -> None:
    """While others write, a client is cut again and again and resumes by its last id."""
    total, dice = 120, random.Random(3)
    last = await cursor(live, database)

    async def write(numbers: range) -> None:
        for number in numbers:
            await create(live, str(number))
            await asyncio.sleep(dice.choice((0, 0.002)))

    writing = asyncio.gather(*(write(range(start, total, 4)) for start in range(4)))
    titles: list[str] = []
    while len(titles) < total:
        async with stream(live, last=last) as sent:
            for each in await take(sent, min(dice.randint(1, 25), total - len(titles))):
                titles.append(each.title)
                last = each.id or ""
    await writing

    page = await live.get("/api/events", params={"limit": 200})
    assert titles == [each["data"]["title"] for each in page.json()["data"]["records"]]
    assert sorted(titles, key=int) == [str(number) for number in range(total)]


async def test_it_catches_up_over_many_pages(
    live: httpx.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "CATCH_UP", 7)
    monkeypatch.setattr(feed, "PIECE", 1000)
    begin = await cursor(live, database)
    await asyncio.gather(*(create(live, str(number)) for number in range(30)))
    async with stream(live, after=begin) as sent:
        await create(live, "30")
        titles = [each.title for each in await take(sent, 31)]
    assert sorted(titles, key=int) == [str(number) for number in range(31)]
    assert titles[-1] == "30"


async def test_a_quiet_stream_shows_that_it_lives(
    live: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert feed.HEARTBEAT == 15
    monkeypatch.setattr(feed, "HEARTBEAT", 0.05)
    async with stream(live) as sent, asyncio.timeout(5):
        beats = [await anext(sent) for _ in range(3)]
        assert [each.comment for each in beats] == ["still here"] * 3
        assert [each.data for each in beats] == [None] * 3
        await create(live, "Help")
        assert len(await take(sent, 1)) == 1


# -- filters --


async def test_a_stream_of_one_ticket_and_of_some_names(
    live: httpx.AsyncClient, database: Database
) -> None:
    begin = await cursor(live, database)
    mine = await create(live, "mine")
    for query, wanted in (
        ({"ticket_id": mine}, ["ticket.created", "ticket.changed", "ticket.deleted"]),
        ({"name": "ticket.deleted"}, ["ticket.deleted", "ticket.deleted"]),
        ({"name": "ticket.deleted", "ticket_id": mine}, ["ticket.deleted"]),
    ):
        async with stream(live, after=begin, **query) as sent:  # one part read, one part live
            if len(wanted) == 3:
                await live.patch(f"/api/tickets/{mine}", json={"priority": "high"})
                other = await create(live, "other")
                await live.delete(f"/api/tickets/{other}")
                await live.delete(f"/api/tickets/{mine}")
            found = await take(sent, len(wanted))
        assert [json.loads(each.data or "")["name"] for each in found] == wanted


async def test_what_makes_no_sense_is_refused_as_json(live: httpx.AsyncClient) -> None:
    for query, headers in (
        ({"name": "ticket.exploded"}, {}),
        ({"after": "yesterday"}, {}),
        ({}, {"last-event-id": "yesterday"}),
        ({}, {"last-event-id": "1." + "9" * 5000 + ".1"}),
    ):
        answer = await live.get("/api/events", params=query, headers=SSE | headers)
        assert answer.status_code == 400
        assert answer.json()["status"] is False


# -- another life of the feed --


async def test_a_place_that_no_longer_exists_says_start_over(
    live: httpx.AsyncClient, database: Database
) -> None:
    await create(live, "before")
    old = await cursor(live, database)
    async with database.transaction() as db:
        await db.run("UPDATE events SET tx = tx + 1000000000")
        await events.mend_after_move(db)

    async with stream(live, last=old) as sent:
        first = await anext(sent)
        assert (first.event, first.data) == ("start_over", "{}")
        await create(live, "after")
        (fact,) = await take(sent, 1)
    assert fact.title == "after"
    assert fact.id
    async with stream(live, last=fact.id) as sent:
        await create(live, "later")
        assert [each.title for each in await take(sent, 1)] == ["later"]


# -- those who leave, and those who don't read --


async def test_who_leaves_is_forgotten(live: httpx.AsyncClient, edge: Edge) -> None:
    tail = edge.services.tail
    for _ in range(5):
        async with stream(live):
            await until(lambda: tail.followers == 1)
    await until(lambda: tail.followers == 0)
    await until(lambda: edge.under_way == 0)


async def test_a_head_request_is_not_a_stream(live: httpx.AsyncClient, edge: Edge) -> None:
    """It would never end, and hold up what comes after it on the same connection."""
    for _ in range(3):
        head = await live.head("/api/events", headers=SSE)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == "text/event-stream"
        await create(live, "Help")
    assert edge.services.tail.followers == 0


async def test_many_streams_get_each_fact(live: httpx.AsyncClient, edge: Edge) -> None:
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=live.base_url, limits=httpx.Limits(max_connections=None))
        )
        streams = [await stack.enter_async_context(stream(client)) for _ in range(60)]
        assert edge.services.tail.followers == 60
        for number in range(5):
            await create(live, str(number))
        for sent in streams:
            assert [each.title for each in await take(sent, 5)] == list("01234")


async def test_a_stream_that_was_cut_ends_and_resumes(
    live: httpx.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = await cursor(live, database)
    monkeypatch.setattr(tails, "FACTS_QUEUED", 0)
    async with stream(live) as sent:
        await create(live, "too much")
        seen = [each async for each in sent]  # empty, unless it was still catching up
    monkeypatch.undo()
    await create(live, "next")
    async with stream(live, last=seen[-1].id if seen else last) as sent:
        seen += await take(sent, 2 - len(seen))
    assert [each.title for each in seen] == ["too much", "next"]


@asynccontextmanager
async def deaf(client: httpx.AsyncClient, query: str = "") -> AsyncIterator[socket.socket]:
    """A client that asks for the stream and then reads nothing."""
    address = (client.base_url.host, client.base_url.port or 80)
    with socket.create_connection(address) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = f"GET /api/events{query} HTTP/1.1\r\nHost: localhost\r\n"
        connection.sendall(f"{request}Accept: text/event-stream\r\n\r\n".encode())
        yield connection


async def large_facts(database: Database, count: int, size: int = 100_000) -> None:
    letters = string.ascii_letters + string.digits
    text = "".join(random.choices(letters, k=size))
    async with database.transaction() as db:
        for number in range(count):
            changes = {"description": [text[number:], text]}
            data = {"title": str(number), "changes": changes}
            await events.record(db, "ticket.changed", by=events.Actor("owner"), data=data)


async def test_a_client_that_does_not_read_is_cut(
    live: httpx.AsyncClient, edge: Edge, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "GRACE", 0.1)
    tail = edge.services.tail
    async with deaf(live), stream(live) as sent:
        await until(lambda: tail.followers == 2)
        for _ in range(8):  # more than sockets and queue hold
            await large_facts(database, 15)
            tail.wake()
            assert len(await take(sent, 15)) == 15
        await until(lambda: tail.followers == 1)
        await create(live, "Help")
        assert [each.title for each in await take(sent, 1)] == ["Help"]


async def test_fifty_clients_that_do_not_read_cost_little_memory(
    database: Database, database_url: str
) -> None:
    """Half of them in the middle of a long past of large facts, half at the end of the feed."""
    await large_facts(database, 100)
    with running("dev", "--port", "0", DATABASE_URL=database_url) as pullse:
        async with httpx.AsyncClient(base_url=await pullse.url()) as client:
            begin = "1.0.0"
            pid = pullse.process.pid
            await asyncio.gather(*(client.get("/api/tickets") for _ in range(20)))
            before = resident(pid)
            async with contextlib.AsyncExitStack() as stack:
                for number in range(50):
                    query = f"?after={begin}" if number % 2 else ""
                    await stack.enter_async_context(deaf(client, query))
                peak = before
                for _ in range(8):
                    await large_facts(database, 25)
                    await asyncio.sleep(0.1)
                    peak = max(peak, resident(pid))
                assert (await client.get("/api/tickets")).status_code == 200
        assert peak - before < 100


async def test_a_client_that_does_not_read_its_past_does_not_hold_up_a_stop(
    live: httpx.AsyncClient, edge: Edge, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "GRACE", 0.1)
    begin = await cursor(live, database)
    await large_facts(database, 60)
    async with deaf(live, f"?after={begin}"):
        await until(lambda: edge.services.tail.followers == 1)
        await asyncio.sleep(0.3)
        edge.services.tail.close()
        assert await edge.idle(2)
    assert edge.services.tail.followers == 0


async def test_a_stop_ends_streams_at_once(live: httpx.AsyncClient, edge: Edge) -> None:
    async with stream(live) as first, stream(live) as second:
        edge.services.tail.close()
        async with asyncio.timeout(2):
            assert [each async for each in first] == []
            assert [each async for each in second] == []
    assert await edge.idle(1)


async def test_streams_outlive_an_outage_of_the_database(
    live: httpx.AsyncClient, database: Database
) -> None:
    """Whether one goes on or is ended, nothing is missing after it."""
    last = await cursor(live, database)
    seen: list[Any] = []
    for number in range(3):
        async with stream(live, last=last) as sent:
            await cut_connections(database)
            await answering(live)
            await create(live, str(number))
            with contextlib.suppress(StopAsyncIteration, TimeoutError):
                (fact,) = await take(sent, 1)
                seen.append(fact.title)
                last = fact.id or ""
    if len(seen) < 3:
        async with stream(live, last=last) as sent:
            seen += [each.title for each in await take(sent, 3 - len(seen))]
    assert seen == ["0", "1", "2"]


async def answering(client: httpx.AsyncClient) -> None:
    """A connection that is dead answers one request with 503, and is then replaced."""
    async with asyncio.timeout(10):
        for _ in range(10):  # as many as the pool has
            while (await client.get("/api/tickets")).status_code != 200:
                await asyncio.sleep(0.01)


async def cut_connections(database: Database) -> None:
    async with database.session() as db:
        await db.run(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()
            """
        )
