"""
The lists that everybody has, with how many tickets are in each now.

Each is a query of the API's own list of tickets, so that the count can be looked at.
"""

from datetime import UTC, date, datetime
from urllib.parse import urlencode
from uuid import UUID

from pullse.kit.db import Database, Struct
from pullse.kit.events import Actor
from pullse.reports import count_queries as queries
from pullse.reports.counting import recent

TEAMS_AT_MOST = 12
LIVE = (("status", "open"), ("status", "in_progress"))


class Listed(Struct, frozen=True):
    """`name` is a word of ours or a team's id; `query` is for /api/tickets, none for the trash."""

    name: str
    query: str | None
    count: int | None
    team_id: UUID | None = None
    team: str | None = None


class Lists(Struct, frozen=True):
    """`is_exact`: nothing is missing. Counts are None until all were counted once."""

    records: list[Listed]
    is_exact: bool


async def of(database: Database, actor: Actor, today: date | None = None) -> Lists:
    """What the actor sees, and no more is counted."""
    agent_id, since = agent_of(actor), recent(today)
    async with database.session() as db:
        rows = await queries.lists(
            db, agent_id=agent_id, teams=actor.teams, since=since, most=TEAMS_AT_MOST
        )
    total = rows[0]
    is_known = total.open is not None
    records = [
        Listed("unassigned", query(*LIVE, ("assigned_to", "none")), total.unassigned),
        *(
            Listed(
                str(row.team_id),
                query(*LIVE, ("team_id", row.team_id)),
                row.open,
                row.team_id,
                row.name,
            )
            for row in rows[1:]
        ),
        Listed("open", query(*LIVE), total.open),
        Listed("resolved", query(*resolved(since)), total.resolved),
        Listed("trash", None, total.trash),
    ]
    if agent_id is not None:
        records.insert(0, Listed("mine", query(*LIVE, ("assigned_to", agent_id)), total.mine))
    return Lists(records, is_exact=is_known and total.is_exact)


def resolved(since: date) -> list[tuple[str, object]]:
    start = datetime(since.year, since.month, since.day, tzinfo=UTC)
    return [
        ("status", "resolved"),
        ("updated_after", f"{start:%Y-%m-%dT%H:%M:%SZ}"),
        ("sort", "-updated"),
    ]


def query(*pairs: tuple[str, object]) -> str:
    return urlencode([(name, str(value)) for name, value in pairs])


def agent_of(actor: Actor) -> UUID | None:
    """The agent who asks, by a session or an API token of its own."""
    kind, _, id_ = actor.id.partition(":")
    return UUID(id_) if kind == "agent" else None
