"""/api/counts: how many tickets there are in the lists that everybody has."""

from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from pullse.kit.web import Answer, Call, Request, encoded, ok
from pullse.reports import lists


class Count(msgspec.Struct, frozen=True):
    name: Annotated[
        str,
        Meta(
            description="`mine` (of who is an agent), `unassigned`, a team's id, `open`, "
            "`resolved` or `trash`."
        ),
    ]
    query: Annotated[
        str | None, Meta(description="For `/api/tickets`; null for `/api/trash/tickets`.")
    ]
    count: Annotated[int | None, Meta(description="Null before all were counted the first time.")]
    team_id: UUID | None
    team: Annotated[str | None, Meta(description="The team's name.")]


class Counts(msgspec.Struct, frozen=True):
    records: list[Count]
    is_exact: Annotated[
        bool, Meta(description="False while facts come faster than they are counted.")
    ]


async def show(request: Request) -> Answer:
    found = await lists.of(request.database, request.actor)
    return ok(request, encoded(found))


LIVE = "status=open&status=in_progress"
EXAMPLE = {
    "records": [
        {
            "name": "unassigned",
            "query": f"{LIVE}&assigned_to=none",
            "count": 4,
            "team_id": None,
            "team": None,
        },
        {"name": "open", "query": LIVE, "count": 17, "team_id": None, "team": None},
        {"name": "trash", "query": None, "count": 2, "team_id": None, "team": None},
    ],
    "is_exact": True,
}

calls = [
    Call(
        "GET",
        "/api/counts",
        show,
        "How many tickets are in each list right now",
        "Tickets have been counted.",
        data=Counts,
        example=EXAMPLE,
        tag="reports",
        permission="tickets:read",
        description="What the caller may see. It costs the same with ten tickets and ten million.",
    ),
]
