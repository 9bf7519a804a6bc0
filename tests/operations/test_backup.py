"""Backup and restore: everything comes back, or nothing changes, and no client is misled."""

import asyncio
import os
import re
import subprocess
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from pullse.kit import events, migrate
from pullse.kit.db import Address, endpoint, open_database
from pullse.kit.events import Place
from pullse.kit.postgres import binaries
from pullse.operations import backup, bridge, holdings, tools
from pullse.operations.backup import Failed
from pullse.reports import count_queries, counting, insight, insight_queries
from tests.operations.conftest import Kept
from tests.operations.servers import OVER_TLS, PASSWORD, Pooler, Product, Server, pullse

BURN = "DO $$ BEGIN FOR i IN 1..2000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "pullse.backup"


@pytest.fixture
async def kept(database_url: str) -> Kept:
    """On PostgreSQL 18, migrated and empty."""
    return Kept(database_url)


@pytest.fixture
async def elsewhere(server: Server, name: str) -> Kept:
    """On PostgreSQL 15, without any table."""
    return Kept(server.url(name))


@pytest.fixture
def only_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine where no PostgreSQL is installed."""
    monkeypatch.setattr(binaries, "SYSTEM_FOLDERS", ())
    monkeypatch.setenv("PATH", "/nowhere")
    assert {each.major for each in tools.at_hand()} == {18}


async def fill(client: httpx.AsyncClient, tickets: int = 3) -> None:
    """Agents, tickets, a change, one in the trash."""
    agent = {"name": "Ana Ñandú", "email": "ana@example.com"}
    ana = (await client.post("/api/agents", json=agent)).json()["data"]["id"]
    for number in range(tickets):
        ticket = {"title": f"Héllo {number} \t\\N", "description": "“Quoted”\n\\.\nlines"}
        made = (await client.post("/api/tickets", json=ticket | {"assigned_to": ana})).json()
        await client.patch(f"/api/tickets/{made['data']['id']}", json={"status": "closed"})
    await client.delete(f"/api/tickets/{made['data']['id']}")
    await settled(client, made["data"]["id"], "ticket.deleted")


async def settled(client: httpx.AsyncClient, ticket_id: str, name: str) -> None:
    """In the feed: other transactions of the same server, of other tests too, may hold it back."""
    query = {"ticket_id": ticket_id, "name": name}
    async with asyncio.timeout(10):
        while not (await client.get("/api/events", params=query)).json()["data"]["records"]:
            await asyncio.sleep(0.01)


async def all_of_it(client: httpx.AsyncClient) -> list[Any]:
    paths = ["/api/tickets", "/api/agents", "/api/trash/tickets"]
    found = [(await client.get(path, params={"limit": 200})).json()["data"] for path in paths]
    return [*found, [without_cursor(fact) for fact in await facts(client)]]


async def facts(client: httpx.AsyncClient, after: str | None = None) -> list[dict[str, Any]]:
    query: dict[str, str] = {"limit": "200"} | ({"after": after} if after else {})
    answer = await client.get("/api/events", params=query)
    assert answer.status_code == 200, answer.text
    records: list[dict[str, Any]] = answer.json()["data"]["records"]
    return records


def without_cursor(fact: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fact.items() if name != "cursor"}


async def end_of_feed(client: httpx.AsyncClient) -> str:
    answer = await client.get("/api/events", params={"after": "now"})
    return str(answer.json()["data"]["cursor"])


async def new_ticket(client: httpx.AsyncClient) -> dict[str, Any]:
    ticket = {"title": "New", "description": "It broke."}
    made: dict[str, Any] = (await client.post("/api/tickets", json=ticket)).json()["data"]
    await settled(client, made["id"], "ticket.created")
    return made


@pytest.mark.parametrize("way", ["18 to 15", "15 to 18"])
async def test_everything_comes_back_on_another_server_and_the_feed_goes_on(
    kept: Kept, elsewhere: Kept, file: Path, way: str
) -> None:
    await elsewhere.prepare()
    source, target = (kept, elsewhere) if way == "18 to 15" else (elsewhere, kept)
    await source.value("SELECT 1")
    await burn(source)
    async with source.asked() as client:
        await fill(client)
        before, cursor = await all_of_it(client), await end_of_feed(client)
    await source.backup(file)
    await target.restore(file)

    async with target.asked() as client:
        assert await all_of_it(client) == before
        stale = await client.get("/api/events", params={"after": cursor})
        assert (stale.status_code, stale.json()["code"]) == (410, "start_over")
        cursor = await end_of_feed(client)
        made = await new_ticket(client)
        (fact,) = await facts(client, cursor)
        assert (fact["ticket_id"], fact["name"]) == (made["id"], "ticket.created")
        assert (await facts(client))[-1] == fact
        assert made["number"] == 4
        assert (await client.get("/api/tickets", params={"q": "héllo"})).json()["data"]["records"]


async def burn(kept: Kept) -> None:
    """Raise the cluster's count of transactions over the other one's."""
    database = await open_database(kept.url, size=1)
    async with database.session() as db:
        await db.script(BURN)
    await database.close()


async def test_numbers_come_along_and_are_counted_on(
    kept: Kept, elsewhere: Kept, file: Path
) -> None:
    """What was counted until the backup, and what was not yet, on a server that counts anew."""
    await kept.value("SELECT 1")
    await burn(kept)
    async with kept.asked() as client:
        await fill(client)
        await counted(kept)
        await new_ticket(client)
        await new_ticket(client)
    await kept.backup(file)
    await elsewhere.restore(file)

    async with elsewhere.asked() as client:
        found = (await client.get("/api/counts")).json()["data"]
        assert found["is_exact"]
        assert {each["name"]: each["count"] for each in found["records"]} == {
            "unassigned": 2, "open": 2, "resolved": 0, "trash": 1,
        }  # fmt: skip
        await counted(elsewhere)
        await new_ticket(client)
        await counted(elsewhere)
        found = (await client.get("/api/counts")).json()["data"]
        assert {each["name"]: each["count"] for each in found["records"]}["open"] == 3
        flow = (await client.get("/api/insight/flow", params={"days": 2})).json()["data"]
        assert sum(each["created"] for each in flow["records"]) == 5
        assert flow["is_complete"]


async def counted(kept: Kept) -> None:
    """As the readers do in the background; what is not settled yet stays."""
    database = await open_database(kept.url, size=2)
    if not await counting.begun(database):
        await counting.fill(database)
    async with database.session() as db:
        await insight_queries.begin(db)
    for _ in range(3):
        await counting.step(database)
        await insight.step(database)
    async with database.session() as db:
        assert await count_queries.differing(db) == 0
    await database.close()


async def test_data_is_not_replaced_unless_forced(kept: Kept, file: Path) -> None:
    async with kept.asked() as client:
        await fill(client)
        await kept.backup(file)
        before = await all_of_it(client)
        late = await new_ticket(client)
        with pytest.raises(
            Failed, match=r"data in this database \(agents, audit, events, tickets\)"
        ):
            await kept.restore(file)
        assert (await client.get(f"/api/tickets/{late['id']}")).status_code == 200

        await kept.restore(file, force=True)
        assert (await client.get(f"/api/tickets/{late['id']}")).status_code == 404
        assert await all_of_it(client) == before


async def test_what_was_written_after_the_backup_leaves_no_trace_to_be_mistaken(
    kept: Kept, file: Path
) -> None:
    """Its cursors are told to start over; its numbers and the ids of its facts stay unused."""
    async with kept.asked() as client:
        await fill(client)
        old = await end_of_feed(client)
        await kept.backup(file)
        late = await new_ticket(client)
        lost = (await facts(client))[-1]
        await kept.restore(file, force=True)

        for cursor in (old, lost["cursor"]):
            answer = await client.get("/api/events", params={"after": cursor})
            assert answer.status_code == 410
        again = await new_ticket(client)
        fact = (await facts(client))[-1]
        assert fact["ticket_id"] == again["id"]
        assert fact["id"] > lost["id"]
        assert again["number"] > late["number"]


async def test_the_same_backup_twice_is_two_lives_of_the_feed(kept: Kept, file: Path) -> None:
    async with kept.asked() as client:
        await fill(client)
        await kept.backup(file)
        await kept.restore(file, force=True)
        first = await end_of_feed(client)
        await kept.restore(file, force=True)
        assert (await client.get("/api/events", params={"after": first})).status_code == 410
        second = await end_of_feed(client)
        assert int(second.split(".")[0]) > int(first.split(".")[0])


async def test_the_forwarder_goes_on_where_it_was(kept: Kept, elsewhere: Kept, file: Path) -> None:
    """No fact is left out, and none that Ably has acknowledged before the backup comes again."""
    await burn(kept)
    async with kept.asked() as client:
        await fill(client)
        all_facts = await facts(client)
        _, tx, id_ = all_facts[3]["cursor"].split(".")
        await kept.value(f"INSERT INTO readers (name, tx, id) VALUES ('ably', {tx}, {id_})")
    await kept.backup(file)
    await elsewhere.restore(file)
    async with elsewhere.asked() as client:
        made = await new_ticket(client)

    database = await open_database(elsewhere.url, size=1)
    async with database.session() as db:
        reader = await db.one(Place, "SELECT tx, id FROM readers WHERE name = 'ably'")
        waiting = await events.since(db, reader)
    await database.close()
    assert [fact.id for fact in waiting[:-1]] == [fact["id"] for fact in all_facts[4:]]
    assert str(waiting[-1].ticket_id) == made["id"]


async def test_a_restored_feed_needs_no_mending_and_its_epoch_is_a_time(
    kept: Kept, elsewhere: Kept, file: Path
) -> None:
    """
    `prepare` looks for data that came from another cluster; a restore has seen to that.

    Counted epochs would be the same one on two machines that restored the same backup.
    """
    await burn(kept)
    async with kept.asked() as client:
        await fill(client)
    await kept.backup(file)
    await asyncio.to_thread(backup.restore, elsewhere.store, elsewhere.settings, file, force=False)
    epoch = await elsewhere.value("SELECT feed_epoch()")
    await elsewhere.prepare()
    assert await elsewhere.value("SELECT feed_epoch()") == epoch
    assert await elsewhere.value(
        "SELECT timestamptz '2026-01-01 00:00+00' + make_interval(secs => feed_epoch())"
        "       BETWEEN now() - interval '1 minute' AND now()"
    )


# What a restore refuses, and that nothing has changed then


async def refused(kept: Kept, file: Path, match: str, *, force: bool = True) -> None:
    async with kept.asked() as client:
        before, cursor = await all_of_it(client), await end_of_feed(client)
        with pytest.raises(Failed, match=match):
            await kept.restore(file, force=force)
        assert await all_of_it(client) == before
        assert await end_of_feed(client) == cursor


def written(file: Path, content: bytes) -> None:
    file.write_bytes(content)


def cut(file: Path, share: float) -> None:
    os.truncate(file, int(file.stat().st_size * share))


def damage(file: Path, share: float, length: int) -> None:
    content = bytearray(file.read_bytes())
    place = int(len(content) * share)
    for each in range(place, place + length):
        content[each] ^= 0x55
    file.write_bytes(content)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.95, 0.999])
async def test_a_file_that_was_cut_is_refused(kept: Kept, file: Path, share: float) -> None:
    async with kept.asked() as client:
        await fill(client, 10)
    await kept.backup(file)
    cut(file, share)
    await refused(kept, file, "is damaged")


async def test_a_damaged_row_far_into_the_file_takes_everything_back(
    kept: Kept, file: Path
) -> None:
    async with kept.asked() as client:
        await fill(client, 20)
    await kept.backup(file)
    damage(file, 0.9, 40)
    await refused(kept, file, "damaged|could not be restored")


@pytest.mark.parametrize("content", [b"", b"SELECT 1;\n", b"PGDMP", b"PGDMP" + b"\x01" * 500])
async def test_another_file_is_refused(kept: Kept, file: Path, content: bytes) -> None:
    written(file, content)
    await refused(kept, file, "is not a backup|is damaged|not of a pullse")


async def test_a_dump_of_another_program_is_refused(
    kept: Kept, elsewhere: Kept, file: Path
) -> None:
    await elsewhere.value("CREATE TABLE customers (id int)")
    dumped(elsewhere, file)
    await refused(kept, file, "is an archive of pg_dump, but not of a pullse")


async def test_a_backup_of_a_newer_pullse_is_refused_before_anything_is_touched(
    kept: Kept, elsewhere: Kept, file: Path
) -> None:
    await elsewhere.prepare()
    await elsewhere.value("INSERT INTO migrations (name, checksum) VALUES ('9999_future', 'x')")
    await elsewhere.backup(file)
    await refused(kept, file, r"made by a newer pullse \(it has 9999_future\)")


async def test_a_view_of_others_on_a_table_is_not_dropped_with_it(kept: Kept, file: Path) -> None:
    async with kept.asked() as client:
        await fill(client)
    await kept.backup(file)
    await kept.value("CREATE VIEW report AS SELECT count(*) FROM tickets")
    await refused(kept, file, "other objects depend on")


async def test_a_database_that_pullse_is_running_on_is_refused(
    elsewhere: Kept, tmp_path: Path, file: Path
) -> None:
    with Product(tmp_path, DATABASE_URL=elsewhere.url):
        await elsewhere.backup(file)
        for _ in range(100):
            listening = "SELECT count(*) FROM pg_stat_activity WHERE query ILIKE 'LISTEN%'"
            if await elsewhere.value(f"{listening} AND datname = current_database()"):
                break
            await asyncio.sleep(0.05)
        with pytest.raises(Failed, match="A running pullse uses this database"):
            await elsewhere.restore(file, force=True)
    await elsewhere.restore(file, force=True)


async def test_a_lock_that_others_hold_is_not_waited_for_long(
    kept: Kept, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that starts in the middle of a restore waits with its migrations; and so do we."""
    async with kept.asked() as client:
        await fill(client)
    await kept.backup(file)
    database = await open_database(kept.url, size=1)
    async with database.own_session() as (db, _):
        await migrate.lock(db)
        await refused(kept, file, "another process is migrating")
    await database.close()


