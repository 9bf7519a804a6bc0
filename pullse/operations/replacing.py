"""
The one transaction of a restore: drop what is there, read the archive, begin a new feed.

pg_restore writes SQL, psql sends it, and COMMIT is ours to say: only after pg_restore has read
the archive to its end. A cut anywhere leaves the old data.
"""

import asyncio
import re
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Iterable
from contextlib import suppress

from pullse.kit import migrate
from pullse.operations import holdings
from pullse.operations.archives import Archive, complaint

CHUNK = 1 << 18
HEAD = 4096
TOO_NEW = b"\nSET transaction_timeout = 0;\n"
"""pg_restore of 17 and newer says so also to servers that don't know it."""
IDS_SKIPPED = 1_000_000

BEGIN = r"""
BEGIN;
SET LOCAL lock_timeout = '10s';
SET LOCAL client_min_messages = warning;
DO $pullse$
DECLARE
    names text[] := {names};
    doomed text;
BEGIN
    IF NOT pg_try_advisory_xact_lock({lock}) THEN
        RAISE EXCEPTION 'another process is migrating this database';
    END IF;
    IF to_regprocedure('public.feed_epoch()') IS NOT NULL THEN
        PERFORM set_config('pullse.epoch', public.feed_epoch()::text, true);
    END IF;
    PERFORM set_config(
                'pullse.sequences',
                coalesce(jsonb_object_agg(sequencename, last_value), '{{}}')::text,
                true)
       FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL;
    FOR doomed IN
        SELECT format('DROP %s %s', kind, string_agg(format('public.%I', relname), ', '))
          FROM pg_class
          JOIN (VALUES ('v', 1, 'VIEW'), ('m', 1, 'MATERIALIZED VIEW'),
                       ('r', 2, 'TABLE'), ('p', 2, 'TABLE')) AS kinds (letter, turn, kind)
               ON letter = relkind::text
         WHERE relnamespace = 'public'::regnamespace AND relname::text = ANY (names)
      GROUP BY turn, kind ORDER BY turn
    LOOP
        EXECUTE doomed;
    END LOOP;
    FOR doomed IN
        SELECT format('DROP ROUTINE %s', oid::regprocedure)
          FROM pg_proc
         WHERE pronamespace = 'public'::regnamespace AND proname::text = ANY (names)
    LOOP
        EXECUTE doomed;
    END LOOP;
    FOR doomed IN
        SELECT format('DROP TYPE public.%I', typname)
          FROM pg_type
         WHERE typnamespace = 'public'::regnamespace
           AND typtype IN ('e', 'd') AND typname::text = ANY (names)
    LOOP
        EXECUTE doomed;
    END LOOP;
END
$pullse$;
"""

# An epoch is a time, so that no two lives of a feed ever share one, on whichever machine they
# began. What the database gave away before, or may have given away after the backup, is not
# given again: a ticket's number, which people remember, and a fact's id, by which receivers
# drop repeats.
END = r"""
DO $pullse$
DECLARE
    epoch   bigint := greatest(
        nullif(current_setting('pullse.epoch', true), '')::bigint + 1,
        public.feed_epoch() + 1,
        floor(extract(epoch FROM clock_timestamp() - timestamptz '2026-01-01 00:00+00'))::bigint
    );
    skip    bigint := public.feed_offset();
    counter bigint := pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
    newest  bigint := (SELECT coalesce(max(tx), 0) FROM public.events);
    said    bigint := 0;
BEGIN
    IF to_regclass('public.channel_messages') IS NOT NULL THEN
        EXECUTE 'SELECT coalesce(max(tx), 0) FROM public.channel_messages' INTO said;
        newest := greatest(newest, said);
    END IF;
    IF newest >= counter + skip THEN
        skip := newest + 1;
    END IF;
    EXECUTE format('CREATE OR REPLACE FUNCTION public.feed_epoch() RETURNS integer
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS ''SELECT %s''', epoch);
    EXECUTE format('CREATE OR REPLACE FUNCTION public.feed_offset() RETURNS bigint
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS ''SELECT %s::bigint''', skip);
    PERFORM setval(pg_get_serial_sequence('public.events', 'id'),
                   (SELECT coalesce(max(id), 0) + {skipped} FROM public.events));
    PERFORM setval(name::regclass, greatest(given, last_value))
       FROM (SELECT format('public.%I', sequencename) AS name, last_value,
                    before.value::bigint AS given
               FROM pg_sequences
               JOIN jsonb_each_text(current_setting('pullse.sequences')::jsonb) AS before
                    ON before.key = sequencename
              WHERE schemaname = 'public' AND sequencename::text = ANY ({sequences})) AS ours;
END
$pullse$;
COMMIT;
ANALYZE {tables};
"""


