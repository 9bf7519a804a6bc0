"""
Who may change whom: the rules about roles that a permission alone does not say.

An owner is made, changed, disabled and removed by owners only (and by the operator); nobody
changes their own role or shuts themselves out; of active owners one remains. Who may make agents
makes nobody who may more: a token for `agents:admin` alone makes no admin, and gives none another
address, by which a provider of single sign-on would let somebody else in.
"""

from uuid import UUID

from msgspec.structs import replace

from pullse.agents import queries
from pullse.agents.permissions import ROLES
from pullse.agents.queries import Row
from pullse.errors import Conflict, Forbidden
from pullse.kit.db import Db
from pullse.kit.events import OPERATOR, Actor

OWNERS = frozenset({"owner", "token", "operator", "system", "demo"})
"""Actors that are no agents and no services: whoever has the machine or the operator's token."""

ADMINISTERING = frozenset({"owner", "admin"})


class OwnersOnly(Forbidden):
    code = "owners_only"

    def __init__(self) -> None:
        super().__init__("Only an owner may make, change, disable or remove an owner.")


class OwnAccount(Forbidden):
    code = "own_account"

    def __init__(self) -> None:
        super().__init__("Nobody changes their own role, or disables or removes themselves.")


class LastOwner(Conflict):
    code = "last_owner"

    def __init__(self) -> None:
        super().__init__("This is the last active owner; make another one first.")


async def may_make(db: Db, role: str, *, by: Actor) -> None:
    if role == "owner" and not await is_owner(db, by):
        raise OwnersOnly
    if role in ADMINISTERING:
        has_all_of(role, by=by)


async def may_change(db: Db, old: Row, new: Row, *, by: Actor) -> None:
    if by.id == f"agent:{old.id}" and (new.role != old.role or new.state == "disabled"):
        raise OwnAccount
    if (old.is_owner or new.is_owner) and not await is_owner(db, by):
        raise OwnersOnly
    if new.role in ADMINISTERING and (new.role != old.role or new.email != old.email):
        has_all_of(new.role, by=by)


async def may_remove(db: Db, old: Row, *, by: Actor) -> None:
    await may_change(db, old, replace(old, state="disabled"), by=by)


def has_all_of(role: str, *, by: Actor) -> None:
    """Nobody acts on who may more. Raises `Forbidden`."""
    for permission in () if by.id in OWNERS else ROLES[role]:
        if permission not in by.rights:
            raise Forbidden(f"This role has the permission {permission}; you do not.")


async def one_owner_remains(db: Db, old: Row, *, by: Actor) -> None:
    """
    After the change and its audit row, whose lock lets one such transaction end at a time.

    Where no owner was active there is no rule: the operator's token does it all.
    """
    was_owner = old.is_owner and old.state == "active"
    if was_owner and by.id != OPERATOR.id and not await queries.has_active_owner(db):
        raise LastOwner


async def is_owner(db: Db, actor: Actor) -> bool:
    kind, _, id_ = actor.id.partition(":")
    if kind == "agent" and id_:
        return await queries.role_of_agent(db, UUID(id_)) == "owner"
    if kind == "token" and id_:
        return await queries.role_of_service(db, UUID(id_)) == "owner"
    return actor.id in OWNERS
