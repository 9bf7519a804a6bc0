"""
What is in the head of every answer, put together once: each request pays for it.

Answers are data. Nothing of them may be shown in a frame, run as a page of ours or be
embedded by another site, and what comes over TLS once is to come over TLS for a year.

A page's answer brings a head of its own along, in the place of this one: it shows, runs and
asks for what is ours alone, nothing is inline, and nobody keeps a copy.
"""

from collections.abc import Sequence

from pullse.kit.web import Answer, Headers

SECURE = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")

OF_ANNEX = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"private, no-cache"),
)
"""Ably's clients call from any page, and read what has other types than ours."""
OF_SHARED = (
    *OF_ANNEX,
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
"""For the pages of an origin that may read it."""
OF_ANSWER = (*OF_SHARED, (b"cross-origin-resource-policy", b"same-origin"))


def of_page(connects: Sequence[str] = ()) -> tuple[tuple[bytes, bytes], ...]:
    """`connects` are origins that its scripts talk with, besides our own."""
    connect = " ".join(["'self'", *connects])
    return (
        (b"content-type", b"text/html; charset=utf-8"),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
        (
            b"content-security-policy",
            b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
            b"connect-src %s; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
            b"require-trusted-types-for 'script'; trusted-types pullse" % connect.encode("ascii"),
        ),
        # with no-referrer, browsers would send forms with `Origin: null`: we couldn't tell ours
        (b"referrer-policy", b"same-origin"),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"cross-origin-resource-policy", b"same-origin"),
        (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    )


OF_PAGE = of_page()
OF_ASSET = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
OF_EVERY = frozenset({b"x-request-id", b"strict-transport-security", b"ratelimit"})
"""Of the usual head, what stays beside another one; also ratelimit-policy."""


def instead(head: Headers, usual: Headers) -> Headers:
    """The usual head, with another one in its place; other origins read none of that."""
    kept = [each for each in usual if each[0].removesuffix(b"-policy") in OF_EVERY]
    return [*head, *kept]


def cors(origin: bytes) -> Headers:
    return [
        (b"access-control-allow-origin", origin),
        (
            b"access-control-expose-headers",
            b"ETag, Location, X-Request-Id, Idempotency-Replayed, RateLimit, RateLimit-Policy, "
            b"Retry-After",
        ),
        (b"vary", b"Origin"),
    ]


def preflight() -> Answer:
    return Answer(
        204,
        b"",
        [
            (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE"),
            (
                b"access-control-allow-headers",
                b"Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key, "
                b"Last-Event-ID, X-Request-Id",
            ),
            (b"access-control-max-age", b"600"),
        ],
    )
