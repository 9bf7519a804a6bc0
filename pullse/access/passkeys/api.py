"""/api/passkeys and /api/session/passkey: making passkeys, and signing in by one."""

import re
from ipaddress import ip_address
from typing import Any
from uuid import UUID

from pullse.access import sessions
from pullse.access.passkeys import actions, queries
from pullse.access.passkeys.actions import (
    LastWayIn,
    NoPasskey,
    PasskeyKnown,
    TooManyPasskeys,
    WrongPasskey,
    no_passkey,
)
from pullse.access.passkeys.ceremony import Site
from pullse.access.passkeys.model import (
    NewPasskey,
    Nothing,
    Options,
    Passkey,
    PasskeyChanges,
    Passkeys,
    Proof,
    SignInByPasskey,
)
from pullse.access.policy import SingleSignOnNeeded
from pullse.access.sign_in_api import SIGNED_IN, browser_of, renewed, signed_in_as
from pullse.access.sign_in_model import SignedIn
from pullse.agents.api import EXAMPLE as AGENT
from pullse.errors import Conflict, TooMany
from pullse.kit.web import Answer, Call, Request, encoded, ok

HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
DEFAULT_PORTS = {"http": ":80", "https": ":443"}

CHALLENGE = "sFZ3mB1tC4wE6yH9uL3oP0sD8fG2aV5iR7Q1x3ZUfk8"
EXAMPLE = {
    "id": "019aa4b4-11f0-7a44-8b6c-2f3a4b5c6d7e",
    "name": "My laptop",
    "host": "help.example.com",
    "is_synced": True,
    "created_at": "2026-11-22T09:00:00.123456+00:00",
    "last_used_at": None,
}
TO_MAKE = {
    "options": {
        "rp": {"id": "help.example.com", "name": "pullse"},
        "user": {
            "id": "AZqkrkwRej6fay2OfFobBA",
            "name": AGENT["email"],
            "displayName": AGENT["name"],
        },
        "challenge": CHALLENGE,
        "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
        "timeout": 300_000,
        "excludeCredentials": [],
        "authenticatorSelection": {"residentKey": "required", "userVerification": "required"},
        "attestation": "none",
    }
}
TO_USE = {
    "options": {
        "challenge": CHALLENGE,
        "timeout": 300_000,
        "rpId": "help.example.com",
        "allowCredentials": [],
        "userVerification": "required",
    }
}
MADE = {
    "id": "4fQ8rX2vN5kZ7mB1tC4wE6",
    "rawId": "4fQ8rX2vN5kZ7mB1tC4wE6",
    "type": "public-key",
    "response": {
        "clientDataJSON": "eyJ0eXBlIjoid2ViYXV0aG4uY3JlYXRlIn0",
        "attestationObject": "o2NmbXRkbm9uZQ",
        "transports": ["internal"],
    },
}
SIGNED = {
    **MADE,
    "response": {
        "clientDataJSON": "eyJ0eXBlIjoid2ViYXV0aG4uZ2V0In0",
        "authenticatorData": "SZYN5YgOjGh0NBcPZHZgW4_krrmihjLHmVzzuoMdl2M",
        "signature": "MEUCIQ",
        "userHandle": "AZqkrkwRej6fay2OfFobBA",
    },
}


class NoPasskeysHere(Conflict):
    code = "no_passkeys_here"

    def __init__(self) -> None:
        super().__init__(
            "Passkeys belong to a name, and this page has an address: open it by its name, such "
            "as localhost."
        )


def site_of(request: Request) -> Site:
    """Where the browser sees us, as the edge knows it. Raises `NoPasskeysHere`."""
    scheme, host = request.scope["scheme"], (request.header(b"host") or "").lower()
    host = host.removesuffix(DEFAULT_PORTS.get(scheme, ""))
    name = re.sub(r":\d{1,5}\Z", "", host)
    if not HOST.fullmatch(name) or is_address(name):
        raise NoPasskeysHere
    return Site(name, f"{scheme}://{host}")


def is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


async def index(request: Request) -> Answer:
    async with request.database.session() as db:
        bodies = await queries.listed(db, sessions.signed_in(request.actor))
    return ok(request, f'{{"records":[{",".join(bodies)}]}}')


async def begin(request: Request) -> Answer:
    given, site = await request.read_body(Proof), site_of(request)
    options = await actions.begin(request.database, given.password, site, by=request.actor)
    return asked(request, options)


