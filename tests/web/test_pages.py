"""What holds for every page: who may see it, what is in its head, whose forms count."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import httpx
import pytest

from pullse import app
from pullse.agents.permissions import PERMISSIONS, ROLES
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.kit.rates import Rates
from pullse.kit.web import Call
from tests.access.people import run
from tests.access.sign_in import PASSWORD, audited, hire_with_password
from tests.kit.test_edge import pieces, whole
from tests.web.furnished import DOOR, furnish, paths
from tests.web.visiting import ACCEPT, Parsed, led_to, parsed, send, sign_in, visitor

OPEN = {
    "GET /assets/{version}/{name}",
    "GET /sign-in",
    "POST /sign-in",
    "GET /sign-in/code",
    "POST /sign-in/code",
    "GET /links/{token}",
    "POST /links/{token}",
}
GUARDED = [page for page in app.pages if not page.is_open]
FORMS = [page for page in app.pages if page.method == "POST"]
POLICY = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types pullse",
}
FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://pullse.example"},
    {"Origin": "https://evil.example"},
    {"Origin": "https://pullse.example"},
    {"Origin": "http://pullse.example.evil.example"},
    {"Origin": "null"},
]


def address(page: Call) -> str:
    return re.sub(r"{\w+}", str(uuid4()), page.path)


def test_a_page_without_a_permission_is_one_of_the_few_that_are_open() -> None:
    assert {page.name for page in app.pages if page.is_open} == OPEN
    assert {page.permission for page in GUARDED} <= set(PERMISSIONS)


def test_pages_and_calls_have_addresses_of_their_own() -> None:
    names = [each.name for each in (*app.calls, *app.pages)]
    assert len(set(names)) == len(names)
    assert not [page.name for page in app.pages if page.path.startswith("/api")]


@pytest.mark.parametrize("role", ROLES)
async def test_each_role_sees_what_the_table_says(
    role: str, served: Edge, database: Database
) -> None:
    """A session ends by `/sign-out` alone, and no form does anything without its fields."""
    await hire_with_password(database, "Ada", role)
    async with visitor(served) as client:
        await sign_in(client)
        for page in [each for each in GUARDED if each.path != "/sign-out"]:
            answer = await client.request(page.method, address(page))
            is_refused = answer.status_code == 403 and page.permission in answer.text
            assert is_refused == (page.permission not in ROLES[role]), page.name
            assert answer.status_code < 500, page.name


async def test_a_stranger_is_led_to_sign_in(served: Edge) -> None:
    async with visitor(served) as client:
        for page in GUARDED:
            answer = await client.request(page.method, address(page))
            assert led_to(answer).startswith("/sign-in"), page.name
        assert led_to(await client.get("/whatever/that/is")).startswith("/sign-in")


async def every_page(client: httpx.AsyncClient, ada: Any) -> list[httpx.Response]:
    """Of all kinds: open ones, one's own, refused ones, forms that were refused."""
    answers = [
        await client.get("/sign-in?error=no_account"),
        await sign_in(client, password="wrong wrong wrong"),
        await client.get("/links/nothing"),
        await client.get("/agents"),
        await sign_in(client),
        *[
            await client.get(page.path.replace("{agent}", str(ada)))
            for page in app.pages
            if page.method == "GET" and not page.path.startswith(("/assets", "/links"))
        ],
        await client.get("/nothing"),
        await client.delete("/account"),
        await send(client, "/account/password"),
        await send(client, "/account/second-factor/begin", {"password": PASSWORD}),
        await send(client, "/account/tokens", {"name": "x", "expires": "never"}),
        await send(client, "/agents/invite", {"email": "b@example.org", "role": "agent"}),
        await send(client, "/agents/invite", {"email": "b@example.org", "role": "agent"}),
        await client.post("/sign-in", content=b"x" * 2_000_000),
    ]
    return [each for each in answers if each.headers.get("content-type", "").startswith("text/h")]


async def test_every_page_has_the_whole_head(served: Edge, database: Database) -> None:
    ada = await hire_with_password(database, "Ada", "owner")
    async with visitor(served) as client:
        answers = await every_page(client, ada)
    assert len(answers) > 20
    assert {each.status_code for each in answers} >= {200, 201, 303, 400, 401, 404, 409}
    for answer in answers:
        head = answer.headers
        assert set(head["content-security-policy"].split("; ")) == POLICY
        assert head["cache-control"] == "no-store"
        assert head["referrer-policy"] == "same-origin"
        assert head["cross-origin-opener-policy"] == "same-origin"
        assert head["cross-origin-resource-policy"] == "same-origin"
        assert head["x-content-type-options"] == "nosniff"
        assert "x-request-id" in head
        assert "access-control-allow-origin" not in head
        names = [name.lower() for name, _ in head.raw if name.lower() != b"set-cookie"]
        assert len(set(names)) == len(names)


