"""
How many requests an actor may make: so many a second, and ten seconds' worth at once.

Each has a bucket that fills at the rate; of one that must be full by now nothing is kept. The
buckets are this process's own, so N processes let through N times as many at worst.
"""

import math
import time
from collections.abc import Callable

from pullse.kit.web import Headers

WINDOW = 10
"""Seconds in which an empty bucket is full again."""
KEPT_AT_MOST = 10_000
DUST = 1e-6
"""Of a request: what sums of times may be wrong by."""


class Rates:
    def __init__(
        self, rate: int, *, clock: Callable[[], float] = time.monotonic, most: int = KEPT_AT_MOST
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._most = most
        self._spent: dict[str, tuple[float, float]] = {}
        """Requests, and when that was so: at the last one. Who asked longest ago is first."""
        self._policy = (b"ratelimit-policy", b'"default";q=%d;w=%d' % (rate * WINDOW, WINDOW))

    def take(self, actor: str) -> tuple[int, Headers]:
        """
        For one more request: the seconds to wait, 0 if it may pass, and what is told of it.

        A request that may not pass takes nothing.
        """
        now = self._clock()
        spent, at = self._spent.pop(actor, (0.0, now))
        spent = max(spent - (now - at) * self._rate, 0.0)
        left = self._rate * WINDOW - spent
        wait = 0
        if left > 1 - DUST:
            left -= 1
            spent += 1
            reset = math.ceil(spent / self._rate - DUST)
        else:
            wait = reset = max(math.ceil((1 - left) / self._rate - DUST), 1)
        self._keep(actor, spent, now)
        told = b'"default";r=%d;t=%d' % (max(int(left + DUST), 0), reset)
        return wait, [self._policy, (b"ratelimit", told)]

    def _keep(self, actor: str, spent: float, now: float) -> None:
        """If there are too many, those who asked longest ago begin anew."""
        kept = self._spent
        kept[actor] = (spent, now)
        oldest = next(iter(kept))
        while len(kept) > self._most or kept[oldest][1] <= now - WINDOW:
            del kept[oldest]
            oldest = next(iter(kept))