# What a backup is


async def test_the_file_is_its_owners_and_nothing_is_overwritten(kept: Kept, file: Path) -> None:
    await kept.backup(file)
    mode, content = looked_at(file)
    assert mode == 0o600
    with pytest.raises(Failed, match="never overwrites"):
        await kept.backup(file)
    assert looked_at(file) == (mode, content)
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def looked_at(file: Path) -> tuple[int, bytes]:
    return file.stat().st_mode & 0o777, file.read_bytes()


async def test_a_backup_that_fails_leaves_no_file(elsewhere: Kept, file: Path) -> None:
    with pytest.raises(Failed, match="nothing of pullse in this database"):
        await elsewhere.backup(file)
    await elsewhere.prepare()
    with pytest.raises(Failed, match="can't be written"):
        await elsewhere.backup(file.parent / "no" / "such" / "folder")
    assert list(file.parent.iterdir()) == []


async def test_only_what_is_pullses_is_in_it_and_is_replaced(
    elsewhere: Kept, kept: Kept, file: Path
) -> None:
    await elsewhere.prepare()
    for statement in (
        "CREATE TYPE mood AS ENUM ('fine')",
        "CREATE TABLE customers (id serial PRIMARY KEY, mood mood)",
        "INSERT INTO customers DEFAULT VALUES",
        "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA auth",
        "CREATE TABLE auth.tickets (id int)",
    ):
        await elsewhere.value(statement)
    async with elsewhere.asked() as client:
        await fill(client)
    await elsewhere.backup(file)
    assert "customers" not in contents(file)
    assert "auth" not in contents(file)

    await elsewhere.restore(file, force=True)
    assert await elsewhere.value("SELECT count(*) + one() FROM customers") == 2
    assert await elsewhere.value("SELECT count(*) FROM auth.tickets") == 0
    await kept.restore(file)
    assert await kept.value("SELECT to_regclass('customers')") is None
    assert await kept.value("SELECT to_regproc('one')") is None


