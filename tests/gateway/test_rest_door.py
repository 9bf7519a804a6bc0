"""Who gets in by HTTP, and the shape of every answer: formats, errors, envelopes, CORS."""

import asyncio
import base64
import json
import logging
import re
from typing import Any

import httpx
import msgspec
import pytest

from pullse.errors import Unavailable
from pullse.gateway import reading
from pullse.gateway.keys import DEV_KEY
from pullse.gateway.rest import CALLS, SEGMENTS
from pullse.gateway.service import Gateway
from tests.gateway.conftest import Tokens

MSGPACK = "application/x-msgpack"
OPEN = [
    ("GET", "/stats"),
    ("POST", "/stats"),
    ("POST", "/messages"),
    ("GET", "/presence?channels=a"),
    ("GET", "/channels"),
    ("GET", "/channels/a"),
    ("GET", "/channels/a/messages"),
    ("POST", "/channels/a/messages"),
    ("GET", "/channels/a/history"),
    ("GET", "/channels/a/messages/0000000000000765-0000000000000001@1"),
    ("GET", "/channels/a/presence"),
    ("GET", "/channels/a/presence/history"),
    ("POST", "/keys/pullse.dev/requestToken"),
    ("POST", "/keys/pullse.dev/revokeTokens"),
    ("GET", "/sse?channels=a&v=1.2"),
    ("GET", "/event-stream?channels=a&v=1.2"),
]
OF_A_CHANNEL = [call for call in OPEN if "channels" in call[1] and call[1] != "/channels"]
EVERY_PUBLISH = {"channels": "a", "messages": {"data": "x"}}


def error(answer: httpx.Response) -> tuple[int, int]:
    """Status and code of a refusal, whose shape is checked in passing."""
    assert answer.headers["content-type"] == "application/json"
    found = answer.json()["error"]
    assert found["statusCode"] == answer.status_code
    assert answer.headers["x-ably-errorcode"] == str(found["code"])
    assert answer.headers["x-ably-errormessage"].isprintable()
    assert isinstance(found["message"], str)
    return answer.status_code, found["code"]


async def call(client: httpx.AsyncClient, method: str, path: str, **given: Any) -> httpx.Response:
    if method == "POST":
        given["json"] = EVERY_PUBLISH if path == "/messages" else {"data": "x"}
    return await client.request(method, path, **given)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {base64.b64encode(token.encode()).decode()}"}


# -- who gets in --


def test_every_call_is_walked_into() -> None:
    """A call that is added has to be added above."""
    known = {path.partition("?")[0].split("/")[1] for _, path in OPEN}
    assert known == SEGMENTS - {"time", "apps"}
    assert sum(len(methods) for methods in CALLS.values()) == len(OPEN) + 3


async def test_the_time_is_told_to_everybody(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.get("/time")
    assert answer.status_code == 200
    (milliseconds,) = answer.json()
    assert abs(milliseconds - reading.now()) < 10_000


@pytest.mark.parametrize(("method", "path"), OPEN)
async def test_without_credentials_nothing_opens(
    stranger: httpx.AsyncClient, method: str, path: str
) -> None:
    assert error(await call(stranger, method, path)) == (401, 40101)


@pytest.mark.parametrize(("method", "path"), OPEN)
async def test_a_wrong_secret_opens_nothing(
    stranger: httpx.AsyncClient, method: str, path: str
) -> None:
    auth = (DEV_KEY.name, DEV_KEY.secret + "x")
    assert error(await call(stranger, method, path, auth=auth)) == (401, 40101)


@pytest.mark.parametrize(("method", "path"), [each for each in OPEN if "/keys" not in each[1]])
async def test_an_expired_token_opens_nothing(
    stranger: httpx.AsyncClient, token: Tokens, method: str, path: str
) -> None:
    old = token(age=120, ttl=60)
    assert error(await call(stranger, method, path, headers=bearer(old))) == (401, 40142)


@pytest.mark.parametrize(("method", "path"), OF_A_CHANNEL)
async def test_a_token_for_other_channels_opens_none(
    stranger: httpx.AsyncClient, token: Tokens, method: str, path: str
) -> None:
    other = bearer(token({"b": ["*"], "a:*": ["*"]}))
    answer = await call(stranger, method, path, headers=other)
    if path.startswith("/presence"):  # a batch says it for each channel
        (result,) = answer.json()["results"]
        assert result["error"]["code"] == 40160
    else:
        assert error(answer) == (401, 40160)


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/channels/a/messages", "publish"),
        ("GET", "/channels/a/messages", "history"),
        ("GET", "/channels/a/presence", "subscribe"),
        ("GET", "/channels/a/presence", "presence"),
        ("GET", "/channels/a/presence/history", "history"),
        ("GET", "/channels/a", "channel-metadata"),
    ],
)
async def test_each_call_takes_one_operation_and_no_other(
    stranger: httpx.AsyncClient, token: Tokens, method: str, path: str, operation: str
) -> None:
    enough = await call(stranger, method, path, headers=bearer(token({"a": [operation]})))
    assert enough.status_code in (200, 201)

    others = {"publish", "history", "subscribe", "presence", "channel-metadata"} - {operation}
    if path.endswith("/presence"):
        others -= {"subscribe", "presence"}
    less = bearer(token({"a": sorted(others)}))
    assert error(await call(stranger, method, path, headers=less)) == (401, 40160)


