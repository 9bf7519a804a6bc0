"""The sandbox: apps made for the SDKs' suites, which see nothing of each other or of pullse."""

from typing import Any

import httpx
import pytest

from pullse.gateway import sse
from pullse.gateway.keys import DEV_KEY
from pullse.gateway.rest import Rest
from pullse.gateway.sandbox import Sandbox
from pullse.gateway.service import Gateway
from tests.gateway.conftest import SECRET
from tests.gateway.streams import Reader
from tests.gateway.test_rest_door import error

FIXTURES = [
    {"clientId": "client_bool", "data": "true"},
    {"clientId": "client_text", "data": "some text"},
    {"clientId": "client_decoded", "data": '{"a":1}', "encoding": "json"},
    {
        "clientId": "client_encoded",
        "data": "3q2+7w==",
        "encoding": "json/utf-8/cipher+aes-128-cbc/base64",
    },
]
WISH = {
    "limits": {"presence": {"maxMembers": 250}},
    "keys": [
        {},
        {"capability": '{ "a:*":["subscribe"], "b":["publish", "push-admin"] }'},
        {"capability": {"*": ["subscribe"]}},
        {"revocableTokens": True},
        {"capability": '{ "[*]*":["*"] }'},
    ],
    "namespaces": [{"id": "persisted", "persisted": True}],
    "channels": [{"name": "persisted:fixtures", "presence": FIXTURES}],
}
App = dict[str, Any]


@pytest.fixture(autouse=True)
def sandbox(gateway: Gateway) -> None:
    gateway.sandbox = Sandbox(SECRET)


async def make(client: httpx.AsyncClient, wish: Any = WISH) -> App:
    answer = await client.post("/apps", json=wish)
    assert answer.status_code == 201, answer.text
    app: App = answer.json()
    return app


def auth(app: App, number: int = 0) -> tuple[str, str]:
    key = app["keys"][number]
    return key["keyName"], key["keySecret"]


async def test_an_app_has_what_the_suites_read(stranger: httpx.AsyncClient) -> None:
    app = await make(stranger)
    assert len(app["appId"]) == 6
    assert app["accountId"]
    assert app["namespaces"] == WISH["namespaces"]
    assert (app["endpoint"], app["port"], app["tls"]) == ("localhost", 80, False)
    assert len(app["keys"]) == 5
    for key in app["keys"]:
        assert key["keyName"] == f"{app['appId']}.{key['id']}"
        assert key["value"] == key["keySecret"]
        assert key["keyStr"] == f"{key['keyName']}:{key['value']}"
    assert app["keys"][0]["capability"] == '{"*":["*"]}'
    assert app["keys"][1]["capability"] == '{"a:*":["subscribe"],"b":["publish","push-admin"]}'


async def test_without_wishes_there_is_one_key(stranger: httpx.AsyncClient) -> None:
    assert len((await make(stranger, {}))["keys"]) == 1


@pytest.mark.parametrize(
    ("host", "endpoint", "port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("sandbox.example", "sandbox.example", 80),
        ("[::1]:9000", "::1", 9000),
        ("[::1]", "::1", 80),
    ],
)
async def test_an_app_is_reached_where_it_was_made(
    stranger: httpx.AsyncClient, host: str, endpoint: str, port: int
) -> None:
    app = (await stranger.post("/apps", json={}, headers={"Host": host})).json()
    assert (app["endpoint"], app["port"]) == (endpoint, port)


async def test_keys_may_do_what_was_wished(stranger: httpx.AsyncClient) -> None:
    app = await make(stranger)
    for number, channel, status in ((0, "x", 201), (1, "b", 201), (1, "a:1", 401), (2, "x", 401)):
        path = f"/channels/{channel}/messages"
        answer = await stranger.post(path, json={"data": "x"}, auth=auth(app, number))
        assert answer.status_code == status, (number, channel)


async def test_members_came_with_the_app(stranger: httpx.AsyncClient) -> None:
    app = await make(stranger)
    path = "/channels/persisted:fixtures/presence"
    members = (await stranger.get(path, auth=auth(app))).json()
    assert {each["clientId"] for each in members} == {each["clientId"] for each in FIXTURES}
    assert {each["action"] for each in members} == {1}
    assert len({each["connectionId"] for each in members}) == 1
    entered = (await stranger.get(f"{path}/history", auth=auth(app))).json()
    assert [each["clientId"] for each in entered] == [each["clientId"] for each in FIXTURES][::-1]
    assert {each["action"] for each in entered} == {2}
    wished = ("data", "encoding")
    assert [{name: each.get(name) for name in wished} for each in reversed(entered)] == [
        {name: each.get(name) for name in wished} for each in FIXTURES
    ]


