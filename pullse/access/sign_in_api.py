"""/api/session, /api/sessions, /api/links and /api/invitations: how people get in and out."""

from uuid import UUID

from pullse.access import factors, links, others, sessions, totp
from pullse.access import session_queries as queries
from pullse.access.links import IsSetUp, no_link
from pullse.access.secrets import is_secret
from pullse.access.sessions import (
    Begun,
    Browser,
    WrongCredentials,
    secret_or_none,
    signed_in,
)
from pullse.access.sign_in_model import (
    Code,
    Ended,
    Invitation,
    NewFactor,
    NewInvitation,
    NewPassword,
    OwnPassword,
    RecoveryCodes,
    Sessions,
    SignedIn,
    SignIn,
    UsedLink,
    WhoSetIt,
)
from pullse.agents.actions import EmailTaken
from pullse.agents.api import EXAMPLE as AGENT
from pullse.agents.api import id_in_path as agent_in_path
from pullse.errors import TooMany
from pullse.kit import guard, idempotency
from pullse.kit.db import Db
from pullse.kit.idempotency import Once
from pullse.kit.web import Answer, Call, Headers, Request, encoded, ok

DAY = 86_400
SESSION, DEVICE, SIGN_ON = b"", b"-device", b"-oidc"
"""What follows the cookie's name."""
KEPT = {SESSION: 90 * DAY, DEVICE: 180 * DAY, SIGN_ON: 600}

EXAMPLE = {
    "id": "019aa4b2-3c0d-7e1f-8a2b-4c5d6e7f8091",
    "agent_id": AGENT["id"],
    "device": "Firefox 133 on Linux",
    "address": "203.0.113.7",
    "created_at": "2026-11-22T09:00:00.123456+00:00",
    "last_used_at": "2026-11-22T09:00:00.123456+00:00",
    "expires_at": "2027-02-20T09:00:00.123456+00:00",
    "is_current": True,
}
SIGNED_IN = {**EXAMPLE, "second_factor_needed": False}
SHOWN_ONCE = "4fQ8rX2vN5kZ7mB1tC4wE6yH9uL3oP0sD8fG2aV5iR7"


async def sign_in(request: Request) -> Answer:
    given = await request.read_body(SignIn)
    secret = request.services.secret
    begun = await sessions.sign_in(
        request.database, given, browser_of(request), secret=secret, by=request.actor
    )
    return signed_in_as(request, begun)


def signed_in_as(request: Request, begun: Begun) -> Answer:
    return ok(request, begun.body, entered(request, begun))


def entered(request: Request, begun: Begun) -> Headers:
    """
    The cookies of a new session. Others are looked up anew only if one has ended, or whoever
    signs in would make the process forget everybody.
    """
    if begun.has_ended:
        request.services.forget()
    return [
        set_cookie(request, SESSION, begun.token),
        set_cookie(request, DEVICE, begun.device_token),
    ]


async def sign_out(request: Request) -> Answer:
    """The device stays known."""
    session_id = sessions.session_of(request.actor)
    async with request.database.transaction() as db:
        await sessions.end(db, session_id, by=request.actor)
    request.services.forget()
    return ok(request, headers=[set_cookie(request, SESSION, "")])


async def index(request: Request) -> Answer:
    agent_id = signed_in(request.actor)
    async with request.database.session() as db:
        bodies = await queries.listed(db, agent_id, request.actor.session)
    return ok(request, f'{{"records":[{",".join(bodies)}]}}')


async def end(request: Request) -> Answer:
    session_id = session_in_path(request)
    async with request.database.transaction() as db:
        await sessions.end(db, session_id, by=request.actor)
    request.services.forget()
    return ok(request)


async def end_others(request: Request) -> Answer:
    async with request.database.transaction() as db:
        count = await sessions.end_others(db, by=request.actor)
    request.services.forget()
    return ok(request, f'{{"ended":{count}}}')


async def index_of_agent(request: Request) -> Answer:
    async with request.database.session() as db:
        bodies = await others.list_sessions(db, agent_in_path(request), by=request.actor)
    return ok(request, f'{{"records":[{",".join(bodies)}]}}')


async def end_one_of_agent(request: Request) -> Answer:
    agent_id, session_id = agent_in_path(request), session_in_path(request)
    async with request.database.transaction() as db:
        await others.end_session(db, agent_id, session_id, by=request.actor)
    request.services.forget()
    return ok(request)


