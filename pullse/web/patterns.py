"""/patterns: every part that pages are made of, in both themes, with the names of its classes."""

import re
from datetime import UTC, datetime
from pathlib import Path

from pullse.kit.pages import Shown, showing
from pullse.kit.web import Request
from pullse.web.frame import HERE, shown

TOKEN = re.compile(r"^    --(color|text)([\w-]*):", re.M)
SYMBOL = re.compile(r'<symbol id="([\w-]+)"')
PEOPLE = ("Ada Brandt", "Ben Okafor", "Chloe Martin", "Dara Lind", "Emil Sørensen", "佐藤 花子")
STORY = datetime(2026, 11, 27, 9, 30, tzinfo=UTC)


def tokens_in(css: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for group, rest in TOKEN.findall(css):
        names = found.setdefault(group, [])
        if f"--{group}{rest}" not in names:
            names.append(f"--{group}{rest}")
    return found


def read(path: Path) -> str:
    return path.read_text("utf-8")


TOKENS = tokens_in(read(HERE / "css" / "10-tokens.css"))
ICONS = SYMBOL.findall(read(HERE / "icons" / "icons.svg"))


async def show(request: Request) -> Shown:
    return await shown(
        request,
        "web/patterns.html",
        colors=TOKENS["color"],
        sizes=TOKENS["text"],
        icons=ICONS,
        people=PEOPLE,
        story=STORY,
    )


pages = [showing("/patterns", show, "me:read")]
