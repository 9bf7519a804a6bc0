"""
A stand-in for an OpenID provider that does all as it should until it is told to lie.

It lets in whoever comes as the person it was told, without a page in between.
"""

import asyncio
import hashlib
import json
import secrets
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

from joserfc import jwk, jws

from tests.standins.http import Request, Response, serve

CLIENT, SECRET = "pullse in tests", "a secret: with+signs"
ADA = {"sub": "ada-at-the-provider", "email": "ada@example.org", "email_verified": True}


class Lawless(jws.JWSRegistry):
    """Signs by whatever algorithm, as no library should."""

    def get_alg(self, name: str) -> Any:
        return self.algorithms[name]


LAWLESS = Lawless(strict_check_header=False)


def rsa(kid: str) -> jwk.RSAKey:
    return jwk.RSAKey.generate_key(2048, {"kid": kid})


def signed(claims: dict[str, Any], key: Any, algorithm: str, **header: Any) -> str:
    protected = {"alg": algorithm, **({"kid": key.kid} if key and key.kid else {}), **header}
    protected = {name: value for name, value in protected.items() if value is not None}
    return jws.serialize_compact(protected, json.dumps(claims), key, registry=LAWLESS)


def half_hash(text: str, algorithm: str = "sha256") -> str:
    digest = hashlib.new(algorithm, text.encode()).digest()
    return urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


class Provider:
    """What is public may be set by a test: what it says, whom it lets in, what it signs with."""

    def __init__(self) -> None:
        self.issuer = ""
        self.person: dict[str, Any] = dict(ADA)
        self.info: dict[str, Any] = {}
        """What the user info says, besides the subject."""
        self.claims: dict[str, Any] = {}
        """Of id tokens; None takes one away."""
        self.discovery: dict[str, Any] = {}
        self.returned: dict[str, str] = {}
        """What the browser brings back besides, or instead."""
        self.key: Any = rsa("first")
        self.algorithm = "RS256"
        self.published: list[dict[str, Any]] | None = None
        self.sign: Callable[[dict[str, Any]], str] = self._sign
        self.instead: dict[str, Callable[[], Awaitable[Response]]] = {}
        """Of a path: something else than its answer."""
        self.spoilt: dict[str, Callable[[Response], Awaitable[Response]]] = {}
        """Of a path: what becomes of its right answer."""
        self.asked: list[Request] = []
        self._codes: dict[str, dict[str, str]] = {}
        self._access: dict[str, str] = {}

    def asked_for(self, path: str) -> int:
        return sum(each.path == path for each in self.asked)

    async def answer(self, request: Request) -> Response:
        self.asked.append(request)
        if request.path in self.instead:
            return await self.instead[request.path]()
        ways: dict[str, Callable[[Request], Response]] = {
            "/.well-known/openid-configuration": self._describe,
            "/jwks": self._publish,
            "/authorize": self._authorize,
            "/token": self._exchange,
            "/me": self._tell,
        }
        way = ways.get(request.path.removeprefix("/again"))
        right = Response(404, "text/plain", b"no") if way is None else way(request)
        return await self.spoilt[request.path](right) if request.path in self.spoilt else right

    def _describe(self, _: Request) -> Response:
        found = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?ui=1",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/me",
            "response_types_supported": ["code"],
        }
        found |= self.discovery
        return answered({name: value for name, value in found.items() if value is not None})

    def _publish(self, _: Request) -> Response:
        keys = self.published
        return answered({"keys": [self.key.as_dict(private=False)] if keys is None else keys})

    def _authorize(self, request: Request) -> Response:
        given = request.query
        assert given["response_type"] == "code"
        assert given["code_challenge_method"] == "S256"
        assert "openid" in given["scope"].split()
        code = secrets.token_urlsafe(16)
        self._codes[code] = given
        back = {"code": code, "state": given["state"], "iss": self.issuer, **self.returned}
        query = urlencode({name: value for name, value in back.items() if value})
        location = f"{given['redirect_uri']}?{query}"
        return Response(303, "text/plain", b"", (("Location", location),))

    def _exchange(self, request: Request) -> Response:
        form = dict(parse_qsl(request.body.decode()))
        begun = self._codes.pop(form["code"], None)
        if begun is None:
            return answered({"error": "invalid_grant"}, 400)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = urlsafe_b64encode(digest).rstrip(b"=").decode()
        is_fitting = challenge == begun["code_challenge"]
        if not is_fitting or form["redirect_uri"] != begun["redirect_uri"]:
            return answered({"error": "invalid_grant"}, 400)
        if not self._knows(request, form):
            return answered({"error": "invalid_client"}, 401)
        access = secrets.token_urlsafe(16)
        self._access[access] = self.person["sub"]
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": begun["client_id"],
            "iat": now,
            "exp": now + 300,
            "nonce": begun["nonce"],
            "at_hash": half_hash(access),
            **self.person,
            **self.claims,
        }
        told = {name: value for name, value in claims.items() if value is not None}
        return answered(
            {"access_token": access, "token_type": "Bearer", "id_token": self.sign(told)}
        )

    def _knows(self, request: Request, form: dict[str, str]) -> bool:
        methods = self.discovery.get(
            "token_endpoint_auth_methods_supported", ["client_secret_basic"]
        )
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            name, _, secret = b64decode(text).decode().partition(":")
            pair = (unquote(name), unquote(secret))
            return pair == (CLIENT, SECRET) and "client_secret_basic" in methods
        if "client_secret" in form:
            pair = (form["client_id"], form["client_secret"])
            return pair == (CLIENT, SECRET) and "client_secret_post" in methods
        return form.get("client_id") == CLIENT and "none" in methods

    def _tell(self, request: Request) -> Response:
        subject = self._access.get(request.headers["authorization"].removeprefix("Bearer "))
        return answered({"sub": subject, **self.info}) if subject else answered({}, 401)

    def _sign(self, claims: dict[str, Any]) -> str:
        return signed(claims, self.key, self.algorithm)


def answered(content: Any, status: int = 200) -> Response:
    return Response(status, "application/json", json.dumps(content).encode())


@asynccontextmanager
async def providing() -> AsyncIterator[Provider]:
    provider = Provider()
    server = await serve(provider.answer, 0)
    provider.issuer = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield provider
    finally:
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0)
