"""How many requests an actor may make, and what it is told of that."""

import asyncio
import json
import re
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullse.access.finder import Finder
from pullse.app import build, described
from pullse.gateway.opening import Realtime
from pullse.kit.db import Database
from pullse.kit.edge import Edge, Visitor
from pullse.kit.guard import BearerToken, LocalOwner
from pullse.kit.metrics import Metrics
from pullse.kit.rates import WINDOW, Rates
from pullse.kit.tail import Tail
from pullse.kit.web import Answer
from pullse.realtime import feed
from tests.access.people import give, hire
from tests.conftest import serving

TOKEN = "a-token-of-more-than-twenty-characters"
TOLD = re.compile(rb'"default";r=(\d+);t=(\d+)')


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def take(rates: Rates, actor: str = "agent:1") -> tuple[int, int, int]:
    """Seconds to wait, what is left, and the seconds until all is."""
    wait, headers = rates.take(actor)
    match = TOLD.fullmatch(dict(headers)[b"ratelimit"])
    assert match
    return wait, int(match[1]), int(match[2])


def passing(rates: Rates, tries: int, actor: str = "agent:1") -> int:
    return sum(not rates.take(actor)[0] for _ in range(tries))


# -- the bucket --


def test_ten_seconds_worth_may_come_at_once(clock: Clock) -> None:
    rates = Rates(50, clock=clock)
    assert take(rates) == (0, 499, 1)
    assert passing(rates, 1000) == 499
    assert take(rates) == (1, 0, 1)


def test_it_is_told_when_all_is_there_again(clock: Clock) -> None:
    rates = Rates(1, clock=clock)
    assert [take(rates) for _ in range(11)] == [(0, 9 - n, n + 1) for n in range(10)] + [(1, 0, 1)]


def test_then_it_is_the_rate(clock: Clock) -> None:
    rates = Rates(50, clock=clock)
    passing(rates, 500)
    for _ in range(100):
        clock.now += 0.1
        assert passing(rates, 50) == 5
    clock.now += 3
    assert passing(rates, 1000) == 150


def test_what_is_refused_takes_nothing(clock: Clock) -> None:
    rates = Rates(1, clock=clock)
    passing(rates, 10)
    assert passing(rates, 1000) == 0
    clock.now += 1
    assert passing(rates, 1000) == 1


def test_waiting_as_long_as_was_told_is_enough(clock: Clock) -> None:
    rates = Rates(3, clock=clock)
    for _ in range(200):
        wait = take(rates)[0]
        clock.now += wait
        if wait:
            assert take(rates)[0] == 0


def test_nobody_gets_more_than_a_bucket_full(clock: Clock) -> None:
    rates = Rates(5, clock=clock)
    passing(rates, 3)
    clock.now += 10_000
    assert passing(rates, 1000) == 50


def test_each_actor_has_its_own(clock: Clock) -> None:
    rates = Rates(1, clock=clock)
    passing(rates, 20, "agent:1")
    assert passing(rates, 20, "agent:2") == 10
    assert passing(rates, 20, "agent:1") == 0


@given(
    rate=st.integers(1, 1000),
    steps=st.lists(st.tuples(st.floats(0, 3), st.integers(1, 200)), max_size=40),
)
def test_no_pattern_of_requests_gets_past_it(rate: int, steps: list[tuple[float, int]]) -> None:
    clock = Clock()
    rates, started, passed = Rates(rate, clock=clock), clock.now, 0
    for pause, tries in steps:
        clock.now += pause
        for _ in range(tries):
            wait, left, reset = take(rates)
            passed += not wait
            assert 0 <= left < rate * WINDOW
            assert 1 <= reset <= WINDOW
        assert passed <= rate * (WINDOW + clock.now - started) + 0.001


# -- what is kept --


def test_of_a_full_bucket_nothing_is_kept(clock: Clock) -> None:
    rates = Rates(10, clock=clock)
    for number in range(2000):
        rates.take(f"agent:{number}")
        clock.now += 1
    assert len(rates._buckets) == WINDOW


def test_there_is_a_most_and_who_floods_is_not_forgotten(clock: Clock) -> None:
    rates = Rates(10, clock=clock, most=100)
    passing(rates, 100, "flood")
    for number in range(10_000):
        rates.take(f"agent:{number}")
        if number % 50 == 0:
            assert rates.take("flood")[0]
    assert len(rates._buckets) == 100


# -- at the edge --


async def app(scope: Any, receive: Any, send: Any) -> None:
    await Answer(200, b"", [])(scope, receive, send)


async def find(token: str) -> Visitor | None:
    """Two tokens of one agent, and one of a service."""
    agent = Visitor("agent:1", frozenset({"tickets:read"}))
    return {"one": agent, "two": agent, "service": Visitor("token:1")}.get(token)


