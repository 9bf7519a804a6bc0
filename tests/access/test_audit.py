"""The chain of the audit trail: it is whole under concurrent writers, and shows all tampering."""

import asyncio
import hashlib
import json
import random
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from pullse.kit import audit
from pullse.kit.audit import ZERO, Entry, Verdict
from pullse.kit.db import Database
from pullse.kit.events import Actor

ADA = Actor("agent:ada", "request-1", address="203.0.113.7")
DAYS = 4
ROWS = 5


async def record(database: Database, name: str = "token.created", **data: Any) -> None:
    async with database.transaction() as db:
        await audit.record(db, name, by=ADA, data=data)


async def entries(database: Database) -> list[Entry]:
    async with database.session() as db:
        return [entry async for entry in audit.entries(db)]


async def verify(database: Database, expected: bytes | None = None) -> Verdict:
    async with database.session() as db:
        return await audit.verify(db, expected=expected)


async def tamper(database: Database, sql: str, *args: object) -> None:
    async with database.session() as db:
        assert await db.run(sql, *args)


@pytest.fixture
async def days(database: Database) -> list[Entry]:
    """2026-01-01 to 2026-01-04 with rows 1 to 5 each, chained as `record` does."""
    previous = ZERO
    async with database.transaction() as db:
        for day in range(1, DAYS + 1):
            for number in range(1, ROWS + 1):
                await db.run(
                    """
                    INSERT INTO audit
                           (day, number, at, name, actor, address, request_id, data, hash)
                    VALUES (make_date(2026, 1, $1::int), $2::int,
                            make_timestamptz(2026, 1, $1, $2, 0, 0.25),
                            'token.created', 'token', '203.0.113.7', 'request',
                            jsonb_build_object('n', $2), '')
                    """,
                    day,
                    number,
                )
                entry = [each async for each in audit.entries(db)][-1]
                previous = audit.digest(previous, entry)
                await db.run(
                    "UPDATE audit SET hash = $1 WHERE (day, number) = ($2, $3)",
                    previous,
                    entry.day,
                    entry.number,
                )
    return await entries(database)


async def test_a_row_says_who_did_what_from_where(database: Database) -> None:
    await record(database, token_id=UUID(int=1), scopes=["tickets:read"])

    (entry,) = await entries(database)

    assert (entry.number, entry.name, entry.actor) == (1, "token.created", "agent:ada")
    assert (entry.address, entry.request_id) == ("203.0.113.7", "request-1")
    assert json.loads(entry.data) == {"token_id": str(UUID(int=1)), "scopes": ["tickets:read"]}
    assert entry.day == entry.at.date()


async def test_the_hash_is_what_the_documents_say(database: Database) -> None:
    await record(database, b="é", a={"d": 1, "c": None})
    await record(database)

    first, second = await entries(database)

    at = first.at.isoformat(timespec="microseconds")
    text = (
        '{"actor":"agent:ada","address":"203.0.113.7",'
        f'"at":"{at}","data":{{"a":{{"c":null,"d":1}},"b":"é"}},"day":"{first.day}",'
        '"name":"token.created","number":1,"request_id":"request-1"}'
    )
    assert first.hash == hashlib.sha256(bytes(32) + text.encode()).digest()
    assert second.hash == audit.digest(first.hash, second)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"n": [0, -1, 2**53, 10**18, 1.5, 1e100, 1e-9, True, None]},
        {"": "", "é": "\u2028\U0001f3a8\n\t\"\\'"},
        {"deep": {"b": [{"z": 1, "a": 2}], "a": {}}},
    ],
    ids=str,
)
async def test_whatever_the_data_an_honest_row_verifies(
    database: Database, data: dict[str, Any]
) -> None:
    await record(database, x=data)
    await record(database)

    verdict = await verify(database)

    assert (verdict.count, verdict.findings) == (2, [])


async def test_nothing_verifies_too(database: Database) -> None:
    assert await verify(database) == Verdict(0, ZERO, [])
    assert (await verify(database, ZERO)).findings == []


async def test_writers_at_once_make_one_chain(database: Database) -> None:
    async def write(number: int) -> None:
        async with database.transaction() as db:
            await db.run("SELECT pg_sleep($1)", random.random() / 50)
            await audit.record(db, "token.created", by=ADA, data={"n": number})
            if number % 5 == 0:
                raise ZeroDivisionError

    done = await asyncio.gather(*(write(n) for n in range(60)), return_exceptions=True)

    kept = [entry.number for entry in await entries(database)]
    assert len([each for each in done if each is None]) == 48
    assert kept == list(range(1, 49))
    assert (await verify(database)).findings == []


