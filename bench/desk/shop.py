"""A help desk that has been in use: agents with passwords, teams, tickets in them, their facts."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from bench import access, data
from bench.cluster import COPY_PATIENCE, Base, Cluster, migrated, settle
from bench.load import Failed

TEAMS = 8
PRIVATE = 2
IN_NO_TEAM = 0.3
COLUMNS = (*data.COLUMNS, "team_id")
PATIENCE = 300.0
FACTS = """
    INSERT INTO events (name, ticket_id, team_id, actor, data, at)
         SELECT 'ticket.created', id, team_id, 'token',
                jsonb_build_object('number', number, 'title', title, 'status', status,
                    'priority', priority, 'assigned_to', assigned_to, 'team_id', team_id,
                    'version', version),
                created_at
           FROM tickets
       ORDER BY created_at, id
"""
READ = """
    INSERT INTO readers (name, tx, id)
         SELECT name, tx, id
           FROM unnest(ARRAY['relay', 'insight']) AS name,
                (SELECT tx, id FROM events ORDER BY tx DESC, id DESC LIMIT 1) AS newest
"""
"""Who reads all facts once, in the background, has done so long ago."""
COUNTED = "SELECT EXISTS (SELECT FROM readers WHERE name = 'counts')"


def filled(cluster: Cluster, name: str, tickets: int, say: Callable[[str], None]) -> Base:
    """Person 0 of `access` is in half of the teams, one of them private."""
    say(f"loading {tickets:,} tickets with their facts …")
    started = time.monotonic()
    Base(cluster.url).run(f"CREATE DATABASE {name}")
    base = cluster.base(name)
    asyncio.run(migrated(base.url))
    base.ask(lambda connection: fill(connection, tickets), timeout=COPY_PATIENCE)
    asyncio.run(access.hire(base))
    for number in range(0, TEAMS, 2):
        base.run(
            f"INSERT INTO team_members (team_id, agent_id)"
            f" VALUES ('{team_id(number)}', '{data.agent_id(1000)}')"
        )
    base.run(FACTS, READ, timeout=COPY_PATIENCE)
    settle(base)
    say(f"loaded in {time.monotonic() - started:.0f} s")
    return base


async def fill(connection: Any, tickets: int) -> None:
    teams = [(team_id(number), f"Team {number}", number < PRIVATE) for number in range(TEAMS)]
    await connection.copy_records_to_table(
        "agents", records=data.agents(), columns=("id", "name", "email")
    )
    await connection.copy_records_to_table(
        "teams", records=teams, columns=("id", "name", "is_private")
    )
    await connection.copy_records_to_table(
        "tickets", records=with_teams(tickets), columns=COLUMNS, timeout=COPY_PATIENCE
    )


def with_teams(tickets: int) -> Iterator[tuple[Any, ...]]:
    rng = data.Writer(5).rng
    for row in data.tickets(tickets):
        number = rng.randrange(TEAMS)
        yield *row, None if rng.random() < IN_NO_TEAM else team_id(number)


def team_id(number: int) -> UUID:
    return UUID(int=(0x7EA3 << 108) | number)


def counted(base: Base, say: Callable[[str], None]) -> None:
    """Wait until the tickets have been counted, once; a server has to run."""
    started = time.monotonic()
    while not base.value(COUNTED):
        if time.monotonic() > started + PATIENCE:
            raise Failed(f"The tickets were not counted within {PATIENCE:.0f} s")
        time.sleep(0.5)
    say(f"counted in {time.monotonic() - started:.0f} s")
