"""Whoever lies about who they are, in each place where a lie could be told, is not let in."""

import asyncio
import base64
import contextlib
import gzip
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric import rsa as rsa_module
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwk
from joserfc.errors import SecurityWarning

from pullse.access.oidc import claims, jose, outgoing
from pullse.access.oidc.discovery import Live
from pullse.access.oidc.jose import Untrue
from pullse.access.oidc.outgoing import Failed
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.kit.tail import Tail
from tests.access.people import hire, run
from tests.access.sign_in import audited, browser
from tests.access.single_sign_on import (
    depart,
    edge_with,
    refusal,
    settings,
    sign_in,
    visit,
)
from tests.standins.http import Cut, Response
from tests.standins.oidc import (
    ADA,
    CLIENT,
    Provider,
    answered,
    half_hash,
    providing,
    rsa,
    signed,
)

DOCS = Path(__file__).parents[2] / "docs"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with providing() as provider:
        yield provider


@pytest.fixture
async def edge(database: Database, tail: Tail, provider: Provider, clock: Clock) -> Edge:
    """Ada would be let in, if all were well."""
    await hire(database, "Ada")
    return edge_with(database, tail, Live(settings(provider), clock=clock))


@pytest.fixture
async def person(edge: Edge) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(edge) as client:
        yield client


async def reasons(database: Database) -> list[str]:
    return [json.loads(data)["reason"] for _, data, _ in await audited(database, "sign_in.failed")]


async def is_nobody(database: Database) -> bool:
    """No session and no link came of it."""
    async with database.session() as db:
        return not await db.value(
            "SELECT EXISTS (SELECT FROM sessions) OR EXISTS (SELECT FROM identities)"
        )


async def is_let_in(client: httpx.AsyncClient) -> bool:
    answer = await sign_in(client)
    assert answer.status_code == 303
    return bool(answer.headers["location"] == "/")


# -- what an id token says --

NOW = int(time.time())


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
        {"exp": NOW - 120},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": True},
        {"exp": 1e300},
        {"iat": NOW + 600},
        {"iat": None},
        {"nbf": NOW + 600},
        {"nbf": "now"},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "a" * 256},
        {"sub": "a\0b"},
        {"at_hash": half_hash("another token")},
        {"at_hash": 7},
    ],
    ids=str,
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
        {"exp": NOW - 5, "iat": NOW + 20},
        {"nbf": NOW - 5},
        {"at_hash": None},
    ],
    ids=str,
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
    person: httpx.AsyncClient, edge: Edge, provider: Provider, clock: Clock
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


# -- states, codes and browsers --


async def test_a_state_is_good_once(person: httpx.AsyncClient, database: Database) -> None:
    back = await visit(await depart(person))
    cookie = person.cookies["pullse-oidc"]
    assert (await person.get(back)).headers["location"] == "/"
    person.cookies.set("pullse-oidc", cookie, domain="pullse.example", path="/")
    assert refusal(await person.get(back)) == "sign_in_expired"
    assert await reasons(database) == ["state"]


async def test_of_many_who_come_with_one_state_one_gets_in(
    edge: Edge, person: httpx.AsyncClient
) -> None:
    back = await visit(await depart(person))
    headers = {"Cookie": f"pullse-oidc={person.cookies['pullse-oidc']}"}

    async def come() -> str:
        async with browser(edge) as client:
            return str((await client.get(back, headers=headers)).headers["location"])

    told = await asyncio.gather(*(come() for _ in range(6)))
    assert sorted(told) == ["/"] + ["/sign-in?error=sign_in_expired"] * 5


async def test_a_code_is_good_once(
    person: httpx.AsyncClient, provider: Provider, database: Database
) -> None:
    back = parse_qs(urlsplit(await visit(await depart(person))).query)
    code = back["code"][0]
    query = urlencode({name: value[0] for name, value in back.items()})
    await person.get(f"/api/sign-in/oidc/corp/callback?{query}")
    provider.returned["code"] = code
    assert refusal(await sign_in(person)) == "provider_failed"
    assert await reasons(database) == ["provider"]


