"""The verbs about the gateway's keys, for a command, a call or a page."""

from typing import NoReturn

from pullse.errors import Conflict, NotFound
from pullse.gateway import keys
from pullse.gateway.capability import Capability
from pullse.gateway.keys import Listed
from pullse.kit import audit
from pullse.kit.db import Db, Struct
from pullse.kit.events import Actor
from pullse.kit.secret import Secret


class Made(Struct, frozen=True):
    """`text` is the whole key, which only its maker gets to see."""

    text: str
    key: Listed


class NoSecret(Conflict):
    code = "no_secret"

    def __init__(self) -> None:
        super().__init__(
            "This process does not have the secret that this database's keys are made with; its "
            "log says more."
        )


async def create(
    db: Db,
    secret: Secret,
    rights: Capability,
    *,
    note: str = "",
    is_revocable: bool = False,
    by: Actor,
) -> Made:
    """Raises `WrongSecret`."""
    await keys.claim(db, secret)
    name = await keys.create(db, rights, note=note, is_revocable=is_revocable)
    data = {"key": name, "capability": rights.text, "note": note}
    await audit.record(db, "key.created", by=by, data=data)
    made = await keys.get(db, name) or no_key(name)
    return Made(f"{name}:{secret.of_key(name)}", made)


async def revoke(db: Db, name: str, *, by: Actor) -> None:
    """Revoking twice is the same as revoking once."""
    if await keys.revoke(db, name):
        await audit.record(db, "key.revoked", by=by, data={"key": name})
    elif await keys.get(db, name) is None:
        no_key(name)


def no_key(name: str) -> NoReturn:
    raise NotFound(f"There is no key {name}.")
