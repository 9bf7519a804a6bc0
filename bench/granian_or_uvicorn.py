"""The same application behind uvicorn (uvloop, httptools), which we use, and behind granian."""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from bench import data, servers, speed
from bench.cluster import Base, Cluster
from bench.load import Result
from bench.report import Section, ms, per_second, times
from bench.servers import Server

ROUNDS = 3


@dataclass(frozen=True)
class Side:
    """One of the two, and what it did for one call."""

    server: Server
    base: Base
    results: list[Result] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def drive(self, call: speed.Call, seconds: float) -> None:
        before = self.server.cpu_seconds()
        result = speed.drive_counted(self.server, self.base, call, seconds)
        self.results.append(result)
        self.cpu.append((self.server.cpu_seconds() - before) / result.requests)

    @property
    def rate(self) -> float:
        return median(result.rate for result in self.results)

    def cells(self) -> tuple[str, str, str]:
        p99 = median(result.p99_ms for result in self.results)
        return per_second(self.rate), ms(p99), f"{median(self.cpu) * 1e6:.0f} \N{MICRO SIGN}s"


def measure(cluster: Cluster, *, seconds: float, say: Callable[[str], None]) -> Section:
    """CPU is the server process's own for a request: it hardly minds what else the machine does."""
    ours = cluster.filled("uvicorn", data.TICKETS)
    copy = cluster.copy("granian", of="uvicorn")
    rows = []
    with servers.ours(ours) as uvicorn, servers.ours_behind_granian(copy) as granian:
        for call in speed.calls():
            say(f"{call.name} behind both …")
            sides = Side(uvicorn, ours), Side(granian, copy)
            for side in sides:
                speed.drive_counted(side.server, side.base, call, speed.WARM_UP)
            for _ in range(ROUNDS):
                for side in sides:
                    side.drive(call, seconds)
            ratio = times(sides[0].rate / sides[1].rate)
            rows.append((call.name, *sides[0].cells(), *sides[1].cells(), ratio))
    columns = ("call", "uvicorn", "p99", "CPU", "granian", "p99", "CPU", "ratio")
    return Section("Servers", columns, rows)
