"""What people write: what becomes of it, how long that takes, and that none of it is lost."""

import html
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pullse.kit import markdown
from pullse.kit.markdown import as_typed, in_full, is_plain, is_too_much, render

TO_OTHERS = 'rel="noopener noreferrer nofollow ugc"'


def inside(text: str) -> str:
    """Of a single paragraph."""
    found = re.fullmatch(r'<p dir="auto">(.*)</p>\n', render(text), re.DOTALL)
    assert found, render(text)
    return found[1]


def link(address: str, words: str | None = None) -> str:
    address = html.escape(address)
    return f'<a href="{address}" {TO_OTHERS}>{address if words is None else words}</a>'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("R&D", "R&amp;D"),
        ("*a* **b** ~~c~~ `d`", "<em>a</em> <strong>b</strong> <s>c</s> <code>d</code>"),
        ("one\ntwo  \nthree", "one<br>\ntwo<br>\nthree"),
        ("<b>bold</b> <!-- x -->", "&lt;b&gt;bold&lt;/b&gt; &lt;!-- x --&gt;"),
        ("snake_case_name", "snake_case_name"),
        ("- [ ] is a task"[2:], "[ ] is a task"),
        ("\\*not\\*", "*not*"),
    ],
)
def test_words_and_marks(text: str, shown: str) -> None:
    assert inside(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see https://example.org.", "see " + link("https://example.org") + "."),
        ("(http://a.org/b_(c)?d=1&e=2#f)", "(" + link("http://a.org/b_(c)?d=1&e=2#f") + ")"),
        ("**https://a.org**", f"<strong>{link('https://a.org')}</strong>"),
        ("HTTPS://A.org/", link("HTTPS://A.org/")),
        ("<https://a.org>", link("https://a.org")),
        ("<ada@example.org>", link("mailto:ada@example.org", "ada@example.org")),
        ("[a *b*](https://c.org 'said on top')", link("https://c.org", "a <em>b</em>")),
        ("[a][b]\n\n[b]: https://c.org", link("https://c.org", "a")),
        ("[write](mailto:ada@example.org)", link("mailto:ada@example.org", "write")),
        ("![a map](https://a.org/m.png)", link("https://a.org/m.png", "a map")),
        ("![](https://a.org/m.png)", link("https://a.org/m.png")),
        ("[](https://a.org)", link("https://a.org")),
        ("[see ![a map](https://a.org/m.png) *now*](https://b.org)",
         link("https://b.org", "see a map <em>now</em>")),
        ("[https://a.org](https://b.org)", link("https://b.org", "https://a.org")),
        ("https://b\u00fccher.example/\u00e4", link("https://xn--bcher-kva.example/%C3%A4",
                                                    "https://b\u00fccher.example/\u00e4")),
        ("see \u201chttps://a.org\u201d\u3002", "see \u201c" + link("https://a.org")
         + "\u201d\u3002"),
    ],
)  # fmt: skip
def test_links_lead_to_the_web_and_to_mailboxes(text: str, shown: str) -> None:
    assert inside(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "[a](javascript:alert(1))",
        "[a](/tickets/1)",
        "[a](//example.org)",
        "[a](#top)",
        "[a](ftp://example.org)",
        "[a](data:text/html,x)",
        "[a](https://apple.com@example.org)",
        "![a](javascript:alert(1))",
        "https:///example.org",
        "xhttps://example.org",
        "ftp://example.org",
        "https://example.org/" + "a" * 2000,
        "www.example.org",
    ],
)
def test_nothing_else_is_a_link(text: str) -> None:
    assert "<a " not in render(text)
    assert html.unescape(inside(text)).replace("\\", "") == text.replace("\\", "")


def test_blocks_and_the_direction_of_each() -> None:
    text = (
        "# One\n## Two\n###### Six\n\n- a\n- b\n\n3. c\n\n> d\n\n```python\ne < f\n```\n\n"
        "| g | h |\n|:-:|--:|\n| i | j |\n\n---\n"
    )
    assert render(text) == (
        '<h3 dir="auto">One</h3>\n<h4 dir="auto">Two</h4>\n<h6 dir="auto">Six</h6>\n'
        '<ul dir="auto">\n<li>a</li>\n<li>b</li>\n</ul>\n'
        '<ol start="3" dir="auto">\n<li>c</li>\n</ol>\n'
        '<blockquote dir="auto">\n<p dir="auto">d</p>\n</blockquote>\n'
        '<pre dir="auto"><code>e &lt; f\n</code></pre>\n'
        '<table dir="auto">\n<thead>\n<tr>\n<th align="center" dir="auto">g</th>\n'
        '<th align="right" dir="auto">h</th>\n</tr>\n</thead>\n<tbody>\n<tr>\n'
        '<td align="center" dir="auto">i</td>\n<td align="right" dir="auto">j</td>\n'
        "</tr>\n</tbody>\n</table>\n<hr>\n"
    )


@pytest.mark.parametrize("text", ["", " ", "\n\n", "\r\n", "\t\n \n"])
def test_nothing_becomes_nothing(text: str) -> None:
    assert render(text) == ""


def test_a_tower_of_marks_is_cut_into_storeys() -> None:
    """The sign that stands for a letter carries the next ones."""
    word = "Z" + "\u0301\u0310" * 16
    assert inside(word) == word
    assert inside(word + "\u0302" * 40) == word + "\u25cc" + "\u0302" * 32 + "\u25cc" + "\u0302" * 8


