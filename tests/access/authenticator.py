"""
An authenticator in software, and the browser before it: what they say is as the standard has
it (WebAuthn level 3), unless a test wants a lie.
"""

import hashlib
import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

import cbor2
import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from pullse.kit.edge import Edge
from tests.access.sign_in import browser, enter

HOST, ORIGIN = "pullse.example", "http://pullse.example"
PRESENT, VERIFIED, SYNCABLE, SYNCED, NEW = 1, 4, 8, 16, 64
USUAL = PRESENT | VERIFIED


LIES: list[dict[str, Any]] = [
    {"origin": "https://pullse.example"},
    {"origin": "http://pullse.example:8080"},
    {"origin": "http://evil.example"},
    {"origin": "http://pullse.example.evil.example"},
    {"host": "evil.example"},
    {"host": "example"},
    {"challenge": "A" * 43},
    {"challenge": ""},
    {"type": "webauthn.get"},
    {"framed": True},
    {"flags": PRESENT},
    {"flags": VERIFIED},
    {"id": b"another id"},
    {"format": "packed"},
    {"format": "nonsense"},
]
"""What makes an answer wrong, when one is made and when it is used."""


def encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "==")


@dataclass
class Authenticator:
    """Knows one passkey. `counts`: its counter rises with each use."""

    host: str = HOST
    origin: str = ORIGIN
    flags: int = USUAL
    counts: bool = True
    count: int = 0
    handle: bytes = b""
    id: bytes = field(default_factory=lambda: os.urandom(16))
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def make(self, options: dict[str, Any], **lies: Any) -> dict[str, Any]:
        """What `navigator.credentials.create()` gives, as `toJSON()` does."""
        self.handle = decoded(options["user"]["id"])
        numbers = self.key.public_key().public_numbers()
        x, y = (n.to_bytes(32, "big") for n in (numbers.x, numbers.y))
        cose = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})
        new = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + cose
        attestation = {
            "fmt": lies.get("format", "none"),
            "attStmt": {},
            "authData": self.data(NEW, lies) + new,
        }
        client_data = self.client_data("webauthn.create", options["challenge"], lies)
        return self.credential(
            lies,
            clientDataJSON=encoded(client_data),
            attestationObject=encoded(cbor2.dumps(attestation)),
            transports=["internal", "hybrid"],
        )

    def sign(self, options: dict[str, Any], **lies: Any) -> dict[str, Any]:
        """What `navigator.credentials.get()` gives, as `toJSON()` does."""
        data = self.data(0, lies)
        client_data = self.client_data("webauthn.get", options["challenge"], lies)
        signed = data + hashlib.sha256(client_data).digest()
        signature = self.key.sign(signed, ec.ECDSA(SHA256()))
        return self.credential(
            lies,
            clientDataJSON=encoded(client_data),
            authenticatorData=encoded(data),
            signature=encoded(lies.get("signature", signature)),
            userHandle=lies.get("handle", encoded(self.handle)),
        )

    def data(self, more: int, lies: dict[str, Any]) -> bytes:
        self.count += self.counts
        count = lies.get("count", self.count)
        host = hashlib.sha256(lies.get("host", self.host).encode()).digest()
        flags = lies.get("flags", self.flags) | more
        return bytes(host + bytes([flags]) + count.to_bytes(4, "big"))

    def client_data(self, kind: str, challenge: str, lies: dict[str, Any]) -> bytes:
        said = {
            "type": lies.get("type", kind),
            "challenge": lies.get("challenge", challenge),
            "origin": lies.get("origin", self.origin),
            "crossOrigin": lies.get("framed", False),
        }
        return json.dumps(said).encode()

    def credential(self, lies: dict[str, Any], **response: Any) -> dict[str, Any]:
        id_ = encoded(lies.get("id", self.id))
        return {
            "id": id_,
            "rawId": id_,
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {"credProps": {"rk": True}},
            "response": response,
        }


async def ask(client: httpx.AsyncClient, path: str, **given: Any) -> dict[str, Any]:
    answer = await client.post(path, json=given)
    assert answer.status_code == 200, answer.text
    options: dict[str, Any] = answer.json()["data"]["options"]
    return options


async def add(
    client: httpx.AsyncClient, key: Authenticator, name: str | None = "Mine", **lies: Any
) -> httpx.Response:
    """By who has signed in lately."""
    options = await ask(client, "/api/passkeys/options")
    body = {"credential": key.make(options, **lies), "name": name}
    return await client.post("/api/passkeys", json=body)


async def enter_by(client: httpx.AsyncClient, key: Authenticator, **lies: Any) -> httpx.Response:
    options = await ask(client, "/api/session/passkey/options")
    body = {"credential": key.sign(options, **lies)}
    return await client.post("/api/session/passkey", json=body)


async def with_passkey(served: Edge, name: str = "Ada", **how: Any) -> Authenticator:
    key = Authenticator(**how)
    async with browser(served) as client:
        await enter(client, name)
        answer = await add(client, key)
        assert answer.status_code == 201, answer.text
    return key


async def listed(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    return (await client.get("/api/passkeys")).json()["data"]["records"]  # type: ignore[no-any-return]
