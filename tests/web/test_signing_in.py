"""Signing in and out on pages, without any script."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from pullse import app
from pullse.access import links, totp
from pullse.access.commands import ME
from pullse.access.pages import viewer
from pullse.access.two_steps import GOOD_FOR
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.kit.guard import LocalOwner
from pullse.kit.secret import Secret
from pullse.kit.tail import Tail
from pullse.web.frame import Frame, Provider
from tests.access.people import hire, run
from tests.access.sign_in import PASSWORD, audited, hire_with_password
from tests.web.visiting import code_of, led_to, once, parsed, send, sign_in, visitor


async def with_second_factor(client: httpx.AsyncClient) -> str:
    """For who is signed in; the key of the codes."""
    begun = await send(client, "/account/second-factor/begin", {"password": PASSWORD})
    secret = once(begun)
    fields = {"secret": secret, "code": code_of(secret, steps=-1)}
    assert (await send(client, "/account/second-factor/confirm", fields)).status_code == 200
    return secret


async def test_the_first_owner_begins_with_a_link(served: Edge, database: Database) -> None:
    async with database.transaction() as db:
        made = await links.set_up(db, by=ME)
    assert made
    path = f"/links/{made.token}"
    async with visitor(served) as client:
        page = parsed(await client.get(path))
        assert page.field("password")["autocomplete"] == "new-password"
        assert page.field("email")["autocomplete"] == "username"
        fields = {"name": "Ada", "email": "ada@example.org", "password": PASSWORD}
        wrong = await send(client, path, fields | {"repeated": "something else"})
        assert wrong.status_code == 400
        again = parsed(wrong)
        assert again.problem("repeated")
        assert again.field("name")["value"] == "Ada"
        assert PASSWORD not in wrong.text
        answer = await send(client, path, fields | {"repeated": PASSWORD})
        assert led_to(answer) == "/sign-in?done=password_set"
        assert "set-cookie" not in answer.headers
        assert (await client.get(path)).status_code == 404
        assert led_to(await sign_in(client)) == "/"
        assert "<h1>Mine</h1>" in (await client.get("/")).text


async def test_an_invited_agent_and_a_reset(served: Edge, database: Database) -> None:
    ada = await hire(database, "Ada")
    async with visitor(served) as client:
        for what in ("invited", "new password"):
            async with database.transaction() as db:
                made = await links.invite(db, ada, by=ME)
            page = await client.get(f"/links/{made.token}")
            assert what in page.text
            assert "ada@example.org" in page.text
            fields = {"password": PASSWORD, "repeated": PASSWORD}
            await send(client, f"/links/{made.token}", fields)
            assert led_to(await sign_in(client)) == "/"


async def test_an_email_address_does_not_go_into_an_invitation(
    served: Edge, database: Database
) -> None:
    ada = await hire(database, "Ada")
    async with database.transaction() as db:
        made = await links.invite(db, ada, by=ME)
    async with visitor(served) as client:
        fields = {"password": PASSWORD, "repeated": PASSWORD, "email": "eve@example.org"}
        assert (await send(client, f"/links/{made.token}", fields)).status_code == 400
        assert (await sign_in(client)).status_code == 401


@pytest.mark.parametrize(
    ("name", "password"),
    [("Ada", "another password"), ("Nobody", PASSWORD), ("Ada", " "), ("Ada", "\U0001f9a9" * 99)],
)
async def test_wrong_ones_are_told_alike(
    name: str, password: str, served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada")
    async with visitor(served) as client:
        answer = await sign_in(client, name, password)
        assert answer.status_code == 401
        assert "do not go together" in answer.text
        page = parsed(answer)
        assert page.field("email")["value"] == f"{name.lower()}@example.org"
        assert page.field("password")["value"] == ""
        assert "set-cookie" not in answer.headers
    (failed,) = await audited(database, "sign_in.failed")
    assert failed[2] == "192.0.2.1"


async def test_who_guesses_has_to_wait(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada")
    async with visitor(served) as client:
        for _ in range(6):
            await sign_in(client, password="wrong" * 4)
        answer = await sign_in(client)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert "Too many attempts" in answer.text


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"email": "ada@example.org"},
        {"email": "ada@example.org", "password": "x" * 1001},
        {"email": "ada@example.org", "password": "x", "more": "y"},
        {"email": "a\0da@example.org", "password": "x"},
        {"email": ["ada@example.org", "eve@example.org"], "password": "x"},
    ],
)
async def test_a_form_that_is_not_ours_is_refused(
    fields: Any, served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada")
    async with visitor(served) as client:
        answer = await send(client, "/sign-in", fields)
        assert answer.status_code == 400
        assert "<form" in answer.text


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b'{"email": "a", "password": "b"}', "application/json", 415),
        (b"email=a&password=b", "text/plain", 415),
        (b"email=a&password=b", "multipart/form-data; boundary=x", 415),
        (b"email=%ff&password=b", "application/x-www-form-urlencoded", 400),
        (b"\xff=a", "application/x-www-form-urlencoded", 400),
        (b"&".join(b"a%d=b" % n for n in range(300)), "application/x-www-form-urlencoded", 400),
    ],
)
async def test_what_no_form_sends_is_refused(
    body: bytes, kind: str, status: int, served: Edge
) -> None:
    async with visitor(served) as client:
        answer = await client.post("/sign-in", content=body, headers={"Content-Type": kind})
        assert answer.status_code == status
        assert answer.headers["content-type"] == "text/html; charset=utf-8"


async def test_the_second_step_takes_the_code(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada")
    async with visitor(served) as client:
        await sign_in(client)
        secret = await with_second_factor(client)
        assert led_to(await send(client, "/sign-out")) == "/sign-in?done=signed_out"
        assert led_to(await client.get("/account")).startswith("/sign-in")
        answer = await sign_in(client, return_to="/account/tokens")
        assert led_to(answer) == "/sign-in/code?return_to=%2Faccount%2Ftokens"
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly; SameSite=Lax" in cookie
        assert PASSWORD not in str(answer.headers)
        page = parsed(await client.get(led_to(answer)))
        assert page.field("code")["autocomplete"] == "one-time-code"
        assert [each["name"] for each in page.all("input")] == ["return_to", "code"]
        fields = {"return_to": "/account/tokens", "code": "000000"}
        wrong = await send(client, "/sign-in/code", fields)
        assert wrong.status_code == 401
        assert "000000" not in wrong.text
        code = code_of(secret)
        answer = await send(client, "/sign-in/code", fields | {"code": f"{code[:3]} {code[3:]}"})
        assert led_to(answer) == "/account/tokens"
        assert (await client.get("/account/tokens")).status_code == 200
        assert "pullse-pending" not in client.cookies
    (*_, last) = await audited(database, "sign_in.succeeded")
    assert '"means": ["password", "totp"]' in last[1]


async def test_a_code_counts_once(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada")
    async with visitor(served) as client:
        await sign_in(client)
        secret = await with_second_factor(client)
        code = code_of(secret)
        async with visitor(served) as other:
            await sign_in(other)
            assert led_to(await send(other, "/sign-in/code", {"code": code})) == "/"
        await send(client, "/sign-out")
        await sign_in(client)
        assert (await send(client, "/sign-in/code", {"code": code})).status_code == 401


async def pending(client: httpx.AsyncClient) -> str:
    """The cookie between the steps."""
    await sign_in(client)
    await with_second_factor(client)
    await send(client, "/sign-out")
    await sign_in(client)
    return client.cookies["pullse-pending"]


async def test_the_second_step_alone_opens_nothing(served: Edge, database: Database) -> None:
    """Without the first one, with one that was made up, changed, or sealed by somebody else."""
    await hire_with_password(database, "Ada")
    eve = await hire_with_password(database, "Eve")
    async with visitor(served) as client:
        good = await pending(client)
    agent, until, set_at, seal = good.split("-")
    for forged in (
        None,
        "x",
        "",
        f"{eve.hex}-{until}-{set_at}-{seal}",
        f"{agent}-{int(until) + 1}-{set_at}-{seal}",
        f"{agent}-{until}-{set_at}-{'0' * 64}",
        f"{agent}-{until}-{set_at}",
        good.upper(),
    ):
        async with visitor(served) as client:
            headers = {} if forged is None else {"Cookie": f"pullse-pending={forged}"}
            answer = await send(client, "/sign-in/code", {"code": "123456"}, **headers)
            assert led_to(answer).startswith("/sign-in?error=sign_in_expired")
            assert led_to(await client.get("/sign-in/code", headers=headers)) == (
                "/sign-in?error=sign_in_expired"
            )


async def test_the_second_step_waits_ten_minutes(
    served: Edge, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hire_with_password(database, "Ada")
    async with visitor(served) as client:
        await pending(client)
        assert (await client.get("/sign-in/code")).status_code == 200
        now = totp.clock()
        monkeypatch.setattr(totp, "clock", lambda: now + GOOD_FOR + 1)
        answer = await client.get("/sign-in/code")
        assert led_to(answer) == "/sign-in?error=sign_in_expired"
        assert "took too long" in (await client.get(led_to(answer))).text


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE passwords SET set_at = now()",
        "UPDATE agents SET state = 'disabled'",
        "UPDATE agents SET deleted_at = now()",
    ],
)
async def test_the_second_step_ends_with_the_first_ones_reason(
    change: str, served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada")
    async with visitor(served) as client:
        await sign_in(client)
        secret = await with_second_factor(client)
        await send(client, "/sign-out")
        await sign_in(client)
        await run(database, change)
        answer = await send(client, "/sign-in/code", {"code": code_of(secret)})
        assert led_to(answer).startswith("/sign-in?error=sign_in_expired")
        assert "pullse" not in client.cookies


async def test_another_installation_seals_otherwise(
    served: Edge, database: Database, tail: Tail
) -> None:
    await hire_with_password(database, "Ada")
    async with visitor(served) as client:
        cookie = await pending(client)
    other = app.build(database, tail, served.guard, secret=Secret("another installation's secret"))
    async with visitor(other) as client:
        headers = {"Cookie": f"pullse-pending={cookie}"}
        answer = await send(client, "/sign-in/code", {"code": "123456"}, **headers)
        assert led_to(answer).startswith("/sign-in?error=sign_in_expired")


async def test_codes_are_guessed_as_slowly_as_passwords(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada")
    async with visitor(served) as client:
        cookie = await pending(client)
    async with visitor(served) as client:  # a stranger who knows the password
        headers = {"Cookie": f"pullse-pending={cookie}"}
        statuses = [
            (await send(client, "/sign-in/code", {"code": f"{n:06}"}, **headers)).status_code
            for n in range(7)
        ]
    assert statuses[-1] == 429


async def test_over_tls_the_cookies_are_bound_to_the_host(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada")
    async with visitor(served, scheme="https") as client:
        await sign_in(client)
        await with_second_factor(client)
        await send(client, "/sign-out")
        cookie = (await sign_in(client)).headers["set-cookie"]
        assert cookie.startswith("__Host-pullse-pending=")
        assert cookie.endswith("; Secure")


async def test_who_is_signed_in_needs_no_sign_in_page(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada")
    async with visitor(served) as client:
        await sign_in(client)
        assert led_to(await client.get("/sign-in?return_to=/agents")) == "/agents"
        assert led_to(await client.get("/sign-in/code")) == "/"


def with_other_ways(edge: Edge) -> Edge:
    frame = Frame(
        viewer.of,
        providers=[Provider("Dänische Bahn & Co", "/api/sign-in/oidc/bahn")],
    )
    return replace(edge, services=replace(edge.services, pages=frame))


async def test_other_ways_in_are_links_and_a_hidden_button(served: Edge) -> None:
    """A link, because a form would have to be let go on to the provider by the CSP."""
    async with visitor(with_other_ways(served)) as client:
        page = parsed(await client.get("/sign-in?return_to=/account/tokens"))
        (link,) = [each for each in page.all("a") if "oidc" in str(each["href"])]
        assert link["href"] == "/api/sign-in/oidc/bahn?return_to=%2Faccount%2Ftokens"
        assert "Sign in with Dänische Bahn & Co" in page.text
        (element,) = page.all("pass-key")
        assert "hidden" in element
        assert element["data-next"] == "/account/tokens"
        assert str(page.all("script")[0]["src"]).endswith("/passkey.js")


async def test_an_expired_session_leads_back(served: Edge, database: Database) -> None:
    """To the page that was asked for; of a form, to the page that it stands on."""
    await hire_with_password(database, "Ada")
    async with visitor(served) as client:
        await sign_in(client)
        await run(database, "UPDATE sessions SET ended_at = now()")
        served.services.forget()
        fields = {"password": PASSWORD, "new_password": "x", "repeated": "x"}
        answer = await send(client, "/account/password", fields)
        assert led_to(answer) == "/sign-in?return_to=%2Faccount%2Fpassword"
        assert answer.content == b""
        answer = await send(client, "/account/second-factor/begin", {"password": PASSWORD})
        page = parsed(await client.get(led_to(answer)))
        return_to = page.field("return_to")["value"]
        assert return_to == "/account/second-factor/begin"
        answer = await sign_in(client, return_to=str(return_to))
        assert led_to(await client.get(led_to(answer))) == "/account/second-factor"


async def test_a_returning_to_keeps_the_query(served: Edge) -> None:
    async with visitor(served) as client:
        answer = await client.get("/agents?cursor=a%26b&x=%0d%0a")
        wanted = "/sign-in?return_to=%2Fagents%3Fcursor%3Da%2526b%26x%3D%250d%250a"
        assert led_to(answer) == wanted


async def test_a_program_gets_no_page(served: Edge) -> None:
    async with visitor(served, Accept="application/json") as client:
        answer = await client.get("/agents")
        assert answer.status_code == 401
        assert answer.json()["code"] == "unauthorized"
    async with visitor(served) as client:
        answer = await client.get("/api/me")
        assert answer.status_code == 401
        assert answer.json()["code"] == "unauthorized"


async def test_pullse_dev_asks_nobody_to_sign_in(database: Database, tail: Tail) -> None:
    edge = app.build(database, tail, app.with_tokens(LocalOwner(), database))
    ada = await hire_with_password(database, "Ada", "owner")
    async with visitor(edge, Host="localhost") as client:
        assert "<h1>All open</h1>" in (await client.get("/")).text
        assert str(ada) in (await client.get("/agents")).text
        refused = await client.get("/account")
        assert refused.status_code == 403
        assert 'href="/sign-in"' in refused.text
        assert "nobody has to sign in" in (await client.get("/sign-in")).text
        assert led_to(await sign_in(client)) == "/"
        assert "<h1>Mine</h1>" in (await client.get("/")).text
        assert (await client.get("/account")).status_code == 200
