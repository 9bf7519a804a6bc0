"""What people type and browsers send, as an attack on whoever looks at it."""

import re
from urllib.parse import quote

import pytest

from pullse.access import links
from pullse.access.commands import ME
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.kit.pages import own_path
from tests.access.people import run
from tests.access.sign_in import hire_with_password
from tests.web.visiting import led_to, parsed, send, sign_in, visitor

ELSEWHERE = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "\t//evil.example",
    " //evil.example",
    "https://evil.example",
    "https:evil.example",
    "HTTPS:/evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "evil.example",
    "/ok\r\nSet-Cookie: a=b",
    "/ok\r\n\r\n<script>alert(1)</script>",
    "/ok\0",
    "/a\\..\\b",
    "/%2f%2fevil",
    "/%5cevil",
    "/a%0d%0ab",
    "/.//x",
    "/a#b",
    "/\u2028",
    "/é",
    "",
    "/" + "a" * 2000,
    "?x",
    "#x",
    "@evil.example",
]
WITHIN = ["/", "/agents", "/agents?cursor=a%0d%0ab&x=//y", "/a@b"]
MARKUP = [
    "<script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onfocus='alert(1)' autofocus='",
    '" onfocus="alert(1)" autofocus="',
    "<svg/onload=alert(1)>",
    "<svg><script>alert&#40;1)</script>",
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1>">',
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href=javascript:alert(1)>x</a>",
    "<form action=https://evil.example><input name=password>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<base href=https://evil.example>",
    "<link rel=stylesheet href=https://evil.example>",
    "<style>@import 'https://evil.example'</style>",
    "<!--<script>",
    "]]><script>alert(1)</script>",
    "{{ 7 * 7 }}{% for x in () %}{% endfor %}{# x #}",
    "{{ viewer.__class__ }}{{ asset('x') }}",
    "${7*7}#{7*7}",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "\u202egnp.tpircs<",
    "\u2066\u200b\u200dx\ufeff",
    "<\u0131mg src=x>",
    "\uff1cscript\uff1e",
    "x" * 190,
    "{name} {0} {viewer.email}",
]
TAGS = {"script", "iframe", "style", "math", "base", "object", "embed", "img"}


@pytest.mark.parametrize("text", ELSEWHERE)
async def test_signing_in_leads_nowhere_else(text: str, served: Edge, database: Database) -> None:
    assert own_path(text) == "/"
    await hire_with_password(database, "Ada")
    async with visitor(served) as client:
        page = await client.get(f"/sign-in?return_to={quote(text, safe='')}")
        if page.status_code == 200:
            assert parsed(page).field("return_to")["value"] == "/"
        answer = await sign_in(client, return_to=text)
        if answer.status_code != 400:  # NUL is refused
            assert led_to(answer) == "/"
        assert "evil" not in str(answer.headers)
        again = await client.get(f"/sign-in?return_to={quote(text, safe='')}")
        assert again.headers.get("location", "/") in (
            "/",
            f"/sign-in?return_to={quote('/sign-in')}",
        )


@pytest.mark.parametrize("text", WITHIN)
async def test_signing_in_leads_back(text: str, served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada")
    async with visitor(served) as client:
        assert led_to(await sign_in(client, return_to=text)) == text


@pytest.mark.parametrize(
    "path", ["//evil.example/", "/\\evil.example", "///evil.example", "/%0d%0aSet-Cookie:%20a=b"]
)
async def test_an_address_that_looks_like_another_servers(path: str, served: Edge) -> None:
    """The path of a stranger's request comes into the address of the sign-in page, as a value."""
    async with visitor(served) as client:
        request = client.build_request("GET", "http://pullse.example/x")
        request.url = request.url.copy_with(raw_path=path.encode())
        answer = await client.send(request)
        location = led_to(answer)
        assert re.fullmatch(r"/sign-in(\?return_to=[A-Za-z0-9%._-]+)?", location)
        assert "set-cookie" not in answer.headers
        page = parsed(await client.get(location))
        assert re.match(r"/(?![/\\])", str(page.field("return_to")["value"]))


@pytest.mark.parametrize("text", MARKUP)
async def test_what_is_typed_is_text(text: str, served: Edge, database: Database) -> None:
    """As a name, as an address that is refused, as a token's name, as a device."""
    await hire_with_password(database, "Ada", "owner")
    ben = await hire_with_password(database, "Ben")
    await run(database, "UPDATE agents SET name = $1", text)
    async with database.transaction() as db:
        made = await links.invite(db, ben, by=ME)
    agent = text.encode("latin-1", "replace").decode("latin-1")
    async with visitor(served, **{"User-Agent": agent}) as client:
        pages = [
            await send(client, "/sign-in", {"email": text, "password": "x"}),
            await client.get(f"/links/{made.token}"),
            await sign_in(client),
            await client.get("/"),
            await client.get("/account"),
            await client.get("/account/sessions"),
            await send(client, "/account/tokens", {"name": text, "expires": "never"}),
            await send(client, "/account/tokens", {"name": text, "expires": text}),
            await client.get("/agents"),
            await client.get(f"/agents/{ben}"),
            await send(client, f"/agents/{ben}/link"),
            await send(client, "/agents/invite", {"email": text, "name": text, "role": "agent"}),
            await send(client, "/agents/invite", {"email": text, text: text, "role": text}),
            await client.get(f"/{quote(text)}"),
            await client.get(f"/sign-in?{quote(text)}={quote(text)}"),
        ]
    shown = [each for each in pages if each.status_code != 303]
    assert len(shown) >= 13
    for answer in shown:
        page = parsed(answer)
        for tag, attributes in page.tags:
            assert tag not in TAGS - {"script"}
            assert tag != "script" or str(attributes["src"]).startswith("/assets/")
            assert not [name for name in attributes if name.startswith("on")]
            assert str(attributes.get("href", "/"))[0] in "/#"
            assert str(attributes.get("action", "/"))[0] == "/"
    assert text in parsed(pages[4]).text
    assert text in parsed(pages[8]).text
    value = parsed(pages[0]).field("email")["value"]
    assert value == text


async def test_the_error_of_a_provider_is_one_of_ours(served: Edge) -> None:
    async with visitor(served) as client:
        page = await client.get("/sign-in?error=no_account")
        assert "Ask an admin for an invitation" in page.text
        for text in (*MARKUP, "title", "done_signed_out", "__class__"):
            page = await client.get(f"/sign-in?error={quote(text)}")
            assert page.status_code == 200
            assert 'role="alert">' not in page.text


async def test_a_host_that_was_made_up_is_text_too(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada", "owner")
    ben = await hire_with_password(database, "Ben")
    async with visitor(served) as client:
        await sign_in(client)
        cookie = client.cookies["pullse"]
    async with visitor(served, Host='"><script>', Cookie=f"pullse={cookie}") as client:
        answer = await send(client, f"/agents/{ben}/link")
        assert answer.status_code == 201
        assert "<script>" not in answer.text