async def test_nothing_on_a_page_is_inline_or_from_elsewhere(
    served: Edge, database: Database
) -> None:
    ada = await hire_with_password(database, "Ada", "owner")
    async with visitor(served) as client:
        for answer in await every_page(client, ada):
            for tag, attributes in parsed(answer).tags:
                assert tag != "style"
                assert tag != "script" or attributes["src"]
                for name, value in attributes.items():
                    assert name != "style"
                    assert not name.startswith("on")
                    if name in ("src", "href", "action"):
                        assert re.match(r"/(?![/\\])|#", value or ""), (tag, name, value)


async def test_a_page_inside_has_the_one_script(served: Edge, database: Database) -> None:
    """All elements are in it; another one would define them twice."""
    ada = await hire_with_password(database, "Ada", "owner")
    async with visitor(served) as client:
        for answer in await every_page(client, ada):
            page = parsed(answer)
            if page.all("nav"):
                (script,) = page.all("script")
                assert str(script["src"]).endswith("/pullse.js")


async def test_every_page_reads_well_without_looking(served: Edge, database: Database) -> None:
    """A language, a title, one heading above all, a label for each field."""
    ada = await hire_with_password(database, "Ada", "owner")
    async with visitor(served) as client:
        for answer in await every_page(client, ada):
            if answer.status_code == 303:
                continue
            page = parsed(answer)
            (html,) = page.all("html")
            assert html["lang"] == "en"
            assert len(page.all("h1")) == len(page.all("main")) == 1
            labelled = {each.get("for") for each in page.all("label")}
            for field in [*page.all("input"), *page.all("select")]:
                is_seen = field.get("type") not in ("hidden", "checkbox", "radio")
                if is_seen and not {"aria-hidden", "aria-label"} & set(field):
                    is_in_label = any(field is each for each in page.labelled)
                    assert is_in_label or field["id"] in labelled, (answer.url, field)
                    assert (
                        field.get("autocomplete")
                        or "role" in str(field.get("id"))
                        or "name" in field
                    )
            ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
            assert [each for each in ids if ids.count(each) > 1] == [], answer.url
            for _, attributes in page.tags:
                for id_ in (attributes.get("aria-describedby") or "").split():
                    assert id_ in ids


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_a_form_of_another_site_does_nothing(
    headers: dict[str, str], served: Edge, database: Database
) -> None:
    """Whether it comes with the cookie of who is signed in, or would sign in as somebody else."""
    ada = await hire_with_password(database, "Ada", "owner")
    async with visitor(served) as client:
        await sign_in(client)
        del client.headers["Sec-Fetch-Site"]
        for page in FORMS:
            path = page.path.replace("{agent}", str(ada)).replace("{token}", "A" * 43)
            answer = await send(client, re.sub(r"{\w+}", str(uuid4()), path), **headers)
            assert answer.status_code == 403, page.name
            assert "set-cookie" not in answer.headers
            assert "Pages of other sites" in answer.text
        client.headers["Sec-Fetch-Site"] = "same-origin"
        assert (await client.get("/account")).status_code == 200
    assert len(await audited(database, "sign_in.succeeded")) == 1
    assert await audited(database, "session.ended") == []


async def test_an_older_browser_says_where_its_form_is_from(
    served: Edge, database: Database
) -> None:
    """Without Sec-Fetch-Site, and so over plain HTTP, by the origin, which our pages send along."""
    await hire_with_password(database, "Ada")
    async with visitor(served) as client:
        del client.headers["Sec-Fetch-Site"]
        client.headers["Origin"] = "http://pullse.example"
        assert led_to(await sign_in(client)) == "/"
        assert led_to(await send(client, "/sign-out")) == "/sign-in?done=signed_out"