async def end_of_agent(request: Request) -> Answer:
    async with request.database.transaction() as db:
        count = await others.end_sessions(db, agent_in_path(request), by=request.actor)
    request.services.forget()
    return ok(request, f'{{"ended":{count}}}')


async def change_password(request: Request) -> Answer:
    given = await request.read_body(NewPassword)
    token = await sessions.change_password(request.database, given, by=request.actor)
    return ok(request, headers=[renewed(request, token)])


async def begin_totp(request: Request) -> Answer:
    given, secret = await request.read_body(OwnPassword), request.services.secret
    key, account = await factors.begin(
        request.database, given.password, secret=secret, by=request.actor
    )
    uri = totp.uri(key, account.email)
    return ok(request, f'{{"secret":{encoded(totp.shown(key))},"uri":{encoded(uri)}}}')


async def confirm_totp(request: Request) -> Answer:
    given, secret = await request.read_body(Code), request.services.secret
    codes, token = await factors.confirm(
        request.database, given.code, secret=secret, by=request.actor
    )
    return ok(request, f'{{"recovery_codes":{encoded(codes)}}}', [renewed(request, token)])


async def remove_totp(request: Request) -> Answer:
    given = await request.read_body(OwnPassword)
    token = await factors.remove(request.database, given.password, by=request.actor)
    return ok(request, headers=[] if token is None else [renewed(request, token)])


async def invite(request: Request) -> Answer:
    new = await request.read_body(NewInvitation)

    async def run(db: Db) -> Once:
        made = await links.invite(db, new.agent_id, by=request.actor)
        rest = (
            f'"purpose":{encoded(made.purpose)},"agent_id":{encoded(made.agent_id)},'
            f'"expires_at":{encoded(made.expires_at)}}}'
        )
        return Once(
            ok(request, f'{{"token":{encoded(made.token)},{rest}'),
            ok(request, f'{{"token":null,{rest}'),
        )

    return await idempotency.post(request, run)


async def use_link(request: Request) -> Answer:
    given, token = await request.read_body(UsedLink), request.path_params["link"]
    if not is_secret(token):
        no_link()
    agent_id, purpose = await links.use(request.database, token, given, by=request.actor)
    request.services.forget()
    request.services.tail.wake()
    return ok(request, f'{{"agent_id":{encoded(agent_id)},"purpose":{encoded(purpose)}}}')


def session_in_path(request: Request) -> UUID:
    try:
        return UUID(request.path_params["session"])
    except ValueError:
        sessions.no_session()


def browser_of(request: Request) -> Browser:
    headers = request.scope["headers"]
    return Browser(
        secret_or_none(guard.cookie(request.scope, headers, SESSION)),
        secret_or_none(guard.cookie(request.scope, headers, DEVICE)),
        request.header(b"user-agent"),
    )


def renewed(request: Request, token: str) -> tuple[bytes, bytes]:
    """The cookie of a session that goes on with another token."""
    request.services.forget()
    return set_cookie(request, SESSION, token)


def set_cookie(request: Request, suffix: bytes, token: str) -> tuple[bytes, bytes]:
    """An empty one takes the cookie away."""
    age = KEPT[suffix] if token else 0
    text = b"%s=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax"
    value = text % (guard.cookie_name(request.scope) + suffix, token.encode(), age)
    is_https = request.scope["scheme"] == "https"
    return (b"set-cookie", value + (b"; Secure" if is_https else b""))