def edge_of(guard: Any, clock: Clock) -> Edge:
    return Edge(app, None, guard, Metrics(), rates=Rates(1, clock=clock))  # type: ignore[arg-type]


def asking(edge: Edge, token: str | None = None) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(edge)  # type: ignore[arg-type]
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers)


@pytest.mark.parametrize("guard", [LocalOwner(find), BearerToken(TOKEN, find=find)])
async def test_a_token_is_held_to_the_rate(guard: Any, clock: Clock) -> None:
    edge = edge_of(guard, clock)
    async with asking(edge, "one") as client, asking(edge, "two") as other:
        answers = [await client.get("/x") for _ in range(10)]
        assert {each.status_code for each in answers} == {200}
        assert {each.headers["ratelimit-policy"] for each in answers} == {'"default";q=10;w=10'}
        assert answers[0].headers["ratelimit"] == '"default";r=9;t=1'
        assert "retry-after" not in answers[-1].headers

        refused = await client.get("/x")
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["ratelimit"] == '"default";r=0;t=1'
        assert refused.headers["x-request-id"]
        assert (await other.get("/x")).status_code == 429, "it is the same agent"
        clock.now += 1
        assert (await client.get("/x")).status_code == 200
    async with asking(edge, "service") as client:
        assert (await client.get("/x")).status_code == 200


@pytest.mark.parametrize(
    ("guard", "token"),
    [(LocalOwner(find), None), (BearerToken(TOKEN, find=find), TOKEN)],
    ids=["owner", "operator"],
)
async def test_who_may_everything_is_not(guard: Any, token: str | None, clock: Clock) -> None:
    async with asking(edge_of(guard, clock), token) as client:
        for _ in range(50):
            answer = await client.get("/x")
            assert answer.status_code == 200
            assert "ratelimit" not in answer.headers
            assert "ratelimit-policy" not in answer.headers


async def test_health_is_told_to_anybody_at_any_rate(clock: Clock) -> None:
    edge = edge_of(BearerToken(TOKEN, find=find), clock)
    async with asking(edge) as client:
        for _ in range(50):
            answer = await client.get("/health/live")
            assert (answer.status_code, "ratelimit" in answer.headers) == (200, False)


async def test_a_stranger_takes_nothing_from_anybody(clock: Clock) -> None:
    edge = edge_of(BearerToken(TOKEN, find=find), clock)
    async with asking(edge, "wrong") as client:
        for _ in range(50):
            assert (await client.get("/x")).status_code == 401
    assert edge.rates
    assert edge.rates._buckets == {}


async def test_a_page_may_read_how_much_is_left(clock: Clock) -> None:
    async with asking(edge_of(LocalOwner(find), clock), "one") as client:
        answer = await client.get("/x", headers={"origin": "http://localhost:5173"})
    exposed = answer.headers["access-control-expose-headers"]
    assert {"RateLimit", "RateLimit-Policy", "Retry-After"} <= set(exposed.split(", "))


# -- with everything --


@pytest.fixture
def served(database: Database, tail: Tail, realtime: Realtime, clock: Clock) -> Edge:
    guard = BearerToken(TOKEN, find=Finder(database))
    return build(database, tail, guard, realtime=realtime, rates=Rates(1, clock=clock))


async def test_real_tokens_are_held_to_it(
    served: Edge, database: Database, document: dict[str, Any]
) -> None:
    agent = await hire(database, "Ada")
    async with asking(served, await give(database, agent)) as client:
        answers = [await client.get("/api/tickets") for _ in range(12)]
        assert [each.status_code for each in answers] == [200] * 10 + [429] * 2
        assert (await client.get("/nothing")).status_code == 429
        assert (await client.get("/time")).status_code == 200, "the gateway is not the API"
    assert "429" in document["paths"]["/api/tickets"]["get"]["responses"]
    assert "429" not in document["paths"]["/health/live"]["get"]["responses"]


@pytest.fixture
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(described(has_token=True))
    return found


async def test_a_stream_takes_one_however_long_it_goes_on(
    served: Edge, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether its reader still may is looked up again and again, and that is not counted."""
    monkeypatch.setattr(feed, "RECHECK", 0.01)
    headers = {"authorization": f"Bearer {await give(database, role='read_only')}"}
    accept = {"accept": "text/event-stream"}
    async with serving(served) as url, httpx.AsyncClient(base_url=url, headers=headers) as client:
        async with client.stream("GET", "/api/events", headers=accept) as got:
            assert got.headers["ratelimit"] == '"default";r=9;t=1'
            await asyncio.sleep(0.3)
        assert (await client.get("/api/tickets")).headers["ratelimit"] == '"default";r=8;t=2'