async def test_what_migrations_make_is_known_as_pullses(kept: Kept) -> None:
    """What is read out of the migrations' text is what is there when they have run."""
    assert await kept.value(
        """
        SELECT array_agg(DISTINCT name) FROM (
            SELECT relname::text FROM pg_class
             WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
            UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
            UNION ALL SELECT typname FROM pg_type
             WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd')) AS made (name)
         WHERE name <> ALL ($1)
        """,
        sorted(holdings.names()),
    ) in (None, [])
    assert {"tickets", "agents", "events", "migrations", "feed_epoch"} <= holdings.names()


@pytest.mark.usefixtures("only_the_wheel")
@pytest.mark.parametrize("mode", ["require", "verify-full"])
async def test_over_tls_also_where_pg_dump_knows_none(
    server: Server, name: str, file: Path, mode: str
) -> None:
    """The wheel's programs are built without TLS, and a role that wants it is not let down."""
    server.sql(f"ALTER DATABASE {name} OWNER TO {OVER_TLS}")
    query = {"sslmode": mode} | (
        {"sslrootcert": str(server.authority)} if mode == "verify-full" else {}
    )
    kept = Kept(server.url(name, OVER_TLS, **query))
    await kept.prepare()
    async with kept.asked() as client:
        await fill(client)
        text = {"title": "Large", "description": "lörem ipsum " * 7000}
        await asyncio.gather(*(client.post("/api/tickets", json=text) for _ in range(30)))
        before = await all_of_it(client)
    await kept.backup(file)
    await kept.restore(file, force=True)
    async with kept.asked() as client:
        assert await all_of_it(client) == before


