"""Who is let in: by a key, by a token, and until they are revoked."""

import asyncio
import base64
import json
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from ably import AblyRest

from pullse.errors import Unavailable
from pullse.gateway import auth, jobs, jwt, keys, revocations, tokens
from pullse.gateway.auth import Credentials, Identity, Keyring
from pullse.gateway.capability import EVERYTHING, Capability
from pullse.gateway.errors import Failure
from pullse.gateway.keys import DEV_KEY, TOKENS, DevKey
from pullse.gateway.revocations import Revocation, Revocations, Row
from pullse.gateway.tokens import HOUR
from pullse.kit.db import Database, open_database
from pullse.kit.events import SYSTEM
from pullse.kit.secret import Secret

SECRET = Secret("one-secret-of-more-than-32-characters")
RIGHTS = {"a:*": ["subscribe", "publish"], "b": ["history"]}


@pytest.fixture
def keyring(database: Database) -> Keyring:
    return Keyring(database, SECRET)


@pytest.fixture
async def key(database: Database) -> str:
    return await new_key(database)


@pytest.fixture
async def revocable(database: Database) -> str:
    return await new_key(database, is_revocable=True)


async def new_key(
    database: Database, rights: Any = RIGHTS, *, is_revocable: bool = False, app: str = "pullse"
) -> str:
    async with database.session() as db:
        name = await keys.create(db, Capability.parse(rights), is_revocable=is_revocable, app=app)
    return f"{name}:{SECRET.of_key(name)}"


def name_of(key: str) -> str:
    return key.partition(":")[0]


def signed(key: str, **claims: Any) -> str:
    """A JWT as a server makes it for its clients; None leaves a claim out."""
    name, _, secret = key.partition(":")
    now = int(time.time())
    given = {"iat": now, "exp": now + 600, **claims}
    kept = {name: value for name, value in given.items() if value is not None}
    return jwt.signed(kept, key_name=name, secret=secret)


async def by_token(keyring: Keyring, token: str, client_id: str | None = None) -> Identity:
    return await keyring.identify(Credentials(None, token, client_id))


async def by_key(keyring: Keyring, key: str, client_id: str | None = None) -> Identity:
    return await keyring.identify(Credentials(key, None, client_id))


async def code_of(awaited: Any) -> int:
    with pytest.raises(Failure) as refusal:
        await awaited
    return refusal.value.code


# What a request shows


def b64(text: str) -> bytes:
    return base64.b64encode(text.encode())


def read(headers: dict[bytes, bytes] | None = None, **query: str) -> Credentials:
    return Credentials.read(headers or {}, query)


@pytest.mark.parametrize(
    ("headers", "query", "found"),
    [
        ({}, {}, Credentials()),
        ({}, {"key": "a.b:c"}, Credentials("a.b:c")),
        ({}, {"accessToken": "x.y.z"}, Credentials(None, "x.y.z")),
        ({}, {"access_token": "x.y.z"}, Credentials(None, "x.y.z")),
        ({}, {"key": "a.b:c", "access_token": "x.y.z"}, Credentials(None, "x.y.z")),
        ({}, {"key": "a.b:c", "clientId": "ada"}, Credentials("a.b:c", None, "ada")),
        ({b"authorization": b"Basic " + b64("a.b:c")}, {}, Credentials("a.b:c")),
        ({b"authorization": b"basic  " + b64("a.b:c") + b" "}, {}, Credentials("a.b:c")),
        ({b"authorization": b"Basic " + b64("a.b:c").rstrip(b"=")}, {}, Credentials("a.b:c")),
        ({b"authorization": b"Bearer " + b64("x.y.z")}, {}, Credentials(None, "x.y.z")),
        ({b"authorization": b"Bearer x.y.z"}, {}, Credentials(None, "x.y.z")),
        ({b"authorization": b"Bearer x.y.z"}, {"key": "a.b:c"}, Credentials(None, "x.y.z")),
        (
            {b"authorization": b"Basic " + b64("a.b:c"), b"x-ably-clientid": b64("Zoë 🐘")},
            {},
            Credentials("a.b:c", None, "Zoë 🐘"),
        ),
        ({b"x-ably-clientid": b64("header")}, {"clientId": "q"}, Credentials(None, None, "q")),
    ],
)
def test_credentials_are_found(
    headers: dict[bytes, bytes], query: dict[str, str], found: Credentials
) -> None:
    assert read(headers, **query) == found


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({b"authorization": b"Basic a.b:c"}, 40101),
        ({b"authorization": b"Basic " + base64.b64encode(b"\xff\xfe")}, 40101),
        ({b"authorization": b"Basic " + b"QUFB" * 20_000}, 40101),
        ({b"authorization": b"Bearer invalid token"}, 40101),
        ({b"authorization": b"Digest username=x"}, 40101),
        ({b"x-ably-clientid": b"not base64!"}, 40012),
    ],
)
def test_what_are_no_credentials(headers: dict[bytes, bytes], code: int) -> None:
    with pytest.raises(Failure) as refusal:
        read(headers)
    assert refusal.value.code == code


