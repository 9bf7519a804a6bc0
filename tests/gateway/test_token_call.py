"""GET /api/realtime/token and /api/realtime/config: what browsers need to connect."""

from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any
from uuid import uuid4

import httpx
import pytest
from ably import AblyRest
from msgspec.structs import replace

from pullse import app
from pullse.access.finder import Finder
from pullse.agents.permissions import ROLES
from pullse.gateway import tokens
from pullse.gateway.api import lasting
from pullse.gateway.auth import Credentials, Keyring
from pullse.gateway.capability import Capability
from pullse.gateway.keys import TOKENS
from pullse.gateway.opening import Realtime
from pullse.gateway.tokens import HOUR, MINUTE, TokenRequest
from pullse.kit.db import Database
from pullse.kit.edge import Edge, Guard
from pullse.kit.events import Actor
from pullse.kit.guard import BearerToken
from pullse.kit.proxies import Proxies
from pullse.kit.secret import Secret
from pullse.kit.tail import Tail
from pullse.settings import Ably
from tests.access.people import OPERATORS, give, hire
from tests.api.calls import problems, refused
from tests.api.test_openapi import resolved, validator
from tests.conftest import serving

TOKEN, CONFIG = "/api/realtime/token", "/api/realtime/config"
SECRET = Secret("one-secret-of-more-than-32-characters")
KEY = "app.key:" + "s" * 43
BEARER = "a-token-of-more-than-twenty-characters"


@pytest.fixture
def keyring(database: Database) -> Keyring:
    return Keyring(database, SECRET)


@pytest.fixture
def realtime(keyring: Keyring) -> Realtime:
    return Realtime(keyring)


@pytest.fixture
def edge(database: Database, tail: Tail, guard: Guard, realtime: Realtime) -> Edge:
    return app.build(database, tail, guard, realtime=realtime)


@pytest.fixture
def with_ably(database: Database, tail: Tail, guard: Guard) -> Any:
    def build(**options: Any) -> httpx.AsyncClient:
        edge = app.build(database, tail, guard, realtime=Realtime(ably=Ably(KEY, **options)))
        transport = httpx.ASGITransport(edge)  # type: ignore[arg-type]
        return httpx.AsyncClient(transport=transport, base_url="http://localhost")

    return build


async def got(client: httpx.AsyncClient, **params: Any) -> dict[str, Any]:
    answer = await client.get(TOKEN, params=params)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_the_answer_is_a_token_and_nothing_else(
    client: httpx.AsyncClient, keyring: Keyring
) -> None:
    answer = await client.get(TOKEN)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert "no-store" in answer.headers["cache-control"]
    found = answer.json()
    assert set(found) == {"token", "keyName", "issued", "expires", "capability", "clientId"}
    assert (found["keyName"], found["clientId"]) == (TOKENS, "owner")
    assert found["expires"] == found["issued"] + HOUR

    identity = await keyring.identify(Credentials(token=found["token"]))
    assert identity.client_id == "owner"
    assert identity.capability.text == found["capability"]


async def test_without_wishes_it_is_for_following_tickets(client: httpx.AsyncClient) -> None:
    rights = Capability.parse((await got(client))["capability"])
    follow = {"subscribe", "history", "channel-metadata"}
    assert rights.ops("tickets-updates") == rights.ops("tickets-activity") == follow
    assert rights.ops("ticket:019aa4ae-5f0c-7cc2-8d6e-0a3f5b1c9e70") == follow | {"presence"}
    assert rights.ops("chat") == rights.ops("[meta]x") == frozenset()


async def test_wishes_are_granted(client: httpx.AsyncClient) -> None:
    found = await got(client, capability='{"chat:*": ["publish", "subscribe"]}', ttl=5000)
    assert found["capability"] == '{"chat:*":["publish","subscribe"]}'
    assert found["expires"] == found["issued"] + 5000
    assert (await got(client, clientId="ada"))["clientId"] == "ada"
    assert (await got(client, client_id="ada"))["clientId"] == "ada"
    assert (await got(client, clientId="*"))["clientId"] == "*"