async def test_while_rows_are_written_the_chain_verifies(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "PORTION", 3)
    writing = asyncio.gather(*(record(database, n=n) for n in range(60)))
    while not writing.done():
        assert (await verify(database)).findings == []
    await writing
    assert (await verify(database)).count == 60


async def test_a_clock_that_goes_back_does_not_break_the_order(database: Database) -> None:
    await record(database)
    (entry,) = await entries(database)
    later = entry.day.replace(year=entry.day.year + 1)
    moved = replace(entry, day=later)
    await tamper(database, "UPDATE audit SET day = $1, hash = $2", later, audit.digest(ZERO, moved))

    await record(database)

    assert [(each.day, each.number) for each in await entries(database)] == [(later, 1), (later, 2)]
    assert (await verify(database)).findings == []


async def test_days_chain(database: Database, days: list[Entry]) -> None:
    await record(database)

    newest = (await entries(database))[-1]
    assert newest.number == 1
    assert newest.hash == audit.digest(days[-1].hash, newest)
    verdict = await verify(database)
    assert (verdict.count, verdict.newest, verdict.findings) == (21, newest.hash, [])


@pytest.mark.parametrize("portion", [1, 2, 5, 7, 1000])
async def test_portions_do_not_matter(
    database: Database, days: list[Entry], monkeypatch: pytest.MonkeyPatch, portion: int
) -> None:
    monkeypatch.setattr(audit, "PORTION", portion)
    assert (await verify(database)).count == DAYS * ROWS
    await tamper(database, "DELETE FROM audit WHERE (day, number) = ('2026-01-02', 3)")
    (finding,) = (await verify(database)).findings
    assert finding.place == "2026-01-02.4"


EDITS = [
    "at = at + interval '1 microsecond'",
    "name = 'token.revoked'",
    "actor = 'agent:eve'",
    "address = '203.0.113.8'",
    "address = NULL",
    "request_id = 'another'",
    "request_id = NULL",
    "data = '{\"n\": 9}'",
    "data = '{}'",
    "data = data || '{\"m\": null}'",
    "data = ('[' || repeat('9', 5000) || ']')::jsonb",
    "data = (repeat('[', 5000) || repeat(']', 5000))::jsonb",
    "at = 'infinity'",
]


@pytest.mark.parametrize("number", [1, 3, 5])
@pytest.mark.parametrize("edit", EDITS)
async def test_an_edited_row_is_named(
    database: Database, days: list[Entry], edit: str, number: int
) -> None:
    await tamper(
        database, f"UPDATE audit SET {edit} WHERE (day, number) = ('2026-01-02', {number})"
    )

    (finding,) = (await verify(database)).findings

    if "infinity" in edit:
        assert finding.place == "days"
    else:
        assert finding.place == f"2026-01-02.{number}"
        assert "edited" in finding.text


@pytest.mark.parametrize("number", [1, 3, 5])
@pytest.mark.parametrize("hash_", ["", "\\x00", "hash of another"])
async def test_another_hash_shows_at_the_row(
    database: Database, days: list[Entry], number: int, hash_: str
) -> None:
    await tamper(
        database,
        "UPDATE audit SET hash = $1 WHERE (day, number) = ('2026-01-02', $2)",
        hash_.encode(),
        number,
    )

    places = [finding.place for finding in (await verify(database)).findings]

    following = f"2026-01-02.{number + 1}" if number < ROWS else "2026-01-03.1"
    assert places == [f"2026-01-02.{number}", following]


@pytest.mark.parametrize("number", [1, 3, 5])
async def test_an_edit_with_a_hash_that_fits_shows_at_the_next_row(
    database: Database, days: list[Entry], number: int
) -> None:
    place = next(i for i, each in enumerate(days) if each.place == f"2026-01-02.{number}")
    forged = replace(days[place], actor="agent:eve")
    await tamper(
        database,
        "UPDATE audit SET actor = 'agent:eve', hash = $1 WHERE (day, number) = ($2, $3)",
        audit.digest(days[place - 1].hash, forged),
        forged.day,
        forged.number,
    )

    (finding,) = (await verify(database)).findings

    assert finding.place == days[place + 1].place
    assert "row" in finding.text


