"""
How everybody has to sign in: with a second factor, or at a single sign-on provider.

It is about people's sessions; API tokens are as they are. A session that was begun by less
than is required may set up what is missing, and nothing else (`permissions.ENROLLING`).
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from pullse.access import policy_queries as queries
from pullse.access.passkeys import queries as passkeys
from pullse.access.policy_queries import Policy as Policy
from pullse.access.policy_queries import Standing
from pullse.access.sign_in_model import SINGLE_SIGN_ON, STRONG
from pullse.errors import Conflict, Forbidden, Unproven
from pullse.kit import audit
from pullse.kit.db import Db
from pullse.kit.events import Actor


class SecondFactorNeeded(Forbidden):
    code = "second_factor_needed"

    def __init__(self) -> None:
        super().__init__("Set up a second factor first, or sign in with the one that you have.")


class SingleSignOnNeeded(Unproven):
    code = "sso_needed"

    def __init__(self) -> None:
        super().__init__("Here one signs in by single sign-on.")


class PasskeyNeeded(Unproven):
    code = "passkey_needed"

    def __init__(self) -> None:
        super().__init__("A password alone is not enough here; sign in with your passkey.")


class NoProvider(Conflict):
    code = "no_provider"

    def __init__(self) -> None:
        super().__init__("No provider of single sign-on is configured.")


class WouldShutYouOut(Conflict):
    code = "would_shut_you_out"


def has_single_sign_on(services: Any) -> bool:
    """Is there a provider where people could sign in?"""
    return bool(getattr(services, "providers", ()))


def is_strong(means: Iterable[str]) -> bool:
    return not kinds(means).isdisjoint(STRONG)


def is_vouched_for(role: str, means: Iterable[str]) -> bool:
    """Good enough where single sign-on is required. An owner can always get in and mend it."""
    return role == "owner" or SINGLE_SIGN_ON in kinds(means)


def kinds(means: Iterable[str]) -> set[str]:
    """`oidc:google` is of the kind `oidc`."""
    return {each.partition(":")[0] for each in means}


async def read(db: Db) -> Policy:
    return await queries.find(db) or Policy()


async def change(db: Db, wanted: Policy, *, has_provider: bool, by: Actor) -> None:
    """Writing what is there already changes nothing and records nothing."""
    old = await queries.lock(db)
    if wanted.single_sign_on and not old.single_sign_on and not has_provider:
        raise NoProvider
    changes = {
        name: [getattr(old, name), getattr(wanted, name)]
        for name in Policy.__struct_fields__
        if getattr(old, name) != getattr(wanted, name)
    }
    if not changes:
        return
    if by.session is not None:
        check_stays(wanted, await queries.standing(db, by.session, STRONG))
    await queries.replace(db, wanted)
    await audit.record(db, "policy.changed", by=by, data={"changes": changes})


def check_stays(wanted: Policy, me: Standing | None) -> None:
    """Nobody shuts themselves out. Raises `WouldShutYouOut`."""
    if me is None:
        raise WouldShutYouOut("Your session has ended.")
    if wanted.second_factor and not is_strong(me.means):
        raise WouldShutYouOut(
            "You have signed in without a second factor: set one up, or sign in with it, first."
        )
    if wanted.single_sign_on and not is_vouched_for(me.role, me.means):
        raise WouldShutYouOut("You have not signed in by single sign-on yourself: do that first.")


async def may_enrol(db: Db, by: Actor) -> Standing | None:
    """
    How the caller's session stands; None when it has ended.

    Who signed in by less than is required sets up no other factor beside one that is there:
    whoever stole a password would get around it. Raises `SecondFactorNeeded`.
    """
    standing = None if by.session is None else await queries.standing(db, by.session, STRONG)
    if standing is not None and standing.is_weak and standing.has_factor:
        raise SecondFactorNeeded
    return standing


async def asks_for_passkey(db: Db, agent_id: UUID) -> bool:
    """Of who has shown a password alone: it is not enough, and a passkey is there."""
    return (await read(db)).second_factor and await passkeys.has_any(db, agent_id)
