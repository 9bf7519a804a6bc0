"""The plans of the lists and searches at a million tickets, as PostgreSQL really ran them.

auto_explain logs them while our server answers, so nothing is guessed about the statements.
"""

import re
import time
from collections.abc import Callable
from urllib.parse import urlencode

from bench import data, scale, servers
from bench.cluster import Cluster

OPTIONS = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_buffers": "on",
    "auto_explain.log_timing": "off",
}


def show(cluster: Cluster, *, say: Callable[[str], None], many: int = scale.MANY) -> None:
    """`cluster` has to run with OPTIONS."""
    say(f"loading {many:,} tickets …")
    base = cluster.filled("many", many)
    log = cluster.home / "postgres.log"
    asked = dict(scale.FILTERS)
    for name, (words, filters) in scale.SEARCHES.items():
        asked[name] = {"q": data.searches(words, 1)[0], **filters}
    with servers.ours(base) as server:
        asked |= {f"page {scale.PAGE:,}": {}}
        far = scale.far_page(server).requests[0][0]
        for name, filters in asked.items():
            path = f"/api/tickets?{urlencode({'limit': '50', **filters})}"
            if name.startswith("page"):
                path = far
            time.sleep(0.5)
            before = log.stat().st_size
            server.get(path)
            time.sleep(0.5)
            print(f"\n## {name}: GET {path}\n")
            print(plan_of_tickets(log.read_bytes()[before:].decode()))


def plan_of_tickets(logged: str) -> str:
    """Of what was logged meanwhile, the plans of statements that read tickets."""
    entries = re.split(r"^\d{4}-\d\d-\d\d ", logged, flags=re.MULTILINE)
    plans = (each.strip() for each in entries if "plan:" in each)
    return "\n".join(plan for plan in plans if "FROM tickets" in plan and "bodies" in plan)
