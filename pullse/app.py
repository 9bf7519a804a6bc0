"""The composition root: the one module that knows every slice and adds up what each offers."""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec

from pullse import __version__
from pullse.access import api as access
from pullse.access import audit_api as audit
from pullse.access import jobs as access_jobs
from pullse.access import pages as access_pages
from pullse.access import policy_api as policies
from pullse.access import sign_in_api as sign_in
from pullse.access import totp
from pullse.access.finder import Finder, SessionFinder
from pullse.access.oidc import api as oidc
from pullse.access.oidc.discovery import Live
from pullse.access.pages import viewer
from pullse.access.passkeys import api as passkeys
from pullse.access.passkeys import link_api as passkeys_by_link
from pullse.access.refusals import Refusals
from pullse.access.supabase import Either, Find, SupabaseFinder
from pullse.agents import api as agents
from pullse.desk import pages as desk
from pullse.desk import side
from pullse.gateway import api as gateway
from pullse.gateway import jobs as gateway_jobs
from pullse.gateway import keys_api
from pullse.gateway import pages as gateway_pages
from pullse.gateway.auth import Keyring
from pullse.gateway.holders import Holders
from pullse.gateway.keys import DevKey, claim
from pullse.gateway.opening import Realtime, opened
from pullse.gateway.sandbox import Sandbox
from pullse.kit import idempotency, seals
from pullse.kit import rates as limits
from pullse.kit.db import Database
from pullse.kit.edge import Edge, Guard
from pullse.kit.guard import BearerToken, LocalOwner
from pullse.kit.jobs import Every, Job
from pullse.kit.metrics import Metrics
from pullse.kit.openapi import describe
from pullse.kit.pages import with_ways_back
from pullse.kit.proxies import NOBODY, Proxies
from pullse.kit.rates import Rates
from pullse.kit.relay import Reactions
from pullse.kit.secret import Secret, WrongSecret
from pullse.kit.tail import Tail
from pullse.kit.web import Answer, Call, Request, Router, Services
from pullse.operations import health, jobs_api, operations_api
from pullse.operations import pages as operations_pages
from pullse.operations.checkup import Checkup
from pullse.preferences import api as preferences
from pullse.preferences import pages as preference_pages
from pullse.realtime import feed
from pullse.reports import api as reports
from pullse.reports import counting
from pullse.reports import pages as reports_pages
from pullse.settings import Settings
from pullse.store import Store
from pullse.teams import api as teams
from pullse.tickets import api as tickets
from pullse.tickets import bulk_api, departures, markdown_api
from pullse.tickets import jobs as ticket_jobs
from pullse.web import frame, patterns
from pullse.web.frame import Frame, Provider


async def openapi(request: Request) -> Answer:
    """The description of this very list of calls."""
    body = described(has_token=request.actor.id != "owner")
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    return Answer(200, body, headers)


log = logging.getLogger(__name__)

OFF = Realtime()

calls: list[Call] = [
    *tickets.calls,
    *bulk_api.calls,
    *markdown_api.calls,
    *agents.calls,
    *teams.calls,
    *departures.calls,
    *reports.calls,
    *feed.calls,
    *gateway.calls,
    *keys_api.calls,
    *sign_in.calls,
    *passkeys.calls,
    *passkeys_by_link.calls,
    *policies.calls,
    *oidc.calls,
    *preferences.calls,
    *access.calls,
    *audit.calls,
    *jobs_api.calls,
    *operations_api.calls,
    *health.calls,
    Call(
        "GET",
        "/api/openapi.json",
        openapi,
        "This description",
        "OpenAPI 3.1.",
        tag="operations",
        media_type="application/json",
        permission="me:read",
    ),
]

pages: list[Call] = with_ways_back(
    [
        *frame.pages,
        *patterns.pages,
        *preference_pages.pages,
        *desk.pages,
        *reports_pages.pages,
        *access_pages.pages,
        *gateway_pages.pages,
        *operations_pages.pages,
    ]
)
places = [
    *desk.places,
    *reports_pages.places,
    *preference_pages.places,
    *access_pages.places,
    *gateway_pages.places,
    *operations_pages.places,
]