async def test_a_stolen_code_is_of_no_use_in_another_attempt(
    edge: Edge, person: httpx.AsyncClient, provider: Provider, database: Database
) -> None:
    """The thief has the victim's code, and an attempt and a browser of their own."""
    stolen = parse_qs(urlsplit(await visit(await depart(person))).query)["code"][0]
    provider.returned["code"] = stolen
    async with browser(edge) as thief:
        assert refusal(await sign_in(thief)) == "provider_failed"
    assert await is_nobody(database)


async def test_another_browser_does_not_finish_the_attempt(
    edge: Edge, person: httpx.AsyncClient, database: Database
) -> None:
    """A link that would sign the victim in as the one who sent it."""
    back = await visit(await depart(person))
    async with browser(edge) as without:
        assert refusal(await without.get(back)) == "sign_in_expired"
    async with browser(edge) as victim:
        await depart(victim)
        assert refusal(await victim.get(back)) == "sign_in_expired"
    assert await reasons(database) == ["state", "state"]
    assert await is_nobody(database)
    assert (await person.get(back)).headers["location"] == "/"  # whose it is, it is still


async def test_over_tls_a_cookie_that_was_planted_without_does_not_count(
    edge: Edge,
) -> None:
    async with browser(edge) as plain, browser(edge, scheme="https") as secure:
        back = await visit(await depart(plain))
        planted = {"Cookie": f"pullse-oidc={plain.cookies['pullse-oidc']}"}
        assert refusal(await secure.get(back, headers=planted)) == "sign_in_expired"


async def test_ten_minutes_later_it_is_too_late(
    person: httpx.AsyncClient, database: Database
) -> None:
    back = await visit(await depart(person))
    await run(database, "UPDATE oidc_attempts SET expires_at = now()")
    assert refusal(await person.get(back)) == "sign_in_expired"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?code=a",
        "?state=a&code=b",
        "?state=%00&code=b",
        "?state=a&state=b",
        "?state=" + "a" * 43,
        "?state=" + "a" * 500,
        "?code=%ff%fe&state=%C3%A9",
        "?error=access_denied",
        "?error=<script>alert(1)</script>",
        "?error=a%0d%0aSet-Cookie:x=y&state=" + "a" * 43,
    ],
)
async def test_an_answer_that_belongs_to_no_attempt_is_refused(
    query: str, person: httpx.AsyncClient, database: Database
) -> None:
    await depart(person)
    answer = await person.get(f"/api/sign-in/oidc/corp/callback{query}")
    assert refusal(answer) == "sign_in_expired"
    assert "set-cookie" not in answer.headers
    assert await is_nobody(database)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("access_denied", "sign_in_denied"),
        ("login_required", "sign_in_denied"),
        ("server_error", "provider_failed"),
        ("<script>alert(1)</script>", "provider_failed"),
        ("a\r\nSet-Cookie: pullse=planted", "provider_failed"),
        ("x" * 200, "provider_failed"),
    ],
)
async def test_what_a_provider_says_is_not_repeated(
    error: str,
    told: str,
    person: httpx.AsyncClient,
    provider: Provider,
    database: Database,
    caplog: pytest.LogCaptureFixture,
) -> None:
    provider.returned = {"code": "", "error": error, "error_description": "<b>oh</b>"}
    back = await visit(await depart(person))
    answer = await person.get(back)
    assert refusal(answer) == told
    assert answer.content == b""
    assert "set-cookie" not in answer.headers
    assert all("\r" not in line and "\n" not in line for line in caplog.messages)
    assert refusal(await person.get(back)) == "sign_in_expired"  # it is over
    assert len(await reasons(database)) == 2


async def test_an_answer_of_one_provider_is_not_taken_to_another(
    database: Database, tail: Tail, provider: Provider
) -> None:
    """Mix-up: the attempt was with one, the browser comes back as if from the other."""
    await hire(database, "Ada")
    async with providing() as evil:
        lives = [Live(settings(provider)), Live(settings(evil, "evil"))]
        async with browser(edge_with(database, tail, *lives)) as client:
            back = await visit(await depart(client, "evil"))
            wrong = back.replace("/evil/", "/corp/")
            assert refusal(await client.get(wrong)) == "sign_in_expired"
            # the right path, with the code and the name of the other one
            evil.returned = {"iss": provider.issuer}
            assert refusal(await sign_in(client, "evil")) == "provider_failed"
        assert provider.asked_for("/token") == evil.asked_for("/token") == 0
    assert await is_nobody(database)


