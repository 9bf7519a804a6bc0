"""The demo story: a few agents of a bicycle shop and what their customers wrote in about."""

from uuid import UUID

import msgspec
from msgspec import UNSET

from pullse.agents import actions as agents
from pullse.agents.model import NewAgent
from pullse.kit.db import Database
from pullse.kit.events import Actor
from pullse.tickets import actions as tickets
from pullse.tickets.model import NewTicket, Priority, Status, TicketChanges

STORY = Actor("demo", teams=None)

AGENTS = (
    ("Ada Brandt", "ada@example.org"),
    ("Ben Okafor", "ben@example.org"),
    ("Chloe Martin", "chloe@example.org"),
)

TICKETS: tuple[tuple[str, str, Priority, int | None, tuple[Status, ...]], ...] = (
    (
        "Order 1841 never arrived",
        "I ordered a rear light on the 3rd. The parcel service says it was delivered, but there "
        "is nothing here and the neighbours have not seen it either.",
        Priority.HIGH,
        0,
        (Status.IN_PROGRESS,),
    ),
    (
        "The invoice shows the wrong address",
        "We moved in March, but the invoice of May still has the old street. Our accounts "
        "department can't book it like that.",
        Priority.MEDIUM,
        1,
        (Status.IN_PROGRESS, Status.RESOLVED),
    ),
    (
        "Can't log in since this morning",
        "The page says that my password is wrong. I have not changed it. I also asked for a "
        "reset twice, no mail came.",
        Priority.URGENT,
        None,
        (),
    ),
    (
        "Which chain fits the City 7?",
        "Mine is worn out after three years. Is it the 7 or the 8 speed one, and do you have it "
        "in stock?",
        Priority.LOW,
        2,
        (Status.IN_PROGRESS, Status.RESOLVED, Status.CLOSED),
    ),
    (
        "Charged twice for the same helmet",
        "My card shows 79.00 two times on the 12th. I only bought one. Please give one back.",
        Priority.HIGH,
        0,
        (),
    ),
    (
        "Brake squeals after the service",
        "I picked the bicycle up yesterday and the front brake squeals since. May I bring it in "
        "again without an appointment?",
        Priority.MEDIUM,
        None,
        (),
    ),
    (
        "Please delete my account",
        "I don't use the shop any more. Please delete my data and confirm it in writing.",
        Priority.LOW,
        1,
        (),
    ),
    (
        "Voucher code is refused",
        "SPRING26 is refused at the till with “not valid for this basket”. The mail says that it "
        "holds for everything.",
        Priority.MEDIUM,
        None,
        (Status.IN_PROGRESS,),
    ),
)


async def load(database: Database) -> bool:
    """Only into a database without tickets; false when there are some."""
    async with database.transaction() as db:
        await db.run("LOCK TABLE agents IN SHARE ROW EXCLUSIVE MODE")
        if await db.value("SELECT EXISTS (SELECT FROM tickets) OR EXISTS (SELECT FROM agents)"):
            return False
        people = []
        for name, email in AGENTS:
            made = await agents.create(db, NewAgent(name, email), by=STORY)
            people.append(id_of(made.body))
        for title, description, priority, agent, steps in TICKETS:
            assigned_to = None if agent is None else people[agent]
            new = NewTicket(title, description, priority, Status.OPEN, assigned_to)
            ticket = await tickets.create(db, new, by=STORY)
            for status in steps:
                changes = TicketChanges(UNSET, UNSET, status)
                await tickets.change(db, id_of(ticket.body), changes, by=STORY)
    return True


class HasId(msgspec.Struct):
    id: UUID


def id_of(body: str) -> UUID:
    return msgspec.json.decode(body, type=HasId).id
