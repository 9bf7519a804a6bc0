"""Sessions: how they begin and end, and whose cookies count for nothing."""

import asyncio
from uuid import uuid4

import httpx
import pytest

from pullse import app
from pullse.access.finder import SessionFinder
from pullse.access.sessions import shortened
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.kit.guard import BearerToken, LocalOwner
from pullse.kit.tail import Tail
from tests.access.people import OPERATORS, calling, give, run
from tests.access.sign_in import PASSWORD, audited, browser, enter, hire_with_password


@pytest.fixture
async def ada(database: Database) -> object:
    return await hire_with_password(database, "Ada")


async def test_the_cookie_over_tls_and_without(served: Edge, ada: object) -> None:
    for scheme, name in (("http", "pullse"), ("https", "__Host-pullse")):
        async with browser(served, scheme=scheme) as client:
            session, device = (await enter(client)).headers.get_list("set-cookie")
            for cookie in (session, device):
                parts = set(cookie.split("; ")[1:])
                assert parts >= {"Path=/", "HttpOnly", "SameSite=Lax"}
                assert ("Secure" in parts) == (scheme == "https")
                assert not any(part.startswith("Domain") for part in parts)
            assert session.startswith(f"{name}=")
            assert device.startswith(f"{name}-device=")
            assert (await client.get("/api/me")).status_code == 200


async def test_over_tls_the_plain_cookie_counts_for_nothing(served: Edge, ada: object) -> None:
    async with browser(served) as client:
        await enter(client)
        token = client.cookies["pullse"]
    async with browser(served, scheme="https", Cookie=f"pullse={token}") as client:
        assert (await client.get("/api/me")).status_code == 401


async def test_the_database_has_no_token(served: Edge, database: Database, ada: object) -> None:
    async with browser(served) as client:
        await enter(client)
        tokens = [client.cookies["pullse"], client.cookies["pullse-device"]]
    async with database.session() as db:
        rows = await db.rows("SELECT s::text FROM sessions AS s")
        rows += await db.rows("SELECT a::text FROM audit AS a")
    assert not any(token in str(rows) for token in tokens)


async def test_a_planted_cookie_is_not_taken_over(served: Edge, ada: object) -> None:
    planted = "A" * 43
    async with browser(served) as client:
        client.cookies.set("pullse", planted, domain="pullse.example")
        client.cookies.set("pullse-device", planted, domain="pullse.example")
        answer = await enter(client)
        assert planted not in str(answer.headers)
    async with browser(served, Cookie=f"pullse={planted}") as thief:
        assert (await thief.get("/api/me")).status_code == 401


async def test_signing_in_ends_the_session_that_the_browser_had(served: Edge, ada: object) -> None:
    async with browser(served) as client:
        await enter(client)
        old = client.cookies["pullse"]
        assert (await client.get("/api/me")).status_code == 200
        await enter(client)
        assert client.cookies["pullse"] != old
        assert (await client.get("/api/me")).status_code == 200
    async with browser(served, Cookie=f"pullse={old}") as thief:
        assert (await thief.get("/api/me")).status_code == 401


async def test_one_signs_out(served: Edge, database: Database, ada: object) -> None:
    async with browser(served) as client:
        await enter(client)
        token = client.cookies["pullse"]
        answer = await client.delete("/api/session")
        assert answer.status_code == 200
        assert "pullse" not in client.cookies
        assert "pullse-device" in client.cookies
        assert (await client.get("/api/me")).status_code == 401
    async with browser(served, Cookie=f"pullse={token}") as thief:
        assert (await thief.get("/api/me")).status_code == 401
    assert [actor for actor, _, _ in await audited(database, "session.ended")] == [f"agent:{ada}"]


async def test_they_are_listed_and_ended(served: Edge, database: Database, ada: object) -> None:
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"
    async with (
        browser(served, **{"User-Agent": agent}) as one,
        browser(served, address="192.0.2.2") as two,
        browser(served, address="192.0.2.3") as three,
    ):
        for client in (one, two, three):
            await enter(client)
        records = (await one.get("/api/sessions")).json()["data"]["records"]
        assert [each["is_current"] for each in records] == [False, False, True]
        assert [each["address"] for each in records] == ["192.0.2.3", "192.0.2.2", "192.0.2.1"]
        assert records[2]["device"] == "Firefox 133 on Linux"
        assert (await one.delete(f"/api/sessions/{records[1]['id']}")).status_code == 200
        assert (await one.delete(f"/api/sessions/{records[1]['id']}")).status_code == 404
        assert (await two.get("/api/me")).status_code == 401
        assert (await three.get("/api/me")).status_code == 200
        assert (await one.delete("/api/sessions")).json()["data"] == {"ended": 1}
        assert (await three.get("/api/me")).status_code == 401
        assert (await one.get("/api/me")).status_code == 200


