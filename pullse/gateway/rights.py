"""
What of the channels somebody may be given, by their standing: a token is made by it, and holds
as long as it covers what the token says.

Who reads the feed follows tickets, and those of private teams as far as they may see them; who
works with tickets may use free channels too. What would cover channels of private teams that
somebody does not see (`*`, `*:a`, `private:*`) becomes what it covers of their own.
"""

from collections.abc import Collection, Container
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

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
    checked,
    made,
    too_large,
)
from pullse.gateway.log import TICKET
from pullse.realtime.projection import ACTIVITY, PRIVATE, UPDATES

Grants = tuple[tuple[Resource, Operations], ...]

FOLLOW = ["channel-metadata", "history", "subscribe"]
JOIN = [*FOLLOW, "presence"]
USUAL = {UPDATES: FOLLOW, ACTIVITY: FOLLOW, f"{TICKET}*": JOIN}


def usual(teams: Collection[UUID] | None) -> Capability:
    """
    What a token covers that was asked for without a capability: also what is private to these
    teams; None: to any. Raises Failure 40000 for more teams than fit into a token.
    """
    return made(dict(followed(teams)))


def followed(teams: Collection[UUID] | None) -> Grants:
    resources = dict(USUAL)
    if teams is None:
        resources[f"{PRIVATE}*"] = JOIN
    else:
        resources |= {f"{PRIVATE}{team}:*": JOIN for team in teams}
    return tuple((Resource.parse(name), checked(name, ops)) for name, ops in resources.items())


class Allowed(NamedTuple):
    """Of the channels of tickets what `grants` say, and if `has_free`, of all others all."""

    grants: Grants
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


TAKEN = frozenset({ANY, UPDATES, ACTIVITY, TICKET.rstrip(":"), PRIVATE.rstrip(":")})
"""What may cover other channels than those, by its first segment."""


def allowed(rights: Container[str], teams: Collection[UUID] | None) -> Allowed:
    """By the permissions, and the teams that somebody is in; None: sees what is private to any."""
    if "events:read" not in rights:
        return NOTHING
    can_work = "tickets:write" in rights
    if can_work and teams is None:
        return Allowed(tuple(EVERYTHING.grants))
    return Allowed(followed(teams), can_work)


@lru_cache(maxsize=4096)
def covers(standing: Standing | None, capability: Capability) -> bool:
    """None is who is not let in any more."""
    return standing is not None and allowed(standing.rights, standing.teams).covers(capability)
