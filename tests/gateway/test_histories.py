"""A page of a channel's history costs what the page costs, however much there is beside it."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from pullse.gateway import log
from pullse.kit import events
from pullse.kit.db import Database

FACTS, TICKETS, PAGE = 24_000, 3_000, 50
TEAM = UUID(int=1)
PRIVATE = UUID(int=3)
"""A ticket of that team, which is private."""
PUBLIC = UUID(int=2)
"""Nobody's ticket."""
HELD_BACK = 10
"""Facts passed over for one that is shown, at most: those of others, or that are no updates."""


async def fill(database: Database) -> None:
    """Every third ticket is private to the team; each has its facts all over the time."""
    async with database.pool.acquire() as connection:
        await connection.execute(
            f"""
            INSERT INTO teams (id, name, is_private) VALUES ('{TEAM}', 'Wages', true);
            INSERT INTO tickets (id, title, description, team_id)
                 SELECT lpad(to_hex(n), 32, '0')::uuid, 'Help', 'It broke.',
                        CASE WHEN n % 3 = 0 THEN '{TEAM}'::uuid END
                   FROM generate_series(1, {TICKETS}) AS n;
            INSERT INTO events (tx, id, name, ticket_id, team_id, actor, data)
                        OVERRIDING SYSTEM VALUE
                 SELECT n, n, (ARRAY['ticket.created', 'ticket.changed', 'ticket.changed'])
                            [1 + n % 7 % 3],
                        lpad(to_hex(1 + n % {TICKETS}), 32, '0')::uuid,
                        CASE WHEN (1 + n % {TICKETS}) % 3 = 0 THEN '{TEAM}'::uuid END, 'owner',
                        CASE WHEN n % 2 = 0 THEN '{{"changes": {{"status": ["open", "closed"]}}}}'
                             ELSE '{{"changes": {{"title": ["a", "b"]}}}}' END::jsonb
                   FROM generate_series(1, {FACTS}) AS n;
            """
        )
        await connection.execute("VACUUM ANALYZE events, tickets, teams")


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for each in plan.get("Plans", []):
        yield from nodes(each)


async def test_no_history_reads_or_sorts_all(database: Database) -> None:
    await fill(database)
    wrong = []
    async with database.pool.acquire() as connection:
        for (kind, is_backwards), sql in log.STATEMENTS.items():
            if kind in log.OF_ENTRIES:
                continue
            is_private = kind.startswith("private")
            middle = FACTS // 2
            for after, before in (
                (events.START, log.END),
                (events.Place(middle, middle), log.END),
                (events.START, events.Place(middle, middle)),
            ):
                ticket = [PRIVATE if is_private else PUBLIC] if kind.endswith("ticket") else []
                [[plan]] = await connection.fetch(
                    # the clock of this new cluster is behind the facts' transactions
                    f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}".replace(
                        "feed_offset()", f"feed_offset() + {2 * FACTS}"
                    ),
                    TEAM if is_private else None,
                    *(after.tx, after.id, before.tx, before.id),
                    *log.EVER,
                    PAGE,
                    *ticket,
                )
                for node in nodes(json.loads(plan)[0]["Plan"]):
                    rows = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
                    if rows * node["Actual Loops"] > HELD_BACK * PAGE:
                        wrong.append((kind, is_backwards, after, node["Node Type"], rows))
    assert wrong == []


async def test_each_kind_has_its_own_facts(database: Database) -> None:
    """Nothing is on two of a usual and a private channel, and nothing is lost between them."""
    await fill(database)
    span = log.Span(count=2 * FACTS, is_backwards=True)
    async with database.session() as db:
        for name in ("tickets-updates", "tickets-activity"):
            public = await log.messages(db, name, span)
            private = await log.messages(db, f"private:{TEAM}:{name}", span)
            assert {each.circle for each in public if not isinstance(each, log.Entry)} == {None}
            assert {each.circle for each in private if not isinstance(each, log.Entry)} == {TEAM}
            if name == "tickets-activity":
                assert len(public) + len(private) == FACTS
                assert len(private) == FACTS // 3
        assert not await log.messages(db, f"ticket:{PRIVATE}", span)
        assert not await log.messages(db, f"private:{TEAM}:ticket:{PUBLIC}", span)
        assert await log.messages(db, f"private:{TEAM}:ticket:{PRIVATE}", span)
        assert await log.messages(db, f"ticket:{PUBLIC}", span)
