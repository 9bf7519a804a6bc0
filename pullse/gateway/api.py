"""
/api/realtime: tokens for browsers, and where their client has to connect.

The token call is the `authUrl` of Ably's clients, which want nothing but the token in the
answer: it comes without our envelope. Refusals have it, as everywhere.
"""

import re
from collections.abc import Collection, Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from pullse.errors import Forbidden, Invalid, Unavailable
from pullse.gateway import holders, tokens
from pullse.gateway.capability import Capability
from pullse.gateway.errors import NOT_CAPABLE, Failure
from pullse.gateway.opening import Realtime
from pullse.gateway.rights import allowed, usual
from pullse.kit.events import Actor
from pullse.kit.web import JSON, Answer, Call, Request, Scope, encoded, ok
from pullse.realtime.projection import ACTIVITY, PRIVATE, SHARED, UPDATES
from pullse.settings import Ably
from pullse.teams import queries

AUTH_URL = "/api/realtime/token"
ABLY = "main.realtime.ably.net"
"""Where its clients connect that are told nothing else."""
TTL_OF_OTHERS = 600_000
HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
NO_STORE = (b"cache-control", b"no-store")

Ignored = Annotated[
    str, Meta(max_length=200, description="Sent by the clients, and of no meaning here.")
]


class TokenQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters that Ably's clients send to an `authUrl`, ably-python's spelling too."""

    client_id: (
        Annotated[
            str, Meta(description="In whose name; the caller's own by default, `*` for anybody's.")
        ]
        | None
    ) = msgspec.field(name="clientId", default=None)
    same_client_id: Annotated[str, Meta(description="The same.")] | None = msgspec.field(
        name="client_id", default=None
    )
    capability: (
        Annotated[
            str,
            Meta(
                description="JSON of resources and their operations, such as "
                '`{"chat:*":["subscribe"]}`; at most what the caller may.'
            ),
        ]
        | None
    ) = None
    ttl: (
        Annotated[
            int, Meta(ge=1, le=tokens.TTL_AT_MOST, description="Milliseconds; an hour by default.")
        ]
        | None
    ) = None
    timestamp: Ignored | None = None
    nonce: Ignored | None = None
    rnd: Ignored | None = None
    key_name: Ignored | None = msgspec.field(name="keyName", default=None)
    envelope: Ignored | None = None
    format: Ignored | None = None


class ClientOptions(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Options of ably-js; what is missing is as the client has it by itself."""

    auth_url: str
    endpoint: str | None = None
    rest_host: Annotated[str, Meta(description="For names without a dot.")] | None = None
    realtime_host: str | None = None
    port: int | None = None
    tls_port: int | None = None
    tls: bool = True
    transports: list[str] = []
    disable_connectivity_check: bool = False


class RealtimeConfig(msgspec.Struct, frozen=True):
    provider: Annotated[
        Literal["pullse", "ably"], Meta(description="The built-in gateway, or Ably's cloud.")
    ]
    client_options: ClientOptions
    channels: Annotated[
        list[str],
        Meta(
            description="Those of tickets; `ticket:<id>` is one ticket's. What is private to a "
            "team is on those that begin with `private:<team>:`, and on no others."
        ),
    ]


async def token(request: Request) -> Answer:
    query = request.read_query(TokenQuery)
    realtime = door(request)
    asked_id = query.same_client_id if query.client_id is None else query.client_id
    client_id = named(request.actor, asked_id)
    teams: Collection[UUID] | None = request.actor.teams
    if teams:
        teams = await private_teams(request)
    try:
        tokens.client_id_of(client_id)
        asked = Capability.parse(query.capability) if query.capability else usual(teams)
        rights = granted(asked, request.actor, teams)
        if realtime.ably is not None:
            found = tokens.request_for(
                realtime.ably.key,
                rights,
                client_id,
                at=tokens.now(),
                ttl=lasting(request.actor, query.ttl, is_watched=False),
            )
        elif realtime.keyring is not None:
            found = realtime.keyring.issue(
                rights,
                client_id,
                holder=holders.text_of(request.actor),
                ttl=lasting(request.actor, query.ttl, is_watched=True),
            )
        else:
            raise closed()
    except Failure as failure:
        raise refused(failure) from failure
    body = msgspec.json.encode(found)
    return Answer(200, body, [JSON, NO_STORE, (b"content-length", b"%d" % len(body))])


async def config(request: Request) -> Answer:
    realtime = door(request)
    if realtime.ably is not None:
        channels = await channels_of(request, SHARED)
        found = RealtimeConfig("ably", at_ably(realtime.ably), channels)
    elif realtime.keyring is not None:
        channels = await channels_of(request, (*SHARED, "ticket:<id>"))
        found = RealtimeConfig("pullse", here(request.scope), channels)
    else:
        raise closed()
    return ok(request, encoded(found))


