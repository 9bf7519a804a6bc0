"""
Tables as files for a spreadsheet: UTF-8 with the mark that Excel looks for, as in RFC 4180.

A text that a spreadsheet would take for a formula begins with an apostrophe there (OWASP,
"CSV Injection"); numbers are numbers.
"""

import csv
import io

from pullse.kit.web import Answer
from pullse.reports.asking import Table

MARK = "\ufeff"
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Also as some keyboards of East Asia write them."""


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
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(table.columns)
    writer.writerows([harmless(cell) for cell in row] for row in table.rows)
    return (MARK + text.getvalue()).encode()


def harmless(cell: str | int | float | None) -> str | int | float | None:
    if isinstance(cell, str) and cell.lstrip(" ").startswith(FORMULAS):
        return f"'{cell}"
    return cell
