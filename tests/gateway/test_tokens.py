"""Tokens: signatures made elsewhere are found right, and nothing but them is."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from ably import AblyRest
from hypothesis import given
from hypothesis import strategies as st

from pullse.gateway import jwt, tokens
from pullse.gateway.capability import EVERYTHING, Capability
from pullse.gateway.errors import Failure
from pullse.gateway.jwt import Jwt
from pullse.gateway.tokens import HOUR, Claims, TokenRequest

NAME, SECRET = "pullse.js", "s" * 43
AT = 1_790_000_000_000

BY_ABLY_JS: list[dict[str, Any]] = [
    {
        "keyName": "pullse.js",
        "timestamp": 1795373349709,
        "nonce": "2123193913337928",
        "mac": "C5iMxN/uGoWoK7Hh0p6/9QUQHAuCUfyHCKJAfPmvrIM=",
    },
    {
        "keyName": "pullse.js",
        "ttl": 1800000,
        "clientId": "ada",
        "capability": '{"a":["*"],"b:*":["publish","subscribe"]}',
        "timestamp": 1795373349709,
        "nonce": "9330729045106276",
        "mac": "9GWS0J1wYF3ZLcUejYp5XU5AZIxp3Wvp2FBvVP+Ti1g=",
    },
    {
        "keyName": "pullse.js",
        "capability": '{"ticket:*":["presence","subscribe"]}',
        "clientId": "*",
        "nonce": "a-nonce-of-16-chars",
        "timestamp": 1790000000000,
        "mac": "7r1YU+yoQKBOv22LlBSouMm8tKxc8iP8mLf34tFQJ0M=",
    },
    {
        "keyName": "pullse.js",
        "clientId": "Zoë 🐘",
        "ttl": "60000",
        "timestamp": 1795373349709,
        "nonce": "9823838639906898",
        "mac": "kNEHiyb3lDMZmWO3qUCWJKCyrPKYtpsGmpvNJMwNtxM=",
    },
    {
        "keyName": "pullse.js",
        "ttl": 0,
        "timestamp": 1795373349709,
        "nonce": "0517016763843058",
        "mac": "g9E9NI+R65lnlwRAmrpqZEBwXmYHe3iNA1i707HvG/k=",
    },
]
"""What ably-js 2.28 made with createTokenRequest and this key."""


def refused(code: int, run: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(Failure) as refusal:
        run(*args, **kwargs)
    assert refusal.value.code == code, refusal.value
    return refusal.value.message


def request(**fields: Any) -> TokenRequest:
    return TokenRequest.read(NAME, {"keyName": NAME, "timestamp": AT, **fields})


# Token requests


@pytest.mark.parametrize("made", BY_ABLY_JS)
def test_signatures_of_ably_js_are_right(made: dict[str, Any]) -> None:
    assert TokenRequest.read(NAME, made).is_signed_with(SECRET)
    for field, other in {
        "ttl": 5,
        "capability": '{"a":["publish"]}',
        "clientId": "eve",
        "timestamp": AT + 1,
        "nonce": "another",
        "mac": made["mac"][:-2] + "A=",
    }.items():
        assert not TokenRequest.read(NAME, {**made, field: other}).is_signed_with(SECRET)
    assert not TokenRequest.read(NAME, made).is_signed_with("t" * 43)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"ttl": 60_000, "client_id": "ada"},
        {"capability": {"b:*": ["subscribe", "publish"], "a": ["*"]}},
        {"capability": '{"a": ["*"]}', "client_id": "Zoë 🐘", "nonce": "n" * 16, "timestamp": AT},
    ],
)
async def test_signatures_of_ably_python_are_right(params: dict[str, Any]) -> None:
    """It writes its capability with spaces, and signs it like that."""
    async with AblyRest(f"{NAME}:{SECRET}") as ably:
        made = (await ably.auth.create_token_request(params)).to_dict()
    read = TokenRequest.read(NAME, made)
    assert read.is_signed_with(SECRET)
    assert not read.is_signed_with("t" * 43)
    assert not TokenRequest.read(NAME, {**made, "clientId": "eve"}).is_signed_with(SECRET)


def test_fields_can_not_be_moved_into_one_another() -> None:
    """Which is what the newline between them is for."""
    fields = {"clientId": "ada", "nonce": "once"}
    mac = tokens.mac_of([NAME, "", "", "ada", str(AT), "once"], SECRET)
    assert request(**fields, mac=mac).is_signed_with(SECRET)
    assert not request(clientId="adaonce", nonce="", mac=mac).is_signed_with(SECRET)


@pytest.mark.parametrize("mac", ["", "x", "é", "\ud800", None])
def test_no_signature_is_not_a_right_one(mac: str | None) -> None:
    assert not request(mac=mac).is_signed_with(SECRET)


@pytest.mark.parametrize("given", [None, [], "x", 1])
def test_a_request_is_an_object(given: object) -> None:
    refused(40000, TokenRequest.read, NAME, given)


@pytest.mark.parametrize("fields", [{"keyName": "pullse.other"}, {"keyName": 1}, {"mac": 5}])
def test_a_request_is_for_the_key_that_it_is_sent_to(fields: dict[str, Any]) -> None:
    refused(40101, request, **fields)


def test_fields_of_other_kinds_are_not_signed() -> None:
    for wrong in ([1], {"a": 1}, True, 1.5):
        refused(40000, request(ttl=wrong, mac="x").is_signed_with, SECRET)


def test_a_request_is_good_for_two_minutes_around_its_time() -> None:
    for stamp in (AT, AT - 120_000, AT + 120_000, str(AT), float(AT)):
        assert request(timestamp=stamp, mac="x").stamp(AT) == int(stamp)
    for stamp in (AT - 120_001, AT + 120_001, 0, -AT, 10**40, None, ""):
        refused(40104, request(timestamp=stamp, mac="x").stamp, AT)
    for wrong in ("now", "1e12", [AT], True, 0.5):
        refused(40003, request(timestamp=wrong, mac="x").stamp, AT)
    assert request(timestamp=None).stamp(AT) == AT


def test_how_long_a_token_lasts() -> None:
    def lasts(ttl: object, *, is_revocable: bool = False) -> int:
        return request(ttl=ttl).milliseconds(is_revocable=is_revocable)

    assert lasts(None) == lasts("") == HOUR
    assert lasts(1) == 1
    assert lasts("5000") == 5000
    assert lasts(5000.0) == 5000
    assert lasts(24 * HOUR) == 24 * HOUR
    assert lasts(HOUR, is_revocable=True) == HOUR
    for wrong in (0, -1, 24 * HOUR + 1, 365 * 24 * HOUR, "-1", "notanumber", "1.5", 1.5, True, []):
        refused(40003, lasts, wrong)
    assert "1 h" in refused(40003, lasts, HOUR + 1, is_revocable=True)


def test_a_signed_request_has_a_nonce() -> None:
    assert request(nonce="n", mac="x").once() == "n"
    assert request().once() is None
    refused(40003, request(mac="x").once)
    for wrong in ("\0", "n" * 501, 5, "\ud800"):
        refused(40003, request(nonce=wrong).once)


def test_whom_a_token_is_for() -> None:
    assert request().client() is None
    assert request(clientId="*").client() == "*"
    assert request(clientId="Zoë 🐘").client() == "Zoë 🐘"
    for wrong in ("", "a\0b", "x" * 3000, 5, ["ada"], "\ud800"):
        refused(40012, request(clientId=wrong).client)


def test_what_a_token_covers() -> None:
    key = Capability.parse({"a": ["subscribe", "publish"]})
    assert request().rights(key) == key
    assert request(capability="").rights(key) == key
    assert request(capability='{"*":["subscribe"]}').rights(key).text == '{"a":["subscribe"]}'
    assert request(capability='{"b":["*"]}').rights(key).is_empty
    refused(40000, request(capability='{"a":["publish_"]}').rights, key)


def test_a_request_for_ably_is_signed_as_its_own_are() -> None:
    rights = Capability.parse({"a": ["subscribe"]})
    made = tokens.request_for(f"{NAME}:{SECRET}", rights, "ada", at=AT, ttl=5000)
    read = TokenRequest.read(NAME, made)
    assert read.is_signed_with(SECRET)
    assert (read.client(), read.capability, read.ttl) == ("ada", rights.text, 5000)
    assert len(made["nonce"]) >= 16
    shorter = tokens.request_for(f"{NAME}:{SECRET}", rights, None, at=AT)
    assert set(shorter) == {"keyName", "capability", "timestamp", "nonce", "mac"}
    assert TokenRequest.read(NAME, shorter).is_signed_with(SECRET)


# JWTs


def b64(data: bytes | dict[str, Any]) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(
    claims: dict[str, Any] | bytes, secret: str = SECRET, header: dict[str, Any] | None = None
) -> str:
    """Made without any of the code under test."""
    header = {"alg": "HS256", "typ": "JWT", "kid": NAME} if header is None else header
    text = f"{b64(header)}.{b64(claims)}"
    digest = hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()
    return f"{text}.{b64(digest)}"


CLAIMS = {"iat": AT // 1000, "exp": AT // 1000 + 3600}


def test_the_example_of_the_standard_is_right() -> None:
    """RFC 7515, appendix A.1; its key is bytes, which are ours as text only by their HMAC."""
    token = (
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
        ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290"
        "Ijp0cnVlfQ"
        ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    )
    key = jwt.decoded(
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
    )
    parsed = Jwt.parse(token)
    assert hmac.digest(key, parsed._signed, "sha256") == parsed._signature
    assert parsed.header == {"typ": "JWT", "alg": "HS256"}


def test_a_token_is_read_only_with_its_secret() -> None:
    parsed = Jwt.parse(signed(CLAIMS))
    assert parsed.key_name == NAME
    assert parsed.verified(SECRET) == CLAIMS
    assert parsed.verified("t" * 43) is None
    assert parsed.verified("") is None
    assert str(CLAIMS["exp"]) not in repr(parsed)


def test_any_change_makes_it_void() -> None:
    token = signed(CLAIMS)
    head, body, signature = token.split(".")
    more = b64({**CLAIMS, "x-ably-capability": '{"*":["*"]}'})
    longer = b64({**CLAIMS, "exp": CLAIMS["exp"] + 1})
    for changed in (
        f"{head}.{more}.{signature}",
        f"{head}.{longer}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}.{signature[:-4]}",
        f"{head}.{body}.{signature[:20]}{'A' if signature[20] != 'A' else 'B'}{signature[21:]}",
    ):
        assert Jwt.parse(changed).verified(SECRET) is None


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "HS384", "HS512", "RS256", "hs256", "", None]
)
def test_no_other_algorithm_is_taken(algorithm: str | None) -> None:
    """Whatever it was signed with: `none` least of all."""
    header = {"alg": algorithm, "kid": NAME}
    for token in (
        signed(CLAIMS, header=header),
        signed(CLAIMS, header=header).rpartition(".")[0] + ".",
    ):
        assert "HS256" in refused(40144, Jwt.parse(token).verified, SECRET)


def test_unknown_extensions_are_not_passed_over() -> None:
    token = signed(CLAIMS, header={"alg": "HS256", "kid": NAME, "crit": ["b64"], "b64": False})
    refused(40144, Jwt.parse(token).verified, SECRET)


@pytest.mark.parametrize("kid", [None, 1, ["pullse.js"], {"a": 1}])
def test_a_name_is_a_text(kid: object) -> None:
    assert Jwt.parse(signed(CLAIMS, header={"alg": "HS256", "kid": kid})).key_name is None


@pytest.mark.parametrize(
    "token", ["", "x", "a.b", "a.b.c.d", "Sdnurv_some_invalid_token", "a.b.ä", "....."]
)
def test_what_is_no_jwt_is_a_wrong_credential(token: str) -> None:
    refused(40101, Jwt.parse, token)


@pytest.mark.parametrize(
    "token",
    [
        "..",
        "a.b.c",
        "!!.e30.e30",
        "e30.e30.!!",
        "e30.e3 0.e30",
        f"{b64(b'[]')}.e30.e30",
        f"{b64(b'1')}.e30.e30",
        f"{b64(b'{')}.e30.e30",
        f"{b64(bytes([255, 254]))}.e30.e30",
        f"{b64(b'[' * 3000)}.e30.e30",
        "e30.e30." + "A" * 17_000,
    ],
)
def test_a_broken_jwt_is_told_as_such(token: str) -> None:
    refused(40144, Jwt.parse, token)


def test_claims_are_an_object() -> None:
    refused(40144, Jwt.parse(signed(b"[1]")).verified, SECRET)
    refused(40144, Jwt.parse(signed(b"nonsense")).verified, SECRET)


def test_servers_without_a_library_for_base64_are_understood() -> None:
    """Ably's own example in PHP has the other alphabet, and padding."""
    claims = {**CLAIMS, "x-ably-clientId": "~~~???>>>"}
    parts = [json.dumps(each).encode() for each in ({"alg": "HS256", "kid": NAME}, claims)]
    text = ".".join(base64.b64encode(each).decode() for each in parts)
    digest = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest()
    token = f"{text}.{base64.b64encode(digest).decode()}"
    assert "=" in token
    assert Jwt.parse(token).verified(SECRET) == claims


