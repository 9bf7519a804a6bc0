"""Signing in by an OpenID provider: who is let in, as whom, and what is kept of it."""

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from pullse.access.jobs import forget
from pullse.access.oidc.discovery import Live
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.kit.tail import Tail
from tests.access.people import hire, run
from tests.access.sign_in import audited, browser, enter, hire_with_password
from tests.access.single_sign_on import (
    cookies,
    depart,
    edge_with,
    refusal,
    settings,
    sign_in,
    visit,
)
from tests.standins.oidc import ADA, Provider, providing


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with providing() as provider:
        yield provider


@pytest.fixture
def edge(database: Database, tail: Tail, provider: Provider) -> Edge:
    return edge_with(database, tail, Live(settings(provider)))


@pytest.fixture
async def person(edge: Edge) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(edge) as client:
        yield client


async def come_in(client: httpx.AsyncClient, name: str = "corp") -> None:
    """Whoever is refused keeps the session that they had, so the answer has to say it."""
    answer = await sign_in(client, name)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def who(client: httpx.AsyncClient) -> Any:
    """The agent of the session, or None."""
    answer = await client.get("/api/sessions")
    if answer.status_code == 401:
        return None
    current = [each for each in answer.json()["data"]["records"] if each["is_current"]]
    return current[0]["agent_id"]


async def state_of(database: Database, agent_id: Any) -> Any:
    async with database.session() as db:
        return await db.value("SELECT state FROM agents WHERE id = $1", agent_id)


# -- the way there --


async def test_the_page_is_told_which_providers_there_are(
    database: Database, tail: Tail, provider: Provider
) -> None:
    lives = [Live(settings(provider, name)) for name in ("google", "corp")]
    async with browser(edge_with(database, tail, *lives)) as client:
        answer = await client.get("/api/sign-in/providers")
    assert answer.json()["data"]["records"] == [
        {"name": "google", "title": "Google", "href": "/api/sign-in/oidc/google"},
        {"name": "corp", "title": "Corp", "href": "/api/sign-in/oidc/corp"},
    ]


async def test_without_providers_there_are_none(served: Edge) -> None:
    async with browser(served) as client:
        answer = await client.get("/api/sign-in/providers")
        assert answer.json()["data"] == {"records": []}
        assert (await client.get("/api/sign-in/oidc/corp")).status_code == 404
        assert (await client.get("/api/sign-in/oidc/corp/callback?code=a")).status_code == 404


async def test_a_browser_is_sent_to_the_provider_with_all_that_binds_the_attempt(
    person: httpx.AsyncClient, provider: Provider
) -> None:
    urls = [urlsplit(await depart(person)) for _ in range(2)]
    for url in urls:
        assert f"{url.scheme}://{url.netloc}{url.path}" == f"{provider.issuer}/authorize"
    first, second = ({n: v[0] for n, v in parse_qs(url.query).items()} for url in urls)
    assert first["ui"] == "1"
    assert first["redirect_uri"] == "http://pullse.example/api/sign-in/oidc/corp/callback"
    assert (first["response_type"], first["code_challenge_method"]) == ("code", "S256")
    assert first["scope"] == "openid email profile"
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name]) == 43
        assert first[name] != second[name]


async def test_the_cookie_of_an_attempt_is_the_browsers_alone(edge: Edge) -> None:
    async with browser(edge) as client:
        (cookie,) = cookies(await client.get("/api/sign-in/oidc/corp"))
    assert cookie.startswith("pullse-oidc=")
    assert cookie.endswith("; Path=/; Max-Age=600; HttpOnly; SameSite=Lax")
    async with browser(edge, scheme="https") as client:
        (cookie,) = cookies(await client.get("/api/sign-in/oidc/corp"))
    assert cookie.startswith("__Host-pullse-oidc=")
    assert cookie.endswith("; HttpOnly; SameSite=Lax; Secure")


