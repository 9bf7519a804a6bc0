"""What `pullse agents` does, for the operator who is locked out; each returns what to say."""

from pullse.agents import actions, queries
from pullse.agents.model import AgentChanges
from pullse.errors import NotFound
from pullse.kit.db import Database
from pullse.kit.events import OPERATOR


async def show(database: Database) -> str:
    async with database.session() as db:
        found = await queries.listed(db)
    lines = [f"{each.state:<9} {each.role:<13} {each.email}  {each.name}" for each in found]
    return "\n".join(lines) or "There are no agents."


async def change(database: Database, email: str, wanted: AgentChanges) -> str:
    """Also the last owner: whoever runs commands here can make another one."""
    async with database.transaction() as db:
        agent_id = await queries.find_by_email(db, email)
        if agent_id is None:
            raise NotFound(f"There is no agent with the address {email}.")
        await actions.change(db, agent_id, wanted, by=OPERATOR)
        agent = await queries.lock(db, agent_id) or actions.no_agent()
    return f"{agent.email} is {agent.state}, with the role {agent.role}."