@pytest.mark.parametrize("iss", ["https://evil.example", ""])
async def test_who_promises_to_say_its_name_has_to(
    iss: str, person: httpx.AsyncClient, provider: Provider
) -> None:
    provider.discovery["authorization_response_iss_parameter_supported"] = True
    assert await is_let_in(person)
    provider.returned["iss"] = iss
    assert refusal(await sign_in(person)) == "provider_failed"


async def test_who_never_promised_it_need_not(
    person: httpx.AsyncClient, provider: Provider
) -> None:
    provider.returned["iss"] = ""
    assert await is_let_in(person)


async def test_a_token_of_one_provider_opens_nothing_at_another(
    database: Database, tail: Tail, provider: Provider
) -> None:
    await hire(database, "Ada")
    async with providing() as evil:
        evil.key, evil.claims = provider.key, {"iss": provider.issuer}
        live = Live(settings(evil))
        async with browser(edge_with(database, tail, live)) as client:
            assert refusal(await sign_in(client)) == "provider_failed"


async def test_who_fails_again_and_again_fills_no_audit_trail(
    person: httpx.AsyncClient, database: Database
) -> None:
    assert refusal(await person.get("/api/sign-in/oidc/corp/callback")) == "sign_in_expired"
    await run(database, "UPDATE sign_in_failures SET count = 101")
    for told in ("sign_in_expired", "too_many", "too_many"):
        assert refusal(await person.get("/api/sign-in/oidc/corp/callback")) == told
    assert len(await reasons(database)) == 2


# -- a provider that answers oddly --


async def huge() -> Response:
    return Response(200, "application/json", b'{"a":"' + b"a" * (outgoing.AT_MOST + 1) + b'"}')


async def slow() -> Response:
    await asyncio.sleep(1)
    return answered({})


async def elsewhere() -> Response:
    return Response(302, "text/plain", b"", (("Location", "http://127.0.0.1:1/"),))


async def no_json() -> Response:
    return Response(200, "application/json", b"<html>")


async def a_list() -> Response:
    return answered([])


async def deep() -> Response:
    return Response(200, "application/json", b"[" * 100_000)


async def empty() -> Response:
    return answered({})


async def broken() -> Response:
    return answered({"error": "server_error"}, 500)


async def cut() -> Response:
    raise Cut(b"HTTP/1.1 200 OK\r\nContent-Le")


async def packed() -> Response:
    """What unpacks to far more; nothing is unpacked."""
    body = gzip.compress(b'{"a":"' + b"a" * 50_000_000 + b'"}')
    return Response(200, "application/json", body, (("Content-Encoding", "gzip"),))


ODD = [huge, slow, elsewhere, no_json, a_list, deep, empty, broken, cut, packed]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.__name__)
async def test_a_discovery_document_that_cant_be_used_sends_nobody_anywhere(
    odd: Any, person: httpx.AsyncClient, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "PATIENCE", 0.5)
    provider.instead["/.well-known/openid-configuration"] = odd
    assert refusal(await person.get("/api/sign-in/oidc/corp")) == "provider_failed"


@pytest.mark.parametrize("path", ["/jwks", "/token", "/me"])
@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.__name__)
async def test_any_other_answer_that_cant_be_used_lets_nobody_in(
    odd: Any,
    path: str,
    person: httpx.AsyncClient,
    provider: Provider,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outgoing, "PATIENCE", 0.5)
    provider.person = {"sub": "ada"}
    provider.info = {**ADA, "sub": "ada"}
    provider.instead[path] = odd
    assert refusal(await sign_in(person)) == "provider_failed"
    assert await is_nobody(database)


async def padded(right: Response) -> Response:
    body = right.body[:-1] + b',"a":"' + b"a" * outgoing.AT_MOST + b'"}'
    return replace(right, body=body)


async def delayed(right: Response) -> Response:
    await asyncio.sleep(1)
    return right


async def moved(right: Response) -> Response:
    """A redirect that has the right answer with it, and leads to it too."""
    ways = {b"authorization_endpoint": "/.well-known/openid-configuration", b'"keys"': "/jwks"}
    ways |= {b"id_token": "/token", b'"sub"': "/me"}
    path = next(path for word, path in ways.items() if word in right.body)
    return replace(right, status=307, headers=(("Location", f"/again{path}"),))


