"""
WebAuthn as a browser speaks it: what an authenticator is asked, and whether its answer is one.

Signatures and formats are checked by the library `webauthn`. What it does not look at is
checked here: that no page of another site had ours in a frame.
"""

import binascii
import hashlib
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import msgspec
from msgspec import field
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import options_to_json_dict
from webauthn.helpers.cose import COSEAlgorithmIdentifier as Algorithm
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from pullse.access.passkeys.model import Credential, NewCredential
from pullse.access.passkeys.queries import Device, Known
from pullse.errors import Invalid
from pullse.kit.db import Struct

PATIENCE = 300
"""Seconds that a challenge is good for."""
ALGORITHMS = [Algorithm.ECDSA_SHA_256, Algorithm.EDDSA, Algorithm.RSASSA_PKCS1_v1_5_SHA_256]
KEY_AT_MOST = 1200
"""Bytes; that of RSA with 8192 bits fits."""
TRANSPORTS = {each.value for each in AuthenticatorTransport}


class Site(Struct, frozen=True):
    """Where the browser sees us; `host` is what WebAuthn calls the id of the relying party."""

    host: str
    origin: str


class Made(Struct, frozen=True):
    credential_id: bytes
    public_key: bytes
    transports: list[str]
    is_synced: bool
    sign_count: int


class Used(Struct, frozen=True):
    is_synced: bool
    sign_count: int


class NotAnswered(Exception):
    """What was sent is no answer to what was asked; the message is for the log alone."""


class ClientData(msgspec.Struct, frozen=True):
    challenge: str
    is_framed: bool = field(name="crossOrigin", default=False)


def new_challenge() -> bytes:
    return os.urandom(32)


def hashed(challenge: bytes) -> bytes:
    """What the database knows of it."""
    return hashlib.sha256(challenge).digest()


def to_make(
    challenge: bytes, site: Site, *, handle: bytes, email: str, name: str, known: list[Device]
) -> dict[str, Any]:
    """For `navigator.credentials.create()`."""
    excluded = [
        PublicKeyCredentialDescriptor(
            id=each.credential_id,
            transports=[AuthenticatorTransport(t) for t in each.transports if t in TRANSPORTS],
        )
        for each in known
    ]
    options = generate_registration_options(
        rp_id=site.host,
        rp_name="pullse",
        user_id=handle,
        user_name=email,
        user_display_name=name,
        challenge=challenge,
        timeout=PATIENCE * 1000,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=excluded,
        supported_pub_key_algs=ALGORITHMS,
    )
    return options_to_json_dict(options)


def to_use(challenge: bytes, site: Site) -> dict[str, Any]:
    """For `navigator.credentials.get()`: of any account."""
    options = generate_authentication_options(
        rp_id=site.host,
        challenge=challenge,
        timeout=PATIENCE * 1000,
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return options_to_json_dict(options)


def challenge_in(client_data: str) -> bytes:
    """What the browser says that it was asked. Raises `Invalid`, `NotAnswered`."""
    try:
        found = msgspec.json.decode(raw(client_data), type=ClientData)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid.field("credential", "response.clientDataJSON is not what it says.") from error
    if found.is_framed:
        raise NotAnswered("in a frame of another site")
    return raw(found.challenge)


def raw(text: str) -> bytes:
    """Raises `Invalid`."""
    try:
        return urlsafe_b64decode(text.encode("ascii") + b"==")
    except (binascii.Error, ValueError) as error:
        raise Invalid.field("credential", "Its bytes have to be base64url.") from error


def made(given: NewCredential, challenge: bytes, site: Site) -> Made:
    """The new passkey, if everything is as it was asked for. Raises `NotAnswered`."""
    try:
        verified = verify_registration_response(
            credential=msgspec.to_builtins(given),
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            require_user_verification=True,
            supported_pub_key_algs=ALGORITHMS,
        )
    except Exception as error:  # whatever a parser of a stranger's bytes may raise
        raise NotAnswered(str(error)) from error
    if urlsafe(verified.credential_id) != given.id:
        raise NotAnswered("another id inside than outside")
    if len(verified.credential_public_key) > KEY_AT_MOST:
        raise NotAnswered("a key that is too large")
    return Made(
        verified.credential_id,
        verified.credential_public_key,
        sorted(TRANSPORTS.intersection(given.response.transports)),
        verified.credential_backed_up,
        verified.sign_count,
    )


def used(given: Credential, challenge: bytes, site: Site, known: Known) -> Used:
    """
    It was signed by this passkey, for us, now, and its holder was asked. Raises `NotAnswered`.

    The counter is looked at where it is written down: of two at once only one may pass.
    """
    handle = given.response.user_handle
    if site.host != known.host:
        raise NotAnswered("made at another name")
    if handle is None or raw(handle) != known.user_handle:
        raise NotAnswered("somebody else's")
    try:
        verified = verify_authentication_response(
            credential=msgspec.to_builtins(given),
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            credential_public_key=known.public_key,
            credential_current_sign_count=0,
            require_user_verification=True,
        )
    except Exception as error:  # whatever a parser of a stranger's bytes may raise
        raise NotAnswered(str(error)) from error
    return Used(verified.credential_backed_up, verified.new_sign_count)


def urlsafe(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
