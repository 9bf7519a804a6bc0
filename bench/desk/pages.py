"""
How long the server takes for a page at a million tickets: one request after the other, as one
agent with a session asks, of a connection that stays open, with the compression that browsers get.
"""

import http.client
import random
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlencode, urlsplit

from bench import access, data, servers
from bench.cluster import Cluster
from bench.desk import shop
from bench.load import Failed
from bench.report import Section, Verdict, ms
from bench.servers import Server

MANY = 1_000_000
REQUESTS = 200
PAGE_MS = 25.0
WORDS_MS = 50.0
SIDE_MS = 5.0
LIVE = [("status", "open"), ("status", "in_progress")]


class Browser:
    """Asks as one does."""

    def __init__(self, server: Server, session: str) -> None:
        url = urlsplit(server.url)
        self._connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=30)
        self._headers = {
            "Accept": "text/html",
            "Accept-Encoding": "gzip, deflate, br, zstd",
            "Cookie": f"pullse={session}",
        }

    def milliseconds(self, path: str) -> float:
        started = time.perf_counter()
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        answer.read()
        taken = (time.perf_counter() - started) * 1000
        if answer.status != 200:
            raise Failed(f"GET {path}: {answer.status}")
        return taken


def measure(
    cluster: Cluster, *, requests: int = REQUESTS, many: int = MANY, say: Callable[[str], None]
) -> Section:
    base = shop.filled(cluster, "desk_many", many, say)
    with servers.ours(base, PULLSE_RATE="100000") as server:
        shop.counted(base, say)
        browser = Browser(server, access.new_session(server))
        found = {name: timed(browser, name, paths, requests, say)
                 for name, paths in asked(many).items()}  # fmt: skip
    return section(found, many)


def asked(many: int) -> dict[str, Iterator[str]]:
    agents = [str(data.agent_id(number)) for number in range(1, data.AGENTS + 1)]
    teams = [str(shop.team_id(number)) for number in range(0, shop.TEAMS, 2)]
    rng = random.Random("desk")
    return {
        "list: mine, the start page": always("/"),
        "list: all open": always(listed(*LIVE)),
        "list: unassigned": always(listed(*LIVE, ("assigned_to", "none"))),
        "list: a team's": (listed(*LIVE, ("team_id", rng.choice(teams))) for _ in always("")),
        "list: an agent's urgent ones, last changed first": (
            listed(("priority", "urgent"), ("assigned_to", rng.choice(agents)),
                   ("sort", "-updated")) for _ in always("")
        ),
        "list: everything": always(listed()),
        "list: words": (listed(("q", word)) for word in words()),
        "ticket": (f"/tickets/{rng.randrange(1, many + 1)}" for _ in always("")),
        "palette": (f"/palette?{urlencode({'fragment': 'found', 'q': word})}" for word in words()),
        "side bar": always("/side?fragment=side"),
    }  # fmt: skip


def always(path: str) -> Iterator[str]:
    while True:
        yield path


def words() -> Iterator[str]:
    """Rare, middling and common ones, and two."""
    kinds = [
        iter(data.searches(kind, 1000)) for kind in ("rare", "middling", "common", "two words")
    ]
    while True:
        for kind in kinds:
            yield next(kind)


def listed(*pairs: tuple[str, str]) -> str:
    return f"/tickets?{urlencode(pairs)}" if pairs else "/tickets"


def timed(
    browser: Browser, name: str, paths: Iterator[str], requests: int, say: Callable[[str], None]
) -> list[float]:
    """Sorted; tickets of private teams that one does not see are left out."""
    say(f"{name} …")
    taken: list[float] = []
    for path in paths:
        try:
            taken.append(browser.milliseconds(path))
        except Failed:
            if name != "ticket":
                raise
        if len(taken) == requests + 5:
            break
    return sorted(taken[5:])


def section(found: dict[str, list[float]], many: int) -> Section:
    p95 = {name: taken[len(taken) * 95 // 100] for name, taken in found.items()}
    rows = [(name, ms(taken[len(taken) // 2]), ms(p95[name]), ms(taken[-1]))
            for name, taken in found.items()]  # fmt: skip
    of_words = max(p95["list: words"], p95["palette"])
    plain = max(taken for name, taken in p95.items()
                if name not in ("list: words", "palette", "side bar"))  # fmt: skip
    verdicts = [
        Verdict(
            f"lists and tickets at {many:,} tickets, p95 ≤ {PAGE_MS:.0f} ms",
            f"{ms(plain)} at worst",
            plain <= PAGE_MS,
        ),
        Verdict(
            f"words in list and palette there, p95 ≤ {WORDS_MS:.0f} ms",
            f"{ms(of_words)} at worst",
            of_words <= WORDS_MS,
        ),
        Verdict(
            f"the side bar's counts there, p95 ≤ {SIDE_MS:.0f} ms",
            ms(p95["side bar"]),
            p95["side bar"] <= SIDE_MS,
        ),
    ]
    return Section("Pages", ("page", "p50", "p95", "max"), rows, verdicts)
