"""Looking after jobs, by API and by page: what failed is seen, retried or deleted, and by whom."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from pullse import app
from pullse.kit import jobs as kit
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.operations import job_actions, job_queries
from pullse.operations.job_actions import shown_arguments
from tests.access.conftest import finder, served
from tests.access.people import run
from tests.access.sign_in import audited, hire_with_password
from tests.api.calls import get, problems, refused
from tests.web.visiting import led_to, parsed, send, sign_in, visitor

__all__ = ["finder", "served"]

AT = datetime(2026, 11, 22, 9, tzinfo=UTC)
ERROR = "ValueError: the printer is on fire"


async def dead(database: Database, name: str = "test.print", **args: Any) -> int:
    """The id of one more, which died a minute after the one before."""
    async with database.transaction() as db:
        number = await db.value("SELECT count(*) FROM jobs")
        job_id: int = await db.value(
            """
            INSERT INTO jobs (name, args, attempts, error, dead_at, due_at)
                 VALUES ($1, $2, 12, $3, $4, $4)
              RETURNING id
            """,
            name,
            json.dumps(args),
            ERROR,
            AT + timedelta(minutes=number),
        )
        return job_id


async def waiting(database: Database, name: str = "test.later", *, seconds: float = 3600) -> int:
    async with database.transaction() as db:
        job_id: int = await db.value(
            """
            INSERT INTO jobs (name, due_at) VALUES ($1, now() + make_interval(secs => $2))
              RETURNING id
            """,
            name,
            seconds,
        )
        return job_id


async def state_of(database: Database, job_id: int) -> str | None:
    async with database.session() as db:
        found = await job_queries.find(db, job_id)
        return found and found.state


# By API


async def test_a_job_is_shown_as_the_contract_says(
    client: httpx.AsyncClient, database: Database
) -> None:
    ticket = "019aa4ae-4c11-7a3e-9f6b-2d8e7c5a1b04"
    job_id = await dead(database, to="ada@example.org", ticket=ticket)
    found = await get(client, f"/api/jobs/{job_id}")
    assert found.pop("created_at")
    assert found == {
        "id": job_id,
        "name": "test.print",
        "state": "dead",
        "arguments": {"to": "… (15)", "ticket": ticket},
        "attempts": 12,
        "due_at": "2026-11-22T09:00:00Z",
        "dead_at": "2026-11-22T09:00:00Z",
        "error": ERROR,
    }


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
@pytest.mark.parametrize("state", ["dead", "queued"])
async def test_pages_have_each_job_once_in_order(
    limit: int, state: str, client: httpx.AsyncClient, database: Database
) -> None:
    for number in range(3):
        await dead(database, ("test.print", "test.fax")[number % 2])
        await waiting(database, seconds=100 - number)
    await run(database, "UPDATE jobs SET dead_at = $1 WHERE dead_at IS NOT NULL", AT)
    ids, cursor = [], None
    while True:
        params = {"state": state, "limit": limit} | ({"cursor": cursor} if cursor else {})
        page = await get(client, "/api/jobs", **params)
        assert len(page["records"]) <= limit
        ids += [each["id"] for each in page["records"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(ids) == 3
    assert ids == sorted(ids, reverse=True)


async def test_jobs_are_told_apart_by_name_and_by_what_they_do(
    client: httpx.AsyncClient, database: Database
) -> None:
    await dead(database, "test.fax")
    await dead(database)
    later, due = await waiting(database), await waiting(database, seconds=-5)
    running = await waiting(database, seconds=-10)
    await run(database, "UPDATE jobs SET leased_until = now() + '1 min' WHERE id = $1", running)
    found = await get(client, "/api/jobs")
    assert [(each["id"], each["state"]) for each in found["records"]] == [
        (running, "running"),
        (due, "due"),
        (later, "waiting"),
    ]
    found = await get(client, "/api/jobs", state="dead", name="test.fax")
    assert [each["name"] for each in found["records"]] == ["test.fax"]


async def test_a_retried_job_is_due_with_all_attempts_ahead_and_audited(
    client: httpx.AsyncClient, database: Database
) -> None:
    job_id = await dead(database, secret="x")
    answer = await client.post(f"/api/jobs/{job_id}/retry")
    assert answer.status_code == 200, answer.text
    found = answer.json()["data"]
    assert (found["state"], found["attempts"], found["dead_at"]) == ("due", 0, None)
    ((actor, data, _),) = await audited(database, "job.retried")
    assert actor == "owner"
    assert json.loads(data) == {"job_id": job_id, "name": "test.print", "attempts": 12}


async def test_all_dead_jobs_are_retried_or_those_of_a_name(
    client: httpx.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_actions, "RETRIED_AT_MOST", 2)
    fax = await dead(database, "test.fax")
    others = [await dead(database) for _ in range(3)]
    answer = await client.post("/api/jobs/retry", json={"name": "test.fax"})
    assert answer.json()["data"] == {"retried": 1, "is_more": False}
    assert await state_of(database, fax) == "due"
    answer = await client.post("/api/jobs/retry", json={})
    assert answer.json()["data"] == {"retried": 2, "is_more": True}
    assert [await state_of(database, each) for each in others] == ["due", "due", "dead"]
    answer = await client.post("/api/jobs/retry", json={})
    assert answer.json()["data"] == {"retried": 1, "is_more": False}
    answer = await client.post("/api/jobs/retry", json={})
    assert answer.json()["data"] == {"retried": 0, "is_more": False}
    told = [json.loads(data) for _, data, _ in await audited(database, "job.retried")]
    assert told == [
        {"count": 1, "name": "test.fax"},
        {"count": 2, "name": None},
        {"count": 1, "name": None},
    ]


async def test_a_dead_job_is_deleted_and_another_stays(
    client: httpx.AsyncClient, database: Database
) -> None:
    job_id, other = await dead(database), await waiting(database)
    refused(await client.delete(f"/api/jobs/{other}"), 409, "job_not_dead")
    assert (await client.delete(f"/api/jobs/{job_id}")).status_code == 200
    refused(await client.delete(f"/api/jobs/{job_id}"), 404, "not_found")
    assert await state_of(database, job_id) is None
    assert await state_of(database, other) == "waiting"
    ((_, data, _),) = await audited(database, "job.deleted")
    assert json.loads(data) == {"job_id": job_id, "name": "test.print", "attempts": 12}


async def test_a_running_job_is_left_alone(client: httpx.AsyncClient, database: Database) -> None:
    job_id = await waiting(database, seconds=-5)
    async with database.session() as db:
        assert await kit.claim(db)
    refused(await client.post(f"/api/jobs/{job_id}/retry"), 409, "job_running")
    refused(await client.delete(f"/api/jobs/{job_id}"), 409, "job_not_dead")
    assert await state_of(database, job_id) == "running"
    assert await audited(database, "job.retried") == []


@pytest.mark.parametrize("job", ["0", "x", "-1", "1.5", "²", "9" * 19, "9" * 40, "%00"])
async def test_what_is_no_job_is_not_there(job: str, client: httpx.AsyncClient) -> None:
    for method, path in (("GET", ""), ("POST", "/retry"), ("DELETE", "")):
        refused(await client.request(method, f"/api/jobs/{job}{path}"), 404, "not_found")


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": "running"},
        {"limit": 0},
        {"limit": 201},
        {"name": ""},
        {"name": "a" * 201},
        {"name": "\0"},
        {"cursor": "x"},
        {"cursor": "WyIyMDI2LTAxLTAxVDAwOjAwOjAwIiwxXQ"},
        {"cursor": "WyIyMDI2LTAxLTAxVDAwOjAwOjAwWiIsLTFd"},
        {"cursor": "é"},
        {"until": "now"},
    ],
    ids=str,
)
async def test_a_parameter_that_does_not_fit_is_named(
    wrong: dict[str, Any], client: httpx.AsyncClient
) -> None:
    answer = await client.get("/api/jobs", params=wrong)
    refused(answer, 400, "invalid")
    assert list(problems(answer)) == list(wrong)


async def test_the_schedule_tells_the_last_run_and_the_next(
    client: httpx.AsyncClient, database: Database
) -> None:
    found = (await get(client, "/api/jobs/schedule"))["records"]
    assert [each["name"] for each in found] == [each.job.name for each in app.schedule]
    assert {each["last_at"] for each in found} == {None}
    await kit.enqueue_scheduled(database, app.schedule)
    for each in (await get(client, "/api/jobs/schedule"))["records"]:
        last, following = (datetime.fromisoformat(each[name]) for name in ("last_at", "next_at"))
        assert following - last == timedelta(seconds=each["seconds"])
        assert last <= datetime.now(UTC) <= following


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        ({}, {}),
        ({"n": 1, "is": True, "no": None}, {"n": 1, "is": True, "no": None}),
        ({"at": "2026-11-22T09:00:00+00:00"}, {"at": "2026-11-22T09:00:00+00:00"}),
        ({"to": "Ada"}, {"to": "… (3)"}),
        ({"to": ["Ada", 1]}, {"to": ["… (3)", 1]}),
        ({"to": {"name": "Ada", "n": 2}}, {"to": {"name": "… (3)", "n": 2}}),
        ({"day": "2026-11-22"}, {"day": "… (10)"}),
    ],
    ids=str,
)
def test_arguments_name_nobody(args: Any, wanted: Any) -> None:
    assert shown_arguments(json.dumps(args)) == wanted


# By page


async def test_an_admin_finds_a_dead_job_and_retries_it(served: Edge, database: Database) -> None:
    ada = await hire_with_password(database, "Ada", "admin")
    job_id = await dead(database, to="ben@example.org")
    async with visitor(served) as client:
        await sign_in(client)
        links = parsed(await client.get("/account")).all("a")
        assert "/jobs" in [each["href"] for each in links]
        page = await client.get("/jobs")
        assert "Failed for good" in page.text
        assert ERROR in parsed(page).text
        page = await client.get(f"/jobs/{job_id}")
        assert ERROR in parsed(page).text
        assert "… (15)" in parsed(page).text
        assert "ben@example.org" not in page.text
        answer = await send(client, f"/jobs/{job_id}/retry")
        assert led_to(answer) == "/jobs?done=retried"
        page = await client.get("/jobs?done=retried")
        assert "The job is due now." in page.text
        assert "Running or waiting" in page.text
    ((actor, _, _),) = await audited(database, "job.retried")
    assert actor == f"agent:{ada}"


async def test_a_form_retries_all_of_a_kind_and_says_how_many(
    served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada", "admin")
    for name in ("test.fax", "test.fax", "test.print"):
        await dead(database, name)
    async with visitor(served) as client:
        await sign_in(client)
        page = await client.get("/jobs?state=dead")
        assert "/jobs?state=dead&name=test.fax" in [each["href"] for each in parsed(page).all("a")]
        page = await client.get("/jobs?state=dead&name=test.fax")
        assert "test.print" not in parsed(page).text
        answer = await send(client, "/jobs/retry", {"name": "test.fax"})
        assert led_to(answer) == "/jobs?done=retried_all&count=2"
        assert "Due now: 2." in (await client.get(led_to(answer))).text
        answer = await send(client, "/jobs/retry", {"kind": "x"})
        assert answer.status_code == 400


async def test_what_may_not_be_done_by_form_is_said_on_the_jobs_page(
    served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada", "admin")
    job_id, other = await dead(database), await waiting(database)
    async with visitor(served) as client:
        await sign_in(client)
        answer = await send(client, f"/jobs/{other}/delete")
        assert answer.status_code == 409
        assert "This job is not dead" in answer.text
        assert led_to(await send(client, f"/jobs/{job_id}/delete")) == "/jobs?done=deleted"
        assert (await client.get(f"/jobs/{job_id}")).status_code == 404
        assert (await send(client, f"/jobs/{job_id}/retry")).status_code == 404
        assert (await client.get("/jobs/x")).status_code == 404
        assert (await client.get("/jobs?state=x")).status_code == 400
    assert await state_of(database, other) == "waiting"


async def test_more_jobs_than_a_page_holds_are_behind_more(
    served: Edge, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pullse.operations.pages.jobs.ON_A_PAGE", 2)
    await hire_with_password(database, "Ada", "admin")
    ids = [await dead(database) for _ in range(3)]
    async with visitor(served) as client:
        await sign_in(client)
        page = parsed(await client.get("/jobs"))
        assert [f"'/jobs/{each}'" in str(page.all("a")) for each in ids] == [False, True, True]
        (more,) = [each["href"] for each in page.all("a") if "cursor=" in str(each["href"])]
        page = parsed(await client.get(str(more)))
        assert [f"'/jobs/{each}'" in str(page.all("a")) for each in ids] == [True, False, False]
        assert "By the clock" in parsed(await client.get("/jobs?state=schedule")).text


async def test_the_counts_stop_where_counting_would_be_long(
    served: Edge, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_queries, "COUNTED_AT_MOST", 2)
    await hire_with_password(database, "Ada", "admin")
    for _ in range(3):
        await dead(database)
    async with visitor(served) as client:
        await sign_in(client)
        assert "2+" in parsed(await client.get("/jobs")).text
