"""Tickets with FastAPI, the SQLAlchemy 2 async ORM and asyncpg, as their own docs teach them.

It answers the four measured calls on the same table with the same shapes, and records no facts.
It is meant to be fair: no trick makes it faster, and nothing makes it slower.
"""

import os
from collections.abc import AsyncIterator
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Generic, TypeVar
from uuid import UUID, uuid4

from fastapi import Depends, FastAPI, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import BigInteger, DateTime, Identity, func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# The pool never overflows: SQLAlchemy closes each connection above `pool_size` on return,
# and with its default of 5 under 32 callers it would mostly be connecting.
engine = create_async_engine(os.environ["REFERENCE_DATABASE_URL"], pool_size=10, max_overflow=0)
new_session = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI(title="Reference")


class Base(DeclarativeBase):
    type_annotation_map = {datetime: DateTime(timezone=True)}  # noqa: RUF012 (as the docs have it)
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012 (updated_at by RETURNING, no re-read)


class Ticket(Base):
    __tablename__ = "tickets"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    number: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    title: Mapped[str]
    description: Mapped[str]
    status: Mapped[str] = mapped_column(default="open")
    priority: Mapped[str] = mapped_column(default="low")
    assigned_to: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    version: Mapped[int] = mapped_column(default=1)
    deleted_at: Mapped[datetime | None]


class Status(StrEnum):
    OPEN = "open"
    IN_PROGRESS = "in_progress"
    RESOLVED = "resolved"
    CLOSED = "closed"


class Priority(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    URGENT = "urgent"


class NewTicket(BaseModel):
    title: str = Field(min_length=1, max_length=300)
    description: str = Field(min_length=1, max_length=100_000)
    status: Status = Status.OPEN
    priority: Priority = Priority.LOW
    assigned_to: UUID | None = None


class TicketChanges(BaseModel):
    status: Status | None = None
    priority: Priority | None = None
    assigned_to: UUID | None = None


class TicketOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    number: int
    title: str
    description: str
    status: Status
    priority: Priority
    assigned_to: UUID | None
    created_at: datetime
    updated_at: datetime
    version: int


T = TypeVar("T")


class Answer(BaseModel, Generic[T]):
    status: bool = True
    message: str
    data: T


class Records(BaseModel):
    records: list[TicketOut]


async def get_session() -> AsyncIterator[AsyncSession]:
    async with new_session() as session:
        yield session


SessionDep = Annotated[AsyncSession, Depends(get_session)]


@app.post("/api/tickets", status_code=201)
async def create_ticket(new: NewTicket, session: SessionDep) -> Answer[TicketOut]:
    ticket = Ticket(**new.model_dump())
    session.add(ticket)
    await session.commit()
    return Answer(message="Ticket has been created.", data=TicketOut.model_validate(ticket))


@app.get("/api/tickets")
async def list_tickets(
    session: SessionDep, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> Answer[Records]:
    newest = (
        select(Ticket)
        .where(Ticket.deleted_at.is_(None))
        .order_by(Ticket.created_at.desc(), Ticket.id.desc())
        .limit(limit)
    )
    tickets = (await session.scalars(newest)).all()
    records = [TicketOut.model_validate(ticket) for ticket in tickets]
    return Answer(message="Tickets have been fetched.", data=Records(records=records))


@app.get("/api/tickets/{ticket_id}")
async def get_ticket(ticket_id: UUID, session: SessionDep) -> Answer[TicketOut]:
    ticket = await find_ticket(session, ticket_id)
    return Answer(message="Ticket has been fetched.", data=TicketOut.model_validate(ticket))


@app.patch("/api/tickets/{ticket_id}")
async def change_ticket(
    ticket_id: UUID, changes: TicketChanges, session: SessionDep
) -> Answer[TicketOut]:
    ticket = await find_ticket(session, ticket_id)
    for field, value in changes.model_dump(exclude_unset=True).items():
        setattr(ticket, field, value)
    ticket.version += 1
    await session.commit()
    return Answer(message="Ticket has been updated.", data=TicketOut.model_validate(ticket))


async def find_ticket(session: AsyncSession, ticket_id: UUID) -> Ticket:
    ticket = await session.get(Ticket, ticket_id)
    if ticket is None or ticket.deleted_at is not None:
        raise HTTPException(status_code=404, detail="There is no such ticket.")
    return ticket
