"""What can be read by HTTP: history, who is present, who is there, which channels there are."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pullse.errors import Gone, Invalid
from pullse.gateway import log, presence
from pullse.gateway.auth import Identity
from pullse.gateway.errors import BAD_PARAMETER, NOT_FOUND, TOO_LARGE, Failure
from pullse.gateway.log import Span
from pullse.gateway.negotiation import Request, Result, link
from pullse.gateway.presence import Member
from pullse.gateway.publishing import CHANNELS_AT_MOST, flat, summed_up
from pullse.gateway.service import not_capable
from pullse.gateway.wire import Message, weight
from pullse.kit import events
from pullse.kit.db import Db
from pullse.kit.events import Place, Position

LIMIT = 100
LIMIT_AT_MOST = 1_000
PORTION = 200
"""Messages read at once; a page is made of several portions."""
PAGE_BYTES = 1_000_000
"""Characters after which a page ends early, with a link to the next."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MILLISECOND = (log.EVER[1] - EPOCH) // timedelta(milliseconds=1) - 1
BIGGEST = (1 << 63) - 1


async def tell_time(request: Request) -> Result:
    """Milliseconds since 1970, in a list; for clients with a clock of their own."""
    return Result([now()])


def now() -> int:
    return int(time.time() * 1000)


async def stats(request: Request) -> Result:
    """None are kept; what is counted is at /metrics."""
    await request.identify()
    return Result([])


async def add_stats(request: Request) -> Result:
    """The SDKs' own tests send some; nobody reads them."""
    await request.identify()
    await request.read()
    return Result([], 201)


# History


async def history(request: Request, channel: str) -> Result:
    return await pages(request, channel, "messages", of_presence=False)


async def history_by_its_old_name(request: Request, channel: str) -> Result:
    return await pages(request, channel, "history", of_presence=False)


async def presence_history(request: Request, channel: str) -> Result:
    return await pages(request, channel, "history", of_presence=True)


async def pages(request: Request, channel: str, segment: str, *, of_presence: bool) -> Result:
    """One page of what was said, or of who came and went, with links to others."""
    identity = await request.identify()
    asked: dict[str, Any] = {
        "start": request.number("start", most=BIGGEST),
        "end": request.number("end", most=BIGGEST),
        "direction": direction_of(request),
        "limit": request.number("limit", least=1, most=LIMIT_AT_MOST) or LIMIT,
        "from_serial": request.query.get("from_serial") or request.query.get("fromSerial"),
        "format": request.format.name if "format" in request.query else None,
    }
    span = span_of(asked, request.query.get("cursor"), request.gateway.epoch)
    found, is_more = await page(request, identity, channel, span, of_presence=of_presence)
    if asked["end"] is None:
        asked["end"] = max([now(), *(message.timestamp or 0 for _, message in found)])
    following = None
    if is_more:
        following = events.cursor(request.gateway.epoch, found[-1][0])
    shown = [request.format.shown(message) for _, message in found]
    return Result(shown, links=links(request, segment, asked, following))


def direction_of(request: Request) -> str:
    direction = request.query.get("direction") or "backwards"
    if direction not in ("backwards", "forwards"):
        raise Failure(BAD_PARAMETER, "direction: backwards or forwards.")
    return direction


def links(
    request: Request, segment: str, asked: Mapping[str, object], following: str | None
) -> dict[str, str]:
    """`asked` and the cursor say everything; who asks is not part of a link."""
    current = request.query.get("cursor")
    found = {"first": link(segment, asked), "current": link(segment, {**asked, "cursor": current})}
    if following is not None:
        found["next"] = link(segment, {**asked, "cursor": following})
    return found


def span_of(asked: Mapping[str, Any], cursor: str | None, epoch: int) -> Span:
    """Which part of the log is asked for. Raises Failure."""
    start, end = asked["start"] or 0, asked["end"]
    if end is not None and start > end:
        raise Failure(BAD_PARAMETER, "end: not before start.")
    is_backwards = asked["direction"] == "backwards"
    before, after = log.END, events.START
    if asked["from_serial"]:
        serial = place_of(asked["from_serial"], "from_serial", epoch)
        before = log.just_after(serial)
    if cursor:
        place = place_of(cursor, "cursor", epoch)
        before, after = (min(before, place), after) if is_backwards else (before, place)
    return Span(
        after,
        before,
        moment(start),
        log.EVER[1] if end is None else moment(end) + timedelta(microseconds=999),
        asked["limit"],
        is_backwards,
    )


