"""Publishing by HTTP: shapes of body and answer, ids, clients, batches."""

import base64
import json
import random
import string
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest

from pullse.gateway import connections
from pullse.gateway.auth import Identity
from pullse.gateway.capability import EVERYTHING
from pullse.gateway.connections import Opened
from pullse.gateway.service import Gateway
from tests.gateway.conftest import Tokens
from tests.gateway.test_rest_door import bearer, error

JSON, MSGPACK = "application/json", "application/x-msgpack"
PATH = "/channels/a/messages"


async def said(client: httpx.AsyncClient, path: str = PATH) -> list[dict[str, Any]]:
    """What is on the channel, the first first."""
    answer = await client.get(path, params={"direction": "forwards"})
    found: list[dict[str, Any]] = answer.json()
    return found


def packed(content: Any, **headers: str) -> dict[str, Any]:
    body = msgspec.msgpack.encode(content)
    return {"content": body, "headers": {"Content-Type": MSGPACK, **headers}}


# -- one channel --


async def test_one_message(door: httpx.AsyncClient) -> None:
    answer = await door.post(PATH, json={"name": "greeting", "data": "hello"})
    assert answer.status_code == 201
    receipt = answer.json()
    (message,) = await said(door)
    assert receipt == {
        "channel": "a",
        "messageId": message["id"].partition(":")[0],
        "serials": [message["serial"]],
    }
    assert (message["name"], message["data"], message["action"]) == ("greeting", "hello", 0)
    assert message["version"] == {"serial": message["serial"], "timestamp": message["timestamp"]}


async def test_several_messages_are_one_publish(door: httpx.AsyncClient) -> None:
    answer = await door.post(PATH, json=[{"data": "one"}, {"data": "two"}])
    base, serials = answer.json()["messageId"], answer.json()["serials"]
    one, two = await said(door)
    assert (one["id"], two["id"]) == (f"{base}:0", f"{base}:1")
    assert [one["serial"], two["serial"]] == serials == sorted(serials)


async def test_messagepack_both_ways(door: httpx.AsyncClient) -> None:
    sent = {"name": "bytes", "data": b"\xde\xad\xbe\xef", "extras": {"headers": {"a": 1}}}
    answer = await door.post(PATH, **packed(sent, Accept=MSGPACK))
    assert answer.status_code == 201
    assert answer.headers["content-type"] == MSGPACK
    assert msgspec.msgpack.decode(answer.content)["channel"] == "a"

    (as_json,) = await said(door)
    assert (as_json["data"], as_json["encoding"]) == ("3q2+7w==", "base64")
    answer = await door.get(PATH, headers={"Accept": MSGPACK})
    (message,) = msgspec.msgpack.decode(answer.content)
    assert (message["data"], message.get("encoding")) == (b"\xde\xad\xbe\xef", None)
    assert message["extras"] == {"headers": {"a": 1}}


async def test_base64_in_json_is_bytes_in_messagepack(door: httpx.AsyncClient) -> None:
    secret = {"data": "3q2+7w==", "encoding": "utf-8/cipher+aes-128-cbc/base64"}
    await door.post(PATH, json=secret)
    answer = await door.get(PATH, headers={"Accept": MSGPACK})
    (message,) = msgspec.msgpack.decode(answer.content)
    assert message["data"] == b"\xde\xad\xbe\xef"
    assert message["encoding"] == "utf-8/cipher+aes-128-cbc"
    (as_json,) = await said(door)
    assert (as_json["data"], as_json["encoding"]) == (secret["data"], secret["encoding"])


async def test_objects_become_text(door: httpx.AsyncClient) -> None:
    await door.post(PATH, json=[{"data": {"a": [1, 2]}}, {"data": [1, "x"]}, {}])
    first, second, third = await said(door)
    assert (json.loads(first["data"]), first["encoding"]) == ({"a": [1, 2]}, "json")
    assert (json.loads(second["data"]), second["encoding"]) == ([1, "x"], "json")
    assert "data" not in third
    assert "name" not in third


