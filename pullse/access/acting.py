"""The owner of pullse dev as one of the agents."""

from uuid import UUID

from pullse.access import sessions
from pullse.access import sign_in_queries as accounts
from pullse.access.oidc.linking import activate
from pullse.access.sessions import Begun, Browser
from pullse.agents import actions as agents
from pullse.errors import Forbidden
from pullse.kit.db import Database, Db, Struct
from pullse.kit.events import Actor

MEANS = "local"
MOST = 12


class Person(Struct, frozen=True):
    """Somebody whom one can be."""

    id: UUID
    name: str


async def people(db: Db, *, by: Actor) -> list[Person]:
    """The first by name. Raises `Forbidden`."""
    check(by)
    return await db.all(
        Person,
        """
        SELECT id, name
          FROM agents
         WHERE deleted_at IS NULL AND state <> 'disabled'
      ORDER BY name, id
         LIMIT $1
        """,
        MOST,
    )


async def begin(database: Database, agent_id: UUID, browser: Browser, *, by: Actor) -> Begun:
    """Raises `Forbidden`, `NotFound`, `SingleSignOnNeeded`."""
    check(by)
    async with database.transaction() as db:
        account = await accounts.lock(db, agent_id) or agents.no_agent()
        await activate(db, account, by=by)
        return await sessions.begin_of(db, account, browser, [MEANS], is_known=False, by=by)


def check(by: Actor) -> None:
    if not by.is_local:
        raise Forbidden("Only the owner of pullse dev works as somebody else.")
