"""The same application behind granian, which we use, and behind uvicorn (uvloop, httptools)."""

from collections.abc import Callable
from statistics import median

from bench import data, servers, speed
from bench.cluster import Cluster
from bench.report import Section, ms, per_second, times

ROUNDS = 3


def measure(cluster: Cluster, *, seconds: float, say: Callable[[str], None]) -> Section:
    granian_base = cluster.filled("granian", data.TICKETS)
    uvicorn_base = cluster.copy("uvicorn", of="granian")
    rows = []
    with (
        servers.ours(granian_base) as granian,
        servers.ours_behind_uvicorn(uvicorn_base) as uvicorn,
    ):
        for call in speed.calls():
            say(f"{call.name} behind both …")
            sides = ((granian, granian_base), (uvicorn, uvicorn_base))
            for server, base in sides:
                speed.drive_counted(server, base, call, speed.WARM_UP)
            rounds = [
                [speed.drive_counted(server, base, call, seconds) for server, base in sides]
                for _ in range(ROUNDS)
            ]
            rates = [median(results[side].rate for results in rounds) for side in (0, 1)]
            p99s = [median(results[side].p99_ms for results in rounds) for side in (0, 1)]
            rows.append(
                (
                    call.name,
                    *(
                        cell
                        for side in (0, 1)
                        for cell in (per_second(rates[side]), ms(p99s[side]))
                    ),
                    times(rates[0] / rates[1]),
                )
            )
    return Section("Servers", ("call", "granian", "p99", "uvicorn", "p99", "ratio"), rows)
