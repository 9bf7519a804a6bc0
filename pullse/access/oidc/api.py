"""/api/sign-in and /api/session/identities: signing in by a provider, and one's own links."""

import logging
import re
from uuid import UUID

from pullse.access.oidc import actions, linking, queries
from pullse.access.oidc.discovery import Live
from pullse.access.oidc.linking import LastWayIn, NotLetIn
from pullse.access.oidc.model import (
    Callback,
    Identities,
    Named,
    Providers,
    Start,
    own_path,
)
from pullse.access.oidc.outgoing import Failed
from pullse.access.sessions import secret_or_none, signed_in
from pullse.access.sign_in_api import SIGN_ON, browser_of, entered, set_cookie
from pullse.errors import Invalid, NotFound, Refusal, TooMany
from pullse.kit import guard
from pullse.kit.web import Answer, Call, Headers, Request, encoded, ok, see_other

log = logging.getLogger(__name__)

BASE = "/api/sign-in/oidc"
PAGE = "/sign-in"
HOST = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")

NAMED = {"name": "google", "title": "Google", "href": f"{BASE}/google"}
EXAMPLE = {
    "id": "019aa4b2-3c0d-7e1f-8a2b-4c5d6e7f8091",
    "issuer": "https://accounts.google.com",
    "provider": "google",
    "email": "ada@example.org",
    "linked_at": "2026-11-22T09:00:00.123456+00:00",
    "last_used_at": "2026-11-22T09:00:00.123456+00:00",
}


async def providers(request: Request) -> Answer:
    known = request.services.providers
    records = [Named(each.name, each.settings.title, way(each)) for each in known]
    return ok(request, encoded(Providers(records)))


def way(live: Live) -> str:
    """Where a browser begins to sign in by a provider."""
    return f"{BASE}/{live.name}"


async def start(request: Request) -> Answer:
    live, given = provider_of(request), request.read_query(Start)
    return_to = own_path(given.return_to)
    try:
        started = await actions.start(
            request.database,
            live,
            redirect_uri(request, live),
            return_to,
            secret_of(request),
            by=request.actor,
        )
    except Failed as error:
        log.warning("Nobody can sign in by %s: %s", live.name, error)
        return see_other(f"{PAGE}?error=provider_failed")
    except TooMany:
        return see_other(f"{PAGE}?error=too_many")
    return see_other(started.url, [set_cookie(request, SIGN_ON, started.secret)])


async def callback(request: Request) -> Answer:
    live = provider_of(request)
    try:
        given = request.read_query(Callback)
    except Refusal:  # of what can't be read nothing is known
        given = Callback()
    try:
        finished = await actions.finish(
            request.database,
            live,
            redirect_uri(request, live),
            given,
            secret_of(request),
            browser_of(request),
            by=request.actor,
        )
    except NotLetIn as error:
        return ours(request, f"{PAGE}?error={error.code}")
    request.services.tail.wake()
    cookies = [*entered(request, finished.begun), set_cookie(request, SIGN_ON, "")]
    return ours(request, finished.return_to, cookies)


def ours(request: Request, path: str, headers: Headers | None = None) -> Answer:
    """
    From the provider's page to one of ours.

    To a browser, a redirect goes on being the other site's request, and `pullse dev` takes none
    of those: there it is a step of our own.
    """
    if not request.actor.is_local:
        return see_other(path, headers)
    step = (b"refresh", f"0; url={path}".encode("ascii"))
    return Answer(200, b"", [step, (b"content-length", b"0"), *(headers or ())])


async def index(request: Request) -> Answer:
    agent_id, known = signed_in(request.actor), request.services.providers
    async with request.database.session() as db:
        bodies = await queries.listed(
            db, agent_id, [each.issuer for each in known], [each.name for each in known]
        )
    return ok(request, f'{{"records":[{",".join(bodies)}]}}')


async def unlink(request: Request) -> Answer:
    agent_id = signed_in(request.actor)
    try:
        identity_id = UUID(request.path_params["identity"])
    except ValueError:
        linking.no_identity()
    issuers = [each.issuer for each in request.services.providers]
    async with request.database.transaction() as db:
        await linking.unlink(db, agent_id, identity_id, issuers, by=request.actor)
    request.services.forget()
    return ok(request)


def provider_of(request: Request) -> Live:
    name = request.path_params["provider"]
    for each in request.services.providers:
        if each.name == name:
            found: Live = each
            return found
    raise NotFound("There is no such provider.")


def secret_of(request: Request) -> str | None:
    """By which the browser is known again when it comes back."""
    return secret_or_none(guard.cookie(request.scope, request.scope["headers"], SIGN_ON))


def redirect_uri(request: Request, live: Live) -> str:
    """Where the provider sends the browser back to: by the name that it called us by."""
    host = request.header(b"host") or ""
    if not HOST.fullmatch(host):
        raise Invalid("This host name can't be used.")
    return f"{request.scope['scheme']}://{host}{BASE}/{live.name}/callback"


calls = [
    Call(
        "GET",
        "/api/sign-in/providers",
        providers,
        "List the providers by which one may sign in",
        "Providers have been fetched.",
        data=Providers,
        example={"records": [NAMED]},
        tag="sign-in",
        is_open=True,
    ),
    Call(
        "GET",
        BASE + "/{provider}",
        start,
        "Sign in by a provider: for a browser, which is sent there",
        "Go on at the provider.",
        status=303,
        query=Start,
        tag="sign-in",
        description="The answer sets a cookie by which the browser is known when it comes back. "
        "Where the provider can't be reached it leads to /sign-in?error=….",
        is_open=True,
    ),
    Call(
        "GET",
        BASE + "/{provider}/callback",
        callback,
        "Come back from a provider",
        "Go on where you began, or at /sign-in?error=….",
        status=303,
        query=Callback,
        tag="sign-in",
        description="Sets the cookies of a session when all is well.",
        is_open=True,
    ),
    Call(
        "GET",
        "/api/session/identities",
        index,
        "List the accounts elsewhere that are linked to one's own",
        "Identities have been fetched.",
        data=Identities,
        example={"records": [EXAMPLE]},
        tag="sign-in",
        permission="sessions:own",
    ),
    Call(
        "DELETE",
        "/api/session/identities/{identity}",
        unlink,
        "Unlink one of them",
        "Identity has been unlinked.",
        tag="sign-in",
        description="A later sign-in by the same verified e-mail address links it again.",
        refuses=[LastWayIn],
        permission="sessions:own",
    ),
]