async def test_the_database_knows_nothing_that_finishes_an_attempt(
    person: httpx.AsyncClient, database: Database
) -> None:
    given = parse_qs(urlsplit(await depart(person)).query)
    async with database.session() as db:
        kept = await db.value("SELECT row_to_json(a)::text FROM oidc_attempts AS a")
    for secret in (person.cookies["pullse-oidc"], given["state"][0], given["nonce"][0]):
        assert secret not in kept
        assert secret.encode().hex() not in kept


# -- who is let in --


async def test_a_verified_address_finds_its_agent(
    person: httpx.AsyncClient, database: Database
) -> None:
    agent_id = await hire(database, "Ada")
    answer = await sign_in(person)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    assert await who(person) == str(agent_id)
    assert await state_of(database, agent_id) == "active"  # it was only invited
    ((actor, data, _),) = await audited(database, "identity.linked")
    assert actor == f"agent:{agent_id}"
    assert json.loads(data)["agent_id"] == str(agent_id)
    ((actor, data, address),) = await audited(database, "sign_in.succeeded")
    assert (actor, address) == (f"agent:{agent_id}", "192.0.2.1")
    assert json.loads(data)["means"] == ["oidc:corp"]


async def test_the_case_of_an_address_says_nothing(
    person: httpx.AsyncClient, database: Database, provider: Provider
) -> None:
    agent_id = await hire(database, "Ada")
    provider.person["email"] = "ADA@Example.org"
    await come_in(person)
    assert await who(person) == str(agent_id)


async def test_cookies_are_those_of_any_other_sign_in(
    edge: Edge, database: Database, provider: Provider
) -> None:
    await hire_with_password(database, "Ada")
    async with browser(edge) as client:
        by_password = sorted(each.partition("=")[2][43:] for each in cookies(await enter(client)))
    async with browser(edge) as client:
        given = {each.partition("=")[0]: each for each in cookies(await sign_in(client))}
    assert sorted(each.partition("=")[2][43:] for each in list(given.values())[:2]) == by_password
    assert given["pullse-oidc"].startswith("pullse-oidc=; Path=/; Max-Age=0")
    async with browser(edge, scheme="https") as client:
        url = await depart(client)
        answer = await client.get(await visit(url))
    assert [each.partition("=")[0] for each in cookies(answer)] == [
        "__Host-pullse",
        "__Host-pullse-device",
        "__Host-pullse-oidc",
    ]
    assert all(each.endswith("; Secure") for each in cookies(answer))


async def test_afterwards_issuer_and_subject_say_who_it_is_and_no_address(
    person: httpx.AsyncClient, edge: Edge, database: Database, provider: Provider
) -> None:
    ada, ben = await hire(database, "Ada"), await hire(database, "Ben")
    await come_in(person)
    provider.person["email"] = "ben@example.org"
    await come_in(person)
    assert await who(person) == str(ada)
    del provider.person["email_verified"]
    await come_in(person)
    assert await who(person) == str(ada)
    provider.person = {**ADA, "sub": "somebody else", "email": "ben@example.org"}
    async with browser(edge) as other:
        await come_in(other)
        assert await who(other) == str(ben)
    assert len(await audited(database, "identity.linked")) == 2


async def test_the_same_subject_at_another_provider_is_somebody_else(
    database: Database, tail: Tail, provider: Provider
) -> None:
    ada, ben = await hire(database, "Ada"), await hire(database, "Ben")
    async with providing() as other:
        other.person["email"] = "ben@example.org"
        lives = [Live(settings(provider)), Live(settings(other, "google"))]
        edge = edge_with(database, tail, *lives)
        for name, agent_id in (("corp", ada), ("google", ben), ("corp", ada)):
            async with browser(edge) as client:
                await come_in(client, name)
                assert await who(client) == str(agent_id)


@pytest.mark.parametrize("word", [False, None, "true", 1, "yes"])
async def test_an_address_that_the_provider_does_not_vouch_for_finds_nobody(
    word: Any, person: httpx.AsyncClient, database: Database, provider: Provider
) -> None:
    await hire(database, "Ada")
    provider.claims["email_verified"] = word
    assert refusal(await sign_in(person)) == "email_unverified"
    assert await who(person) is None
    ((_, data, _),) = await audited(database, "sign_in.failed")
    assert json.loads(data) == {"agent_id": None, "reason": "email", "provider": "corp"}