def test_another_systems_token_may_carry_one() -> None:
    assert Jwt.parse(signed(CLAIMS)).embedded is None
    inside = Jwt.parse(signed({**CLAIMS, "x-ably-token": "in"}, "other", {"alg": "RS256"}))
    assert inside.embedded == "in"
    assert inside.expiry == CLAIMS["exp"]
    head = {"alg": "dir", "enc": "A128GCM", "x-ably-token": "in"}
    encrypted = Jwt.parse(f"{b64(head)}..aaaa.bbbb.cccc")
    assert (encrypted.embedded, encrypted.expiry) == ("in", None)
    assert Jwt.parse(signed({**CLAIMS, "x-ably-token": 5})).embedded is None


def outcome(token: str) -> Any:
    """What somebody gets for a token: claims, None or a code."""
    try:
        parsed = Jwt.parse(token)
        return parsed.embedded or parsed.verified(SECRET)
    except Failure as failure:
        return failure.code


@given(st.text(max_size=300))
def test_no_token_breaks_the_reader(text: str) -> None:
    assert outcome(text) in (None, 40101, 40144)


@given(st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=40))
def test_no_parts_break_the_reader(head: bytes, body: bytes, signature: bytes) -> None:
    assert outcome(f"{b64(head)}.{b64(body)}.{b64(signature)}") in (None, 40144)


