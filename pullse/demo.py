"""
The demo story: six weeks of a small bicycle shop, its agents and what customers wrote in about.

It is told by the verbs themselves, in the order in which it happened; then the times are put
back to when it did. Nothing else in pullse writes a time that is not now. The audit trail, which
is chained, keeps the moment of loading.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from pullse.agents import actions as agents
from pullse.agents.model import NewAgent
from pullse.kit.db import Database, Db
from pullse.kit.events import Actor
from pullse.teams import actions as teams
from pullse.teams.model import NewTeam
from pullse.tickets import actions as tickets
from pullse.tickets.model import NewTicket, Priority, TicketChanges

STORY = Actor("demo", teams=None)
SCRIPT = Path(__file__).with_suffix(".toml")
OPENED = "42 07:00"
"""When the shop took its agents and teams in."""


@dataclass
class Cast:
    """Who and what the story has, by the names that it uses."""

    agents: dict[str, UUID] = field(default_factory=dict)
    teams: dict[str, UUID] = field(default_factory=dict)

    def actor(self, name: str) -> Actor:
        return Actor(f"agent:{self.agents[name]}", teams=None) if name in self.agents else STORY


@dataclass(frozen=True)
class Step:
    """One thing that somebody did to a ticket; `what` is None when it was opened."""

    at: datetime
    ticket: int
    by: str
    what: str | None = None


async def load(database: Database) -> bool:
    """Only into a database without tickets; false when there are some."""
    script = tomllib.loads(SCRIPT.read_text("utf-8"))
    now = datetime.now(UTC)
    async with database.transaction() as db:
        await db.run("LOCK TABLE agents IN SHARE ROW EXCLUSIVE MODE")
        if not await has_room(db):
            return False
        cast = await hire(db, script)
        await put_back(db, moment(OPENED, now))
        made: dict[int, UUID] = {}
        for step in sorted(steps(script["tickets"], now), key=lambda each: each.at):
            ticket = script["tickets"][step.ticket]
            if step.what is None:
                made[step.ticket] = await open_ticket(db, ticket, cast, by=step.by)
            else:
                await take(db, made[step.ticket], step.what, cast, by=step.by)
            await put_back(db, step.at)
    return True


async def has_room(db: Db) -> bool:
    return bool(
        await db.value(
            "SELECT NOT EXISTS (SELECT FROM tickets) AND NOT EXISTS (SELECT FROM agents)"
        )
    )


async def hire(db: Db, script: Mapping[str, Any]) -> Cast:
    cast = Cast()
    for each in script["teams"]:
        made = await teams.create(db, msgspec.convert(each, NewTeam), by=STORY)
        cast.teams[each["name"]] = id_of(made.body)
    for each in script["agents"]:
        agent = await agents.create(db, NewAgent(each["name"], each["email"]), by=STORY)
        agent_id = cast.agents[each["name"].split()[0].lower()] = id_of(agent.body)
        for name in each["teams"]:
            await teams.join(db, cast.teams[name], agent_id, by=STORY)
    return cast


def steps(script: list[dict[str, Any]], now: datetime) -> Iterator[Step]:
    """In the order in which they are written; two of the same moment stay in it."""
    for number, ticket in enumerate(script):
        yield Step(moment(ticket["at"], now), number, ticket.get("by", "demo"))
        for line in ticket["steps"]:
            when, by, what = line.rsplit(" ", 2)
            yield Step(moment(when, now), number, by, what)


def moment(text: str, now: datetime) -> datetime:
    """`12 09:40`: twelve days ago at that time, UTC; `35m`: so many minutes ago."""
    if text.endswith("m"):
        return now - timedelta(minutes=int(text[:-1]))
    days, _, clock = text.partition(" ")
    day: date = now.date() - timedelta(days=int(days))
    return datetime.combine(day, time.fromisoformat(clock), UTC)


async def open_ticket(db: Db, ticket: Mapping[str, Any], cast: Cast, *, by: str) -> UUID:
    new = NewTicket(
        ticket["title"],
        ticket["text"].strip(),
        Priority(ticket["priority"]),
        team_id=cast.teams[ticket["team"]] if "team" in ticket else None,
    )
    made = await tickets.create(db, new, by=cast.actor(by))
    return id_of(made.body)


async def take(db: Db, ticket_id: UUID, what: str, cast: Cast, *, by: str) -> None:
    actor = cast.actor(by)
    if what == "deleted":
        await tickets.delete(db, ticket_id, by=actor)
        return
    name, _, value = what.partition("=")
    changed = {"assigned_to": cast.agents[value]} if name == "assigned" else {name: value}
    changes = msgspec.convert(changed, TicketChanges)
    await tickets.change(db, ticket_id, changes, by=actor)


async def put_back(db: Db, at: datetime) -> None:
    """What has been written just now, in this transaction, was so at that time."""
    await db.run("UPDATE agents SET created_at = $1, updated_at = $1 WHERE updated_at = now()", at)
    await db.run("UPDATE teams SET created_at = $1, updated_at = $1 WHERE updated_at = now()", at)
    await db.run("UPDATE team_members SET joined_at = $1 WHERE joined_at = now()", at)
    await db.run(
        """
        UPDATE tickets
           SET created_at = CASE created_at WHEN now() THEN $1 ELSE created_at END,
               updated_at = CASE updated_at WHEN now() THEN $1 ELSE updated_at END,
               deleted_at = CASE deleted_at WHEN now() THEN $1 ELSE deleted_at END
         WHERE now() IN (created_at, updated_at, deleted_at)
        """,
        at,
    )
    await db.run(
        """
        UPDATE events
           SET at = $1
         WHERE at = now() AND tx = pg_current_xact_id()::text::bigint + feed_offset()
        """,
        at,
    )


class HasId(msgspec.Struct):
    id: UUID


def id_of(body: str) -> UUID:
    return msgspec.json.decode(body, type=HasId).id
