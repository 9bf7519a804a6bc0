"""`pullse events --follow`, as a process of its own: it goes on, and ends without a trace."""

import asyncio
import json
import signal
import subprocess

import asyncpg

from tests.cli.program import command, environment, running

TELL = "INSERT INTO events (name, actor, data) VALUES ('ticket.changed', 'owner', '{}')"


async def test_it_prints_what_was_and_what_comes_until_it_is_stopped(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(TELL)
    with running("events", "--follow", DATABASE_URL=database_url) as follower:
        for turn in range(1, 4):
            await follower.says(rf"(?s)(\{{.*?\n){{{turn}}}")
            await connection.execute(TELL)
        await follower.says(r"(?s)(\{.*?\n){4}")
        code, seconds = await follower.end(signal.SIGINT)
        assert (code, seconds < 2) == (0, True)
        facts = [json.loads(line) for line in follower.said.splitlines()]
    await connection.close()
    assert [fact["id"] for fact in facts] == sorted({fact["id"] for fact in facts})
    assert all(set(fact) >= {"cursor", "name", "actor", "at"} for fact in facts)


async def test_a_reader_that_has_enough_ends_it_quietly(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    for _ in range(3):
        await connection.execute(TELL)
    await connection.close()

    def first_line() -> tuple[bytes, bytes]:
        process = subprocess.Popen(
            command("events", "--follow"),
            env=environment(DATABASE_URL=database_url),
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout
        assert process.stderr
        line = process.stdout.readline()
        process.stdout.close()
        asyncio.run(tell())
        with process.stderr:
            said = process.stderr.read()
        process.wait(10)
        return line, said

    async def tell() -> None:
        connection = await asyncpg.connect(database_url)
        await connection.execute(TELL)
        await connection.close()

    line, said = await asyncio.to_thread(first_line)
    assert json.loads(line)["name"] == "ticket.changed"
    assert b"Traceback" not in said
