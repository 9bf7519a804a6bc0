"""What differs between two texts, and two changes of one text."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullse.kit import diff
from pullse.kit.diff import Merged

LINES = st.lists(st.sampled_from("abc"), max_size=12)
MARKS = ("Mine", "Ben")


@given(LINES, LINES)
def test_pieces_are_both_texts(before: list[str], after: list[str]) -> None:
    pieces = diff.pieces(before, after)
    assert [part for piece in pieces for part in piece.before] == before
    assert [part for piece in pieces for part in piece.after] == after
    for piece in pieces:
        assert (list(piece.before) == list(piece.after)) >= piece.is_same
        assert piece.before or piece.after
    for one, other in itertools.pairwise(pieces):
        assert one.is_same != other.is_same


@given(st.text())
def test_words_are_the_text(text: str) -> None:
    assert "".join(diff.words(text)) == text


@given(LINES, LINES)
def test_one_change_alone_is_taken_as_it_is(base: list[str], other: list[str]) -> None:
    old, new = "\n".join(base), "\n".join(other)
    assert diff.merge(old, new, old, MARKS) == Merged(new, 0)
    assert diff.merge(old, old, new, MARKS) == Merged(new, 0)
    assert diff.merge(old, new, new, MARKS) == Merged(new, 0)


@given(LINES, LINES, LINES)
def test_nothing_that_was_written_is_lost(
    base: list[str], mine: list[str], theirs: list[str]
) -> None:
    """A line that only one side has put in is in the merged text, marked or not."""
    own = [f"mine {number}" for number, _ in enumerate(mine)]
    others = [f"theirs {number}" for number, _ in enumerate(theirs)]
    half = len(base) // 2
    merged = diff.merge(
        "\n".join(base),
        "\n".join([*base[:half], *own, *base[half:]]),
        "\n".join([*base, *others]),
        MARKS,
    )
    assert set(own + others) <= set(merged.text.split("\n"))


def test_changes_of_different_lines_go_together() -> None:
    base = "Dear all,\none\ntwo\nthree\nfour"
    mine = "Dear all,\nONE\ntwo\nthree\nfour"
    theirs = "Dear all,\none\ntwo\nthree\nFOUR\nfive"
    assert diff.merge(base, mine, theirs, MARKS).text == "Dear all,\nONE\ntwo\nthree\nFOUR\nfive"


def test_changes_of_one_line_are_marked() -> None:
    merged = diff.merge("a\nb\nc", "a\nB\nc", "a\nX\nc", MARKS)
    assert merged == Merged("a\n<<<<<<< Mine\nB\n=======\nX\n>>>>>>> Ben\nc", 1)


def test_changes_that_touch_are_marked_too() -> None:
    merged = diff.merge("a\nb\nc\nd", "a\nB\nc\nd", "a\nb\nC\nd", MARKS)
    assert merged.conflicts == 1


@pytest.mark.parametrize("letters", ["ab", "abcdefghijklmnop"])
def test_texts_without_anything_in_common_cost_no_more_than_a_bound(letters: str) -> None:
    """The worst that 100,000 characters can be; without the bound it would take minutes."""
    before = [letters[(n * n) % len(letters)] for n in range(50_000)]
    after = [letters[(n * n * n + 1) % len(letters)] for n in range(50_000)]
    pieces = diff.pieces(before, after)
    assert [part for piece in pieces for part in piece.after] == after
