"""
Single sign-on at a real OpenID provider, `oidc-provider` from npm, which Node runs beside us.

People go through its own pages, by httpx and once in a real Chromium.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from pullse import app, providers
from pullse.access.finder import Finder, SessionFinder
from pullse.access.oidc.discovery import Live
from pullse.kit.db import Database
from pullse.kit.edge import Edge, Guard
from pullse.kit.guard import BearerToken, LocalOwner
from pullse.kit.tail import Tail
from tests.access.people import OPERATORS, hire
from tests.access.sign_in import audited
from tests.clients.browser import chromium
from tests.clients.javascript import install
from tests.conftest import serving

FOLDER = Path(__file__).parent / "provider"
SECRET = "a secret of the client: with+signs"
PEOPLE = {
    "ada": {"email": "ada@example.org", "email_verified": True, "name": "Ada"},
    "eve": {"email": "ben@example.org", "email_verified": False, "name": "Eve"},
    "cleo": {"email": "cleo@example.org", "email_verified": True, "name": "Cleo"},
}
CLIENTS: dict[str, dict[str, Any]] = {
    "basic": {"token_endpoint_auth_method": "client_secret_basic"},
    "post": {"token_endpoint_auth_method": "client_secret_post"},
    "public": {"token_endpoint_auth_method": "none"},
    "ps": {"id_token_signed_response_alg": "PS256"},
    "es": {"id_token_signed_response_alg": "ES256"},
    "ed": {"id_token_signed_response_alg": "EdDSA"},
}
FORM = re.compile(r'<form[^>]* action="([^"]+)"')
PROMPT = re.compile(r'name="prompt" value="(\w+)"')


@pytest.fixture(scope="module", autouse=True)
def modules() -> None:
    install(FOLDER)


@pytest.fixture
def guard(database: Database) -> Guard:
    return BearerToken(OPERATORS, find=Finder(database), find_session=SessionFinder(database))


@pytest.fixture
def lives() -> list[Live]:
    return []


@pytest.fixture
def edge(database: Database, tail: Tail, guard: Guard, lives: list[Live]) -> Edge:
    """It gets its providers when it has an address, which they have to know."""
    return app.build(database, tail, guard, providers=lives)


@pytest.fixture
async def here(edge: Edge) -> AsyncIterator[str]:
    async with serving(edge) as url:
        yield url


@asynccontextmanager
async def provided(here: str, lives: list[Live], *, conform: bool = True) -> AsyncIterator[None]:
    """`conform`: an address is in the user info alone, as the specification has it."""
    clients = [
        {
            "client_id": name,
            "redirect_uris": [f"{here}/api/sign-in/oidc/{name}/callback"],
            **({} if name == "public" else {"client_secret": SECRET}),
            **more,
        }
        for name, more in CLIENTS.items()
    ]
    given = json.dumps({"clients": clients, "people": PEOPLE, "conform": conform})
    process = await asyncio.create_subprocess_exec(
        *("node", str(FOLDER / "provider.mjs"), given),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout
        told = await asyncio.wait_for(process.stdout.readline(), 60)
        if not told and process.stderr:
            raise AssertionError((await process.stderr.read()).decode())
        issuer = json.loads(told)["value"]
        for name in CLIENTS:
            secret = None if name == "public" else SECRET
            lives.append(Live(providers.Provider(name, name, issuer, name, secret)))
        yield
    finally:
        process.kill()
        await process.communicate()


async def walk(client: httpx.AsyncClient, url: str, login: str, password: str = "x") -> str:
    """As a browser would, through the provider's pages; the address where it ends with us."""
    for _ in range(20):
        answer = await client.get(url)
        while answer.status_code in (302, 303):
            url = urljoin(str(answer.url), answer.headers["location"])
            if "/api/" not in url and url.startswith(str(client.base_url).rstrip("/")):
                return url
            answer = await client.get(url)
        assert answer.status_code == 200, answer.text
        action, prompt = FORM.search(answer.text), PROMPT.search(answer.text)
        assert action, answer.text
        assert prompt, answer.text
        given = {"prompt": prompt[1], "login": login, "password": password}
        answer = await client.post(action[1], data=given)
        assert answer.status_code in (302, 303), answer.text
        url = urljoin(str(answer.url), answer.headers["location"])
    raise AssertionError("it goes round and round")


async def sign_in(here: str, name: str, login: str) -> tuple[str, Any]:
    """Where it ends, and the agent of the session, or None."""
    async with httpx.AsyncClient(base_url=here, verify=False) as client:
        url = await walk(client, f"{here}/api/sign-in/oidc/{name}?return_to=/tickets", login)
        answer = await client.get("/api/sessions")
        records = answer.json().get("data", {}).get("records", [])
        return url.removeprefix(here), records[0]["agent_id"] if records else None


