"""
Pages of a ticket's history. Each costs by its length, however long the history is: facts are
read by place, and without the descriptions that they tell of.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from pullse.desk import ticket_queries as queries
from pullse.desk.ticket_queries import Fact, Name, Ticket
from pullse.desk.timeline import kinds
from pullse.desk.timeline.model import Entry, Line, Page, Word
from pullse.errors import Invalid
from pullse.kit.db import Db
from pullse.kit.events import Place

ON_A_PAGE = 50
END = Place((1 << 63) - 1, (1 << 63) - 1)
PLACE = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})")
UNDONE_BY_A_CHANGE = "ticket.changed"


async def newest(db: Db, ticket: Ticket) -> Page:
    return await before(db, ticket, END)


async def before(db: Db, ticket: Ticket, place: Place) -> Page:
    facts = await queries.before(db, ticket.id, place, limit=ON_A_PAGE + 1)
    has_more = len(facts) > ON_A_PAGE
    entries = told(ticket, facts[:ON_A_PAGE][::-1])
    is_newest = place == END or not entries
    return Page(
        entries,
        earlier=entries[0].place if has_more else None,
        later=None if is_newest else entries[-1].place,
    )


async def after(db: Db, ticket: Ticket, place: Place) -> Page:
    facts = await queries.after(db, ticket.id, place, limit=ON_A_PAGE + 1)
    has_more = len(facts) > ON_A_PAGE
    entries = told(ticket, facts[:ON_A_PAGE])
    return Page(
        entries,
        earlier=entries[0].place if entries else place,
        later=entries[-1].place if has_more else None,
    )


async def around(db: Db, ticket: Ticket, fact_id: int) -> Page | None:
    """With the fact, what was just before and after it; None where there is no such fact."""
    fact = await queries.fact(db, ticket.id, fact_id)
    if fact is None:
        return None
    half = ON_A_PAGE // 2
    older = await queries.before(db, ticket.id, fact.place, limit=half + 1)
    newer = await queries.after(db, ticket.id, fact.place, limit=half + 1)
    entries = told(ticket, [*older[:half][::-1], fact, *newer[:half]])
    return Page(
        entries,
        earlier=entries[0].place if len(older) > half else None,
        later=entries[-1].place if len(newer) > half else None,
    )


def told(ticket: Ticket, facts: Iterable[Fact]) -> list[Entry]:
    """In words, but for the names. What nobody has words for (yet) is left out."""
    return [entry(ticket, fact) for fact in facts if fact.name in kinds.KINDS]


def entry(ticket: Ticket, fact: Fact) -> Entry:
    data = {**msgspec.json.decode(fact.data), "has_text": fact.has_text}
    who = kinds.actor(fact.actor)
    changes = data.get("changes", {})
    return Entry(
        fact.id,
        fact.place,
        fact.name,
        fact.actor,
        who,
        fact.at,
        kinds.KINDS[fact.name](data, who),
        changes,
        fact.has_text,
        fact.name == UNDONE_BY_A_CHANGE
        and ticket.deleted_at is None
        and (fact.is_text_now or not fact.has_text)
        and all(is_now(ticket, field, value[1]) for field, value in changes.items()),
    )


def is_now(ticket: Ticket, field: str, value: Any) -> bool:
    now = getattr(ticket, field)
    return bool(now == value if now is None or value is None else str(now) == value)


async def names_of(db: Db, words: Sequence[Word], seen: frozenset[UUID] | None) -> dict[str, Name]:
    ids = {
        kind: {each.id for each in words if each.kind == kind and each.id is not None}
        for kind in ("agent", "token", "team")
    }
    if not any(ids.values()):
        return {}
    found = await queries.names(db, ids["agent"], ids["token"], ids["team"], seen)
    return {str(each.id): each for each in found}


def words_in(entry: Entry) -> list[Word]:
    lines = [word for line in entry.lines for word in (line.before, line.after) if word]
    return [entry.who, *lines]


def named_entry(entry: Entry, known: Mapping[str, Name]) -> Entry:
    lines = [named_line(each, known) for each in entry.lines]
    givers = [each.before for each in lines if each.before is not None]
    is_lost = any(each.kind in ("agent", "team") and lost(each) for each in givers)
    who = named(entry.who, known)
    return msgspec.structs.replace(
        entry, who=who, lines=lines, is_undoable=entry.is_undoable and not is_lost
    )


def named_line(line: Line, known: Mapping[str, Name]) -> Line:
    """Teams that can't or must not be named have sentences of their own."""
    before, after = named(line.before, known), named(line.after, known)
    team = after or before
    text = line.text
    if team is not None and team.kind == "team" and (team.is_hidden or not team.name):
        text += "_private" if team.is_hidden else "_gone"
    return Line(text, before, after)


def lost(word: Word) -> bool:
    """Nothing can be given back to them."""
    return word.is_gone or not word.name


def named(word: Word | None, known: Mapping[str, Name]) -> Word | None:
    if word is None or word.id is None:
        return word
    name = known.get(word.value)
    if name is None:
        return word
    return Word(word.kind, word.value, name.name, name.is_gone, name.is_hidden)


def place_of(text: str, field: str) -> Place:
    found = PLACE.fullmatch(text)
    if found is None:
        raise Invalid.field(field, "This is not a place in the history.")
    return Place(int(found[1]), int(found[2]))
