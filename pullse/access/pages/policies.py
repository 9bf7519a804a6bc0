"""/policies: how everybody has to sign in, for those who may say so."""

from typing import Literal

import msgspec

from pullse.access import policy
from pullse.access.policy import Policy, has_single_sign_on
from pullse.errors import Refusal
from pullse.kit.pages import Form, Shown, doing, read_form, see, showing, status_of
from pullse.kit.web import Request
from pullse.web.frame import shown

HERE = "/policies"
Ticked = Literal["yes"] | None


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    done: Literal["changed"] | None = None


class Typed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A box that is not ticked is not sent."""

    second_factor: Ticked = None
    single_sign_on: Ticked = None


async def show(request: Request) -> Shown:
    asked = request.read_query(Asked)
    async with request.database.session() as db:
        present = await policy.read(db)
    return await page(request, form_of(present), present, done=asked.done)


async def page(
    request: Request,
    form: Form,
    present: Policy,
    status: int = 200,
    *,
    done: str | None = None,
) -> Shown:
    return await shown(
        request,
        "access/policies.html",
        status,
        form=form,
        second_factor=present.second_factor,
        single_sign_on=present.single_sign_on,
        has_provider=has_single_sign_on(request.services),
        done=done,
    )


async def change(request: Request) -> Shown:
    form = await read_form(request)
    try:
        given = form.read(Typed)
        wanted = Policy(given.second_factor is not None, given.single_sign_on is not None)
        async with request.database.transaction() as db:
            await policy.change(
                db, wanted, has_provider=has_single_sign_on(request.services), by=request.actor
            )
    except Refusal as error:
        async with request.database.session() as db:
            present = await policy.read(db)
        return await page(request, form.refused(error), present, status_of(error))
    request.services.forget()
    return see(f"{HERE}?done=changed")


def form_of(present: Policy) -> Form:
    return Form([(name, "yes") for name in Policy.__struct_fields__ if getattr(present, name)])


pages = [
    showing(HERE, show, "policies:admin", query=Asked),
    doing(HERE, change, "policies:admin"),
]