def test_credentials_show_nothing_of_themselves() -> None:
    assert "hush" not in repr(Credentials("a.b:hush", "hush", "ada"))


async def test_nothing_opens_nothing(keyring: Keyring) -> None:
    assert await code_of(keyring.identify(Credentials())) == 40101


# Keys


async def test_a_key_opens_what_it_covers(keyring: Keyring, key: str) -> None:
    identity = await by_key(keyring, key)
    assert identity == Identity("pullse", name_of(key), Capability.parse(RIGHTS), "*")
    assert (identity.expires, identity.issued) == (None, None)
    assert identity.topic("a:b") == "a:b"


async def test_who_has_a_key_may_say_who_they_are(keyring: Keyring, key: str) -> None:
    assert (await by_key(keyring, key, "ada")).client_id == "ada"
    for wrong in ("*", "", "a\0b", "x" * 5000, "\ud800"):
        assert await code_of(by_key(keyring, key, wrong)) == 40012


async def test_nothing_but_the_very_key_opens(keyring: Keyring, key: str) -> None:
    name, _, secret = key.partition(":")
    other = "A" if secret[0] != "A" else "B"
    for wrong in (
        name,
        f"{name}:",
        f"{name}:{secret[:-1]}",
        f"{name}:{secret} ",
        f"{name}:{other}{secret[1:]}",
        f"{name}:é\ud800",
        f"{name.upper()}:{secret}",
        f"{name}\0:{secret}",
        f":{secret}",
        secret,
        "",
        "this.is:wrong",
        "js9de7r:08sdnuvfasd",
        f"pullse.nobody:{Secret('y' * 40).of_key('pullse.nobody')}",
    ):
        assert await code_of(by_key(keyring, wrong)) == 40101


async def test_a_key_that_was_never_made_does_not_open(keyring: Keyring) -> None:
    """Also for who knows the installation's secret."""
    name = "pullse.NeverMade"
    assert await code_of(by_key(keyring, f"{name}:{SECRET.of_key(name)}")) == 40101
    assert await code_of(by_token(keyring, signed(f"{name}:{SECRET.of_key(name)}"))) == 40144


async def test_a_key_of_another_installation_does_not_open(database: Database, key: str) -> None:
    elsewhere = Keyring(database, Secret("another-secret-of-more-than-32-characters"))
    assert await code_of(by_key(elsewhere, key)) == 40101
    assert await code_of(by_token(elsewhere, signed(key))) == 40144


async def test_the_key_of_dev_opens_dev_alone(database: Database) -> None:
    dev, serve = Keyring(database, SECRET, dev_key=DEV_KEY), Keyring(database, SECRET)
    assert (await by_key(dev, DEV_KEY.text)).capability == EVERYTHING
    assert (await by_token(dev, signed(DEV_KEY.text))).capability == EVERYTHING
    assert await code_of(by_key(serve, DEV_KEY.text)) == 40101
    assert await code_of(by_token(serve, signed(DEV_KEY.text))) == 40144
    derived = f"{DEV_KEY.name}:{SECRET.of_key(DEV_KEY.name)}"
    assert await code_of(by_key(serve, derived)) == 40101
    assert await code_of(by_key(dev, derived)) == 40101
    other = Keyring(database, SECRET, dev_key=DevKey("pullse.dev", "another"))
    assert await code_of(by_key(other, DEV_KEY.text)) == 40101


async def test_nobody_comes_in_by_our_own_key(keyring: Keyring) -> None:
    """Not even who knows its secret: it signs tokens, and opens nothing."""
    own = f"{TOKENS}:{SECRET.of_key(TOKENS)}"
    assert await code_of(by_key(keyring, own)) == 40101
    made = {"keyName": TOKENS, "timestamp": tokens.now(), "nonce": "n"}
    fields = [TOKENS, "", "", "", str(made["timestamp"]), "n"]
    made["mac"] = tokens.mac_of(fields, SECRET.of_key(TOKENS))
    assert await code_of(keyring.request_token(TOKENS, made, Credentials())) == 40101
    assert await code_of(keyring.request_token(TOKENS, {}, Credentials(own))) == 40101
    assert await code_of(
        keyring.revoke(TOKENS, {"targets": ["clientId:a"]}, Credentials(own), by=SYSTEM)
    )


