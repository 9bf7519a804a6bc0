"""Turn each settled fact into one job per reaction, exactly once: cursor and jobs move together."""

import asyncio
from collections.abc import Mapping, Sequence
from uuid import UUID

from pullse.errors import Unavailable
from pullse.kit import events
from pullse.kit.db import Database, Db, Struct
from pullse.kit.events import Place
from pullse.kit.jobs import Job, enqueue
from pullse.kit.tail import Tail

Reactions = Mapping[str, Sequence[Job[...]]]
"""Name of a fact → jobs that take `fact_id: int, ticket_id: str | None`."""

NET = 5.0


class Reader(Struct, frozen=True):
    tx: int
    id: int


async def relay(database: Database, reactions: Reactions) -> int:
    """Hand on one page of what is new; say how many facts it was."""
    async with database.transaction() as db:
        place = await lock_reader(db, "relay")
        facts = await events.since(db, place)
        for fact in facts:
            for reaction in reactions.get(fact.name, ()):
                await enqueue(db, reaction.name, _args(fact.id, fact.ticket_id))
        if facts:
            await move_reader(db, "relay", facts[-1].place)
        return len(facts)


async def run(database: Database, tail: Tail, reactions: Reactions) -> None:
    """For ever, as soon as facts come. Without reactions there is nothing to do."""
    if not reactions:
        return
    await begin(database, "relay")
    follower = await tail.follow(lambda fact: fact.name in reactions)
    while not follower.is_closed:
        try:
            while await relay(database, reactions):
                pass
        except Unavailable:
            await asyncio.sleep(1)
        await follower.take(NET)
        if follower.is_cut:
            tail.leave(follower)
            follower = await tail.follow(lambda fact: fact.name in reactions)


async def begin(database: Database, name: str) -> None:
    """The first time ever, a reader starts at the feed's end: old history is not news."""
    async with database.session() as db:
        if not await db.value("SELECT EXISTS (SELECT FROM readers WHERE name = $1)", name):
            end = (await events.end(db)).place
            await db.run(
                """
                INSERT INTO readers (name, tx, id) VALUES ($1, $2, $3)
                ON CONFLICT ON CONSTRAINT readers_named_once DO NOTHING
                """,
                name,
                end.tx,
                end.id,
            )


async def lock_reader(db: Db, name: str) -> Place:
    """How far the named reader has come; one process at a time may know."""
    await db.run(
        """
        INSERT INTO readers (name) VALUES ($1)
        ON CONFLICT ON CONSTRAINT readers_named_once DO NOTHING
        """,
        name,
    )
    reader = await db.one(Reader, "SELECT tx, id FROM readers WHERE name = $1 FOR UPDATE", name)
    return Place(reader.tx, reader.id)


async def move_reader(db: Db, name: str, place: Place) -> None:
    await db.run("UPDATE readers SET tx = $2, id = $3 WHERE name = $1", name, place.tx, place.id)


def _args(fact_id: int, ticket_id: UUID | None) -> dict[str, object]:
    return {"fact_id": fact_id, "ticket_id": ticket_id}
