"""An id token is believed when it is ours, of now, of this attempt, and signed by its provider."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric import rsa as rsa_module
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwk
from joserfc.errors import SecurityWarning

from pullse.access.oidc import claims, jose
from pullse.access.oidc.jose import Untrue
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from tests.access.single_sign_on import (
    Clock,
    is_let_in,
    is_nobody,
    reasons,
    refusal,
    sign_in,
)
from tests.standins.http import Response
from tests.standins.oidc import (
    CLIENT,
    In,
    Provider,
    answered,
    half_hash,
    rsa,
    signed,
)

# -- what an id token says --


@pytest.mark.parametrize(
    "lie",
    [
        {"aud": "somebody else"},
        {"aud": None},
        {"aud": []},
        {"aud": [CLIENT, "somebody else"]},
        {"aud": [CLIENT, "somebody else"], "azp": "somebody else"},
        {"azp": "somebody else"},
        {"aud": CLIENT.upper()},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"nonce": "another attempt's"},
        {"nonce": None},
        {"nonce": ["a", "list"]},
        {"nonce": ""},
        {"exp": In(-120)},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": True},
        {"exp": 1e300},
        {"iat": In(600)},
        {"iat": None},
        {"nbf": In(600)},
        {"nbf": "now"},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "a" * 256},
        {"sub": "a\0b"},
        {"at_hash": half_hash("another token")},
        {"at_hash": 7},
    ],
    ids=", ".join,
)
async def test_an_id_token_that_is_not_ours_or_not_of_now_is_refused(
    lie: dict[str, Any], person: httpx.AsyncClient, provider: Provider, database: Database
) -> None:
    provider.claims = lie
    assert refusal(await sign_in(person)) == "provider_failed"
    assert await reasons(database) == ["token"]
    assert await is_nobody(database)


@pytest.mark.parametrize(
    "word",
    [
        {"aud": [CLIENT]},
        {"aud": [CLIENT, "somebody else"], "azp": CLIENT},
        {"exp": In(-5), "iat": In(20)},
        {"nbf": In(-5)},
        {"at_hash": None},
    ],
    ids=", ".join,
)
async def test_what_a_provider_may_say_is_taken(
    word: dict[str, Any], person: httpx.AsyncClient, provider: Provider
) -> None:
    provider.claims = word
    assert await is_let_in(person)


# -- who has signed it --


def unsigned(told: dict[str, Any], **header: Any) -> str:
    parts = [json.dumps({"alg": "none", **header}), json.dumps(told)]
    return ".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts)


def confused(provider: Provider, as_: str) -> Callable[[dict[str, Any]], str]:
    """HMAC with what everybody knows of the public key as its secret."""
    key = provider.key
    secret = {
        "pem": key.as_pem(private=False),
        "der": key.as_der(private=False),
        "modulus": key.as_dict(private=False)["n"].encode(),
        "jwk": json.dumps(key.as_dict(private=False)).encode(),
    }[as_]
    return lambda told: hmac_signed(told, secret, kid="first")


def hmac_signed(told: dict[str, Any], secret: bytes, **header: Any) -> str:
    """By hand: a library would refuse such a key."""
    head = json.dumps({"alg": "HS256", **header}).encode()
    body = b".".join(
        base64.urlsafe_b64encode(part).rstrip(b"=") for part in (head, json.dumps(told).encode())
    )
    mac = base64.urlsafe_b64encode(hmac.digest(secret, body, hashlib.sha256)).rstrip(b"=")
    return (body + b"." + mac).decode()


@pytest.mark.parametrize("as_", ["pem", "der", "modulus", "jwk"])
async def test_the_public_key_is_no_secret_of_an_hmac(
    as_: str, person: httpx.AsyncClient, provider: Provider, database: Database
) -> None:
    provider.sign = confused(provider, as_)
    assert refusal(await sign_in(person)) == "provider_failed"
    assert await is_nobody(database)


async def test_the_clients_own_secret_signs_nothing(
    person: httpx.AsyncClient, provider: Provider
) -> None:
    provider.sign = lambda told: hmac_signed(told, b"a secret: with+signs")
    provider.published = [{"kty": "oct", "k": "YSBzZWNyZXQ6IHdpdGgrc2lnbnM", "kid": "shared"}]
    assert refusal(await sign_in(person)) == "provider_failed"


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", None, 7, ["RS256"], {}])
async def test_a_token_without_a_signature_is_refused(
    alg: Any, person: httpx.AsyncClient, provider: Provider, database: Database
) -> None:
    for end in (".", ".AAAA", ""):
        provider.sign = lambda told, end=end: unsigned(told, alg=alg) + end  # type: ignore[misc]
        assert refusal(await sign_in(person)) == "provider_failed"
    assert await is_nobody(database)


async def test_a_key_that_the_provider_does_not_publish_signs_nothing(
    person: httpx.AsyncClient, provider: Provider
) -> None:
    own = provider.key
    provider.published = [own.as_dict(private=False)]
    theirs = rsa("first")  # by the same name
    provider.key = theirs
    assert refusal(await sign_in(person)) == "provider_failed"
    header = {"jwk": theirs.as_dict(private=False), "jku": f"{provider.issuer}/evil", "kid": None}
    provider.sign = lambda told: signed(told, theirs, "RS256", **header)
    assert refusal(await sign_in(person)) == "provider_failed"
    assert provider.asked_for("/evil") == 0


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS512", "ES384", "HS512"])
async def test_an_algorithm_that_is_not_on_the_list_is_refused(
    algorithm: str, person: httpx.AsyncClient, provider: Provider
) -> None:
    kind = {"R": rsa("a"), "P": rsa("a"), "E": jwk.ECKey.generate_key("P-384", {"kid": "a"})}
    provider.key = kind.get(algorithm[0], jwk.OctKey.generate_key(512, {"kid": "a"}))
    provider.algorithm = algorithm
    provider.published = [provider.key.as_dict()]
    assert refusal(await sign_in(person)) == "provider_failed"


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("RS256", rsa("a")),
        ("PS256", rsa("a")),
        ("ES256", jwk.ECKey.generate_key("P-256", {"kid": "a"})),
        ("EdDSA", jwk.OKPKey.generate_key("Ed25519", {"kid": "a"})),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_the_algorithms_on_the_list_are_taken(
    algorithm: str, key: Any, person: httpx.AsyncClient, provider: Provider
) -> None:
    provider.key, provider.algorithm = key, algorithm
    provider.claims["at_hash"] = None
    assert await is_let_in(person)


async def test_a_key_serves_the_algorithm_that_it_is_for_and_no_other(
    person: httpx.AsyncClient, provider: Provider
) -> None:
    provider.published = [{**provider.key.as_dict(private=False), "alg": "PS256"}]
    assert refusal(await sign_in(person)) == "provider_failed"


async def test_a_key_for_encryption_a_short_one_and_an_odd_one_sign_nothing(
    person: httpx.AsyncClient, corp: Edge, provider: Provider, clock: Clock
) -> None:
    public = provider.key.as_dict(private=False)
    for listed in ([{**public, "use": "enc"}], [{**public, "n": 7}], [7, None, {}], []):
        provider.published = listed  # type: ignore[assignment]
        assert refusal(await sign_in(person)) == "provider_failed"
        clock.now += 1000
    provider.published = None
    provider.key = short()
    assert refusal(await sign_in(person)) == "provider_failed"


def short() -> jwk.RSAKey:
    """1,024 bits."""
    key = rsa_module.generate_private_key(65537, 1024)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.warns(SecurityWarning):
        return jwk.RSAKey.import_key(pem, {"kid": "short"})


@pytest.mark.parametrize("token", ["", "a.b.c", "..", "a" * 20_000, "\xe9.\xe9.\xe9", "e30.W10."])
async def test_what_is_no_token_is_refused(
    token: str, person: httpx.AsyncClient, provider: Provider
) -> None:
    provider.sign = lambda told: token
    assert refusal(await sign_in(person)) == "provider_failed"


async def test_a_header_that_must_be_understood_is_refused(
    person: httpx.AsyncClient, provider: Provider
) -> None:
    head = {"alg": "RS256", "kid": "first", "crit": ["exp"], "exp": 1}
    provider.sign = lambda told: forged(provider, head, told)
    assert refusal(await sign_in(person)) == "provider_failed"


def forged(provider: Provider, head: dict[str, Any], told: dict[str, Any]) -> str:
    """A right signature over any header."""
    body = b".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (head, told)
    )
    made = provider.key.private_key.sign(body, padding.PKCS1v15(), SHA256())
    return (body + b"." + base64.urlsafe_b64encode(made).rstrip(b"=")).decode()


async def test_the_hand_that_forges_headers_signs_well(
    person: httpx.AsyncClient, provider: Provider
) -> None:
    """So the test above refuses for the header, and not for the signature."""
    provider.sign = lambda told: forged(provider, {"alg": "RS256", "kid": "first"}, told)
    assert await is_let_in(person)


# -- keys that change --


async def test_a_new_key_is_known_at_once_and_an_old_one_not_for_ever(
    person: httpx.AsyncClient, provider: Provider, clock: Clock
) -> None:
    old = provider.key
    assert await is_let_in(person)
    assert await is_let_in(person)
    assert provider.asked_for("/jwks") == 1
    clock.now += jose.APART
    provider.key = rsa("second")
    assert await is_let_in(person)
    assert provider.asked_for("/jwks") == 2
    provider.sign = lambda told: signed(told, old, "RS256")
    clock.now += jose.APART
    assert refusal(await sign_in(person)) == "provider_failed"


async def test_made_up_key_names_do_not_make_us_ask_again_and_again(
    person: httpx.AsyncClient, provider: Provider, clock: Clock
) -> None:
    assert await is_let_in(person)
    clock.now += jose.APART
    for number in range(5):
        provider.sign = lambda told, n=number: signed(told, rsa(f"no {n}"), "RS256")  # type: ignore[misc]
        assert refusal(await sign_in(person)) == "provider_failed"
    assert provider.asked_for("/jwks") == 2


async def test_a_key_that_was_taken_back_is_no_longer_good_within_minutes(
    person: httpx.AsyncClient, provider: Provider, clock: Clock
) -> None:
    assert await is_let_in(person)
    provider.published = [rsa("other").as_dict(private=False)]
    clock.now += jose.FRESH
    assert refusal(await sign_in(person)) == "provider_failed"


async def test_while_keys_cant_be_read_those_that_are_known_serve_for_an_hour(
    person: httpx.AsyncClient, provider: Provider, clock: Clock
) -> None:
    async def broken() -> Response:
        return answered({}, 500)

    assert await is_let_in(person)
    provider.instead["/jwks"] = broken
    clock.now += jose.FRESH
    assert await is_let_in(person)
    assert await is_let_in(person)
    assert provider.asked_for("/jwks") == 2  # after a failure there is a pause
    clock.now += jose.STALE
    assert refusal(await sign_in(person)) == "provider_failed"


# -- Microsoft, which never says that an address is verified --


@pytest.mark.parametrize("word", [True, 1, "1", "true"])
def test_microsofts_word_for_a_domain_of_the_tenant_is_taken(word: Any) -> None:
    issuer = "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"
    told = {"email": "ada@example.org", "xms_edov": word}
    assert claims.person(issuer, "a", told).email == "ada@example.org"
    assert claims.person(issuer, "a", {**told, "email_verified": False}).email is None
    assert claims.person("https://evil.example", "a", told).email is None
    assert claims.person("https://login.microsoftonline.com.evil.example/", "a", told).email is None


@pytest.mark.parametrize("word", [None, False, 0, "0", "false", "no", [], 2])
def test_without_it_an_address_of_microsofts_counts_for_nothing(word: Any) -> None:
    issuer = "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"
    told = {"email": "ada@example.org", **({} if word is None else {"xms_edov": word})}
    assert claims.person(issuer, "a", told).email is None


def test_an_access_token_is_hashed_as_the_algorithm_says() -> None:
    told = {"nonce": "n", "at_hash": half_hash("token", "sha512")}
    claims.check_attempt(told, nonce="n", access_token="token", algorithm="EdDSA")
    with pytest.raises(Untrue):
        claims.check_attempt(told, nonce="n", access_token="token", algorithm="RS256")
    with pytest.raises(Untrue):
        claims.check_attempt(told, nonce="n", access_token=None, algorithm="EdDSA")