async def test_many_members(stranger: httpx.AsyncClient) -> None:
    crowd = [{"clientId": f"c{number}", "data": "x"} for number in range(250)]
    app = await make(stranger, {"channels": [{"name": "crowd", "presence": crowd}]})
    answer = await stranger.get("/channels/crowd/presence?limit=1000", auth=auth(app))
    assert len(answer.json()) == 250


async def test_apps_see_nothing_of_each_other(stranger: httpx.AsyncClient) -> None:
    one, two = await make(stranger), await make(stranger)
    pullse = (DEV_KEY.name, DEV_KEY.secret)
    owners = [(auth(one), "one"), (auth(two), "two"), (pullse, "pullse")]
    for owner, data in owners:
        await stranger.post("/channels/a/messages", json={"data": data}, auth=owner)
    for owner, data in owners:
        answer = await stranger.get("/channels/a/messages", auth=owner)
        assert [each["data"] for each in answer.json()] == [data]


async def test_every_channel_is_free(stranger: httpx.AsyncClient) -> None:
    app = await make(stranger)
    for channel in ("tickets-updates", "tickets-activity", "ticket:42"):
        path = f"/channels/{channel}/messages"
        answer = await stranger.post(path, json={"data": "mine"}, auth=auth(app))
        assert answer.status_code == 201
        answer = await stranger.get(path, auth=auth(app))
        assert [each["data"] for each in answer.json()] == ["mine"]


async def test_tokens_of_an_app(stranger: httpx.AsyncClient) -> None:
    app = await make(stranger)
    name, _ = auth(app)
    path = f"/keys/{name}/requestToken"
    asked = {"keyName": name, "timestamp": None, "clientId": "ada"}
    answer = await stranger.post(path, json=asked, auth=auth(app))
    assert answer.status_code == 201
    token = answer.json()["token"]
    await stranger.post(f"/channels/a/messages?accessToken={token}", json={"data": "x"})
    (message,) = (await stranger.get("/channels/a/messages", auth=auth(app))).json()
    assert message["clientId"] == "ada"
    assert error(await stranger.post(path, json=asked, auth=auth(app, 1))) == (401, 40101)


async def test_a_revocation_ends_streams(
    rest: Rest, stranger: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "BEAT", 0.05)
    app = await make(stranger)
    name, _ = auth(app, 3)
    given = {"keyName": name, "clientId": "ada"}
    answer = await stranger.post(f"/keys/{name}/requestToken", json=given, auth=auth(app, 3))
    token = answer.json()["token"]
    async with Reader(rest, {"channels": "a", "accessToken": token}) as reader:
        targets = {"targets": ["clientId:ada", "nonsense:x"]}
        path = f"/keys/{name}/revokeTokens"
        answer = await stranger.post(path, json=targets, auth=auth(app, 3))
        assert answer.status_code == 201
        assert (answer.json()["successCount"], answer.json()["failureCount"]) == (1, 1)
        event = await reader.event()
        assert (event.name, event.content["code"]) == ("error", 40141)
        assert await reader.over()
    old = {"X-Ably-Version": "2"}
    answer = await stranger.post(path, json=targets, auth=auth(app, 3), headers=old)
    assert error(answer) == (400, 40020)
    assert [each["target"] for each in answer.json()["batchResponse"]] == targets["targets"]


async def test_an_app_is_deleted_with_its_key(stranger: httpx.AsyncClient) -> None:
    app, other = await make(stranger), await make(stranger)
    path = f"/apps/{app['appId']}"
    assert error(await stranger.delete(path)) == (401, 40101)
    assert error(await stranger.delete(path, auth=auth(other))) == (401, 40160)
    answer = await stranger.delete(path, auth=auth(app))
    assert (answer.status_code, answer.content) == (204, b"")
    assert error(await stranger.get("/channels/a/messages", auth=auth(app))) == (401, 40101)
    assert (await stranger.get("/channels/a/messages", auth=auth(other))).status_code == 200


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ([], 40001),
        ({"keys": "all"}, 40001),
        ({"keys": [{"capability": "{"}]}, 40000),
        ({"keys": [{"capability": {"a": ["fly"]}}]}, 40000),
        ({"keys": [{}] * 101}, 40000),
        ({"channels": [{"name": "a", "presence": [{"data": "x"}]}]}, 40012),
        ({"channels": [{"name": "a", "presence": [{"clientId": "a\0"}]}]}, 40012),
        ({"channels": [{"name": "", "presence": [{"clientId": "a"}]}]}, 40010),
        ({"channels": [{"name": "a\0", "presence": [{"clientId": "a"}]}]}, 40010),
        ({"channels": [{"name": "a", "presence": [{"clientId": "a", "data": 5}]}]}, 40013),
    ],
)
async def test_wishes_that_make_no_sense(stranger: httpx.AsyncClient, wish: Any, code: int) -> None:
    assert error(await stranger.post("/apps", json=wish)) == (400, code)
