"""
Tables as files for a spreadsheet: UTF-8 with the mark that Excel looks for, as in RFC 4180.

A text that a spreadsheet would take for a formula begins with an apostrophe there (OWASP,
"CSV Injection"); numbers are numbers.
"""

import csv
import io
from collections.abc import Iterable, Sequence

from pullse.kit.web import Answer
from pullse.reports.asking import Table

MARK = "\ufeff"
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Also as some keyboards of East Asia write them."""

Cell = str | int | float | None


def download(table: Table, name: str) -> Answer:
    """`name` is one of ours."""
    body = written(table)
    headers = [
        (b"content-type", b"text/csv; charset=utf-8"),
        (b"content-disposition", f'attachment; filename="{name}.csv"'.encode("ascii")),
        (b"content-length", b"%d" % len(body)),
    ]
    return Answer(200, body, headers)


def written(table: Table) -> bytes:
    return (MARK + lines([table.columns, *table.rows])).encode()


def lines(rows: Iterable[Sequence[Cell]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerows([harmless(cell) for cell in row] for row in rows)
    return text.getvalue()


def harmless(cell: Cell) -> Cell:
    if isinstance(cell, str) and cell.lstrip(" ").startswith(FORMULAS):
        return f"'{cell}"
    return cell
