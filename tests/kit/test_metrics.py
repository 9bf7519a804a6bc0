"""/metrics: counters of this process, in the text that Prometheus reads."""

from collections.abc import Iterable

import httpx
from prometheus_client.parser import text_string_to_metric_families as parse

from pullse.kit.edge import Edge


async def samples(client: httpx.AsyncClient) -> dict[tuple[str, ...], float]:
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in parse(answer.text)
        for sample in family.samples
    }


def named(found: Iterable[tuple[str, ...]], name: str) -> set[tuple[str, ...]]:
    return {key for key in found if key[0] == name}


async def test_requests_are_counted_by_call_and_status(client: httpx.AsyncClient) -> None:
    for number in range(3):
        await client.get(f"/api/tickets/{number + 1}")
    await client.get("/api/tickets")

    found = await samples(client)
    assert found["pullse_requests_total", "/api/tickets/{ticket}", "404", "GET"] == 3
    assert found["pullse_requests_total", "/api/tickets", "200", "GET"] == 1
    assert found["pullse_request_seconds_count", "/api/tickets", "GET"] == 1


async def test_strangers_can_not_grow_the_list(client: httpx.AsyncClient) -> None:
    """Unknown paths and methods share one line, whatever they are called."""
    for number in range(5):
        await client.get(f"/nothing/{number}")
        await client.request(f"BREW{number}", "/api/tickets")

    found = await samples(client)
    assert found["pullse_requests_total", "", "", "404"] == 5
    assert found["pullse_requests_total", "", "", "405"] == 5
    assert len(named(found, "pullse_requests_total")) == 2


async def test_what_waits_is_told(client: httpx.AsyncClient, edge: Edge) -> None:
    database = edge.services.database
    async with database.session() as db:
        await db.run(
            "INSERT INTO jobs (name, due_at, dead_at) VALUES ('a', now() - interval '1 h', NULL), "
            "('b', now() + interval '1 h', NULL), ('c', now(), now())"
        )
        await db.run("INSERT INTO readers (name) VALUES ('ably')")
    await client.post("/api/agents", json={"name": "Ada", "email": "ada@example.org"})

    found = await samples(client)
    assert found["pullse_database_up",] == 1
    assert found["pullse_jobs",] == 2
    assert found["pullse_dead_jobs",] == 1
    assert 3500 < found["pullse_due_job_seconds",] < 3700
    assert 0 <= found["pullse_undelivered_seconds",] < 60
    assert found["pullse_requests_under_way",] == 1


async def test_followers_of_the_feed_are_counted(client: httpx.AsyncClient, edge: Edge) -> None:
    follower = await edge.services.tail.follow(lambda fact: True)
    assert (await samples(client))["pullse_streams",] == 1
    edge.services.tail.leave(follower)
    assert (await samples(client))["pullse_streams",] == 0


async def test_without_a_database_it_still_answers(client: httpx.AsyncClient, edge: Edge) -> None:
    edge.services.database.pool.terminate()
    found = await samples(client)
    assert found["pullse_database_up",] == 0


async def test_two_edges_do_not_share_counters(client: httpx.AsyncClient, edge: Edge) -> None:
    other = Edge(edge.app, edge.services, edge.guard, type(edge.metrics)())
    await client.get("/health/live")
    assert b"/health/live" in edge.metrics.text()
    assert b"/health/live" not in other.metrics.text()
