"""What was of use once is forgotten."""

from pullse.access import link_queries, session_queries, sign_in_queries
from pullse.access.oidc import queries as oidc_queries
from pullse.access.passkeys import queries as passkeys
from pullse.kit.db import Database
from pullse.kit.jobs import Every, job


@job("access.forget")
async def forget(database: Database) -> None:
    """Sessions and links that ended long ago, failures of more than a day ago, and the like."""
    async with database.session() as db:
        await sign_in_queries.forget_failures(db)
        await link_queries.forget(db)
        await session_queries.forget(db)
        await passkeys.forget(db)
        await oidc_queries.forget_attempts(db)


jobs = [forget]
schedule = [Every(3600, forget)]
