"""
What of the channels somebody may be given, by their standing: a token is made by it, and holds
as long as it covers what the token says.

Who reads the feed follows tickets; who works with tickets may use free channels too.
"""

from collections.abc import Container
from functools import lru_cache
from typing import NamedTuple

from pullse.access.standings import Standing
from pullse.gateway.capability import (
    ANY,
    CHANNEL,
    EVERYTHING,
    PAIRS_AT_MOST,
    Capability,
    Operations,
    Resource,
    add,
    made,
    too_large,
)
from pullse.gateway.log import TICKET
from pullse.realtime.projection import ACTIVITY, UPDATES

FOLLOW = ["channel-metadata", "history", "subscribe"]
USUAL = Capability.parse(
    {UPDATES: FOLLOW, ACTIVITY: FOLLOW, f"{TICKET}*": [*FOLLOW, "presence"]},
)
"""What a token covers that was asked for without a capability."""


class Allowed(NamedTuple):
    """Of the channels of tickets what `grants` say, and if `has_free`, of all others all."""

    grants: tuple[tuple[Resource, Operations], ...]
    has_free: bool = False

    def of(self, asked: Capability) -> Capability:
        """What of this it is, which may be nothing. Raises Failure 40000."""
        found: dict[Resource, Operations] = {}
        wanted = asked.grants
        if len(wanted) * len(self.grants) > PAIRS_AT_MOST:
            raise too_large()
        for resource, ops in wanted:
            if self.has_free and is_free(resource):
                add(found, resource, ops, ops)
            for own, own_ops in self.grants:
                add(found, resource.meet(own), ops, own_ops)
        return made(found)

    def covers(self, capability: Capability) -> bool:
        """All of it, on every channel."""
        return all(self._covers(resource, ops) for resource, ops in capability.grants)

    def _covers(self, resource: Resource, ops: Operations) -> bool:
        if self.has_free and is_free(resource):
            return True
        own: Operations = frozenset()
        for each, each_ops in self.grants:
            if each.contains(resource):
                own |= each_ops
        return ANY in own or ops <= own


NOTHING = Allowed(())


def is_free(resource: Resource) -> bool:
    """Does it cover channels of applications alone?"""
    first = resource.segments[0] if resource.segments else ANY
    return resource.kind == CHANNEL and first not in TAKEN


TAKEN = frozenset({ANY, UPDATES, ACTIVITY, TICKET.rstrip(":")})
"""What may cover other channels than those, by its first segment."""


def allowed(rights: Container[str]) -> Allowed:
    if "events:read" not in rights:
        return NOTHING
    if "tickets:write" in rights:
        return Allowed(tuple(EVERYTHING.grants))
    return Allowed(tuple(USUAL.grants))


@lru_cache(maxsize=4096)
def covers(standing: Standing | None, capability: Capability) -> bool:
    """None is who is not let in any more."""
    return standing is not None and allowed(standing.rights).covers(capability)
