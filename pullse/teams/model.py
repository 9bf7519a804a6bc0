"""Teams as values: their shapes on the wire."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pullse.agents.model import Agent, Name

IsPrivate = Annotated[
    bool,
    Meta(description="Are its tickets for its members, and for who sees all, alone?"),
]


class NewTeam(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[Name, Meta(description="Compared without regard to case; one team a name.")]
    is_private: IsPrivate = False


class TeamChanges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Only what is sent is changed."""

    name: Name | UnsetType = UNSET
    is_private: IsPrivate | UnsetType = UNSET


class Team(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: UUID
    name: str
    is_private: bool
    created_at: datetime
    updated_at: datetime
    version: Annotated[int, Meta(ge=1, description="Rises with each change; also the ETag.")]


class TeamPage(msgspec.Struct, frozen=True):
    records: list[Team]
    next_cursor: Annotated[
        str | None, Meta(description="Give it as `cursor` for the next page; null at the end.")
    ]


class TeamQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By name."""

    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, Meta(max_length=2000)] | None = None


class Member(Agent, frozen=True, forbid_unknown_fields=True):
    """An agent, and since when it is in the team."""

    joined_at: datetime


class MemberPage(msgspec.Struct, frozen=True):
    records: list[Member]
    next_cursor: Annotated[
        str | None, Meta(description="Give it as `cursor` for the next page; null at the end.")
    ]
