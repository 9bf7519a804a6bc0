"""The operating system's account that PostgreSQL runs under: the caller's own, never root's.

PostgreSQL refuses to run as root, so root starts it as someone else. Whatever that account must
read is tried as that account: the permissions of all parents, lists and mounts then count.
"""

from __future__ import annotations

import errno
import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pullse.kit.postgres.errors import Unavailable

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"}


@dataclass(frozen=True)
class Account:
    uid: int
    gid: int
    name: str

    @classmethod
    def owning(cls, data: Path) -> Account:
        """The account for a data folder, which need not exist yet, nor the home around it."""
        owner = _owner(data)
        me = os.geteuid()
        if me != 0:
            mine = cls.of(me)
            if owner not in (None, me):
                raise Unavailable(
                    f"{data} belongs to {_name(owner)}, not to you ({mine.name}). "
                    f"Run as {_name(owner)} or as root, or choose another folder with --data-dir."
                )
            return mine
        if given := owner or _owner(data.parent):
            return cls.of(given)
        for name in ("postgres", "nobody"):
            try:
                found = pwd.getpwnam(name)
            except KeyError:
                continue
            if found.pw_uid != 0:
                return cls(found.pw_uid, found.pw_gid, found.pw_name)
        raise Unavailable(
            "PostgreSQL does not run as root, and there is neither an account postgres nor nobody "
            "to run it as. Run pullse as an ordinary user, or set DATABASE_URL."
        )

    @classmethod
    def of(cls, uid: int) -> Account:
        try:
            found = pwd.getpwuid(uid)
        except KeyError:
            raise Unavailable(
                f"User id {uid} has no name on this system, and PostgreSQL insists on one. "
                "Add a line for it to /etc/passwd, run as another user, or set DATABASE_URL."
            ) from None
        return cls(found.pw_uid, found.pw_gid, found.pw_name)

    @property
    def is_other(self) -> bool:
        """Root runs PostgreSQL as this account rather than as itself."""
        return os.geteuid() != self.uid

    def popen(
        self,
        command: Sequence[str | Path],
        *,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL,
        stderr: int = subprocess.DEVNULL,
    ) -> subprocess.Popen[str]:
        """A process of this account: clean environment, private files, its own session.

        The session keeps the terminal's Ctrl-C away from it.
        """
        try:
            return subprocess.Popen(
                command,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                user=self.uid if self.is_other else None,
                group=self.gid if self.is_other else None,
                extra_groups=[] if self.is_other else None,
                cwd="/",
                env=ENVIRONMENT,
                umask=0o077,
                start_new_session=True,
                text=True,
                errors="replace",
            )
        except PermissionError as problem:
            if not self.is_other or problem.errno != errno.EPERM:
                raise
            raise Unavailable(
                f"Root may not become {self.name} here (no CAP_SETUID and CAP_SETGID), and "
                "PostgreSQL does not run as root. Run pullse as an ordinary user."
            ) from problem

    def run(
        self, command: Sequence[str | Path], *, stdin: str | None = None
    ) -> tuple[int, str, str]:
        """Exit status, output and complaints of a short command."""
        source = subprocess.DEVNULL if stdin is None else subprocess.PIPE
        try:
            process = self.popen(
                command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except OSError as problem:
            return 127, "", f"{command[0]}: {problem.strerror}"
        with process:
            out, complaints = process.communicate(stdin)
        return process.returncode, out, complaints

    def reaches(self, folder: Path) -> bool:
        """Whether it can enter a folder, or the nearest parent that is there."""
        while not folder.exists():
            folder = folder.parent
        if not self.is_other:
            return os.access(folder, os.X_OK)
        return self.run(["/bin/sh", "-c", 'cd -- "$1"', "sh", folder])[0] == 0

    def barrier(self, folder: Path) -> Path:
        """The outermost folder on the way that it can't enter."""
        way = [*reversed(folder.parents), folder]
        return next((each for each in way if not self.reaches(each)), folder)

    def give(self, path: Path | int) -> None:
        """Make a file or an open file this account's; never what a link points to."""
        if not self.is_other:
            return
        if isinstance(path, int):
            os.fchown(path, self.uid, self.gid)
        else:
            os.lchown(path, self.uid, self.gid)


def _owner(path: Path) -> int | None:
    try:
        return path.stat().st_uid
    except FileNotFoundError:
        return None


def _name(uid: int | None) -> str:
    try:
        return pwd.getpwuid(uid or 0).pw_name
    except KeyError:
        return f"user id {uid}"