@pytest.mark.parametrize("email", [None, "", 7, "ada", "ada@example.org\n", "ad\u212a@example.org"])
async def test_an_odd_address_finds_nobody(
    email: Any, person: httpx.AsyncClient, database: Database, provider: Provider
) -> None:
    await hire(database, "Ada")
    await run(
        database,
        "INSERT INTO agents (id, name, email) VALUES (gen_random_uuid(), 'K', $1)",
        "adk@example.org",
    )
    provider.claims["email"] = email
    assert refusal(await sign_in(person)) == "email_unverified"


async def test_an_address_in_the_user_info_is_as_good(
    person: httpx.AsyncClient, database: Database, provider: Provider
) -> None:
    agent_id = await hire(database, "Ada")
    provider.person = {"sub": ADA["sub"]}
    provider.info = {"email": "ada@example.org", "email_verified": True}
    await come_in(person)
    assert await who(person) == str(agent_id)
    await come_in(person)
    assert provider.asked_for("/me") == 1  # who is known needs no address


async def test_a_user_info_about_somebody_else_is_refused(
    person: httpx.AsyncClient, database: Database, provider: Provider
) -> None:
    await hire(database, "Ada")
    provider.person = {"sub": "somebody else"}
    provider.info = {**ADA}
    assert refusal(await sign_in(person)) == "provider_failed"


async def test_a_verified_mark_of_the_id_token_does_not_vouch_for_the_user_infos_address(
    person: httpx.AsyncClient, database: Database, provider: Provider
) -> None:
    await hire(database, "Ada")
    provider.person = {"sub": ADA["sub"], "email_verified": True}
    provider.info = {"email": "ada@example.org"}
    assert refusal(await sign_in(person)) == "email_unverified"


async def test_strangers_are_refused_and_no_account_is_made(
    person: httpx.AsyncClient, database: Database
) -> None:
    assert refusal(await sign_in(person)) == "no_account"
    async with database.session() as db:
        assert await db.value("SELECT count(*) FROM agents") == 0
        assert await db.value("SELECT count(*) FROM identities") == 0
    ((actor, data, _),) = await audited(database, "sign_in.failed")
    assert actor == "anonymous"
    assert json.loads(data) == {"agent_id": None, "reason": "account", "provider": "corp"}


async def test_a_disabled_agent_is_refused_linked_or_not(
    person: httpx.AsyncClient, database: Database
) -> None:
    agent_id = await hire(database, "Ada")
    await run(database, "UPDATE agents SET state = 'disabled'")
    assert refusal(await sign_in(person)) == "no_account"
    await run(database, "UPDATE agents SET state = 'active'")
    await come_in(person)
    await run(database, "UPDATE agents SET state = 'disabled'")
    assert refusal(await sign_in(person)) == "no_account"
    rows = [json.loads(data) for _, data, _ in await audited(database, "sign_in.failed")]
    assert [each["reason"] for each in rows] == ["disabled", "disabled"]
    assert rows[1]["agent_id"] == str(agent_id)


async def test_who_was_removed_and_hired_again_is_let_in_as_the_new_agent(
    person: httpx.AsyncClient, database: Database
) -> None:
    await hire(database, "Ada")
    await come_in(person)
    await run(database, "UPDATE agents SET deleted_at = now()")
    assert refusal(await sign_in(person)) == "no_account"
    again = await hire(database, "Ada")
    await come_in(person)
    assert await who(person) == str(again)


# -- accounts that are made --


@pytest.fixture
def generous(database: Database, tail: Tail, provider: Provider) -> Edge:
    """One that makes agents of whom it knows."""
    given = {"creates": "collaborator", "domains": ("example.org", "example.com")}
    return edge_with(database, tail, Live(settings(provider, **given)))


