"""/jobs: what is to be done, what failed for good and can be tried again, what the clock runs."""

import json
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pullse.errors import NotFound, Refusal
from pullse.kit.pages import EMPTY, Form, Shown, doing, read_form, see, showing, status_of
from pullse.kit.web import Request
from pullse.operations import job_actions as actions
from pullse.operations import job_queries as queries
from pullse.operations.job_actions import shown_arguments
from pullse.operations.jobs_api import Name, id_in_path, next_cursor, place_of, scheduled
from pullse.web.frame import shown

HERE = "/jobs"
ON_A_PAGE = 50
Tab = Literal["dead", "queued", "schedule"]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`count` and `more` belong to `done`: how many were retried, and whether there are others."""

    state: Tab | None = None
    name: Name | None = None
    cursor: Annotated[str, Meta(max_length=2000)] | None = None
    done: Literal["retried", "retried_all", "deleted"] | None = None
    count: Annotated[int, Meta(ge=0, le=actions.RETRIED_AT_MOST)] = 0
    more: Literal["yes"] | None = None


class Which(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name | None = None


async def show(request: Request) -> Shown:
    return await page(request, request.read_query(Asked), EMPTY)


async def page(request: Request, asked: Asked, form: Form, status: int = 200) -> Shown:
    after = place_of(asked.cursor)
    async with request.database.session() as db:
        counts = await queries.counts(db)
        tab = asked.state or ("dead" if counts.dead else "queued")
        read = queries.dead if tab == "dead" else queries.queued
        rows = []
        if tab != "schedule":
            rows = await read(db, name=asked.name, after=after, limit=ON_A_PAGE + 1)
        kinds = await queries.kinds(db) if tab == "dead" else []
    return await shown(
        request,
        "operations/jobs.html",
        status,
        form=form,
        tab=tab,
        asked=asked,
        counts=counts,
        counted_at_most=queries.COUNTED_AT_MOST,
        jobs=rows[:ON_A_PAGE],
        more=next_cursor(rows, ON_A_PAGE),
        kinds=kinds,
        schedule=await scheduled(request) if tab == "schedule" else [],
    )


async def show_one(request: Request) -> Shown:
    return await page_of_one(request, EMPTY)


async def page_of_one(request: Request, form: Form, status: int = 200) -> Shown:
    async with request.database.session() as db:
        job = await actions.get(db, id_in_path(request))
    arguments = json.dumps(shown_arguments(job.args), indent=2, ensure_ascii=False)
    return await shown(
        request,
        "operations/job.html",
        status,
        form=form,
        job=job,
        arguments=arguments if job.args != "{}" else "",
    )


async def retry(request: Request) -> Shown:
    await read_form(request)
    try:
        async with request.database.transaction() as db:
            await actions.retry(db, id_in_path(request), by=request.actor)
    except NotFound:
        raise
    except Refusal as error:
        return await page_of_one(request, EMPTY.refused(error), status_of(error))
    return see(f"{HERE}?done=retried")


async def retry_dead(request: Request) -> Shown:
    form = await read_form(request)
    try:
        which = form.read(Which)
        async with request.database.transaction() as db:
            done = await actions.retry_dead(db, which.name, by=request.actor)
    except Refusal as error:
        return await page(request, Asked("dead"), form.refused(error), status_of(error))
    more = "&more=yes" if done.is_more else ""
    return see(f"{HERE}?done=retried_all&count={done.count}{more}")


async def delete(request: Request) -> Shown:
    await read_form(request)
    try:
        async with request.database.transaction() as db:
            await actions.delete(db, id_in_path(request), by=request.actor)
    except NotFound:
        raise
    except Refusal as error:
        return await page_of_one(request, EMPTY.refused(error), status_of(error))
    return see(f"{HERE}?done=deleted")


pages = [
    showing(HERE, show, "operations:admin", query=Asked),
    doing(f"{HERE}/retry", retry_dead, "operations:admin"),
    showing(f"{HERE}/{{job}}", show_one, "operations:admin"),
    doing(f"{HERE}/{{job}}/retry", retry, "operations:admin"),
    doing(f"{HERE}/{{job}}/delete", delete, "operations:admin"),
]
