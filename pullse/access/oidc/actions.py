"""
The two verbs of signing in by a provider: `start` sends the browser there, `finish` is for when
it comes back (OpenID Connect Core 3.1, with PKCE, RFC 7636, and `iss`, RFC 9207).

An attempt is bound to its browser by a secret in a cookie. Nonce and PKCE verifier are made from
that secret and the attempt's state, so the database keeps nothing that finishes an attempt.
"""

import hashlib
import hmac
import logging
import time
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, urlencode
from uuid import UUID

from pullse.access import sessions, throttle
from pullse.access import sign_in_queries as accounts
from pullse.access.oidc import claims, linking, outgoing, queries
from pullse.access.oidc.claims import Person
from pullse.access.oidc.discovery import METHODS, Live, Metadata
from pullse.access.oidc.jose import Untrue
from pullse.access.oidc.linking import NotLetIn
from pullse.access.oidc.model import Callback
from pullse.access.oidc.outgoing import Failed, said
from pullse.access.secrets import hashed, is_secret, new_secret
from pullse.access.sessions import Begun, Browser
from pullse.access.throttle import Limit
from pullse.errors import TooMany
from pullse.kit import audit
from pullse.kit.db import Database, Struct
from pullse.kit.events import Actor

log = logging.getLogger(__name__)

GOOD_FOR = 600
"""Seconds in which one comes back."""
FREE = 100
"""Attempts of an address without a success before it has to wait."""
DENIALS = frozenset(
    {
        "access_denied",
        "account_selection_required",
        "consent_required",
        "interaction_required",
        "login_required",
    }
)


class Started(Struct, frozen=True):
    """Where to send the browser, and what its cookie is."""

    url: str
    secret: str


class Finished(Struct, frozen=True):
    begun: Begun
    return_to: str


class Proof(Struct, frozen=True):
    """What binds an attempt to its browser."""

    secret: str
    state: str

    @property
    def nonce(self) -> str:
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        return self._derived("verifier")

    @property
    def challenge(self) -> str:
        return base64url(hashlib.sha256(self.verifier.encode()).digest())

    def _derived(self, purpose: str) -> str:
        text = f"{purpose}\0{self.state}".encode()
        return base64url(hmac.digest(self.secret.encode(), text, "sha256"))


async def start(
    database: Database,
    live: Live,
    redirect_uri: str,
    return_to: str,
    secret: str | None,
    *,
    by: Actor,
) -> Started:
    """`secret` is the browser's, if it has one. Raises `Failed`, `TooMany`."""
    await throttle.take(database, limits(by))
    metadata = await live.metadata()
    proof = Proof(secret or new_secret(), new_secret())
    async with database.session() as db:
        await queries.begin(
            db,
            state_hash=hashed(proof.state),
            browser_hash=hashed(proof.secret),
            provider=live.name,
            return_to=return_to,
            seconds=GOOD_FOR,
        )
    asked = {
        "response_type": "code",
        "client_id": live.settings.client_id,
        "redirect_uri": redirect_uri,
        "scope": live.settings.scopes,
        "state": proof.state,
        "nonce": proof.nonce,
        "code_challenge": proof.challenge,
        "code_challenge_method": "S256",
    }
    endpoint = metadata.authorization_endpoint
    url = f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"
    return Started(url, proof.secret)


async def finish(
    database: Database,
    live: Live,
    redirect_uri: str,
    given: Callback,
    secret: str | None,
    browser: Browser,
    *,
    by: Actor,
) -> Finished:
    """A session, once for each attempt. Raises `NotLetIn`."""
    try:
        proof = Proof(secret or "", given.state or "")
        return_to = await take(database, live, proof)
        person = await prove(database, live, redirect_uri, given, proof)
        async with database.transaction() as db:
            account = await linking.account_of(db, person, live.settings, by=by)
        async with database.session() as db:
            account = await accounts.by_id(db, account.id) or account
            device_hash = await sessions.known_device(db, account, browser)
        begun = await begin(database, account, browser, live, device_hash, by=by)
    except (NotLetIn, Failed, Untrue) as error:
        raise await refused(database, live, error, by=by) from error
    await throttle.Taken(limits(by)).succeeded(database)
    return Finished(begun, return_to)


async def begin(
    database: Database,
    account: accounts.Account,
    browser: Browser,
    live: Live,
    device_hash: bytes | None,
    *,
    by: Actor,
) -> Begun:
    means, is_known = [f"oidc:{live.name}"], device_hash is not None
    try:
        return await sessions.begin(database, account, browser, means, is_known=is_known, by=by)
    except sessions.WrongCredentials as error:  # disabled meanwhile
        raise NotLetIn("no_account", "disabled", account.id) from error


