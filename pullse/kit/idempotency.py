"""
`Idempotency-Key`: a POST that is sent again gets the answer that the first one got.

The key is taken in the transaction that does the work, so of two at once the second waits
for the first, and a refused request leaves no key behind. Answers are kept 24 hours.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec

from pullse.errors import Invalid, Mismatch
from pullse.kit.db import Database, Db, Struct
from pullse.kit.jobs import Every, job
from pullse.kit.web import Answer, Request

KEY = re.compile(r"[\x21-\x7e]{1,255}")
HEADER = b"idempotency-key"
REPLAYED = (b"idempotency-replayed", b"true")


class Once(NamedTuple):
    """An answer with something in it that nobody sees twice; repeats get what is kept."""

    answer: Answer
    kept: Answer


Run = Callable[[Db], Awaitable[Answer | Once]]


class Kept(Struct, frozen=True):
    fingerprint: bytes
    status: int
    headers: str
    body: bytes


async def post(request: Request, run: Run) -> Answer:
    """Run a POST's work in one transaction, once for each key, and wake the readers."""
    key = key_of(request)
    async with request.database.transaction() as db:
        if key is None:
            answer = shown(await run(db))
        else:
            answer = await once(db, request, key, await fingerprint(request), run)
    request.services.tail.wake()
    return answer


def key_of(request: Request) -> str | None:
    key = request.header(HEADER)
    if key is not None and not KEY.fullmatch(key):
        raise Invalid.field("Idempotency-Key", "1 to 255 visible ASCII characters, no spaces.")
    return key


async def fingerprint(request: Request) -> bytes:
    start = f"{request.scope['method']} {request.scope['path']}\n".encode()
    return hashlib.sha256(start + await request.read_raw()).digest()


async def once(
    db: Db,
    request: Request,
    key: str,
    print_: bytes,
    run: Run,
) -> Answer:
    caller = request.actor.id
    if not await take(db, caller, key, print_):
        return replay(await kept(db, caller, key), print_)
    answer = await run(db)
    await keep(db, caller, key, answer.kept if isinstance(answer, Once) else answer)
    return shown(answer)


def shown(answer: Answer | Once) -> Answer:
    return answer.answer if isinstance(answer, Once) else answer


def replay(kept: Kept, print_: bytes) -> Answer:
    if kept.fingerprint != print_:
        raise Mismatch("This Idempotency-Key was used with another request before.")
    headers = [(n.encode(), v.encode()) for n, v in msgspec.json.decode(kept.headers)]
    return Answer(kept.status, kept.body, [*headers, REPLAYED])


async def take(db: Db, caller: str, key: str, print_: bytes) -> bool:
    """False when the key is in use; waits for a transaction that is about to use it."""
    return bool(
        await db.run(
            """
            INSERT INTO idempotency_keys (caller, key, fingerprint)
                 VALUES ($1, $2, $3)
            ON CONFLICT ON CONSTRAINT idempotency_keys_used_once DO UPDATE
                    SET fingerprint = excluded.fingerprint, created_at = now()
                  WHERE idempotency_keys.created_at < now() - interval '24 hours'
            """,
            caller,
            key,
            print_,
        )
    )


async def kept(db: Db, caller: str, key: str) -> Kept:
    return await db.one(
        Kept,
        """
        SELECT fingerprint, status, headers, body
          FROM idempotency_keys
         WHERE caller = $1 AND key = $2
        """,
        caller,
        key,
    )


async def keep(db: Db, caller: str, key: str, answer: Answer) -> None:
    headers = [(name.decode(), value.decode()) for name, value in answer.headers]
    await db.run(
        """
        UPDATE idempotency_keys SET status = $3, headers = $4, body = $5
         WHERE caller = $1 AND key = $2
        """,
        caller,
        key,
        answer.status,
        msgspec.json.encode(headers).decode(),
        answer.body,
    )


@job("idempotency.forget")
async def forget(database: Database) -> None:
    """Delete keys that are older than 24 hours, in small portions."""
    deleted = 1
    while deleted:
        async with database.session() as db:
            deleted = await db.run(
                """
                DELETE FROM idempotency_keys
                 WHERE (caller, key) IN (SELECT caller, key FROM idempotency_keys
                                          WHERE created_at < now() - interval '24 hours'
                                       ORDER BY created_at LIMIT 1000)
                """
            )


jobs = [forget]
schedule = [Every(3600, forget)]
