"""
Two people change one ticket: field by field, what somebody typed against what the ticket was
when they read it, and what it is now.

What nobody else touched goes through. What both changed, to different things, is for the one
who comes second to decide; nothing that was typed is thrown away.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET

from pullse.desk.ticket_queries import Since, Ticket
from pullse.kit import diff
from pullse.kit.db import Struct
from pullse.tickets.model import Priority, Status, TicketChanges

Value = str | UUID | None
Take = Literal["yours", "theirs", "merged"]

FIELDS = ("title", "description", "status", "priority", "assigned_to", "team_id")
BY_LINES = "description"


class Conflict(Struct, frozen=True):
    """
    One field that both changed. `merged` is a third way: for a description both changes,
    where `marks` is how many places need a human eye; for others a first proposal.
    """

    field: str
    base: Value
    mine: Value
    theirs: Value
    actor: str
    merged: Value
    marks: int = 0


class Decision(Struct, frozen=True):
    """What can be written, and what can't yet."""

    changes: TicketChanges
    conflicts: Sequence[Conflict]

    @property
    def is_empty(self) -> bool:
        return self.changes == NOTHING


NOTHING = TicketChanges()


def decide(
    typed: Mapping[str, Value],
    ticket: Ticket,
    since: Sequence[Since] = (),
    *,
    marks: tuple[str, str] = ("", ""),
) -> Decision:
    """
    `since` tells of what was changed after the version that was read; `marks` name both sides
    in a merged text.
    """
    changed = {each.field: each for each in since}
    wanted: dict[str, Any] = {}
    conflicts = []
    for field, mine in typed.items():
        theirs = now(ticket, field)
        step = changed.get(field)
        base = theirs if step is None else value_of(field, msgspec.json.decode(step.before))
        if same(field, mine, theirs) or same(field, mine, base):
            continue
        if step is None or same(field, theirs, base):
            wanted[field] = mine
        else:
            conflicts.append(conflict(field, base, mine, theirs, step.actor, marks))
    return Decision(changes_of(wanted), conflicts)


def conflict(
    field: str, base: Value, mine: Value, theirs: Value, actor: str, marks: tuple[str, str]
) -> Conflict:
    if field != BY_LINES:
        return Conflict(field, base, mine, theirs, actor, mine)
    merged = diff.merge(plain(base), plain(mine), plain(theirs), marks)
    return Conflict(field, base, mine, theirs, actor, merged.text, merged.conflicts)


def changes_of(wanted: Mapping[str, Any]) -> TicketChanges:
    """Values have been checked."""
    return TicketChanges(
        wanted.get("title", UNSET),
        wanted.get("description", UNSET),
        Status(wanted["status"]) if "status" in wanted else UNSET,
        Priority(wanted["priority"]) if "priority" in wanted else UNSET,
        wanted.get("assigned_to", UNSET),
        wanted.get("team_id", UNSET),
    )


def now(ticket: Ticket, field: str) -> Value:
    value: Value = getattr(ticket, field)
    return value


def value_of(field: str, value: Any) -> Value:
    """A value as facts have it."""
    return UUID(value) if value is not None and field.endswith(("_to", "_id")) else value


def same(field: str, one: Value, other: Value) -> bool:
    """As far as a form can tell: browsers have their own ends of lines."""
    if field == "title":
        return in_one_line(one) == in_one_line(other)
    return plain(one) == plain(other) if field == "description" else one == other


def plain(text: Value) -> str:
    """With the ends of lines that everybody understands."""
    return str(text).replace("\r\n", "\n").replace("\r", "\n")


def in_one_line(text: Value) -> str:
    """As a field of one line has it."""
    return str(text).replace("\r", "").replace("\n", "")
