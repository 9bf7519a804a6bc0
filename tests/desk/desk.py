"""A desk with people at it: what the tests of its pages arrange, and read."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from typing import Any

import httpx

from pullse.kit.edge import Edge
from tests.access.people import calling
from tests.access.sign_in import enter
from tests.api.calls import Body, new_ticket
from tests.web.visiting import parsed, visitor


@asynccontextmanager
async def at_desk(edge: Edge, name: str = "Ada", **more: str) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody's browser, signed in."""
    async with visitor(edge, **more) as client:
        answer = await enter(client, name)
        assert answer.status_code == 200, answer.text
        yield client


async def opened(edge: Edge, title: str = "Help", **fields: Any) -> Body:
    """A ticket of the operator's."""
    async with calling(edge) as operator:
        return await new_ticket(operator, title, **fields)


async def now(edge: Edge, ticket: Body) -> Body:
    async with calling(edge) as operator:
        answer = await operator.get(f"/api/tickets/{ticket['id']}")
        found: Body = answer.json()["data"]
        return found


async def changed(client: httpx.AsyncClient, ticket: Body, **fields: Any) -> Body:
    """By the API, as who `client` is."""
    answer = await client.patch(f"/api/tickets/{ticket['id']}", json=fields)
    assert answer.status_code == 200, answer.text
    found: Body = answer.json()["data"]
    return found


def seen(answer: httpx.Response) -> str:
    """The text of a page, with single spaces."""
    return " ".join(parsed(answer).text.split())


def written(answer: httpx.Response, name: str) -> str:
    """What stands in a field of several lines."""
    found = re.search(rf'<textarea[^>]* name="{name}"[^>]*>\n?(.*?)</textarea>', answer.text, re.S)
    assert found, answer.text
    return unescape(found[1]).replace("\r\n", "\n")


def chosen(answer: httpx.Response, name: str) -> str | None:
    """The value that is chosen in a choice."""
    found = re.search(rf'<select[^>]* name="{name}".*?</select>', answer.text, re.S)
    assert found, answer.text
    option = re.search(r'<option value="([^"]*)" selected', found[0])
    return option[1] if option else None


def entries(answer: httpx.Response) -> list[str]:
    """What happened, as it is told."""
    found = re.findall(r"<span data-said>(.*?)</span>(?: <a|</p>)", answer.text, re.S)
    return [" ".join(unescape(re.sub(r"<[^>]+>", "", each)).split()) for each in found]


def own(sent: list[str]) -> list[str]:
    """Statements of the page itself: not of who asks, how they like it, or the end of the feed."""
    others = ("sessions", "preferences", "feed_epoch")
    return [each for each in sent if not any(other in each for other in others)]


def undoable(answer: httpx.Response) -> list[int]:
    """The facts that can be undone."""
    return [int(each) for each in re.findall(r'name="fact" value="(\d+)"', answer.text)]