async def channels_of(request: Request, names: Sequence[str]) -> list[str]:
    """Those that all may read who read the feed, then those of private teams that this one may."""
    private = [] if request.actor.teams == frozenset() else await private_teams(request)
    return [*names, *(f"{PRIVATE}{team}:{name}" for team in private for name in names)]


async def private_teams(request: Request) -> Sequence[UUID]:
    """Those whose tickets the caller may see, by name."""
    async with request.database.session() as db:
        return await queries.private(db, request.actor.teams)


def door(request: Request) -> Realtime:
    return request.services.realtime or Realtime()


def lasting(actor: Actor, asked: int | None, *, is_watched: bool) -> int:
    """
    Milliseconds. A token of an agent or service lasts ten minutes at most, an admin's longer
    if the gateway watches it; the client gets the next one by itself. At Ably, a right that
    was taken away ends with the token alone, and so does one that somebody else has vouched
    for, of whom we have neither a session nor an API token.
    """
    is_known = actor.session is not None or actor.token is not None
    if actor.id in holders.ALWAYS or (is_watched and is_known and is_operator(actor)):
        return asked or tokens.TTL
    return min(asked or TTL_OF_OTHERS, TTL_OF_OTHERS)


def is_operator(actor: Actor) -> bool:
    return "tokens:admin" in actor.rights


def named(actor: Actor, asked: str | None) -> str:
    """Agents and services are present and publish as themselves; only an operator as anybody."""
    if asked is not None and asked != actor.id and not is_operator(actor):
        raise Forbidden(f"clientId: this token's clients are called {actor.id}.")
    return actor.id if asked is None else asked


def granted(asked: Capability, actor: Actor, teams: Collection[UUID] | None) -> Capability:
    rights = allowed(actor.rights, teams).of(asked)
    if rights.is_empty:
        raise Failure(NOT_CAPABLE, "capability: nothing of this is allowed to you.")
    return rights


def refused(failure: Failure) -> Forbidden | Invalid:
    """As the rest of the API says no."""
    if failure.code == NOT_CAPABLE:
        return Forbidden(failure.message)
    field, _, text = failure.message.partition(": ")
    return Invalid(failure.message, problems={field: text})


def closed() -> Unavailable:
    return Unavailable("Real time is not served by this process.")


def at_ably(ably: Ably) -> ClientOptions:
    if ably.host is None:
        return ClientOptions(AUTH_URL, tls=ably.tls)
    return ClientOptions(
        AUTH_URL,
        endpoint=ably.host,
        port=None if ably.tls else ably.port,
        tls_port=ably.port if ably.tls else None,
        tls=ably.tls,
    )


def origins(ably: Ably | None) -> list[str]:
    """Of the servers that a page's client talks with, if they are not ours."""
    if ably is None:
        return []
    host = ABLY if ably.host is None else ably.host
    at = host if ably.port is None else f"{host}:{ably.port}"
    return [f"https://{at}", f"wss://{at}"] if ably.tls else [f"http://{at}", f"ws://{at}"]


def here(scope: Scope) -> ClientOptions:
    """The address that the client has asked, as far as its request tells."""
    headers: dict[bytes, bytes] = dict(scope["headers"])
    host = HOST.fullmatch(headers.get(b"host", b"").decode("latin-1"))
    tls = scope["scheme"] == "https"
    options: dict[str, Any] = {"tls": tls}
    if host is not None:
        name, port = host[1], int(host[2] or (443 if tls else 80))
        # ably-js takes a name without a dot for one of Ably's own clusters.
        is_host = "." in name or "::" in name or name == "localhost"
        options |= {"endpoint": name} if is_host else {"rest_host": name, "realtime_host": name}
        options["tls_port" if tls else "port"] = port
    return ClientOptions(
        AUTH_URL, **options, transports=["web_socket"], disable_connectivity_check=True
    )


EXAMPLE = {
    "provider": "pullse",
    "client_options": {
        "authUrl": AUTH_URL,
        "endpoint": "127.0.0.1",
        "port": 3000,
        "tls": False,
        "transports": ["web_socket"],
        "disableConnectivityCheck": True,
    },
    "channels": [UPDATES, ACTIVITY, "ticket:<id>"],
}

calls = [
    Call(
        "GET",
        AUTH_URL,
        token,
        "Get a token for the channels",
        "A token, or a request that the client exchanges for one.",
        query=TokenQuery,
        tag="operations",
        permission="events:read",
        description="The `authUrl` of Ably's clients, so the answer is bare: TokenDetails "
        "`{token, keyName, issued, expires, capability, clientId}` for the built-in gateway, or, "
        "with ABLY_API_KEY, a signed TokenRequest for Ably. Without a capability it is to follow "
        "all tickets and to be present on them.",
        refuses=[Forbidden],
    ),
    Call(
        "GET",
        "/api/realtime/config",
        config,
        "Get the options for Ably's client",
        "The options have been fetched.",
        data=RealtimeConfig,
        example=EXAMPLE,
        tag="realtime",
        permission="events:read",
    ),
]
