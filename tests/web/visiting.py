"""A browser without scripts: it follows links, fills in forms, and keeps cookies."""

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import httpx

from pullse.access import totp
from pullse.kit.edge import Edge
from tests.access.sign_in import PASSWORD, browser

ACCEPT = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"
MOVED = 303


@asynccontextmanager
async def visitor(edge: Edge, **more: str) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Accept": ACCEPT, "User-Agent": FIREFOX} | more
    scheme = headers.pop("scheme", "http")
    address = headers.pop("address", "192.0.2.1")
    async with browser(edge, scheme=scheme, address=address, **headers) as client:
        yield client


async def send(
    client: httpx.AsyncClient, path: str, fields: Any = None, **headers: str
) -> httpx.Response:
    """Post a form's fields; redirections are not followed."""
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    content = urlencode(fields or {}, doseq=True)
    return await client.post(path, content=content, headers=kind | headers)


async def sign_in(
    client: httpx.AsyncClient, name: str = "Ada", password: str = PASSWORD, **more: str
) -> httpx.Response:
    fields = {"email": f"{name.lower()}@example.org", "password": password} | more
    return await send(client, "/sign-in", fields)


def led_to(answer: httpx.Response) -> str:
    assert answer.status_code == MOVED, answer.text
    return answer.headers["location"]


def code_of(secret: str, *, steps: int = 0) -> str:
    """Of now, or of some steps of 30 seconds later."""
    key = totp.base64.b32decode(secret)
    return totp.code_at(key, int(time.time()) // totp.STEP + steps)


class Parsed(HTMLParser):
    """Tags with their attributes, and the text that is seen."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.labelled: list[dict[str, str | None]] = []
        """Fields that stand in their labels."""
        self._labels = self._dialogs = 0
        self._seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._labels += tag == "label"
        self._dialogs += tag == "dialog"
        if not self._dialogs:
            self._seen.append(self.tags[-1])
        if self._labels:
            self.labelled.append(self.tags[-1][1])

    def handle_endtag(self, tag: str) -> None:
        self._labels -= tag == "label"
        self._dialogs -= tag == "dialog"

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Of the page itself: dialogs of the frame, which are closed, have forms too."""
        return [attributes for name, attributes in self._seen if name == tag]

    @property
    def ids(self) -> list[str]:
        return [attributes["id"] or "" for _, attributes in self.tags if "id" in attributes]

    def field(self, name: str) -> dict[str, str | None]:
        (found,) = [each for each in self.all("input") if each.get("name") == name]
        return found

    def problem(self, name: str) -> bool:
        return self.field(name).get("aria-invalid") == "true"


def parsed(answer: httpx.Response) -> Parsed:
    return Parsed(answer.text)


def once(answer: httpx.Response) -> str:
    """What is shown this once."""
    found = re.search(r'id="once">([^<]+)<', answer.text)
    assert found, answer.text
    return found[1].replace("&#x2f;", "/")
