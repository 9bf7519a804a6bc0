"""Where pullse keeps its data when it keeps it itself."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_state_path

from pullse.kit.postgres import FOLDER, Account

SYSTEM = Path("/var/lib/pullse")
PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Home:
    path: Path
    why: str


def choose(explicit: Path | None) -> Home:
    """The data folder and, for the start line, why it is that one. Makes nothing."""
    if explicit is not None:
        return Home(explicit.expanduser().absolute(), "as asked")
    preferred = _in_checkout() or Home(user_state_path("pullse"), "this user's state directory")
    account = Account.owning(preferred.path / FOLDER)
    if account.reaches(preferred.path):
        return preferred
    closed = account.barrier(preferred.path)
    return Home(SYSTEM, f"as {closed} is closed to {account.name}, who runs PostgreSQL")


def _in_checkout() -> Home | None:
    checkout = PACKAGE.parent
    home = checkout / ".pullse"
    is_checkout = (checkout / "pyproject.toml").is_file()
    if is_checkout and os.access(home if home.exists() else checkout, os.W_OK):
        return Home(home, "in the checkout")
    return None
