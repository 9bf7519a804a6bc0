"""`ETag`, `If-Match` and `If-None-Match`: a resource's version in quotes, RFC 9110 section 13."""

import re

from pullse.errors import Invalid
from pullse.kit.web import Answer, Headers, Request

LIST = re.compile(r'\s*(?:W/)?"([^"]*)"\s*')


def etag(version: int) -> Headers:
    return [(b"etag", b'"%d"' % version)]


def if_match(request: Request) -> list[int] | None:
    """The versions that a change is meant for; None for any."""
    given = request.header(b"if-match")
    if given is None or given.strip() == "*":
        return None
    versions = []
    for part in given.split(","):
        found = LIST.fullmatch(part)
        if not found:
            raise Invalid.field("If-Match", 'A version in quotes, as ETag gives it: "3".')
        if found[1].isascii() and found[1].isdigit() and len(found[1]) < 10:
            versions.append(int(found[1]))
    return versions


def unchanged(request: Request, version: int) -> Answer | None:
    """304 when the caller has this version already."""
    given = request.header(b"if-none-match")
    if given is None:
        return None
    tags = [found[1] for part in given.split(",") if (found := LIST.fullmatch(part))]
    if given.strip() == "*" or str(version) in tags:
        return Answer(304, b"", etag(version))
    return None
