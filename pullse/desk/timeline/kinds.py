"""
What there is to say of each kind of fact. For another kind, write its function, list it in
`KINDS`, and put its sentences into the texts, below `timeline`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pullse.desk.timeline.model import Kind, Line, Word

Data = Mapping[str, Any]
Tell = Callable[[Data, Word], Sequence[Line]]
"""The lines for a fact's data, by whom it is."""

OTHERS = frozenset({"owner", "token", "operator", "system", "demo", "anonymous"})
"""Who acts without being an agent or a service."""
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
KIND_OF: dict[str, Kind] = {
    "title": "text",
    "status": "status",
    "priority": "priority",
    "assigned_to": "agent",
    "team_id": "team",
}


def created(data: Data, who: Word) -> Sequence[Line]:
    return [Line("created")]


def deleted(data: Data, who: Word) -> Sequence[Line]:
    return [Line("deleted")]


def restored(data: Data, who: Word) -> Sequence[Line]:
    return [Line("restored")]


def changed(data: Data, who: Word) -> Sequence[Line]:
    return list(changes_of(data, who))


def changes_of(data: Data, who: Word) -> Iterator[Line]:
    """In the order in which a ticket shows its fields."""
    changes = data.get("changes", {})
    if "title" in changes:
        yield line("title", "title", changes)
    if data["has_text"]:
        yield Line("description")
    for field in ("status", "priority"):
        if field in changes:
            yield line(field, field, changes)
    if "assigned_to" in changes:
        before, after = changes["assigned_to"]
        if after is None:
            yield line("gave_back" if before == who.value else "unassigned", "assigned_to", changes)
        else:
            yield line("took" if after == who.value else "assigned", "assigned_to", changes)
    if "team_id" in changes:
        has_team = changes["team_id"][1] is not None
        yield line("team" if has_team else "no_team", "team_id", changes)


def line(text: str, field: str, changes: Mapping[str, Sequence[Any]]) -> Line:
    before, after = (word(field, value) for value in changes[field])
    return Line(text, before, after)


def word(field: str, value: str | None) -> Word | None:
    return None if value is None else Word(KIND_OF[field], value)


def actor(id_: str) -> Word:
    """Who did it; see `Actor`."""
    kind, _, rest = id_.partition(":")
    if ID.fullmatch(rest) and kind in ("agent", "token"):
        return Word("agent" if kind == "agent" else "token", rest)
    return Word("actor", id_ if id_ in OTHERS else "other")


KINDS: dict[str, Tell] = {
    "ticket.created": created,
    "ticket.changed": changed,
    "ticket.deleted": deleted,
    "ticket.restored": restored,
}