async def test_what_the_clients_send_along_is_taken(client: httpx.AsyncClient) -> None:
    """ably-js and ably-python merge all their token params into the query."""
    answer = await client.get(
        TOKEN,
        params={
            "clientId": "ada",
            "timestamp": "1795373349709",
            "nonce": "2123193913337928",
            "rnd": "0.123",
            "keyName": "app.key",
            "envelope": "json",
            "format": "json",
        },
        headers={"accept": "application/json, text/plain"},
    )
    assert answer.status_code == 200
    assert answer.json()["clientId"] == "ada"


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"capability": "nonsense"}, "capability"),
        ({"capability": "{}"}, "capability"),
        ({"capability": '{"a":["fly"]}'}, "capability"),
        ({"capability": '{"a":["*"]}' * 2000}, "capability"),
        ({"ttl": "0"}, "ttl"),
        ({"ttl": "86400001"}, "ttl"),
        ({"ttl": "soon"}, "ttl"),
        ({"clientId": ""}, "clientId"),
        ({"clientId": "x" * 3000}, "clientId"),
        ({"color": "blue"}, "color"),
    ],
)
async def test_what_makes_no_sense_is_refused_as_everywhere(
    client: httpx.AsyncClient, params: dict[str, str], field: str
) -> None:
    answer = await client.get(TOKEN, params=params)
    refused(answer, 400, "invalid")
    assert list(problems(answer)) == [field]


async def test_the_answers_fit_their_description(client: httpx.AsyncClient) -> None:
    document = (await client.get("/api/openapi.json")).json()
    for path, query in ((TOKEN, ""), (TOKEN, "?ttl=0"), (CONFIG, "")):
        answer = await client.get(path + query)
        described = document["paths"][path]["get"]["responses"][str(answer.status_code)]
        content = resolved(document, described)["content"]["application/json"]
        validator(document, content["schema"]).validate(answer.json())


