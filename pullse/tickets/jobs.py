"""What tickets need done in the background."""

from pullse.kit.db import Database
from pullse.kit.jobs import Every, job
from pullse.tickets import queries

DAYS_IN_TRASH = 30
PORTION = 200


@job("tickets.purge_trash")
async def purge_trash(database: Database) -> None:
    """Erase what has been in the trash for 30 days, in portions, each a transaction."""
    purged = PORTION
    while purged == PORTION:
        async with database.session() as db:
            purged = await queries.purge(db, days=DAYS_IN_TRASH, most=PORTION)


jobs = [purge_trash]
schedule = [Every(3600, purge_trash)]