async def test_others_sessions_are_not_there(served: Edge, database: Database, ada: object) -> None:
    await hire_with_password(database, "Ben", "owner")
    async with browser(served) as own, browser(served) as other:
        session_id = (await enter(own)).json()["data"]["id"]
        await enter(other, "Ben")
        for id_ in (session_id, uuid4(), "x"):
            assert (await other.delete(f"/api/sessions/{id_}")).status_code == 404
        assert len((await other.get("/api/sessions")).json()["data"]["records"]) == 1
        assert (await own.get("/api/me")).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE sessions SET last_used_at = now() - interval '14 days 1 second'",
        "UPDATE sessions SET expires_at = now() - interval '1 second'",
        "UPDATE sessions SET ended_at = now()",
        "UPDATE agents SET state = 'disabled'",
        "UPDATE agents SET deleted_at = now()",
    ],
)
async def test_it_ends_within_a_second_everywhere(
    change: str, served: Edge, database: Database, ada: object
) -> None:
    async with browser(served) as client:
        await enter(client)
        assert (await client.get("/api/me")).status_code == 200
        await run(database, change)
        await asyncio.sleep(1.05)
        assert (await client.get("/api/me")).status_code == 401


async def test_a_lower_role_counts_within_a_second(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada", "admin")
    async with browser(served) as client:
        await enter(client)
        assert (await client.get("/api/audit")).status_code == 200
        await run(database, "UPDATE agents SET role = 'agent'")
        await asyncio.sleep(1.05)
        assert (await client.get("/api/audit")).status_code == 403
        await run(database, "UPDATE agents SET role = 'admin'")  # no more than it began with
        await asyncio.sleep(1.05)
        assert (await client.get("/api/audit")).status_code == 200


async def test_a_higher_role_takes_a_new_session(
    served: Edge, database: Database, ada: object
) -> None:
    """A token from before, which somebody else may know, gets nothing of it."""
    async with browser(served) as client, browser(served) as other:
        await enter(client)
        await enter(other)
        async with calling(served) as owner:
            changed = await owner.patch(f"/api/agents/{ada}", json={"role": "admin"})
            assert changed.status_code == 200
        assert (await client.get("/api/me")).status_code == 401
        assert (await other.get("/api/me")).status_code == 401
        await enter(client)
        assert (await client.get("/api/audit")).status_code == 200
        assert len((await client.get("/api/sessions")).json()["data"]["records"]) == 1


WRITES = [
    ("POST", "/api/tickets"),
    ("DELETE", "/api/session"),
    ("DELETE", "/api/sessions"),
    ("PUT", "/api/session/password"),
    ("PATCH", f"/api/agents/{uuid4()}"),
]
FOREIGN = [
    {},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://pullse.example"},
    {"Sec-Fetch-Site": ""},
    {"Origin": "null"},
    {"Origin": "http://evil.example"},
    {"Origin": "https://pullse.example"},
    {"Origin": "http://pullse.example:81"},
    {"Origin": "http://pullse.example.evil.example"},
]


@pytest.mark.parametrize("headers", FOREIGN)
async def test_pages_of_other_sites_change_nothing(
    headers: dict[str, str], served: Edge, database: Database, ada: object
) -> None:
    async with browser(served) as client:
        await enter(client)
        del client.headers["Sec-Fetch-Site"]
        for method, path in WRITES:
            answer = await client.request(method, path, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "cross_site"), path
        assert (await client.get("/api/me", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://pullse.example"},
    ],
)
async def test_our_own_pages_do(headers: dict[str, str], served: Edge, ada: object) -> None:
    async with browser(served) as client:
        await enter(client)
        del client.headers["Sec-Fetch-Site"]
        body = {"title": "A question", "description": "How?"}
        answer = await client.post("/api/tickets", json=body, headers=headers)
        assert answer.status_code == 201, answer.text


async def test_no_other_site_signs_somebody_in(served: Edge, ada: object) -> None:
    for headers in FOREIGN[1:]:
        async with browser(served) as client:
            del client.headers["Sec-Fetch-Site"]
            client.headers.update(headers)
            assert (await enter(client)).status_code == 403
    async with browser(served) as client:
        del client.headers["Sec-Fetch-Site"]  # a program, which is nobody's page
        assert (await enter(client)).status_code == 200


async def test_a_password_is_changed(served: Edge, database: Database, ada: object) -> None:
    other = "another heron entirely"
    async with browser(served) as client, browser(served) as elsewhere:
        await enter(client)
        await enter(elsewhere)
        old = client.cookies["pullse"]

        async def change(password: str, new: str) -> httpx.Response:
            body = {"password": password, "new_password": new}
            return await client.put("/api/session/password", json=body)

        assert (await change("wrong", other)).json()["code"] == "wrong_password"
        assert (await change(PASSWORD, "short")).status_code == 400
        answer = await change(PASSWORD, "password1234")
        assert answer.json()["errors"][0]["field"] == "new_password"
        assert (await change(PASSWORD, other)).status_code == 200
        assert client.cookies["pullse"] != old
        assert (await client.get("/api/me")).status_code == 200
        assert (await elsewhere.get("/api/me")).status_code == 401
    async with browser(served, Cookie=f"pullse={old}") as thief:
        assert (await thief.get("/api/me")).status_code == 401
    async with browser(served) as client:
        assert (await enter(client)).status_code == 401
        assert (await enter(client, "Ada", other)).status_code == 200
    assert len(await audited(database, "password.changed")) == 1


async def test_a_stolen_session_does_not_guess_the_password(served: Edge, ada: object) -> None:
    async with browser(served) as client:
        await enter(client)
        body = {"password": "wrong", "new_password": "another heron entirely"}
        codes = [
            (await client.put("/api/session/password", json=body)).status_code for _ in range(8)
        ]
    assert codes == [403] * 6 + [429] * 2


async def test_a_token_is_no_session(served: Edge, database: Database, ada: object) -> None:
    body = {"password": PASSWORD, "new_password": "another heron entirely"}
    for token in (OPERATORS, await give(database, ada)):
        async with calling(served, token) as client:
            assert (await client.get("/api/sessions")).json()["code"] == "session_needed"
            answer = await client.put("/api/session/password", json=body)
            assert answer.json()["code"] == "session_needed"
            assert (await client.delete("/api/session")).json()["code"] == "session_needed"


async def test_a_token_wins_over_a_cookie(served: Edge, database: Database, ada: object) -> None:
    async with browser(served) as client:
        await enter(client)
        me = await client.get("/api/me", headers={"Authorization": f"Bearer {OPERATORS}"})
        assert me.json()["data"]["id"] == "token"
        bad = await client.get("/api/me", headers={"Authorization": "Bearer x"})
        assert bad.status_code == 401


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "A" * 5000, "\xe9" * 43, "' OR 1=1 --"])
async def test_nonsense_is_nobody(token: str, served: Edge) -> None:
    async with browser(served) as client:
        cookie = f"a=b; pullse={token}; c".encode("latin-1")
        assert (await client.get("/api/me", headers={"Cookie": cookie})).status_code == 401  # type: ignore[dict-item]


