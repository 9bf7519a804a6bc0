"""
The lists in the side bar of every page, with how many tickets are in each right now: exactly, or
no number at all.
"""

from collections.abc import Sequence
from urllib.parse import parse_qsl, urlencode

from pullse.desk import lists as desk
from pullse.kit.web import Request, Scope
from pullse.reports import lists
from pullse.reports.lists import Listed
from pullse.web.frame import Entry

RIGHT = "tickets:read"
ICONS = {
    "mine": "person",
    "unassigned": "inbox",
    "open": "list",
    "resolved": "check",
    "trash": "trash",
}
KEYS = {"mine": "g m", "unassigned": "g u", "open": "g o", "resolved": "g r", "trash": "g x"}
NO_MATTER = frozenset({"cursor", "limit", "fragment", "done", "edit", "open"})
"""In an address: what does not make it another list."""


async def of(request: Request) -> Sequence[Entry]:
    """Nothing for who may not read tickets."""
    if RIGHT not in request.actor.rights:
        return []
    home = desk.wanted(desk.home(request.actor), request.actor, "UTC")
    here = same_list(home.path) if request.scope["path"] == "/" else address_of(request.scope)
    found = await lists.of(request.database, request.actor)
    return [entry(each, here, is_exact=found.is_exact) for each in found.records]


def entry(listed: Listed, here: object, *, is_exact: bool) -> Entry:
    path = path_of(listed)
    return Entry(
        listed.name,
        path,
        listed.team or f"lists.{listed.name}",
        ICONS.get(listed.name, "team"),
        listed.count if is_exact else None,
        is_named=listed.team is not None,
        key=KEYS.get(listed.name, ""),
        is_here=same_list(path) == here,
    )


def path_of(listed: Listed) -> str:
    if listed.query is None:
        return "/trash"
    pairs = parse_qsl(listed.query)
    if listed.name == "mine":
        pairs = [(name, "me" if name == "assigned_to" else value) for name, value in pairs]
    return f"/tickets?{urlencode(pairs)}"


def address_of(scope: Scope) -> object:
    return same_list(f"{scope['path']}?{scope['query_string'].decode('latin-1')}")


def same_list(address: str) -> object:
    """Equal for two addresses of the same list; `side-counts.js` compares likewise."""
    path, _, query = address.partition("?")
    pairs = [pair for pair in parse_qsl(query) if pair[0] not in NO_MATTER]
    return path, sorted(pairs)
