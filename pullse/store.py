"""Which database this is about: an external one, the embedded one, or the one that runs already."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pullse.kit import home
from pullse.kit.db import Address
from pullse.kit.postgres import start
from pullse.kit.postgres.running import running
from pullse.settings import Settings


@dataclass(frozen=True)
class Store:
    """`shown` is for the start line, without secrets."""

    url: str
    shown: str
    folder: Path | None = None


@contextmanager
def opened(settings: Settings, *, beside: bool = False) -> Iterator[Store]:
    """
    The database for the time of the block, started if it is the embedded one.

    `beside`: a command that may use the database of a pullse that is running. Raises
    `kit.postgres.Unavailable`.
    """
    if settings.database_url:
        yield Store(
            settings.database_url, f"PostgreSQL at {Address.parse(settings.database_url).shown}"
        )
        return
    place = home.choose(settings.data_dir)
    if beside and (url := running_in(place.path)):
        yield Store(url, f"the running pullse's, in {place.path}", place.path)
        return
    with start(place.path, prefer=settings.postgres) as server:
        shown = f"{server.source} PostgreSQL {server.version} in {place.path} ({place.why})"
        yield Store(server.url, shown, place.path)


def running_in(folder: Path) -> str | None:
    """Where even that can't be found out, the start will say what is wrong with the folder."""
    try:
        return running(folder)
    except OSError:
        return None