async def take(database: Database, live: Live, proof: Proof) -> str:
    """Where to go afterwards; nobody takes it a second time."""
    if is_secret(proof.secret) and is_secret(proof.state):
        async with database.session() as db:
            return_to = await queries.take(db, hashed(proof.state), hashed(proof.secret), live.name)
        if return_to is not None:
            return return_to
    raise NotLetIn("sign_in_expired", "state")


async def prove(
    database: Database, live: Live, redirect_uri: str, given: Callback, proof: Proof
) -> Person:
    """Who it is, by the provider's word. Raises `NotLetIn`, `Failed`, `Untrue`."""
    metadata = await live.metadata()
    has_iss = metadata.authorization_response_iss_parameter_supported
    if given.iss != live.issuer and (has_iss or given.iss is not None):
        raise Untrue("the answer came from another issuer")
    if given.error is not None:
        if given.error in DENIALS:
            raise NotLetIn("sign_in_denied", "denied")
        raise Failed(f"it answered {said(given.error)}")
    if not given.code:
        raise Failed("it sent neither a code nor an error")
    id_token, access_token = await exchange(live, metadata, redirect_uri, given.code, proof)
    told, algorithm = await live.keys.verify(id_token)
    subject = claims.check(
        told, issuer=live.issuer, audience=live.settings.client_id, now=time.time()
    )
    claims.check_attempt(told, nonce=proof.nonce, access_token=access_token, algorithm=algorithm)
    if "email" not in told and access_token and metadata.userinfo_endpoint:
        async with database.session() as db:
            agent_id: UUID | None = await queries.agent_of(db, live.issuer, subject)
        if agent_id is None:
            told = await user_info(metadata.userinfo_endpoint, access_token, subject)
    return claims.person(live.issuer, subject, told)


async def exchange(
    live: Live, metadata: Metadata, redirect_uri: str, code: str, proof: Proof
) -> tuple[str, str | None]:
    """The code for an id token, and an access token. Raises `Failed`."""
    settings = live.settings
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": proof.verifier,
    }
    headers = {}
    supported = metadata.token_endpoint_auth_methods_supported
    if settings.client_secret is None:
        form["client_id"] = settings.client_id
    elif METHODS[0] in supported:
        pair = f"{quote(settings.client_id, safe='')}:{quote(settings.client_secret, safe='')}"
        headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    elif METHODS[1] in supported:
        form |= {"client_id": settings.client_id, "client_secret": settings.client_secret}
    else:
        raise Failed(f"its token endpoint takes none of {', '.join(METHODS)}")
    answered = await outgoing.call("POST", metadata.token_endpoint, headers, form)
    told = answered.read()
    if answered.status != 200:
        raise Failed(f"it answered {answered.status} {said(told.get('error'))} to the code")
    id_token, access_token = told.get("id_token"), told.get("access_token")
    if not isinstance(id_token, str):
        raise Failed("it sent no id token for the code")
    return id_token, access_token if isinstance(access_token, str) else None


async def user_info(endpoint: str, access_token: str, subject: str) -> dict[str, object]:
    """Where the id token is brief. Raises `Failed`, `Untrue`."""
    if not (access_token.isascii() and access_token.isprintable()):
        raise Failed("its access token can't be sent")
    told = await outgoing.get(endpoint, {"Authorization": f"Bearer {access_token}"})
    if told.get("sub") != subject:
        raise Untrue("its user info is about somebody else")
    return told


async def refused(database: Database, live: Live, error: Exception, *, by: Actor) -> NotLetIn:
    """What to say of it; in the audit trail too, unless this address does it all the time."""
    if isinstance(error, NotLetIn):
        told = error
    else:
        log.warning("Nobody signed in by %s: %s", live.name, error)
        reason = "token" if isinstance(error, Untrue) else "provider"
        told = NotLetIn("provider_failed", reason)
    try:
        await throttle.take(database, limits(by))
    except TooMany:
        return NotLetIn("too_many", told.reason)
    data = {"agent_id": told.agent_id, "reason": told.reason, "provider": live.name}
    async with database.transaction() as db:
        await audit.record(db, "sign_in.failed", by=by, data=data)
    return told


def limits(by: Actor) -> list[Limit]:
    return [Limit(f"oidc:{throttle.place(by.address)}", FREE)]


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