async def test_strangers_cost_no_query_and_no_memory(database: Database, key: str) -> None:
    await database.pool.close()  # whatever asks it now fails
    keyring = Keyring(database, SECRET)
    for number in range(200):
        wrong = f"pullse.unknown{number}:{'x' * 43}"
        assert await code_of(by_key(keyring, wrong)) == 40101
        assert await code_of(by_token(keyring, signed(wrong))) == 40144
        asked = {"timestamp": tokens.now(), "nonce": "n", "mac": "x"}
        asking = keyring.request_token(f"pullse.unknown{number}", asked, Credentials())
        assert await code_of(asking) == 40101
    assert keyring._keys == {}
    with pytest.raises(Unavailable):
        await by_key(keyring, key)


async def test_a_key_is_asked_for_once(
    keyring: Keyring, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await by_key(keyring, key)

    async def find_many(*_: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(keys, "find_many", find_many)
    assert (await by_key(keyring, key)).key_name == name_of(key)


async def test_not_all_keys_are_remembered(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "KEYS_AT_MOST", 3)
    keyring = Keyring(database, SECRET)
    made = [await new_key(database) for _ in range(6)]
    for each in made * 2:
        assert (await by_key(keyring, each)).key_name == name_of(each)
    assert len(keyring._keys) == 3


# Apps


async def test_an_unknown_app_is_not_found(database: Database) -> None:
    keyring = Keyring(database, SECRET)
    assert await code_of(by_token(keyring, signed("invalid.invalid:secret"))) == 40400
    key = await new_key(database, app="other")
    sandbox = Keyring(database, SECRET, is_sandbox=True)
    assert await code_of(by_token(sandbox, signed("invalid.invalid:secret"))) == 40400
    assert await code_of(by_token(sandbox, signed(f"{name_of(key)}:wrong"))) == 40144
    assert await code_of(by_key(sandbox, f"{name_of(key)}:wrong")) == 40101


async def test_apps_share_no_channel(database: Database) -> None:
    one, two = [
        await by_key(Keyring(database, SECRET, is_sandbox=True), await new_key(database, app=app))
        for app in ("one", "two")
    ]
    assert one.app == "one"
    assert len({one.topic("a"), two.topic("a"), "a"}) == 3


# JWTs


async def test_a_jwt_gets_what_it_says_and_its_key_may(keyring: Keyring, key: str) -> None:
    claims = {
        "x-ably-capability": '{"a:*":["subscribe"],"x":["publish"]}',
        "x-ably-clientId": "ada",
        "x-ably-revocation-key": "group",
    }
    identity = await by_token(keyring, signed(key, **claims))
    assert identity.capability.text == '{"a:*":["subscribe"]}'
    assert (identity.client_id, identity.revocation_key) == ("ada", "group")
    assert identity.issued is not None
    assert identity.expires == identity.issued + 600_000
    whole = await by_token(keyring, signed(key))
    assert (whole.capability, whole.client_id) == (Capability.parse(RIGHTS), None)


async def test_a_jwt_never_gets_more_than_its_key(keyring: Keyring, key: str) -> None:
    for asked in ('{"*":["*"]}', '{"[*]*":["*"]}'):
        identity = await by_token(keyring, signed(key, **{"x-ably-capability": asked}))
        assert identity.capability == Capability.parse(RIGHTS)
    nothing = signed(key, **{"x-ably-capability": '{"c":["*"]}'})
    assert await code_of(by_token(keyring, nothing)) == 40160
    wrong = signed(key, **{"x-ably-capability": '{"a:*":["fly"]}'})
    assert await code_of(by_token(keyring, wrong)) == 40000


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"exp": 1}, 40142),
        ({"exp": None}, 40144),
        ({"iat": None}, 40144),
        ({"iat": 4_000_000_000}, 40144),
        ({"iat": 0}, 40003),
        ({"x-ably-clientId": ""}, 40012),
        ({"x-ably-revocation-key": 1}, 40144),
    ],
)
async def test_a_jwt_that_can_not_be_used(
    keyring: Keyring, key: str, claims: dict[str, Any], code: int
) -> None:
    assert await code_of(by_token(keyring, signed(key, **claims))) == code


async def test_how_long_a_jwt_may_last(keyring: Keyring, key: str, revocable: str) -> None:
    now = int(time.time())
    assert await by_token(keyring, signed(key, iat=now, exp=now + 86_400))
    assert await code_of(by_token(keyring, signed(key, iat=now, exp=now + 86_401))) == 40003
    assert await by_token(keyring, signed(revocable, iat=now, exp=now + 3600))
    assert await code_of(by_token(keyring, signed(revocable, iat=now, exp=now + 3601))) == 40003