async def test_a_form_is_read_as_curl_sends_it(door: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body = "name=greeting&data=gr%C3%BC%C3%9Fe+euch"
    assert (await door.post(PATH, content=body, headers=headers)).status_code == 201
    assert (await door.post(PATH, content='{"data":"json"}', headers=headers)).status_code == 201
    form, text = await said(door)
    assert (form["name"], form["data"], text["data"]) == ("greeting", "grüße euch", "json")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("", 40001),
        ("{", 40001),
        ("null", 40001),
        ('"text"', 40001),
        ("[[]]", 40001),
        ("[]", 40000),
        ('{"data":5}', 40013),
        ('{"data":true}', 40013),
        ('{"name":5}', 40001),
        ('{"data":"%","encoding":"base64"}', 40013),
        ('{"data":"x","clientId":""}', 40012),
        ('{"data":"x","clientId":"*"}', 40012),
        ('{"data":"x","id":""}', 40031),
        ('[{"id":"a:0"},{"id":"b:1"}]', 40031),
        ('[{"id":"a:0"},{}]', 40031),
        ('{"data":"\\ud800"}', 40001),
        ('{"data":"x","connectionKey":"abc!def"}', 40006),
        ('{"data":"x","connectionKey":"\\u0000!def"}', 40006),
        ('[{"connectionKey":"a!b"},{"connectionKey":"c!d"}]', 40006),
    ],
)
async def test_bodies_that_are_refused(door: httpx.AsyncClient, sent: str, code: int) -> None:
    answer = await door.post(PATH, content=sent, headers={"Content-Type": JSON})
    assert error(answer) == (400, code)
    assert await said(door) == []


async def test_more_than_64_kib_is_refused(door: httpx.AsyncClient) -> None:
    assert (await door.post(PATH, json={"data": "x" * 65_536})).status_code == 201
    assert error(await door.post(PATH, json={"data": "x" * 65_537})) == (400, 40009)


async def test_a_publish_can_be_made_to_fail(door: httpx.AsyncClient) -> None:
    answer = await door.post(f"{PATH}?_forceNack=true", json={"data": "x"})
    assert error(answer) == (400, 40099)
    assert await said(door) == []


async def test_the_same_id_is_published_once(door: httpx.AsyncClient) -> None:
    first = await door.post(PATH, json={"id": "mine", "data": "one"})
    again = await door.post(PATH, json={"id": "mine", "data": "two"})
    assert first.json() == again.json()
    assert first.json()["messageId"] == "mine"
    assert [each["data"] for each in await said(door)] == ["one"]


async def test_names_of_channels_are_decoded_once(door: httpx.AsyncClient) -> None:
    for encoded in ("a%2Fb", "a%252Fb", "a%20b", "a+b", "%E2%98%83", "a%3Fb", "a%2C%23"):
        answer = await door.post(f"/channels/{encoded}/messages", json={"data": encoded})
        assert answer.status_code == 201
        (message,) = await said(door, f"/channels/{encoded}/messages")
        assert message["data"] == encoded
    names = [
        (await door.post(f"/channels/{each}/messages", json={})).json()["channel"]
        for each in ("a%2Fb", "a%252Fb", "a%20b", "a+b", "%E2%98%83")
    ]
    assert names == ["a/b", "a%2Fb", "a b", "a+b", "☃"]


async def test_ably_python_writes_a_blank_as_plus(door: httpx.AsyncClient) -> None:
    agent = {"Ably-Agent": "ably-python/3.1.4 python/3.11"}
    answer = await door.post("/channels/a+b%2Bc/messages", json={}, headers=agent)
    assert answer.json()["channel"] == "a b+c"


@pytest.mark.parametrize("channel", ["tickets-updates", "tickets-activity", "[meta]x", ":a", ""])
async def test_channels_on_which_nobody_publishes(door: httpx.AsyncClient, channel: str) -> None:
    answer = await door.post(f"/channels/{channel}/messages", json={"data": "x"})
    assert answer.status_code in (400, 401)


# -- as whom --


async def test_a_token_s_client_is_stamped(stranger: httpx.AsyncClient, token: Tokens) -> None:
    headers = bearer(token(client_id="ada"))
    await stranger.post(PATH, json={"data": "x"}, headers=headers)
    await stranger.post(PATH, json={"data": "x", "clientId": "ada"}, headers=headers)
    answer = await stranger.post(PATH, json={"data": "x", "clientId": "bob"}, headers=headers)
    assert error(answer) == (400, 40012)
    stranger.headers.update(headers)
    assert [each["clientId"] for each in await said(stranger)] == ["ada", "ada"]


