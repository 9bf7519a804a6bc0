"""What `pullse tokens` and `pullse roles` do; each returns what there is to say."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from pullse.access import token_queries as queries
from pullse.access import tokens
from pullse.access.model import NewToken
from pullse.access.token_queries import Listed
from pullse.access.tokens import Caller
from pullse.agents import queries as agents
from pullse.agents.model import Role
from pullse.agents.permissions import PERMISSIONS, ROLES
from pullse.errors import Invalid, NotFound
from pullse.kit.db import Database
from pullse.kit.edge import EVERYTHING
from pullse.kit.events import OPERATOR, Actor

ME = Actor(OPERATOR.id, rights=EVERYTHING, teams=None)


async def create(
    database: Database,
    name: str,
    *,
    role: str | None,
    email: str | None,
    scopes: Sequence[str],
    days: int | None,
) -> str:
    """The token on a line of its own, then a sentence. Raises `Refusal`."""
    if (role is None) == (email is None):
        raise Invalid("Say whose it is: --agent EMAIL, or --role ROLE for a service.")
    if not name.strip() or len(name) > 200 or "\0" in name:
        raise Invalid("NAME: 1 to 200 characters.")
    expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
    async with database.transaction() as db:
        agent_id = None if email is None else await agents.find_by_email(db, email)
        if email is not None and agent_id is None:
            raise NotFound(f"There is no agent {email}.")
        new = NewToken(
            name, list(scopes), agent_id, None if role is None else Role(role), expires_at
        )
        made = await tokens.create(db, new, by=Caller(ME, "owner", EVERYTHING))
    until = "" if expires_at is None else f" until {expires_at:%Y-%m-%d %H:%M} UTC"
    return (
        f"{made.token}\nThis token is good{until}. Put it where it belongs now: it is shown this "
        "once."
    )


async def show(database: Database) -> str:
    async with database.session() as db:
        found = await queries.listed(db)
    return "\n".join(in_lines(found)) or "There are no tokens."


async def revoke(database: Database, token_id: UUID) -> str:
    async with database.transaction() as db:
        await tokens.revoke(db, token_id, by=ME)
    return f"{token_id} is void; running processes know it within a second."


def in_lines(found: Sequence[Listed]) -> Iterator[str]:
    for each in found:
        words = [str(each.id), f"{each.created_at:%Y-%m-%d %H:%M}", each.holder]
        words += [",".join(each.scopes) or "all of the role"]
        words += [f"until {each.expires_at:%Y-%m-%d %H:%M}"] if each.expires_at else []
        words += [f"used {each.last_used_at:%Y-%m-%d %H:%M}"] if each.last_used_at else []
        words += [f"REVOKED {each.revoked_at:%Y-%m-%d %H:%M}"] if each.revoked_at else []
        yield "  ".join([*words, each.name])


def table() -> str:
    """Who may do what: a line for each permission, a column for each role."""
    wide = max(map(len, PERMISSIONS)) + 2
    lines = [" " * wide + "  ".join(ROLES)]
    for permission in PERMISSIONS:
        cells = [("yes" if permission in ROLES[role] else "-").ljust(len(role)) for role in ROLES]
        lines.append(permission.ljust(wide) + "  ".join(cells).rstrip())
    return "\n".join(lines)