@pytest.mark.parametrize("name", ["key", "accessToken", "access_token"])
async def test_keys_and_tokens_may_be_in_the_query(
    stranger: httpx.AsyncClient, token: Tokens, name: str
) -> None:
    text = DEV_KEY.text if name == "key" else token()
    answer = await stranger.get("/channels/a/messages", params={name: text})
    assert answer.status_code == 200
    assert text not in answer.headers["link"]


async def test_a_plain_jwt_may_be_the_bearer(stranger: httpx.AsyncClient, token: Tokens) -> None:
    headers = {"Authorization": f"Bearer {token()}"}
    assert (await stranger.get("/channels/a/messages", headers=headers)).status_code == 200


async def test_keys_are_asked_of_whoever_has_them(
    stranger: httpx.AsyncClient, token: Tokens
) -> None:
    path = f"/keys/{DEV_KEY.name}"
    for age in (0, 120):
        headers = bearer(token(age=age))
        answer = await stranger.post(f"{path}/requestToken", json={}, headers=headers)
        assert error(answer) == (401, 40101)
        targets = {"targets": ["clientId:ada"]}
        answer = await stranger.post(f"{path}/revokeTokens", json=targets, headers=headers)
        assert error(answer) == (401, 40162)


async def test_a_token_for_its_key(stranger: httpx.AsyncClient) -> None:
    path = f"/keys/{DEV_KEY.name}/requestToken"
    wish = {"capability": '{"a":["history"]}', "clientId": "ada"}
    key = (DEV_KEY.name, DEV_KEY.secret)
    answer = await stranger.post(path, json=wish, auth=key)
    assert answer.status_code == 201
    details = answer.json()
    assert (details["keyName"], details["clientId"]) == (DEV_KEY.name, "ada")
    assert details["capability"] == '{"a":["history"]}'
    stranger.headers.update(bearer(details["token"]))
    assert (await stranger.get("/channels/a/messages")).status_code == 200
    assert error(await stranger.get("/channels/b/messages")) == (401, 40160)


# -- addresses --


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/channels/a/nothing",
        "/channels/a/messages/b/versions",
        "/channels/a/messages/b/annotations",
        "/keys/pullse.dev",
        "/push/deviceRegistrations",
        "/time/now",
    ],
)
async def test_other_addresses_are_refused_in_the_same_shape(
    door: httpx.AsyncClient, path: str
) -> None:
    assert error(await door.get(path)) == (404, 40400)


async def test_apps_are_made_in_a_sandbox_alone(stranger: httpx.AsyncClient) -> None:
    assert error(await stranger.post("/apps", json={})) == (404, 40400)
    assert error(await stranger.delete("/apps/abcdef")) == (404, 40400)


async def test_other_methods_are_refused_in_the_same_shape(door: httpx.AsyncClient) -> None:
    answer = await door.delete("/channels/a/messages")
    assert error(answer) == (405, 40500)
    assert answer.headers["allow"] == "GET, POST, HEAD, OPTIONS"
    assert error(await door.patch("/channels/a/messages/b")) == (405, 40500)


async def test_a_token_is_not_fetched_by_get(door: httpx.AsyncClient) -> None:
    """ably-js takes this address for one where nothing is."""
    assert error(await door.get("/keys/ablyjs.test/requestToken")) == (404, 40400)


@pytest.mark.parametrize("path", ["/channels/%ff/messages", "/channels/%00/messages"])
async def test_a_path_that_is_not_text_is_no_name(door: httpx.AsyncClient, path: str) -> None:
    assert error(await door.get(path)) == (400, 40010)


# -- formats --


@pytest.mark.parametrize(
    ("accept", "query", "expected"),
    [
        (None, "", "application/json"),
        ("*/*", "", "application/json"),
        ("application/json", "", "application/json"),
        (MSGPACK, "", MSGPACK),
        ("application/x-msgpack, application/json;q=0.5", "", MSGPACK),
        ("application/x-msgpack;q=0.5,application/json", "", "application/json"),
        ("application/json;q=0.1, application/x-msgpack;q=nonsense", "", MSGPACK),
        (f"{MSGPACK};q=0", "", "application/json"),
        ("text/html", "?format=msgpack", MSGPACK),
        ("*/*", "?format=msgpack", MSGPACK),
        ("application/json", "?format=msgpack", "application/json"),
        (MSGPACK, "?format=json", MSGPACK),
        ("*/*", "?format=html", "application/json"),
    ],
)
async def test_the_answers_format_is_negotiated(
    stranger: httpx.AsyncClient, accept: str | None, query: str, expected: str
) -> None:
    headers = {} if accept is None else {"Accept": accept}
    answer = await stranger.get(f"/time{query}", headers=headers)
    assert answer.headers["content-type"] == expected  # to the byte: no charset
    codec = msgspec.msgpack if expected == MSGPACK else msgspec.json
    assert isinstance(codec.decode(answer.content)[0], int)


