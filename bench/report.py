"""What is printed, and the page that is written from it: tables, verdicts, the machine."""

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from string import Template

from bench.data import TICKETS
from bench.load import generator_name
from pullse.kit import postgres

TIMES = "\N{MULTIPLICATION SIGN}"
HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"
PACKAGES = ("granian", "msgspec", "asyncpg", "uvloop", "uvicorn", "websockets", "fastapi",
            "sqlalchemy", "pydantic")  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """One promise of ours, and what was measured."""

    promise: str
    measured: str
    is_kept: bool

    def __str__(self) -> str:
        return f"{'PASS' if self.is_kept else 'MISS'}  {self.promise}: {self.measured}"


@dataclass(frozen=True)
class Section:
    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    verdicts: Sequence[Verdict] = field(default=())

    def __str__(self) -> str:
        lines = [self.name, "", table(self.columns, self.rows)]
        if self.verdicts:
            lines += ["", *map(str, self.verdicts)]
        return "\n".join(lines)

    def markdown(self) -> str:
        lines = [table(self.columns, self.rows)]
        if self.verdicts:
            kept = [(each.promise, each.measured, "yes" if each.is_kept else "**no**")
                    for each in self.verdicts]  # fmt: skip
            lines += ["", table(("promised", "measured", "kept"), kept)]
        return "\n".join(lines)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table that also reads well in a terminal: numbers to the right."""
    widths = [max(len(row[at]) for row in (columns, *rows)) for at in range(len(columns))]

    def line(cells: Sequence[str]) -> str:
        padded = [cell.rjust(width) if at else cell.ljust(width)
                  for at, (cell, width) in enumerate(zip(cells, widths, strict=True))]  # fmt: skip
        return f"| {' | '.join(padded)} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(columns), line(rule), *map(line, rows)])


def write_page(sections: Sequence[Section], command: str) -> None:
    """Fill the frame; a part that was not run keeps what the page says of it."""
    frame = (HERE / "performance.md.template").read_text()
    parts = dict.fromkeys(PARTS.values(), "*Not measured yet.*")
    parts |= written(frame, PAGE.read_text())
    stamp = f"`{command}` on {datetime.now(UTC).date().isoformat()}, {short_machine()}."
    parts |= {PARTS[each.name]: f"{each.markdown()}\n\n{stamp}" for each in sections}
    facts = {"machine": machine(), "tickets": f"{TICKETS:,}"}
    PAGE.write_text(Template(frame).substitute(parts | facts))


def written(frame: str, page: str) -> dict[str, str]:
    """What the page has in each part; nothing, if the frame has changed since."""
    pieces = re.split(r"\$(\w+)", frame)
    names = pieces[1::2]
    pattern = re.escape(pieces[0]) + "".join(f"(.*?){re.escape(text)}" for text in pieces[2::2])
    found = re.fullmatch(pattern, page, re.DOTALL)
    if found is None:
        return {}
    values = dict(zip(names, found.groups(), strict=True))
    return {name: values[name] for name in PARTS.values() if name in values}


def short_machine() -> str:
    return f"{os.cpu_count()} cores, load by {generator_name()}"


# The name of each section, and where the frame has it.
PARTS = {
    "Speed": "speed",
    "Access": "access",
    "Signing in": "signing_in",
    "Servers": "servers",
    "Scale": "scale",
    "Full text": "search",
    "Latency": "latency",
    "Fan-out": "fan_out",
    "Gateways": "gateways",
    "Connections": "connections",
    "Publishing": "publishing",
    "Memory": "memory",
    "Pages": "desk_pages",
    "Weight": "desk_weight",
    "In Chromium": "desk_feel",
}


def machine() -> str:
    """One line a fact, as a Markdown list."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    facts = [
        f"{os.cpu_count()} cores ({processor()}), {memory:.0f} GiB of memory, "
        f"{platform.system()} {platform.release()}",
        f"Python {platform.python_version()}, {postgres.find()}",
        "packages: " + ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        f"load: {generator_name()}, on the same machine",
    ]
    return "\n".join(f"- {fact}" for fact in facts)


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def per_second(rate: float) -> str:
    return f"{rate:,.0f}/s"


def times(ratio: float) -> str:
    return f"{ratio:.1f}{TIMES}"


def share(ratio: float) -> str:
    return f"{ratio * 100:.0f} %"


def ms(milliseconds: float) -> str:
    return f"{milliseconds:.1f} ms"
