"""One's own account: password, second factor, sessions, tokens."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.authenticator import Authenticator, add
from tests.access.people import calling, run
from tests.access.sign_in import PASSWORD, audited, hire_with_password
from tests.web.visiting import FIREFOX, code_of, led_to, once, parsed, send, sign_in, visitor

NEW = "another heron entirely"


async def test_the_account_says_who_one_is(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada", "read_only")
    async with visitor(served) as client:
        await sign_in(client)
        page = parsed(await client.get("/account"))
        for text in ("Ada", "ada@example.org", "Read only", "Off"):
            assert text in page.text
        assert "/agents" not in [each["href"] for each in page.all("a")]


async def test_a_password_is_changed(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada")
    fields = {"password": PASSWORD, "new_password": NEW, "repeated": NEW}
    async with visitor(served) as other, visitor(served) as client:
        await sign_in(other)
        await sign_in(client)
        before = client.cookies["pullse"]
        answer = await send(client, "/account/password", fields)
        assert led_to(answer) == "/account?done=password_changed"
        assert client.cookies["pullse"] != before
        assert "is changed" in (await client.get(led_to(answer))).text
        assert led_to(await other.get("/account")).startswith("/sign-in")
        assert (await sign_in(other)).status_code == 401
        assert led_to(await sign_in(other, password=NEW)) == "/"
    assert len(await audited(database, "password.changed")) == 1


@pytest.mark.parametrize(
    ("more", "status", "field", "text"),
    [
        ({"password": "not this one"}, 403, None, "not your password"),
        ({"repeated": "something else"}, 400, "repeated", "not the same"),
        ({"new_password": "short", "repeated": "short"}, 400, "new_password", "At least 12"),
        (
            {"new_password": "password1234", "repeated": "password1234"},
            400,
            "new_password",
            "one of the first",
        ),
        ({"new_password": ""}, 400, "new_password", "This is needed."),
    ],
)
async def test_a_password_that_is_not_changed_stays_unseen(
    more: Any, status: int, field: str | None, text: str, served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada")
    fields = {"password": PASSWORD, "new_password": NEW, "repeated": NEW} | more
    async with visitor(served) as client:
        await sign_in(client)
        answer = await send(client, "/account/password", fields)
        assert answer.status_code == status
        page = parsed(answer)
        assert text in page.text
        assert field is None or page.problem(field)
        for typed in fields.values():
            assert not typed or typed not in answer.text
        assert (await client.get("/account")).status_code == 200


async def test_a_second_factor_from_its_picture_to_its_end(
    served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada")
    here = "/account/second-factor"
    async with visitor(served) as client:
        await sign_in(client)
        assert (await send(client, f"{here}/begin", {"password": "no"})).status_code == 403
        begun = await send(client, f"{here}/begin", {"password": PASSWORD})
        assert begun.status_code == 200
        assert '<svg viewBox="0 0' in begun.text
        secret = once(begun)
        assert secret not in (await client.get(here)).text
        wrong = await send(client, f"{here}/confirm", {"secret": secret, "code": "123 45"})
        assert wrong.status_code == 400
        assert parsed(wrong).problem("code")
        assert once(wrong) == secret
        code = code_of(secret)
        done = await send(client, f"{here}/confirm", {"secret": secret, "code": code})
        assert done.status_code == 200
        assert done.text.count("<li><code>") == 10
        again = await send(client, f"{here}/confirm", {"secret": secret, "code": code})
        assert again.status_code == 409
        assert "<li><code>" not in again.text
        assert "On" in parsed(await client.get("/account")).text
        removed = await send(client, f"{here}/remove", {"password": PASSWORD})
        assert led_to(removed) == f"{here}?done=removed"
    assert len(await audited(database, "totp.enrolled")) == 1
    assert len(await audited(database, "totp.removed")) == 1


async def test_after_ten_minutes_it_takes_the_password(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada")
    here = "/account/second-factor"
    async with visitor(served) as client:
        await sign_in(client)
        assert "password" not in await fields_of(client, here)
        await run(database, "UPDATE sessions SET created_at = now() - interval '11 minutes'")
        assert "password" in await fields_of(client, here)
        refused = await send(client, f"{here}/begin")
        assert refused.status_code == 403
        assert "more than ten minutes ago" in refused.text
        begun = await send(client, f"{here}/begin", {"password": PASSWORD})
        assert begun.status_code == 200


async def fields_of(client: httpx.AsyncClient, path: str) -> list[str | None]:
    return [each.get("name") for each in parsed(await client.get(path)).all("input")]


async def test_who_must_have_a_second_factor_is_led_there(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada", "owner")
    await run(database, "INSERT INTO policies (second_factor) VALUES (true)")
    here = "/account/second-factor"
    async with visitor(served) as client:
        await sign_in(client)
        assert led_to(await client.get("/agents")) == here
        secret = once(await send(client, f"{here}/begin"))
        fields = {"secret": secret, "code": code_of(secret)}
        assert (await send(client, f"{here}/confirm", fields)).status_code == 200
        assert (await client.get("/agents")).status_code == 200


async def test_passkeys_are_seen_and_removed(served: Edge, database: Database) -> None:
    ada = await hire_with_password(database, "Ada")
    device = Authenticator("pullse.example", "http://pullse.example")
    here = "/account/passkeys"
    async with visitor(served) as client, visitor(served) as other:
        await sign_in(other)
        await sign_in(client)
        assert "You have none" in (await client.get(here)).text
        assert (await add(client, device, "<b>A laptop</b>")).status_code == 201
        page = await client.get(here)
        assert "&lt;b&gt;A laptop" in page.text
        assert "pullse.example" in page.text
        assert led_to(await other.get(here)).startswith("/sign-in")
        (action,) = [
            str(form["action"])
            for form in parsed(page).all("form")
            if str(form["action"]).endswith("/remove")
        ]
        assert (await send(client, f"{here}/{ada}/remove")).status_code == 404
        await run(database, "UPDATE sessions SET created_at = now() - interval '11 minutes'")
        assert (await send(client, action)).status_code == 403
        answer = await send(client, action, {"password": PASSWORD})
        assert led_to(answer) == f"{here}?done=removed"
        assert "You have none" in (await client.get(here)).text
    assert len(await audited(database, "passkey.removed")) == 1


async def test_a_passkey_gets_another_name(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada")
    await hire_with_password(database, "Eve")
    here = "/account/passkeys"
    async with visitor(served) as client, visitor(served) as eve:
        await sign_in(client)
        await sign_in(eve, "Eve")
        assert (await add(client, Authenticator(), "Old")).status_code == 201
        forms = [str(form["action"]) for form in parsed(await client.get(here)).all("form")]
        (action,) = [each for each in forms if each.endswith("/rename")]
        answer = await send(client, action, {"name": "<i>My laptop</i>"})
        assert led_to(answer) == f"{here}?done=renamed"
        page = await client.get(led_to(answer))
        assert "another name" in page.text
        assert "<i>My laptop</i>" in parsed(page).text
        for name, problem in (("", "This is needed."), (" ", "blank"), ("x" * 201, "At most 200")):
            refused = await send(client, action, {"name": name})
            assert refused.status_code == 400
            assert problem in refused.text
            assert [each for each in parsed(refused).all("details") if "open" in each]
            (wrong,) = [each for each in parsed(refused).all("input") if "aria-invalid" in each]
            assert wrong["value"] == name
        assert (await send(client, action, {"host": "x", "name": "A"})).status_code == 400
        assert (await send(eve, action, {"name": "Eve's"})).status_code == 404
        for id_ in (uuid4(), "nonsense", "%00"):
            answer = await send(client, f"{here}/{id_}/rename", {"name": "A"})
            assert answer.status_code == 404
        assert "My laptop" in (await client.get(here)).text


@pytest.mark.parametrize(
    "secret", ["", "x", "A" * 33, "<script>alert(1)</script>AAAAAAA", "é" * 32]
)
async def test_a_made_up_secret_is_shown_to_nobody(
    secret: str, served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada")
    async with visitor(served) as client:
        await sign_in(client)
        fields = {"secret": secret, "code": "123456"}
        answer = await send(client, "/account/second-factor/confirm", fields)
        assert answer.status_code == 400
        assert "<script" not in answer.text


async def test_sessions_are_seen_and_ended(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada")
    async with (
        visitor(served) as client,
        visitor(served, address="198.51.100.7") as other,
        visitor(served) as third,
    ):
        for each in (other, third, client):
            await sign_in(each)
        page = await client.get("/account/sessions")
        assert page.text.count("Firefox 133 on Linux") >= 3
        assert "198.51.100.7" in page.text
        ends = [str(form["action"]) for form in parsed(page).all("form")]
        assert len([each for each in ends if each.endswith("/end")]) == 2
        (of_other, *_) = [each for each in reversed(ends) if each.endswith("/end")]
        answer = await send(client, of_other)
        assert led_to(answer) == "/account/sessions?done=ended"
        assert led_to(await other.get("/account")).startswith("/sign-in")
        assert (await third.get("/account")).status_code == 200
        answer = await send(client, "/account/sessions/end-others")
        assert led_to(answer) == "/account/sessions?done=others_ended"
        assert led_to(await third.get("/account")).startswith("/sign-in")
        assert (await client.get("/account")).status_code == 200


async def test_somebody_elses_session_is_not_there(served: Edge, database: Database) -> None:
    for name in ("Ada", "Eve"):
        await hire_with_password(database, name)
    async with visitor(served) as client, visitor(served) as eve:
        await sign_in(client)
        await sign_in(eve, "Eve")
        async with database.session() as db:
            id_ = await db.value("SELECT id FROM sessions ORDER BY created_at LIMIT 1")
        for each in (id_, uuid4(), "nonsense"):
            answer = await send(eve, f"/account/sessions/{each}/end")
            assert answer.status_code == 404
        assert (await client.get("/account")).status_code == 200


async def test_a_token_is_made_shown_once_and_revoked(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada")
    here = "/account/tokens"
    async with visitor(served) as client:
        await sign_in(client)
        fields = {"name": "Export", "expires": "30", "scopes": ["tickets:read", "me:read"]}
        made = await send(client, here, fields)
        assert made.status_code == 201
        token = once(made)
        page = await client.get(here)
        assert "Export" in page.text
        assert token not in page.text
        async with calling(served, token) as program:
            assert (await program.get("/api/tickets")).status_code == 200
            assert (await program.get("/api/agents")).status_code == 403
            (action,) = [
                str(form["action"])
                for form in parsed(page).all("form")
                if str(form["action"]).endswith("/revoke")
            ]
            assert led_to(await send(client, action)) == f"{here}?done=revoked"
            assert (await program.get("/api/tickets")).status_code == 401
        assert "Export" not in (await client.get(here)).text


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"expires": "31"}, "expires"),
        ({"scopes": "agents:admin"}, "scopes"),
        ({"scopes": "x" * 500}, "scopes"),
        ({"role": "owner"}, None),
        ({"agent_id": str(uuid4())}, None),
    ],
)
async def test_a_token_that_may_not_be_is_not_made(
    more: Any, field: str | None, served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada")
    fields = {"name": "Export", "expires": "never", "scopes": "tickets:read"} | more
    async with visitor(served) as client:
        await sign_in(client)
        answer = await send(client, "/account/tokens", fields)
        assert answer.status_code == 400
        assert field is None or f'id="{field}-problem"' in answer.text
    async with database.session() as db:
        assert await db.value("SELECT count(*) FROM api_tokens") == 0


async def test_somebody_elses_token_is_not_there(served: Edge, database: Database) -> None:
    for name in ("Ada", "Eve"):
        await hire_with_password(database, name)
    async with visitor(served) as client, visitor(served) as eve:
        await sign_in(client)
        await send(client, "/account/tokens", {"name": "Export", "expires": "never"})
        await sign_in(eve, "Eve")
        async with database.session() as db:
            id_ = await db.value("SELECT id FROM api_tokens")
        for each in (id_, uuid4(), "nonsense"):
            answer = await send(eve, f"/account/tokens/{each}/revoke")
            assert answer.status_code == 404
        assert "Export" not in (await eve.get("/account/tokens")).text
        assert "Export" in (await client.get("/account/tokens")).text


async def test_a_token_has_no_account(served: Edge, database: Database) -> None:
    """Nor does the operator: pages of an account are for sessions alone."""
    async with calling(served) as client:
        client.headers.update({"Accept": "text/html", "User-Agent": FIREFOX})
        assert (await client.get("/")).status_code == 200
        for path in ("/account", "/account/password", "/account/tokens", "/account/sessions"):
            assert (await client.get(path)).status_code == 403