async def test_whom_a_token_lets_somebody_be(keyring: Keyring, key: str) -> None:
    ada = signed(key, **{"x-ably-clientId": "ada"})
    anybody = signed(key, **{"x-ably-clientId": "*"})
    nobody = signed(key)
    assert (await by_token(keyring, ada)).client_id == "ada"
    assert (await by_token(keyring, ada, "ada")).client_id == "ada"
    assert await code_of(by_token(keyring, ada, "eve")) == 40102
    assert (await by_token(keyring, anybody)).client_id == "*"
    assert (await by_token(keyring, anybody, "eve")).client_id == "eve"
    assert (await by_token(keyring, nobody)).client_id is None
    assert await code_of(by_token(keyring, nobody, "eve")) == 40102
    for token in (ada, anybody, nobody):
        assert await code_of(by_token(keyring, token, "*")) == 40012


@pytest.mark.parametrize("token", ["", "x", "invalid token", "Sdnurv_some_invalid_token", "a.b"])
async def test_what_is_no_token(keyring: Keyring, token: str) -> None:
    assert await code_of(by_token(keyring, token)) == 40101


@pytest.mark.parametrize("kid", ["", "x", "pullse", "pullse.a.b", "pullse.\0", "a" * 200 + ".b"])
async def test_a_token_of_no_key(keyring: Keyring, kid: str) -> None:
    token = jwt.signed({}, key_name=kid, secret="")
    assert await code_of(by_token(keyring, token)) == 40144


async def test_a_token_in_another_systems_token(keyring: Keyring, key: str) -> None:
    inner = signed(key, **{"x-ably-clientId": "ada"})
    now = int(time.time())

    def outer(claims: dict[str, Any], name: str = "auth.example") -> str:
        return jwt.signed(claims, key_name=name, secret="not known here")

    identity = await by_token(keyring, outer({"x-ably-token": inner, "exp": now + 300}))
    assert (identity.key_name, identity.client_id) == (name_of(key), "ada")
    assert identity.expires == (now + 300) * 1000
    assert await by_token(keyring, outer({"x-ably-token": inner}))
    late = outer({"x-ably-token": inner, "exp": now + 3000})
    assert await code_of(by_token(keyring, late)) == 40144
    assert await code_of(by_token(keyring, outer({"x-ably-token": inner, "exp": now}))) == 40142
    forged = signed(f"{name_of(key)}:wrong")
    assert await code_of(by_token(keyring, outer({"x-ably-token": forged}))) == 40144
    twice = outer({"x-ably-token": outer({"x-ably-token": inner})})
    assert await code_of(by_token(keyring, twice)) in (40144, 40400)
    claims = {"x-ably-clientId": "eve", "x-ably-capability": '{"*":["*"]}', "x-ably-token": inner}
    assert (await by_token(keyring, outer(claims))).client_id == "ada"


# Tokens on request


async def asked_with(key: str, **params: Any) -> dict[str, Any]:
    """A token request, signed by ably-python."""
    async with AblyRest(key) as ably:
        return dict((await ably.auth.create_token_request(params)).to_dict())


async def granted(keyring: Keyring, key: str, **params: Any) -> dict[str, Any]:
    made = await asked_with(key, **params)
    return await keyring.request_token(name_of(key), made, Credentials())


async def test_a_signed_request_gets_a_token_that_opens(keyring: Keyring, key: str) -> None:
    before = tokens.now()
    found = await granted(
        keyring, key, capability={"a:*": ["subscribe", "history"]}, client_id="ada", ttl=5000
    )
    assert found["keyName"] == name_of(key)
    assert before <= found["issued"] <= tokens.now()
    assert found["expires"] == found["issued"] + 5000
    assert (found["capability"], found["clientId"]) == ('{"a:*":["subscribe"]}', "ada")
    identity = await by_token(keyring, found["token"])
    assert (identity.issued, identity.expires) == (found["issued"], found["expires"])
    assert (identity.capability.text, identity.client_id) == (found["capability"], "ada")


async def test_without_wishes_a_token_has_what_its_key_has(keyring: Keyring, key: str) -> None:
    found = await granted(keyring, key)
    assert found["capability"] == Capability.parse(RIGHTS).text
    assert found["expires"] == found["issued"] + HOUR
    assert "clientId" not in found


