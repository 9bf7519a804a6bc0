"""Who looks at a page."""

from pullse.access import policy_queries
from pullse.access import sign_in_queries as queries
from pullse.access.sessions import no_session, session_of
from pullse.access.sign_in_model import STRONG
from pullse.access.sign_in_queries import Account
from pullse.access.tokens import agent_of
from pullse.kit.web import Request
from pullse.web.frame import Viewer


async def of(request: Request) -> Viewer:
    actor = request.actor
    if agent_of(actor) is None:
        return Viewer(actor.id.partition(":")[0], None, "owner", has_session=False)
    account = await own_account(request)
    return Viewer(account.name, account.email, account.role, actor.session is not None)


async def own_account(request: Request) -> Account:
    """Raises `NotFound` for who is no agent (any more)."""
    agent_id = agent_of(request.actor) or no_session()
    async with request.database.session() as db:
        return await queries.by_id(db, agent_id) or no_session()


async def is_fresh(request: Request) -> bool:
    """Did who asks sign in not long ago? Then nothing has to be proven anew."""
    async with request.database.session() as db:
        standing = await policy_queries.standing(db, session_of(request.actor), STRONG)
    return standing is not None and standing.is_fresh
