"""Finds pg_dump, pg_restore and psql: the wheel's and the system's, in all their versions."""

import glob
import shutil
from dataclasses import dataclass
from pathlib import Path

from pullse.kit.postgres import binaries

PROGRAMS = ("pg_dump", "pg_restore", "psql")


@dataclass(frozen=True)
class Tools:
    folder: Path
    version: str

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])

    def __str__(self) -> str:
        return f"PostgreSQL {self.version} in {self.folder}"


def at_hand() -> list[Tools]:
    """Oldest first; of one version the wheel's first."""
    folders = [found.bin for found in binaries.search("embedded")]
    folders += [Path(each) for pattern in binaries.SYSTEM_FOLDERS for each in glob.glob(pattern)]
    if on_path := shutil.which("pg_dump"):
        folders.append(Path(on_path).resolve().parent)
    found = {folder: version(folder) for folder in folders}
    usable = [Tools(folder, known) for folder, known in found.items() if known]
    return sorted(usable, key=lambda tools: tools.major)


def fit_for(server: int) -> list[Tools]:
    """
    Those that can dump a server of that major version, nearest first.

    pg_dump refuses servers newer than itself; an archive of the nearest version is read by most.
    """
    return [tools for tools in at_hand() if tools.major >= server]


def version(folder: Path) -> str | None:
    """None where programs are missing or don't run (Debian's wrapper on PATH is no program)."""
    return binaries.version_of(folder, "pg_dump", PROGRAMS)