class NotReplaced(Exception):
    """The transaction was rolled back; the message says why."""


async def replace(archive: Archive, variables: dict[str, str]) -> None:
    """Raises `NotReplaced`. `variables` tell libpq where to."""
    with tempfile.NamedTemporaryFile("w", prefix="pullse-", suffix=".list") as wanted:
        wanted.write("\n".join(archive.entries) + "\n")
        wanted.flush()
        reading = await asyncio.create_subprocess_exec(
            archive.tools.folder / "pg_restore",
            *("--no-owner", "--no-acl", "--exit-on-error", "--file=-"),
            f"--use-list={wanted.name}",
            archive.file,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            env=variables,
        )
        sending = await asyncio.create_subprocess_exec(
            archive.tools.folder / "psql",
            *("--no-psqlrc", "--quiet", "--no-password", "--file=-"),
            *("--set=ON_ERROR_STOP=1", "--set=VERBOSITY=terse"),
            stdin=PIPE,
            stdout=DEVNULL,
            stderr=PIPE,
            env=variables,
        )
        try:
            await send(archive, reading, sending)
        finally:
            for process in (reading, sending):
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()


async def send(archive: Archive, reading: Process, sending: Process) -> None:
    assert reading.stdout and reading.stderr and sending.stdin and sending.stderr  # noqa: S101, PT018
    complaints = [asyncio.ensure_future(each.stderr.read()) for each in (reading, sending)]  # type: ignore[union-attr]
    with suppress(BrokenPipeError, ConnectionResetError):
        sending.stdin.write(beginning(holdings.names()).encode())
        await pass_on(reading.stdout, sending.stdin)
        if await reading.wait() == 0:
            sending.stdin.write(ending(archive.entries).encode())
            await sending.stdin.drain()
    with suppress(BrokenPipeError, ConnectionResetError):
        sending.stdin.close()
        await sending.stdin.wait_closed()
    status = await sending.wait()
    if status:
        raise NotReplaced(f"The archive could not be restored: {complaint(await complaints[1])}.")
    if await reading.wait():
        said = complaint(await complaints[0])
        raise NotReplaced(f"{archive.file} is damaged: {said}.")


async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    head = b""
    while len(head) < HEAD and (chunk := await source.read(CHUNK)):
        head += chunk
    target.write(head.replace(TOO_NEW, b"\n", 1))
    await target.drain()
    while chunk := await source.read(CHUNK):
        target.write(chunk)
        await target.drain()


def beginning(names: Iterable[str]) -> str:
    return BEGIN.format(names=array(names), lock=migrate.LOCK)


def ending(entries: list[str]) -> str:
    tables = re.findall(r"^\d+; \d+ \d+ TABLE public (\w+)", "\n".join(entries), re.M)
    sequences = re.findall(r"^\d+; \d+ \d+ SEQUENCE SET public (\w+)", "\n".join(entries), re.M)
    named = ", ".join(f"public.{name}" for name in tables)
    return END.format(sequences=array(sequences), tables=named, skipped=IDS_SKIPPED)


def array(words: Iterable[str]) -> str:
    return "ARRAY[" + ", ".join(f"'{word}'" for word in sorted(words)) + "]::text[]"