async def test_one_statement_a_second(
    database: Database, tail: Tail, ada: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    finder = SessionFinder(database)
    asked = []
    look_up = finder.look_up

    async def counting(hash_: bytes) -> object:
        asked.append(hash_)
        return await look_up(hash_)

    monkeypatch.setattr(finder, "look_up", counting)
    edge = app.build(database, tail, BearerToken(OPERATORS, find_session=finder))
    async with browser(edge) as client:
        await enter(client)
        for _ in range(20):
            await client.get("/api/me")
    assert len(asked) == 1


async def test_pullse_dev_knows_who_signed_in(database: Database, tail: Tail, ada: object) -> None:
    edge = app.build(database, tail, LocalOwner(find_session=SessionFinder(database)))
    async with browser(edge) as client:
        client.base_url = httpx.URL("http://localhost")
        assert (await client.get("/api/me")).json()["data"]["id"] == "owner"
        assert (await enter(client)).status_code == 200
        assert (await client.get("/api/me")).json()["data"]["id"] == f"agent:{ada}"
        assert (await client.delete("/api/session")).status_code == 200
        assert (await client.get("/api/me")).json()["data"]["id"] == "owner"


WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (None, "unknown"),
        ("curl/8.5.0", "curl 8"),
        (
            f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/131.0.0.0 Edg/131.0",
            "Edge 131 on Windows",
        ),
        (
            f"Mozilla/5.0 (Intel Mac OS X 10_15) {WEBKIT} Version/17.6 Safari/605.1.15",
            "Safari 17 on macOS",
        ),
        (
            f"Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/131.0.0.0 Mobile Safari/537.36",
            "Chrome 131 on Android",
        ),
        ("x" * 500, "x" * 60),
        ("<script>\x1b", "<script>"),
    ],
)
def test_a_device_in_a_few_words(agent: str | None, words: str) -> None:
    assert shortened(agent) == words
