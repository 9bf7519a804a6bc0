"""What must be so afterwards. Each check returns sentences about what is not."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from bench.chaos.writers import Promise

ACTIVITY, UPDATES = "tickets-activity", "tickets-updates"
SHOWN = 10


def kept(promises: Iterable[Promise], tickets: list[Any], facts: list[Any]) -> list[str]:
    """Every acknowledged write is in the database, once, with its one fact."""
    by_id = {ticket["id"]: ticket for ticket in tickets}
    of_version = Counter((fact["ticket_id"], fact["data"].get("version")) for fact in facts)
    status = {
        (fact["ticket_id"], fact["data"].get("version")): fact["data"].get("status")
        for fact in facts
    }
    wrong = []
    for promise in promises:
        place = promise.ticket_id, promise.version
        ticket = by_id.get(promise.ticket_id)
        if ticket is None or ticket["title"] != promise.title:
            wrong.append(f"LOST: the ticket of {promise}")
        elif ticket["version"] < promise.version:
            wrong.append(f"LOST: the change of {promise}, it is at {ticket['version']}")
        if of_version[place] != 1:
            wrong.append(f"{of_version[place]} FACTS for {promise}")
        elif status[place] != promise.status:
            wrong.append(f"WRONG FACT for {promise}: it says {status[place]}")
    return wrong


def told(tickets: list[Any], facts: list[Any]) -> list[str]:
    """Acknowledged or not: a ticket's versions are its facts, and no create was done twice."""
    versions = defaultdict(list)
    for fact in facts:
        versions[fact["ticket_id"]].append(fact["data"]["version"])
    wrong = [
        f"FACTS OF {ticket['title']}: {versions[ticket['id']]}, it is at {ticket['version']}"
        for ticket in tickets
        if versions.pop(ticket["id"], []) != list(range(1, ticket["version"] + 1))
    ]
    wrong += [f"FACTS WITHOUT A TICKET: {ticket_id}" for ticket_id in versions]
    titles = Counter(ticket["title"] for ticket in tickets)
    return wrong + [f"{count} TICKETS for {title}" for title, count in titles.items() if count > 1]


def heard(ids: list[int], facts: list[Any]) -> list[str]:
    """The subscriber saw each fact once, in the order of the feed."""
    return same("The subscriber", ids, [fact["id"] for fact in facts])


def forwarded(messages: list[Any], facts: list[Any]) -> list[str]:
    """Ably holds each fact of the feed once, in order, on both channels."""
    held: dict[str, list[Any]] = defaultdict(list)
    for message in messages:
        held[message["channel"]].append((message["id"], message["name"]))
    return [
        *same("tickets-activity", held[ACTIVITY], [(str(f["id"]), f["name"]) for f in facts]),
        *same("tickets-updates", held[UPDATES], [(str(f["id"]), n) for f, n in announced(facts)]),
    ]


def announced(facts: list[Any]) -> Iterable[tuple[Any, str]]:
    for fact in facts:
        if fact["name"] == "ticket.created":
            yield fact, "ticket_created"
        elif fact["name"] == "ticket.changed" and "status" in fact["data"]["changes"]:
            yield fact, "ticket_updated"


def same(who: str, found: list[Any], expected: list[Any]) -> list[str]:
    if found == expected:
        return []
    missing = set(expected) - set(found)
    repeated = [each for each, count in Counter(found).items() if count > 1]
    place = {each: number for number, each in enumerate(expected)}
    out = [pair for pair in pairwise(found) if place.get(pair[0], -1) > place.get(pair[1], -1)]
    return [
        f"{who}: {len(found)} of {len(expected)}; "
        f"MISSING {len(missing)}: {sorted(missing)[:SHOWN]}; "
        f"REPEATED {repeated[:SHOWN]}; OUT OF ORDER {out[:SHOWN]}; "
        f"UNKNOWN {sorted(set(found) - set(expected))[:SHOWN]}"
    ]
