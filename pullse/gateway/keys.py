"""
Keys of the gateway, `app.key:secret`, as clients and servers of Ably's SDKs are given them.

The database knows names and capabilities and no secret: each key's secret is derived from
its name and the installation's own. So who shows a name and its secret is known to have a
key that was made here, before the database is asked whether it is still good.
"""

import hmac
import re
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pullse.gateway.capability import EVERYTHING, Capability
from pullse.kit.db import Db, Struct
from pullse.kit.secret import Secret as Secret
from pullse.kit.secret import WrongSecret as WrongSecret

APP = "pullse"
TOKENS = f"{APP}.tokens"
"""The key of the tokens that pullse itself gives out. It has no row, and opens nothing itself."""
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\.[A-Za-z0-9_-]{1,64}")
ALPHABET = string.ascii_letters + string.digits
LENGTH = 8
"""Of the random part of a name; longer than our own, `dev` and `tokens`."""


@dataclass(frozen=True, slots=True)
class DevKey:
    """A key that everybody knows, for `pullse dev` alone."""

    name: str
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        return f"{self.name}:{self.secret}"


DEV_KEY = DevKey(f"{APP}.dev", "local-development-only")


class Key(Struct, frozen=True):
    """`capability` is JSON text."""

    name: str
    app: str
    capability: str
    is_revocable: bool
    is_revoked: bool

    @property
    def rights(self) -> Capability:
        return Capability.parse(self.capability)


def own_key(name: str) -> Key:
    """One that has no row."""
    return Key(name, APP, EVERYTHING.text, is_revocable=False, is_revoked=False)


class Listed(Struct, frozen=True):
    """A key as `pullse keys list` shows it."""

    name: str
    capability: str
    is_revocable: bool
    note: str
    created_at: datetime
    revoked_at: datetime | None


async def claim(db: Db, secret: Secret) -> None:
    """
    The first secret is this database's for good.

    Raises `WrongSecret` for another one: it would make all keys void without a word.
    """
    fingerprint = await db.value(
        """
        INSERT INTO realtime_secret (fingerprint)
             VALUES ($1)
        ON CONFLICT ON CONSTRAINT realtime_secret_is_one DO UPDATE
                SET is_only = realtime_secret.is_only
          RETURNING fingerprint
        """,
        secret.fingerprint,
    )
    if not hmac.compare_digest(fingerprint, secret.fingerprint):
        raise WrongSecret(
            f"{secret.source} is not the secret that the gateway's keys in this database were "
            "made with. Give every process of this installation the same one: set PULLSE_SECRET "
            "to it (it may be in a file called secret in the data folder of the machine that "
            "came first). If it is lost, `pullse keys reset` begins anew and revokes all keys."
        )


async def reset(db: Db, secret: Secret) -> int:
    """Take this secret from now on and revoke all keys, which are void with it; say how many."""
    await db.run(
        """
        INSERT INTO realtime_secret (fingerprint)
             VALUES ($1)
        ON CONFLICT ON CONSTRAINT realtime_secret_is_one DO UPDATE
                SET fingerprint = excluded.fingerprint
        """,
        secret.fingerprint,
    )
    return await db.run("UPDATE realtime_keys SET revoked_at = now() WHERE revoked_at IS NULL")


async def create(
    db: Db, capability: Capability, *, note: str = "", is_revocable: bool = False, app: str = APP
) -> str:
    """The new key's name; `Secret.of_key` knows the rest of it."""
    while True:
        name = f"{app}.{''.join(secrets.choice(ALPHABET) for _ in range(LENGTH))}"
        is_new = await db.run(
            """
            INSERT INTO realtime_keys (name, app, capability, is_revocable, note)
                 VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT ON CONSTRAINT realtime_keys_pkey DO NOTHING
            """,
            name,
            app,
            capability.text,
            is_revocable,
            note,
        )
        if is_new:
            return name


async def find_many(db: Db, names: Sequence[str]) -> list[Key | None]:
    """In the order of the names; None where there is no such key."""
    found = await db.all(
        Key,
        """
        SELECT name, app, capability, is_revocable, revoked_at IS NOT NULL AS is_revoked
          FROM realtime_keys
         WHERE name = ANY($1::text[])
        """,
        list(set(names)),
    )
    by_name = {key.name: key for key in found}
    return [by_name.get(name) for name in names]


async def revoked(db: Db) -> list[str]:
    """The names of all that were."""
    rows = await db.rows("SELECT name FROM realtime_keys WHERE revoked_at IS NOT NULL")
    return [name for (name,) in rows]


async def listed(db: Db, app: str = APP) -> list[Listed]:
    return await db.all(
        Listed,
        """
        SELECT name, capability, is_revocable, note, created_at, revoked_at
          FROM realtime_keys
         WHERE app = $1
      ORDER BY created_at, name
        """,
        app,
    )


async def page(db: Db, after: tuple[datetime, str] | None, *, limit: int) -> list[Listed]:
    """Of pullse's own, the newest first."""
    made_at, name = after or (None, None)
    return await db.all(
        Listed,
        """
        SELECT name, capability, is_revocable, note, created_at, revoked_at
          FROM realtime_keys
         WHERE app = $1
           AND ($2::timestamptz IS NULL OR (created_at, name) < ($2, $3::text))
      ORDER BY created_at DESC, name DESC
         LIMIT $4
        """,
        APP,
        made_at,
        name,
        limit,
    )


async def get(db: Db, name: str) -> Listed | None:
    """One of pullse's own."""
    return await db.maybe(
        Listed,
        """
        SELECT name, capability, is_revocable, note, created_at, revoked_at
          FROM realtime_keys
         WHERE app = $1 AND name = $2
        """,
        APP,
        name,
    )


async def revoke(db: Db, name: str) -> bool:
    """Its connections end and its tokens are void; False when no such key is in use."""
    return bool(
        await db.run(
            "UPDATE realtime_keys SET revoked_at = now() WHERE name = $1 AND revoked_at IS NULL",
            name,
        )
    )


async def has_app(db: Db, app: str) -> bool:
    return bool(await db.value("SELECT EXISTS (SELECT FROM realtime_keys WHERE app = $1)", app))