def test_a_lone_half_of_a_character_is_shown_as_unreadable() -> None:
    assert inside("a\ud800b") == "a\ufffdb"
    assert inside("a\0b") == "a\ufffdb"


PIECES = st.one_of(
    st.sampled_from([*"ab1. )\n\n\n'\"!#=+-:/(%$@^{}?;,x", "http", "www.", "1)", "\n\n", "  \n"]),
    st.sampled_from([*"\u0085\ufeff\u200b\u202e\u3000\xa0\u00e9\u05d0", "mailto:a@b.c"]),
    st.characters(),
)
PLAIN = st.lists(PIECES, max_size=40).map("".join).filter(is_plain)


@given(PLAIN)
def test_the_short_way_and_the_long_way_come_to_the_same(text: str) -> None:
    assert as_typed(text) == in_full(text)


MARKED = st.lists(
    st.one_of(
        st.sampled_from(
            [*"*_~`[]()<>!|#-+=:&;\\\"' \n\t", "](", "![", "http://", "&#", "\n> ", "\n- ", "|-|\n"]
        ),
        st.text(max_size=3),
    ),
    max_size=60,
).map("".join)


@example("\\http://")
@example("\\http://example.org")
@given(MARKED)
def test_no_text_is_refused_and_no_letter_is_lost(text: str) -> None:
    """But for addresses behind words, names of references and of languages, and entities."""
    shown = html.unescape(re.sub(r"<[^>]*>", "", render(text)))
    if not re.search(r"[\]&`~]", text):
        letters = re.compile(r"[A-Za-z\u05d0-\u05ea]")
        assert letters.findall(shown) == letters.findall(text)


N = 100_000


def filled(piece: str, tail: str = "") -> str:
    return (piece * (N // len(piece) + 1))[: N - len(tail)] + tail


HOSTILE = {
    **{
        piece: filled(piece)
        for piece in (
            *("[", "![", "[]", "[a](", "[a](<b", '[a](b "', "[a](http://b)", "[a\n", "[a]: b\n"),
            *("[a]:\nb\n'c\n", ">", "> ", "> a\nb\n", "> - ", "- > ", "- ", "- a\n", "1. a\n"),
            *("*", "*a", "*a*", "a**b_c*", "_a ", "~~a", "*_~~a", "`", "`a", "``a`", "|", "|a|\n"),
            *("a | b\n- | -\n", "<", "<!--", "<![CDATA[", "<http:", "<a b='", "<?", "&", "&#"),
            *("&amp;", "&ngE;", '"', "\\", "http://", "http://a", "http://a)", "://", "# ", "#"),
            *("a\n=\n", "---\n", "* * *\n", "```\n", "    a\n\n", " ", "\n", "\t", "a", "\xa0"),
        )
    },
    "brackets in brackets": "[" * (N // 2) + "]" * (N // 2),
    "links in links": "[" * 10_000 + "a" + "](http://x)" * 5_000,
    "pictures in pictures": "![" * 10_000 + "a" + "](http://x)" * 5_000,
    "marks in marks": "**a " * 12_000 + " b**" * 12_000,
    "quotes, deeper and deeper": "\n".join(">" * deep + " a" for deep in range(440)),
    "lists, deeper and deeper": "\n".join("  " * deep + "- a" for deep in range(300)),
    "backticks, longer and longer": " ".join("`" * long for long in range(440)),
    "a wide table": "|a" * 16_000 + "|\n" + "|-" * 16_000 + "|\n" + "|b" * 16_000,
    "a table of nothing": "|" + "a|" * 256 + "\n|" + "-|" * 256 + "\n" + "a\n" * 250,
    "a long reference": "[a]: http://x/" + "a" * 1900 + "\n\n" + "[a] " * 1600,
    "a reference with much to say": "[a]: http://x '" + "a" * 50_000 + "'\n\n" + "[a] " * 1600,
    "a gap in a line": "*a" + " " * (N - 3) + "b",
    "a gap in a table": "|a|\n|-|\n|b" + " " * (N - 20) + "|",
}


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.timeout(20)
def test_hostile_texts_take_no_time(name: str) -> None:
    """Without the bounds, some of these would take minutes: they are met whole and just below."""
    text = HOSTILE[name]
    below = text[: nearly(text)]
    for each in (text, below):
        assert len(render(each)) <= markdown.OUTPUT_AT_MOST * len(each) + 1000 + 6 * len(each)


def nearly(text: str) -> int:
    """As much of it as is still read."""
    marks = [found.start() for found in markdown.MARK.finditer(text)]
    return len(text) if len(marks) <= markdown.MARKS_AT_MOST else marks[markdown.MARKS_AT_MOST]


def test_a_text_out_of_bounds_is_shown_as_it_was_typed() -> None:
    for text in ("*a* " * 3000, "a *b* " * 20_000, ">" * 80 + " *deep*"):
        assert html.unescape(inside(text)) == text.rstrip(" ")
    assert not is_too_much("*a* " * 2000)
    assert "<em>" in render("*a* " * 2000)


async def test_long_texts_leave_the_loop_alone_and_read_the_same() -> None:
    text = "*a* [b](https://c.org)\n" * 400
    assert await markdown.rendered(text) == render(text)
    assert await markdown.rendered("short") == render("short")
