"""
What a key or a token may do: a map from resources to operations.

A resource is a channel's name, or a pattern of segments between colons. `*` stands for one
whole segment, at the end for one or more; `foo*` is nothing but the channel of that name.
`*` alone covers every channel, but neither `[meta]` nor `[queue]`; `[*]*` covers everything.
The operations of all resources that match a channel add up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec

from pullse.gateway.errors import BAD_REQUEST, Failure

ANY = "*"
ANY_KIND = "[*]"
CHANNEL = ""
"""The kind of a plain channel; that of others is their prefix, such as `[meta]`."""

OPERATIONS = frozenset(
    {
        "annotation-publish",
        "annotation-subscribe",
        "channel-metadata",
        "history",
        "message-delete-any",
        "message-delete-own",
        "message-update-any",
        "message-update-own",
        "object-publish",
        "object-subscribe",
        "presence",
        "presence-subscribe",
        "privileged-headers",
        "publish",
        "push-admin",
        "push-subscribe",
        "statistics",
        "stats",
        "subscribe",
    }
)
TEXT_AT_MOST = 12_000
"""Bytes of the JSON, so that a token that carries it fits into a header."""
PAIRS_AT_MOST = 250_000
"""Pairs of resources that are compared to intersect two capabilities."""
SEEN_AT_MOST, SEEN_LENGTH = 250, 250
"""Channels whose operations one capability remembers, and how long their names may be."""

Operations = frozenset[str]


@dataclass(frozen=True, slots=True)
class Resource:
    """`is_open`: after `segments` come one or more of any."""

    kind: str
    segments: tuple[str, ...]
    is_open: bool

    @classmethod
    def parse(cls, text: str) -> "Resource":
        kind, segments = taken_apart(text)
        is_open = segments[-1] == ANY
        return cls(kind, segments[:-1] if is_open else segments, is_open)

    @property
    def text(self) -> str:
        return self.kind + ":".join((*self.segments, ANY) if self.is_open else self.segments)

    @property
    def is_name(self) -> bool:
        """It covers the one channel that is called so."""
        return not self.is_open and ANY not in self.segments and self.kind != ANY_KIND

    def covers(self, kind: str, segments: tuple[str, ...]) -> bool:
        count = len(self.segments)
        if len(segments) <= count if self.is_open else len(segments) != count:
            return False
        if self.kind not in (kind, ANY_KIND):
            return False
        pairs = zip(self.segments, segments, strict=False)
        return all(own in (ANY, other) for own, other in pairs)

    def contains(self, other: "Resource") -> bool:
        """Does it cover all that the other one does?"""
        return self.meet(other) == other

    def meet(self, other: "Resource") -> "Resource | None":
        """What both cover, exactly; None if that is nothing."""
        kind = met(self.kind, other.kind, ANY_KIND)
        short, long = sorted((self, other), key=lambda each: (len(each.segments), each.is_open))
        if kind is None or not is_as_long(short, long):
            return None
        segments = list(long.segments)
        for index, (one, two) in enumerate(zip(short.segments, long.segments, strict=False)):
            segment = met(one, two, ANY)
            if segment is None:
                return None
            segments[index] = segment
        return Resource(kind, tuple(segments), self.is_open and other.is_open)


def is_as_long(short: Resource, long: Resource) -> bool:
    """Can a name have as many segments as both ask for?"""
    if len(short.segments) == len(long.segments):
        return short.is_open == long.is_open
    return short.is_open


def met(one: str, two: str, any_: str) -> str | None:
    if one == two or two == any_:
        return one
    return two if one == any_ else None


def taken_apart(name: str) -> tuple[str, tuple[str, ...]]:
    """The kind of a channel or resource, and its segments."""
    kind = CHANNEL
    if name.startswith("["):  # without its `]` it is all kind, which nothing but itself covers
        inner, bracket, name = name.partition("]")
        kind = inner + bracket
    return kind, tuple(name.split(":"))


@dataclass(frozen=True, slots=True)
class Capability:
    """`text` is canonical JSON: keys and operations are sorted, without spaces."""

    text: str
    _names: dict[str, Operations] = field(compare=False, repr=False)
    _patterns: tuple[tuple[Resource, Operations], ...] = field(compare=False, repr=False)
    _seen: dict[str, Operations] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def parse(cls, value: object) -> "Capability":
        """
        Of JSON text, or of what it says. Raises Failure 40000.

        It names at least one resource, each with operations that exist, or with `*` alone.
        """
        if isinstance(value, str):
            return _of_text(value)
        if isinstance(value, Mapping):
            return _of_map(value)
        raise bad('a JSON object of lists of operations, such as {"chat:*":["subscribe"]}')

    @property
    def is_empty(self) -> bool:
        """Nothing is allowed, as after an intersection of what has nothing in common."""
        return not self._names and not self._patterns

    @property
    def resources(self) -> list[str]:
        return [*self._names, *(resource.text for resource, _ in self._patterns)]

    def ops(self, channel: str) -> Operations:
        """The operations that are allowed on a channel, by its name without `[?…]`."""
        found = self._seen.get(channel)
        if found is None:
            found = self._look_up(channel)
            if len(channel) <= SEEN_LENGTH:
                if len(self._seen) >= SEEN_AT_MOST:
                    self._seen.clear()
                self._seen[channel] = found
        return found

    def allows(self, channel: str, op: str) -> bool:
        return op in self.ops(channel)

    def intersect(self, other: "Capability") -> "Capability":
        """What both allow, exactly: on no channel more, on none less. Raises Failure 40000."""
        return self if self == other else _intersection(self, other)

    def _look_up(self, channel: str) -> Operations:
        found = self._names.get(channel, frozenset())
        kind, segments = taken_apart(channel)
        for resource, ops in self._patterns:
            if resource.covers(kind, segments):
                found |= ops
        return OPERATIONS if ANY in found else found

    @property
    def grants(self) -> list[tuple[Resource, Operations]]:
        """Its resources, each with its operations."""
        names = ((Resource.parse(name), ops) for name, ops in self._names.items())
        return [*names, *self._patterns]


@lru_cache(maxsize=512)
def _of_text(text: str) -> Capability:
    if len(text) > TEXT_AT_MOST:
        raise too_large()
    try:
        return _of_map(msgspec.json.decode(text))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise bad("this is not JSON") from None


def _of_map(given: Any) -> Capability:
    if not isinstance(given, Mapping) or not given:
        raise bad("an object with at least one resource")
    grants: dict[Resource, Operations] = {}
    for name, ops in given.items():
        if not isinstance(name, str) or not name or "\0" in name:
            raise bad("a resource is a text, such as chat:*")
        grants[Resource.parse(name)] = checked(name, ops)
    return made(grants)


def checked(name: str, ops: object) -> Operations:
    if not isinstance(ops, list | tuple) or not ops or not all(isinstance(op, str) for op in ops):
        raise bad(f"{name[:100]} needs a list of operations")
    found: Operations = frozenset(ops)
    if ANY in found and len(found) > 1:
        raise bad(f"{name[:100]}: * stands alone")
    unknown = sorted(found - OPERATIONS - {ANY})
    if unknown:
        raise bad(f"{name[:100]}: there is no operation {unknown[0][:50]}")
    return found


def made(grants: Mapping[Resource, Operations]) -> Capability:
    lists = {resource.text: sorted(ops) for resource, ops in grants.items()}
    try:
        text = msgspec.json.encode(lists, order="sorted")
    except UnicodeError:
        raise bad("a resource is a text, such as chat:*") from None
    if len(text) > TEXT_AT_MOST:
        raise too_large()
    return Capability(
        text.decode(),
        {resource.text: ops for resource, ops in grants.items() if resource.is_name},
        tuple((resource, ops) for resource, ops in grants.items() if not resource.is_name),
    )


@lru_cache(maxsize=1024)
def _intersection(one: Capability, two: Capability) -> Capability:
    grants: dict[Resource, Operations] = {}
    for name in one._names.keys() & two._names.keys():
        add(grants, Resource.parse(name), one._names[name], two._names[name])
    ones, twos = one.grants, two.grants
    if len(one._patterns) * len(twos) + len(ones) * len(two._patterns) > PAIRS_AT_MOST:
        raise too_large()
    for resource, ops in one._patterns:
        for other, other_ops in twos:
            add(grants, resource.meet(other), ops, other_ops)
    for resource, ops in ones:
        for other, other_ops in two._patterns:
            add(grants, resource.meet(other), ops, other_ops)
    return made(grants)


def add(
    grants: dict[Resource, Operations], resource: Resource | None, one: Operations, two: Operations
) -> None:
    ops = two if ANY in one else one if ANY in two else one & two
    if resource is None or not ops:
        return
    ops |= grants.get(resource, frozenset())
    grants[resource] = frozenset({ANY}) if ANY in ops else ops


def bad(why: str) -> Failure:
    return Failure(BAD_REQUEST, f"capability: {why}.")


def too_large() -> Failure:
    return bad("too large; use patterns such as chat:* in place of many names")


NOTHING = made({})
EVERYTHING = Capability.parse({"[*]*": [ANY]})
