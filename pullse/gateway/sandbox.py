"""
The sandbox door: apps of their own for the SDKs' test suites, made without asking who asks.

Only `pullse gateway --sandbox` opens it, on loopback and with data of its own. Channels of
such an app are stored under its id, so none of them is one of pullse's.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pullse.gateway import channels, keys, presence
from pullse.gateway.auth import Identity
from pullse.gateway.capability import Capability
from pullse.gateway.errors import BAD_REQUEST, NOT_CAPABLE, NOT_FOUND, Failure
from pullse.gateway.keys import ALPHABET, APP
from pullse.gateway.negotiation import Request, Result
from pullse.gateway.presence import Change
from pullse.gateway.wire import Presence, Published, body_of, check_client_id
from pullse.kit.db import Database, Db
from pullse.kit.secret import Secret

LENGTH = 6
"""Characters of an app's id."""
ACCOUNT = "sandbox"
CONNECTION = "fixtures"
"""The connection of members that came with the app; it never ends."""
ALL = {"*": ["*"]}
KEYS_AT_MOST, CHANNELS_AT_MOST = 100, 100
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What a gateway has that makes apps: the secret that keys are derived from."""

    secret: Secret = field(repr=False)


class KeyWish(msgspec.Struct, rename="camel"):
    capability: str | dict[str, Any] | None = None
    revocable_tokens: bool = False


class ChannelWish(msgspec.Struct):
    name: str
    presence: list[Published] = []


class AppWish(msgspec.Struct):
    keys: list[KeyWish] = []
    namespaces: list[dict[str, Any]] = []
    channels: list[ChannelWish] = []


@dataclass(frozen=True, slots=True)
class App:
    id: str
    keys: Sequence[dict[str, Any]]


async def create(request: Request) -> Result:
    sandbox = opened(request)
    wish: AppWish = await request.read_as(AppWish)
    app = await make(request.gateway.database, sandbox.secret, wish)
    request.gateway.tail.wake()
    made = {
        "appId": app.id,
        "accountId": ACCOUNT,
        "keys": app.keys,
        "namespaces": wish.namespaces,
        **reached_at(request),
    }
    return Result(made, 201)


async def delete(request: Request, app: str) -> Result:
    """With one of its keys. What was said on its channels goes when its time is over."""
    opened(request)
    identity = await request.identify()
    if identity.app != app or identity.expires is not None:
        raise Failure(NOT_CAPABLE, "An app is deleted with one of its own keys.")
    async with request.gateway.database.transaction() as db:
        await clear(db, app)
    request.gateway.keyring.forget(app)
    return Result(None, 204)


def opened(request: Request) -> Sandbox:
    if request.gateway.sandbox is None:
        raise Failure(NOT_FOUND, "There is nothing at this address.")
    return request.gateway.sandbox


async def make(database: Database, secret: Secret, wish: AppWish) -> App:
    """An app with keys and with members on its channels. Raises Failure."""
    if len(wish.keys) > KEYS_AT_MOST or len(wish.channels) > CHANNELS_AT_MOST:
        raise Failure(BAD_REQUEST, f"At most {KEYS_AT_MOST} keys and {CHANNELS_AT_MOST} channels.")
    async with database.transaction() as db:
        app = await new_id(db)
        made = [await make_key(db, secret, app, each) for each in wish.keys or [KeyWish()]]
        for each in wish.channels:
            await seed(db, app, each)
    return App(app, made)


async def new_id(db: Db) -> str:
    while True:
        app = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
        if app != APP and not await keys.has_app(db, app):
            return app


async def make_key(db: Db, secret: Secret, app: str, wish: KeyWish) -> dict[str, Any]:
    """As the suites read it, which have several names for the same."""
    capability = Capability.parse(wish.capability or ALL)
    name = await keys.create(db, capability, app=app, is_revocable=wish.revocable_tokens)
    value = secret.of_key(name)
    return {
        "id": name.partition(".")[2],
        "value": value,
        "keyName": name,
        "keySecret": value,
        "keyStr": f"{name}:{value}",
        "capability": capability.text,
        "revocableTokens": wish.revocable_tokens,
    }


async def seed(db: Db, app: str, wish: ChannelWish) -> None:
    """Members as if they had entered, one after the other."""
    topic = Identity(app, "", Capability.parse(ALL), None).topic(channels.parse(wish.name).name)
    for index, each in enumerate(wish.presence):
        client_id = each.client_id or ""
        check_client_id(client_id)
        body = body_of(each, client_id, CONNECTION)
        message_id = f"{CONNECTION}:0:{index}"
        await presence.change(
            db, Change(topic, Presence.ENTER, client_id, CONNECTION, message_id, body)
        )


async def clear(db: Db, app: str) -> None:
    """Take away its keys, and who is present on its channels."""
    await db.run("DELETE FROM realtime_keys WHERE app = $1", app)
    await db.run("DELETE FROM channel_members WHERE starts_with(channel, $1)", f"{app}\x1f")


def reached_at(request: Request) -> dict[str, Any]:
    """Where the app's own calls go: here."""
    scheme = request.scope.get("scheme", "http")
    host = request.headers.get(b"host", b"").decode("latin-1")
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdigit() or name.endswith(":"):
        name, port = host, str(PORTS[scheme])
    found: dict[str, Any] = {"tls": scheme == "https", "port": int(port)}
    return {**found, "endpoint": name.strip("[]")} if name else found
