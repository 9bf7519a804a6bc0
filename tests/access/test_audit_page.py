"""The audit trail as a page: in words, by filters, and verified by a button."""

import json
import re
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from pullse.access import audit_api
from pullse.access.audit import NAMES
from pullse.access.audit_words import Named, Names, told
from pullse.access.model import NewToken
from pullse.access.pages import audit as page_of_audit
from pullse.agents.model import Role
from pullse.kit import audit
from pullse.kit.audit import ZERO, Entry
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.kit.events import Actor
from tests.access import people
from tests.access.people import run
from tests.access.sign_in import hire_with_password
from tests.api.calls import problems, refused
from tests.web.visiting import Parsed, parsed, send, sign_in, visitor

ADA = UUID("019aa4ae-4c11-7a3e-9f6b-2d8e7c5a1b04")
BY_ADA = Actor(f"agent:{ADA}", "request-1", address="203.0.113.7")
NAMED = Names({ADA: Named(ADA, "Ada", is_gone=False)}, {})


async def record(database: Database, name: str, /, *, by: Actor = BY_ADA, **data: Any) -> None:
    async with database.transaction() as db:
        await audit.record(db, name, by=by, data=data)


async def filled(database: Database, count: int = 5) -> None:
    for number in range(count):
        await record(database, "team.created", name=f"Team {number}")


async def hashes(database: Database) -> list[str]:
    async with database.session() as db:
        return [entry.hash.hex() async for entry in audit.entries(db)]


def rows(answer: httpx.Response) -> list[str]:
    """What each row says, without its details, in the order of the page."""
    assert answer.status_code == 200, answer.text
    found = re.findall(r'<li class="trail__row".*?<details', answer.text, re.DOTALL)
    return [" ".join(Parsed(each).text.split()) for each in found]


