"""Publishing by HTTP: on one channel, on many at once, and of a body as it is."""

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from pullse.errors import Unavailable
from pullse.gateway import connections
from pullse.gateway.errors import (
    BAD_BODY,
    BAD_CONNECTION_KEY,
    BAD_DATA,
    BAD_REQUEST,
    BATCH_FAILED,
    FORCED,
    UNAVAILABLE,
    Failure,
)
from pullse.gateway.negotiation import BODY_AT_MOST, Request, Result, refusal
from pullse.gateway.service import Publisher
from pullse.gateway.wire import JSON, MESSAGES_AT_MOST, MSGPACK, Published
from pullse.kit.db import Db, Struct

BATCH_AT_MOST = 2 * BODY_AT_MOST
CHANNELS_AT_MOST = 100
"""Channels of one batch."""
FORM = "application/x-www-form-urlencoded"


class Spec(msgspec.Struct):
    """What is published on which channels."""

    channels: str | list[str]
    messages: Published | list[Published]


async def publish(request: Request, channel: str) -> Result:
    identity = await request.identify()
    if request.flag("_forceNack", default=False):
        raise Failure(FORCED, "Refused, as the request asked for.")
    if request.flag("enveloped", default=True):
        published = await enveloped(request)
    else:
        published = [await unenveloped(request)]
    if not published:
        raise Failure(BAD_REQUEST, "There is no message.")
    return Result(await publish_one(request, Publisher(identity), channel, published), 201)


async def publish_one(
    request: Request, by: Publisher, channel: str, published: Sequence[Published]
) -> dict[str, Any]:
    """Publish on one channel, and say what became of it. Raises Failure."""
    if any(each.connection_key for each in published):
        by, published = await on_behalf(request, by, published)
    receipt = await request.gateway.publish(by, channel, published)
    return {"channel": channel, "messageId": receipt.message_id, "serials": receipt.serials}


async def enveloped(request: Request) -> list[Published]:
    """The body as one message or several."""
    body = await request.read()
    if request.media_type == FORM and not body.lstrip().startswith((b"{", b"[")):
        return [of_form(body)]
    return as_list(request.body_format.decode(body, Published | list[Published]))


def of_form(body: bytes) -> Published:
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, errors="strict"))
        return msgspec.convert(fields, Published)
    except (UnicodeDecodeError, msgspec.ValidationError) as error:
        raise Failure(BAD_BODY, f"The body can't be read: {error}") from error


def as_list(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]


async def unenveloped(request: Request) -> Published:
    """The body as payload; all else is in headers, or in parameters of those names."""
    body = await request.read()
    data: str | bytes = body
    encoding = given(request, "encoding")
    if request.media_type == JSON.content_type.decode():
        encoding = encoding or "json"
    is_binary = request.media_type in ("application/octet-stream", MSGPACK.content_type.decode())
    if not is_binary:
        try:
            data = body.decode()
        except UnicodeDecodeError as error:
            raise Failure(BAD_DATA, "The body is not text in UTF-8.") from error
    return Published(
        id=given(request, "messageId"),
        name=given(request, "name"),
        data=data,
        encoding=encoding,
        client_id=request.credentials.client_id or request.query.get("clientId"),
        connection_key=given(request, "connectionKey"),
    )


def given(request: Request, name: str) -> str | None:
    value = request.header(f"x-ably-{name.lower()}".encode())
    return value if value is not None else request.query.get(name)


# On behalf of a connection


class Connected(Struct, frozen=True):
    id: str
    client_id: str | None


async def on_behalf(
    request: Request, by: Publisher, published: Sequence[Published]
) -> tuple[Publisher, Sequence[Published]]:
    """As if the connection had published whose key the messages have. Raises Failure."""
    keys = {each.connection_key for each in published}
    if len(keys) > 1:
        raise Failure(BAD_CONNECTION_KEY, "All messages of one publish have one connectionKey.")
    id_, _, secret = (keys.pop() or "").partition("!")
    found = None
    if "\0" not in id_:
        async with request.gateway.database.session() as db:
            found = await connected(db, id_, connections.hashed(secret), by.identity.app)
    if found is None:
        raise Failure(BAD_CONNECTION_KEY, "connectionKey: there is no such connection.")
    if found.client_id not in (None, "*"):
        published = [
            msgspec.structs.replace(each, client_id=each.client_id or found.client_id)
            for each in published
        ]
    return by._replace(connection_id=found.id), published


async def connected(db: Db, id_: str, key_hash: bytes, app: str) -> Connected | None:
    return await db.maybe(
        Connected,
        """
        SELECT id, client_id
          FROM gateway_connections
         WHERE id = $1 AND key_hash = $2 AND app = $3
           AND (dropped_at IS NULL OR dropped_at > now() - make_interval(secs => $4))
        """,
        id_,
        key_hash,
        app,
        connections.TTL,
    )


# Many channels


async def publish_batch(request: Request) -> Any:
    """Each channel by itself: on some the publish may fail while it succeeds on others."""
    identity = await request.identify()
    version = request.version
    specs = as_list(await request.read_as(Spec | list[Spec], most=BATCH_AT_MOST))
    check_batch(specs)
    results = []
    for spec in specs:  # one after the other, so that a channel has them in their order
        messages = as_list(spec.messages)
        attempts = (
            attempt(request, Publisher(identity), channel, messages)
            for channel in as_list(spec.channels)
        )
        results.append(await asyncio.gather(*attempts))
    if version >= 3:
        return Result([summed_up(each) for each in results], 201)
    return flat(request, [each for result in results for each in result], 201)


def check_batch(specs: Sequence[Spec]) -> None:
    if sum(len(as_list(spec.channels)) for spec in specs) > CHANNELS_AT_MOST:
        raise Failure(BAD_REQUEST, f"At most {CHANNELS_AT_MOST} channels in one request.")
    for spec in specs:
        count = len(as_list(spec.messages))
        if not 0 < count <= MESSAGES_AT_MOST:
            raise Failure(BAD_BODY, f"messages: 1 to {MESSAGES_AT_MOST} of them.")


async def attempt(
    request: Request, by: Publisher, channel: str, messages: Sequence[Published]
) -> dict[str, Any]:
    try:
        return await publish_one(request, by, channel, messages)
    except Failure as failure:
        return {"channel": channel, "error": failure.info}
    except Unavailable as error:
        return {"channel": channel, "error": Failure(UNAVAILABLE, str(error)).info}


def summed_up(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A batch's results as clients of version 3 and later expect them."""
    failed = sum("error" in each for each in results)
    return {
        "successCount": len(results) - failed,
        "failureCount": failed,
        "results": results,
    }


def flat(request: Request, results: Sequence[dict[str, Any]], status: int) -> Any:
    """As those of version 2 do: a list, or an error with the list beside it."""
    if any("error" in each for each in results):
        failure = Failure(BATCH_FAILED, "Some of the batch failed.")
        return refusal(request, failure, batchResponse=results)
    return Result(results, status)
