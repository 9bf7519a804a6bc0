"""What two people made of one field, for who has to decide."""

from collections.abc import Mapping, Sequence

from pullse.desk.merging import Conflict, Value
from pullse.desk.ticket_queries import Name
from pullse.desk.timeline import kinds, reading
from pullse.desk.timeline.model import Word
from pullse.kit.db import Struct


class Collision(Struct, frozen=True):
    """`mine` and `theirs` are words, or None for nobody; of a description only their texts."""

    field: str
    who: Word
    mine: Word | None
    theirs: Word | None
    mine_text: str
    theirs_text: str
    merged: str
    marks: int


def words_in(conflicts: Sequence[Conflict]) -> list[Word]:
    """Those that have to be named."""
    found = []
    for each in conflicts:
        sides = (word(each.field, each.mine), word(each.field, each.theirs))
        found += [kinds.actor(each.actor), *(side for side in sides if side is not None)]
    return found


def collision(each: Conflict, known: Mapping[str, Name]) -> Collision:
    who = kinds.actor(each.actor)
    return Collision(
        each.field,
        reading.named(who, known) or who,
        reading.named(word(each.field, each.mine), known),
        reading.named(word(each.field, each.theirs), known),
        text(each.mine),
        text(each.theirs),
        text(each.merged),
        each.marks,
    )


def word(field: str, value: Value) -> Word | None:
    kind = kinds.KIND_OF.get(field)
    return None if kind is None or value is None else Word(kind, str(value))


def text(value: Value) -> str:
    """As forms have it."""
    return "none" if value is None else str(value)
