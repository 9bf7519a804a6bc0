"""The database that another pullse process on this machine is running, for commands beside it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from urllib.parse import quote

from pullse.kit.postgres import folders
from pullse.kit.postgres.account import Account
from pullse.kit.postgres.cluster import DATABASE, FOLDER, PORT, ROLE


def running(home: Path) -> str | None:
    """Its URL while the home is held by a process, else None. Takes and changes nothing."""
    home = Path(os.path.realpath(home))
    try:
        fd = os.open(home / "lock", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        socket = folders.socket(home, Account.owning(home / FOLDER))
        return f"postgresql://{ROLE}@/{DATABASE}?host={quote(str(socket))}&port={PORT}"
    finally:
        os.close(fd)
    return None
