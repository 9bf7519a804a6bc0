"""
Marks that are heaped on one letter. What a browser takes to lay them out grows with their square:
20,000 hold a tab up for seconds, 100,000 for minutes. No language has so many.
"""

import re
import unicodedata
from functools import cache

MOST = 200
"""In a row. With so many on each of its letters, a text costs half a second; a Thai one more."""

HEAVY = {"\u0e33", "\u0eb3", "\u200c"}
"""No marks by their category, but written as marks are, or as costly."""

SEEN_FROM = 0x300
"""There and up to the end of the plane is what can be a mark, or unseen between two marks."""


def are_too_many(text: str) -> bool:
    """More than MOST in a row, whatever unseen characters are between them."""
    if len(text) <= MOST or text.isascii():
        return False
    unseen, tower = patterns()
    return tower.search(unseen.sub("", text)) is not None


@cache
def patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Of what is unseen, and of too many marks; both by the Unicode of this Python."""
    marks, unseen = [*HEAVY], ["\u00ad"]
    for code in range(SEEN_FROM, 0x10000):
        kind = unicodedata.category(each := chr(code))
        if kind in ("Mn", "Me"):
            marks.append(each)
        elif kind == "Cf" and each not in HEAVY:
            unseen.append(each)
    # Tags and further variants: apart, since one set of both planes would be searched slowly.
    hidden = rf"[{''.join(unseen)}]+|[\U000e0000-\U000e0fff]+"
    return re.compile(hidden), re.compile(rf"[{''.join(marks)}]{{{MOST + 1}}}")