async def test_a_request_is_used_once(keyring: Keyring, key: str, database: Database) -> None:
    made = await asked_with(key, nonce="1234567890123456")
    at_once = [keyring.request_token(name_of(key), made, Credentials()) for _ in range(5)]
    outcomes = await asyncio.gather(*at_once, return_exceptions=True)
    assert len([each for each in outcomes if isinstance(each, dict)]) == 1
    refused = [each for each in outcomes if isinstance(each, Failure)]
    assert {(each.code, each.status) for each in refused} == {(40105, 401)}
    elsewhere = Keyring(database, SECRET)
    assert await code_of(elsewhere.request_token(name_of(key), made, Credentials())) == 40105
    later = await asked_with(key, nonce="1234567890123456", timestamp=made["timestamp"] + 1)
    assert await keyring.request_token(name_of(key), later, Credentials())
    other = await new_key(database)
    assert await granted(keyring, other, nonce="1234567890123456", timestamp=made["timestamp"])


async def test_a_refused_request_is_not_used_up(keyring: Keyring, key: str) -> None:
    made = await asked_with(key, ttl=48 * HOUR)
    for _ in range(2):
        assert await code_of(keyring.request_token(name_of(key), made, Credentials())) == 40003


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"timestamp": 1000}, 40104),
        ({"ttl": 365 * 24 * HOUR}, 40003),
        ({"ttl": -1}, 40003),
        ({"capability": {"a:x": ["publish_"]}}, 40000),
        ({"capability": {"a:x": ["*", "publish"]}}, 40000),
        ({"capability": {"a:x": []}}, 40000),
        ({"capability": {"b": ["subscribe"]}}, 40160),
        ({"capability": {"c": ["history"]}}, 40160),
        ({"mac": "thisisnotavalidmac"}, 40101),
    ],
)
async def test_requests_that_are_refused(
    keyring: Keyring, key: str, params: dict[str, Any], code: int
) -> None:
    assert await code_of(granted(keyring, key, **params)) == code


async def test_nobody_signs_for_another_key(keyring: Keyring, key: str, database: Database) -> None:
    other = await new_key(database, {"*": ["*"]})
    made = await asked_with(f"{name_of(other)}:{key.partition(':')[2]}")
    assert await code_of(keyring.request_token(name_of(other), made, Credentials())) == 40101
    made = await asked_with(key)
    assert await code_of(keyring.request_token(name_of(other), made, Credentials())) == 40101
    # Whoever shows another key along with a good signature gets what was signed.
    found = await keyring.request_token(name_of(key), made, Credentials(other))
    assert found["keyName"] == name_of(key)


async def test_an_unsigned_request_needs_its_key(
    keyring: Keyring, key: str, database: Database
) -> None:
    name, other = name_of(key), await new_key(database)
    found = await keyring.request_token(name, {"clientId": "ada"}, Credentials(key))
    assert found["clientId"] == "ada"
    assert await keyring.request_token(name, {"keyName": name, "mac": None}, Credentials(key))
    once = {"nonce": "n" * 16, "timestamp": tokens.now()}
    assert await keyring.request_token(name, once, Credentials(key))
    assert await code_of(keyring.request_token(name, once, Credentials(key))) == 40105
    token = signed(key)
    for wrong in (Credentials(), Credentials(other), Credentials(None, token), Credentials(name)):
        assert await code_of(keyring.request_token(name, {}, wrong)) == 40101


async def test_a_request_to_nobody(keyring: Keyring) -> None:
    made = {"timestamp": tokens.now(), "nonce": "n", "mac": "x"}
    for name, code in {"": 40400, "x": 40400, "other.key": 40400, "pullse.no": 40101}.items():
        assert await code_of(keyring.request_token(name, made, Credentials())) == code


async def test_what_pullse_gives_out_itself(keyring: Keyring, database: Database) -> None:
    rights = Capability.parse(RIGHTS)
    found = keyring.issue(rights, "owner", holder="owner", ttl=1000)
    identity = await by_token(Keyring(database, SECRET), found["token"])
    assert (identity.app, identity.key_name) == ("pullse", TOKENS)
    assert (identity.capability, identity.client_id) == (rights, "owner")
    assert identity.expires == found["issued"] + 1000
    for wrong in (0, 25 * HOUR):
        with pytest.raises(Failure, match="ttl"):
            keyring.issue(rights, "owner", holder="owner", ttl=wrong)
    with pytest.raises(Failure, match="clientId"):
        keyring.issue(rights, "", holder="owner")


# Revoking keys


