"""`pullse backup` and `pullse restore`, by PostgreSQL's own tools."""

from pathlib import Path

from pullse.settings import Settings
from pullse.store import Store


class Failed(Exception):
    """A backup or restore that did not happen; the message says why."""


def dump(store: Store, settings: Settings, file: Path) -> None:
    raise Failed("Not built yet.")


def restore(store: Store, settings: Settings, file: Path, *, force: bool) -> None:
    raise Failed("Not built yet.")