async def test_where_it_is_set_a_verified_address_of_the_domain_gets_an_account(
    generous: Edge, database: Database, provider: Provider
) -> None:
    provider.person |= {"name": "Ada Lovelace", "email": "Ada@Example.ORG"}
    async with browser(generous) as client:
        await come_in(client)
        agent_id = await who(client)
        await come_in(client)
        assert await who(client) == agent_id
    async with database.session() as db:
        ((name, role, state),) = await db.rows("SELECT name, role, state FROM agents")
        facts = [row[0] for row in await db.rows("SELECT name FROM events ORDER BY id")]
    assert (name, role, state) == ("Ada Lovelace", "collaborator", "active")
    assert facts == ["agent.created", "agent.changed"]
    ((actor, data, address),) = await audited(database, "agent.invited")
    assert (actor, address) == ("system", "192.0.2.1")
    assert json.loads(data)["role"] == "collaborator"


@pytest.mark.parametrize(
    "email",
    ["ada@example.net", "ada@evil-example.org", "ada@sub.example.org", "ada@example.org.evil"],
)
async def test_an_address_of_another_domain_gets_none(
    email: str, generous: Edge, provider: Provider
) -> None:
    provider.person["email"] = email
    async with browser(generous) as client:
        assert refusal(await sign_in(client)) == "no_account"


async def test_an_unverified_address_gets_none(generous: Edge, provider: Provider) -> None:
    provider.person["email_verified"] = False
    async with browser(generous) as client:
        assert refusal(await sign_in(client)) == "email_unverified"


async def test_a_disabled_agents_address_gets_no_second_account(
    generous: Edge, database: Database
) -> None:
    await hire(database, "Ada")
    await run(database, "UPDATE agents SET state = 'disabled'")
    async with browser(generous) as client:
        assert refusal(await sign_in(client)) == "no_account"


# -- where one comes back to --


async def test_one_comes_back_to_where_one_was(
    person: httpx.AsyncClient, database: Database
) -> None:
    await hire(database, "Ada")
    answer = await sign_in(person, return_to="/tickets/7?status=open,closed&q=a%20b")
    assert answer.headers["location"] == "/tickets/7?status=open,closed&q=a%20b"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https:evil.example",
        "https://evil.example/",
        "javascript:alert(1)",
        "evil.example",
        "/%2f/evil.example",
        "/%2Fevil.example",
        "/%5cevil.example",
        "/..//evil.example",
        "/a\r\nSet-Cookie: pullse=planted",
        "/a%0d%0aSet-Cookie:%20pullse=planted",
        "/a%00",
        "/a%",
        "/a\tb",
        "/\t/evil.example",
        " /evil",
        "/a#b",
        "/@evil.example\\",
        "/\u2044evil",
        "/" + "a" * 1000,
    ],
)
async def test_nobody_is_sent_to_another_site_afterwards(
    path: str, person: httpx.AsyncClient, database: Database
) -> None:
    answer = await person.get("/api/sign-in/oidc/corp", params={"return_to": path})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "return_to"
    assert "location" not in answer.headers
    async with database.session() as db:
        assert await db.value("SELECT count(*) FROM oidc_attempts") == 0


@pytest.mark.parametrize("host", ["evil.example/a", "a@b", "a b", "evil.example?", ""])
async def test_an_odd_host_is_not_sent_to_the_provider(
    host: str, person: httpx.AsyncClient
) -> None:
    answer = await person.get("/api/sign-in/oidc/corp", headers={"Host": host})
    assert answer.status_code == 400


# -- sessions and devices --


async def test_it_ends_the_session_that_the_browser_had(
    person: httpx.AsyncClient, database: Database
) -> None:
    await hire_with_password(database, "Ada")
    await enter(person)
    old = person.cookies["pullse"]
    await come_in(person)
    assert person.cookies["pullse"] != old
    answer = await person.get("/api/sessions")
    assert len(answer.json()["data"]["records"]) == 1


