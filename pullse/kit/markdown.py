"""
What people write, in Markdown, as HTML that can do nothing but be read.

CommonMark with tables, strikethrough and bare addresses as links, line breaks as they were
typed, and HTML shown as text. What commonmark.py makes of it passes nh3's list of what is
allowed, whatever anybody managed to put in. No text is refused or lost: one that is too deep,
or grows out of all bounds, is shown as it was typed.
"""

import asyncio
import html
import re
from itertools import groupby

import nh3

from pullse.kit.commonmark import TooMuch, make_reader

READER = make_reader()

VERSION = 1
"""Rises with each change of what `render` answers; what an older one made is made anew."""

MOST = 100_000
"""Characters; more are shown as they were typed."""

MARKS_AT_MOST = 5_000
"""Characters that may be Markdown, and lines. With more it is a log, or made to hold us up."""

CELLS_AT_MOST = 30_000
"""Of tables, where a line is as good as a row; a few characters can ask for very many."""

AT_ONCE = 400
"""Marks that are read where they come, in some milliseconds; more are read in a thread."""

OUTPUT_AT_MOST = 20
"""Times as long as the text."""

BLOCKS = {"blockquote", "h3", "h4", "h5", "h6", "ol", "p", "pre", "table", "td", "th", "ul"}

CLEANER = nh3.Cleaner(
    tags={*BLOCKS, "a", "br", "code", "em", "hr", "li", "s", "strong", "tbody", "thead", "tr"},
    clean_content_tags=set(),
    attributes={"a": {"href"}, "ol": {"start"}},
    tag_attribute_values={cell: {"align": {"left", "center", "right"}} for cell in ("td", "th")},
    set_tag_attribute_values={tag: {"dir": "auto"} for tag in BLOCKS},
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
    link_rel="noopener noreferrer nofollow ugc",
)

MARKED = re.compile(
    # what may be Markdown anywhere, is written otherwise in HTML, or is no plain character
    r"""[\\`*_\[\]<>&~|\x00-\x09\x0b-\x1f\x7f-\xa0\u1680\u2000-\u200a\u2028-\u2029\u202f\u205f"""
    r"""\u3000\ud800-\udfff]"""
    r"""|://"""
    # what begins a block, or goes on with one
    r"""|^(?:\ |[#+=-]|\d{1,9}[.)])""",
    re.MULTILINE | re.VERBOSE,
)
MARK = re.compile(r"[\\`*_\[\]<>&~|\n#:!-]")
STACKED = (
    r"[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u06d6-\u06ed\u0e34-\u0e3a"
    r"\u0e47-\u0e4e\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
)
TOWER = re.compile(rf"({STACKED}{{32}})(?={STACKED})")
"""Marks on one letter. Some thousands keep a browser busy for minutes; no language has so many."""
CIRCLE = "\u25cc"
LONE = re.compile(r"[\ud800-\udfff]")
LINE_ENDS = re.compile(r"\r\n?")


async def rendered(text: str) -> str:
    """As `render`, off the event loop when it takes long."""
    if is_plain(text) or len(MARK.findall(text)) <= AT_ONCE:
        return render(text)
    return await asyncio.to_thread(render, text)


def render(text: str) -> str:
    """Safe HTML of blocks (`p`, `ul`, `table`, …); headings begin with `h3`."""
    if not text.isascii():
        text = TOWER.sub(rf"\1{CIRCLE}", text)
    return as_typed(text) if is_plain(text) else in_full(text)


def is_plain(text: str) -> bool:
    """Most texts are. What `in_full` makes of them is what `as_typed` makes in no time."""
    return MARKED.search(text) is None


def in_full(text: str) -> str:
    text = LONE.sub("\ufffd", text)
    if is_too_much(text):
        return as_typed(text)
    try:
        made = READER.render(text)
    except (TooMuch, RecursionError):
        return as_typed(text)
    if len(made) > OUTPUT_AT_MOST * len(text) + 1000:
        return as_typed(text)
    return CLEANER.clean(made)


def is_too_much(text: str) -> bool:
    """In all that is not, reading takes half a second at most."""
    if len(text) > MOST or len(MARK.findall(text)) > MARKS_AT_MOST:
        return True
    lines = text.splitlines()
    return max((line.count("|") for line in lines), default=0) * len(lines) > CELLS_AT_MOST


def as_typed(text: str) -> str:
    """Paragraphs and line breaks alone."""
    text = html.escape(LINE_ENDS.sub("\n", text).replace("\0", "\ufffd"), quote=False)
    lines = [line.rstrip(" ") for line in text.split("\n")]
    groups = groupby(lines, "".__eq__)
    paragraphs = ("<br>\n".join(group) for is_empty, group in groups if not is_empty)
    return "".join(f'<p dir="auto">{each}</p>\n' for each in paragraphs)