# What they claim


def claims(**more: Any) -> Claims:
    return Claims.read({**CLAIMS, **more}, AT)


def test_claims_are_read() -> None:
    read = claims(
        **{
            "x-ably-capability": '{"a":["subscribe"]}',
            "x-ably-clientId": "ada",
            "x-ably-revocation-key": "group",
        }
    )
    assert read == Claims(AT, AT + HOUR, '{"a":["subscribe"]}', "ada", "group")
    assert read.rights(EVERYTHING).text == '{"a":["subscribe"]}'
    assert claims().rights(EVERYTHING) == EVERYTHING
    assert claims(iat=AT / 1000 + 0.25).issued == AT + 250


@pytest.mark.parametrize(
    "wrong",
    [
        {"iat": None},
        {"exp": None},
        {"iat": "1790000000"},
        {"exp": True},
        {"exp": AT},
        {"exp": AT + HOUR},
        {"exp": 10**30},
        {"iat": -1},
        {"exp": [1]},
        {"nbf": "soon"},
        {"x-ably-revocation-key": 5},
        {"x-pullse-ms": 5},
        {"x-pullse-ms": [AT, AT + 2 * HOUR]},
        {"x-pullse-ms": [AT - 1, AT + HOUR]},
        {"x-pullse-ms": [AT + 1000, AT + HOUR]},
        {"x-pullse-ms": [AT, AT + HOUR + 1]},
        {"x-pullse-ms": [AT, AT + HOUR - 1000]},
        {"x-pullse-ms": [AT, AT + HOUR, 1]},
    ],
)
def test_claims_that_make_no_sense(wrong: dict[str, Any]) -> None:
    refused(40144, claims, **wrong)