async def test_a_browser_that_was_here_before_keeps_its_device_cookie(
    person: httpx.AsyncClient, database: Database
) -> None:
    await hire(database, "Ada")
    await come_in(person)
    device = person.cookies["pullse-device"]
    await come_in(person)
    assert person.cookies["pullse-device"] == device


# -- one's own identities --


async def linked(client: httpx.AsyncClient) -> list[Any]:
    answer = await client.get("/api/session/identities")
    assert answer.status_code == 200, answer.text
    records: list[Any] = answer.json()["data"]["records"]
    return records


async def test_one_sees_ones_own_identities(
    person: httpx.AsyncClient, edge: Edge, database: Database, provider: Provider
) -> None:
    await hire(database, "Ada")
    await hire(database, "Ben")
    await come_in(person)
    async with browser(edge) as other:
        provider.person = {**ADA, "sub": "ben", "email": "ben@example.org"}
        await come_in(other)
        (his,) = await linked(other)
        gone = await person.delete(f"/api/session/identities/{his['id']}")
        assert gone.status_code == 404
    (hers,) = await linked(person)
    assert (hers["issuer"], hers["provider"]) == (provider.issuer, "corp")
    assert hers["email"] == "ada@example.org"
    for odd in ("x", "019aa4b2-3c0d-7e1f-8a2b-4c5d6e7f8091"):
        answer = await person.delete(f"/api/session/identities/{odd}")
        assert answer.status_code == 404


async def test_the_last_way_in_stays(
    person: httpx.AsyncClient, database: Database, tail: Tail, provider: Provider
) -> None:
    agent_id = await hire(database, "Ada")
    await come_in(person)
    (identity,) = await linked(person)
    answer = await person.delete(f"/api/session/identities/{identity['id']}")
    assert (answer.status_code, answer.json()["code"]) == (409, "last_way_in")
    # one at a provider that is no longer set is no way in
    await run(
        database,
        "INSERT INTO identities (id, issuer, subject, agent_id, email)"
        " VALUES (gen_random_uuid(), 'https://gone.example', 'ada', $1, 'ada@example.org')",
        agent_id,
    )
    answer = await person.delete(f"/api/session/identities/{identity['id']}")
    assert answer.status_code == 409
    (other,) = [each for each in await linked(person) if each["provider"] is None]
    answer = await person.delete(f"/api/session/identities/{other['id']}")
    assert answer.status_code == 200
    assert await linked(person) == [identity]


async def test_who_has_a_password_unlinks_what_they_want(
    person: httpx.AsyncClient, edge: Edge, database: Database, provider: Provider
) -> None:
    agent_id = await hire_with_password(database, "Ada")
    await come_in(person)
    (identity,) = await linked(person)
    answer = await person.delete(f"/api/session/identities/{identity['id']}")
    assert answer.status_code == 200
    assert await linked(person) == []
    ((actor, data, _),) = await audited(database, "identity.unlinked")
    assert actor == f"agent:{agent_id}"
    assert json.loads(data)["issuer"] == provider.issuer
    provider.person["email"] = "other@example.org"  # nothing is left by which she is known
    assert refusal(await sign_in(person)) == "no_account"


# -- what is left --


async def test_old_attempts_are_forgotten(person: httpx.AsyncClient, database: Database) -> None:
    await depart(person)
    await run(database, "UPDATE oidc_attempts SET expires_at = now() - interval '1 second'")
    await depart(person)
    await forget.run(database)
    async with database.session() as db:
        assert await db.value("SELECT count(*) FROM oidc_attempts") == 1


async def test_an_address_that_begins_again_and_again_has_to_wait(
    person: httpx.AsyncClient, edge: Edge, database: Database, provider: Provider
) -> None:
    await hire(database, "Ada")
    await depart(person)
    await run(database, "UPDATE sign_in_failures SET count = 101")
    async with browser(edge) as client:
        await depart(client)
        answer = await client.get("/api/sign-in/oidc/corp")
        assert refusal(answer) == "too_many"
        # who is on the way already comes in, and makes it well again
    async with browser(edge, address="192.0.2.2") as client:
        await come_in(client)
        assert await who(client) is not None