async def test_a_server_whose_authority_is_not_ours_gets_no_password(
    server: Server, name: str, file: Path
) -> None:
    url = server.url(name, sslmode="verify-full", sslrootcert=str(server.stranger))
    with pytest.raises(Failed, match="certificate can't be trusted") as caught:
        await Kept(url).backup(file)
    assert PASSWORD not in str(caught.value)


async def test_a_server_without_tls_is_talked_to_only_where_that_is_allowed(
    pooler: Pooler, name: str
) -> None:
    """The pooler here has none; libpq and the driver go on in the clear, unless told not to."""
    _, writer = await bridge.dial(endpoint(Address.parse(pooler.url(name))))
    await bridge.hang_up(writer)
    for mode in ("require", "verify-ca"):
        url = pooler.url(name, f"?sslmode={mode}&sslrootcert={pooler.authority}")
        with pytest.raises(ConnectionError, match="has no TLS"):
            await bridge.dial(endpoint(Address.parse(url)))


async def test_behind_a_pooler_the_direct_way_is_taken(
    server: Server, pooler: Pooler, name: str, tmp_path: Path, file: Path
) -> None:
    way = {"DATABASE_URL": pooler.url(name), "DATABASE_DIRECT_URL": server.url(name)}
    kept = Kept(server.url(name))
    await kept.prepare()
    async with kept.asked() as client:
        await fill(client)
    status, said = pullse(tmp_path, "backup", str(file), **way)
    assert status == 0, said
    assert re.fullmatch(rf"Wrote {re.escape(str(file))} \([\d,]+ bytes\)\.\n", said)
    status, said = pullse(tmp_path, "restore", "--force", str(file), **way)
    assert (status, "is restored" in said) == (0, True), said


