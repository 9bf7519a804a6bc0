"""How pullse is, by API and by page: what the doctor finds, and that nothing waits for it long."""

import asyncio
import threading
import time
from dataclasses import replace
from datetime import datetime
from typing import Any

import httpx
import pytest

from pullse import app
from pullse.kit import audit, migrate
from pullse.kit.aside import aside
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.kit.events import OPERATOR
from pullse.operations import checkup, doctor
from pullse.operations.checkup import Checkup, Looks
from pullse.operations.findings import Finding
from pullse.operations.pages import operations as operations_page
from pullse.providers import Provider
from pullse.settings import Settings
from pullse.store import Store
from tests.access.conftest import finder, provider, served
from tests.access.people import run
from tests.access.sign_in import hire_with_password
from tests.api.calls import get
from tests.standins.oidc import Provider as StandIn
from tests.web.visiting import parsed, sign_in, visitor

__all__ = ["finder", "provider", "served"]

STORE = Store("postgresql://localhost/nothing", "a database")


async def fine() -> list[Finding]:
    return [Finding("fine", True, "as it should be")]


async def bad() -> list[Finding]:
    return [Finding("bad", False, "as it should not be", "Do something.")]


async def broken() -> list[Finding]:
    raise ZeroDivisionError


def with_looks(**looks: Any) -> Checkup:
    found: Looks = looks
    return Checkup(Settings(), STORE, found)


# The checkup


async def test_it_reports_what_was_found_in_its_order_and_survives_a_bug() -> None:
    report = await with_looks(bad=bad, broken=broken, fine=fine).report()
    assert [each.what for each in report.findings] == ["bad", "broken", "fine"]
    assert [each.is_well for each in report.findings] == [False, False, True]
    assert report.missing == []
    assert not report.is_well
    assert (await with_looks(fine=fine).report()).is_well


async def test_many_who_ask_at_once_are_told_of_one_round() -> None:
    rounds = 0

    async def counted() -> list[Finding]:
        nonlocal rounds
        rounds += 1
        return await fine()

    made = with_looks(counted=counted)
    reports = await asyncio.gather(*(made.report() for _ in range(20)))
    assert rounds == 1
    assert len({each.at for each in reports}) == 1
    await made.report()
    assert rounds == 1


async def test_what_is_old_is_looked_at_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "FRESH", -1)
    made = with_looks(fine=fine)
    first, second = await made.report(), await made.report()
    assert first.at < second.at


