"""Counters of this process, in Prometheus text at `/metrics`."""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "pullse_requests",
            "Requests answered, by call and status.",
            ("method", "path", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "pullse_request_seconds",
            "Time from the request's head to the end of its answer.",
            ("method", "path"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._gauges: dict[str, Gauge] = {}
        self._labelled: dict[tuple[str, str, int], tuple[Any, Any]] = {}

    def count(self, scope: Any, status: int, seconds: float) -> None:
        call = scope.get("call")
        key = (call.method, call.path, status) if call else ("", "", status)
        found = self._labelled.get(key)
        if found is None:
            method, path, _ = key
            found = self._labelled[key] = (
                self._requests.labels(method, path, str(status)),
                self._seconds.labels(method, path),
            )
        found[0].inc()
        found[1].observe(seconds)

    def set(self, name: str, help_: str, value: float) -> None:
        gauge = self._gauges.get(name)
        if gauge is None:
            gauge = self._gauges[name] = Gauge(name, help_, registry=self.registry)
        gauge.set(value)

    def text(self) -> bytes:
        return generate_latest(self.registry)
