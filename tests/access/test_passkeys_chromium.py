"""Passkeys in Chromium, with its virtual authenticator, on a page of our own origin."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pullse.access import link_commands
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.sign_in import PASSWORD, audited, hire_with_password
from tests.clients.browser import chromium
from tests.conftest import serving

if TYPE_CHECKING:
    from playwright.async_api import Browser, CDPSession, Page

DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}
SCRIPT = """
const call = async (method, path, body) => {
  const headers = {'Content-Type': 'application/json'}
  const answer = await fetch(path, {method, headers, body: body && JSON.stringify(body)})
  return {...await answer.json(), status: answer.status}
}
const credential = async (asked, make) => {
  const read = make ? 'parseCreationOptionsFromJSON' : 'parseRequestOptionsFromJSON'
  const publicKey = PublicKeyCredential[read](asked.data.options)
  const made = await navigator.credentials[make ? 'create' : 'get']({publicKey})
  return made.toJSON()
}
const make = async (path, rest = {}) => {
  const asked = await call('POST', path + '/options', {})
  if (!asked.data) return asked
  try {
    return await call('POST', path, {credential: await credential(asked, true), ...rest})
  } catch (error) { return error.name }
}
const signIn = async () => {
  const asked = await call('POST', '/api/session/passkey/options', {})
  try {
    return await call('POST', '/api/session/passkey', {credential: await credential(asked, false)})
  } catch (error) { return error.name }
}
"""


@pytest.fixture(scope="module")
async def chrome() -> AsyncIterator["Browser"]:
    async with chromium() as browser:
        yield browser


@asynccontextmanager
async def opened(
    chrome: "Browser", url: str, **device: Any
) -> AsyncIterator[tuple["Page", "CDPSession", str]]:
    """An empty page of this origin, a device that keeps passkeys, and the device's id."""
    context = await chrome.new_context()
    try:
        page = await context.new_page()
        await page.route("**/page", lambda route: route.fulfill(body="", content_type="text/html"))
        await page.goto(f"{url}/page")
        await page.add_script_tag(content=SCRIPT)
        devtools = await context.new_cdp_session(page)
        await devtools.send("WebAuthn.enable")
        added = await devtools.send(
            "WebAuthn.addVirtualAuthenticator", {"options": DEVICE | device}
        )
        yield page, devtools, added["authenticatorId"]
    finally:
        await context.close()


@asynccontextmanager
async def named(edge: Edge) -> AsyncIterator[str]:
    """By its name: at an address there are no passkeys."""
    async with serving(edge) as url:
        yield url.replace("127.0.0.1", "localhost")


async def kept(devtools: "CDPSession", device: str) -> list[dict[str, Any]]:
    found = await devtools.send("WebAuthn.getCredentials", {"authenticatorId": device})
    return found["credentials"]  # type: ignore[no-any-return]


async def enter(page: "Page") -> Any:
    body = {"email": "ada@example.org", "password": PASSWORD}
    return await page.evaluate("body => call('POST', '/api/session', body)", body)


async def test_one_is_made_with_a_link_and_signs_in_alone(
    served: Edge, database: Database, chrome: "Browser"
) -> None:
    new = link_commands.new_agent("ada@example.org", "Ada", "agent")
    link = (await link_commands.invite(database, new)).split()[0]
    async with named(served) as url, opened(chrome, url) as (page, devtools, device):
        assert (await page.evaluate("call('GET', '/api/me')"))["status"] == 401
        path = f"/api/links/{link}/passkey"
        made = await page.evaluate("path => make(path, {passkey_name: 'Chromium'})", path)
        assert (made["status"], made["data"]["purpose"]) == (200, "invitation")
        (credential,) = await kept(devtools, device)
        assert (credential["rpId"], credential["isResidentCredential"]) == ("localhost", True)
        entered = await page.evaluate("signIn()")
        assert entered["status"] == 200, entered
        assert entered["data"]["device"].endswith(" on Linux")
        me = await page.evaluate("call('GET', '/api/me')")
        assert me["data"]["agent"]["email"] == "ada@example.org"
        (one,) = (await page.evaluate("call('GET', '/api/passkeys')"))["data"]["records"]
        assert (one["name"], one["host"]) == ("Chromium", "localhost")
        again = await page.evaluate("make('/api/passkeys')")
        assert again == "InvalidStateError"  # this device has one already
        assert await page.evaluate("document.cookie") == ""  # no script sees it
    assert len(await audited(database, "sign_in.succeeded")) == 1


async def test_a_second_device_is_added_and_removed(
    served: Edge, database: Database, chrome: "Browser"
) -> None:
    await hire_with_password(database, "Ada")
    async with named(served) as url:
        async with opened(chrome, url) as (page, _, _):
            assert (await enter(page))["status"] == 200
            first = await page.evaluate("make('/api/passkeys')")
            assert first["status"] == 201
            assert first["data"]["name"].endswith(" on Linux")
        async with opened(chrome, url, transport="usb") as (page, _, _):
            assert (await enter(page))["status"] == 200
            assert (await page.evaluate("make('/api/passkeys')"))["status"] == 201
            assert (await page.evaluate("signIn()"))["status"] == 200
            path = f"/api/passkeys/{first['data']['id']}/remove"
            removed = await page.evaluate("path => call('POST', path, {})", path)
            assert removed["status"] == 200
            records = (await page.evaluate("call('GET', '/api/passkeys')"))["data"]["records"]
            assert len(records) == 1


async def test_a_device_that_does_not_know_its_holder_is_not_enough(
    served: Edge, database: Database, chrome: "Browser"
) -> None:
    await hire_with_password(database, "Ada")
    async with (
        named(served) as url,
        opened(chrome, url, hasUserVerification=False, isUserVerified=False) as (page, _, _),
    ):
        await enter(page)
        assert await page.evaluate("make('/api/passkeys')") in (
            "NotAllowedError",
            "ConstraintError",
        )


async def test_a_copied_device_is_noticed(
    served: Edge, database: Database, chrome: "Browser"
) -> None:
    await hire_with_password(database, "Ada")
    async with named(served) as url, opened(chrome, url) as (page, devtools, device):
        await enter(page)
        assert (await page.evaluate("make('/api/passkeys')"))["status"] == 201
        (copy,) = await kept(devtools, device)
        for _ in range(2):
            assert (await page.evaluate("signIn()"))["status"] == 200
        await devtools.send("WebAuthn.clearCredentials", {"authenticatorId": device})
        await devtools.send(
            "WebAuthn.addCredential", {"authenticatorId": device, "credential": copy}
        )
        refused = await page.evaluate("signIn()")
        assert (refused["status"], refused["code"]) == (401, "wrong_passkey")
    ((_, row, _),) = await audited(database, "sign_in.failed")
    assert '"passkey_counter"' in row


async def test_there_are_none_at_an_address(
    served: Edge, database: Database, chrome: "Browser"
) -> None:
    async with serving(served) as url, opened(chrome, url) as (page, _, _):
        asked = await page.evaluate("call('POST', '/api/session/passkey/options', {})")
        assert (asked["status"], asked["code"]) == (409, "no_passkeys_here")
