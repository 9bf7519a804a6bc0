"""
Several tickets in one transaction: changed, deleted, restored, and the whole taken back.

A ticket may come with the version that was seen. One that somebody has changed since is left as
it is, and counted; so is one that is not there any more, or that may not go to who is wanted.
"""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import msgspec

from pullse.kit.db import Db, Struct
from pullse.kit.events import Actor, Place
from pullse.tickets import actions, changing, several
from pullse.tickets.changing import Changed, Wish
from pullse.tickets.model import TicketChanges
from pullse.tickets.several import Fact, One, State

MOST = 200
FIELDS = ("status", "priority", "assigned_to", "team_id")


class Span(Struct, frozen=True):
    """The facts of one request, from the first to the last, to take it back by."""

    actor: str
    request_id: str | None
    first: Place
    last: Place


class Outcome(Struct, frozen=True):
    """
    `done` were changed, `same` were so already. Left as they are: `stale` that somebody has
    changed since, `gone` that are not there (any more), `barred` that the agent may not see.
    """

    done: Collection[UUID] = ()
    same: Collection[UUID] = ()
    stale: Collection[UUID] = ()
    gone: Collection[UUID] = ()
    barred: Collection[UUID] = ()
    span: Span | None = None


async def change(db: Db, tickets: Sequence[One], changes: TicketChanges, *, by: Actor) -> Outcome:
    """Raises `Invalid` for an agent or a team that is not there; then nothing is changed."""
    wishes = [Wish(each.id, changes, each.if_match, by) for each in tickets]
    found = await changing.change_many(db, wishes)
    for each in found:
        if each is not None and each.is_fresh and not (each.is_agent_known and each.is_team_known):
            actions.check(each)
    return await changed(db, wishes, found, by=by)


async def changed(
    db: Db, wishes: Sequence[Wish], found: Sequence[Changed | None], *, by: Actor
) -> Outcome:
    there = [each for each in found if each is not None]
    fresh = [each for each in there if each.is_fresh]
    allowed = [each for each in fresh if each.is_allowed]
    done = [each.id for each in allowed if each.is_changed]
    return Outcome(
        done,
        [each.id for each in allowed if not each.is_changed],
        [each.id for each in there if not each.is_fresh],
        [wish.id for wish, each in zip(wishes, found, strict=True) if each is None],
        [each.id for each in fresh if not each.is_allowed],
        await span(db, done, by=by),
    )


async def delete(db: Db, tickets: Sequence[One], *, by: Actor) -> Outcome:
    done = await several.delete(db, tickets, by=by)
    left = [each.id for each in tickets if each.id not in done]
    there = {each.id for each in await several.states(db, left, by=by)} if left else set()
    gone = set(left) - there
    return Outcome(done, stale=there, gone=gone, span=await span(db, [*done], by=by))


async def restore(db: Db, tickets: Sequence[One], *, by: Actor) -> Outcome:
    done = await several.restore(db, tickets, by=by)
    gone = [each.id for each in tickets if each.id not in done]
    return Outcome(done, gone=gone, span=await span(db, [*done], by=by))


async def take_back(db: Db, what: Span, *, by: Actor) -> Outcome:
    """
    Undo it wherever nobody has gone on since: a field that is still what it became then is what
    it was before, a ticket that is still in the trash (or out of it) is where it was.
    """
    facts = await several.facts(
        db, what.first, what.last, actor=what.actor, request_id=what.request_id, most=2 * MOST
    )
    deleted = [version_after(each) for each in facts if each.name == "ticket.deleted"]
    restored = [version_after(each) for each in facts if each.name == "ticket.restored"]
    back = await several.restore(db, deleted, by=by) if deleted else set()
    away = await several.delete(db, restored, by=by) if restored else set()
    was = {each.ticket_id: each for each in facts if each.name == "ticket.changed"}
    now = await several.states(db, [*was], by=by) if was else []
    wishes = [
        Wish(each.id, before, [each.version], by)
        for each in now
        if (before := what_was(was[each.id], each)) is not None
    ]
    found = await changing.change_many(db, wishes) if wishes else []
    done = {each.id for each in found if each and each.is_fresh and each.is_allowed}
    done |= back | away
    left = {each.ticket_id for each in facts} - done
    return Outcome(done, stale=left, span=await span(db, [*done], by=by))


def what_was(fact: Fact, now: State) -> TicketChanges | None:
    """Of what was changed then and is still so, what it was before; None if nothing is."""
    changes: dict[str, list[Any]] = msgspec.json.decode(fact.data).get("changes", {})
    before = {
        name: changes[name][0]
        for name in FIELDS
        if name in changes and same(getattr(now, name), changes[name][1])
    }
    return msgspec.convert(before, TicketChanges) if before else None


def same(value: object, text: str | None) -> bool:
    return (None if value is None else str(value)) == text


def version_after(fact: Fact) -> One:
    return One(fact.ticket_id, msgspec.json.decode(fact.data)["version"])


async def span(db: Db, done: Sequence[UUID], *, by: Actor) -> Span | None:
    places = await several.places(db, done, by=by) if done else []
    return Span(by.id, by.request_id, places[0], places[-1]) if places else None
