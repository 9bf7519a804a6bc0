"""
What facts say of a ticket, and which counts it belongs to: pure, so that it can be compared with
what anybody would find by going through all facts.

A ticket's numbers are those of the team that it belongs to and of the agent that it is assigned
to now. In the trash it has none; restored, it has them again, on the same days.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime
from uuid import UUID

from pullse.kit.db import Struct
from pullse.reports.durations import bucket
from pullse.tickets.model import URGENCY, Priority, Status

NAMES = (
    "ticket.created",
    "ticket.changed",
    "ticket.deleted",
    "ticket.restored",
    "ticket.purged",
)
DONE = (Status.RESOLVED, Status.CLOSED)


class News(Struct, frozen=True):
    """A fact about a ticket, and how it left it. After a purge nothing is known but the name."""

    name: str
    ticket_id: UUID
    at: datetime
    team_id: UUID | None
    assigned_to: UUID | None
    status: str | None
    priority: str | None


class Mark(Struct, frozen=True):
    """What is known of a ticket; `resolved_at` only while it is resolved or closed."""

    ticket_id: UUID
    team_id: UUID | None
    assigned_to: UUID | None
    status: str
    priority: str
    is_deleted: bool
    created_at: datetime
    assigned_at: datetime | None
    resolved_at: datetime | None


class Key(Struct, frozen=True):
    """What is counted together."""

    measure: str
    day: date
    team_id: UUID | None
    assigned_to: UUID | None
    bucket: int


def after(mark: Mark | None, news: News) -> Mark | None:
    """None for a ticket that was purged, or whose beginning is in no fact."""
    if news.name == "ticket.purged" or news.status is None or news.priority is None:
        return None if news.name == "ticket.purged" else mark
    if mark is None and news.name != "ticket.created":
        return None
    is_done = news.status in DONE
    resolved_at = (mark.resolved_at if mark else None) or news.at
    assigned_at = mark.assigned_at if mark else None
    if assigned_at is None and news.assigned_to is not None:
        assigned_at = news.at
    return Mark(
        news.ticket_id,
        news.team_id,
        news.assigned_to,
        news.status,
        news.priority,
        news.name == "ticket.deleted",
        mark.created_at if mark else news.at,
        assigned_at,
        resolved_at if is_done else None,
    )


def keys(mark: Mark | None) -> list[Key]:
    """All counts that the ticket is in, once in each."""
    if mark is None or mark.is_deleted:
        return []
    created = mark.created_at
    found = [key(mark, "created", created, 0)]
    if mark.assigned_at is not None:
        found.append(key(mark, "assigned", mark.assigned_at, took(created, mark.assigned_at)))
    if mark.resolved_at is not None:
        found.append(key(mark, "resolved", mark.resolved_at, took(created, mark.resolved_at)))
    else:
        found.append(key(mark, "backlog", created, URGENCY[Priority(mark.priority)]))
    return found


def key(mark: Mark, measure: str, at: datetime, bucket: int) -> Key:
    return Key(measure, at.astimezone(UTC).date(), mark.team_id, mark.assigned_to, bucket)


def took(start: datetime, end: datetime) -> int:
    return bucket((end - start).total_seconds())


def change(
    marks: dict[UUID, Mark | None], news: Iterable[News]
) -> tuple[dict[UUID, Mark | None], dict[Key, int]]:
    """What becomes of the marks by these facts, in their order, and of the counts."""
    now = dict(marks)
    for each in news:
        now[each.ticket_id] = after(now.get(each.ticket_id), each)
    counts: Counter[Key] = Counter()
    for ticket_id, mark in now.items():
        counts.update(keys(mark))
        counts.subtract(keys(marks.get(ticket_id)))
    return now, {key: count for key, count in counts.items() if count}
