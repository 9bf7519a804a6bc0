"""Preferences as values: their shape on the wire, and which zones and languages there are."""

import re
import zoneinfo
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pullse.errors import Invalid
from pullse.web.frame import TEXTS, USUAL, Preferences

ZONES = frozenset(
    name
    for name in zoneinfo.available_timezones()
    if ("/" in name and not name.startswith(("SystemV/", "Etc/"))) or name == "UTC"
)
"""Those with a place, as a person would look for them; old spellings too."""
LANGUAGES = frozenset(TEXTS)
COLUMN = re.compile(r"[a-z][a-z_]{0,39}")
COLUMNS_AT_MOST = 40

Look = Annotated[Literal["", "light", "dark"], Meta(description="Empty: as the browser says.")]
Contrast = Annotated[Literal["", "more"], Meta(description="Empty: as the browser says.")]
Density = Literal["comfortable", "compact"]
Columns = Annotated[
    list[str],
    Meta(max_length=40, description="Of the list of tickets, in order; empty: the usual ones."),
]
Language = Annotated[
    str, Meta(max_length=10, description="Of pages, as `de`. Empty: as the browser says.")
]
Zone = Annotated[str, Meta(max_length=64, description="An IANA name, as `Europe/Berlin`.")]


class Changes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Only what is sent is changed."""

    look: Look | UnsetType = UNSET
    contrast: Contrast | UnsetType = UNSET
    density: Density | UnsetType = UNSET
    columns: Columns | UnsetType = UNSET
    language: Language | UnsetType = UNSET
    zone: Zone | UnsetType = UNSET


class Wire(msgspec.Struct, frozen=True):
    """Preferences as the API shows them."""

    look: Look
    contrast: Contrast
    density: Density
    columns: Columns
    language: Language
    zone: Zone


def check(changes: Changes) -> None:
    """What the types can't. Raises `Invalid`."""
    problems = {}
    if changes.language not in (UNSET, "") and changes.language not in LANGUAGES:
        problems["language"] = f"One of {', '.join(sorted(LANGUAGES))}, or empty."
    if changes.zone is not UNSET and changes.zone not in ZONES:
        problems["zone"] = "The IANA name of a time zone, as Europe/Berlin, or UTC."
    if changes.columns is not UNSET and not are_names(changes.columns):
        problems["columns"] = "Names of columns, each once."
    if problems:
        message = "; ".join(f"{name}: {text}" for name, text in problems.items())
        raise Invalid(message, problems=problems)


def are_names(columns: list[str]) -> bool:
    return len(set(columns)) == len(columns) and all(map(COLUMN.fullmatch, columns))


def on_the_wire(preferences: Preferences = USUAL) -> Wire:
    return Wire(
        preferences.look,
        preferences.contrast,
        preferences.density,
        list(preferences.columns),
        preferences.language,
        preferences.zone,
    )
