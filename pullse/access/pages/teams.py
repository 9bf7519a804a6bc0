"""/teams: which there are and who is in them, for those who may change it."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from pullse.agents.model import Name
from pullse.errors import NotFound, Refusal, Stale
from pullse.kit import by_name
from pullse.kit.pages import EMPTY, Form, Shown, doing, read_form, see, showing, status_of
from pullse.kit.web import Request
from pullse.teams import actions, queries
from pullse.teams.api import id_in_path, member_in_path
from pullse.teams.model import Member, NewTeam, Team, TeamChanges
from pullse.tickets import departures
from pullse.web.frame import shown

HERE = "/teams"
ON_A_PAGE = 100
OTHERS_AT_MOST = 1000
"""Agents who can be chosen; there is PUT /api/teams/{team}/members/{agent} for the rest."""
Cursor = Annotated[str, Meta(max_length=2000)]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cursor: Cursor | None = None
    done: Literal["deleted"] | None = None


class AskedOne(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cursor: Cursor | None = None
    done: Literal["created", "renamed", "private", "open", "joined", "left"] | None = None


class Typed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    is_private: Literal["yes"] | None = None


class TypedName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`version` is that of the team whose name was on the page."""

    name: Name
    version: Annotated[str, Meta(pattern="^[0-9]{1,9}$")]


class TypedPrivacy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    is_private: Literal["yes", "no"]


class TypedMember(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    agent: UUID


async def show(request: Request) -> Shown:
    asked = request.read_query(Asked)
    return await page(request, EMPTY, cursor=asked.cursor, done=asked.done)


async def page(
    request: Request,
    form: Form,
    status: int = 200,
    *,
    cursor: str | None = None,
    done: str | None = None,
) -> Shown:
    after = by_name.place_of(cursor)
    async with request.database.session() as db:
        rows = await queries.page(db, after=after, limit=ON_A_PAGE + 1)
    return await shown(
        request,
        "access/teams.html",
        status,
        form=form,
        teams=[msgspec.json.decode(row[0], type=Team) for row in rows[:ON_A_PAGE]],
        more=more(rows),
        done=done,
    )


async def create(request: Request) -> Shown:
    form = await read_form(request)
    try:
        given = form.read(Typed)
        new = NewTeam(given.name, given.is_private is not None)
        async with request.database.transaction() as db:
            made = await actions.create(db, new, by=request.actor)
    except Refusal as error:
        return await page(request, form.refused(error), status_of(error))
    request.services.tail.wake()
    team = msgspec.json.decode(made.body, type=Team)
    return see(f"{HERE}/{team.id}?done=created")


async def show_one(request: Request) -> Shown:
    asked = request.read_query(AskedOne)
    return await page_of_one(request, EMPTY, cursor=asked.cursor, done=asked.done)


async def page_of_one(
    request: Request,
    form: Form,
    status: int = 200,
    *,
    cursor: str | None = None,
    done: str | None = None,
) -> Shown:
    team_id, after = id_in_path(request), by_name.place_of(cursor)
    async with request.database.session() as db:
        team = await actions.get(db, team_id)
        rows = await queries.members(db, team_id, after=after, limit=ON_A_PAGE + 1)
        others = await queries.others(db, team_id, limit=OTHERS_AT_MOST + 1)
    return await shown(
        request,
        "access/team.html",
        status,
        form=form,
        team=msgspec.json.decode(team.body, type=Team),
        members=[msgspec.json.decode(row[0], type=Member) for row in rows[:ON_A_PAGE]],
        more=more(rows),
        others=others[:OTHERS_AT_MOST],
        has_more_others=len(others) > OTHERS_AT_MOST,
        done=done,
    )


async def rename(request: Request) -> Shown:
    form = await read_form(request)
    try:
        given = form.read(TypedName)
        await change(request, TeamChanges(name=given.name), if_match=[int(given.version)])
    except Stale:
        message = "Somebody changed this team while you wrote; see how it is now."
        return await page_of_one(request, Form(form.given, message), 412)
    except NotFound:
        raise
    except Refusal as error:
        return await page_of_one(request, form.refused(error), status_of(error))
    return done_at(request, "renamed")


async def set_privacy(request: Request) -> Shown:
    form = await read_form(request)
    is_private = form.read(TypedPrivacy).is_private == "yes"
    await change(request, TeamChanges(is_private=is_private))
    return done_at(request, "private" if is_private else "open")


async def change(request: Request, changes: TeamChanges, if_match: list[int] | None = None) -> None:
    team_id, by = id_in_path(request), request.actor
    async with request.database.transaction() as db:
        await departures.change_team(db, team_id, changes, if_match=if_match, by=by)
    request.services.tail.wake()


async def add_member(request: Request) -> Shown:
    form = await read_form(request)
    try:
        given = form.read(TypedMember)
        async with request.database.transaction() as db:
            await actions.join(db, id_in_path(request), given.agent, by=request.actor)
    except NotFound:
        raise
    except Refusal as error:
        return await page_of_one(request, form.refused(error), status_of(error))
    request.services.forget()
    request.services.tail.wake()
    return done_at(request, "joined")


async def remove_member(request: Request) -> Shown:
    await read_form(request)
    agent_id = member_in_path(request)
    async with request.database.transaction() as db:
        await departures.leave(db, id_in_path(request), agent_id, by=request.actor)
    request.services.forget()
    request.services.tail.wake()
    return done_at(request, "left")


async def delete(request: Request) -> Shown:
    await read_form(request)
    try:
        async with request.database.transaction() as db:
            await actions.delete(db, id_in_path(request), by=request.actor)
    except NotFound:
        raise
    except Refusal as error:
        return await page_of_one(request, EMPTY.refused(error), status_of(error))
    request.services.tail.wake()
    return see(f"{HERE}?done=deleted")


def done_at(request: Request, done: str) -> Shown:
    return see(f"{HERE}/{id_in_path(request)}?done={done}")


def more(rows: Sequence[Sequence[Any]]) -> str | None:
    """The cursor of the next page; of rows of body, name and id."""
    return by_name.make_cursor(*rows[ON_A_PAGE - 1][1:]) if len(rows) > ON_A_PAGE else None


pages = [
    showing(HERE, show, "teams:admin", query=Asked),
    doing(HERE, create, "teams:admin"),
    showing(f"{HERE}/{{team}}", show_one, "teams:admin", query=AskedOne),
    doing(f"{HERE}/{{team}}/rename", rename, "teams:admin"),
    doing(f"{HERE}/{{team}}/privacy", set_privacy, "teams:admin"),
    doing(f"{HERE}/{{team}}/members", add_member, "teams:admin"),
    doing(f"{HERE}/{{team}}/members/{{agent}}/remove", remove_member, "teams:admin"),
    doing(f"{HERE}/{{team}}/delete", delete, "teams:admin"),
]
