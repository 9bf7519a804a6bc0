"""The lists in the side bar of every page."""

from collections.abc import Sequence

from pullse.kit.web import Request
from pullse.web.frame import Entry

LIVE = "status=open&status=in_progress"


async def of(request: Request) -> Sequence[Entry]:
    if "tickets:read" not in request.actor.rights:
        return []
    return [
        Entry(
            "unassigned",
            f"/tickets?{LIVE}&assigned_to=none",
            "lists.unassigned",
            "inbox",
            key="g u",
        ),
        Entry("open", f"/tickets?{LIVE}", "lists.open", "list", key="g o"),
        Entry("trash", "/trash", "lists.trash", "trash", key="g x"),
    ]
