"""One's accounts at providers, seen and unlinked."""

from uuid import uuid4

import httpx
import pytest

from pullse.access import passwords, sign_in_queries
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access import single_sign_on
from tests.access.authenticator import Authenticator, add
from tests.access.people import run
from tests.access.sign_in import PASSWORD, audited, hire_with_password
from tests.web.visiting import led_to, parsed, send, sign_in, visitor

HERE = "/account/identities"
LINK = """
    INSERT INTO identities (id, issuer, subject, agent_id, email)
         VALUES (gen_random_uuid(), $1, 'x', $2, 'ada@elsewhere.example')
"""


async def unlinks(client: httpx.AsyncClient) -> list[str]:
    forms = parsed(await client.get(HERE)).all("form")
    return [str(form["action"]) for form in forms if str(form["action"]).endswith("/unlink")]


async def test_the_last_way_in_stays_and_another_goes(corp: Edge, database: Database) -> None:
    async with visitor(corp) as client:
        await single_sign_on.sign_in(client)
        page = await client.get("/account")
        assert HERE in [each["href"] for each in parsed(page).all("a")]
        page = await client.get(HERE)
        assert "Corp" in parsed(page).text
        assert "ada@example.org" in parsed(page).text
        assert len(parsed(page).all("time")) == 2
        (action,) = await unlinks(client)
        refused = await send(client, action)
        assert refused.status_code == 409
        assert "could not sign in any more" in refused.text
        assert await unlinks(client) == [action]
        assert await audited(database, "identity.unlinked") == []

        async with database.session() as db:
            ada = await db.value("SELECT id FROM agents")
            await sign_in_queries.set_password(db, ada, await passwords.hashed(PASSWORD))
        assert led_to(await send(client, action)) == f"{HERE}?done=unlinked"
        page = await client.get(f"{HERE}?done=unlinked")
        assert "linked no longer" in page.text
        assert "None is linked" in page.text
        assert (await send(client, action)).status_code == 404
    ((actor, _, _),) = await audited(database, "identity.unlinked")
    assert actor == f"agent:{ada}"


async def test_an_account_at_a_provider_is_a_way_in_beside_a_passkey(
    corp: Edge, database: Database
) -> None:
    async with visitor(corp) as client:
        await single_sign_on.sign_in(client)
        assert (await add(client, Authenticator())).status_code == 201
        forms = parsed(await client.get("/account/passkeys")).all("form")
        (remove,) = [each["action"] for each in forms if str(each["action"]).endswith("/remove")]
        answer = await send(client, str(remove))
        assert led_to(answer) == "/account/passkeys?done=removed"


async def test_without_a_provider_there_is_nothing_to_see(served: Edge, database: Database) -> None:
    """But for whoever is linked from before."""
    ada = await hire_with_password(database, "Ada")
    async with visitor(served) as client:
        await sign_in(client)
        assert HERE not in (await client.get("/account")).text
        assert "None is linked" in (await client.get(HERE)).text
        await run(database, LINK, "https://<b>old</b>.example", ada)
        links = [each["href"] for each in parsed(await client.get("/account")).all("a")]
        assert HERE in links
        page = await client.get(HERE)
        assert "https://<b>old</b>.example" in parsed(page).text
        assert page.text.partition("<main")[2].count("<b>") == 0
        (action,) = await unlinks(client)
        assert led_to(await send(client, action)) == f"{HERE}?done=unlinked"


@pytest.mark.parametrize("is_known", [True, False])
async def test_somebody_elses_is_not_there(
    is_known: bool, served: Edge, database: Database
) -> None:
    ada = await hire_with_password(database, "Ada")
    await hire_with_password(database, "Eve")
    await run(database, LINK, "https://id.example", ada)
    async with database.session() as db:
        id_ = await db.value("SELECT id FROM identities") if is_known else uuid4()
    async with visitor(served) as eve:
        await sign_in(eve, "Eve")
        assert await unlinks(eve) == []
        for each in (id_, "nonsense", "%00"):
            assert (await send(eve, f"{HERE}/{each}/unlink")).status_code == 404
    async with database.session() as db:
        assert await db.value("SELECT count(*) FROM identities") == 1
