"""
The verbs: change a ticket and record what happened, in the caller's transaction.

Each writes rows and its one fact in a single statement (creating.py, changing.py,
queries.py). None commits, sends, logs or knows HTTP.
"""

from typing import Any, NoReturn
from uuid import UUID

import msgspec
from msgspec import UNSET

from pullse.errors import Invalid, NotFound, Stale
from pullse.kit.db import Database, Db
from pullse.kit.events import Actor
from pullse.kit.ids import uuid7
from pullse.kit.loader import gather
from pullse.kit.markdown import rendered
from pullse.tickets import changing, creating, queries
from pullse.tickets.changing import Changed, Wish
from pullse.tickets.creating import Creation
from pullse.tickets.model import NewTicket, TicketChanges
from pullse.tickets.queries import Shown

ANY_VERSION: list[int] | None = None


async def create(db: Db, new: NewTicket, *, by: Actor) -> Shown:
    return await create_one(db, new, await rendered(new.description), by=by)


async def create_one(db: Db, new: NewTicket, html: str, *, by: Actor) -> Shown:
    made = await creating.create(db, Creation(uuid7(), new, html, by))
    if made is None:
        check(await queries.named(db, new.assigned_to, new.team_id))
        unknown_agent()  # it was not there a moment ago
    return made


async def create_soon(database: Database, new: NewTicket, *, by: Actor) -> Shown:
    """As `create`, committed on return, in one statement with all that are created right now."""
    html = await rendered(new.description)
    made = await gather(database, creating.create_unhindered, Creation(uuid7(), new, html, by))
    if made is None:
        async with database.session() as db:
            made = await create_one(db, new, html, by=by)
    return made


async def change(
    db: Db,
    ticket_id: UUID,
    changes: TicketChanges,
    *,
    if_match: list[int] | None = ANY_VERSION,
    by: Actor,
) -> Changed:
    """Writing what is there already changes nothing and records nothing."""
    return await change_one(db, await wish_of(ticket_id, changes, if_match, by))


async def change_one(db: Db, wish: Wish) -> Changed:
    return await checked(db, await changing.change(db, wish), wish.id, wish.if_match)


async def wish_of(
    ticket_id: UUID, changes: TicketChanges, if_match: list[int] | None, by: Actor
) -> Wish:
    text = changes.description
    html = None if text is UNSET else await rendered(text)
    return Wish(ticket_id, changes, if_match, by, html)


async def change_soon(
    database: Database,
    ticket_id: UUID,
    changes: TicketChanges,
    *,
    if_match: list[int] | None = ANY_VERSION,
    by: Actor,
) -> Changed:
    """As `change`, committed on return, in one statement with all that are changed right now."""
    wish = await wish_of(ticket_id, changes, if_match, by)
    done = await gather(database, changing.change_unhindered, wish, key=ticket_id)
    if done is not None and done.is_fresh:
        return done
    async with database.session() as db:
        return await change_one(db, wish)


async def checked(
    db: Db, done: Changed | None, ticket_id: UUID, if_match: list[int] | None
) -> Changed:
    if done is None:
        raise no_ticket()
    if not done.is_fresh:
        raise await stale(db, ticket_id, if_match, done.version)
    check(done)
    return done


def check(done: Changed | queries.Named) -> None:
    """Raises `Invalid` where an agent or a team that was named does not fit."""
    if not done.is_agent_known:
        unknown_agent()
    if not done.is_team_known:
        raise Invalid.field("team_id", "There is no such team.")
    if not done.is_seen:
        raise Invalid.field(
            "assigned_to", "This agent is not in the private team that the ticket belongs to."
        )


async def delete(
    db: Db, ticket_id: UUID, *, if_match: list[int] | None = ANY_VERSION, by: Actor
) -> None:
    done = await queries.delete(db, ticket_id, if_match=if_match, by=by)
    if done is None:
        raise no_ticket()
    if not done.is_fresh:
        raise await stale(db, ticket_id, if_match, done.version)


async def restore(db: Db, ticket_id: UUID, *, by: Actor) -> Shown:
    restored = await queries.restore(db, ticket_id, by=by)
    if restored is None:
        raise NotFound("There is no such ticket in the trash.")
    return restored


async def stale(db: Db, ticket_id: UUID, if_match: list[int] | None, version: int) -> Stale:
    """What has changed since the newest version that the caller knew, and by whom."""
    known = [each for each in if_match or () if each < version]
    steps = await queries.changes_since(db, ticket_id, max(known)) if known else []
    changes: dict[str, list[Any]] = {}
    for step in steps:
        for name, (before, after) in msgspec.json.decode(step.changes).items():
            changes[name] = [changes[name][0] if name in changes else before, after]
    by = list(dict.fromkeys(step.actor for step in steps))
    what = ", ".join(changes) or "the ticket"
    return Stale(
        f"The ticket has changed since you read it: {what}. It is at version {version} now.",
        data={"version": version, "changes": changes, "by": by},
    )


def no_ticket() -> NotFound:
    return NotFound("There is no such ticket.")


def unknown_agent() -> NoReturn:
    raise Invalid.field("assigned_to", "There is no such agent.")
