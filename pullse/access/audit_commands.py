"""What `pullse audit` does."""

import re

from pullse.errors import Invalid
from pullse.kit import audit
from pullse.kit.audit import Verdict
from pullse.kit.db import Database

HASH = re.compile("[0-9a-fA-F]{64}")


async def verify(database: Database, expected: str | None) -> Verdict:
    if expected is not None and not HASH.fullmatch(expected):
        raise Invalid("--expect: a hash has 64 hexadecimal digits.")
    async with database.session() as db:
        return await audit.verify(db, expected=bytes.fromhex(expected) if expected else None)


def in_words(verdict: Verdict) -> str:
    if verdict.findings:
        return "\n".join(f"{each.place}: {each.text}" for each in verdict.findings)
    return (
        f"{verdict.count} rows, none edited and none missing between them. The newest hash, to "
        f"be kept elsewhere and given to --expect:\n{verdict.newest.hex()}"
    )
