"""
How many requests an actor may make: so many a second, and ten seconds' worth at once.

Each has a bucket that fills at the rate; of one that must be full by now nothing is kept. A
request is decided on here and now, by what this process knows. In the background `run` tells
the database what was spent here, and hears what all processes have spent: one statement each
quarter of a second while somebody asks, and at once when somebody has spent that much.

How exact that is: one process is. With more, an actor gets past its limit by at most what each
lets through between two exchanges: a quarter of a second's worth, and what comes in until the
statement is answered. What it got too much it gets less later, so in the long run the rate
holds. While the database is away each process counts by itself.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Sequence

from pullse.errors import Unavailable
from pullse.kit.db import Database, Db, Struct
from pullse.kit.jobs import Every, job
from pullse.kit.web import Headers

log = logging.getLogger(__name__)

WINDOW = 10
"""Seconds in which an empty bucket is full again."""
KEPT_AT_MOST = 10_000
DUST = 1e-6
"""Of a request: what sums of times may be wrong by."""
EACH = 0.25
"""Seconds between exchanges, while nobody spends much."""
APART = 0.01
"""Seconds between exchanges, however much somebody spends."""
AWAY = 2.0
"""Seconds until the database is tried again."""
TOGETHER = 1000
"""Actors in one statement."""


class Spent(Struct, frozen=True):
    actor: str
    spent: float


class Bucket:
    """What an actor has spent, when that was so, and how much of it the database does not know."""

    __slots__ = ("at", "spent", "untold")

    def __init__(self, at: float) -> None:
        self.at = at
        self.spent = 0.0
        self.untold = 0

    def spent_by(self, now: float, rate: float) -> float:
        return max(self.spent - (now - self.at) * rate, 0.0)


class Rates:
    def __init__(
        self, rate: int, *, clock: Callable[[], float] = time.monotonic, most: int = KEPT_AT_MOST
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._most = most
        self._much = rate * EACH
        self._buckets: dict[str, Bucket] = {}
        """Who asked longest ago is first."""
        self._untold: dict[str, Bucket] = {}
        self._is_some = asyncio.Event()
        self._is_much = asyncio.Event()
        self._policy = (b"ratelimit-policy", b'"default";q=%d;w=%d' % (rate * WINDOW, WINDOW))

    def take(self, actor: str) -> tuple[int, Headers]:
        """
        For one more request: the seconds to wait, 0 if it may pass, and what is told of it.

        A request that may not pass takes nothing. Each request of the API pays for this.
        """
        now, rate = self._clock(), self._rate
        bucket = self._buckets.pop(actor, None) or self._new(now)
        self._buckets[actor] = bucket
        spent = bucket.spent - (now - bucket.at) * rate
        if spent < 0.0:
            spent = 0.0
        bucket.at = now
        left = rate * WINDOW - spent
        wait = 0
        if left > 1 - DUST:
            left -= 1
            spent += 1
            reset = math.ceil(spent / rate - DUST)
            if bucket.untold:
                bucket.untold += 1
            else:
                self._begin(actor, bucket)
            if bucket.untold >= self._much:
                self._is_much.set()
        else:
            wait = reset = max(math.ceil((1 - left) / rate - DUST), 1)
        bucket.spent = spent
        told = b'"default";r=%d;t=%d' % (int(left + DUST) if left > 0 else 0, reset)
        return wait, [self._policy, (b"ratelimit", told)]

    def _new(self, now: float) -> Bucket:
        """If there are too many, those who asked longest ago begin anew."""
        kept = self._buckets
        while kept:
            oldest = next(iter(kept))
            if len(kept) < self._most and kept[oldest].at > now - WINDOW:
                break
            del kept[oldest]
        return Bucket(now)

    def _begin(self, actor: str, bucket: Bucket) -> None:
        """There is something to tell of it."""
        if len(self._untold) < self._most:
            self._untold[actor] = bucket
            bucket.untold = 1
            self._is_some.set()

    # Between the processes

    async def run(self, database: Database) -> None:
        """For ever; while nobody asks, nothing is told."""
        while True:
            await self._is_some.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EACH):
                    await self._is_much.wait()
            try:
                await self.exchange(database)
                await asyncio.sleep(APART)
            except Unavailable as error:
                log.debug("Each process counts requests by itself: %s", error)
                await asyncio.sleep(AWAY)

    async def exchange(self, database: Database) -> None:
        """
        Tell what was spent here, and hear what was spent in all.

        What could not be told is not told later on top: the bucket here knows what of it still
        counts.
        """
        untold, self._untold = sorted(self._untold.items()), {}
        self._is_some.clear()
        self._is_much.clear()
        for start in range(0, len(untold), TOGETHER):
            some = untold[start : start + TOGETHER]
            asked = self._clock()
            here = [bucket.spent_by(asked, self._rate) for _, bucket in some]
            told = [bucket.untold for _, bucket in some]
            for _, bucket in some:
                bucket.untold = 0
            async with database.session() as db:
                heard = await exchange(db, [actor for actor, _ in some], here, told, self._rate)
            for each in heard:
                self._hear(each, asked)

    def _hear(self, heard: Spent, asked: float) -> None:
        """It was so when we asked; what was spent here since then comes on top."""
        bucket = self._buckets.get(heard.actor)
        if bucket is not None:
            bucket.spent, bucket.at = heard.spent + bucket.untold, asked


async def exchange(
    db: Db, actors: Sequence[str], here: Sequence[float], told: Sequence[int], rate: float
) -> list[Spent]:
    """
    `here` is what each has spent as a process knows it, `told` what of that is new to others.

    If nobody else told anything since, both say the same, but for what came back unneeded;
    `here` knows that. Actors in their order, so that two processes never wait for each other.
    """
    return await db.all(
        Spent,
        """
        INSERT INTO request_rates AS kept (actor, spent, told, at)
        SELECT new.actor, new.here, new.told, now()
          FROM unnest($1::text[], $2::float8[], $3::int4[]) AS new (actor, here, told)
        ON CONFLICT ON CONSTRAINT request_rates_pkey DO UPDATE
           SET spent = greatest(
                   excluded.spent,
                   kept.spent + excluded.told - $4::float8
                    * greatest(0, extract(epoch FROM excluded.at - kept.at)::float8)),
               told = excluded.told,
               at = greatest(kept.at, excluded.at)
        RETURNING kept.actor, kept.spent
        """,
        actors,
        here,
        told,
        rate,
    )


@job("rates.forget")
async def forget(database: Database) -> None:
    """Delete rows of buckets that have long been full again."""
    async with database.session() as db:
        await db.run("DELETE FROM request_rates WHERE at < now() - interval '1 hour'")


jobs = [forget]
schedule = [Every(3600, forget)]
