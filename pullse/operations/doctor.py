"""`pullse doctor`: what pullse needs, looked at one by one, each with what to do about it."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, suppress
from pathlib import Path

from pullse.kit import home
from pullse.kit.aside import aside
from pullse.kit.postgres import Unavailable
from pullse.operations import database_checks, outside_checks
from pullse.operations.findings import Finding, without_secrets
from pullse.settings import Settings
from pullse.store import Store, opened

__all__ = ["Finding", "examine", "parts"]

ENOUGH = 1 << 30

Open = Callable[[], AbstractAsyncContextManager[Store]]
Look = Callable[[], Awaitable[list[Finding]]]


async def examine(settings: Settings) -> list[Finding]:
    """
    All findings, in an order to read them. Nothing here raises for what is wrong outside.

    Works beside a running pullse; without one, the embedded database is started for the time.
    """
    looks = parts(settings, lambda: store_of(settings)).values()
    found = await asyncio.gather(*(look() for look in looks))
    return [finding for each in found for finding in each]


def parts(settings: Settings, open_: Open) -> Mapping[str, Look]:
    """What is looked at independently of one another, in an order to read it."""

    def cleaned(look: Look) -> Look:
        async def run() -> list[Finding]:
            return [without_secrets(each, settings) for each in await look()]

        return run

    looks: dict[str, Look] = {
        "settings": lambda: of_settings(settings),
        "disk": lambda: of_disk(settings),
        "database": lambda: of_database(settings, open_),
        "Ably": lambda: outside_checks.ably(settings),
        "Supabase": lambda: outside_checks.supabase(settings),
        "single sign-on": lambda: outside_checks.providers(settings),
    }
    return {name: cleaned(look) for name, look in looks.items()}


async def of_settings(settings: Settings) -> list[Finding]:
    """They were checked when they were read, so there is only to say which there are."""
    known = {
        "DATABASE_URL": settings.database_url,
        "DATABASE_DIRECT_URL": settings.database_direct_url,
        "ABLY_API_KEY": settings.ably,
        "SUPABASE_URL": settings.supabase_url,
        "SUPABASE_SERVICE_KEY": settings.supabase_service_key,
        "PULLSE_API_TOKEN": settings.api_token,
        "PULLSE_OIDC": settings.oidc,
    }
    given = [name for name, value in known.items() if value]
    text = f"{', '.join(given)} given" if given else "none given, so all are as they come"
    if settings.api_token is None:
        text += "; pullse serve will ask for PULLSE_API_TOKEN"
    return [Finding("settings", True, text)]


async def of_disk(settings: Settings) -> list[Finding]:
    """Of the embedded database."""
    if settings.database_url is not None:
        return []
    with suppress(Unavailable):  # told with the database
        return [await aside(lambda: disk_space(home.choose(settings.data_dir).path))]
    return []


def disk_space(folder: Path) -> Finding:
    there = next(each for each in (folder, *folder.parents) if each.exists())
    free = shutil.disk_usage(there).free
    text = f"{free / (1 << 30):.1f} GiB free for {folder}"
    if free >= ENOUGH:
        return Finding("disk", True, text)
    return Finding(
        "disk", False, text, "Free some, or move the data to a larger disk (--data-dir)."
    )


async def of_database(settings: Settings, open_: Open) -> list[Finding]:
    try:
        async with open_() as store:
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
