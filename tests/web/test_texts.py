"""The catalogue: the same keys in every language, all that templates ask for, and no more."""

import re
import string
from pathlib import Path

import pytest

from pullse.agents.model import Role, State
from pullse.kit import texts
from pullse.kit.edge import Edge
from pullse.web.frame import ASSETS, FIRST, TEXTS
from tests.web.visiting import visitor

ROOT = Path(__file__).parents[2] / "pullse"
TEMPLATES = [*ROOT.glob("*/templates/*.html"), *(ROOT / "web/layouts").glob("*.html")]
ASKED = re.compile(r"""\b(?:t|rich)\(["']([a-z_]+\.[a-z_]+)["']\s*(~)?""")
ENGLISH = TEXTS[FIRST]
NAMED = re.compile(r'"([a-z_]+\.[a-z0-9_]+)"')
BEGUN = re.compile(r'f"([a-z]+\.)(?:[a-z]+_)?{')
"""In code: whole keys, and those that are put together."""


def holes(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text)} - {None}


@pytest.mark.parametrize("language", TEXTS)
def test_a_language_has_what_english_has(language: str) -> None:
    other = TEXTS[language]
    assert set(other.entries) == set(ENGLISH.entries)
    for key, text in ENGLISH.entries.items():
        assert holes(other.entries[key]) == holes(text), key


def asked_for() -> tuple[set[str], set[str]]:
    """Keys, and the beginnings of those that are put together."""
    keys, beginnings = set(), set()
    for file in TEMPLATES:
        for key, is_part in ASKED.findall(file.read_text()):
            (beginnings if is_part else keys).add(key)
        beginnings |= set(re.findall(r"""\b(?:t|rich)\(["']([a-z_]+\.)["']""", file.read_text()))
        beginnings |= set(re.findall(r"""["'](told\.title_)["']""", file.read_text()))
        keys |= set(re.findall(r"""["'](told\.title)["']""", file.read_text()))
    for file in ROOT.rglob("*.py"):
        text = file.read_text()
        keys |= set(NAMED.findall(text)) & set(ENGLISH.entries)
        beginnings |= set(BEGUN.findall(text))
    return keys, beginnings


def test_what_templates_ask_for_is_there_and_nothing_else() -> None:
    keys, beginnings = asked_for()
    assert keys <= set(ENGLISH.entries)
    unused = {
        key
        for key in set(ENGLISH.entries) - keys
        if not any(key.startswith(each) for each in beginnings)
    }
    assert unused == set()
    assert {f"roles.{each}" for each in Role} <= set(ENGLISH.entries)
    assert {f"states.{each}" for each in State} <= set(ENGLISH.entries)


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        (None, "en"),
        ("", "en"),
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.5", "de"),
        ("fr, en;q=0.3, de;q=0.8", "de"),
        ("en, de", "en"),
        ("de;q=0, en;q=0.1", "en"),
        ("de;q=0", "en"),
        ("*", "en"),
        ("DE", "de"),
        ("de;q=x", "en"),
        ("../../etc/passwd", "en"),
        (",;=" * 1000, "en"),
        ("\xff", "en"),
    ],
)
def test_the_language_is_the_one_that_is_liked_best(header: str | None, chosen: str) -> None:
    assert texts.chosen(header, ["de", "en"], "en") == chosen


async def test_a_browser_gets_its_language(served: Edge) -> None:
    async with visitor(served, **{"Accept-Language": "de-DE,de;q=0.9,en;q=0.8"}) as client:
        page = await client.get("/sign-in")
        assert '<html lang="de"' in page.text
        assert "Anmelden" in page.text
        answer = await client.get("/links/nothing")
        assert "Dieser Link" in answer.text


def test_sentences_take_what_is_between() -> None:
    german = TEXTS["de"]
    assert ENGLISH.say("Expected str of length >= 12.") == "At least 12 characters."
    assert german.say("Too many attempts; try again in 8 seconds.").endswith("8 Sekunden.")
    assert german.say("Something new.") == "Something new."


def test_a_script_is_short_and_asks_for_nothing_elsewhere() -> None:
    for file in (ROOT / "web/js").glob("*.js"):
        text = file.read_text()
        assert len(text.splitlines()) <= 100
        assert "://" not in text
        for section in ("// Lifecycle", "// Actions", "// Private"):
            assert section in text or "customElements" not in text, file.name
        for danger in ("innerHTML", "eval(", "document.write", "insertAdjacentHTML"):
            assert danger not in text or (file.name, danger) == ("http.js", "innerHTML")
    assert ASSETS.address("passkey.js").endswith("/passkey.js")