async def denied(right: Response) -> Response:
    return replace(right, status=403)


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/jwks", "/token", "/me"])
@pytest.mark.parametrize("spoil", [padded, delayed, moved, denied], ids=lambda f: f.__name__)
async def test_a_right_answer_that_is_too_long_too_late_or_elsewhere_is_none(
    spoil: Any,
    path: str,
    person: httpx.AsyncClient,
    provider: Provider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outgoing, "PATIENCE", 0.7)
    provider.person = {"sub": "ada"}
    provider.info = {**ADA, "sub": "ada"}
    provider.spoilt[path] = spoil
    start = await person.get("/api/sign-in/oidc/corp")
    if path.startswith("/.well"):
        assert refusal(start) == "provider_failed"
        return
    assert refusal(await person.get(await visit(start.headers["location"]))) == "provider_failed"


async def test_an_answer_that_drips_in_is_not_waited_for_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No single byte is late."""
    is_over = asyncio.Event()

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n")
            for _ in range(200):
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        is_over.set()

    monkeypatch.setattr(outgoing, "PATIENCE", 0.5)
    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Failed, match="took more than"):
            await outgoing.get(f"http://127.0.0.1:{port}/")
        await is_over.wait()


@pytest.mark.parametrize(
    "lie",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"token_endpoint": None},
        {"token_endpoint": "http://evil.example/token"},
        {"authorization_endpoint": "http://evil.example/"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "https://evil.example/\r\nSet-Cookie: a=b"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "http://169.254.169.254/keys"},
        {"userinfo_endpoint": "http://evil.example/"},
        {"token_endpoint": 7},
        {"token_endpoint_auth_methods_supported": "client_secret_basic"},
    ],
    ids=str,
)
async def test_a_discovery_document_that_leads_astray_is_not_followed(
    lie: dict[str, Any], person: httpx.AsyncClient, provider: Provider
) -> None:
    provider.discovery = lie
    assert refusal(await person.get("/api/sign-in/oidc/corp")) == "provider_failed"


async def test_a_provider_that_is_away_is_not_asked_by_everybody(
    person: httpx.AsyncClient, provider: Provider, clock: Clock
) -> None:
    provider.instead["/.well-known/openid-configuration"] = broken
    for _ in range(3):
        assert refusal(await person.get("/api/sign-in/oidc/corp")) == "provider_failed"
    assert provider.asked_for("/.well-known/openid-configuration") == 1
    provider.instead.clear()
    clock.now += 10
    assert await is_let_in(person)


# -- how we show our own secret --


@pytest.mark.parametrize(
    ("methods", "is_good"),
    [
        (None, True),
        (["client_secret_basic"], True),
        (["client_secret_post"], True),
        (["private_key_jwt", "client_secret_post"], True),
        (["private_key_jwt", "none"], False),
    ],
)
async def test_a_secret_is_shown_as_the_provider_takes_it(
    methods: Any, is_good: bool, person: httpx.AsyncClient, provider: Provider
) -> None:
    if methods is not None:
        provider.discovery["token_endpoint_auth_methods_supported"] = methods
    assert await is_let_in(person) == is_good


async def test_a_public_client_shows_none(
    database: Database, tail: Tail, provider: Provider
) -> None:
    await hire(database, "Ada")
    provider.discovery["token_endpoint_auth_methods_supported"] = ["none"]
    live = Live(settings(provider, client_secret=None))
    async with browser(edge_with(database, tail, live)) as client:
        assert await is_let_in(client)


async def test_a_wrong_secret_lets_nobody_in(
    database: Database, tail: Tail, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    live = Live(settings(provider, client_secret="of somebody else"))
    async with browser(edge_with(database, tail, live)) as client:
        assert refusal(await sign_in(client)) == "provider_failed"
    assert "it answered 401 invalid_client to the code" in caplog.text
    assert "of somebody else" not in caplog.text


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


def test_each_word_that_the_page_may_be_told_is_documented() -> None:
    page = (DOCS / "api" / "single-sign-on.md").read_text()
    for word in (
        "sign_in_expired",
        "sign_in_denied",
        "provider_failed",
        "email_unverified",
        "no_account",
        "too_many",
    ):
        assert f"| `{word}` |" in page
