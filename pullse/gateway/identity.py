"""Who somebody is to the gateway, and with what they say so."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field

from pullse.access.standings import Holder
from pullse.gateway import tokens
from pullse.gateway.capability import Capability
from pullse.gateway.channels import APART
from pullse.gateway.errors import BAD_CLIENT_ID, BAD_CREDENTIALS, INCOMPATIBLE, Failure
from pullse.gateway.jwt import LENGTH_AT_MOST
from pullse.gateway.keys import APP


@dataclass(frozen=True, slots=True)
class Identity:
    """
    `client_id` is "*" for whoever may speak as anybody, None for who may as nobody.

    `expires` and `issued` are milliseconds since 1970, None for a key.
    """

    app: str
    key_name: str
    capability: Capability
    client_id: str | None
    expires: int | None = None
    issued: int | None = None
    revocation_key: str | None = None
    is_revocable: bool = False
    token_client_id: str | None = None
    """As the token has it; `client_id` may be one that a wildcard was used for."""
    holder: Holder | None = None
    """Of a token that pullse gave out: with whom it stands and falls."""

    def topic(self, channel: str) -> str:
        """The name under which the channel is stored."""
        return channel if self.app == APP else self.app + APART + channel

    def channel(self, topic: str) -> str:
        """The name of what is stored as this, of its own app."""
        return topic if self.app == APP else topic.removeprefix(self.app + APART)

    @property
    def targets(self) -> list[str]:
        """By which its token may be revoked."""
        found = {f"clientId:{each}" for each in (self.client_id, self.token_client_id) if each}
        if self.revocation_key is not None:
            found.add(f"revocationKey:{self.revocation_key}")
        return [*found, *(f"channel:{each}" for each in self.capability.resources)]


@dataclass(frozen=True, slots=True)
class Credentials:
    """As found in a request; nothing of it is checked."""

    key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    client_id: str | None = None

    @classmethod
    def read(cls, headers: Mapping[bytes, bytes], query: Mapping[str, str]) -> "Credentials":
        """
        The header Authorization, or else `?key=`, `?accessToken=` or `?access_token=`.

        Names of headers are in lower case. Raises Failure.
        """
        client_id = query.get("clientId")
        given = headers.get(b"x-ably-clientid")
        if client_id is None and given is not None:
            client_id = unwrapped(given, BAD_CLIENT_ID)
        scheme, _, value = headers.get(b"authorization", b"").strip().partition(b" ")
        match scheme.lower():
            case b"":
                token = query.get("accessToken") or query.get("access_token")
                return cls(query.get("key") if token is None else None, token, client_id)
            case b"basic":
                return cls(unwrapped(value, BAD_CREDENTIALS), None, client_id)
            case b"bearer":
                # The SDKs wrap their token once more; who writes it by hand does not.
                is_plain = b"." in value
                token = plain(value) if is_plain else unwrapped(value, BAD_CREDENTIALS)
                return cls(None, token, client_id)
        raise Failure(BAD_CREDENTIALS, "Authorization: Basic with a key, or Bearer with a token.")


def unwrapped(value: bytes, code: int) -> str:
    """Of base64, in either alphabet."""
    if len(value) > 2 * LENGTH_AT_MOST:
        raise Failure(code, "The credentials are too long.")
    text = value.strip().translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise Failure(code, "The credentials or the clientId are not base64 of UTF-8.") from None


def plain(value: bytes) -> str:
    return value.strip().decode("latin-1")


def bound(own: str | None, asked: str | None) -> str | None:
    """Who somebody is that may be `own` and asks to be somebody. Raises Failure."""
    if asked is None:
        return own
    if tokens.client_id_of(asked) == "*":
        raise Failure(BAD_CLIENT_ID, "clientId: nobody is called *.")
    if own not in ("*", asked):
        raise Failure(INCOMPATIBLE, "clientId: these credentials are not for this one.")
    return asked
