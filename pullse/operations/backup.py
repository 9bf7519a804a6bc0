"""
`pullse backup` and `pullse restore`: an archive of pg_dump, of what is pullse's and nothing else.

A restore is one transaction, from dropping what is there to the feed's new epoch: it is done,
or nothing has changed. docs/decisions/0007-backup-and-move.md has the reasons.
"""

import asyncio
import errno
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pullse.kit import audit
from pullse.kit.db import Address, Db, endpoint, open_database
from pullse.kit.events import OPERATOR
from pullse.kit.postgres.binaries import OLDEST
from pullse.operations import archives, bridge, holdings, replacing, tools
from pullse.operations.archives import Archive, Unfit
from pullse.operations.reaching import Unreachable, reached, unreachable
from pullse.operations.tools import Tools
from pullse.settings import Settings
from pullse.store import Store


class Failed(Exception):
    """A backup or restore that did not happen; the message says why, and that nothing changed."""


@dataclass(frozen=True)
class Place:
    """The database itself: past any transaction pooler, which dumps can't go through."""

    address: Address
    setting: str


def dump(store: Store, settings: Settings, file: Path) -> None:
    """Write `file`, whole or not at all, for its owner's eyes. Raises `Failed`."""
    if os.path.lexists(file):
        raise Failed(f"{file} exists, and a backup never overwrites one. Choose another name.")
    try:
        asyncio.run(_dump(place_of(store, settings), file))
    except OSError as error:
        raise Failed(f"{file} can't be written: {error.strerror or error}.") from error


async def note(store: Store, settings: Settings, size: int) -> None:
    """In the audit trail, from which pages tell of it. Raises `Unavailable`."""
    database = await open_database(store.url, direct_url=settings.database_direct_url, size=1)
    try:
        async with database.transaction() as db:
            if await db.value("SELECT to_regclass('audit') IS NOT NULL"):
                await audit.record(db, "backup.made", by=OPERATOR, data={"bytes": size})
    finally:
        await database.close()


def restore(store: Store, settings: Settings, file: Path, *, force: bool) -> None:
    """
    Put the archive's content in the place of what pullse has in the database. Raises `Failed`.

    Without `force` only where nobody has written anything yet.
    """
    asyncio.run(_restore(place_of(store, settings), file, force=force))


def place_of(store: Store, settings: Settings) -> Place:
    if settings.database_url and settings.database_direct_url:
        return Place(Address.parse(settings.database_direct_url), "DATABASE_DIRECT_URL")
    return Place(Address.parse(store.url), "DATABASE_URL")


async def _dump(place: Place, file: Path) -> None:
    async with connected(place) as db:
        if not await db.value("SELECT to_regclass($1) IS NOT NULL", f"{holdings.SCHEMA}.events"):
            raise Failed("There is nothing of pullse in this database, so there is no backup.")
        others = await holdings.relations(db, ours=False)
        using = best_for(await major_version(db))
    with written_whole(file) as part:
        async with environment(place) as variables:
            await run(
                [
                    using.folder / "pg_dump",
                    "--format=custom",
                    f"--file={part}",
                    "--no-password",
                    "--lock-wait-timeout=30s",
                    f"--schema={holdings.SCHEMA}",
                    *(f'--exclude-table={holdings.SCHEMA}."{name}"' for name in others),
                ],
                variables,
            )


async def _restore(place: Place, file: Path, *, force: bool) -> None:
    async with connected(place) as db:
        version = await major_version(db)
        if version < OLDEST:
            raise Failed(f"The server is PostgreSQL {version}; pullse needs {OLDEST} or newer.")
        archive = await readable(file, tools.at_hand(), version)
        await check_target(db, force=force)
    try:
        async with environment(place) as variables:
            await replacing.replace(archive, variables)
    except replacing.NotReplaced as error:
        raise Failed(f"{error} The database is as it was.") from error


async def readable(file: Path, at_hand: list[Tools], server: int) -> Archive:
    """The archive, read by the tools nearest to the server's version that understand it."""
    nearest = sorted(at_hand, key=lambda each: (each.major < server, abs(each.major - server)))
    if not nearest:
        raise Failed(NO_TOOLS)
    try:
        return await archives.opened(file, nearest)
    except Unfit as error:
        raise Failed(str(error)) from error


async def check_target(db: Db, *, force: bool) -> None:
    encoding = await db.value("SHOW server_encoding")
    if encoding != "UTF8":
        raise Failed(f"The database's encoding is {encoding}; make one with ENCODING 'UTF8'.")
    listening = await db.value(
        """
        SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'pullse'
           AND pid <> pg_backend_pid() AND query ILIKE 'LISTEN%'
        """
    )
    if listening:
        raise Failed(
            f"A running pullse uses this database ({listening} of its processes listen). "
            "Stop all of them first; they would go on with what they remember."
        )
    filled = await holdings.filled(db)
    if filled and not force:
        raise Failed(
            f"There is data in this database ({', '.join(filled)}). Restore into an empty one, "
            "or replace what is there with --force (make a backup of it first)."
        )


@asynccontextmanager
async def connected(place: Place) -> AsyncIterator[Db]:
    try:
        async with reached(place.address, place.setting) as (db, _):
            yield db
    except Unreachable as error:
        raise Failed(f"{place.address.shown}: {error} {error.remedy}") from error


@asynccontextmanager
async def environment(place: Place) -> AsyncIterator[dict[str, str]]:
    try:
        found = endpoint(place.address)
    except (OSError, ValueError) as error:
        raise Failed(str(unreachable(error, place.setting))) from error
    async with bridge.environment(found) as variables:
        yield variables


async def major_version(db: Db) -> int:
    return int(await db.value("SELECT current_setting('server_version_num')::int / 10000"))


NO_TOOLS = (
    "There is no pg_dump, pg_restore and psql at hand. Install PostgreSQL's client programs "
    "(Debian: apt install postgresql-client)."
)


def best_for(server: int) -> Tools:
    for found in tools.fit_for(server):
        return found
    newest = [*tools.at_hand()][-1:]
    raise Failed(
        f"The server is PostgreSQL {server}, and the newest pg_dump here is of {newest[0]}, which "
        f"can't read it. Install postgresql-client-{server} (apt.postgresql.org has it)."
        if newest
        else NO_TOOLS
    )


@contextmanager
def written_whole(file: Path) -> Iterator[Path]:
    """A file to write to, for our eyes; it gets its name when it is complete and on the disk."""
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}.part")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            os.fchmod(fd, 0o600)
            yield part
            os.fsync(fd)
        finally:
            os.close(fd)
        give_name(part, file)
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def give_name(part: Path, file: Path) -> None:
    """A link fails where a rename would overwrite; not all file systems have links."""
    try:
        os.link(part, file, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS):
            raise
        if os.path.lexists(file):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(file)) from error
        part.rename(file)


async def run(command: list[str | Path], variables: dict[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=variables,
    )
    try:
        _, complaints = await process.communicate()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    if process.returncode:
        raise Failed(f"pg_dump could not make the backup: {archives.complaint(complaints)}.")
