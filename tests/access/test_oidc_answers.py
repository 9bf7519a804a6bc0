"""What a browser brings back counts once, for that browser, and from where it was sent to."""

import asyncio
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from pullse.access.oidc.discovery import Live
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.kit.tail import Tail
from tests.access.people import hire, run
from tests.access.sign_in import browser
from tests.access.single_sign_on import (
    depart,
    edge_with,
    is_let_in,
    is_nobody,
    reasons,
    refusal,
    settings,
    sign_in,
    visit,
)
from tests.standins.oidc import (
    Provider,
    providing,
)

DOCS = Path(__file__).parents[2] / "docs"


# -- states, codes and browsers --


async def test_a_state_is_good_once(person: httpx.AsyncClient, database: Database) -> None:
    back = await visit(await depart(person))
    cookie = person.cookies["pullse-oidc"]
    assert (await person.get(back)).headers["location"] == "/"
    person.cookies.set("pullse-oidc", cookie, domain="pullse.example", path="/")
    assert refusal(await person.get(back)) == "sign_in_expired"
    assert await reasons(database) == ["state"]


async def test_of_many_who_come_with_one_state_one_gets_in(
    corp: Edge, person: httpx.AsyncClient
) -> None:
    back = await visit(await depart(person))
    headers = {"Cookie": f"pullse-oidc={person.cookies['pullse-oidc']}"}

    async def come() -> str:
        async with browser(corp) as client:
            return str((await client.get(back, headers=headers)).headers["location"])

    told = await asyncio.gather(*(come() for _ in range(6)))
    assert sorted(told) == ["/"] + ["/sign-in?error=sign_in_expired"] * 5


async def test_a_code_is_good_once(
    person: httpx.AsyncClient, provider: Provider, database: Database
) -> None:
    back = parse_qs(urlsplit(await visit(await depart(person))).query)
    code = back["code"][0]
    query = urlencode({name: value[0] for name, value in back.items()})
    await person.get(f"/api/sign-in/oidc/corp/callback?{query}")
    provider.returned["code"] = code
    assert refusal(await sign_in(person)) == "provider_failed"
    assert await reasons(database) == ["provider"]


async def test_a_stolen_code_is_of_no_use_in_another_attempt(
    corp: Edge, person: httpx.AsyncClient, provider: Provider, database: Database
) -> None:
    """The thief has the victim's code, and an attempt and a browser of their own."""
    stolen = parse_qs(urlsplit(await visit(await depart(person))).query)["code"][0]
    provider.returned["code"] = stolen
    async with browser(corp) as thief:
        assert refusal(await sign_in(thief)) == "provider_failed"
    assert await is_nobody(database)


async def test_another_browser_does_not_finish_the_attempt(
    corp: Edge, person: httpx.AsyncClient, database: Database
) -> None:
    """A link that would sign the victim in as the one who sent it."""
    back = await visit(await depart(person))
    async with browser(corp) as without:
        assert refusal(await without.get(back)) == "sign_in_expired"
    async with browser(corp) as victim:
        await depart(victim)
        assert refusal(await victim.get(back)) == "sign_in_expired"
    assert await reasons(database) == ["state", "state"]
    assert await is_nobody(database)
    assert (await person.get(back)).headers["location"] == "/"  # whose it is, it is still


async def test_over_tls_a_cookie_that_was_planted_without_does_not_count(
    corp: Edge,
) -> None:
    async with browser(corp) as plain, browser(corp, scheme="https") as secure:
        back = await visit(await depart(plain))
        planted = {"Cookie": f"pullse-oidc={plain.cookies['pullse-oidc']}"}
        assert refusal(await secure.get(back, headers=planted)) == "sign_in_expired"