async def test_who_may_be_anybody_says_who(stranger: httpx.AsyncClient, token: Tokens) -> None:
    stranger.headers.update(bearer(token(client_id="*")))
    await stranger.post(PATH, json=[{"data": "x", "clientId": "ada"}, {"data": "y"}])
    assert [each.get("clientId") for each in await said(stranger)] == ["ada", None]


async def test_who_is_nobody_stays_so(stranger: httpx.AsyncClient, token: Tokens) -> None:
    stranger.headers.update(bearer(token()))
    answer = await stranger.post(PATH, json={"data": "x", "clientId": "ada"})
    assert error(answer) == (400, 40012)


async def test_a_key_s_client_is_in_a_header(door: httpx.AsyncClient) -> None:
    name = base64.b64encode("ädä".encode()).decode()
    await door.post(PATH, json={"data": "x"}, headers={"X-Ably-ClientId": name})
    assert [each["clientId"] for each in await said(door)] == ["ädä"]


async def test_on_behalf_of_a_connection(door: httpx.AsyncClient, gateway: Gateway) -> None:
    identity = Identity("pullse", "pullse.dev", EVERYTHING, "ada")
    opened = Opened("abc", gateway.hub.process, connections.hashed("secret"), identity, 15_000)
    async with gateway.database.session() as db:
        await connections.open_all(db, [opened])
    answer = await door.post(PATH, json={"data": "x", "connectionKey": "abc!secret"})
    assert answer.status_code == 201
    (message,) = await said(door)
    assert (message["connectionId"], message["clientId"]) == ("abc", "ada")
    answer = await door.post(PATH, json={"data": "x", "connectionKey": "abc!other"})
    assert error(answer) == (400, 40006)


# -- the body as it is --


@pytest.mark.parametrize(
    ("kind", "body", "data", "encoding"),
    [
        ("text/plain", b"some text \xe2\x98\x83", "some text ☃", None),
        ("application/json", b'{"a":1}', '{"a":1}', "json"),
        ("application/octet-stream", b"\xde\xad", "3q0=", "base64"),
        ("text/plain; charset=utf-8", b"", "", None),
    ],
)
async def test_an_unenveloped_body(
    door: httpx.AsyncClient, kind: str, body: bytes, data: str, encoding: str | None
) -> None:
    headers = {"Content-Type": kind}
    answer = await door.post(f"{PATH}?enveloped=false", content=body, headers=headers)
    assert answer.status_code == 201
    (message,) = await said(door)
    assert (message.get("data", ""), message.get("encoding")) == (data, encoding)


async def test_an_unenveloped_body_has_the_rest_in_headers(door: httpx.AsyncClient) -> None:
    headers = {
        "Content-Type": "text/plain",
        "X-Ably-Name": "greeting",
        "X-Ably-MessageId": "mine",
        "X-Ably-ClientId": base64.b64encode(b"ada").decode(),
        "X-Ably-Encoding": "utf-8",
    }
    await door.post(f"{PATH}?enveloped=false", content=b"x", headers=headers)
    (message,) = await said(door)
    found = {name: message[name] for name in ("id", "name", "clientId", "encoding", "data")}
    assert found == {
        "id": "mine",
        "name": "greeting",
        "clientId": "ada",
        "encoding": "utf-8",
        "data": "x",
    }


async def test_or_in_parameters(door: httpx.AsyncClient) -> None:
    params = {"enveloped": "false", "name": "greeting", "messageId": "mine", "clientId": "ada"}
    await door.post(PATH, content=b"x", params=params)
    (message,) = await said(door)
    assert (message["id"], message["name"], message["clientId"]) == ("mine", "greeting", "ada")


async def test_text_that_is_none_is_refused(door: httpx.AsyncClient) -> None:
    answer = await door.post(
        f"{PATH}?enveloped=false", content=b"\xff", headers={"Content-Type": "text/plain"}
    )
    assert error(answer) == (400, 40013)


# -- many channels --


SPECS = [
    {"channels": ["a", "no"], "messages": [{"data": "1"}, {"data": "2"}]},
    {"channels": "b", "messages": {"data": "3"}},
]


