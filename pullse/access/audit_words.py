"""
A row of the audit trail as people read it: who did what, to whom, from where.

What is in `data` was written by many releases, or by somebody who edited the table: nothing
is taken for granted, and what is not known here is shown as it stands.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

from pullse.access.audit import NAMES
from pullse.access.audit_queries import Named
from pullse.access.tokens import AGENT, SERVICE
from pullse.agents.model import Role, State
from pullse.kit.audit import Entry
from pullse.kit.db import Struct

ACTORS = ("owner", "token", "operator", "demo", "system", "anonymous")
FIELDS = ("role", "state", "name", "email", "is_private", "second_factor", "single_sign_on")
NOTES = (
    *("setup", "invitation", "reset"),
    *("password", "code", "passkey", "passkey_counter", "policy"),
    *("state", "denied", "provider", "token", "email", "account", "disabled"),
    "too_many",
)
SHOWN_AT_MOST = 300
"""Characters of a text in `data`; all of it is among the details."""
CHANGES_AT_MOST = 10


class Person(Struct, frozen=True):
    """`kind` says what `text` is: a name, one of `ACTORS`, or whatever stood there."""

    kind: Literal["agent", "service", "known", "other"]
    text: str
    href: str = ""
    is_gone: bool = False


class Value(Struct, frozen=True):
    kind: Literal["role", "state", "yes", "no", "text"]
    text: str = ""


class Change(Struct, frozen=True):
    """`field` is one of `FIELDS`, or else empty and `other` is what it is called."""

    field: str
    other: str
    before: Value
    after: Value


class Told(Struct, frozen=True):
    """`verb` is the name with `_` for the dot if it is one of ours; notes are `NOTES` or texts."""

    entry: Entry
    verb: str
    who: Person
    whom: Person | None
    what: str
    role: str
    count: int | None
    changes: list[Change]
    note: str
    is_known_note: bool
    raw: str
    hash: str


class Names(Struct, frozen=True):
    """Who is who, of those that are named in some rows."""

    agents: Mapping[UUID, Named]
    services: Mapping[UUID, Named]


def ids_in(entries: Sequence[Entry]) -> tuple[list[UUID], list[UUID]]:
    """Of agents and of services' tokens."""
    agents, services = set(), set()
    for entry in entries:
        agents |= {id_after(AGENT, entry.actor), as_id(data_of(entry).get("agent_id"))}
        services.add(id_after(SERVICE, entry.actor))
    return [each for each in agents if each], [each for each in services if each]


def told(entry: Entry, names: Names) -> Told:
    data = data_of(entry)
    who = person(entry.actor, names)
    whom = affected(data, names)
    note = text_in(data, "reason", "purpose", "permission", "provider", "issuer")
    role = text_in(data, "role")
    return Told(
        entry=entry,
        verb=entry.name.replace(".", "_") if entry.name in NAMES else "",
        who=who,
        whom=None if whom == who else whom,
        what=what(entry, data, whom),
        role=role if role in list(Role) else "",
        count=count if type(count := data.get("count", data.get("revoked"))) is int else None,
        changes=changes_in(data),
        note=note,
        is_known_note=note in NOTES,
        raw=json.dumps(data, indent=2, ensure_ascii=False, sort_keys=True),
        hash=entry.hash.hex(),
    )


def person(actor: str, names: Names) -> Person:
    if actor in ACTORS:
        return Person("known", actor)
    agent_id, service_id = id_after(AGENT, actor), id_after(SERVICE, actor)
    if agent_id and (agent := names.agents.get(agent_id)):
        return of_agent(agent)
    if service_id and (service := names.services.get(service_id)):
        return Person("service", service.name, is_gone=service.is_gone)
    return Person("other", actor[:SHOWN_AT_MOST])


def affected(data: Mapping[str, Any], names: Names) -> Person | None:
    agent_id = as_id(data.get("agent_id"))
    if agent_id is None:
        return None
    if agent := names.agents.get(agent_id):
        return of_agent(agent)
    return Person("other", text_in(data, "email") or str(agent_id))


def of_agent(agent: Named) -> Person:
    href = "" if agent.is_gone else f"/agents/{agent.id}"
    return Person("agent", agent.name, href, agent.is_gone)


def what(entry: Entry, data: Mapping[str, Any], whom: Person | None) -> str:
    """The name of the thing: a team, a token, a key, a job, a call."""
    if entry.name.startswith("agent.") and whom is not None:
        return ""
    return text_in(data, "name", "key", "call")


def changes_in(data: Mapping[str, Any]) -> list[Change]:
    """Of `{"changes": {field: [before, after]}}`, or of fields that are such pairs themselves."""
    given = data.get("changes")
    fields = given if isinstance(given, dict) else {name: data.get(name) for name in FIELDS}
    pairs = [(name, pair) for name, pair in fields.items() if isinstance(pair, list)]
    return [
        Change(
            name if name in FIELDS else "",
            name[:SHOWN_AT_MOST],
            value_of(name, pair[0]),
            value_of(name, pair[1]),
        )
        for name, pair in pairs[:CHANGES_AT_MOST]
        if len(pair) == 2
    ]


def value_of(field: str, value: Any) -> Value:
    if field == "role" and value in list(Role):
        return Value("role", value)
    if field == "state" and value in list(State):
        return Value("state", value)
    if isinstance(value, bool):
        return Value("yes" if value else "no")
    return Value("text", "-" if value is None else str(value)[:SHOWN_AT_MOST])


def data_of(entry: Entry) -> dict[str, Any]:
    try:
        data = json.loads(entry.data)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {"data": data}


def text_in(data: Mapping[str, Any], *keys: str) -> str:
    """The first of them that is there."""
    found = (data.get(key) for key in keys)
    return next((each[:SHOWN_AT_MOST] for each in found if isinstance(each, str) and each), "")


def id_after(prefix: str, actor: str) -> UUID | None:
    return as_id(actor.removeprefix(prefix)) if actor.startswith(prefix) else None


def as_id(value: Any) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None
