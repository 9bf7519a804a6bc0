"""
The columns of the list of tickets. A new one is an entry here, its title in the texts
(`columns.<name>`), and what is in a cell: `templates/columns/<name>.html`.
"""

from collections.abc import Iterable, Sequence

from pullse.kit.db import Struct
from pullse.tickets.model import Order


class Column(Struct, frozen=True):
    """`first` and `other` are the orders that its head switches between."""

    name: str
    first: Order | None = None
    other: Order | None = None
    is_usual: bool = True


COLUMNS = (
    Column("number"),
    Column("title"),
    Column("status"),
    Column("priority", Order.MOST_URGENT, Order.LEAST_URGENT),
    Column("assignee"),
    Column("team"),
    Column("created", Order.NEWEST, Order.OLDEST),
    Column("updated", Order.FIRST_UPDATED, Order.LAST_UPDATED),
)
NEEDED = "title"
"""It leads to the ticket."""
BY_NAME = {each.name: each for each in COLUMNS}
OF_TRASH = [
    *(BY_NAME[name] for name in ("number", "title", "status", "assignee", "team")),
    Column("deleted"),
]


def chosen(names: Iterable[str]) -> list[Column]:
    """In the order that somebody wants them in; none: the usual ones."""
    known = [BY_NAME[name] for name in dict.fromkeys(names) if name in BY_NAME]
    if not known:
        return [each for each in COLUMNS if each.is_usual]
    return known if BY_NAME[NEEDED] in known else [BY_NAME[NEEDED], *known]


def all_of(names: Iterable[str]) -> list[Column]:
    """Those that are chosen, then the others: to choose anew."""
    first = chosen(names)
    return [*first, *(each for each in COLUMNS if each not in first)]


def ahead(names: Sequence[str], name: str) -> list[str]:
    """One place further ahead; one that was not there comes last."""
    if name not in names:
        return [*names, name]
    at = max(names.index(name) - 1, 0)
    others = [each for each in names if each != name]
    return [*others[:at], name, *others[at:]]
