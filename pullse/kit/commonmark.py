"""
How pullse reads Markdown: CommonMark, tables, ~~strikethrough~~, bare addresses as links.

Not a sanitizer: markdown.py passes on nothing of this that is not on its list.
"""

import re
import unicodedata
from collections.abc import Iterable

from markdown_it import MarkdownIt
from markdown_it.parser_block import ParserBlock
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline, link
from markdown_it.token import Token

DEEPEST = 60
"""Blocks in blocks (a list and its item are two), and marks in marks."""

LONGEST_ADDRESS = 2_000
ADDRESSES_AT_MOST = 200_000
"""Characters of all addresses in a text; one that is named often is written often."""

SHIFT = 2
"""A page has headings of its own, h1 and h2."""

ADDRESS = re.compile(
    r"https?://[^\s/?#@\\%]+(?:[/?#]\S*)?|mailto:[^\s@?#/\\]+@[^\s@?#/\\]+(?:\?\S*)?", re.IGNORECASE
)
"""Of the web, without a name before an @ (which would pass for the host), or of a mailbox."""

PLAIN = r"""[^\s<>"`*|\\\[\]\x00-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]"""
BARE = re.compile(rf"://(?!/)({PLAIN}{{1,{LONGEST_ADDRESS}}})({PLAIN}?)")
ENDS = frozenset(".,:;!?'_~")


class TooMuch(Exception):
    """The text is built to be hard to read, for people as for us."""


class Reader(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: N802
        return len(url) <= LONGEST_ADDRESS and ADDRESS.fullmatch(url) is not None

    def normalizeLinkText(self, link: str) -> str:  # noqa: N802
        """As it was typed. Decoded, it could look like another one."""
        return link


class Blocks(ParserBlock):
    def tokenize(self, state: StateBlock, startLine: int, endLine: int) -> None:  # noqa: N803
        """The library leaves out what is too deep; nobody's words may be lost."""
        if state.level >= DEEPEST:
            raise TooMuch
        super().tokenize(state, startLine, endLine)


def make_reader() -> Reader:
    options = {"html": False, "breaks": True, "xhtmlOut": False, "maxNesting": DEEPEST + 1}
    reader = Reader("commonmark", options)
    reader.block = Blocks()
    reader.disable(["html_block", "html_inline", "image"])
    reader.enable(["strikethrough"])
    reader.inline.ruler.after("text", "bare", bare)
    reader.inline.ruler.before("link", "picture", picture)
    reader.core.ruler.push("tamed", tamed)
    return reader


def bare(state: StateInline, silent: bool) -> bool:
    """`https://example.org` is a link to itself."""
    colon = state.pos
    if state.linkLevel or not state.src.startswith("://", colon):
        return False
    scheme = scheme_before(state.src, colon)
    found = BARE.match(state.src, colon, state.posMax) if scheme else None
    if found is None or found[2]:
        return False
    if not silent and not state.pending.endswith(scheme):
        return False  # a backslash has taken its first letter
    text = scheme + "://" + without_end(found[1])
    href = state.md.normalizeLink(text)
    if not state.md.validateLink(href):
        return False
    if not silent:
        state.pending = state.pending[: -len(scheme)]
        state.push("link_open", "a", 1).attrs = {"href": href}
        state.push("text", "", 0).content = text
        state.push("link_close", "a", -1)
    state.pos = colon + len(text) - len(scheme)
    return True


def scheme_before(src: str, colon: int) -> str:
    for scheme in ("https", "http"):
        start = colon - len(scheme)
        if start >= 0 and src[start:colon].lower() == scheme:
            return "" if start and src[start - 1].isalnum() else src[start:colon]
    return ""


def without_end(text: str) -> str:
    """Without the full stop of the sentence, or a bracket that was opened before."""
    end, surplus = len(text), text.count(")") - text.count("(")
    while end > 1 and (is_end(text[end - 1]) or (text[end - 1] == ")" and surplus > 0)):
        surplus -= text[end - 1] == ")"
        end -= 1
    return text[:end]


def is_end(char: str) -> bool:
    """Does it stand behind an address rather than in it?"""
    return char in ENDS if char.isascii() else unicodedata.category(char).startswith("P")


def picture(state: StateInline, silent: bool) -> bool:
    """
    `![what](address)` is a link: nothing is fetched from elsewhere because of a text.

    In a link it is its words alone.
    """
    if not state.src.startswith("![", state.pos):
        return False
    before, is_inside = len(state.tokens), state.linkLevel > 0
    state.pos += 1
    if not link(state, silent):
        state.pos -= 1
        return False
    if is_inside and not silent:
        tags = [each for each in state.tokens[before:] if each.tag == "a"]
        for tag in tags:
            tag.type, tag.tag, tag.nesting = "text", "", 0
    return True


def tamed(state: StateCore) -> None:
    left = ADDRESSES_AT_MOST
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + SHIFT, 6)}"
        elif token.type in ("th_open", "td_open"):
            style = str(token.attrs.pop("style", ""))
            if style:
                token.attrs["align"] = style.rpartition(":")[2]
        elif token.type == "fence":
            token.info = ""
        elif token.type == "inline" and token.children:
            left -= sum(len(str(each.attrs.get("href", ""))) for each in token.children)
            if left < 0:
                raise TooMuch
            token.children = list(with_words(token.children))


def with_words(tokens: list[Token]) -> Iterable[Token]:
    """A link of no words shows its address."""
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        token.attrs.pop("title", None)
        yield token
        is_empty = following is not None and following.type == "link_close"
        if token.type == "link_open" and is_empty:
            yield Token("text", "", 0, content=str(token.attrs["href"]))