async def test_it_is_a_get(client: httpx.AsyncClient) -> None:
    answer = await client.post(TOKEN, data={"clientId": "ada"})
    refused(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["allow"]


async def test_where_the_client_connects(client: httpx.AsyncClient) -> None:
    answer = await client.get(CONFIG, headers={"host": "127.0.0.1:3000"})
    assert answer.json()["data"] == {
        "provider": "pullse",
        "client_options": {
            "authUrl": TOKEN,
            "endpoint": "127.0.0.1",
            "port": 3000,
            "tls": False,
            "transports": ["web_socket"],
            "disableConnectivityCheck": True,
        },
        "channels": ["tickets-updates", "tickets-activity", "ticket:<id>"],
    }


class TestBehindAToken:
    @pytest.fixture
    def guard(self) -> Guard:
        return BearerToken(BEARER)

    @pytest.fixture
    def edge(self, edge: Edge) -> Edge:
        """Behind a proxy too."""
        edge.proxies = Proxies([ip_network("127.0.0.1")])
        return edge

    async def test_strangers_get_none(self, client: httpx.AsyncClient) -> None:
        for path in (TOKEN, CONFIG):
            refused(await client.get(path), 401, "unauthorized")
            query = {"access_token": BEARER, "key": BEARER}
            assert (await client.get(path, params=query)).status_code == 401

    async def test_whoever_knows_it_gets_one(self, client: httpx.AsyncClient) -> None:
        answer = await client.get(TOKEN, headers={"authorization": f"Bearer {BEARER}"})
        assert answer.json()["clientId"] == "token"

    @pytest.mark.parametrize(
        ("headers", "options"),
        [
            ({"host": "desk.example.org"}, {"endpoint": "desk.example.org", "port": 80}),
            (
                {"host": "desk.example.org", "x-forwarded-proto": "https"},
                {"endpoint": "desk.example.org", "tlsPort": 443},
            ),
            (
                {"host": "desk.example.org:8443", "x-forwarded-proto": "http, https"},
                {"endpoint": "desk.example.org", "tlsPort": 8443},
            ),
            (
                {"host": "desk.example.org", "x-forwarded-proto": "ftp"},
                {"endpoint": "desk.example.org", "port": 80},
            ),
            ({"host": "[::1]:3000"}, {"endpoint": "[::1]", "port": 3000}),
            ({"host": "localhost:3000"}, {"endpoint": "localhost", "port": 3000}),
            (
                {"host": "gateway:3000"},
                {"restHost": "gateway", "realtimeHost": "gateway", "port": 3000},
            ),
            ({"host": "what is this?"}, {}),
        ],
    )
    async def test_the_address_is_the_one_that_was_asked(
        self, client: httpx.AsyncClient, headers: dict[str, str], options: dict[str, Any]
    ) -> None:
        answer = await client.get(CONFIG, headers={"authorization": f"Bearer {BEARER}", **headers})
        found = answer.json()["data"]["client_options"]
        for name in ("authUrl", "transports", "disableConnectivityCheck"):
            found.pop(name)
        is_tls = "tlsPort" in options
        assert found == options | ({} if is_tls else {"tls": False})


async def test_at_ably_it_is_a_request_signed_with_its_key(with_ably: Any) -> None:
    async with with_ably() as client:
        found = await got(client, ttl=5000)
        assert set(found) == {
            *("keyName", "ttl", "capability", "clientId", "timestamp", "nonce", "mac")
        }
        request = TokenRequest.read("app.key", found)
        assert request.is_signed_with(KEY.partition(":")[2])
        assert abs(found["timestamp"] - tokens.now()) < 5000
        assert (found["clientId"], found["ttl"]) == ("owner", 5000)
        assert "tickets-updates" in found["capability"]
        assert KEY.partition(":")[2] not in str(found)
        assert (await got(client))["nonce"] != found["nonce"]
        refused(await client.get(TOKEN, params={"capability": "x"}), 400, "invalid")


class TestAgents:
    """By tokens of their own, at the built-in gateway and at Ably."""

    @pytest.fixture
    def guard(self, database: Database) -> Guard:
        return BearerToken(OPERATORS, find=Finder(database))

    @pytest.mark.parametrize("asked", [None, 5000, HOUR, 24 * HOUR])
    async def test_how_long_it_lasts(
        self, client: httpx.AsyncClient, with_ably: Any, database: Database, asked: int | None
    ) -> None:
        """At Ably nobody looks at who holds it, so an admin's lasts no longer there."""
        params = {} if asked is None else {"ttl": asked}
        lasting: dict[str, list[int]] = {}
        for role in ("agent", "admin"):
            bearer = await give(database, await hire(database, role, role))
            headers = {"authorization": f"Bearer {bearer}"}
            found = (await client.get(TOKEN, params=params, headers=headers)).json()
            async with with_ably() as at_ably:
                request = (await at_ably.get(TOKEN, params=params, headers=headers)).json()
            lasting[role] = [found["expires"] - found["issued"], request["ttl"]]
        short = min(asked or 10 * MINUTE, 10 * MINUTE)
        assert lasting == {"agent": [short, short], "admin": [asked or HOUR, short]}

    def test_who_shows_nothing_that_can_be_looked_up_asks_again_soon(self) -> None:
        """Such as an agent for whom another service's token speaks, which ends by itself."""
        admin = Actor(f"agent:{uuid4()}", rights=ROLES["admin"], teams=None)
        assert lasting(admin, HOUR, is_watched=True) == 10 * MINUTE
        for known in (replace(admin, session=uuid4()), replace(admin, token=uuid4())):
            assert lasting(known, HOUR, is_watched=True) == HOUR

    async def test_at_ably_it_covers_no_more_than_here(
        self, with_ably: Any, database: Database
    ) -> None:
        async with with_ably() as client:
            operator = {"authorization": f"Bearer {OPERATORS}"}
            team, other = [
                (
                    await client.post(
                        "/api/teams", json={"name": name, "is_private": True}, headers=operator
                    )
                ).json()["data"]["id"]
                for name in ("Wages", "Law")
            ]
            ada = await hire(database, "Ada")
            await client.put(f"/api/teams/{team}/members/{ada}", headers=operator)
            headers = {"authorization": f"Bearer {await give(database, ada)}"}
            for asked in (None, "*", "[*]*", "private:*", f"private:{other}:*"):
                params = {} if asked is None else {"capability": f'{{"{asked}":["*"],"x":["*"]}}'}
                found = (await client.get(TOKEN, params=params, headers=headers)).json()
                rights = Capability.parse(found["capability"])
                for name in ("tickets-updates", "tickets-activity", "ticket:x"):
                    assert not rights.ops(f"private:{other}:{name}")
                    assert "publish" not in rights.ops(name) | rights.ops(f"private:{team}:{name}")
                if asked != f"private:{other}:*":
                    assert rights.allows(f"private:{team}:tickets-updates", "subscribe")
            config = (await client.get(CONFIG, headers=headers)).json()["data"]
        assert config["channels"] == [
            *("tickets-updates", "tickets-activity"),
            *(f"private:{team}:tickets-updates", f"private:{team}:tickets-activity"),
        ]

    async def test_only_free_channels_are_free(
        self, client: httpx.AsyncClient, database: Database
    ) -> None:
        """Who works with tickets has them; who reads has none; nobody has queues and the like."""
        asked = {"capability": '{"chat:*":["*"],"[meta]*":["*"],"ticket:*":["publish"]}'}
        for role, covered in (("agent", '{"chat:*":["*"]}'), ("read_only", None)):
            bearer = await give(database, await hire(database, role, role))
            answer = await client.get(
                TOKEN, params=asked, headers={"authorization": f"Bearer {bearer}"}
            )
            if covered is None:
                refused(answer, 403, "forbidden")
            else:
                assert answer.json()["capability"] == covered


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({}, {}),
        ({"host": "ably.example.org"}, {"endpoint": "ably.example.org"}),
        (
            {"host": "ably.example.org", "port": 8443},
            {"endpoint": "ably.example.org", "tlsPort": 8443},
        ),
        (
            {"host": "localhost", "port": 8080, "tls": False},
            {"endpoint": "localhost", "port": 8080, "tls": False},
        ),
    ],
)
async def test_where_the_client_connects_for_ably(
    with_ably: Any, options: dict[str, Any], shown: dict[str, Any]
) -> None:
    async with with_ably(**options) as client:
        found = (await client.get(CONFIG)).json()["data"]
    assert found == {
        "provider": "ably",
        "client_options": {"authUrl": TOKEN, **shown},
        "channels": ["tickets-updates", "tickets-activity"],
    }


async def test_without_a_gateway_there_is_none(
    database: Database, tail: Tail, guard: Guard
) -> None:
    transport = httpx.ASGITransport(app.build(database, tail, guard))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        for path in (TOKEN, CONFIG):
            refused(await client.get(path), 503, "unavailable")


@pytest.fixture
async def address(edge: Edge) -> AsyncIterator[str]:
    async with serving(edge) as url:
        yield url


async def test_ably_python_takes_it_as_its_auth_url(address: str) -> None:
    params = {"client_id": "ada", "capability": '{"chat": ["subscribe"]}', "ttl": 5000}
    async with AblyRest(auth_url=f"{address}{TOKEN}") as ably:
        found = await ably.auth.request_token(params)
    assert found.client_id == "ada"
    assert found.expires - found.issued == 5000
    assert found.capability.to_dict() == {"chat": ["subscribe"]}
    assert found.token.count(".") == 2