REMOVALS = {
    # what is removed: where it is found, and what is said
    "(day, number) = ('2026-01-01', 1)": ("2026-01-01.2", "row 1 is missing"),
    "(day, number) = ('2026-01-02', 1)": ("2026-01-02.2", "row 1 is missing"),
    "(day, number) = ('2026-01-02', 3)": ("2026-01-02.4", "row 3 is missing"),
    "day = '2026-01-02' AND number IN (2, 3)": ("2026-01-02.4", "rows 2 to 3 are missing"),
    "(day, number) = ('2026-01-02', 5)": ("2026-01-03.1", "what followed 2026-01-02.4 was removed"),
    "day = '2026-01-02' AND number > 1": ("2026-01-03.1", "what followed 2026-01-02.1 was removed"),
    "day = '2026-01-02'": ("2026-01-03.1", "what followed 2026-01-01.5 was removed"),
    "day IN ('2026-01-02', '2026-01-03')": ("2026-01-04.1", "what followed 2026-01-01.5"),
    "day = '2026-01-01'": ("2026-01-02.1", "all days before it were removed"),
    "day < '2026-01-04'": ("2026-01-04.1", "all days before it were removed"),
}


@pytest.mark.parametrize("removed", REMOVALS)
async def test_removed_rows_are_missed(database: Database, days: list[Entry], removed: str) -> None:
    await tamper(database, f"DELETE FROM audit WHERE {removed}")

    (finding,) = (await verify(database)).findings

    place, text = REMOVALS[removed]
    assert finding.place == place
    assert text in finding.text


@pytest.mark.parametrize("columns", ["actor", "data, at", "data, at, hash"])
async def test_swapped_rows_are_found(database: Database, days: list[Entry], columns: str) -> None:
    await tamper(database, "UPDATE audit SET actor = 'agent:' || number")
    previous = ZERO
    for entry in await entries(database):
        previous = audit.digest(previous, entry)
        await tamper(
            database,
            "UPDATE audit SET hash = $1 WHERE (day, number) = ($2, $3)",
            previous,
            entry.day,
            entry.number,
        )
    assert (await verify(database)).findings == []
    others = ", ".join(f"other.{each}" for each in columns.split(", "))
    await tamper(
        database,
        f"UPDATE audit SET ({columns}) = ROW({others}) FROM audit AS other"
        " WHERE audit.day = '2026-01-02' AND other.day = audit.day"
        " AND (audit.number, other.number) IN ((2, 3), (3, 2))",
    )

    places = [finding.place for finding in (await verify(database)).findings]

    assert places[:2] == ["2026-01-02.2", "2026-01-02.3"]


@pytest.mark.parametrize(
    ("day", "number", "place"),
    [
        ("2026-01-02", 0, "2026-01-02.0"),
        ("2026-01-02", -3, "2026-01-02.-3"),
        ("2026-01-04", 6, "2026-01-04.6"),
        ("2026-01-04", 9, "2026-01-04.9"),
        ("2026-01-05", 1, "2026-01-05.1"),
        ("2025-12-31", 1, "2025-12-31.1"),
        ("0044-03-15 BC", 1, "days"),
        ("-infinity", 1, "days"),
    ],
)
async def test_a_row_put_in_is_found(
    database: Database, days: list[Entry], day: str, number: int, place: str
) -> None:
    await tamper(
        database,
        "INSERT INTO audit (day, number, at, name, actor, hash)"
        f" VALUES ('{day}', {number}, now(), 'token.created', 'token', sha256(''))",
    )

    findings = (await verify(database)).findings

    assert findings[0].place == place


async def test_a_cut_end_shows_only_to_who_kept_a_hash(
    database: Database, days: list[Entry]
) -> None:
    kept = (await verify(database)).newest
    await record(database)
    assert (await verify(database, kept)).findings == []
    await tamper(database, "DELETE FROM audit WHERE day >= '2026-01-04'")

    assert (await verify(database)).findings == []
    (finding,) = (await verify(database, kept)).findings

    assert finding.place == "end"
    await tamper(database, "DELETE FROM audit")
    assert [each.place for each in (await verify(database, kept)).findings] == ["end"]


async def test_a_trail_without_end_of_flaws_is_cut_short(
    database: Database, days: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "FINDINGS_AT_MOST", 3)
    await tamper(database, "UPDATE audit SET actor = 'agent:eve'")
    assert len((await verify(database)).findings) == 3
