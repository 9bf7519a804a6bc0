"""The PostgreSQL that pullse brings along: finds it, starts it, watches it, stops it.

One rule: whatever happens to the application, the data stays whole and no server stays behind.
`docs/decisions/0003-embedded-postgresql.md` has the reasons.
"""

from pullse.kit.postgres.account import Account
from pullse.kit.postgres.binaries import Binaries, Preference, find
from pullse.kit.postgres.cluster import FOLDER
from pullse.kit.postgres.errors import Unavailable
from pullse.kit.postgres.server import Postgres, start

__all__ = [
    "FOLDER",
    "Account",
    "Binaries",
    "Postgres",
    "Preference",
    "Unavailable",
    "find",
    "start",
]
