"""Agents as values: their shapes on the wire."""

from datetime import datetime
from typing import Annotated
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


class NewAgent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    email: Email


class AgentChanges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Only what is sent is changed."""

    name: Name | UnsetType = UNSET
    email: Email | UnsetType = UNSET


class Agent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: UUID
    name: str
    email: str
    created_at: datetime
    updated_at: datetime
    version: Annotated[int, Meta(ge=1, description="Rises with each change; also the ETag.")]


class AgentPage(msgspec.Struct, frozen=True):
    records: list[Agent]
    next_cursor: Annotated[
        str | None, Meta(description="Give it as `cursor` for the next page; null at the end.")
    ]


class AgentQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By name."""

    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, Meta(max_length=2000)] | None = None
