"""The file that PostgreSQL writes to; the application keeps it open for the server it starts."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pullse.kit.postgres.account import Account
from pullse.kit.postgres.lock import Private

LIMIT = 10_000_000  # bytes; a larger one is put aside at the start


class Log:
    def __init__(self, path: Path, account: Account) -> None:
        self.path = path
        if path.exists() and path.stat().st_size > LIMIT:
            path.replace(path.with_suffix(".log.1"))
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = Private(os.open(path, flags, 0o600))
        account.give(self.fd)

    @property
    def fd(self) -> int:
        return self._file.fd

    def size(self) -> int:
        return os.fstat(self.fd).st_size

    def complaint(self, offset: int) -> str:
        """What went wrong since; the last lines where the server has no word for it."""
        lines = os.pread(self.fd, 100_000, offset).decode(errors="replace").splitlines()
        fatal = [each for line in lines for each in re.findall(r"(?:FATAL|PANIC): +(.+)", line)]
        told = fatal or [line for line in lines[-3:] if " LOG: " not in line]
        return " | ".join(told)

    def close(self) -> None:
        self._file.close()
