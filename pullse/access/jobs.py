"""What was of use once is forgotten."""

from pullse.access import link_queries, session_queries, sign_in_queries
from pullse.access.passkeys import queries as passkeys
from pullse.kit.db import Database
from pullse.kit.jobs import Every, job


@job("access.forget")
async def forget(database: Database) -> None:
    """Sessions and links that ended long ago, failures of more than a day ago, old challenges."""
    async with database.session() as db:
        await sign_in_queries.forget_failures(db)
        await link_queries.forget(db)
        await session_queries.forget(db)
        await passkeys.forget(db)


jobs = [forget]
schedule = [Every(3600, forget)]
