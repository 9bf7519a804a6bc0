"""
What pages say, in the languages of people: one file each, the same keys in all.

Refusals are written in English where they arise; a language has their sentences too, with
`{n}` and `{m}` for numbers and `{x}` for anything. What it does not have stays English.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

HOLE = re.compile(r"\\{([a-z]+)\\}")
HOLES = {"n": r"[\d,.]+", "m": r"[\d,.]+"}
TURNS = re.compile(
    r"[\u0590-\u08ff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufefc]"
)
"""Letters that run from right to left, and what says which way others run."""
SAYS_WAY = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
QUALITY = re.compile(r"\s*([A-Za-z]{1,8}|\*)[A-Za-z0-9-]*\s*(?:;\s*q=([01](?:\.\d{0,3})?)\s*)?")


class Texts:
    """One language."""

    def __init__(self, language: str, entries: Mapping[str, Any]) -> None:
        self.language = language
        self.entries = flat(entries)
        self.sentences: list[tuple[re.Pattern[str], str]] = [
            (pattern_of(sentence), text) for sentence, text in entries["sentences"].items()
        ]

    def text(self, key: str, **given: Any) -> str:
        return self.entries[key].format(**{name: alone(value) for name, value in given.items()})

    def say(self, sentence: str) -> str:
        """A refusal's sentence."""
        for pattern, text in self.sentences:
            found = pattern.fullmatch(sentence)
            if found:
                return text.format(**found.groupdict())
        return sentence


def alone(value: Any) -> Any:
    """What goes into a text turns nothing around it; in HTML an element of its own does that."""
    if isinstance(value, str) and TURNS.search(value):
        return f"\u2068{SAYS_WAY.sub('', value)}\u2069"
    return value


def load(folder: Path) -> dict[str, Texts]:
    files = sorted(folder.glob("*.toml"))
    return {each.stem: Texts(each.stem, tomllib.loads(each.read_text("utf-8"))) for each in files}


def chosen(accept: str | None, languages: Iterable[str], otherwise: str) -> str:
    """By `Accept-Language` (RFC 9110, 12.5.4): of what is there, what is liked best."""
    found = (QUALITY.fullmatch(each) for each in (accept or "")[:500].split(","))
    liked = [(float(each[2] or 1), each[1].lower()) for each in found if each]
    for quality, name in sorted(liked, key=lambda each: -each[0]):
        if quality and name in languages:
            return name
    return otherwise


def flat(entries: Mapping[str, Any]) -> dict[str, str]:
    """`{"account": {"title": …}}` as `{"account.title": …}`, without the sentences."""
    return {
        f"{group}.{name}": text
        for group, texts in entries.items()
        if group != "sentences"
        for name, text in texts.items()
    }


def pattern_of(sentence: str) -> re.Pattern[str]:
    escaped = re.escape(sentence)
    return re.compile(HOLE.sub(lambda m: f"(?P<{m[1]}>{HOLES.get(m[1], '.+?')})", escaped), re.S)
