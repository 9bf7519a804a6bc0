"""Entries as values."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pullse.kit.db import Struct
from pullse.kit.events import Place

Kind = Literal["agent", "token", "team", "actor", "status", "priority", "text"]


class Word(Struct, frozen=True):
    """
    Something that is spoken of. `name` is there for agents, tokens and teams that are known;
    one that is gone has left, and one that is hidden must not be named.
    """

    kind: Kind
    value: str
    name: str = ""
    is_gone: bool = False
    is_hidden: bool = False

    @property
    def id(self) -> UUID | None:
        return UUID(self.value) if self.kind in ("agent", "token", "team") else None


class Line(Struct, frozen=True):
    """A sentence: its key below `timeline` in the texts, and what stands in its holes."""

    text: str
    before: Word | None = None
    after: Word | None = None


class Entry(Struct, frozen=True):
    """
    A fact in words. `changes` are those of the fact, but without the description: it is
    `has_text` that tells of that.
    """

    id: int
    place: Place
    name: str
    actor: str
    who: Word
    at: datetime
    lines: Sequence[Line]
    changes: Mapping[str, Sequence[Any]]
    has_text: bool
    is_undoable: bool = False

    @property
    def is_change(self) -> bool:
        return bool(self.changes) or self.has_text


class Page(Struct, frozen=True):
    """Entries, oldest first; `earlier` and `later` are where to go on, if there is more."""

    entries: Sequence[Entry]
    earlier: Place | None = None
    later: Place | None = None
