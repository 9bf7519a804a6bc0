"""
HTTP as Ably's clients speak it: formats, versions, errors, links between pages, envelopes, CORS.

Two things here break clients silently when they are "corrected": content types have no
charset, and links name only the last segment of the path.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote_plus, unquote_to_bytes, urlencode

from pullse.gateway.auth import Credentials, Identity
from pullse.gateway.errors import BAD_BODY, BAD_CHANNEL, BAD_PARAMETER, TOO_LARGE, Failure
from pullse.gateway.wire import JSON, MSGPACK, Format
from pullse.kit.web import Answer, Headers, Receive, Scope

if TYPE_CHECKING:
    from pullse.gateway.service import Gateway
    from pullse.gateway.sse import Streams

BODY_AT_MOST = 1 << 20
NEWEST_VERSION = 6
VERSION = re.compile(r"([0-9]{1,6})(\.[0-9]{1,6})*")
ORIGIN = re.compile(rb"[!-~]{1,300}")
BY_TYPE = {each.content_type.decode(): each for each in (JSON, MSGPACK)}
BY_NAME = {each.name: each for each in (JSON, MSGPACK)}

ALLOWED = (
    b"authorization, content-type, accept, last-event-id, x-ably-version, ably-agent, "
    b"x-ably-lib, x-ably-clientid, x-ably-name, x-ably-messageid, x-ably-encoding, "
    b"x-ably-connectionkey"
)
EXPOSED = b"Link, X-Ably-ErrorCode, X-Ably-ErrorMessage, X-Request-Id"


class Result(NamedTuple):
    """What a call answers; `content` None has no body. `links` are of relations to URLs."""

    content: Any
    status: int = 200
    links: Mapping[str, str] = {}


class Request:
    """One call to the gateway."""

    def __init__(
        self, gateway: "Gateway", streams: "Streams", scope: Scope, receive: Receive
    ) -> None:
        self.gateway = gateway
        self.streams = streams
        self.scope = scope
        self.method: str = scope["method"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        query = scope["query_string"].decode(errors="replace")
        self.query = dict(parse_qsl(query, keep_blank_values=True))
        self.has_envelope = self.query.get("envelope") == "json"
        self.format = JSON if self.has_envelope else answer_format(self.headers, self.query)
        self._receive = receive

    @property
    def credentials(self) -> Credentials:
        """As the request has them; but `?clientId=` is no part of them here, it is a filter."""
        query = {name: value for name, value in self.query.items() if name != "clientId"}
        return Credentials.read(self.headers, query)

    async def identify(self) -> Identity:
        """Who asks. Raises Failure."""
        return await self.gateway.keyring.identify(self.credentials)

    @property
    def version(self) -> int:
        """Of the protocol, its first number; the newest if none is given."""
        text = self.headers.get(b"x-ably-version", b"").decode("latin-1") or self.query.get("v")
        if not text:
            return NEWEST_VERSION
        match = VERSION.fullmatch(text)
        if match is None:
            raise Failure(BAD_PARAMETER, "X-Ably-Version: a version of the protocol, such as 2.")
        return int(match[1])

    def header(self, name: bytes) -> str | None:
        """The last value of a header, by its lower-case name; UTF-8 if it is that."""
        value = self.headers.get(name)
        if value is None:
            return None
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.decode("latin-1")

    def check(self) -> None:
        """Raises Failure for what no parameter may hold."""
        if any("\0" in value for value in self.query.values()):
            raise Failure(BAD_PARAMETER, "No parameter may hold the character NUL.")

    def flag(self, name: str, default: bool) -> bool:
        text = self.query.get(name, "").lower()
        if text not in ("", "true", "false"):
            raise Failure(BAD_PARAMETER, f"{name}: true or false.")
        return text == "true" if text else default

    def number(self, name: str, *, least: int = 0, most: int) -> int | None:
        """Raises Failure for anything else than a whole number from `least` to `most`."""
        text = self.query.get(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) >= least):
            raise Failure(BAD_PARAMETER, f"{name}: a whole number from {least}.")
        if int(text) > most:
            raise Failure(BAD_PARAMETER, f"{name}: at most {most}.")
        return int(text)

    @property
    def media_type(self) -> str:
        value = self.headers.get(b"content-type", b"").decode("latin-1")
        return value.partition(";")[0].strip().lower()

    @property
    def body_format(self) -> Format:
        """JSON for all that does not say that it is MessagePack."""
        return BY_TYPE.get(self.media_type, JSON)

    async def read(self, *, most: int = BODY_AT_MOST) -> bytes:
        """The body's bytes. Raises Failure when there are more than `most`."""
        length = self.headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > most:
            raise too_large(most)
        body = bytearray()
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Failure(BAD_BODY, "The connection ended before the body did.")
            body += message.get("body", b"")
            if len(body) > most:
                raise too_large(most)
            if not message.get("more_body"):
                return bytes(body)

    async def read_as(self, shape: Any, *, most: int = BODY_AT_MOST) -> Any:
        """The body in its format, as `shape`."""
        return self.body_format.decode(await self.read(most=most), shape)