async def test_refusals_are_pages_for_people_and_json_for_programs(
    served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada")
    async with visitor(served) as client:
        await sign_in(client)
        for path, status in (("/nothing", 404), ("/agents", 403), ("/sign-in?x=y", 400)):
            page = await client.get(path)
            assert page.status_code == status
            assert "<h1>" in page.text
            for accept in ("*/*", "application/json", "text/plain"):
                answer = await client.get(path, headers={"Accept": accept})
                assert answer.status_code == status
                assert answer.json()["status"] is False
        for path in ("/api/nothing", "/api/tickets/x", "/api/agents?limit=x"):
            assert (await client.get(path)).headers["content-type"] == "application/json"


async def test_too_many_requests_are_told_in_words(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada")
    edge = replace(served, rates=Rates(1, clock=lambda: 1000.0))
    async with visitor(edge) as client, visitor(edge, **{"Accept-Language": "de"}) as german:
        await sign_in(client)
        await sign_in(german)
        for _ in range(10):
            assert (await client.get("/account")).status_code == 200
        page = await client.get("/account")
        assert page.status_code == 429
        assert page.headers["retry-after"] == "1"
        assert page.headers["ratelimit"] == '"default";r=0;t=1'
        assert set(page.headers["content-security-policy"].split("; ")) == POLICY
        assert "Not so fast" in page.text
        assert "Too many requests; go on in 1 s." in page.text
        assert "weiter in 1 s." in (await german.get("/account")).text
        for path, accept in (("/account", "*/*"), ("/api/me", ACCEPT)):
            answer = await client.get(path, headers={"Accept": accept})
            assert (answer.status_code, answer.json()["code"]) == (429, "too_many_requests")


@pytest.mark.parametrize("form", [whole, pieces])
async def test_too_much_at_once_is_told_in_words(
    served: Edge, form: Callable[[bytes], Any]
) -> None:
    """Whether it is said how much will come, or not."""
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    async with visitor(served, **kind) as client:
        page = await client.post("/sign-in", content=form(b"x" * ((1 << 20) + 1)))
        assert page.status_code == 413
        assert page.headers["connection"] == "close"
        assert "Too much at once" in page.text
        headers = {"Accept": "application/json"}
        content = form(b"x" * ((1 << 20) + 1))
        answer = await client.post("/sign-in", content=content, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_a_bug_says_nothing_of_itself(
    served: Edge, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await hire_with_password(database, "Ada")
    async with visitor(served) as client:
        await sign_in(client)
        await run(database, "ALTER TABLE totp RENAME TO totp_away")
        answer = await client.get("/account")
        assert answer.status_code == 500
        assert "Our mistake" in answer.text
        assert "totp" not in answer.text
    assert "GET /account failed" in caplog.text


async def test_a_page_without_its_database_says_so(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada")
    async with visitor(served) as client:
        await sign_in(client)
        await database.close()
        served.services.forget()
        answer = await client.get("/account")
        assert answer.status_code == 503
        assert "Just a moment" in answer.text
        assert answer.headers["retry-after"] == "1"
        assert (await client.get(asset(answer, "link"))).status_code == 200


def asset(answer: httpx.Response, tag: str) -> str:
    (first, *_) = parsed(answer).all(tag)
    return str(first.get("href") or first.get("src"))


async def test_assets_are_kept_for_good(served: Edge) -> None:
    async with visitor(served) as client:
        style = asset(await client.get("/sign-in"), "link")
        answer = await client.get(style)
        assert answer.headers["content-type"] == "text/css; charset=utf-8"
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-security-policy"] == (
            "default-src 'none'; frame-ancestors 'none'"
        )
        assert answer.text.startswith("@layer reset, base, components")
        folder = style.rpartition("/")[0]
        for name, kind in (("icons.svg", "image/svg+xml"), ("copy.js", "text/javascript")):
            assert kind in (await client.get(f"{folder}/{name}")).headers["content-type"]
        older = await client.get(style.replace(folder, "/assets/of-an-older-release"))
        assert older.headers["cache-control"] == "no-store"
        for name in ("..%2fframe.py", "frame.py", "..", "%00", "pullse.css%00", "../frame.py"):
            assert (await client.get(f"{folder}/{name}")).status_code in (303, 404)
        head = await client.head(style)
        assert head.content == b""


async def test_a_stranger_posts_to_no_asset(served: Edge) -> None:
    async with visitor(served) as client:
        assert (await client.post("/assets/x/pullse.css")).status_code in (303, 405)


async def test_every_icon_that_is_shown_is_there(served: Edge, database: Database) -> None:
    ada = await hire_with_password(database, "Ada", "owner")
    async with visitor(served) as client:
        used = {
            str(each["href"])
            for answer in await every_page(client, ada)
            for each in parsed(answer).all("use")
        }
        (file,) = {each.partition("#")[0] for each in used}
        symbols = {each["id"] for each in Parsed((await client.get(file)).text).all("symbol")}
    assert len(used) > 8
    assert {each.partition("#")[2] for each in used} <= symbols


async def test_every_page_inside_says_whose_it_is(served: Edge, database: Database) -> None:
    """`own_id` of the frame; a page that shows somebody else must not hide it."""
    await furnish(database)
    found = [path for path in await paths(served, database) if path not in DOOR]
    async with visitor(served) as client:
        await sign_in(client)
        ada = (await client.get("/api/me")).json()["data"]["id"]
        for path in found:
            html = (await client.get(path)).text
            assert f'<meta name="agent" content="{ada}">' in html, path
