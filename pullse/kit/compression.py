"""
What is sent smaller than it is, to who can read it so.

A page tells by its size what is in it, to who sees the wire and can make a browser ask for it
with words of their choice beside a secret (BREACH). So a page that another site had asked for
is sent as it is, and so is every answer to a form, where what is shown only once is shown.
"""

import re
import zlib

WORTH_IT = 1024
"""Smaller ones fit into one packet anyway."""
QUICKLY, ONCE = 5, 9
GZIP = 31
"""zlib's name for that format."""
CODING = re.compile(r"\s*([\w*-]+)\s*(?:;\s*q=([01](?:\.\d{0,3})?)\s*)?")
PACKED = [(b"content-encoding", b"gzip")]
VARIES = (b"vary", b"accept-encoding")
OWN_SITES = (None, "same-origin", "none")


def takes_gzip(accept: str | None) -> bool:
    """By `Accept-Encoding` (RFC 9110, 12.5.3)."""
    said = {}
    for each in (accept or "")[:500].split(","):
        if found := CODING.fullmatch(each):
            said[found[1].lower()] = float(found[2] or 1)
    return said.get("gzip", said.get("*", 0)) > 0


def is_safe(method: str, site: str | None) -> bool:
    """`site` is `Sec-Fetch-Site`; without TLS browsers don't say it, and the wire is open."""
    return method == "GET" and site in OWN_SITES


def packed(body: bytes, level: int = QUICKLY) -> bytes:
    """The same bytes for the same body: no time is in it."""
    squeezer = zlib.compressobj(level, zlib.DEFLATED, GZIP)
    return squeezer.compress(body) + squeezer.flush()
