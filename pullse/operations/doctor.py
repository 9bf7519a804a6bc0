"""`pullse doctor`: what pullse needs, checked, and what to do where something is missing."""

from dataclasses import dataclass

from pullse.settings import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    is_well: bool
    text: str
    remedy: str = ""


async def examine(settings: Settings) -> list[Finding]:
    return [Finding("settings", True, "they can be read")]