async def test_no_password_is_on_a_command_line(server: Server, name: str, file: Path) -> None:
    """pg_dump is held up by a lock while every process's words are read."""
    kept = Kept(server.url(name))
    await kept.prepare()
    database = await open_database(kept.url, size=1)
    done = threading.Event()
    async with database.transaction() as db:
        await db.script("LOCK TABLE tickets IN ACCESS EXCLUSIVE MODE")
        dumping = asyncio.create_task(kept.backup(file))
        dumping.add_done_callback(lambda _: done.set())
        async with asyncio.timeout(10):
            while not any("pg_dump" in words for words in command_lines()):
                await asyncio.sleep(0.02)
        assert not any(PASSWORD in words for words in command_lines())
    await dumping
    await database.close()


def command_lines() -> list[str]:
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(each.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return found


async def test_a_server_newer_than_all_programs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Failed, match=r"The server is PostgreSQL 99.* Install postgresql-client-99"):
        backup.best_for(99)
    monkeypatch.setattr(tools, "at_hand", list)
    with pytest.raises(Failed, match="no pg_dump"):
        backup.best_for(15)


def contents(file: Path) -> str:
    listed = subprocess.run(
        [tools.at_hand()[-1].folder / "pg_restore", "--list", file],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return "\n".join(line for line in listed.splitlines() if "TABLE" in line or "SEQ" in line)


def dumped(kept: Kept, file: Path) -> None:
    """By pg_dump itself."""
    programs = tools.fit_for(15)[0].folder
    subprocess.run([programs / "pg_dump", "-Fc", "-f", file, kept.url], check=True)
