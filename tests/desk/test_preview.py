"""What a text will look like, while one writes it."""

import httpx
import pytest

from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.kit.markdown import render
from tests.access.sign_in import hire_with_password
from tests.desk import attacks
from tests.desk.desk import at_desk, opened
from tests.web.visiting import send

HERE = "/tickets/preview"


async def test_a_preview_is_what_the_page_will_show(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada")
    text = "Use **both** pedals.\n\n- front\n- back"
    ticket = await opened(served, description=text)
    async with at_desk(served) as ada:
        preview = await send(ada, HERE, {"text": text})
        page = await ada.get(f"/tickets/{ticket['number']}")
    assert preview.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in preview.headers["content-security-policy"]
    assert preview.text == render(text)
    assert preview.text in page.text


async def test_nothing_shows_nothing(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada")
    async with at_desk(served) as ada:
        for fields in ({}, {"text": ""}, {"text": " \n"}):
            assert (await send(ada, HERE, fields)).text == ""


async def test_it_takes_what_a_description_takes(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada")
    async with at_desk(served) as ada:
        assert (await send(ada, HERE, {"text": "x" * 100_001})).status_code == 400
        assert (await send(ada, HERE, {"text": "x", "more": "y"})).status_code == 400
        assert (await send(ada, HERE, {"text": "x" * 100_000})).status_code == 200


@pytest.mark.parametrize("role", ["read_only", "nobody"])
async def test_it_is_for_those_who_write(role: str, served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada", "agent" if role == "nobody" else role)
    async with at_desk(served) as ada:
        if role == "nobody":
            ada.cookies.clear()
        answer = await send(ada, HERE, {"text": "x"})
    assert answer.status_code == (303 if role == "nobody" else 403)


async def test_other_sites_get_none(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada")
    async with at_desk(served) as ada:
        answer = await send(ada, HERE, {"text": "x"}, **{"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403


async def test_a_form_takes_every_attack(served: Edge, database: Database) -> None:
    """What it says is written as text into the page that comes again."""
    await hire_with_password(database, "Ada")
    async with at_desk(served) as ada:
        for text in attacks.ATTACKS[::25]:
            for path, fields in (
                ("/tickets", {"title": text[:300], "description": text, "priority": text[:50]}),
                ("/tickets", {"title": text[:300], "description": text, "do": "preview"}),
            ):
                answer = await send(ada, path, fields)
                assert answer.status_code in (200, 400, 413), answer.text
                assert "<script>ran()" not in answer.text
                assert "<img" not in answer.text


async def test_a_page_reads_back_what_was_written(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada")
    async with at_desk(served) as ada:
        written = await send(ada, "/tickets", {"title": "a", "description": "one\r\n**two**"})
        page: httpx.Response = await ada.get(written.headers["location"])
    assert '<p dir="auto">one<br>\n<strong>two</strong></p>' in page.text
