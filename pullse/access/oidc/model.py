"""Single sign-on as values: shapes on the wire, and which paths are ours."""

import re
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from pullse.errors import Invalid

HOME = "/"
PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*")
HIDDEN = re.compile(r"%(2f|5c|[01][0-9a-f]|7f)|%(?![0-9a-f]{2})", re.IGNORECASE)
"""A slash, a backslash or a control character in disguise, or a sign that begins nothing."""


class Named(msgspec.Struct, frozen=True):
    """A provider as the page of /sign-in shows it."""

    name: str
    title: Annotated[str, Meta(description="What the button says.")]
    href: Annotated[str, Meta(description="Where it leads; `?return_to=` may be added.")]


class Providers(msgspec.Struct, frozen=True):
    records: list[Named]


class Start(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    return_to: Annotated[
        str, Meta(max_length=1000, description="A path of ours to come back to, as /tickets?q=a.")
    ] = HOME


class Callback(msgspec.Struct, frozen=True):
    """What a provider sends along; others than these say nothing to us."""

    state: Annotated[str, Meta(max_length=200)] | None = None
    code: Annotated[str, Meta(max_length=8000)] | None = None
    iss: Annotated[str, Meta(max_length=1000)] | None = None
    error: Annotated[str, Meta(max_length=200)] | None = None


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: UUID
    issuer: str
    provider: Annotated[str | None, Meta(description="Null: none of those that are set.")]
    email: Annotated[str, Meta(description="By which it was linked; it opens nothing any more.")]
    linked_at: datetime
    last_used_at: Annotated[datetime, Meta(description="The last time it let somebody in.")]


class Identities(msgspec.Struct, frozen=True):
    records: list[Identity]


def own_path(text: str) -> str:
    """Where a browser may be sent to, and stays with us. Raises `Invalid`."""
    path = text.partition("?")[0]
    if not PATH.fullmatch(text) or "//" in path or HIDDEN.search(text):
        raise Invalid.field("return_to", "Only a path of ours, such as /tickets.")
    return text
