"""How somebody wants to see everything: by the API, on its page, and what pages make of it."""

import os
import subprocess
import sys
from typing import Any

import pytest

from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.people import calling, give, hire, run
from tests.access.sign_in import hire_with_password
from tests.web.visiting import led_to, parsed, send, sign_in, visitor

PATH = "/api/me/preferences"
USUAL = {
    "look": "",
    "contrast": "",
    "density": "comfortable",
    "columns": [],
    "language": "",
    "zone": "UTC",
}
FIELDS = {"look": "dark", "contrast": "more", "density": "compact", "zone": "Europe/Berlin"}


async def test_what_nobody_has_chosen_is_as_usual(served: Edge, database: Database) -> None:
    token = await give(database, await hire(database, "Ada"))
    async with calling(served, token) as ada:
        assert (await ada.get(PATH)).json()["data"] == USUAL


async def test_only_what_is_sent_is_changed(served: Edge, database: Database) -> None:
    token = await give(database, await hire(database, "Ada", "read_only"))
    async with calling(served, token) as ada:
        for changes in ({"look": "dark"}, {"zone": "Asia/Tokyo"}, {}, {"columns": ["title"]}):
            answer = await ada.patch(PATH, json=changes)
            assert answer.status_code == 200
        expected = USUAL | {"look": "dark", "zone": "Asia/Tokyo", "columns": ["title"]}
        assert answer.json()["data"] == expected
        assert (await ada.get(PATH)).json()["data"] == expected
        assert (await ada.patch(PATH, json=USUAL)).json()["data"] == USUAL


async def test_they_are_ones_own(served: Edge, database: Database) -> None:
    tokens = [await give(database, await hire(database, name)) for name in ("Ada", "Ben")]
    async with calling(served, tokens[0]) as ada, calling(served, tokens[1]) as ben:
        await ada.patch(PATH, json={"look": "dark"})
        assert (await ben.get(PATH)).json()["data"] == USUAL


async def test_a_service_looks_at_nothing(served: Edge, database: Database) -> None:
    service = await give(database, role="admin")
    async with calling(served, service) as export:
        assert (await export.get(PATH)).json()["data"] == USUAL
        answer = await export.patch(PATH, json={"look": "dark"})
        assert answer.status_code == 403
        assert answer.json()["code"] == "forbidden"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("look", "purple"),
        ("look", None),
        ("contrast", "less"),
        ("density", ""),
        ("zone", ""),
        ("zone", "Mars/Olympus"),
        ("zone", "../../etc/passwd"),
        ("zone", "europe/berlin"),
        ("zone", "x" * 100),
        ("language", "xx"),
        ("language", "../en"),
        ("columns", ["title", "title"]),
        ("columns", ["<script>"]),
        ("columns", "title"),
        ("columns", ["title"] * 41),
        ("other", 1),
    ],
    ids=str,
)
async def test_nonsense_is_refused_by_name(
    field: str, value: Any, served: Edge, database: Database
) -> None:
    token = await give(database, await hire(database, "Ada"))
    async with calling(served, token) as ada:
        answer = await ada.patch(PATH, json={field: value})
        assert answer.status_code == 400
        assert field in answer.json()["message"]
        assert (await ada.get(PATH)).json()["data"] == USUAL


async def test_they_end_with_the_agent(served: Edge, database: Database) -> None:
    agent = await hire(database, "Ada")
    async with calling(served, await give(database, agent)) as ada:
        await ada.patch(PATH, json={"look": "dark"})
    await run(database, "DELETE FROM api_tokens WHERE agent_id = $1", agent)
    await run(database, "DELETE FROM agents WHERE id = $1", agent)
    async with database.session() as db:
        assert await db.value("SELECT count(*) FROM preferences") == 0


async def test_a_form_without_a_script_saves_them(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada")
    async with visitor(served) as client:
        await sign_in(client)
        (before,) = parsed(await client.get("/account/look")).all("html")
        assert before == {"lang": "en", "data-density": "comfortable"}
        answer = await send(client, "/account/look", FIELDS | {"language": "de"})
        assert led_to(answer) == "/account/look?done=saved"
        page = parsed(await client.get(led_to(answer)))
        (after,) = page.all("html")
        assert after == {
            "lang": "de",
            "data-look": "dark",
            "data-contrast": "more",
            "data-density": "compact",
        }
        assert "So sieht es jetzt aus." in page.text
        assert page.field("zone")["value"] == "Europe/Berlin"
        chosen = [each["value"] for each in page.all("input") if "checked" in each]
        assert chosen == ["dark", "more", "compact"]

        await send(client, "/account/look", {"density": "comfortable", "zone": "UTC"})
        (again,) = parsed(await client.get("/account/look")).all("html")
        assert again == before


async def test_what_was_typed_wrong_stays_beside_what_is_wrong(
    served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada")
    async with visitor(served) as client:
        await sign_in(client)
        answer = await send(client, "/account/look", FIELDS | {"zone": "Berlin"})
        assert answer.status_code == 400
        page = parsed(answer)
        assert page.problem("zone")
        assert page.field("zone")["value"] == "Berlin"
        assert "The IANA name of a time zone" in page.text
        (html,) = page.all("html")
        assert "data-look" not in html


async def test_the_chosen_language_wins_over_the_browsers(served: Edge, database: Database) -> None:
    """For who is signed in; a page for anybody goes by the browser."""
    agent = await hire_with_password(database, "Ada")
    async with calling(served, await give(database, agent)) as ada:
        await ada.patch(PATH, json={"language": "de"})
    async with visitor(served, **{"Accept-Language": "en"}) as client:
        await sign_in(client)
        assert '<html lang="de"' in (await client.get("/account")).text
        await send(client, "/sign-out")
        assert '<html lang="en"' in (await client.get("/sign-in")).text


async def test_what_this_release_does_not_have_is_as_usual(
    served: Edge, database: Database
) -> None:
    """A zone or a language that another process knew."""
    agent = await hire_with_password(database, "Ada")
    await run(
        database,
        """
        INSERT INTO preferences (actor, look, contrast, density, columns, language, zone)
             VALUES ($1, '', '', 'compact', '{}', 'tlh', 'Mars/Olympus')
        """,
        f"agent:{agent}",
    )
    async with visitor(served) as client:
        await sign_in(client)
        page = parsed(await client.get("/account/look"))
        assert page.all("html") == [{"lang": "en", "data-density": "compact"}]
        assert page.field("zone")["value"] == "UTC"


def test_zones_are_there_where_the_system_has_none() -> None:
    """As in a small container, or on Windows."""
    code = "from pullse.preferences.model import ZONES; print('Europe/Berlin' in ZONES, len(ZONES))"
    environment = os.environ | {"PYTHONTZPATH": ""}
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout.split()
    assert said[0] == "True"
    assert int(said[1]) > 300


async def test_exact_times_are_in_ones_own_zone(served: Edge, database: Database) -> None:
    agent = await hire_with_password(database, "Ada")
    async with calling(served, await give(database, agent)) as ada:
        await ada.patch(PATH, json={"zone": "Asia/Tokyo"})
    async with visitor(served) as client:
        await sign_in(client)
        page = await client.get("/account/sessions")
        assert ' JST">' in page.text
        assert ' UTC">' not in page.text