async def test_a_batch_says_for_each_channel_what_became_of_it(
    stranger: httpx.AsyncClient, token: Tokens
) -> None:
    stranger.headers.update(bearer(token({"a": ["*"], "b": ["*"]})))
    answer = await stranger.post("/messages", json=SPECS)
    assert answer.status_code == 201
    first, second = answer.json()
    assert (first["successCount"], first["failureCount"]) == (1, 1)
    done, refused = first["results"]
    assert (done["channel"], len(done["serials"])) == ("a", 2)
    assert refused["channel"] == "no"
    assert (refused["error"]["code"], refused["error"]["statusCode"]) == (40160, 401)
    assert (second["successCount"], second["results"][0]["channel"]) == (1, "b")
    assert [each["data"] for each in await said(stranger)] == ["1", "2"]


async def test_a_single_spec_is_a_batch_of_one(door: httpx.AsyncClient) -> None:
    (result,) = (await door.post("/messages", json=SPECS[0])).json()
    assert (result["successCount"], result["failureCount"]) == (2, 0)


async def test_version_2_has_a_flat_list(door: httpx.AsyncClient) -> None:
    answer = await door.post("/messages", json=SPECS, headers={"X-Ably-Version": "2"})
    assert answer.status_code == 201
    assert [each["channel"] for each in answer.json()] == ["a", "no", "b"]


@pytest.mark.parametrize("version", ["2", "1.2"])
async def test_version_2_has_an_error_for_part_of_it(
    stranger: httpx.AsyncClient, token: Tokens, version: str
) -> None:
    stranger.headers.update(bearer(token({"a": ["*"], "b": ["*"]})))
    answer = await stranger.post("/messages", json=SPECS, headers={"X-Ably-Version": version})
    assert error(answer) == (400, 40020)
    done, refused, other = answer.json()["batchResponse"]
    assert (done["channel"], other["channel"]) == ("a", "b")
    assert refused["error"]["code"] == 40160
    assert [each["data"] for each in await said(stranger)] == ["1", "2"]


@pytest.mark.parametrize(
    "batch",
    [
        {},
        {"channels": 5, "messages": {}},
        {"channels": "a"},
        {"channels": "a", "messages": []},
        {"channels": "a", "messages": [{}] * 1001},
        {"channels": [f"c{n}" for n in range(101)], "messages": {}},
        [{"channels": [f"c{n}" for n in range(60)], "messages": {}}] * 2,
    ],
)
async def test_a_batch_that_makes_no_sense(door: httpx.AsyncClient, batch: Any) -> None:
    assert error(await door.post("/messages", json=batch))[0] == 400


async def test_a_version_that_is_none_is_refused(door: httpx.AsyncClient) -> None:
    answer = await door.post("/messages", json=SPECS, headers={"X-Ably-Version": "new"})
    assert error(answer) == (400, 40003)


async def test_a_batch_keeps_the_order_of_its_specs(door: httpx.AsyncClient) -> None:
    specs = [{"channels": "a", "messages": {"data": str(n)}} for n in range(30)]
    await door.post("/messages", json=specs)
    assert [each["data"] for each in await said(door)] == [str(n) for n in range(30)]


# -- what can't be kept --


@pytest.mark.parametrize(
    "extras",
    [{"a": 10**30}, {"a": -(10**30)}, {"a": [msgspec.msgpack.Ext(5, b"x")]}, {"a": {None: 1}}],
)
async def test_extras_that_the_other_format_can_t_say(
    door: httpx.AsyncClient, extras: dict[str, Any]
) -> None:
    try:
        sent = packed({"extras": extras})
    except OverflowError:
        sent = {"content": json.dumps({"extras": extras}), "headers": {"Content-Type": JSON}}
    assert error(await door.post(PATH, **sent)) == (400, 40032)


async def test_names_are_as_long_as_an_index_bears(door: httpx.AsyncClient) -> None:
    dice = random.Random(1)
    long = "".join(dice.choice(string.ascii_letters) for _ in range(1024))
    wide = "".join(chr(dice.randrange(0x4E00, 0x9FFF)) for _ in range(341))
    for name in (long, wide):
        answer = await door.post(f"/channels/{quote(name)}/messages", json={"id": name})
        assert answer.status_code == 201
        answer = await door.post(f"/channels/{quote(name)}xx/messages", json={"id": name})
        assert error(answer) == (400, 40010)
        assert error(await door.post(PATH, json={"id": name + "xx"})) == (400, 40031)
        assert error(await door.post(PATH, json={"clientId": name + "xx"})) == (400, 40012)