async def add(request: Request) -> Answer:
    given, site = await request.read_body(NewPasskey), site_of(request)
    name = given.name or device(request)
    body, token = await actions.add(request.database, given, name, site, by=request.actor)
    return ok(request, body, [renewed(request, token)])


async def rename(request: Request) -> Answer:
    given = await request.read_body(PasskeyChanges)
    async with request.database.session() as db:
        body = await actions.rename(db, id_in_path(request), given.name, by=request.actor)
    return ok(request, body)


async def remove(request: Request) -> Answer:
    given, id_ = await request.read_body(Proof), id_in_path(request)
    issuers = [each.issuer for each in request.services.providers]
    token = await actions.remove(
        request.database, id_, given.password, issuers=issuers, by=request.actor
    )
    return ok(request, headers=[renewed(request, token)])


async def begin_sign_in(request: Request) -> Answer:
    await request.read_body(Nothing)
    site = site_of(request)
    return asked(request, await actions.begin_sign_in(request.database, site, by=request.actor))


async def sign_in(request: Request) -> Answer:
    given, site = await request.read_body(SignInByPasskey), site_of(request)
    begun = await actions.sign_in(
        request.database, given.credential, site, browser_of(request), by=request.actor
    )
    return signed_in_as(request, begun)


def asked(request: Request, options: Any) -> Answer:
    return ok(request, f'{{"options":{encoded(options)}}}')


def device(request: Request) -> str:
    return sessions.shortened(request.header(b"user-agent"))


def id_in_path(request: Request) -> UUID:
    try:
        return UUID(request.path_params["passkey"])
    except ValueError:
        no_passkey()


calls = [
    Call(
        "GET",
        "/api/passkeys",
        index,
        "List one's passkeys, the newest first",
        "Passkeys have been fetched.",
        data=Passkeys,
        example={"records": [EXAMPLE]},
        tag="sign-in",
        permission="sessions:own",
    ),
    Call(
        "POST",
        "/api/passkeys/options",
        begin,
        "Begin a passkey: what the browser is to ask the authenticator",
        "Go on in the browser.",
        body=Proof,
        data=Options,
        example=TO_MAKE,
        body_example={"password": "four words that nobody guesses"},
        tag="sign-in",
        refuses=[TooManyPasskeys, NoPasskeysHere, TooMany],
        is_repeatable=False,
        permission="sessions:own",
    ),
    Call(
        "POST",
        "/api/passkeys",
        add,
        "Keep the passkey that the authenticator made; all other sessions end",
        "Passkey has been added.",
        status=201,
        body=NewPasskey,
        data=Passkey,
        example=EXAMPLE,
        body_example={"credential": MADE, "name": "My laptop"},
        tag="sign-in",
        refuses=[NoPasskey, PasskeyKnown, TooManyPasskeys, NoPasskeysHere],
        is_repeatable=False,
        permission="sessions:own",
    ),
    Call(
        "PATCH",
        "/api/passkeys/{passkey}",
        rename,
        "Give a passkey another name",
        "Passkey has been updated.",
        body=PasskeyChanges,
        data=Passkey,
        example=EXAMPLE,
        body_example={"name": "My laptop"},
        tag="sign-in",
        permission="sessions:own",
    ),
    Call(
        "POST",
        "/api/passkeys/{passkey}/remove",
        remove,
        "Remove a passkey; all other sessions end",
        "Passkey has been removed.",
        body=Proof,
        body_example={"password": "four words that nobody guesses"},
        tag="sign-in",
        refuses=[LastWayIn, TooMany],
        is_repeatable=False,
        permission="sessions:own",
    ),
    Call(
        "POST",
        "/api/session/passkey/options",
        begin_sign_in,
        "Begin to sign in by a passkey: what the browser is to ask the authenticator",
        "Go on in the browser.",
        body=Nothing,
        data=Options,
        example=TO_USE,
        body_example={},
        tag="sign-in",
        refuses=[NoPasskeysHere],
        is_open=True,
        is_repeatable=False,
    ),
    Call(
        "POST",
        "/api/session/passkey",
        sign_in,
        "Sign in by a passkey alone",
        "You are signed in.",
        body=SignInByPasskey,
        data=SignedIn,
        example=SIGNED_IN,
        body_example={"credential": SIGNED},
        tag="sign-in",
        description="The answer sets a cookie, by which the agent is known from then on.",
        refuses=[WrongPasskey, SingleSignOnNeeded, NoPasskeysHere, TooMany],
        is_open=True,
        is_repeatable=False,
    ),
]
