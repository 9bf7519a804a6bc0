"""Each attack, as it is let through: nothing but what is on the list, and no word lost."""

import csv
import html
import io
import re
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest

from pullse.kit.markdown import render
from pullse.reports import sheets
from pullse.reports.asking import Table
from tests.desk import attacks

LEAVES = {"br", "hr"}
MARKS = {"a", "code", "em", "s", "strong"}
BLOCKS = {
    *("blockquote", "h3", "h4", "h5", "h6", "li", "ol", "p", "pre"),
    *("table", "tbody", "td", "th", "thead", "tr", "ul"),
}
REL = "noopener noreferrer nofollow ugc"
EVERYWHERE = {"dir": "auto"}
LINK = re.compile(r'<a href="([^"]*)"[^>]*>(.*?)</a>')
LETTERS = re.compile(r"[a-z]+")


class Allowed(HTMLParser):
    """Raises on all that should not be there, and on what does not nest."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in BLOCKS | MARKS | LEAVES, tag
        assert len({name for name, _ in attrs}) == len(attrs), attrs
        for name, value in attrs:
            assert self.is_allowed(tag, name, value or ""), (tag, name, value)
        if tag == "a":
            assert "a" not in self.open
            assert dict(attrs)["rel"] == REL
        if tag not in LEAVES:
            self.open.append(tag)

    def is_allowed(self, tag: str, name: str, value: str) -> bool:
        if name == "href":
            return tag == "a" and leads_out(value)
        if name == "rel":
            return tag == "a"
        if name == "start":
            return tag == "ol" and value.isdigit()
        if name == "align":
            return tag in ("td", "th") and value in ("left", "center", "right")
        return tag in BLOCKS and EVERYWHERE.get(name) == value

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment

    def close(self) -> None:
        super().close()
        assert self.open == []


def leads_out(address: str) -> bool:
    """To the web or to a mailbox, and looks like where it leads."""
    parts = urlsplit(address)
    if parts.scheme == "mailto":
        return "@" in parts.path
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and parts.username is None
        and address.isascii()
        and not re.search(r"[\s\"<>\\`]", address)
    )


def read(text: str) -> str:
    parser = Allowed()
    parser.feed(render(text))
    parser.close()
    return parser.text


def test_there_are_enough() -> None:
    assert len(set(attacks.ATTACKS)) >= 300


@pytest.mark.parametrize("text", attacks.ATTACKS, ids=range(len(attacks.ATTACKS)))
def test_what_is_shown_is_on_the_list(text: str) -> None:
    read(text)


def test_no_cell_of_a_sheet_is_a_formula() -> None:
    rows: list[tuple[str | int | float | None, ...]] = [(text, -1) for text in attacks.ATTACKS]
    written = sheets.written(Table(("name", "count"), rows)).decode("utf-8-sig")
    read_back = list(csv.reader(io.StringIO(written, newline="")))[1:]
    assert len(read_back) == len(rows)
    for (cell, number), text in zip(read_back, attacks.ATTACKS, strict=True):
        assert number == "-1"
        assert cell.removeprefix("'") == text or cell == text
        assert not re.match(r"[\x00-\x20\ufeff]*[=+@\-\uff1d\uff0b\uff0d\uff20]", cell)


NOT_MARKDOWN = [
    *(attacks.ELEMENTS + attacks.MUTATIONS + attacks.FOREIGN + attacks.STYLES),
    *(attacks.CODE + attacks.LETTERS),
]


@pytest.mark.parametrize("text", NOT_MARKDOWN, ids=range(len(NOT_MARKDOWN)))
def test_what_is_no_markdown_stays_text(text: str) -> None:
    assert LETTERS.findall(read(text)) == LETTERS.findall(html.unescape(text))


@pytest.mark.parametrize("address", attacks.SCHEMES, ids=range(len(attacks.SCHEMES)))
def test_no_link_leads_where_it_may_not(address: str) -> None:
    for text in (
        f"[click]({address})",
        f"[click](<{address}>)",
        f"![look]({address})",
        f"<{address}>",
        f"[click][1]\n\n[1]: {address}",
        f"[click][1]\n\n[1]: <{address}>",
    ):
        for href, words in LINK.findall(render(text)):
            assert href == words, "only an address within, which is shown, may be a link"
            assert href in address
