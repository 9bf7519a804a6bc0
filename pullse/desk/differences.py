"""What was changed in a text, for people: changed words within lines, and few lines around them."""

from collections.abc import Iterator, Sequence
from typing import Literal

from pullse.desk.merging import plain
from pullse.kit import diff
from pullse.kit.db import Struct
from pullse.kit.diff import Piece

AROUND = 2
"""Lines that are the same, before and after what changed."""


class Part(Struct, frozen=True):
    kind: Literal["same", "out", "in"]
    text: str


class Block(Struct, frozen=True):
    """Some lines; or, without parts, `left_out` lines that are the same and not shown."""

    parts: Sequence[Part] = ()
    left_out: int = 0


def blocks(before: str, after: str) -> list[Block]:
    pieces = diff.pieces(plain(before).split("\n"), plain(after).split("\n"))
    found: list[Block] = []
    for place, piece in enumerate(pieces):
        if piece.is_same:
            found += same(piece.before, has_before=place > 0, has_after=place + 1 < len(pieces))
        else:
            found.append(Block(list(parts(piece))))
    return found


def same(lines: Sequence[str], *, has_before: bool, has_after: bool) -> Iterator[Block]:
    head = lines[:AROUND] if has_before else []
    rest = lines[len(head) :]
    tail = rest[-AROUND:] if has_after else []
    left_out = len(rest) - len(tail)
    if head:
        yield Block([Part("same", "\n".join(head))])
    if left_out:
        yield Block(left_out=left_out)
    if tail:
        yield Block([Part("same", "\n".join(tail))])


def parts(piece: Piece) -> Iterator[Part]:
    """The words that went out and came in."""
    words = diff.words("\n".join(piece.before)), diff.words("\n".join(piece.after))
    for each in diff.pieces(*words):
        if each.is_same:
            yield Part("same", "".join(each.before))
        else:
            if each.before:
                yield Part("out", "".join(each.before))
            if each.after:
                yield Part("in", "".join(each.after))
