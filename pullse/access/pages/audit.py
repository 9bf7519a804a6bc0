"""/audit: who was let do what, in words, the newest first; and whether anybody edited it."""

import re
from datetime import date
from typing import Annotated, Literal
from urllib.parse import urlencode

import msgspec
from msgspec import Meta

from pullse.access import audit_export
from pullse.access import audit_queries as queries
from pullse.access.audit import NAMES
from pullse.access.audit_api import Hash, Walk, place_of, walked
from pullse.access.audit_export import Export, NewExport
from pullse.access.audit_queries import Span
from pullse.access.audit_words import ACTORS, Names, ids_in, told
from pullse.errors import Invalid, Refusal
from pullse.kit.audit import Entry
from pullse.kit.db import Db
from pullse.kit.pages import EMPTY, Form, Shown, doing, read_form, showing, status_of
from pullse.kit.web import Request
from pullse.web.frame import shown

HERE = "/audit"
ON_A_PAGE = 50
CHOSEN_AT_MOST = 500
"""Agents in the list to choose from; an address may name any."""
Day = Annotated[str, Meta(max_length=10)]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the form leaves empty is as good as not there."""

    actor: Annotated[str, Meta(max_length=200)] = ""
    name: Literal["", *NAMES] = ""  # type: ignore[valid-type]
    since: Day = ""
    until: Day = ""
    before: Annotated[str, Meta(max_length=40)] = ""

    @property
    def span(self) -> Span:
        """Raises `Invalid`."""
        since, until = day("since", self.since), day("until", self.until)
        return Span(since or date.min, until or date.max)

    def further(self, place: str) -> str:
        """The address of what is older."""
        given = {name: getattr(self, name) for name in ("actor", "name", "since", "until")}
        fields = {name: value for name, value in given.items() if value}
        return f"{HERE}?{urlencode(fields | {'before': place})}"


class Typed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`count` is how many rows the parts before had; `after` and `hash` say where they ended."""

    expect: Hash | None = None
    after: Annotated[str, Meta(max_length=40)] | None = None
    hash: Hash | None = None
    count: Annotated[str, Meta(pattern="^[0-9]{1,15}$")] | None = None


async def show(request: Request) -> Shown:
    return await page(request, request.read_query(Asked), EMPTY)


async def page(request: Request, asked: Asked, form: Form, status: int = 200) -> Shown:
    before = place_of(asked.before, "before") if asked.before else None
    actor, name = asked.actor or None, str(asked.name) or None
    async with request.database.session() as db:
        entries = await queries.newest(
            db, asked.span, before, actor=actor, name=name, limit=ON_A_PAGE + 1
        )
        names = await names_in(db, entries[:ON_A_PAGE])
        people = await queries.everybody(db, limit=CHOSEN_AT_MOST)
    more = asked.further(entries[ON_A_PAGE - 1].place) if len(entries) > ON_A_PAGE else ""
    return await shown(
        request,
        "access/audit.html",
        status,
        form=form,
        asked=asked,
        records=[told(entry, names) for entry in entries[:ON_A_PAGE]],
        more=more,
        people=people,
        actors=ACTORS,
        is_chosen=is_chosen(asked.actor, [f"agent:{each.id}" for each in people]),
        names=NAMES,
    )


async def names_in(db: Db, entries: list[Entry]) -> Names:
    agents, services = ids_in(entries)
    return Names(
        {each.id: each for each in await queries.agents(db, agents)} if agents else {},
        {each.id: each for each in await queries.services(db, services)} if services else {},
    )


async def verify(request: Request) -> Shown:
    form = await read_form(request)
    try:
        given = form.read(Typed)
        verdict = await walked(request, Walk(given.expect, given.after, given.hash))
    except Refusal as error:
        return await page(request, Asked(), form.refused(error), status_of(error))
    return await shown(
        request,
        "access/audit_verified.html",
        verdict=verdict,
        hash=verdict.newest.hex(),
        count=verdict.count + int(given.count or 0),
        after=given.after or "",
        expect="" if verdict.has_expected else given.expect or "",
        was_expected=given.expect or "",
    )


async def export(request: Request) -> Export:
    form = await read_form(request)
    return await audit_export.begin(request, form.read(NewExport))


def is_chosen(actor: str, offered: list[str]) -> bool:
    """Is this actor, if one is asked for, in the list to choose from?"""
    return not actor or actor in ACTORS or actor in offered


def day(name: str, text: str) -> date | None:
    if not text:
        return None
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise Invalid.field(name, "A day, such as 2026-11-28.")


pages = [
    showing(HERE, show, "audit:read", query=Asked),
    doing(f"{HERE}/verify", verify, "audit:read"),
    doing(f"{HERE}/export", export, "audit:read"),
]