def place_of(text: str, name: str, epoch: int) -> Place:
    try:
        return events.place_of(text, Position(epoch, BIGGEST, BIGGEST), field=name)
    except Invalid as error:
        raise Failure(BAD_PARAMETER, f"{name}: this is no place in a channel.") from error
    except Gone as error:
        raise Failure(BAD_PARAMETER, f"{name}: this place no longer exists.") from error


def moment(milliseconds: int) -> datetime:
    return EPOCH + timedelta(milliseconds=min(milliseconds, LAST_MILLISECOND))


Found = list[tuple[Place, Message]]


async def page(
    request: Request, identity: Identity, channel: str, span: Span, *, of_presence: bool
) -> tuple[Found, bool]:
    """At most `span.count` messages, fewer if they are large; and whether there are more."""
    found: Found = []
    size = 0
    while True:
        wanted = min(span.count + 1 - len(found), PORTION)
        portion = await request.gateway.history(
            identity, channel, reaching(span, found, wanted), of_presence=of_presence
        )
        is_all = len(portion) < wanted
        for count, each in enumerate(portion, start=1):
            if len(found) == span.count:
                return found, True
            found.append(each)
            size += weight(each[1])
            if size > PAGE_BYTES:
                return found, not is_all or count < len(portion)
        if is_all:
            return found, False


def reaching(span: Span, found: Found, count: int) -> Span:
    """The rest of a span of which some was read."""
    after, before = span.after, span.before
    if found and span.is_backwards:
        before = found[-1][0]
    elif found:
        after = found[-1][0]
    return Span(after, before, span.start, span.until, count, span.is_backwards)


async def message(request: Request, channel: str, serial: str) -> Result:
    """One message; nobody changes messages, so its newest version is its only one."""
    identity = await request.identify()
    place, _, epoch = serial.partition("@")
    tx, _, id_ = place.partition("-")
    no_message = Failure(NOT_FOUND, "There is no message with this serial.")
    if not all(each.isascii() and each.isdigit() and len(each) < 19 for each in (tx, id_, epoch)):
        raise no_message
    at = Place(int(tx), int(id_))
    span = Span(Place(at.tx, at.id - 1), Place(at.tx, at.id + 1), count=1, is_backwards=True)
    found = await request.gateway.history(identity, channel, span)
    if not found or found[0][1].serial != serial:
        raise no_message
    return Result(request.format.shown(found[0][1]))


# Presence


async def members(request: Request, channel: str) -> Result:
    """Who is present now."""
    identity = await request.identify()
    limit = request.number("limit", least=1, most=LIMIT_AT_MOST) or LIMIT
    asked: dict[str, Any] = {
        "limit": limit,
        "clientId": request.query.get("clientId"),
        "connectionId": request.query.get("connectionId"),
        "format": request.format.name if "format" in request.query else None,
    }
    after = member_of(request.query.get("cursor"))
    topic = readable(request, identity, channel)
    wanted = (asked["clientId"], asked["connectionId"])
    async with request.gateway.database.session() as db:
        found, is_more = await members_from(db, topic, wanted, limit, after)
    following = None
    if is_more:
        last = found[-1]
        following = f"{len(last.client_id)}.{last.client_id}{last.connection_id}"
    shown = [request.format.shown(each.shown()) for each in found]
    return Result(shown, links=links(request, "presence", asked, following))


async def members_from(
    db: Db,
    topic: str,
    wanted: tuple[str | None, str | None],
    limit: int,
    after: tuple[str, str] = ("", ""),
) -> tuple[list[Member], bool]:
    """At most `limit` members, fewer if they are large; and whether there are more."""
    found: list[Member] = []
    size = 0
    while True:
        count = min(limit + 1 - len(found), presence.PAGE)
        portion = await presence.members(
            db, topic, client_id=wanted[0], connection_id=wanted[1], limit=count, after=after
        )
        for each in portion:
            if len(found) == limit or size > PAGE_BYTES:
                return found, True
            found.append(each)
            size += len(each.body)
        if len(portion) < count:
            return found, False
        after = (found[-1].client_id, found[-1].connection_id)


