"""
Counters of this process, in Prometheus text at `/metrics`.

Each request pays for them, so they are plain numbers here, and become the library's
families only when somebody reads.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BOUNDS = [*map(str, BUCKETS), "+Inf"]


class Times:
    """How long one call took: how often in each bucket, and in all."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * len(BOUNDS)
        self.seconds = 0.0


class Metrics(Collector):
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._times: dict[tuple[str, str], Times] = {}
        self._gauges: dict[str, Gauge] = {}

    def count(self, scope: Any, status: int, seconds: float) -> None:
        """A request was answered; one that reached no call has neither method nor path."""
        call = scope.get("call")
        method, path = (call.method, call.path) if call else ("", "")
        self._requests[method, path, status] += 1
        times = self._times.get((method, path))
        if times is None:
            times = self._times[method, path] = Times()
        times.buckets[bisect_left(BUCKETS, seconds)] += 1
        times.seconds += seconds

    def set(self, name: str, help_: str, value: float) -> None:
        gauge = self._gauges.get(name)
        if gauge is None:
            gauge = self._gauges[name] = Gauge(name, help_, registry=self.registry)
        gauge.set(value)

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "pullse_requests",
            "Requests answered, by call and status.",
            labels=("method", "path", "status"),
        )
        for (method, path, status), count in self._requests.items():
            requests.add_metric((method, path, str(status)), count)
        yield requests
        seconds = HistogramMetricFamily(
            "pullse_request_seconds",
            "Time from the request's head to the end of its answer.",
            labels=("method", "path"),
        )
        for labels, times in self._times.items():
            counts = zip(BOUNDS, accumulate(times.buckets), strict=True)
            seconds.add_metric(labels, list(counts), times.seconds)
        yield seconds

    def text(self) -> bytes:
        return generate_latest(self.registry)
