"""
/api/counts, how many tickets there are in the lists that everybody has; and /api/insight, how many
there were, and how long they took.
"""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from pullse.kit.web import Answer, Call, Request, encoded, ok
from pullse.reports import asking, lists
from pullse.reports.asking import InsightQuery


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


class Insight(msgspec.Struct, frozen=True):
    first: date
    last: date
    until: Annotated[
        datetime | None, Meta(description="What happened up to then is in; null for nothing.")
    ]
    is_complete: Annotated[
        bool, Meta(description="False while history from before the upgrade is being read.")
    ]
    records: list[dict[str, str | int | float | None]]


async def show(request: Request) -> Answer:
    found = await lists.of(request.database, request.actor)
    return ok(request, encoded(found))


async def show_insight(request: Request) -> Answer:
    query = request.read_query(InsightQuery)
    found = await asking.ask(request.database, request.actor, query)
    table = asking.table(found, request.path_params["name"])
    progress = found.progress
    shown = Insight(
        found.first,
        found.last,
        progress.until,
        not progress.is_first,
        [dict(zip(table.columns, row, strict=True)) for row in table.rows],
    )
    return ok(request, encoded(shown))


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
    Call(
        "GET",
        "/api/insight/{name}",
        show_insight,
        "How many tickets there were, and how long they took",
        "Insight has been fetched.",
        query=InsightQuery,
        data=Insight,
        example={
            "first": "2026-11-27",
            "last": "2026-11-28",
            "until": "2026-11-28T09:00:00.123456+00:00",
            "is_complete": True,
            "records": [
                {"day": "2026-11-27", "created": 31, "resolved": 28},
                {"day": "2026-11-28", "created": 12, "resolved": 9},
            ],
        },
        tag="reports",
        permission="tickets:read",
        description="`flow`, `backlog`, `assignment`, `resolution`, `teams` or `agents`, of "
        "what the caller may see. Days are UTC; durations are within 5 %.",
    ),
]
