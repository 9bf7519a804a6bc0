"""The doctor: all well where it is, and each trouble told with what to do, and without secrets."""

import base64
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pullse.operations import database_checks, doctor, health, state
from pullse.operations.doctor import Finding
from pullse.operations.findings import secrets, without_secrets
from pullse.settings import Ably, Settings
from tests.operations.conftest import Kept
from tests.operations.servers import (
    PASSWORD,
    Pooler,
    Product,
    Server,
    free_port,
    open_folder,
    pullse,
)
from tests.standins.http import Request, Response, serve
from tests.standins.process import Ably as AblyStandIn

KEY = "app.key:a-very-secret-word"
SERVICE_KEY = "sb_secret_0123456789abcdef"


async def examined(settings: Settings) -> dict[str, Finding]:
    """By what was looked at; whatever is found, no secret is in it."""
    found = await doctor.examine(settings)
    said = " ".join(f"{each.text} {each.remedy}" for each in found)
    assert PASSWORD not in said
    for secret in secrets(settings):
        assert secret not in said
    for each in found:
        assert each.is_well or each.remedy, each
    assert len({each.what for each in found}) == len(found)
    return {each.what: each for each in found}


def bad(found: dict[str, Finding]) -> set[str]:
    return {what for what, finding in found.items() if not finding.is_well}


@pytest.fixture
async def kept(server: Server, name: str) -> Kept:
    made = Kept(server.url(name))
    await made.prepare()
    return made


# The whole


async def test_all_is_well_with_a_database_of_others(kept: Kept) -> None:
    found = await examined(kept.settings)
    assert bad(found) == set()
    assert found["version"].text.startswith("PostgreSQL 15.")
    assert re.fullmatch(r"all \d+ have run", found["migrations"].text)
    assert "TLSv1" in found["encryption"].text


def test_it_works_beside_a_running_pullse_and_without_one() -> None:
    with open_folder() as folder:
        data = ("--data-dir", str(folder / "data"))
        with Product(folder, "dev", "--port", "0", *data):
            status, beside = pullse(folder, "doctor", *data)
            assert status == 0, beside
            assert "the running pullse's" in beside
            assert "1 run" in beside
        status, alone = pullse(folder, "doctor", *data)
        assert status == 0, alone
        assert "embedded PostgreSQL 18" in alone
        assert "GiB free" in alone
        assert "BAD" not in beside + alone


def test_what_is_bad_makes_the_command_fail_and_says_what_to_do(tmp_path: Path) -> None:
    url = f"postgresql://someone:{KEY[8:]}@127.0.0.1:{free_port()}/d"
    status, said = pullse(tmp_path, "doctor", DATABASE_URL=url)
    assert status == 1
    assert re.search(
        r"BAD  database: .* can't be reached .*\n       → See that the server runs", said
    )
    assert KEY[8:] not in said


# The database


@pytest.mark.parametrize(
    ("number", "is_well"), [(130012, False), (140019, False), (150000, True), (190001, True)]
)
def test_a_server_too_old_is_told(number: int, is_well: bool) -> None:
    found = database_checks.version(number)
    assert found.is_well is is_well
    if not is_well:
        assert "needs 15 or newer" in found.text
        assert "Upgrade the server" in found.remedy


async def test_a_pending_migration_is_told(kept: Kept) -> None:
    await kept.value("DELETE FROM migrations WHERE name LIKE '0003%'")
    found = await examined(kept.settings)
    assert bad(found) == {"migrations"}
    assert "0003_tickets" in found["migrations"].text
    assert "pullse migrate" in found["migrations"].remedy


async def test_an_empty_database_is_well(server: Server, name: str) -> None:
    found = await examined(Settings(database_url=server.url(name)))
    assert bad(found) == set()
    assert "none has run yet" in found["migrations"].text


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            "UPDATE migrations SET checksum = 'x' WHERE name LIKE '0001%'",
            "was changed after it ran",
        ),
        ("INSERT INTO migrations VALUES ('9999_later', 'x')", "made by a newer pullse"),
    ],
)
async def test_migrations_of_another_release_are_told(kept: Kept, change: str, told: str) -> None:
    await kept.value(change)
    found = await examined(kept.settings)
    assert bad(found) == {"migrations"}
    assert told in found["migrations"].text


