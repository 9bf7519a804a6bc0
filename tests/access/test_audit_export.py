"""The audit trail as a file: for whom, which rows, in which form, and at what price."""

import csv
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from pullse.access import audit_export
from pullse.access.finder import Finder
from pullse.agents.permissions import ROLES
from pullse.kit import audit
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.kit.events import Actor
from tests.access.people import calling, give, hire, run
from tests.access.sign_in import audited, hire_with_password
from tests.api.calls import get, problems
from tests.conftest import serving
from tests.web.visiting import parsed, send, sign_in, visitor

ADA = Actor("agent:ada", "request-1", address="203.0.113.7")
ALL = {"format": "ndjson"}


async def filled(database: Database, count: int = 7) -> None:
    for number in range(count):
        name, by = (("key.created", ADA), ("key.revoked", Actor("operator")))[number % 2]
        async with database.transaction() as db:
            await audit.record(db, name, by=by, data={"key": f"number {number}", "n": [1, None]})


async def taken(client: httpx.AsyncClient, **asked: Any) -> list[Any]:
    answer = await client.post("/api/audit/export", json=ALL | asked)
    assert answer.status_code == 200, answer.text
    assert answer.text == "" or answer.text.endswith("\n")
    return [json.loads(each) for each in answer.text.splitlines()]


async def everything(client: httpx.AsyncClient) -> list[Any]:
    """As the API lists it, but the newest first."""
    return (await get(client, "/api/audit", limit=200))["records"][::-1]  # type: ignore[no-any-return]


@pytest.mark.parametrize("portion", [1, 2, 3, 8, 500])
async def test_it_has_every_row_once_whatever_the_portions(
    portion: int,
    client: httpx.AsyncClient,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audit_export, "PORTION", portion)
    await filled(database)

    found = await taken(client)

    listed = await everything(client)
    assert [each["cursor"] for each in found] == [each["cursor"] for each in listed]
    assert [each["name"] for each in found[:2]] == ["audit.exported", "key.created"]
    for mine, theirs in zip(found, listed, strict=True):
        assert list(mine) == list(theirs)
        same = ("name", "actor", "address", "request_id", "data", "hash")
        assert {key: mine[key] for key in same} == {key: theirs[key] for key in same}
    for each, text in (({"name": "key.revoked"}, "135"), ({"actor": "agent:ada"}, "0246")):
        rows = await taken(client, **each)
        assert [row["data"]["key"] for row in rows] == [f"number {n}" for n in text[::-1]]


async def test_the_file_alone_shows_that_nothing_was_edited(
    client: httpx.AsyncClient, database: Database
) -> None:
    """As docs/api/audit.md says how a hash is made."""
    await filled(database)
    previous = audit.ZERO
    for row in reversed(await taken(client)):
        day, number = row.pop("cursor").split(".")
        hash_ = bytes.fromhex(row.pop("hash"))
        whole = row | {"day": day, "number": int(number)}
        text = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert audit.hashlib.sha256(previous + text.encode()).digest() == hash_
        previous = hash_


async def test_days_are_both_included(client: httpx.AsyncClient, database: Database) -> None:
    await filled(database, 2)
    today = (await everything(client))[0]["at"][:10]
    assert len(await taken(client, since=today, until=today)) == 3
    assert await taken(client, since="2099-01-01") == []
    assert await taken(client, until="2020-01-01") == []
    assert len(await taken(client, since="0001-01-01", until="9999-12-31")) == 6


async def test_that_it_was_taken_is_audited_with_what_was_asked_for(
    served: Edge, database: Database
) -> None:
    service = await give(database, role="admin")
    async with calling(served, service) as program:
        await taken(program, name="key.created", since="2026-01-01")
    ((actor, data, _),) = await audited(database, "audit.exported")
    assert actor.startswith("token:")
    filters = {"name": "key.created", "since": "2026-01-01"}
    assert json.loads(data) == {"format": "ndjson", "filters": filters}
    async with database.session() as db:
        assert (await audit.verify(db)).findings == []


