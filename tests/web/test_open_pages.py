"""What a page says of itself, so that it can stay open: whose it is, where the feed was."""

import re

import httpx
import pytest

from pullse.gateway.api import ABLY, origins
from pullse.kit import pages
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.kit.headers import of_page
from pullse.settings import Ably
from pullse.web.frame import RELEASE
from tests.access.sign_in import hire_with_password
from tests.web.visiting import parsed, send, sign_in, visitor


def meta(answer: httpx.Response) -> dict[str, str]:
    return {str(each.get("name")): str(each.get("content")) for each in parsed(answer).all("meta")}


async def test_a_page_says_where_the_feed_was_and_whose_it_is(
    served: Edge, database: Database
) -> None:
    ada = await hire_with_password(database, "Ada")
    async with visitor(served) as client:
        before = meta(await client.get("/sign-in"))
        assert not {"feed", "agent", "release"} & set(before)
        await sign_in(client)
        found = meta(await client.get("/account"))
        assert found["agent"] == f"agent:{ada}"
        assert found["release"] == RELEASE
        answer = await client.get("/api/events", params={"after": found["feed"]})
        assert answer.json()["data"]["records"] == []
        refused = await send(client, "/account/password", {"password": "x"})
        assert refused.status_code == 400
        assert meta(refused)["feed"] == found["feed"]


async def test_the_feed_is_looked_at_before_anything_else_is_read(
    served: Edge, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ticket that comes while the page is made may be on it or not: it is told of in any case."""
    await hire_with_password(database, "Ada")
    async with visitor(served) as client:
        await sign_in(client)
        found = pages.end_of_feed

        async def then_a_ticket(database: Database) -> str:
            cursor = await found(database)
            given = {"title": "In between", "description": "It broke."}
            assert (await client.post("/api/tickets", json=given)).status_code == 201
            return cursor

        monkeypatch.setattr(pages, "end_of_feed", then_a_ticket)
        page = await client.get("/tickets")
        assert "In between" in page.text
        answer = await client.get("/api/events", params={"after": meta(page)["feed"]})
        names = [each["name"] for each in answer.json()["data"]["records"]]
        assert names == ["ticket.created"]


async def test_a_fragment_looks_at_no_feed(
    served: Edge, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hire_with_password(database, "Ada")

    async def never(database: Database) -> str:
        raise AssertionError

    async with visitor(served) as client:
        await sign_in(client)
        monkeypatch.setattr(pages, "end_of_feed", never)
        assert (await client.get("/palette?fragment=found&q=x")).status_code == 200


async def test_here_says_who_is_signed_in_and_what_runs(served: Edge, database: Database) -> None:
    ada = await hire_with_password(database, "Ada")
    async with visitor(served) as client:
        answer = await client.get("/here", headers={"Accept": "*/*"})
        assert answer.status_code == 401
        await sign_in(client)
        answer = await client.get("/here")
        assert answer.status_code == 200
        assert answer.headers["pullse-agent"] == f"agent:{ada}"
        assert answer.headers["pullse-release"] == RELEASE
        assert answer.headers["cache-control"] == "no-store"
        assert answer.content == b""


@pytest.mark.parametrize(
    ("ably", "expected"),
    [
        (None, []),
        (Ably("a.b:c"), [f"https://{ABLY}", f"wss://{ABLY}"]),
        (Ably("a.b:c", "rt.example.org"), ["https://rt.example.org", "wss://rt.example.org"]),
        (
            Ably("a.b:c", "127.0.0.1", 8080, tls=False),
            ["http://127.0.0.1:8080", "ws://127.0.0.1:8080"],
        ),
    ],
    ids=["gateway", "ably", "host", "plain"],
)
def test_a_page_connects_to_us_and_to_ably_where_it_is_used(
    ably: Ably | None, expected: list[str]
) -> None:
    policy = dict(of_page(origins(ably)))[b"content-security-policy"].decode()
    found = re.search(r"connect-src ([^;]+);", policy)
    assert found
    assert found[1].split() == ["'self'", *expected]
