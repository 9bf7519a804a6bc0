"""
What differs between two texts, and what becomes of two changes of one text.

By Myers' O(ND) way, which is given up where more than `MOST` parts differ: then everything
between what is the same at both ends counts as another text. So its cost is bounded, whatever
people write.
"""

import re
from collections.abc import Iterator, Sequence

from pullse.kit.db import Struct

MOST = 600
"""Parts that were taken out or put in, for which it is worth while to find out which."""
WORDS = re.compile(r"\s+|\w+|[^\w\s]")


class Piece(Struct, frozen=True):
    """Of two texts: what is the same in both, or what stands in the place of what."""

    before: Sequence[str]
    after: Sequence[str]
    is_same: bool


class Merged(Struct, frozen=True):
    """`conflicts` is how often both changed the same place; there the text has marks."""

    text: str
    conflicts: int


class Hunk(Struct, frozen=True):
    """Lines that stand in the place of `start` to `end` of the base."""

    start: int
    end: int
    lines: Sequence[str]


def pieces(before: Sequence[str], after: Sequence[str]) -> list[Piece]:
    """All of both, in order; a piece that is the same never stands beside another such."""
    head = common(before, after)
    tail = common(before[head:][::-1], after[head:][::-1])
    found = [Piece(before[:head], after[:head], is_same=True)] if head else []
    old, new = before[head : len(before) - tail], after[head : len(after) - tail]
    place_old = place_new = 0
    for start_old, start_new, length in matches(old, new):
        if start_old > place_old or start_new > place_new:
            found.append(Piece(old[place_old:start_old], new[place_new:start_new], is_same=False))
        same = old[start_old : start_old + length]
        found.append(Piece(same, same, is_same=True))
        place_old, place_new = start_old + length, start_new + length
    if len(old) > place_old or len(new) > place_new:
        found.append(Piece(old[place_old:], new[place_new:], is_same=False))
    if tail:
        found.append(Piece(before[len(before) - tail :], after[len(after) - tail :], is_same=True))
    return found


def words(text: str) -> list[str]:
    """Words, spaces and signs; together they are the text."""
    return WORDS.findall(text)


def merge(base: str, mine: str, theirs: str, marks: tuple[str, str]) -> Merged:
    """
    Both changes of `base`, by lines; where both changed the same lines, or lines that touch,
    what each made of them, between marks that name whose is whose.
    """
    lines = base.split("\n")
    own, others = hunks(lines, mine.split("\n")), hunks(lines, theirs.split("\n"))
    merged: list[str] = []
    place = conflicts = 0
    while own or others:
        start, end, mine_here, theirs_here = region(own, others)
        merged += lines[place:start]
        made_mine = applied(lines, start, end, mine_here)
        made_theirs = applied(lines, start, end, theirs_here)
        if not theirs_here or made_mine == made_theirs:
            merged += made_mine
        elif not mine_here:
            merged += made_theirs
        else:
            conflicts += 1
            merged += [f"<<<<<<< {marks[0]}", *made_mine, "=======", *made_theirs]
            merged += [f">>>>>>> {marks[1]}"]
        place = end
    return Merged("\n".join([*merged, *lines[place:]]), conflicts)


def region(own: list[Hunk], others: list[Hunk]) -> tuple[int, int, list[Hunk], list[Hunk]]:
    """Takes the first hunks, of both sides as far as they touch, off the lists."""
    first = min((each[0] for each in (own, others) if each), key=lambda hunk: hunk.start)
    start, end = first.start, first.end
    taken: tuple[list[Hunk], list[Hunk]] = ([], [])
    has_grown = True
    while has_grown:
        has_grown = False
        for side, kept in zip((own, others), taken, strict=True):
            while side and side[0].start <= end:
                hunk = side.pop(0)
                kept.append(hunk)
                end = max(end, hunk.end)
                has_grown = True
    return start, end, *taken


def applied(lines: Sequence[str], start: int, end: int, changes: Sequence[Hunk]) -> list[str]:
    """What becomes of these lines."""
    made: list[str] = []
    for hunk in changes:
        made += [*lines[start : hunk.start], *hunk.lines]
        start = hunk.end
    return [*made, *lines[start:end]]


def hunks(before: Sequence[str], after: Sequence[str]) -> list[Hunk]:
    found = []
    place = 0
    for piece in pieces(before, after):
        end = place + len(piece.before)
        if not piece.is_same:
            found.append(Hunk(place, end, piece.after))
        place = end
    return found


def common(one: Sequence[str], other: Sequence[str]) -> int:
    """How much is the same from the beginning."""
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count


def matches(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int, int]]:
    """Where both are the same, in order: the place in each, and how many parts."""
    path = list(way(old, new))
    runs: list[tuple[int, int, int]] = []
    for place_old, place_new in reversed(path):
        if runs and (runs[-1][0] + runs[-1][2], runs[-1][1] + runs[-1][2]) == (
            place_old,
            place_new,
        ):
            runs[-1] = (runs[-1][0], runs[-1][1], runs[-1][2] + 1)
        else:
            runs.append((place_old, place_new, 1))
    return runs


def way(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Places of parts that are the same, from the last; none if too much differs."""
    steps = trace(old, new)
    if steps is None:
        return
    x, y = len(old), len(new)
    for depth in range(len(steps) - 1, -1, -1):
        reached = steps[depth]
        diagonal = x - y
        is_down = diagonal == -depth or (
            diagonal != depth and reached[diagonal - 1] < reached[diagonal + 1]
        )
        before = diagonal + 1 if is_down else diagonal - 1
        before_x = reached[before] if depth else 0
        before_y = before_x - before if depth else 0
        while x > before_x and y > before_y:
            x, y = x - 1, y - 1
            yield x, y
        x, y = before_x, before_y


def trace(old: Sequence[str], new: Sequence[str]) -> list[dict[int, int]] | None:
    """How far one comes on each diagonal, before each further difference."""
    reached = {1: 0}
    steps: list[dict[int, int]] = []
    for depth in range(min(len(old) + len(new), MOST) + 1):
        steps.append(dict(reached))
        for diagonal in range(-depth, depth + 1, 2):
            is_down = diagonal == -depth or (
                diagonal != depth and reached[diagonal - 1] < reached[diagonal + 1]
            )
            x = reached[diagonal + 1] if is_down else reached[diagonal - 1] + 1
            y = x - diagonal
            while x < len(old) and y < len(new) and old[x] == new[y]:
                x, y = x + 1, y + 1
            reached[diagonal] = x
            if x >= len(old) and y >= len(new):
                return steps
    return None