def test_a_token_of_the_future_is_none_of_the_present() -> None:
    """Else it would outlast the revocation of all that were issued up to now."""
    later = AT // 1000 + 120
    assert claims(iat=later).issued == later * 1000
    refused(40144, claims, iat=later + 1)
    refused(40144, claims, nbf=later + 1)
    assert claims(nbf=later)


def test_a_token_ends_when_it_says() -> None:
    end = AT // 1000
    refused(40142, claims, exp=end)
    refused(40142, claims, exp=end - 1000)
    assert claims(exp=end + 1)
    short = {**CLAIMS, "exp": end + 1, "x-pullse-ms": [AT, AT + 100]}
    assert Claims.read(short, AT + 99).expires == AT + 100
    refused(40142, Claims.read, short, AT + 100)


def test_whose_a_token_is() -> None:
    assert claims(**{"x-ably-clientId": "*"}).client_id == "*"
    for wrong in ("", 5, "a\0", "x" * 3000):
        refused(40012, claims, **{"x-ably-clientId": wrong})


# What we give out


def test_a_token_of_ours_says_what_was_granted() -> None:
    rights = Capability.parse({"b": ["publish", "*"][1:], "a": ["subscribe", "history"]})
    found = tokens.details(NAME, SECRET, rights, "ada", issued=AT + 123, ttl=100)
    token = found.pop("token")
    assert found == {
        "keyName": NAME,
        "issued": AT + 123,
        "expires": AT + 223,
        "capability": '{"a":["history","subscribe"],"b":["*"]}',
        "clientId": "ada",
    }
    verified = Jwt.parse(token).verified(SECRET)
    assert verified is not None
    read = Claims.read(verified, AT + 150)
    assert (read.issued, read.expires, read.client_id) == (AT + 123, AT + 223, "ada")
    assert read.rights(EVERYTHING) == rights
    assert SECRET not in token


