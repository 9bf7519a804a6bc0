"""The home that all is kept in, and the folder of the socket: who may enter, how long a path is."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from pullse.kit.postgres.account import Account
from pullse.kit.postgres.cluster import PORT
from pullse.kit.postgres.errors import Unavailable

LONGEST_SOCKET_PATH = 100  # bytes; the system's limit is 104 or 108


def open_home(home: Path, account: Account) -> None:
    """Make it if need be; root's may be passed through by PostgreSQL's account."""
    if not home.is_dir():
        missing = [each for each in home.parents if not each.exists()]
        for each in reversed(missing):
            each.mkdir(exist_ok=True)
            if account.is_other:
                each.chmod(0o755)
        home.mkdir(0o700, exist_ok=True)
        home.chmod(0o711 if account.is_other else 0o700)
    if not account.reaches(home):
        raise Unavailable(
            f"PostgreSQL does not run as root but as {account.name}, who can't enter "
            f"{account.barrier(home)} and so can't reach {home}. Choose an open folder with "
            "--data-dir, for example /var/lib/pullse, or run pullse as an ordinary user."
        )


def socket(home: Path, account: Account) -> Path:
    """A folder of the account's own for the socket, whose path the system limits in length."""
    at_home = home / "run"
    if _is_fit(at_home):
        return _private_folder(at_home, account)
    name = f"pullse-{hashlib.sha256(os.fsencode(home)).hexdigest()[:16]}"
    for parent in (_runtime_folder(account), Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108
        if parent and _is_fit(parent / name) and account.reaches(parent):
            return _private_folder(parent / name, account)
    raise Unavailable(f"The path {home} is too long for a socket. Choose a shorter --data-dir.")


def _is_fit(folder: Path) -> bool:
    """Short enough, and without what lists of hosts and folders are split at."""
    path = str(folder / f".s.PGSQL.{PORT}")
    is_plain = path.isprintable() and not set(path) & set(",\"'\\%")
    return is_plain and len(os.fsencode(path)) <= LONGEST_SOCKET_PATH


def _runtime_folder(account: Account) -> Path | None:
    if account.is_other:
        return Path("/run")
    mine = os.environ.get("XDG_RUNTIME_DIR", "")
    return Path(mine) if mine.startswith("/") and os.access(mine, os.W_OK) else None


def _private_folder(folder: Path, account: Account) -> Path:
    """Anyone may write in /tmp: a folder that someone else made there is not used."""
    with suppress(FileExistsError):
        folder.mkdir(0o700)
    found = folder.lstat()
    if account.is_other and stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
        account.give(folder)
        found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != account.uid or found.st_mode & 0o077:
        raise Unavailable(
            f"{folder} is not a private folder of {account.name} (mode 700), so PostgreSQL's "
            "socket would not be safe in it. Remove it, then start again."
        )
    return folder