async def test_a_spreadsheet_runs_nothing_of_it(
    client: httpx.AsyncClient, database: Database
) -> None:
    evil = Actor("=HYPERLINK(1)", "@SUM(1)", address="+1")
    async with database.transaction() as db:
        await audit.record(db, "key.created", by=evil, data={"key": 'a,"b"\n=1'})

    answer = await client.post("/api/audit/export", json={"format": "csv"})

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="pullse-audit.csv"'
    assert answer.content.startswith(b"\xef\xbb\xbf")
    head, newest, row = csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""))
    assert tuple(head) == audit_export.COLUMNS
    assert newest[2] == "audit.exported"
    assert row[2:6] == ["key.created", "'=HYPERLINK(1)", "'+1", "'@SUM(1)"]
    assert json.loads(row[6]) == {"key": 'a,"b"\n=1'}


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"format": "xml"}, "format"),
        ({}, "format"),
        ({"format": "csv", "name": "made.up"}, "name"),
        ({"format": "csv", "actor": "x" * 201}, "actor"),
        ({"format": "csv", "since": "yesterday"}, "since"),
        ({"format": "csv", "until": "2026-02-30"}, "until"),
        ({"format": "csv", "limit": 5}, "limit"),
    ],
)
async def test_what_can_not_be_is_refused_and_not_audited(
    asked: Any, field: str, client: httpx.AsyncClient, database: Database
) -> None:
    answer = await client.post("/api/audit/export", json=asked)
    assert answer.status_code == 400
    assert set(problems(answer)) == {field}
    assert await audited(database, "audit.exported") == []


@pytest.mark.parametrize("role", [role for role in ROLES if "audit:read" not in ROLES[role]])
async def test_it_is_for_who_may_read_the_trail(
    role: str, served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada", role)
    token = await give(database, role=role)
    async with visitor(served) as client, calling(served, token) as program:
        await sign_in(client)
        assert (await send(client, "/audit/export", ALL)).status_code == 403
        answer = await program.post("/api/audit/export", json=ALL)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert await audited(database, "audit.exported") == []


async def test_no_page_of_another_site_makes_one(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada", "owner")
    async with visitor(served) as client:
        await sign_in(client)
        foreign = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
        assert (await send(client, "/audit/export", ALL, **foreign)).status_code == 403
    assert await audited(database, "audit.exported") == []


async def test_the_page_gives_what_its_filters_show(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada", "owner")
    await filled(database)
    async with visitor(served) as client:
        await sign_in(client)
        page = parsed(await client.get("/audit?name=key.revoked"))
        buttons = [each for each in page.all("button") if each.get("name") == "format"]
        assert {each["formaction"] for each in buttons} == {"/audit/export"}
        assert [each["value"] for each in buttons] == ["csv", "ndjson"]
        form = {"actor": "operator", "name": "key.revoked", "since": "", "until": ""}
        answer = await send(client, "/audit/export", form | ALL)
        assert answer.headers["content-type"] == "application/x-ndjson"
        keys = [json.loads(each)["data"]["key"] for each in answer.text.splitlines()]
        assert keys == ["number 5", "number 3", "number 1"]
        wrong = await send(client, "/audit/export", form | {"format": "csv", "since": "x"})
        assert wrong.status_code == 400
        assert "since" in wrong.text
        assert "Audit trail taken as a file" in (await client.get("/audit")).text


async def test_one_portion_is_in_memory_and_no_connection_is_held(
    served: Edge, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_export, "PORTION", 5)
    token = await give(database, role="admin")
    await filled(database, 42)
    sizes, held = [], []
    session, is_open = database.session, False

    @asynccontextmanager
    async def watched() -> AsyncIterator[Any]:
        nonlocal is_open
        async with session() as db:
            is_open = True
            yield db
        is_open = False

    async def served_slowly(scope: Any, receive: Any, send: Any) -> None:
        async def sent(message: Any) -> None:
            sizes.append(message.get("body", b"").count(b"\n"))
            held.append(is_open)
            await send(message)

        await served(scope, receive, sent)

    monkeypatch.setattr(database, "session", watched)
    async with calling(served_slowly, token) as client:  # type: ignore[arg-type]
        assert len(await taken(client)) == 44
    assert sizes == [0, *[5] * 8, 4, 0]
    assert not any(held)


async def test_whose_right_is_taken_away_gets_no_more(
    served: Edge, database: Database, finder: Finder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_export, "PORTION", 1)
    ada = await hire(database, "Ada", "admin")
    token = await give(database, ada)
    await filled(database, 3)
    newest = audit_export.audit_queries.newest

    async def slowly(*args: Any, **given: Any) -> Any:
        await run(database, "UPDATE agents SET role = 'agent' WHERE id = $1", ada)
        finder.forget()
        return await newest(*args, **given)

    monkeypatch.setattr(audit_export.audit_queries, "newest", slowly)
    headers = {"Authorization": f"Bearer {token}"}
    async with serving(served) as url, httpx.AsyncClient(base_url=url, headers=headers) as client:
        lines = []
        with pytest.raises(httpx.RemoteProtocolError):
            async with client.stream("POST", "/api/audit/export", json=ALL) as answer:
                lines = [line async for line in answer.aiter_lines()]
        assert len(lines) <= 1
        answer = await client.post("/api/audit/export", json=ALL)
        assert answer.status_code == 403
