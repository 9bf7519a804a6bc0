"""Each command does what it says and says what it did."""

import json
from pathlib import Path

import asyncpg
import pytest

from pullse import __version__, app
from tests.cli.conftest import On, Pullse


def test_routes_lists_every_call(pullse: Pullse) -> None:
    lines = pullse("routes").output.splitlines()
    assert len(lines) == len(app.calls)
    for call in app.calls:
        assert any(line.split()[:2] == [call.method, call.path] for line in lines)


def test_openapi_is_json_that_describes_every_call(pullse: Pullse) -> None:
    described = json.loads(pullse("openapi").output)
    assert described["openapi"].startswith("3.1")
    for call in app.calls:
        assert call.method.lower() in described["paths"][call.path]


def test_version_and_help(pullse: Pullse) -> None:
    assert pullse("--version").output.strip() == f"pullse, version {__version__}"
    helped = pullse("--help").output
    for command in ("dev", "serve", "work", "migrate", "demo", "doctor", "routes", "events"):
        assert f"\n  {command} " in helped
    assert "worker" not in helped.replace("workers", "")


def test_the_schedule_is_on_one_page(pullse: Pullse) -> None:
    lines = pullse("jobs", "--schedule").output.splitlines()
    assert len(lines) == len(app.schedule)
    assert "every 3600 s  tickets.purge_trash" in lines


async def test_the_demo_loads_once(pullse_on: On) -> None:
    assert await pullse_on("demo") == "The story is loaded."
    assert "nothing done" in await pullse_on("demo")

    facts = [json.loads(line) for line in (await pullse_on("events")).splitlines()]
    assert len([each for each in facts if each["name"] == "ticket.created"]) == 41
    agents = [each for each in facts if each["name"] == "agent.created"]
    assert len(agents) == 3
    by = {f"agent:{each['data']['agent_id']}" for each in agents}
    assert {each["actor"] for each in facts} == {"demo", *by}
    told = [each["at"] for each in facts]
    assert told == sorted(told)


async def test_the_demo_leaves_a_used_database_alone(pullse_on: On, database_url: str) -> None:
    await execute(database_url, "INSERT INTO tickets (id, title, description) "
                  "VALUES (gen_random_uuid(), 'Help', 'It broke.')")  # fmt: skip
    assert "nothing done" in await pullse_on("demo")
    assert await pullse_on("events") == ""


async def test_migrate_says_what_ran(pullse_on: On, database_url: str) -> None:
    assert await pullse_on("migrate") == "The schema is up to date."
    await execute(database_url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    ran = (await pullse_on("migrate", is_empty=True)).splitlines()
    assert ran[:2] == ["ran 0001_facts", "ran 0002_agents"]
    assert await pullse_on("migrate") == "The schema is up to date."


async def test_migrate_refuses_what_it_does_not_know(pullse_on: On, database_url: str) -> None:
    await execute(database_url, "INSERT INTO migrations (name, checksum) VALUES ('9999_x', '')")
    assert "newer pullse" in await pullse_on("migrate", code=1)


async def test_events_go_on_from_a_cursor(pullse_on: On) -> None:
    await pullse_on("demo")
    lines = (await pullse_on("events")).splitlines()
    cursor = json.loads(lines[4])["cursor"]
    assert (await pullse_on("events", "--after", cursor)).splitlines() == lines[5:]
    assert "not a cursor" in await pullse_on("events", "--after", "yesterday", code=1)
    assert "no longer exists" in await pullse_on("events", "--after", "9.1.1", code=1)


async def test_jobs_shows_what_waits_and_what_is_dead(pullse_on: On, database_url: str) -> None:
    assert await pullse_on("jobs") == "No jobs wait."
    await execute(
        database_url,
        """
        INSERT INTO jobs (name, args, attempts, dead_at, error)
             VALUES ('a.waits', '{}', 0, NULL, NULL),
                    ('b.died', '{"to": "ada"}', 12, now(), 'ValueError: no such printer')
        """,
    )
    first, why, second = (await pullse_on("jobs")).splitlines()
    assert first.split()[1:] == ["dead", "b.died", '{"to":', '"ada"}']
    assert why.strip() == "after 12 attempts: ValueError: no such printer"
    assert second.split()[1:3] == ["due", "a.waits"]

    dead = first.split()[0]
    assert await pullse_on("jobs", "--retry", dead) == f"Job {dead} is due now."
    assert "dead" not in await pullse_on("jobs")


@pytest.mark.parametrize("job", ["404", "99999999999999999999"])
async def test_a_job_that_is_not_there_is_not_retried(pullse_on: On, job: str) -> None:
    said = await pullse_on("jobs", "--retry", job, code=None)
    assert "There is no waiting or dead job" in said or "is not in the range" in said


async def execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(sql)
    await connection.close()


# -- trouble is a sentence --


def test_wrong_settings_are_all_named_at_once(pullse: Pullse) -> None:
    done = pullse("dev", PORT="http", PULLSE_LOG_LEVEL="LOUD", PULLSE_COLOUR="blue")
    assert done.exit_code == 1
    for name in ("PORT", "PULLSE_LOG_LEVEL", "PULLSE_COLOUR"):
        assert f"\n  {name}: " in done.output


def test_serve_does_not_start_without_a_token(pullse: Pullse) -> None:
    done = pullse("serve", "--port", "0")
    assert done.exit_code == 1
    assert "Set PULLSE_API_TOKEN" in done.output


def test_the_token_that_is_proposed_would_do(pullse: Pullse) -> None:
    first, second = (pullse("serve").output.split()[-1] for _ in range(2))
    assert first != second
    assert "PULLSE_API_TOKEN" not in pullse("serve", "--host", "no.such.host.invalid",
                                            PULLSE_API_TOKEN=first).output  # fmt: skip


def test_a_host_that_is_none_is_refused(pullse: Pullse) -> None:
    done = pullse("serve", "--host", "no.such.host.invalid", PULLSE_API_TOKEN="x" * 20)
    assert done.exit_code == 1
    assert "no.such.host.invalid can't be used" in done.output
    assert "Unknown error" not in done.output


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.5", "evil.example", "127.0.0.1.evil.example", "", "*"]
)
def test_dev_binds_loopback_addresses_alone(pullse: Pullse, host: str) -> None:
    done = pullse("dev", "--host", host)
    assert done.exit_code == 1
    assert "loopback addresses only" in done.output


def test_a_database_that_is_not_there_is_told(pullse: Pullse) -> None:
    for command in ("dev", "migrate", "events", "jobs", "demo", "work"):
        done = pullse(command, DATABASE_URL="postgresql://me:hush@127.0.0.1:1/x", PORT="0")
        assert done.exit_code == 1
        assert "can't be reached" in done.output
        assert "hush" not in done.output


def test_a_folder_that_can_not_be_used_is_told(pullse: Pullse, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for command in ("migrate", "jobs", "work"):
        done = pullse(command, "--data-dir", file / "under")
        assert done.exit_code == 1
        assert "choose another folder with --data-dir" in done.output


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none_is_refused(pullse: Pullse, port: str) -> None:
    assert pullse("dev", "--port", port).exit_code == 2
