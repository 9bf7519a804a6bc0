"""
Whom a form offers. Where there are few, all of them; where there are many, who it is now, those
that were found by what was typed in its field `who`, and that field.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from pullse.desk import queries
from pullse.desk.merging import Conflict
from pullse.desk.ticket_queries import Choice, Name
from pullse.kit.db import Database, Db
from pullse.kit.pages import Form


def is_many(choices: Sequence[Choice]) -> bool:
    return sum(not each.is_team for each in choices) > queries.AT_MOST


async def agents(
    db: Db,
    choices: Sequence[Choice],
    form: Form,
    team_id: UUID | None,
    seen: frozenset[UUID] | None,
) -> list[Choice]:
    """`team_id` is that of the ticket, `seen` are the teams of who asks."""
    if not is_many(choices):
        return [each for each in choices if not each.is_team]
    if not form.value("who") or not form.problem("assigned_to"):
        return []
    found = await queries.people(db, form.value("who"), team_id, seen)
    return [Choice(False, each.id, each.name, False) for each in found]


def minds(conflicts: Sequence[Conflict]) -> list[UUID | None]:
    """Whom those who disagree want."""
    found = [each for each in conflicts if each.field == "assigned_to"]
    return [mind for each in found for mind in (each.mine, each.theirs) if isinstance(mind, UUID)]


def with_all(
    choices: Sequence[Choice], needed: Sequence[UUID | None], known: Mapping[str, Name]
) -> list[Choice]:
    """Where one that is needed is none of them (it has left, or there are many), with it."""
    there = {each.id for each in choices}
    more = [each for each in dict.fromkeys(needed) if each is not None and each not in there]
    names = [(each, known.get(str(each))) for each in more]
    ahead = [Choice(False, each, name.name if name else "", False) for each, name in names]
    return [*ahead, *choices]


async def called(database: Database, typed: str) -> str:
    """The id of the agent with this address or whole name. Raises `Invalid`."""
    async with database.session() as db:
        return str(await queries.agent_called(db, typed))


def still_typed(form: Form, found: Sequence[object]) -> str:
    """What stays in the field: not what was answered by some to choose from."""
    return "" if found and form.problem("assigned_to") else form.value("who")
