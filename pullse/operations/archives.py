"""An archive of pg_dump: is it whole, is it pullse's, and which of its entries are?"""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path

from pullse.kit import migrate
from pullse.kit.postgres.account import ENVIRONMENT
from pullse.operations import holdings
from pullse.operations.tools import Tools

MAGIC = b"PGDMP"
RELATIONAL = (
    "TABLE DATA|TABLE ATTACH|TABLE|SEQUENCE OWNED BY|SEQUENCE SET|SEQUENCE|DEFAULT|FK CONSTRAINT"
    "|CHECK CONSTRAINT|CONSTRAINT|INDEX ATTACH|INDEX|ROW SECURITY|POLICY|TRIGGER|RULE"
    "|MATERIALIZED VIEW DATA|MATERIALIZED VIEW|VIEW|STATISTICS"
)
NAMED = "FUNCTION|PROCEDURE|AGGREGATE|TYPE|DOMAIN|TEXT SEARCH CONFIGURATION|TEXT SEARCH DICTIONARY"
ENTRY = re.compile(rf"^\d+; \d+ \d+ (?:({RELATIONAL})|({NAMED})) (\S+) (\w+)")
RAN = re.compile(r"^COPY public\.migrations \(name, checksum.*?\n(.*?)^\\\.$", re.M | re.S)


class Unfit(Exception):
    """A file that can't be restored; the message says why."""


@dataclass(frozen=True)
class Archive:
    """`entries` are the lines of its table of contents that are pullse's."""

    file: Path
    tools: Tools
    entries: list[str]


async def opened(file: Path, nearest: list[Tools]) -> Archive:
    """Look into it with the first tools that can. Raises `Unfit`."""
    try:
        with file.open("rb") as content:
            magic = content.read(len(MAGIC))
    except OSError as error:
        raise Unfit(f"{file} can't be read: {error.strerror}.") from error
    if magic != MAGIC:
        raise Unfit(f"{file} is not a backup: it does not begin as archives of pg_dump do.")
    for tools in nearest:
        status, listed, said = await read(tools, "--list", file)
        if not status:
            archive = Archive(file, tools, entries(listed))
            await check(archive)
            return archive
    raise Unfit(f"{file} is damaged, or of a newer PostgreSQL than the programs here: {said}.")


def entries(listed: str) -> list[str]:
    """What is ours; others' functions and types, which a dump has with it, are left out."""
    names = holdings.names()
    found = []
    for line in listed.splitlines():
        entry = ENTRY.match(line)
        if entry and entry[3] == holdings.SCHEMA and (entry[1] or entry[4] in names):
            found.append(line)
    return found


async def check(archive: Archive) -> None:
    """Is it of pullse, and of one that is not newer than this?"""
    tables = {
        entry[4] for line in archive.entries if (entry := ENTRY.match(line)) and entry[1] == "TABLE"
    }
    if not {"migrations", "events"} <= tables:
        raise Unfit(f"{archive.file} is an archive of pg_dump, but not of a pullse.")
    status, rows, said = await read(
        archive.tools, "--data-only", "--table=migrations", "--file=-", archive.file
    )
    found = RAN.search(rows)
    if status or not found:
        raise Unfit(f"{archive.file} is damaged: {said or 'it has no migrations'}.")
    check_migrations(archive.file, dict(line.split("\t")[:2] for line in found[1].splitlines()))
    if foreign := tables - holdings.names():
        raise Unfit(
            f"{archive.file} has tables that are not pullse's: {', '.join(sorted(foreign))}."
        )


def check_migrations(file: Path, ran: dict[str, str]) -> None:
    """Name and checksum of each that had run where the backup was made."""
    known = {migration.name: migration.checksum for migration in migrate.available()}
    if unknown := ran.keys() - known.keys():
        raise Unfit(
            f"{file} was made by a newer pullse (it has {', '.join(sorted(unknown))}). "
            "Upgrade this installation first."
        )
    if changed := [name for name, checksum in ran.items() if known[name] != checksum]:
        raise Unfit(
            f"{file} was made by a pullse whose migration {changed[0]} is not the one here."
        )


async def read(tools: Tools, *words: str | Path) -> tuple[int, str, str]:
    """Exit status, output and complaint of pg_restore, which needs no server for this."""
    process = await asyncio.create_subprocess_exec(
        tools.folder / "pg_restore",
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=ENVIRONMENT,
    )
    output, complaints = await process.communicate()
    return process.returncode or 0, output.decode(errors="replace"), complaint(complaints)


def complaint(said: bytes) -> str:
    """The first error, without the rows that it may quote after it."""
    lines = said.decode(errors="replace").splitlines()
    telling = [line for line in lines if re.search(r"\b(ERROR|FATAL|error|fatal)\b:", line)]
    first = (telling or lines or ["it gave no reason"])[0]
    return re.sub(r"^(\S+?:\s+)*?(ERROR|FATAL|error|fatal):\s*", "", first).strip().rstrip(".")