def test_no_two_tokens_are_the_same() -> None:
    made = {
        tokens.details(NAME, SECRET, EVERYTHING, None, issued=AT, ttl=HOUR)["token"]
        for _ in range(100)
    }
    assert len(made) == 100
    assert "clientId" not in tokens.details(NAME, SECRET, EVERYTHING, None, issued=AT, ttl=HOUR)


def test_a_token_that_nobody_could_send_is_not_made() -> None:
    wide = Capability.parse({f"channel:{number}": ["subscribe"] for number in range(330)})
    client_id = "🐘" * 2000
    assert len(wide.text) < 12_000
    refused(40000, tokens.details, NAME, SECRET, wide, client_id, issued=AT, ttl=HOUR)
    assert tokens.details(NAME, SECRET, wide, "ada", issued=AT, ttl=HOUR)


@given(st.integers(1, 24 * HOUR), st.integers(0, 999))
def test_times_are_exact_to_the_millisecond(ttl: int, offset: int) -> None:
    found = tokens.details(NAME, SECRET, EVERYTHING, None, issued=AT + offset, ttl=ttl)
    verified = Jwt.parse(found["token"]).verified(SECRET)
    assert verified is not None
    read = Claims.read(verified, AT)
    assert (read.issued, read.expires) == (found["issued"], found["expires"])
    assert read.expires - read.issued == ttl


def test_the_clock_counts_milliseconds() -> None:
    assert abs(tokens.now() - time.time() * 1000) < 1000