async def test_a_revoked_key_opens_no_more(keyring: Keyring, key: str, database: Database) -> None:
    token = signed(key)
    alive = await by_key(keyring, key), await by_token(keyring, token)
    assert not any(map(keyring.revocation_of, alive))
    async with database.session() as db:
        assert await keys.revoke(db, name_of(key))

    assert await keyring.refresh()
    assert not await keyring.refresh()
    assert all(map(keyring.revocation_of, alive))
    assert await code_of(by_key(keyring, key)) == 40131
    assert await code_of(by_token(keyring, token)) == 40141
    assert await code_of(granted(keyring, key)) == 40131


async def test_a_revoked_key_is_known_everywhere_within_a_second(
    keyring: Keyring, key: str, database: Database
) -> None:
    """Also where nobody calls refresh."""
    await by_key(keyring, key)
    async with database.session() as db:
        await keys.revoke(db, name_of(key))
    await asyncio.sleep(1.05)
    assert await code_of(by_key(keyring, key)) == 40131


async def test_news_read_by_the_way_are_still_news(
    keyring: Keyring, key: str, database: Database
) -> None:
    """Else connections would live on because a request has looked just before."""
    other = await new_key(database)
    await keyring.refresh()
    async with database.session() as db:
        await keys.revoke(db, name_of(key))
    keyring._read_at -= 2
    await by_key(keyring, other)
    assert await keyring.refresh()


# Revoking tokens


async def revoke(keyring: Keyring, key: str, *targets: str, **more: Any) -> dict[str, Any]:
    body = {"targets": list(targets), **more}
    return await keyring.revoke(name_of(key), body, Credentials(key), by=SYSTEM)


async def test_tokens_of_a_client_are_revoked(
    keyring: Keyring, revocable: str, database: Database
) -> None:
    elsewhere = Keyring(database, SECRET)
    ada = (await granted(keyring, revocable, client_id="ada"))["token"]
    bob = (await granted(keyring, revocable, client_id="bob"))["token"]
    alive = {name: await by_token(keyring, each) for name, each in (("ada", ada), ("bob", bob))}
    await by_token(elsewhere, ada)
    await asyncio.sleep(0.002)
    before = tokens.now()

    outcome = await revoke(keyring, revocable, "clientId:ada")

    (done,) = outcome["results"]
    assert (outcome["successCount"], outcome["failureCount"]) == (1, 0)
    assert done["target"] == "clientId:ada"
    assert before <= done["issuedBefore"] == done["appliesAt"] <= tokens.now()
    assert keyring.revocation_of(alive["ada"])
    assert not keyring.revocation_of(alive["bob"])
    assert await code_of(by_token(keyring, ada)) == 40141
    assert await by_token(keyring, bob)
    assert await keyring.refresh()

    assert await elsewhere.refresh()
    assert await code_of(by_token(elsewhere, ada)) == 40141
    again = (await granted(keyring, revocable, client_id="ada"))["token"]
    assert await by_token(keyring, again)
    assert (await by_key(keyring, revocable, "ada")).client_id == "ada"


async def test_who_revoked_which_is_in_the_audit_trail(
    keyring: Keyring, revocable: str, database: Database
) -> None:
    targets = ["clientId:ada", "nonsense", *(f"channel:{number}" for number in range(12))]
    await revoke(keyring, revocable, *targets, "clientId:" + "é" * 900)
    await revoke(keyring, revocable, "nonsense")
    async with database.session() as db:
        ((name, actor, data),) = await db.rows("SELECT name, actor, data FROM audit")
    assert (name, actor) == ("key.tokens_revoked", f"key:{name_of(revocable)}")
    told = json.loads(data)
    assert (told["key"], told["count"]) == (name_of(revocable), 14)
    assert told["targets"] == ["clientId:ada", *(f"channel:{number}" for number in range(9))]


async def test_what_a_target_matches(keyring: Keyring, revocable: str) -> None:
    made = {
        "group": signed(revocable, **{"x-ably-revocation-key": "g"}),
        "channel": signed(revocable, **{"x-ably-capability": '{"a:b":["subscribe"]}'}),
        "pattern": signed(revocable, **{"x-ably-capability": '{"a:*":["subscribe"]}'}),
        "anybody": signed(revocable, **{"x-ably-clientId": "*"}),
    }

    async def gone() -> set[str]:
        asked = {
            name: by_token(keyring, token, "eve" if name == "anybody" else None)
            for name, token in made.items()
        }
        found = await asyncio.gather(*asked.values(), return_exceptions=True)
        refused = dict(zip(asked, found, strict=True))
        return {name for name, each in refused.items() if getattr(each, "code", 0) == 40141}

    await asyncio.sleep(0.002)
    await revoke(keyring, revocable, "channel:a:b:c", "revocationKey:other", "clientId:ada")
    assert await gone() == set()
    await revoke(keyring, revocable, "channel:a:b")
    assert await gone() == {"channel"}
    await revoke(keyring, revocable, "revocationKey:g")
    assert await gone() == {"channel", "group"}
    await revoke(keyring, revocable, "clientId:eve")
    assert await gone() == {"channel", "group", "anybody"}
    await revoke(keyring, revocable, "channel:a:*")
    assert await gone() == set(made)