calls = [
    Call(
        "POST",
        "/api/session",
        sign_in,
        "Sign in",
        "You are signed in.",
        body=SignIn,
        data=SignedIn,
        example=SIGNED_IN,
        body_example={"email": AGENT["email"], "password": "four words that nobody guesses"},
        tag="sign-in",
        description="The answer sets a cookie, by which the agent is known from then on.",
        refuses=[WrongCredentials, TooMany],
        is_open=True,
        is_repeatable=False,
    ),
    Call(
        "DELETE",
        "/api/session",
        sign_out,
        "Sign out",
        "You are signed out.",
        tag="sign-in",
        permission="sessions:own",
    ),
    Call(
        "PUT",
        "/api/session/password",
        change_password,
        "Change one's password; all other sessions end",
        "Password has been changed.",
        body=NewPassword,
        body_example={"password": "the one until now", "new_password": "four words nobody guesses"},
        tag="sign-in",
        refuses=[TooMany],
        permission="sessions:own",
    ),
    Call(
        "POST",
        "/api/session/totp",
        begin_totp,
        "Begin a second factor: a secret for an authenticator app",
        "Confirm it with a code.",
        body=OwnPassword,
        data=NewFactor,
        example={
            "secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
            "uri": "otpauth://totp/pullse:ada%40example.org?secret=JBSW…&issuer=pullse",
        },
        body_example={"password": "four words that nobody guesses"},
        tag="sign-in",
        refuses=[totp.Enrolled, TooMany],
        is_repeatable=False,
        permission="sessions:own",
    ),
    Call(
        "PUT",
        "/api/session/totp",
        confirm_totp,
        "Confirm the second factor with a code; it is asked for from then on",
        "Second factor is set.",
        body=Code,
        data=RecoveryCodes,
        example={"recovery_codes": ["4fQ8rX2vN5kZ7m"]},
        body_example={"code": "123456"},
        tag="sign-in",
        refuses=[totp.Enrolled],
        permission="sessions:own",
    ),
    Call(
        "POST",
        "/api/session/totp/remove",
        remove_totp,
        "Remove the second factor and its recovery codes",
        "Second factor has been removed.",
        body=OwnPassword,
        body_example={"password": "four words that nobody guesses"},
        tag="sign-in",
        refuses=[TooMany],
        is_repeatable=False,
        permission="sessions:own",
    ),
    Call(
        "GET",
        "/api/sessions",
        index,
        "List one's sessions, the newest first",
        "Sessions have been fetched.",
        data=Sessions,
        example={"records": [EXAMPLE]},
        tag="sign-in",
        permission="sessions:own",
    ),
    Call(
        "DELETE",
        "/api/sessions",
        end_others,
        "End all of one's other sessions",
        "Sessions have been ended.",
        data=Ended,
        example={"ended": 2},
        tag="sign-in",
        permission="sessions:own",
    ),
    Call(
        "DELETE",
        "/api/sessions/{session}",
        end,
        "End one of one's sessions",
        "Session has been ended.",
        tag="sign-in",
        permission="sessions:own",
    ),
    Call(
        "GET",
        "/api/agents/{agent}/sessions",
        index_of_agent,
        "List the sessions of an agent, the newest first",
        "Sessions have been fetched.",
        data=Sessions,
        example={"records": [{**EXAMPLE, "is_current": False}]},
        tag="sign-in",
        description="Of nobody who may more than the caller; 50 at most are open at once.",
        permission="agents:admin",
    ),
    Call(
        "DELETE",
        "/api/agents/{agent}/sessions/{session}",
        end_one_of_agent,
        "End one session of an agent, everywhere within a second",
        "Session has been ended.",
        tag="sign-in",
        description="Of nobody who may more than the caller.",
        permission="agents:admin",
    ),
    Call(
        "DELETE",
        "/api/agents/{agent}/sessions",
        end_of_agent,
        "End all sessions of an agent, everywhere within a second",
        "Sessions have been ended.",
        data=Ended,
        example={"ended": 2},
        tag="sign-in",
        description="Of nobody who may more than the caller. API tokens stay good.",
        permission="agents:admin",
    ),
    Call(
        "POST",
        "/api/invitations",
        invite,
        "Make a link by which an agent sets a password or makes a passkey, shown this once",
        "Link has been made.",
        status=201,
        body=NewInvitation,
        data=Invitation,
        example={
            "token": SHOWN_ONCE,
            "purpose": "invitation",
            "agent_id": AGENT["id"],
            "expires_at": "2026-11-24T09:00:00.123456Z",
        },
        tag="sign-in",
        description="What was made for the agent before is good no longer.",
        permission="agents:admin",
    ),
    Call(
        "POST",
        "/api/links/{link}",
        use_link,
        "Use a link: set a password",
        "Password has been set.",
        body=UsedLink,
        data=WhoSetIt,
        example={
            "agent_id": AGENT["id"],
            "purpose": "invitation",
        },
        body_example={"password": "four words that nobody guesses", "name": AGENT["name"]},
        tag="sign-in",
        description="All sessions of the agent end. It does not sign in.",
        refuses=[EmailTaken, IsSetUp],
        is_open=True,
        is_repeatable=False,
    ),
]