@pytest.mark.parametrize("trouble", ["password", "database", "host", "port", "authority", "option"])
async def test_why_it_cannot_be_reached_is_told(server: Server, name: str, trouble: str) -> None:
    right = server.url(name)
    url, told = {
        "password": (right.replace(":p%3Aa", ":wrong-secret"), "password or the user is wrong"),
        "database": (server.url("nosuch"), "no such database"),
        "host": (right.replace("localhost", "no-such-host.invalid"), "can't be reached"),
        "port": (right.replace(str(server.port), str(free_port())), "can't be reached"),
        "authority": (
            server.url(name, sslmode="verify-full", sslrootcert=str(server.stranger)),
            "certificate can't be trusted",
        ),
        "option": (server.url(name, channel_binding="require"), "doesn't know an option"),
    }[trouble]
    found = await examined(Settings(database_url=url))
    assert bad(found) == {"database"}
    assert told in found["database"].text


async def test_a_database_that_is_not_utf8_is_told(server: Server) -> None:
    server.sql("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0 OWNER plain")
    try:
        found = await examined(Settings(database_url=server.url("latin")))
        assert bad(found) == {"encoding"}
        assert "ENCODING 'UTF8'" in found["encoding"].remedy
    finally:
        server.sql("DROP DATABASE latin")


async def test_missing_rights_are_told(server: Server, name: str) -> None:
    server.sql(f"ALTER DATABASE {name} OWNER TO postgres")
    found = await examined(Settings(database_url=server.url(name)))
    assert bad(found) == {"rights"}
    assert f'ALTER DATABASE "{name}" OWNER TO "plain"' in found["rights"].remedy


async def test_a_read_only_server_and_lost_durability_are_told(server: Server, name: str) -> None:
    server.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    server.sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
    found = await examined(Settings(database_url=server.url(name)))
    assert bad(found) == {"rights", "durability"}
    assert "primary" in found["rights"].remedy
    assert "synchronous_commit = on" in found["durability"].remedy


async def test_a_pool_that_does_not_fit_is_told(kept: Kept) -> None:
    found = await examined(replace(kept.settings, pool_size=400))
    assert bad(found) == {"connections"}
    assert "PULLSE_POOL_SIZE" in found["connections"].remedy


async def test_dead_jobs_and_a_reader_in_trouble_are_told(kept: Kept) -> None:
    await kept.value("INSERT INTO jobs (name, dead_at, error) VALUES ('a', now(), 'no')")
    await kept.value("INSERT INTO readers (name, error) VALUES ('ably', 'Ably refuses the key')")
    found = await examined(replace(kept.settings, ably=Ably(KEY, "127.0.0.1", free_port(), False)))
    assert bad(found) == {"jobs", "delivery to ably", "Ably"}
    assert "pullse jobs --retry" in found["jobs"].remedy
    assert "Ably refuses the key; 0 facts wait" in found["delivery to ably"].text


def test_history_that_is_read_once_is_no_trouble_while_it_is() -> None:
    first = health.Waiting("insight.first", None, 9000, 90_000)
    assert database_checks.delivery(first, True, has_ably=False).is_well
    broken = health.Waiting("insight.first", "no way", 9000, 90_000)
    assert not database_checks.delivery(broken, True, has_ably=False).is_well
    assert state.at_work(["relay", "insight"]) == ["relay", "insight", "insight.first"]
    assert state.at_work(["relay"]) == ["relay"]


def test_facts_that_wait_for_long_are_a_trouble_only_when_someone_should_deliver() -> None:
    late = health.Waiting("ably", None, 12, 600)
    assert not database_checks.delivery(late, True, has_ably=True).is_well
    assert database_checks.delivery(late, False, has_ably=True).remedy.startswith("Start pullse")
    assert database_checks.delivery(late, True, has_ably=False).is_well


# Poolers


async def test_a_pooler_that_is_set_up_well_is_well(
    server: Server, pooler: Pooler, name: str
) -> None:
    await Kept(server.url(name)).prepare()
    way = Settings(database_url=pooler.url(name), database_direct_url=server.url(name))
    found = await examined(way)
    assert bad(found) == set()
    assert "sessions of its own" in found["pooler"].text


async def test_a_direct_url_that_leads_to_a_pooler_is_told(pooler: Pooler, name: str) -> None:
    undeclared = pooler.url(name, "")
    found = await examined(Settings(database_url=pooler.url(name), database_direct_url=undeclared))
    assert bad(found) == {"pooler"}
    assert "transaction pooler" in found["pooler"].text


async def test_a_pooler_that_nobody_told_of_is_told(pooler: Pooler, name: str) -> None:
    found = await examined(Settings(database_url=pooler.url(name, "")))
    assert bad(found) == {"database"}
    assert "A transaction pooler answers there" in found["database"].text
    assert "pgbouncer=true" in found["database"].remedy


