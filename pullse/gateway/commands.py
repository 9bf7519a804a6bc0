"""What `pullse keys` does; each returns what there is to say."""

from collections.abc import Sequence

from pullse.errors import Invalid, NotFound
from pullse.gateway import key_actions, keys
from pullse.gateway.capability import Capability
from pullse.gateway.errors import Failure
from pullse.gateway.keys import Listed
from pullse.kit import audit
from pullse.kit.db import Database
from pullse.kit.events import OPERATOR
from pullse.kit.secret import Secret

FULL = '{"*":["*"]}'
"""Everything on every channel, as a key has it that is made without a capability."""


async def create(
    database: Database, secret: Secret, capability: str, note: str, *, is_revocable: bool
) -> str:
    """The key on a line of its own, then a sentence. Raises `Refusal` and `WrongSecret`."""
    try:
        rights = Capability.parse(capability)
    except Failure as failure:
        raise Invalid(f"--{failure.message}") from failure
    async with database.transaction() as db:
        made = await key_actions.create(
            db, secret, rights, note=note, is_revocable=is_revocable, by=OPERATOR
        )
    return (
        f"{made.text}\n"
        f"This key may do {rights.text}. Put it where it belongs now: it is shown this once."
    )


async def show(database: Database) -> str:
    async with database.session() as db:
        found = await keys.listed(db)
    return "\n".join(in_lines(found)) or "There are no keys."


async def revoke(database: Database, name: str) -> str:
    """Takes a whole key as well, as people paste it."""
    name = name.partition(":")[0]
    async with database.transaction() as db:
        if not await keys.revoke(db, name):
            raise NotFound(f"There is no key {name} in use.")
        await audit.record(db, "key.revoked", by=OPERATOR, data={"key": name})
    return f"{name} and its tokens are void; running processes know it within a second."


async def reset(database: Database, secret: Secret) -> str:
    async with database.transaction() as db:
        count = await keys.reset(db, secret)
        await audit.record(db, "key.reset", by=OPERATOR, data={"revoked": count})
    return f"{secret.source} is the secret from now on; keys revoked: {count}."


def in_lines(found: Sequence[Listed]) -> list[str]:
    lines = []
    for key in found:
        words = [
            key.name,
            f"{key.created_at:%Y-%m-%d %H:%M}",
            Capability.parse(key.capability).text,
        ]
        words += ["revocable tokens"] if key.is_revocable else []
        words += [f"REVOKED {key.revoked_at:%Y-%m-%d %H:%M}"] if key.revoked_at else []
        words += [key.note] if key.note else []
        lines.append("  ".join(words))
    return lines