slices = (idempotency, limits, access_jobs, ticket_jobs, gateway_jobs, counting)
jobs: dict[str, Job[...]] = {each.name: each for slice_ in slices for each in slice_.jobs}
schedule: list[Every] = [every for slice_ in slices for every in slice_.schedule]
reactions: Reactions = {}


def described(*, has_token: bool) -> bytes:
    return msgspec.json.encode(describe(calls, version=__version__, has_token=has_token))


def build(
    database: Database,
    tail: Tail,
    guard: Guard,
    *,
    readers: Sequence[str] = ("relay",),
    realtime: Realtime = OFF,
    secret: Secret | None = None,
    refusals: Refusals | None = None,
    proxies: Proxies = NOBODY,
    rates: Rates | None = None,
    providers: Sequence[Live] = (),
    checkup: Checkup | None = None,
) -> Edge:
    """The whole ASGI application; `readers` of facts are those that health looks at."""
    if checkup is None:
        address = database.address
        checkup = Checkup(Settings(), Store(address.url, f"PostgreSQL at {address.shown}"))
    finds = [getattr(guard, name, None) for name in ("find", "find_session")]
    if realtime.keyring is not None:
        finds.append(realtime.keyring.holders)
    services = Services(
        database,
        tail,
        readers,
        realtime,
        forgetting([find for find in finds if find is not None]),
        (refusals or Refusals(database)).note,
        secret=secret,
        providers=providers,
        pages=Frame(
            viewer.of,
            find_preferences=preferences.of,
            find_side=side.of,
            places=places,
            providers=[Provider(each.settings.title, oidc.way(each)) for each in providers],
            connects=gateway.origins(realtime.ably),
        ),
        checkup=checkup,
        schedule=schedule,
        key=os.urandom(32) if secret is None else seals.key(secret, "pages"),
    )
    router = Router([*calls, *pages], frame.told)
    annex = realtime.annex
    return Edge(router, services, guard, Metrics(), annex, proxies, rates, told=frame.told)


def forgetting(finds: Sequence[Find | Holders]) -> Callable[[], None]:
    def forget() -> None:
        for find in finds:
            find.forget()

    return forget


def with_tokens(
    guard: LocalOwner | BearerToken, database: Database, settings: Settings | None = None
) -> Guard:
    """The guard that also knows the API tokens and the sessions of this database."""
    find: Find = Finder(database)
    if settings is not None and (settings.supabase_auth or settings.supabase_jwt_secret):
        find = Either(find, SupabaseFinder(database, settings))
    return replace(guard, find=find, find_session=SessionFinder(database))


async def open_secret(database: Database, settings: Settings) -> Secret | None:
    """What is sealed in this database opens by it; None, and a word in the log, if nothing does."""
    try:
        secret = Secret.of(settings)
        async with database.session() as db:
            await claim(db, secret)
    except WrongSecret as error:
        log.error("%s Until then second factors can't be set up or checked.", error)
        return None
    await totp.seal_all(database, secret)
    return secret


async def open_realtime(
    database: Database,
    tail: Tail,
    settings: Settings,
    dev_key: DevKey | None,
    *,
    has_sandbox: bool = False,
) -> Realtime:
    """Ably if there is a key for it, else the built-in gateway."""
    if settings.ably is not None:
        return Realtime(ably=settings.ably)
    secret = Secret.of(settings)
    try:
        async with database.session() as db:
            await claim(db, secret)
    except WrongSecret as error:
        log.error("%s Until then the gateway lets nobody in by a key.", error)
    keyring = Keyring(database, secret, dev_key=dev_key, is_sandbox=has_sandbox)
    return await opened(database, tail, keyring, Sandbox(secret) if has_sandbox else None)