async def test_errors_are_in_the_format_that_was_asked_for(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.get("/stats", headers={"Accept": MSGPACK})
    assert answer.headers["content-type"] == MSGPACK
    assert msgspec.msgpack.decode(answer.content)["error"]["code"] == 40101


async def test_any_version_of_the_protocol_is_taken(stranger: httpx.AsyncClient) -> None:
    for version in ("1.0", "1.2", "2", "5", "6", "150"):
        answer = await stranger.get("/time", headers={"X-Ably-Version": version})
        assert answer.status_code == 200


# -- envelopes --


async def test_an_envelope_holds_what_browsers_do_not_see(door: httpx.AsyncClient) -> None:
    for data in "ab":
        await door.post("/channels/a/messages", json={"data": data})
    answer = await door.get(
        "/channels/a/messages",
        params={"envelope": "json", "limit": "1", "rnd": "123"},
        headers={"Accept": MSGPACK},
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    content = answer.json()
    assert content["statusCode"] == 200
    assert [each["data"] for each in content["response"]] == ["b"]
    assert 'rel="next"' in content["headers"]["link"]


async def test_an_envelope_holds_errors_too(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.get("/stats?envelope=json")
    assert answer.status_code == 200
    content = answer.json()
    assert content["statusCode"] == 401
    assert content["response"]["error"]["code"] == 40101
    assert content["headers"]["x-ably-errorcode"] == "40101"


# -- other origins --


async def test_pages_of_other_origins_may_read_answers(door: httpx.AsyncClient) -> None:
    answer = await door.get("/channels/a/messages", headers={"Origin": "https://shop.example"})
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["vary"] == "Origin"
    exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
    assert {"link", "x-ably-errorcode", "x-ably-errormessage"} <= set(exposed)
    assert "access-control-allow-origin" not in (await door.get("/time")).headers


async def test_refusals_can_be_read_by_other_origins_too(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.get("/stats", headers={"Origin": "https://shop.example"})
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"


async def test_a_preflight_needs_no_credentials(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.options(
        "/channels/a/messages",
        headers={
            "Origin": "https://shop.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,x-ably-version,ably-agent",
        },
    )
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert answer.headers["access-control-allow-methods"] == "GET, POST"
    allowed = answer.headers["access-control-allow-headers"].split(", ")
    wanted = {"authorization", "x-ably-version", "ably-agent", "x-ably-clientid", "content-type"}
    assert wanted <= set(allowed)


# -- what goes wrong --


async def test_a_bug_is_logged_and_nothing_of_it_goes_out(
    door: httpx.AsyncClient,
    gateway: Gateway,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def occupancy(topic: str) -> None:
        raise RuntimeError("the inside of things")

    monkeypatch.setattr(gateway.hub, "occupancy", occupancy)
    with caplog.at_level(logging.ERROR):
        answer = await door.get("/channels/a")
    assert error(answer) == (500, 50000)
    assert "inside" not in answer.text
    assert "inside" in caplog.text


async def test_a_database_that_is_away_is_said_so(
    door: httpx.AsyncClient, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def occupancy(topic: str) -> None:
        raise Unavailable("Not now.")

    monkeypatch.setattr(gateway.hub, "occupancy", occupancy)
    answer = await door.get("/channels/a")
    assert error(answer) == (503, 50003)
    assert answer.headers["retry-after"] == "1"


async def test_nothing_of_a_client_gets_into_a_header_as_it_is(door: httpx.AsyncClient) -> None:
    answer = await door.get("/channels/%5Bx%0D%0ASet-Cookie:%20a=%C3%A4%5D/messages")
    status, code = error(answer)
    assert (status, code) == (400, 40010)
    assert re.fullmatch(r"[ -~]*", answer.headers["x-ably-errormessage"])
    assert "set-cookie" not in answer.headers


async def test_a_body_has_a_limit(door: httpx.AsyncClient) -> None:
    body = json.dumps({"data": "x" * (1 << 20)})
    headers = {"Content-Type": "application/json"}
    answer = await door.post("/channels/a/messages", content=body, headers=headers)
    assert error(answer) == (413, 40009)
    batch = json.dumps({"channels": "a", "messages": [{"data": "x"}]}) + " " * (3 << 19)
    assert (await door.post("/messages", content=batch, headers=headers)).status_code == 201
    answer = await door.post("/messages", content=batch + " " * (1 << 19), headers=headers)
    assert error(answer) == (413, 40009)


async def test_a_body_without_a_length_has_it_too(door: httpx.AsyncClient) -> None:
    async def endless() -> Any:
        for _ in range(30):
            yield b" " * 50_000
            await asyncio.sleep(0)

    answer = await door.post("/channels/a/messages", content=endless())
    assert error(answer) == (413, 40009)