async def test_a_row_says_who_did_what_to_whom(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada", "owner")
    ben = await hire_with_password(database, "Ben")
    async with visitor(served) as client:
        await sign_in(client)
        await send(client, f"/agents/{ben}", {"role": "admin"})
        await send(client, "/teams", {"name": "Billing"})
        answer = await client.get("/audit")
        first, second, third = rows(answer)[:3]
        assert first == "Ada just now Team made: Billing"
        assert second == "Ada just now Role changed: Ben Role: Agent → Admin"
        assert third == "Ada just now Signed in"
        assert f"/agents/{ben}" in [each["href"] for each in parsed(answer).all("a")]
        assert "192.0.2.1" in parsed(answer).text

        await run(database, "UPDATE agents SET deleted_at = now() WHERE id = $1", ben)
        answer = await client.get("/audit?name=agent.role_changed")
        assert rows(answer) == ["Ada just now Role changed: Ben (gone) Role: Agent → Admin"]
        assert f"/agents/{ben}" not in answer.text


async def test_another_name_and_address_are_told_from_what_to_what(
    served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada", "owner")
    ben = await hire_with_password(database, "Ben")
    fields = {"name": "Ben <B>", "email": "b@example.com", "version": "1"}
    async with visitor(served) as client, visitor(served, **{"Accept-Language": "de"}) as german:
        await sign_in(client)
        await sign_in(german)
        assert (await send(client, f"/agents/{ben}/name", fields)).status_code == 303
        first, second = rows(await client.get("/audit"))[:2]
        assert first == (
            "Ada just now E-mail address changed: Ben <B> "
            "E-mail address: ben@example.org → b@example.com"
        )
        assert second == "Ada just now Name changed: Ben <B> Name: Ben → Ben <B>"
        answer = await german.get("/audit?name=agent.email_changed")
        assert "E-Mail-Adresse: ben@example.org → b@example.com" in rows(answer)[0]
    async with database.session() as db:
        assert (await audit.verify(db)).findings == []


async def test_services_and_commands_are_called_by_what_they_are(
    served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada", "owner")
    await people.made(database, NewToken("Export", [], None, Role.ADMIN))
    async with database.session() as db:
        token = await db.value("SELECT id FROM api_tokens")
    await record(database, "key.revoked", by=Actor("operator"), key="pullse.abc")
    await record(
        database, "access.refused", by=Actor(f"token:{token}"), call="GET /x", permission="p"
    )
    await record(database, "sign_in.failed", by=Actor("anonymous"), agent_id=None, reason="account")
    await record(database, "session.ended", agent_id=str(uuid4()), count=3)
    async with visitor(served, **{"Accept-Language": "de"}) as client:
        await sign_in(client)
        german = rows(await client.get("/audit"))
    assert "Sitzung beendet" in german[1]
    async with visitor(served) as client:
        await sign_in(client)
        found = rows(await client.get("/audit"))[2:]
    assert re.fullmatch(r"agent:\S+ just now Session ended: \S+ \(3\)", found[0])
    assert found[1] == "Somebody unknown just now Sign-in failed no such account"
    assert found[2] == "Export just now Refused: GET /x p"
    assert found[3] == "The operator just now Real-time key revoked: pullse.abc"


@pytest.mark.parametrize("name", NAMES)
async def test_each_kind_of_row_has_words(name: str, served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada", "owner")
    await record(database, name)
    async with visitor(served) as client:
        await sign_in(client)
        (row,) = rows(await client.get("/audit", params={"name": name}))[-1:]
    assert name not in row
    assert "_" not in row


@pytest.mark.parametrize(
    "data",
    [
        "[]",
        '"text"',
        "null",
        "1",
        '{"agent_id": 5, "name": {}, "role": [[], {}], "count": "x", "reason": 3}',
        '{"agent_id": "x", "changes": [1], "role": ["king", null], "name": ["a"]}',
        '{"changes": {"<em>": ["<i>", 1], "role": "x", "state": ["active", "asleep"]}}',
        '{"name": "<script>alert(1)</script>", "count": 1e400, "reason": "state", "email": true}',
        '{"changes": {"a": [1, 2, 3], "b": [], "is_private": [true, "false"]}, "count": true}',
    ],
)
async def test_whatever_stands_in_a_row_is_shown_as_text(
    data: str, served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada", "owner")
    await record(database, "made.up", by=Actor("agent:nobody"))
    await run(database, "UPDATE audit SET data = $1::text::jsonb", data)
    async with visitor(served) as client:
        await sign_in(client)
        answer = await client.get("/audit")
    assert answer.status_code == 200
    assert "made.up" in answer.text
    assert "<script>alert" not in answer.text
    assert "<em>" not in answer.text


def test_data_that_is_no_json_is_shown_too() -> None:
    entry = Entry(date(2026, 11, 22), 1, datetime.now(UTC), "x.y", "\udcff", None, None, "{", ZERO)
    assert told(entry, NAMED).raw == "{}"


# Filters


async def test_filters_are_the_address(served: Edge, database: Database) -> None:
    ada = await hire_with_password(database, "Ada", "owner")
    await filled(database, 2)
    await record(database, "key.revoked", by=Actor("operator"), key="pullse.abc")
    async with visitor(served) as client:
        await sign_in(client)
        form = {"actor": "", "name": "", "since": "", "until": ""}

        async def found(**params: str) -> list[str]:
            return rows(await client.get("/audit", params=form | params))

        assert len(await found()) == 4
        assert len(await found(actor=f"agent:{ADA}")) == 2
        assert len(await found(actor=f"agent:{ada}")) == 1
        assert len(await found(actor="operator")) == 1
        assert len(await found(name="team.created")) == 2
        assert len(await found(name="team.created", actor="operator")) == 0
        today = datetime.now(UTC).date().isoformat()
        assert len(await found(since=today, until=today)) == 4
        assert len(await found(since="2099-01-01")) == 0
        assert len(await found(until="2020-01-01", name="team.created")) == 0
        assert len(await found(until="9999-12-31", since="0001-01-01")) == 4
        page = parsed(await client.get("/audit", params=form | {"actor": f"agent:{ADA}"}))
        (chosen,) = [e for e in page.all("option") if "selected" in e and e["value"]]
        assert chosen["value"] == f"agent:{ADA}"


async def test_what_is_older_is_behind_older(
    served: Edge, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_of_audit, "ON_A_PAGE", 2)
    await hire_with_password(database, "Ada", "owner")
    await filled(database)
    async with visitor(served) as client:
        await sign_in(client)
        for params, wanted in (
            ({}, ["Signed in", *[f"Team {n}" for n in (4, 3, 2, 1, 0)]]),
            ({"name": "team.created"}, [f"Team {n}" for n in (4, 3, 2, 1, 0)]),
            ({"actor": f"agent:{ADA}"}, [f"Team {n}" for n in (4, 3, 2, 1, 0)]),
        ):
            answer = await client.get("/audit", params=params)
            seen = rows(answer)
            while older := [e for e in parsed(answer).all("a") if "before=" in str(e["href"])]:
                answer = await client.get(str(older[0]["href"]))
                seen += rows(answer)
            assert len(seen) == len(wanted)
            assert all(each.endswith(end) for each, end in zip(seen, wanted, strict=True)), seen


@pytest.mark.parametrize(
    "query",
    [
        "since=yesterday",
        "since=2026-02-30",
        "until=20260101",
        "until=2026-W01-1",
        "name=made.up",
        "before=x",
        "before=2026-01-01.x",
        "actor=" + "x" * 201,
        "actor=%00",
        "more=1",
    ],
)
async def test_a_filter_that_does_not_fit_is_refused(
    query: str, served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada", "owner")
    async with visitor(served) as client:
        await sign_in(client)
        answer = await client.get(f"/audit?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.text


async def test_looking_up_costs_by_the_page_and_not_by_the_trail(database: Database) -> None:
    """Each statement reads its index from the end, with whatever filter."""
    async with database.pool.acquire() as connection:
        await connection.execute(
            """
            INSERT INTO audit (day, number, at, name, actor, hash)
                 SELECT '2026-01-01'::date + n / 100, n % 100 + 1, now(),
                        (ARRAY['sign_in.succeeded', 'sign_in.failed'])[1 + (n % 1000 = 0)::int],
                        'agent:' || n % 400, ''
                   FROM generate_series(1, 20000) AS n
            """
        )
        await connection.execute("VACUUM ANALYZE audit")
        for params in ("", "name = 'sign_in.failed' AND", "actor = 'agent:7' AND"):
            column = params.partition(" ")[0]
            order = f"{column} DESC, " if column else ""
            plan = await connection.fetchval(
                f"""
                EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON)
                 SELECT day, number FROM audit
                  WHERE {params} (day, number) < ('2026-06-01', 5) AND day >= '0001-01-01'
               ORDER BY {order}day DESC, number DESC LIMIT 10
                """
            )
            node = json.loads(plan)[0]["Plan"]["Plans"][0]
            assert "Index" in node["Node Type"], params
            assert node["Actual Rows"] + node.get("Rows Removed by Filter", 0) <= 10, params


# Verification


async def test_a_button_says_that_all_is_as_it_was_written(
    served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada", "owner")
    await filled(database)
    kept = (await hashes(database))[2]
    async with visitor(served) as client:
        await sign_in(client)
        answer = await send(client, "/audit/verify", {"expect": kept})
        text = " ".join(parsed(answer).text.split())
        assert answer.status_code == 200
        assert "No row was edited" in text
        assert "all before it is as it was" in text
        assert "Rows6" in text.replace(" ", "")
        assert (await hashes(database))[-1] in text

        await run(database, "UPDATE audit SET name = 'x' WHERE number = 2")
        await run(database, "DELETE FROM audit WHERE number = 6")
        answer = await send(client, "/audit/verify", {"expect": "ab" * 32})
        text = parsed(answer).text
        assert "not as it was written" in text
        assert "it was edited" in text
        assert "no row has the hash that was kept" in text


async def test_a_long_trail_is_verified_in_parts(
    served: Edge, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_api, "VERIFIED_AT_ONCE", 2)
    await hire_with_password(database, "Ada", "owner")
    await filled(database, 4)
    expect = (await hashes(database))[2]
    async with visitor(served) as client:
        await sign_in(client)
        page = parsed(await send(client, "/audit/verify", {"expect": expect}))
        for step in range(2):
            assert "Nothing is wrong so far" in page.text
            fields = {n: page.field(n)["value"] for n in ("after", "hash", "count", "expect")}
            assert fields["count"] == str(2 * step + 2)
            assert fields["expect"] == (expect if step == 0 else "")
            page = parsed(await send(client, "/audit/verify", fields))
        assert "No row was edited" in page.text
        assert (await hashes(database))[-1] in page.text


@pytest.mark.parametrize(
    "fields",
    [
        {"expect": "x"},
        {"expect": "a" * 63},
        {"after": "2026-01-01.1"},
        {"hash": "ab" * 32},
        {"after": "x", "hash": "ab" * 32},
        {"count": "-1"},
        {"all": "yes"},
    ],
    ids=str,
)
async def test_what_can_not_be_verified_is_refused(
    fields: dict[str, str], served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada", "owner")
    async with visitor(served) as client:
        await sign_in(client)
        answer = await send(client, "/audit/verify", fields)
    assert answer.status_code == 400
    assert "<h1>" in answer.text


async def test_verification_by_api_in_parts(
    client: httpx.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_api, "VERIFIED_AT_ONCE", 3)
    await filled(database)
    known = await hashes(database)
    day = datetime.now(UTC).date()
    path = "/api/audit/verification"
    first = (await client.post(path, json={"expect": known[1]})).json()["data"]
    assert first == {
        "is_whole": False,
        "count": 3,
        "cursor": f"{day}.3",
        "hash": known[2],
        "has_expected": True,
        "flaws": [],
    }
    go_on = {"after": first["cursor"], "hash": first["hash"]}
    second = (await client.post(path, json=go_on)).json()["data"]
    assert (second["is_whole"], second["count"], second["hash"]) == (True, 2, known[4])
    await run(database, "DELETE FROM audit WHERE number = 4")
    second = (await client.post(path, json=go_on)).json()["data"]
    assert [each["place"] for each in second["flaws"]] == [f"{day}.5"]
    assert "missing" in second["flaws"][0]["text"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"expect": "x"}, "expect"),
        ({"after": "2026-01-01.1"}, "hash"),
        ({"after": "x", "hash": "ab" * 32}, "after"),
        ({"all": True}, "all"),
    ],
    ids=str,
)
async def test_a_walk_that_can_not_be_is_refused(
    body: Any, field: str, client: httpx.AsyncClient
) -> None:
    answer = await client.post("/api/audit/verification", json=body)
    refused(answer, 400, "invalid")
    assert list(problems(answer)) == [field]
