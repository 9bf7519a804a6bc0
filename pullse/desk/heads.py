"""
Where one gets to from a list: its heads sort it another way, its chips take a filter away.
"""

from collections.abc import Sequence
from urllib.parse import urlencode

from pullse.desk.columns import Column
from pullse.desk.lists import Wanted
from pullse.kit.db import Struct
from pullse.tickets.model import Order

HERE = "/tickets"


class Head(Struct, frozen=True):
    """A column's head: where a click leads, and how it is sorted now (as `aria-sort`)."""

    name: str
    href: str | None = None
    sorted: str | None = None


class Chip(Struct, frozen=True):
    """A filter that is set, and the list without it."""

    name: str
    value: str
    href: str


def head(column: Column, wanted: Wanted) -> Head:
    """A second click turns the order round."""
    if column.first is None or column.other is None:
        return Head(column.name)
    now = wanted.query.sort
    following = column.other if now is column.first else column.first
    direction = None
    if now in (column.first, column.other):
        direction = "descending" if now.startswith("-") else "ascending"
    return Head(column.name, at(sorted_by(wanted, following)), direction)


def sorted_by(wanted: Wanted, order: Order) -> list[tuple[str, str]]:
    sort = [] if order is Order.NEWEST else [("sort", str(order))]
    return [*wanted.without("sort"), *sort]


def chips(wanted: Wanted) -> list[Chip]:
    return [
        Chip(name, value, at([pair for pair in wanted.pairs if pair != (name, value)]))
        for name, value in wanted.without("sort")
    ]


def at(pairs: Sequence[tuple[str, str]]) -> str:
    return f"{HERE}?{urlencode(pairs)}" if pairs else HERE