def too_large(most: int) -> Failure:
    return Failure(TOO_LARGE, f"The body is larger than {most >> 20} MiB.", 413)


def segments_of(scope: Scope, headers: Mapping[bytes, bytes]) -> list[str]:
    """
    The path's segments, each decoded once. Raises Failure.

    A channel's name may have any character, so an encoded slash is none. ably-python writes
    a blank as "+"; nobody else does.
    """
    raw = scope.get("raw_path") or quote(scope["path"]).encode()
    is_form = b"ably-python" in headers.get(b"ably-agent", b"")
    try:
        path = raw.partition(b"?")[0].decode()
        return [decoded(each, is_form=is_form) for each in path.split("/")[1:]]
    except UnicodeError as error:
        raise Failure(BAD_CHANNEL, "The path is not text in UTF-8.") from error


def decoded(segment: str, *, is_form: bool) -> str:
    if is_form:
        return unquote_plus(segment, errors="strict")
    return unquote_to_bytes(segment).decode()


def answer_format(headers: Mapping[bytes, bytes], query: Mapping[str, str]) -> Format:
    """What Accept asks for; if it names neither format, what `?format=` does; else JSON."""
    accept = headers.get(b"accept", b"").decode("latin-1")
    wanted = [(weight, found) for each in accept.split(",") for weight, found in weighed(each)]
    if wanted:
        return max(wanted, key=lambda each: each[0])[1]
    return BY_NAME.get(query.get("format", ""), JSON)


def weighed(accepted: str) -> Iterable[tuple[float, Format]]:
    """One range of an Accept header, if it is one of our types."""
    name, *parameters = (each.strip().lower() for each in accepted.split(";"))
    if name in BY_TYPE:
        quality = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        try:
            weight = float(quality)
        except ValueError:
            weight = 1.0
        if weight > 0:
            yield weight, BY_TYPE[name]


def answer(request: Request, result: Result) -> Answer:
    if result.content is None and not request.has_envelope:
        return Answer(result.status, b"", cross_origin(request))
    headers: Headers = []
    if result.links:
        headers.append((b"link", linked(result.links).encode()))
    return finished(request, result.status, result.content, headers)


def refusal(
    request: Request, failure: Failure, headers: Headers | None = None, **beside: Any
) -> Answer:
    """`beside` is what the body has besides the error."""
    told: Headers = [
        (b"x-ably-errorcode", b"%d" % failure.code),
        (b"x-ably-errormessage", in_header(failure.message)),
        *(headers or ()),
    ]
    if failure.status == 401:
        told.append((b"www-authenticate", b"Bearer"))
    if failure.status == 413:
        told.append((b"connection", b"close"))
    if failure.status == 503:
        told.append((b"retry-after", b"1"))
    return finished(request, failure.status, {"error": failure.info, **beside}, told)


def finished(request: Request, status: int, content: Any, headers: Headers) -> Answer:
    """The body in its format, within an envelope for those that can't see status and headers."""
    form = request.format
    if request.has_envelope:
        shown = {name.decode(): value.decode() for name, value in headers}
        content = {"statusCode": status, "response": content, "headers": shown}
        status = 200
    body: bytes = form.encode(content)
    own: Headers = [(b"content-type", form.content_type), (b"content-length", b"%d" % len(body))]
    return Answer(status, body, own + headers + cross_origin(request))


def cross_origin(request: Request) -> Headers:
    """Any page may read what its own key or token opens; the edge refuses foreign ones in dev."""
    origin = request.headers.get(b"origin")
    if origin is None or not ORIGIN.fullmatch(origin):
        return []
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", EXPOSED),
        (b"vary", b"Origin"),
    ]


def preflight(request: Request, methods: Iterable[str]) -> Answer:
    headers: Headers = [
        (b"access-control-allow-methods", ", ".join(methods).encode()),
        (b"access-control-allow-headers", ALLOWED),
        (b"access-control-max-age", b"600"),
    ]
    return Answer(204, b"", cross_origin(request) + headers)


def in_header(text: str) -> bytes:
    """Printable ASCII, not too long: some of it may be a client's."""
    kept = "".join(each if " " <= each <= "~" else "?" for each in text)
    return kept[:500].encode()


def linked(links: Mapping[str, str]) -> str:
    return ", ".join(f'<{url}>; rel="{relation}"' for relation, url in links.items())


def link(segment: str, params: Mapping[str, object]) -> str:
    """A page's address as seen from this one; no comma is left in it."""
    kept = {name: value for name, value in params.items() if value is not None}
    return f"./{segment}?{urlencode(kept, quote_via=quote, safe='')}"