def member_of(cursor: str | None) -> tuple[str, str]:
    """The client and the connection that a cursor names: `<length of the first>.<both>`."""
    if not cursor:
        return "", ""
    length, dot, both = cursor.partition(".")
    if not (dot and length.isascii() and length.isdigit() and len(length) < 6):
        raise Failure(BAD_PARAMETER, "cursor: this is no place in a list of members.")
    return both[: int(length)], both[int(length) :]


def readable(request: Request, identity: Identity, channel: str) -> str:
    """The topic of which the identity may see who is present."""
    try:
        return request.gateway.topic(identity, channel, "subscribe")
    except Failure:
        return request.gateway.topic(identity, channel, "presence")


async def members_of_many(request: Request) -> Any:
    """Who is present on each of several channels; some of them may be refused."""
    identity = await request.identify()
    version = request.version
    channels = names(request)
    results: list[dict[str, Any]] = []
    size = 0
    async with request.gateway.database.session() as db:
        for channel in channels:
            try:
                topic = readable(request, identity, channel)
            except Failure as failure:
                results.append({"channel": channel, "error": failure.info})
                continue
            found, is_more = await members_from(db, topic, (None, None), presence.MEMBERS_AT_MOST)
            more = sum(len(each.body) for each in found)
            if is_more or size + more > 2 * PAGE_BYTES:
                error = Failure(TOO_LARGE, "Too much for this answer; ask for it by itself.")
                results.append({"channel": channel, "error": error.info})
                continue
            size += more
            shown = [request.format.shown(each.shown()) for each in found]
            results.append({"channel": channel, "presence": shown})
    if version >= 3:
        return Result(summed_up(results))
    return flat(request, results, 200)


def names(request: Request) -> list[str]:
    """The channels of a query. Raises Failure."""
    text = request.query.get("channels") or request.query.get("channel")
    if not text:
        raise Failure(BAD_PARAMETER, "channels: the name of at least one.")
    found = list(dict.fromkeys(text.split(request.query.get("separator") or ",")))
    if len(found) > CHANNELS_AT_MOST:
        raise Failure(BAD_PARAMETER, f"channels: at most {CHANNELS_AT_MOST}.")
    return found


# Channels


async def status(request: Request, channel: str) -> Result:
    identity = await request.identify()
    topic = request.gateway.topic(identity, channel, "channel-metadata")
    return Result(await details(request, channel, topic))


async def details(request: Request, channel: str, topic: str) -> dict[str, Any]:
    """Asking for a channel makes it an active one, as Ably's clients expect it."""
    metrics = await request.gateway.hub.occupancy(topic)
    return {
        "channelId": channel,
        "status": {"isActive": True, "occupancy": {"metrics": metrics}},
    }


async def channels(request: Request) -> Result:
    """Names of the channels where somebody is now, or what `status` says of each."""
    identity = await request.identify()
    if not identity.capability.allows("*", "channel-metadata"):
        raise not_capable("channel-metadata", "*")
    limit = request.number("limit", least=1, most=LIMIT_AT_MOST) or LIMIT
    by = request.query.get("by") or ("id" if request.version >= 3 else "value")
    if by not in ("id", "value"):
        raise Failure(BAD_PARAMETER, "by: id or value.")
    prefix, after = request.query.get("prefix", ""), request.query.get("cursor", "")
    active = sorted(await request.gateway.hub.active(identity.app, prefix))
    found = [name for name in active if name > after]
    asked = {"limit": limit, "by": by, "prefix": prefix or None}
    shown: Sequence[Any] = found[:limit]
    following = shown[-1] if len(found) > limit else None
    if by == "value":
        shown = [await details(request, name, identity.topic(name)) for name in shown]
    return Result(shown, links=links(request, "channels", asked, following))