async def test_what_hangs_is_named_and_the_rest_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it blocks the thread: no loop of ours waits for it."""
    monkeypatch.setattr(checkup, "PATIENCE", 0.2)
    monkeypatch.setattr(checkup, "SHORT", 0.01)
    release = threading.Event()

    async def hangs() -> list[Finding]:
        release.wait()
        return await fine()

    made = with_looks(fine=fine, hangs=hangs)
    before = threading.active_count()
    for _ in range(3):
        report = await made.report()
        assert [each.what for each in report.findings] == ["fine"]
        assert report.missing == ["hangs"]
        assert not report.is_well
    assert threading.active_count() <= before + 1
    release.set()
    for _ in range(500):
        report = await made.report()
        if not report.missing:
            break
    assert report.is_well


async def test_no_more_than_a_few_rounds_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "PATIENCE", 0.02)
    monkeypatch.setattr(checkup, "SHORT", 0.01)
    monkeypatch.setattr(checkup, "STUCK", 0)
    release = threading.Event()
    begun = 0

    async def hangs() -> list[Finding]:
        nonlocal begun
        begun += 1
        release.wait()
        return []

    made = with_looks(hangs=hangs)
    for _ in range(10):
        assert (await made.report()).missing == ["hangs"]
    release.set()
    assert begun == 1 + checkup.STUCK_AT_MOST


async def test_work_aside_returns_raises_and_is_left_alone() -> None:
    assert await aside(lambda: 5) == 5
    with pytest.raises(ZeroDivisionError):
        await aside(lambda: 1 // 0)
    release = threading.Event()
    task = asyncio.create_task(aside(release.wait))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    release.set()


def test_work_aside_that_outlives_its_loop_holds_nobody_up() -> None:
    release = threading.Event()

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await aside(release.wait)

    began = time.monotonic()
    asyncio.run(give_up())
    assert time.monotonic() - began < 60
    release.set()


# The doctor's look at those by whom people sign in


async def test_the_doctor_asks_each_provider_who_it_is(provider: StandIn) -> None:
    good = Provider("corp", "Corp", provider.issuer, "pullse", "a very secret word")
    lost = replace(good, name="lost", issuer="http://127.0.0.1:9/nothing")
    settings = Settings(oidc=(good, lost))
    found = await doctor.parts(settings, Checkup(settings, STORE)._open)["single sign-on"]()
    assert [(each.what, each.is_well) for each in found] == [
        ("sign-in by corp", True),
        ("sign-in by lost", False),
    ]
    assert found[1].remedy
    assert "a very secret word" not in str(found)


# By API and by page


async def test_the_state_is_told(client: httpx.AsyncClient, database: Database) -> None:
    await run(database, "INSERT INTO readers (name, error) VALUES ('relay', 'no way')")
    await run(database, "INSERT INTO readers (name) VALUES ('gone')")
    async with database.transaction() as db:
        await audit.record(db, "backup.made", by=OPERATOR, data={"bytes": 5})
    found = await get(client, "/api/operations")
    names = [each.name for each in migrate.available()]
    assert found["schema"] == {"applied": len(names), "newest": names[-1], "pending": []}
    assert found["realtime"]["provider"] == "pullse"
    assert [(each["name"], each["is_at_work"]) for each in found["readers"]] == [
        ("gone", False),
        ("relay", True),
    ]
    assert found["readers"][1]["error"] == "no way"
    assert datetime.fromisoformat(found["last_backup_at"])
    findings = {each["what"]: each for each in found["checkup"]["findings"]}
    assert findings["database"]["is_well"]
    assert findings["migrations"]["text"].endswith("have run")
    assert not findings["durability"]["is_well"]  # databases of tests don't wait for the disk
    assert findings["delivery to relay"]["remedy"]
    assert found["checkup"]["missing"] == []
    assert "password" not in str(found)


async def test_an_admin_sees_what_is_wrong_and_what_to_do(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada", "admin")
    served.services = replace(served.services, checkup=with_looks(bad=bad, fine=fine))
    async with visitor(served) as client:
        await sign_in(client)
        text = " ".join(parsed(await client.get("/operations")).text.split())
        assert "One thing is not as it should be." in text
        assert "Do something." in text
        looked = text.partition("What was looked at")[2]
        assert looked.index("as it should not be") < looked.index("as it should be")
        assert "None that pullse backup has made" in text
        assert "Not served by this process" in text


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ["Jobs relay", "Numbers of Insight, for the first time insight.first"]),
        ("de", ["Aufgaben relay", "Zahlen der Auswertung, zum ersten Mal insight.first"]),
    ],
)
async def test_readers_of_facts_have_names_in_words(
    language: str, words: list[str], served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada", "admin")
    names = [*operations_page.READERS, "left.over"]
    await run(database, "INSERT INTO readers (name) SELECT unnest($1::text[])", names)
    async with visitor(served, **{"Accept-Language": language}) as client:
        await sign_in(client)
        answer = await client.get("/operations")
    assert answer.status_code == 200
    text = " ".join(parsed(answer).text.split())
    for each in [*words, "left.over"]:
        assert each in text


async def test_the_page_says_what_has_not_answered(
    served: Edge, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkup, "PATIENCE", 0.05)
    await hire_with_password(database, "Ada", "admin")
    release = threading.Event()

    async def hangs() -> list[Finding]:
        release.wait()
        return []

    served.services = replace(served.services, checkup=with_looks(fine=fine, disk=hangs))
    async with visitor(served, **{"Accept-Language": "de"}) as client:
        await sign_in(client)
        text = " ".join(parsed(await client.get("/operations")).text.split())
    release.set()
    assert "Festplatte hat noch nicht geantwortet" in text


async def test_a_checkup_leaves_nothing_behind_in_the_database(database: Database) -> None:
    """Its connections are outside the pool, and end with it."""
    made = Checkup(Settings(), Store(database.address.url, "the database of a test"))
    report = await made.report()
    assert report.missing == []
    async with database.session() as db:
        for _ in range(200):
            others = await db.value(
                """
                SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()
                   AND backend_type = 'client backend'
                """
            )
            if others <= 8:
                break
            await asyncio.sleep(0.01)
    assert others <= 8


def test_every_part_has_a_name_of_its_own() -> None:
    assert len(app.schedule) > 0
    assert list(doctor.parts(Settings(), Checkup(Settings(), STORE)._open)) == [
        "settings",
        "disk",
        "database",
        "Ably",
        "Supabase",
        "single sign-on",
    ]
