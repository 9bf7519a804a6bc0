"""
Passkeys as values: their shapes on the wire.

What a browser's `credential.toJSON()` gives has fields that we don't read, and more with each
version of the standard: these alone are not refused.
"""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, field

from pullse.access.sign_in_model import Given, Person
from pullse.agents.model import Name

Id = Annotated[str, Meta(min_length=1, max_length=1400, pattern=r"^[A-Za-z0-9_-]*$")]
"""Base64url; of 1023 bytes at most."""
Bytes = Annotated[str, Meta(min_length=1, max_length=32_768, pattern=r"^[A-Za-z0-9_-]*$")]
Kind = Literal["public-key"]
Transport = Annotated[str, Meta(max_length=32)]


class Created(msgspec.Struct, frozen=True):
    client_data: Bytes = field(name="clientDataJSON")
    attestation: Bytes = field(name="attestationObject")
    transports: Annotated[list[Transport], Meta(max_length=16)] = []


class NewCredential(msgspec.Struct, frozen=True):
    """What `navigator.credentials.create()` gave."""

    id: Id
    raw_id: Id = field(name="rawId")
    type: Kind
    response: Created


class Signed(msgspec.Struct, frozen=True):
    client_data: Bytes = field(name="clientDataJSON")
    authenticator_data: Bytes = field(name="authenticatorData")
    signature: Bytes
    user_handle: Annotated[Id | None, Meta(description="The passkey says whose it is.")] = field(
        name="userHandle", default=None
    )


class Credential(msgspec.Struct, frozen=True):
    """What `navigator.credentials.get()` gave."""

    id: Id
    raw_id: Id = field(name="rawId")
    type: Kind
    response: Signed


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`{}`"""


class Options(msgspec.Struct, frozen=True):
    options: Annotated[
        dict[str, Any],
        Meta(
            description="For `PublicKeyCredential.parseCreationOptionsFromJSON()` or "
            "`parseRequestOptionsFromJSON()`; good for five minutes, and once."
        ),
    ]


class Proof(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    password: Annotated[
        Given | None,
        Meta(description="One's own; not needed within ten minutes after one has signed in."),
    ] = None


class NewPasskey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    credential: NewCredential
    name: Annotated[Name | None, Meta(description="null: what the browser says of itself.")] = None


class PasskeyChanges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name


class LinkedPasskey(Person, frozen=True, forbid_unknown_fields=True, kw_only=True):
    credential: NewCredential
    passkey_name: Annotated[
        Name | None, Meta(description="null: what the browser says of itself.")
    ] = None


class SignInByPasskey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    credential: Credential


class Passkey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: UUID
    name: str
    host: Annotated[str, Meta(description="The name that the page had; it is good at no other.")]
    is_synced: Annotated[bool, Meta(description="Its holder's other devices have it too.")]
    created_at: datetime
    last_used_at: datetime | None


class Passkeys(msgspec.Struct, frozen=True):
    records: list[Passkey]