@pytest.mark.parametrize("conform", [True, False])
async def test_people_sign_in_at_a_real_provider(
    conform: bool, here: str, lives: list[Live], database: Database
) -> None:
    """However the client shows its secret, and whatever the tokens are signed with."""
    agent_id = await hire(database, "Ada")
    async with provided(here, lives, conform=conform):
        for name in CLIENTS:
            assert await sign_in(here, name, "ada") == ("/tickets", str(agent_id))
    assert len(await audited(database, "identity.linked")) == 1
    assert len(await audited(database, "sign_in.succeeded")) == len(CLIENTS)


async def test_whom_nobody_here_knows_is_refused(
    here: str, lives: list[Live], database: Database
) -> None:
    await hire(database, "Ben")
    async with provided(here, lives):
        assert await sign_in(here, "basic", "cleo") == ("/sign-in?error=no_account", None)
        # she says that she is Ben; the provider does not
        assert await sign_in(here, "basic", "eve") == ("/sign-in?error=email_unverified", None)


async def test_whoever_goes_back_is_told_so(here: str, lives: list[Live]) -> None:
    async with (
        provided(here, lives),
        httpx.AsyncClient(base_url=here, verify=False, follow_redirects=True) as client,
    ):
        page = await client.get("/api/sign-in/oidc/basic")
        abort = re.search(r'href="([^"]+/abort)"', page.text)
        assert abort, page.text
        url = urljoin(str(page.url), abort[1])
        client.follow_redirects = False
        while "/sign-in?" not in url:
            answer = await client.get(url)
            url = urljoin(str(answer.url), answer.headers["location"])
        assert url == f"{here}/sign-in?error=sign_in_denied"


async def test_the_provider_itself_refuses_a_code_whose_verifier_is_another_ones(
    here: str, lives: list[Live], database: Database
) -> None:
    """A stolen code, brought back in an attempt of the thief's own."""
    await hire(database, "Ada")
    async with provided(here, lives):
        async with httpx.AsyncClient(base_url=here, verify=False) as victim:
            stolen = await stop_before_callback(victim, "ada")
        async with httpx.AsyncClient(base_url=here, verify=False) as thief:
            own = await stop_before_callback(thief, "cleo")
            code = re.search(r"code=([^&]+)", stolen)
            assert code
            answer = await thief.get(re.sub(r"code=[^&]+", f"code={code[1]}", own))
        assert answer.headers["location"] == "/sign-in?error=provider_failed"


async def stop_before_callback(client: httpx.AsyncClient, login: str) -> str:
    url = "/api/sign-in/oidc/basic"
    for _ in range(20):
        answer = await client.get(url)
        if answer.status_code == 200:
            action, prompt = FORM.search(answer.text), PROMPT.search(answer.text)
            assert action, answer.text
            assert prompt, answer.text
            given = {"prompt": prompt[1], "login": login, "password": "x"}
            answer = await client.post(action[1], data=given)
        url = urljoin(str(answer.url), answer.headers["location"])
        if "/callback?" in url:
            return url
    raise AssertionError("it goes round and round")


@pytest.fixture
def dev_edge(database: Database, tail: Tail, lives: list[Live]) -> Edge:
    guard = LocalOwner(find=Finder(database), find_session=SessionFinder(database))
    return app.build(database, tail, guard, providers=lives)


@pytest.mark.parametrize("mode", ["serve", "dev"])
async def test_in_a_real_browser_too(
    mode: str, edge: Edge, dev_edge: Edge, lives: list[Live], database: Database
) -> None:
    """From another site's page, as the browser sees it: localhost is not 127.0.0.1."""
    agent_id = await hire(database, "Ada")
    async with serving(edge if mode == "serve" else dev_edge) as url:
        here = url.replace("127.0.0.1", "localhost")
        async with provided(here, lives), chromium() as browser:
            context = await browser.new_context()
            page = await context.new_page()
            await page.goto(f"{here}/api/sign-in/oidc/basic?return_to=/api/sessions")
            await page.fill("input[name=login]", "ada")
            await page.fill("input[name=password]", "x")
            await page.click("button[type=submit]")
            await page.click("text=Continue")
            await page.wait_for_url(f"{here}/api/sessions")
            told = json.loads(await page.inner_text("body"))
            assert told["data"]["records"][0]["agent_id"] == str(agent_id)
            kept = {each["name"]: each for each in await context.cookies(here)}
            assert kept["pullse"]["httpOnly"]
            assert kept["pullse"]["sameSite"] == "Lax"
            assert "pullse-oidc" not in kept
            await context.close()
