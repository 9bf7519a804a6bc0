"""What is done with preferences. They are nobody else's business: no fact tells of them."""

from typing import Any, cast

from msgspec import UNSET

from pullse.errors import Forbidden
from pullse.kit.db import Db
from pullse.kit.events import Actor
from pullse.preferences import queries
from pullse.preferences.model import LANGUAGES, ZONES, Changes, check
from pullse.preferences.queries import Row
from pullse.web.frame import USUAL, Preferences

AGENT = "agent:"
AT_THE_MACHINE = "owner"


async def find(db: Db, *, of: Actor) -> Preferences:
    """The usual ones for who has said nothing, and for who can't: services, an API token."""
    if not has_some(of):
        return USUAL
    row = await queries.find(db, of.id)
    return USUAL if row is None else preferences(row)


async def change(db: Db, changes: Changes, *, by: Actor) -> Preferences:
    """Raises `Invalid`, and `Forbidden` for who is no person."""
    check(changes)
    if not has_some(by):
        raise Forbidden("Preferences are of people: a service has none.")
    return preferences(
        await queries.save(
            db,
            by.id,
            look=given(changes.look),
            contrast=given(changes.contrast),
            density=given(changes.density),
            columns=given(changes.columns),
            language=given(changes.language),
            zone=given(changes.zone),
        )
    )


def has_some(actor: Actor) -> bool:
    return actor.id == AT_THE_MACHINE or actor.id.startswith(AGENT)


def given(value: Any) -> Any:
    return None if value is UNSET else value


def preferences(row: Row) -> Preferences:
    """What this release, or this machine's list of zones, does not have is as usual."""
    return Preferences(
        look=cast(Any, row.look),
        contrast=cast(Any, row.contrast),
        density=cast(Any, row.density),
        columns=tuple(row.columns),
        language=row.language if row.language in LANGUAGES else "",
        zone=row.zone if row.zone in ZONES else USUAL.zone,
    )
