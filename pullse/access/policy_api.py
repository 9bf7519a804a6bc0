"""/api/policies: how everybody has to sign in."""

from typing import Annotated

import msgspec
from msgspec import Meta

from pullse.access import policy
from pullse.access.policy import NoProvider, Policy, WouldShutYouOut, has_single_sign_on
from pullse.kit.web import Answer, Call, Request, encoded, ok

EXAMPLE = {"second_factor": True, "single_sign_on": False}


class Policies(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    second_factor: Annotated[
        bool, Meta(description="Who signs in by a password needs a code or a passkey too.")
    ]
    single_sign_on: Annotated[
        bool, Meta(description="All but owners sign in at a provider, and not otherwise.")
    ]


async def show(request: Request) -> Answer:
    async with request.database.session() as db:
        return ok(request, encoded(await policy.read(db)))


async def change(request: Request) -> Answer:
    given = await request.read_body(Policies)
    wanted = Policy(given.second_factor, given.single_sign_on)
    has_provider = has_single_sign_on(request.services)
    async with request.database.transaction() as db:
        await policy.change(db, wanted, has_provider=has_provider, by=request.actor)
    request.services.forget()
    return ok(request, encoded(wanted))


calls = [
    Call(
        "GET",
        "/api/policies",
        show,
        "How everybody has to sign in",
        "Policies have been fetched.",
        data=Policies,
        example=EXAMPLE,
        tag="sign-in",
        permission="policies:admin",
    ),
    Call(
        "PUT",
        "/api/policies",
        change,
        "Say how everybody has to sign in; it holds for open sessions within a second",
        "Policies have been changed.",
        body=Policies,
        data=Policies,
        example=EXAMPLE,
        tag="sign-in",
        refuses=[NoProvider, WouldShutYouOut],
        permission="policies:admin",
    ),
]
