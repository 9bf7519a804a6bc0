"""A million tickets against a thousand: what costs more, and what full text takes at a million.

Both databases are filled by COPY and settled (VACUUM ANALYZE) before. The filters are such that
a thousand tickets fill the page of 50 too: both sides answer with as much.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from urllib.parse import urlencode

from bench import data, servers
from bench.cluster import Cluster
from bench.load import Failed, Load, drive
from bench.report import TIMES, Section, Verdict, ms, per_second
from bench.servers import Server

FEW = 1_000
MANY = 1_000_000
PAGE = 1_000
ROUNDS = 7
RATIO = 1.3
SEARCH_MS = 50.0
FILTERS: dict[str, dict[str, str]] = {
    "list": {},
    "list by status": {"status": "open"},
    "list by priority": {"priority": "high"},
    "list by assignee": {"assigned_to": str(data.agent_id(3))},
    "list by status and priority": {"status": "open", "priority": "medium"},
}
SEARCHES: dict[str, tuple[str, dict[str, str]]] = {
    "a rare word": ("rare", {}),
    "a middling word": ("middling", {}),
    "a common word": ("common", {}),
    "a common word, last updated first": ("common", {"sort": "-updated"}),
    "two words": ("two words", {}),
    "a rare word, open and urgent": ("rare", {"status": "open", "priority": "urgent"}),
    "a middling word, open and urgent": ("middling", {"status": "open", "priority": "urgent"}),
    "a common word, open and urgent": ("common", {"status": "open", "priority": "urgent"}),
    "two words, of one assignee": ("two words", {"assigned_to": str(data.agent_id(3))}),
}


@dataclass(frozen=True)
class Pair:
    """One question to both: the same but for ids and cursors."""

    name: str
    few: Load
    many: Load


@dataclass(frozen=True)
class Row:
    """Requests a second of both, and how many times as fast the small one is."""

    name: str
    few: float
    many: float
    ratio: float


def measure(
    cluster: Cluster, *, seconds: float, searches: int, say: Callable[[str], None], many: int = MANY
) -> list[Section]:
    few_base = cluster.filled("few", FEW)
    say(f"loading {many:,} tickets …")
    started = time.monotonic()
    many_base = cluster.filled("many", many)
    size = many_base.value("SELECT pg_size_pretty(pg_database_size(current_database()))")
    say(f"loaded in {time.monotonic() - started:.0f} s, {size}")
    with servers.ours(few_base) as few_server, servers.ours(many_base) as many_server:
        found = [(kind, search(many_server, kind, searches, say)) for kind in SEARCHES]
        rows = [
            compare(pair, few_server, many_server, seconds, say)
            for pair in pairs(many_server, many)
        ]
    return [sizes(rows, many), full_text(found, many)]


def pairs(many_server: Server, many: int) -> list[Pair]:
    first = listing({})
    asked = [Pair(name, listing(filters), listing(filters)) for name, filters in FILTERS.items()]
    asked.append(Pair(f"page {PAGE:,} (against page 1)", first, far_page(many_server)))
    asked.append(Pair("GET one", one_by_id(FEW), one_by_id(many)))
    new = Load("POST", [("/api/tickets", body) for body in data.new_ticket_bodies(2000)])
    return [*asked, Pair("POST", new, new)]


def listing(filters: dict[str, str]) -> Load:
    return Load("GET", [(f"/api/tickets?{urlencode({'limit': '50', **filters})}", "")])


def one_by_id(count: int) -> Load:
    return Load("GET", [(f"/api/tickets/{data.ticket_id(number)}", "")
                        for number in data.ticket_numbers(count)])  # fmt: skip


def far_page(server: Server) -> Load:
    """Walk there once by the cursors, as a client would, and keep the last."""
    path = "/api/tickets?limit=50"
    cursor = ""
    for _ in range(PAGE - 1):
        page = json.loads(server.get(f"{path}&cursor={cursor}" if cursor else path))
        cursor = page["data"]["next_cursor"]
        if cursor is None:
            raise Failed(f"There is no page {PAGE:,}.")
    return Load("GET", [(f"{path}&cursor={cursor}", "")])


def compare(
    pair: Pair, few: Server, many: Server, seconds: float, say: Callable[[str], None]
) -> Row:
    """Many short rounds in turn; the ratio is the median of the rounds' own ratios."""
    say(f"{pair.name} …")
    sides = ((few, pair.few), (many, pair.many))
    for server, load in sides:
        drive(server.url, load, seconds=1, token=server.token)
    rounds = [
        [
            drive(server.url, load, seconds=seconds, token=server.token).rate
            for server, load in sides
        ]
        for _ in range(ROUNDS)
    ]
    return Row(
        pair.name,
        median(few_rate for few_rate, _ in rounds),
        median(many_rate for _, many_rate in rounds),
        median(few_rate / many_rate for few_rate, many_rate in rounds),
    )


def search(server: Server, kind: str, count: int, say: Callable[[str], None]) -> list[float]:
    """Milliseconds of each search, one after the other, sorted. Every search is another one."""
    say(f"searching for {kind} …")
    words, filters = SEARCHES[kind]
    taken = []
    for text in data.searches(words, count):
        started = time.perf_counter()
        server.get(f"/api/tickets?{urlencode({'q': text, **filters})}")
        taken.append((time.perf_counter() - started) * 1000)
    return sorted(taken)


def sizes(rows: Sequence[Row], many: int) -> Section:
    worst = max(row.ratio for row in rows)
    shown = [
        (row.name, per_second(row.few), per_second(row.many), f"{row.ratio:.2f}{TIMES}")
        for row in rows
    ]
    verdict = Verdict(f"all within {RATIO}{TIMES}", f"{worst:.2f}{TIMES} at worst", worst <= RATIO)
    columns = ("call", f"{FEW:,} tickets", f"{many:,} tickets", "ratio")
    return Section("Scale", columns, shown, [verdict])


def full_text(found: Sequence[tuple[str, list[float]]], many: int) -> Section:
    rows = []
    for kind, taken in found:
        p50, p95 = taken[len(taken) // 2], taken[len(taken) * 95 // 100]
        rows.append((kind, ms(p50), ms(p95), ms(taken[-1])))
    worst = max(taken[len(taken) * 95 // 100] for _, taken in found)
    promise = f"q at {many:,} tickets, p95 ≤ {SEARCH_MS:.0f} ms"
    verdict = Verdict(promise, f"{ms(worst)} at worst", worst <= SEARCH_MS)
    return Section("Full text", ("search for", "p50", "p95", "max"), rows, [verdict])
