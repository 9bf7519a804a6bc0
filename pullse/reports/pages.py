"""/insight: how much came, how much was done, how long it took, and what still waits."""

from urllib.parse import urlencode

from pullse.errors import NotFound
from pullse.kit.db import Struct
from pullse.kit.pages import Shown, showing
from pullse.kit.web import Answer, Request
from pullse.reports import asking, charts, sheets
from pullse.reports import insight_queries as queries
from pullse.reports.asking import AGES, PRIORITIES, Insight, InsightQuery
from pullse.reports.charts import NARROW, WIDE, Scale
from pullse.reports.insight_queries import Named
from pullse.reports.lists import agent_of
from pullse.web.frame import Place, shown

HERE = "/insight"
RIGHT = "tickets:read"
RANGES = (7, 30, 90, 365)
AGENTS_AT_MOST = 500
"""To choose from; an address takes any."""


class Shape(Struct, frozen=True):
    """Each chart, wide and for a phone."""

    flow: list[charts.FlowChart]
    backlog: list[charts.BacklogChart]
    assignment: list[charts.TimesChart | None]
    resolution: list[charts.TimesChart | None]
    assigned_scale: Scale | None
    resolved_scale: Scale | None


async def show(request: Request) -> Shown:
    query = request.read_query(InsightQuery)
    insight = await asking.ask(request.database, request.actor, query)
    async with request.database.session() as db:
        teams = await queries.team_names(db, request.actor.teams)
        agents = await queries.choices(db, AGENTS_AT_MOST)
    return await shown(
        request,
        "reports/insight.html",
        query=query,
        insight=insight,
        charts=shape_of(insight),
        ages=AGES,
        priorities=PRIORITIES,
        totals=totals(insight),
        teams=teams,
        agents=agents,
        is_agent=agent_of(request.actor) is not None,
        ranges=RANGES,
        address=address_of(query),
        with_days=lambda days: address_of(query, days=days),
        unlisted=unlisted(query, teams, agents),
    )


async def download(request: Request) -> Answer:
    name, dot, kind = request.path_params["file"].rpartition(".")
    if (dot, kind) != (".", "csv"):
        raise NotFound("There is nothing at this address.")
    insight = await asking.ask(request.database, request.actor, request.read_query(InsightQuery))
    table = asking.table(insight, name)
    return sheets.download(table, f"pullse-{name}-{insight.first}-{insight.last}")


def shape_of(insight: Insight) -> Shape:
    each: tuple[int, ...] = (WIDE, NARROW)
    lines = [*insight.teams, *insight.agents]
    return Shape(
        [charts.flow(insight, width) for width in each],
        [charts.backlog(insight, width) for width in each],
        [charts.times(insight.assigned, width) for width in each],
        [charts.times(insight.resolved, width) for width in each],
        scale([line.assigned for line in lines]),
        scale([line.resolved for line in lines]),
    )


def scale(all_took: list[asking.Took]) -> Scale | None:
    known = [took for took in all_took if took.count]
    return Scale.of(known) if known else None


def totals(insight: Insight) -> dict[str, int]:
    return {
        "created": sum(each.created for each in insight.flow),
        "resolved": sum(each.resolved for each in insight.flow),
        "backlog": sum(insight.backlog.values()),
    }


def address_of(query: InsightQuery, **other: int) -> str:
    """What is asked for, as the query of an address, without what is usual."""
    given = {
        "days": other.get("days", query.days),
        "team_id": query.team_id,
        "assigned_to": query.assigned_to,
    }
    return "?" + urlencode({name: value for name, value in given.items() if value})


def unlisted(query: InsightQuery, teams: list[Named], agents: list[Named]) -> dict[str, bool]:
    """Is somebody asked for who is not among the choices?"""
    return {
        "team_id": query.team_id not in {"", "none", *ids(teams)},
        "assigned_to": query.assigned_to not in {"", "none", "me", *ids(agents)},
    }


def ids(named: list[Named]) -> set[str]:
    return {str(each.id) for each in named}


pages = [
    showing(HERE, show, RIGHT, query=InsightQuery),
    showing(f"{HERE}/{{file}}", download, RIGHT, query=InsightQuery),
]
places = [Place(HERE, "places.insight", "chart", RIGHT, key="g i")]
