"""An address of a list that can't be: what is right of it, and what is wrong with the rest."""

import contextlib
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode
from uuid import UUID

from pullse.desk import lists
from pullse.desk.lists import FILTERS, Wanted
from pullse.errors import Refusal
from pullse.kit import reading
from pullse.kit.events import Actor
from pullse.kit.pages import Form
from pullse.kit.reading import Malformed

Given = Sequence[tuple[str, str]]


def parted(raw: bytes, error: Refusal, actor: Actor, zone: str) -> tuple[Form, Wanted]:
    """All that was given, with what is wrong of it by name; and the list without that."""
    given = Form(values_in(raw)).refused(error)
    wanted, problems = without(given.given, given.problems, actor, zone)
    return Form(given.given, given.message, dict(problems)), wanted


def values_in(raw: bytes) -> Given:
    """Each alone; none of an address that nobody can read."""
    try:
        pairs = reading.pairs(raw, "query string")
    except Malformed:
        return []
    found = [(name.replace("\0", ""), value.replace("\0", "\ufffd")) for name, value in pairs]
    several = [(n, part) for n, v in found for part in (v.split(",") if n in FILTERS else [v])]
    return [pair for pair in several if pair[1]]


def without(
    given: Given, problems: Mapping[str, str], actor: Actor, zone: str
) -> tuple[Wanted, Mapping[str, str]]:
    """Once some are gone, more may turn out to be wrong."""
    kept = [pair for pair in given if pair[0] not in problems]
    try:
        return lists.wanted(lists.asked_in(urlencode(kept).encode()), actor, zone), problems
    except Refusal as error:
        is_news = error.problems.keys() - problems.keys()
        return without(given if is_news else [], {**problems, **error.problems}, actor, zone)


def ids(values: Sequence[str]) -> list[UUID]:
    """Of those that are any."""
    found = []
    for each in values:
        with contextlib.suppress(ValueError):
            found.append(UUID(each))
    return found
