"""
What can go wrong on purpose.

Raise the most telling subclass; `kit.web` turns the family into an HTTP status.
Nothing here knows about HTTP.

    Refusal
    ├── Invalid       what you sent makes no sense; `problems` name the fields
    ├── Unproven      who you are is not shown, or not by that
    ├── Forbidden     it is there, and you may not
    ├── NotFound      it is not there, or you may not know that it is
    ├── Conflict      you may, but not in its present state
    ├── Stale         it has changed since you read it
    ├── Mismatch      an idempotency key that was used with another payload
    ├── Gone          a place in the feed that no longer exists: start over
    ├── TooMany       not again so soon; `seconds` says when
    └── Unavailable   not now: the database is away or busy, try again
"""

from typing import Any


class Refusal(Exception):
    """An expected no. The message is one sentence for the person who asked."""

    code = "refused"

    def __init__(
        self, message: str, *, problems: dict[str, str] | None = None, data: Any = None
    ) -> None:
        super().__init__(message)
        self.problems = problems or {}
        self.data = data


class Invalid(Refusal):
    code = "invalid"

    @classmethod
    def field(cls, name: str, message: str) -> "Invalid":
        return cls(f"{name}: {message}", problems={name: message})


class Unproven(Refusal):
    code = "unauthorized"


class Forbidden(Refusal):
    code = "forbidden"


class NotFound(Refusal):
    code = "not_found"


class Conflict(Refusal):
    code = "conflict"


class Stale(Refusal):
    code = "stale"


class Mismatch(Refusal):
    code = "idempotency_key_reused"


class Gone(Refusal):
    code = "start_over"


class TooMany(Refusal):
    code = "too_many"

    def __init__(self, message: str, *, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds


class Unavailable(Refusal):
    code = "unavailable"