async def test_a_wildcard_token_is_revoked_under_its_own_name_too(
    keyring: Keyring, revocable: str
) -> None:
    token = signed(revocable, **{"x-ably-clientId": "*"})
    identity = await by_token(keyring, token, "eve")
    await asyncio.sleep(0.002)
    await revoke(keyring, revocable, "clientId:*")
    assert keyring.revocation_of(identity)


async def test_a_margin_lets_clients_get_another_token(
    keyring: Keyring, revocable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = (await granted(keyring, revocable, client_id="ada"))["token"]
    identity = await by_token(keyring, token)
    await asyncio.sleep(0.002)
    at = tokens.now()
    outcome = await revoke(keyring, revocable, "clientId:ada", allowReauthMargin=True)
    assert at + 30_000 <= outcome["results"][0]["appliesAt"] <= tokens.now() + 30_000
    assert await keyring.refresh()
    assert await by_token(keyring, token)
    assert keyring.revocation_of(identity) is None
    assert keyring.is_to_renew(identity)
    assert not await keyring.refresh()

    later = tokens.now() + 31_000
    monkeypatch.setattr(tokens, "now", lambda: later)
    assert await keyring.refresh()
    assert keyring.revocation_of(identity)
    assert not keyring.is_to_renew(identity)
    assert await code_of(by_token(keyring, token)) == 40141


async def test_only_older_tokens_are_revoked(keyring: Keyring, revocable: str) -> None:
    token = signed(revocable, **{"x-ably-clientId": "ada"})
    before = tokens.now() - 20 * tokens.MINUTE
    outcome = await revoke(keyring, revocable, "clientId:ada", issuedBefore=before)
    assert outcome["results"][0]["issuedBefore"] == before
    assert await by_token(keyring, token)


async def test_targets_that_make_no_sense_are_refused_one_by_one(
    keyring: Keyring, revocable: str, database: Database
) -> None:
    wrong = [
        "invalidType:abc",
        "clientId",
        "clientId:",
        "",
        ":",
        "clientId:a\0",
        "channel:" + "x" * 3000,
    ]
    outcome = await revoke(keyring, revocable, "clientId:ada", *wrong, "channel:a")
    assert (outcome["successCount"], outcome["failureCount"]) == (2, len(wrong))
    assert [each["target"] for each in outcome["results"]] == ["clientId:ada", *wrong, "channel:a"]
    for each in outcome["results"][1:-1]:
        assert each["error"]["statusCode"] == 400
        assert "issuedBefore" not in each
    async with database.session() as db:
        assert await db.value("SELECT count(*) FROM realtime_revocations") == 2


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (None, 40000),
        ([], 40000),
        ({}, 40003),
        ({"targets": "clientId:a"}, 40003),
        ({"targets": []}, 40003),
        ({"targets": [1]}, 40003),
        ({"targets": ["clientId:a"] * 101}, 40003),
        ({"targets": ["clientId:a"], "issuedBefore": "soon"}, 40003),
        ({"targets": ["clientId:a"], "issuedBefore": 1000}, 40003),
        ({"targets": ["clientId:a"], "issuedBefore": 32_000_000_000_000}, 40003),
        ({"targets": ["clientId:a"], "allowReauthMargin": "yes"}, 40003),
    ],
)
async def test_revocations_that_are_refused(
    keyring: Keyring, revocable: str, body: Any, code: int
) -> None:
    assert (
        await code_of(keyring.revoke(name_of(revocable), body, Credentials(revocable), by=SYSTEM))
        == code
    )


async def test_who_may_revoke(keyring: Keyring, key: str, revocable: str) -> None:
    body = {"targets": ["clientId:ada"]}
    name = name_of(revocable)
    token = Credentials(None, signed(revocable))
    assert await code_of(keyring.revoke(name, body, token, by=SYSTEM)) == 40162
    assert await code_of(keyring.revoke(name, body, Credentials(key), by=SYSTEM)) == 40101
    assert await code_of(keyring.revoke(name, body, Credentials(), by=SYSTEM)) == 40101
    assert await code_of(keyring.revoke(name, body, Credentials(f"{name}:x"), by=SYSTEM)) == 40101
    assert await code_of(keyring.revoke(name_of(key), body, Credentials(key), by=SYSTEM)) == 40163