async def test_a_direct_url_to_another_database_is_told(
    server: Server, pooler: Pooler, name: str
) -> None:
    other = server.create("another")
    try:
        way = Settings(database_url=pooler.url(name), database_direct_url=server.url(other))
        found = await examined(way)
        assert bad(found) == {"pooler"}
        assert "two different databases" in found["pooler"].text
    finally:
        server.sql("DROP DATABASE another WITH (FORCE)")


# Ably


@pytest.fixture(scope="module")
def ably() -> AsyncIterator[AblyStandIn]:
    with open_folder() as folder, AblyStandIn(folder, key=KEY) as running:
        yield running


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        ("", "takes the key app.key to publish"),
        ("wrong secret", "Ably refuses the key"),
        ("no capability", "may not publish on tickets-updates"),
        ("no network", "can't be reached"),
        ("form", "does not look like app.key:secret"),
    ],
)
async def test_the_key_of_ably(kept: Kept, ably: AblyStandIn, trouble: str, told: str) -> None:
    given = Ably(KEY, "127.0.0.1", ably.port, tls=False)
    if trouble == "wrong secret":
        given = replace(given, key="app.key:another-secret")
    elif trouble == "no network":
        given = replace(given, port=free_port())
    elif trouble == "form":
        given = replace(given, key="what-is-this-key")
    allowed = ["subscribe"] if trouble == "no capability" else ["*"]
    ably.set_capability({"*": allowed})
    found = [
        without_secrets(each, Settings(ably=given))
        for each in await doctor.outside_checks.ably(replace(kept.settings, ably=given))
    ]
    assert told in " ".join(each.text for each in found)
    assert all(each.is_well for each in found) is (trouble == "")
    assert all(
        given.key.partition(":")[2] not in f"{each.text}{each.remedy}" or trouble == "form"
        for each in found
    )


# Supabase


@asynccontextmanager
async def supabase(status: int = 200) -> AsyncIterator[tuple[str, list[Request]]]:
    """Of its Auth service, the call that is for a service alone."""
    seen: list[Request] = []

    async def handle(request: Request) -> Response:
        seen.append(request)
        is_right = request.headers.get("apikey") == SERVICE_KEY
        return Response(status if is_right else 401, "application/json", b'{"users":[]}')

    port = free_port()
    async with await serve(handle, port):
        yield f"http://127.0.0.1:{port}", seen


async def asked_of(url: str | None, key: str | None) -> Finding:
    settings = Settings(supabase_url=url, supabase_service_key=key)
    (found,) = await doctor.outside_checks.supabase(settings)
    assert not key or key not in found.text + found.remedy
    assert found.is_well or found.remedy
    return found


async def test_the_right_key_of_supabase_is_well() -> None:
    async with supabase() as (url, seen):
        assert (await asked_of(url, SERVICE_KEY)).is_well
    assert [request.path for request in seen] == ["/auth/v1/admin/users"]


async def test_a_wrong_key_of_supabase_is_told() -> None:
    async with supabase() as (url, _):
        found = await asked_of(url, "sb_secret_of_another")
    assert not found.is_well
    assert "refuses the key (401)" in found.text


async def test_a_project_that_answers_strangely_or_not_is_told() -> None:
    async with supabase(540) as (url, _):
        assert "answers 540" in (await asked_of(url, SERVICE_KEY)).text
    assert "can't be reached" in (await asked_of(url, SERVICE_KEY)).text


async def test_a_key_without_url_and_the_other_way_round_is_told() -> None:
    assert "SUPABASE_URL" in (await asked_of(None, SERVICE_KEY)).remedy
    assert "SUPABASE_SERVICE_KEY" in (await asked_of("https://x.supabase.co", None)).remedy
    assert (await asked_of(None, None)).is_well


@pytest.mark.parametrize("role", ["anon", "authenticated", ""])
async def test_a_public_key_is_told_without_asking(role: str) -> None:
    payload = base64.urlsafe_b64encode(json.dumps({"role": role}).encode()).decode().rstrip("=")
    key = f"eyJhbGciOiJIUzI1NiJ9.{payload}.c2lnbmF0dXJl" if role else "sb_publishable_abc"
    async with supabase() as (url, seen):
        found = await asked_of(url, key)
    assert (found.is_well, seen) == (False, [])


# Secrets


def test_a_secret_in_what_others_say_is_taken_out() -> None:
    url = (
        f"postgresql://u:{PASSWORD.replace('/', '%2F').replace('?', '%3F').replace(' ', '%20')}@h/d"
    )
    settings = Settings(database_url=url, ably=Ably(KEY), supabase_service_key=SERVICE_KEY)
    for secret in (KEY, KEY.partition(":")[2], SERVICE_KEY):
        told = without_secrets(Finding("x", False, f"said {secret}!", f"do {secret}"), settings)
        assert secret not in told.text + told.remedy
