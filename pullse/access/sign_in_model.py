"""Signing in, sessions and links as values: their shapes on the wire."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pullse.access.passwords import LONGEST, SHORTEST
from pullse.agents.model import Email, Name

SINGLE_SIGN_ON = "oidc"
"""What a session is begun by that a provider has vouched for: `oidc:<provider>`."""
STRONG = ("passkey", "totp", "recovery_code", SINGLE_SIGN_ON)
"""Kinds of means that are, or come with, two factors; a provider is trusted to ask for them."""

Given = Annotated[str, Meta(max_length=LONGEST)]
"""A password that is compared."""
Chosen = Annotated[
    str,
    Meta(
        min_length=SHORTEST,
        max_length=LONGEST,
        description="Any characters; those that everybody would try first are refused.",
    ),
]


class SignIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    email: Annotated[str, Meta(max_length=254)]
    password: Given
    code: Annotated[
        Annotated[str, Meta(max_length=100)] | None,
        Meta(description="Of the second factor, or a recovery code."),
    ] = None


class Session(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: UUID
    agent_id: UUID
    device: Annotated[str, Meta(description="What the browser says of itself, in a few words.")]
    address: Annotated[str | None, Meta(description="From where it was begun.")]
    created_at: datetime
    last_used_at: Annotated[datetime, Meta(description="To the minute.")]
    expires_at: Annotated[
        datetime, Meta(description="Whatever happens; after 14 days without use before that.")
    ]
    is_current: bool


class SignedIn(Session, frozen=True, forbid_unknown_fields=True, kw_only=True):
    second_factor_needed: Annotated[
        bool, Meta(description="It may set one up, and nothing else until then.")
    ]


class Sessions(msgspec.Struct, frozen=True):
    records: list[Session]


class Ended(msgspec.Struct, frozen=True):
    ended: Annotated[int, Meta(ge=0, description="How many were.")]


class NewPassword(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    new_password: Chosen
    password: Annotated[
        Given | None, Meta(description="The one until now; null for who has none.")
    ] = None


class NewInvitation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    agent_id: UUID


class Invitation(msgspec.Struct, frozen=True):
    token: Annotated[
        str | None,
        Meta(description="Shown this once; null in the answer to a repeated Idempotency-Key."),
    ]
    purpose: Annotated[
        Literal["invitation", "reset"],
        Meta(description="reset: the agent can sign in already; good for an hour, not 48."),
    ]
    agent_id: UUID
    expires_at: datetime


class Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What who has a link may say of themselves."""

    name: Name | UnsetType = UNSET
    email: Annotated[
        Email | UnsetType, Meta(description="Of the first owner; with a set-up link alone.")
    ] = UNSET


class UsedLink(Person, frozen=True, forbid_unknown_fields=True, kw_only=True):
    password: Chosen


class WhoSetIt(msgspec.Struct, frozen=True):
    agent_id: UUID
    purpose: Literal["setup", "invitation", "reset"]


class OwnPassword(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    password: Annotated[
        Given | None,
        Meta(description="One's own; not needed within ten minutes after one has signed in."),
    ] = None


class NewFactor(msgspec.Struct, frozen=True):
    secret: Annotated[str, Meta(description="Base32, for an authenticator app; shown this once.")]
    uri: Annotated[str, Meta(description="The same as a QR code shows it.")]


class Code(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: Annotated[str, Meta(min_length=6, max_length=6)]


class RecoveryCodes(msgspec.Struct, frozen=True):
    recovery_codes: Annotated[list[str], Meta(description="Each works once; shown this once.")]
