"""
What is in the head of every answer, put together once: each request pays for it.

Answers are data. Nothing of them may be shown in a frame, run as a page of ours or be
embedded by another site, and what comes over TLS once is to come over TLS for a year.
"""

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
