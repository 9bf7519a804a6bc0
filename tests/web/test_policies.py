"""How everybody has to sign in, as a page."""

from typing import Any

import httpx
import pytest

from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access import single_sign_on
from tests.access.authenticator import Authenticator, add
from tests.access.people import calling, run
from tests.access.sign_in import audited, browser, enter, hire_with_password
from tests.web.visiting import ACCEPT, led_to, parsed, send, sign_in, visitor

HERE = "/policies"


async def ticked(client: httpx.AsyncClient) -> set[str]:
    boxes = parsed(await client.get(HERE)).all("input")
    return {str(each["name"]) for each in boxes if "checked" in each}


async def test_a_second_factor_is_required_and_no_longer(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada", "admin")
    async with visitor(served) as client, browser(served) as ben:
        await sign_in(client)
        assert await ticked(client) == set()
        assert (await add(client, Authenticator())).status_code == 201
        answer = await send(client, HERE, {"second_factor": "yes"})
        assert led_to(answer) == f"{HERE}?done=changed"
        assert "for everybody" in (await client.get(led_to(answer))).text
        assert await ticked(client) == {"second_factor"}
        await hire_with_password(database, "Ben")
        assert (await enter(ben, "Ben")).json()["data"]["second_factor_needed"] is True
        assert led_to(await send(client, HERE)) == f"{HERE}?done=changed"
        assert await ticked(client) == set()
    assert len(await audited(database, "policy.changed")) == 2


@pytest.mark.parametrize(
    ("fields", "status", "text"),
    [
        ({"second_factor": "yes"}, 409, "You have signed in without a second factor"),
        ({"single_sign_on": "yes"}, 409, "No provider of single sign-on is configured."),
        ({"second_factor": "true"}, 400, "There is no"),
        ({"third_factor": "yes"}, 400, ""),
    ],
)
async def test_what_may_not_be_changes_nothing(
    fields: Any, status: int, text: str, served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada", "owner")
    async with visitor(served) as client:
        await sign_in(client)
        answer = await send(client, HERE, fields)
        assert answer.status_code == status
        assert text in parsed(answer).text
        if status == 409:  # what was ticked is still there
            (box,) = [each for each in parsed(answer).all("input") if each["name"] in fields]
            assert "checked" in box
        assert await ticked(client) == set()
    assert await audited(database, "policy.changed") == []


async def test_nobody_shuts_themselves_out_of_a_provider(corp: Edge, database: Database) -> None:
    await run(database, "UPDATE agents SET role = 'admin'")
    await hire_with_password(database, "Ben", "admin")
    async with visitor(corp) as client, visitor(corp) as ben:
        await sign_in(ben, "Ben")
        answer = await send(ben, HERE, {"single_sign_on": "yes"})
        assert answer.status_code == 409
        assert "do that first" in answer.text
        await single_sign_on.sign_in(client)
        answer = await send(client, HERE, {"single_sign_on": "yes"})
        assert led_to(answer) == f"{HERE}?done=changed"
        assert led_to(await ben.get(HERE)).startswith("/sign-in")
        assert await ticked(client) == {"single_sign_on"}


async def test_refusals_are_told_in_german(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada", "owner")
    async with visitor(served, **{"Accept-Language": "de"}) as client:
        await sign_in(client)
        answer = await send(client, HERE, {"second_factor": "yes"})
        assert "ohne zweiten Faktor angemeldet" in answer.text
        answer = await send(client, HERE, {"single_sign_on": "yes"})
        assert "kein Anbieter zum Anmelden eingerichtet" in answer.text


@pytest.mark.parametrize("role", ["agent", "collaborator", "read_only"])
async def test_policies_are_for_admins(role: str, served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada", role)
    async with visitor(served) as client:
        await sign_in(client)
        assert (await client.get(HERE)).status_code == 403
        assert (await send(client, HERE, {"second_factor": "yes"})).status_code == 403
        assert HERE not in (await client.get("/")).text
    assert await audited(database, "policy.changed") == []


async def test_the_operator_may_without_a_session(served: Edge, database: Database) -> None:
    async with calling(served) as operator:
        operator.headers["Accept"] = ACCEPT
        answer = await send(operator, HERE, {"second_factor": "yes"})
        assert led_to(answer) == f"{HERE}?done=changed"
    ((actor, _, _),) = await audited(database, "policy.changed")
    assert actor == "token"
