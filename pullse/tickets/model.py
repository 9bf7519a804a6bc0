"""Tickets as values: their shapes on the wire and the words they use."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType


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


URGENCY = {Priority.LOW: 1, Priority.MEDIUM: 2, Priority.HIGH: 3, Priority.URGENT: 4}
"""What the column `urgency` holds, so that priorities have an order."""

Title = Annotated[str, Meta(min_length=1, max_length=300, pattern=r"\S")]
Description = Annotated[str, Meta(min_length=1, max_length=100_000, pattern=r"\S")]
AssignedTo = Annotated[
    UUID | None,
    Meta(
        description="An agent's id, or null for nobody. A ticket of a private team goes to who "
        "may see it."
    ),
]
TeamId = Annotated[
    UUID | None,
    Meta(description="A team's id, or null for none. A private team's ticket is for its members."),
]


class NewTicket(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: Title
    description: Description
    priority: Priority = Priority.LOW
    status: Status = Status.OPEN
    assigned_to: AssignedTo = None
    team_id: TeamId = None


class TicketChanges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Only what is sent is changed."""

    title: Title | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    assigned_to: AssignedTo | UnsetType = UNSET
    team_id: TeamId | UnsetType = UNSET


class Ticket(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: UUID
    number: Annotated[int, Meta(description="The short number that people say.")]
    title: str
    description: str
    status: Status
    priority: Priority
    assigned_to: UUID | None
    team_id: UUID | None
    created_at: datetime
    updated_at: datetime
    version: Annotated[int, Meta(ge=1, description="Rises with each change; also the ETag.")]


class DeletedTicket(Ticket, frozen=True, forbid_unknown_fields=True):
    """A ticket in the trash."""

    deleted_at: datetime


class TicketPage(msgspec.Struct, frozen=True):
    records: list[Ticket]
    next_cursor: Annotated[
        str | None, Meta(description="Give it as `cursor` for the next page; null at the end.")
    ]


class TrashPage(msgspec.Struct, frozen=True):
    records: list[DeletedTicket]
    next_cursor: str | None


class Order(StrEnum):
    """A minus sign: the newest, or the most urgent, first."""

    NEWEST = "-created"
    OLDEST = "created"
    LAST_UPDATED = "-updated"
    FIRST_UPDATED = "updated"
    MOST_URGENT = "-priority"
    LEAST_URGENT = "priority"


Moment = Annotated[datetime, Meta(tz=True, description="RFC 3339, with its offset from UTC.")]
Limit = Annotated[int, Meta(ge=1, le=200)]
Cursor = Annotated[
    str, Meta(max_length=300, description="`next_cursor` of the page before, with the same `sort`.")
]


class TicketQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Filters are joined by "and", the values of one by "or"."""

    status: list[Status] = []
    priority: list[Priority] = []
    assigned_to: Annotated[
        list[str], Meta(max_length=10, description="Ids of agents, or `none` for nobody.")
    ] = []
    team_id: Annotated[
        list[str], Meta(max_length=10, description="Ids of teams, or `none` for no team.")
    ] = []
    created_after: Annotated[Moment, Meta(description="This moment or later.")] | None = None
    created_before: Annotated[Moment, Meta(description="Before this moment.")] | None = None
    updated_after: Annotated[Moment, Meta(description="This moment or later.")] | None = None
    updated_before: Annotated[Moment, Meta(description="Before this moment.")] | None = None
    q: (
        Annotated[
            str,
            Meta(
                max_length=300,
                description="Words in title or description, as in a web search: all of them, "
                '"a phrase", one OR another, -without.',
            ),
        ]
        | None
    ) = None
    sort: Order = Order.NEWEST
    limit: Limit = 50
    cursor: Cursor | None = None


class TrashQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    limit: Limit = 50
    cursor: Cursor | None = None