async def test_revocations_are_seen_in_whatever_order_they_are_written(
    keyring: Keyring, revocable: str, database: Database
) -> None:
    """One that was begun first and committed last must not be passed over."""
    wanted = revocations.Wanted(["clientId:slow"], tokens.now(), has_margin=False)
    slow = signed(revocable, iat=int(time.time()) - 5, **{"x-ably-clientId": "slow"})
    await keyring.refresh()
    async with database.transaction() as db:
        await revocations.add(db, name_of(revocable), wanted)
        fast = asyncio.create_task(revoke(keyring, revocable, "clientId:fast"))
        await asyncio.sleep(0.1)
        assert not fast.done()
        assert await by_token(keyring, slow)
    await fast
    assert await code_of(by_token(keyring, slow)) == 40141


async def test_another_process_starts_with_what_is_revoked(
    keyring: Keyring, revocable: str, database: Database
) -> None:
    token = (await granted(keyring, revocable, client_id="ada"))["token"]
    await asyncio.sleep(0.002)
    await revoke(keyring, revocable, "clientId:ada")
    assert await code_of(by_token(Keyring(database, SECRET), token)) == 40141


def row(id_: int, target: str, issued_before: int, at: int | None = None) -> Row:
    return Row(id_, "k", target, issued_before, at is not None, at or 0)


def test_revocations_do_not_pile_up() -> None:
    known = Revocations()
    for number in range(1, 100):
        known.add(row(number, "clientId:a", number))
    assert known.of("k", ["clientId:a"], 0) == [Revocation("clientId:a", 99, 0)]
    known.add(row(100, "clientId:a", 50))
    known.add(row(101, "clientId:a", 200, at=5))
    assert len(known.of("k", ["clientId:a"], 0)) == 2
    assert known.of("k", ["clientId:a"], 150) == [Revocation("clientId:a", 200, 30_005)]
    assert known.of("k", ["clientId:a"], 200) == []
    assert known.of("other", ["clientId:a"], 0) == []
    assert known.newest == 101
    assert known.falls_due(30_005)
    assert not known.falls_due(99_999)
    known.sweep(200 + 24 * HOUR)
    assert known.of("k", ["clientId:a"], 0) == []


# Housekeeping


async def test_what_is_old_is_forgotten(
    keyring: Keyring, revocable: str, database: Database
) -> None:
    await granted(keyring, revocable)
    await revoke(keyring, revocable, "clientId:a", "clientId:b")
    async with database.session() as db:
        counts = "SELECT (SELECT count(*) FROM realtime_nonces), count(*) FROM realtime_revocations"
        for job in jobs.jobs:
            await job.run(database)
        assert tuple((await db.rows(counts))[0]) == (1, 2)
        await db.run("UPDATE realtime_nonces SET at = now() - interval '11 minutes'")
        await db.run("UPDATE realtime_revocations SET at = now() - interval '26 hours'")
        for job in jobs.jobs:
            await job.run(database)
        assert tuple((await db.rows(counts))[0]) == (0, 0)
    assert {each.job for each in jobs.schedule} >= set(jobs.jobs)


@pytest.fixture
async def other_database(database_url: str) -> AsyncIterator[Database]:
    database = await open_database(database_url, size=2)
    yield database
    await database.close()


async def test_a_new_key_works_at_every_process_at_once(
    keyring: Keyring, database: Database, other_database: Database
) -> None:
    elsewhere = Keyring(other_database, SECRET)
    await elsewhere.refresh()
    key = await new_key(database)
    assert (await by_key(elsewhere, key)).key_name == name_of(key)
    assert (await by_key(keyring, key)).key_name == name_of(key)


async def test_nothing_secret_is_logged(
    keyring: Keyring, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret, token = key.partition(":")[2], signed(key)
    with caplog.at_level(logging.DEBUG):
        await by_key(keyring, key)
        await by_token(keyring, token)
        await code_of(by_key(keyring, key + "x"))
        await code_of(by_token(keyring, token[:-5] + "AAAAA"))
    assert secret not in caplog.text
    assert token not in caplog.text


async def test_no_failure_repeats_what_was_shown(keyring: Keyring, key: str) -> None:
    for credentials in (
        Credentials(key + "hush"),
        Credentials(None, "hush.hush.hush"),
        Credentials(None, "hush"),
        Credentials(None, signed(f"{name_of(key)}:hush")),
    ):
        with pytest.raises(Failure) as refusal:
            await keyring.identify(credentials)
        assert "hush" not in refusal.value.message
