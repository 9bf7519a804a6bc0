"""One process for each data folder: a lock that ends with the process, however it ends."""

from __future__ import annotations

import fcntl
import os
import time
import weakref
from pathlib import Path

from pullse.kit.postgres.account import Account
from pullse.kit.postgres.errors import Unavailable

_private: weakref.WeakSet[Private] = weakref.WeakSet()


class Private:
    """A file descriptor that children don't have, forked ones neither.

    A forked worker that outlived the application would hold the lock and keep the watcher asleep.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        _private.add(self)

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def hold(home: Path, account: Account) -> Private:
    """Hold the home for this process, or say who does."""
    fd = os.open(home / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    held = Private(fd)
    try:
        if not _take(fd):
            holder = os.pread(fd, 32, 0).decode().strip()
            held.close()
            raise Unavailable(
                f"{home} is in use by {f'process {holder}' if holder else 'another process'}. "
                "Stop it first, or choose another folder with --data-dir."
            )
    except OSError as problem:
        held.close()
        raise Unavailable(
            f"The file system of {home} can't lock files ({problem.strerror}), so nothing would "
            "keep two servers off the same data. Choose a folder on a local disk with --data-dir."
        ) from problem
    account.give(fd)
    os.ftruncate(fd, 0)
    os.pwrite(fd, b"%d\n" % os.getpid(), 0)
    return held


def _take(fd: int) -> bool:
    """A command that only asks whether it is held has it for an instant: that's no refusal."""
    for attempt in range(5):
        if attempt:
            time.sleep(0.02)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return True
    return False


def _close_in_child() -> None:
    for each in list(_private):
        each.close()


os.register_at_fork(after_in_child=_close_in_child)
