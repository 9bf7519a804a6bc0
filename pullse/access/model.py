"""API tokens as values: their shapes on the wire."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from pullse.agents.model import Agent, Name, Role
from pullse.agents.permissions import PERMISSIONS

Scopes = Annotated[
    list[Annotated[str, Meta(extra_json_schema={"enum": list(PERMISSIONS)})]],
    Meta(
        max_length=50,
        description="Permissions, at most those of the role. None: all that the role has at any "
        "time; made with a token that has scopes: those.",
    ),
]
Moment = Annotated[datetime, Meta(tz=True)]
Expiry = Annotated[
    Moment | None, Meta(description="In the future, ten years at most; null: it does not expire.")
]
OVERLAP_AT_MOST = 7 * 86_400


class NewToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    scopes: Scopes = []
    agent_id: Annotated[
        UUID | None, Meta(description="Whose it is; without it and `role`, one's own.")
    ] = None
    role: Annotated[Role | None, Meta(description="Of a service, which is no agent.")] = None
    expires_at: Expiry = None


class Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    overlap: Annotated[
        int,
        Meta(ge=0, le=OVERLAP_AT_MOST, description="Seconds for which the old one goes on."),
    ] = 0
    expires_at: Annotated[
        Moment | None,
        Meta(description="Of the new one; null: after as long as the old one was made for."),
    ] = None


class Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`agent_id` or, of a service, `role`."""

    id: UUID
    name: str
    agent_id: UUID | None
    role: Role | None
    scopes: list[str]
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: Annotated[datetime | None, Meta(description="To the minute.")]
    revoked_at: datetime | None


class MadeToken(Token, frozen=True, forbid_unknown_fields=True, kw_only=True):
    token: Annotated[
        str | None,
        Meta(description="Shown this once; null in the answer to a repeated Idempotency-Key."),
    ]


class TokenPage(msgspec.Struct, frozen=True):
    records: list[Token]
    next_cursor: Annotated[
        str | None, Meta(description="Give it as `cursor` for the next page; null at the end.")
    ]


class TokenQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The newest first."""

    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, Meta(max_length=2000)] | None = None


class OwnTeam(msgspec.Struct, frozen=True):
    id: UUID
    name: str
    is_private: bool


class Me(msgspec.Struct, frozen=True):
    """Who asks. `token` is the API token that was sent, if one was."""

    id: str
    kind: Annotated[
        Literal["owner", "token", "agent", "service"],
        Meta(description="owner: of pullse dev; token: who knows PULLSE_API_TOKEN."),
    ]
    role: Role | None
    permissions: list[str]
    second_factor_needed: Annotated[
        bool, Meta(description="The session may set one up, and nothing else until then.")
    ]
    agent: Agent | None
    teams: Annotated[list[OwnTeam], Meta(description="Those that the agent is in, by name.")]
    token: Token | None
