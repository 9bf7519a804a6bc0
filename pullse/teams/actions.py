"""
The verbs about teams: each records one fact, in the caller's transaction, and an audit row,
last of all. What they take from whom is in tickets/departures.py.
"""

from typing import Any, NoReturn
from uuid import UUID

from msgspec import UNSET
from msgspec.structs import replace

from pullse.agents import actions as agents
from pullse.errors import Conflict, NotFound, Stale
from pullse.kit import audit
from pullse.kit.db import Db, Struct, Violated
from pullse.kit.events import Actor, record
from pullse.kit.ids import uuid7
from pullse.teams import queries
from pullse.teams.model import NewTeam, TeamChanges
from pullse.teams.queries import Row, Shown


class Told(Struct, frozen=True):
    """A fact that was recorded, and is to be audited when all else is done."""

    name: str
    data: dict[str, Any]


class TeamTaken(Conflict):
    code = "team_taken"

    def __init__(self) -> None:
        message = "Another team has this name."
        super().__init__(f"name: {message}", problems={"name": message})


class HasTickets(Conflict):
    code = "has_tickets"

    def __init__(self) -> None:
        super().__init__("Tickets belong to this team, maybe in the trash; move them first.")


async def create(db: Db, new: NewTeam, *, by: Actor) -> Shown:
    id_ = uuid7()
    made = await queries.insert_unless_taken(db, id_=id_, name=new.name, is_private=new.is_private)
    if made is None:
        raise TeamTaken
    data = {"team_id": id_, "name": new.name, "is_private": new.is_private}
    await audited(db, await told(db, "team.created", data, by=by), by=by)
    return made


async def get(db: Db, team_id: UUID) -> Shown:
    return await queries.get(db, team_id) or no_team()


async def change(
    db: Db, team_id: UUID, wanted: TeamChanges, *, if_match: list[int] | None = None, by: Actor
) -> tuple[Shown, Told | None]:
    """Writing what is there already changes nothing and records nothing."""
    old = await lock(db, team_id, if_match)
    changes = {
        name: [getattr(old, name), after]
        for name in ("name", "is_private")
        if (after := getattr(wanted, name)) is not UNSET and after != getattr(old, name)
    }
    if not changes:
        return await get(db, team_id), None
    new = replace(old, **{name: after for name, (_, after) in changes.items()})
    try:
        changed = await queries.update(db, team_id, name=new.name, is_private=new.is_private)
    except Violated as error:
        if error.constraint != "teams_name_unique":
            raise
        raise TeamTaken from error
    data = {
        "team_id": team_id,
        "name": new.name,
        "is_private": new.is_private,
        "changes": changes,
    }
    return changed, await told(db, "team.changed", data, by=by)


async def delete(db: Db, team_id: UUID, *, if_match: list[int] | None = None, by: Actor) -> None:
    """Raises `HasTickets`: nobody but people can say whose they are then."""
    old = await lock(db, team_id, if_match)
    try:
        await queries.remove(db, team_id)
    except Violated as error:
        if error.constraint != "tickets_belong_to_a_team":
            raise
        raise HasTickets from error
    data = {"team_id": team_id, "name": old.name}
    await audited(db, await told(db, "team.deleted", data, by=by), by=by)


async def join(db: Db, team_id: UUID, agent_id: UUID, *, by: Actor) -> None:
    """Joining twice is joining once."""
    await agents.get(db, agent_id)
    team = await lock(db, team_id)
    if await queries.join(db, team_id, agent_id):
        data = {"team_id": team.id, "name": team.name, "agent_id": agent_id}
        await audited(db, await told(db, "team.joined", data, by=by), by=by)


async def leave(db: Db, team_id: UUID, agent_id: UUID, *, by: Actor) -> Told | None:
    """None for one who was not in it: leaving twice is leaving once."""
    team = await lock(db, team_id)
    if not await queries.leave(db, team_id, agent_id):
        return None
    data = {"team_id": team.id, "name": team.name, "agent_id": agent_id}
    return await told(db, "team.left", data, by=by)


async def told(db: Db, name: str, data: dict[str, Any], *, by: Actor) -> Told:
    await record(db, name, by=by, data=data)
    return Told(name, data)


async def audited(db: Db, done: Told, *, by: Actor) -> None:
    """Last of all: the audit trail takes a lock that all share."""
    await audit.record(db, done.name, by=by, data=done.data)


async def lock(db: Db, team_id: UUID, if_match: list[int] | None = None) -> Row:
    team = await queries.lock(db, team_id) or no_team()
    if if_match is not None and team.version not in if_match:
        raise Stale(
            f"The team has changed since you read it. It is at version {team.version} now.",
            data={"version": team.version},
        )
    return team


def no_team() -> NoReturn:
    raise NotFound("There is no such team.")
