"""`pullse doctor`: what pullse needs, looked at one by one, each with what to do about it."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

from pullse.kit import home
from pullse.kit.postgres import Unavailable
from pullse.operations import database_checks, outside_checks
from pullse.operations.findings import Finding, without_secrets
from pullse.settings import Settings
from pullse.store import Store, opened

__all__ = ["Finding", "examine"]

ENOUGH = 1 << 30


async def examine(settings: Settings) -> list[Finding]:
    """
    All findings, in an order to read them. Nothing here raises for what is wrong outside.

    Works beside a running pullse; without one, the embedded database is started for the time.
    """
    outside = [
        asyncio.ensure_future(outside_checks.ably(settings)),
        asyncio.ensure_future(outside_checks.supabase(settings)),
    ]
    found = [of_settings(settings)]
    if settings.database_url is None:
        with suppress(Unavailable):  # told with the database
            found.append(disk_space(home.choose(settings.data_dir).path))
    found += await of_database(settings)
    for each in outside:
        found += await each
    return [without_secrets(finding, settings) for finding in found]


def of_settings(settings: Settings) -> Finding:
    """They were checked when they were read, so there is only to say which there are."""
    known = {
        "DATABASE_URL": settings.database_url,
        "DATABASE_DIRECT_URL": settings.database_direct_url,
        "ABLY_API_KEY": settings.ably,
        "SUPABASE_URL": settings.supabase_url,
        "SUPABASE_SERVICE_KEY": settings.supabase_service_key,
        "PULLSE_API_TOKEN": settings.api_token,
    }
    given = [name for name, value in known.items() if value]
    text = f"{', '.join(given)} given" if given else "none given, so all are as they come"
    if settings.api_token is None:
        text += "; pullse serve will ask for PULLSE_API_TOKEN"
    return Finding("settings", True, text)


def disk_space(folder: Path) -> Finding:
    there = next(each for each in (folder, *folder.parents) if each.exists())
    free = shutil.disk_usage(there).free
    text = f"{free / (1 << 30):.1f} GiB free for {folder}"
    if free >= ENOUGH:
        return Finding("disk", True, text)
    return Finding(
        "disk", False, text, "Free some, or move the data to a larger disk (--data-dir)."
    )


async def of_database(settings: Settings) -> list[Finding]:
    try:
        async with store_of(settings) as store:
            return await database_checks.examine(settings, store)
    except Unavailable as error:
        return [Finding("database", False, str(error), "See docs/operations.md, Troubles.")]


@asynccontextmanager
async def store_of(settings: Settings) -> AsyncIterator[Store]:
    """Starting and stopping the embedded one blocks, so it is done in a thread."""
    with ExitStack() as stack:
        store = await asyncio.to_thread(stack.enter_context, opened(settings, beside=True))
        try:
            yield store
        finally:
            await asyncio.to_thread(stack.close)