async def test_ten_minutes_later_it_is_too_late(
    person: httpx.AsyncClient, database: Database
) -> None:
    back = await visit(await depart(person))
    await run(database, "UPDATE oidc_attempts SET expires_at = now()")
    assert refusal(await person.get(back)) == "sign_in_expired"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?code=a",
        "?state=a&code=b",
        "?state=%00&code=b",
        "?state=a&state=b",
        "?state=" + "a" * 43,
        "?state=" + "a" * 500,
        "?code=%ff%fe&state=%C3%A9",
        "?error=access_denied",
        "?error=<script>alert(1)</script>",
        "?error=a%0d%0aSet-Cookie:x=y&state=" + "a" * 43,
    ],
)
async def test_an_answer_that_belongs_to_no_attempt_is_refused(
    query: str, person: httpx.AsyncClient, database: Database
) -> None:
    await depart(person)
    answer = await person.get(f"/api/sign-in/oidc/corp/callback{query}")
    assert refusal(answer) == "sign_in_expired"
    assert "set-cookie" not in answer.headers
    assert await is_nobody(database)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("access_denied", "sign_in_denied"),
        ("login_required", "sign_in_denied"),
        ("server_error", "provider_failed"),
        ("<script>alert(1)</script>", "provider_failed"),
        ("a\r\nSet-Cookie: pullse=planted", "provider_failed"),
        ("x" * 200, "provider_failed"),
    ],
)
async def test_what_a_provider_says_is_not_repeated(
    error: str,
    told: str,
    person: httpx.AsyncClient,
    provider: Provider,
    database: Database,
    caplog: pytest.LogCaptureFixture,
) -> None:
    provider.returned = {"code": "", "error": error, "error_description": "<b>oh</b>"}
    back = await visit(await depart(person))
    answer = await person.get(back)
    assert refusal(answer) == told
    assert answer.content == b""
    assert "set-cookie" not in answer.headers
    assert all("\r" not in line and "\n" not in line for line in caplog.messages)
    assert refusal(await person.get(back)) == "sign_in_expired"  # it is over
    assert len(await reasons(database)) == 2


async def test_an_answer_of_one_provider_is_not_taken_to_another(
    database: Database, tail: Tail, provider: Provider
) -> None:
    """Mix-up: the attempt was with one, the browser comes back as if from the other."""
    await hire(database, "Ada")
    async with providing() as evil:
        lives = [Live(settings(provider)), Live(settings(evil, "evil"))]
        async with browser(edge_with(database, tail, *lives)) as client:
            back = await visit(await depart(client, "evil"))
            wrong = back.replace("/evil/", "/corp/")
            assert refusal(await client.get(wrong)) == "sign_in_expired"
            # the right path, with the code and the name of the other one
            evil.returned = {"iss": provider.issuer}
            assert refusal(await sign_in(client, "evil")) == "provider_failed"
        assert provider.asked_for("/token") == evil.asked_for("/token") == 0
    assert await is_nobody(database)


@pytest.mark.parametrize("iss", ["https://evil.example", ""])
async def test_who_promises_to_say_its_name_has_to(
    iss: str, person: httpx.AsyncClient, provider: Provider
) -> None:
    provider.discovery["authorization_response_iss_parameter_supported"] = True
    assert await is_let_in(person)
    provider.returned["iss"] = iss
    assert refusal(await sign_in(person)) == "provider_failed"


async def test_who_never_promised_it_need_not(
    person: httpx.AsyncClient, provider: Provider
) -> None:
    provider.returned["iss"] = ""
    assert await is_let_in(person)


async def test_a_token_of_one_provider_opens_nothing_at_another(
    database: Database, tail: Tail, provider: Provider
) -> None:
    await hire(database, "Ada")
    async with providing() as evil:
        evil.key, evil.claims = provider.key, {"iss": provider.issuer}
        live = Live(settings(evil))
        async with browser(edge_with(database, tail, live)) as client:
            assert refusal(await sign_in(client)) == "provider_failed"


async def test_who_fails_again_and_again_fills_no_audit_trail(
    person: httpx.AsyncClient, database: Database
) -> None:
    assert refusal(await person.get("/api/sign-in/oidc/corp/callback")) == "sign_in_expired"
    await run(database, "UPDATE sign_in_failures SET count = 101")
    for told in ("sign_in_expired", "too_many", "too_many"):
        assert refusal(await person.get("/api/sign-in/oidc/corp/callback")) == told
    assert len(await reasons(database)) == 2


def test_each_word_that_the_page_may_be_told_is_documented() -> None:
    page = (DOCS / "api" / "single-sign-on.md").read_text()
    for word in (
        "sign_in_expired",
        "sign_in_denied",
        "provider_failed",
        "email_unverified",
        "no_account",
        "too_many",
    ):
        assert f"| `{word}` |" in page
