"""Agents as values: their shapes on the wire."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\S")]
PART = r"[^\s\x00-\x1f\x7f@<>(),;:\\\"\[\]]"
Email = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=254,
        # Python's $ also stands before a last line end.
        pattern=rf"^{PART}+@{PART}+(?!\n)$",
        description="Compared without regard to case; one agent an address.",
    ),
]


class Role(StrEnum):
    """What each may do is the table in permissions.py."""

    OWNER = "owner"
    ADMIN = "admin"
    AGENT = "agent"
    COLLABORATOR = "collaborator"
    READ_ONLY = "read_only"


class State(StrEnum):
    INVITED = "invited"
    ACTIVE = "active"
    DISABLED = "disabled"


class NewAgent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    email: Email
    role: Role = Role.AGENT


class AgentChanges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Only what is sent is changed."""

    name: Name | UnsetType = UNSET
    email: Email | UnsetType = UNSET
    role: Role | UnsetType = UNSET
    state: Literal["active", "disabled"] | UnsetType = UNSET


class Agent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: UUID
    name: str
    email: str
    created_at: datetime
    updated_at: datetime
    version: Annotated[int, Meta(ge=1, description="Rises with each change; also the ETag.")]
    role: Role
    state: Annotated[
        State,
        Meta(description="Invited until it is first active; tokens of disabled ones are void."),
    ]


class AgentPage(msgspec.Struct, frozen=True):
    records: list[Agent]
    next_cursor: Annotated[
        str | None, Meta(description="Give it as `cursor` for the next page; null at the end.")
    ]


class AgentQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By name."""

    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, Meta(max_length=2000)] | None = None
