"""
A stand-in for Ably's REST publish endpoint, after the protocol facts in Ably's public docs.

    python -m tests.standins.ably --port 9000 --state FILE [--key app.key:secret] [--tls PEM]

Checks keys and tokens, drops repeated ids, keeps the order, and holds what it accepted
through kill -9. Under /control it is told to fail, and says what it holds.
"""

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import ssl
import time
from pathlib import Path
from typing import Any

import msgpack

from tests.standins.http import Cut, Request, Response, serve, wire
from tests.standins.journal import Journal

JSON, MSGPACK = "application/json", "application/x-msgpack"
MESSAGE_AT_MOST = 65_536
TOKEN_LIVES = 3600.0
FOR_EVER = 3600.0
CAPABILITY = {"*": ["*"]}


class Refused(Exception):
    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class StandIn:
    def __init__(self, journal: Journal, key: str) -> None:
        self.journal = journal
        self.key = key
        self.capability: dict[str, list[str]] = CAPABILITY
        self.faults: list[dict[str, Any]] = []

    async def handle(self, request: Request) -> Response:
        try:
            if request.path.startswith("/control/"):
                return answer(request, 200, self.control(request))
            if request.path == "/time":
                return answer(request, 200, [int(time.time() * 1000)])
            _, collection, name, action = request.path.split("/")
            if (request.method, collection, action) == ("POST", "keys", "requestToken"):
                return answer(request, 201, self.token(name, decoded(request)))
            if (request.method, collection, action) == ("POST", "channels", "messages"):
                return await self.publish(request, name)
            raise Refused(404, 40400, "No such route")
        except Refused as no:
            error = {"message": str(no), "code": no.code, "statusCode": no.status}
            return answer(request, no.status, {"error": error})
        except ValueError as error:
            told = {"message": f"Bad request: {error}", "code": 40000, "statusCode": 400}
            return answer(request, 400, {"error": told})

    # -- publishing --

    async def publish(self, request: Request, channel: str) -> Response:
        self.authenticate(request.headers.get("authorization", ""), channel)
        fault = self.next_fault(channel)
        how, seconds = fault.get("how"), float(fault.get("seconds", FOR_EVER))
        match how:
            case "cut_before":
                raise Cut
            case "hang_before" | "slow":
                await asyncio.sleep(seconds)
            case "401":
                raise Refused(401, 40101, "Invalid credentials")
            case "403":
                raise Refused(401, 40160, "Action not permitted")
            case "500" | "503" | "429":
                raise Refused(int(how), int(how) * 100, "Told to fail")
            case "html":
                return Response(200, "text/html", b"<h1>Please log in to this network</h1>")
        accepted = answer(request, 201, self.accept(channel, decoded(request)))
        match how:
            case "hang_after":
                await asyncio.sleep(seconds)
            case "cut_after":
                raise Cut
            case "cut_halfway":
                raise Cut(wire(accepted)[:-10])
            case "500_after":
                raise Refused(500, 50000, "Failed after accepting")
        return accepted

    def accept(self, channel: str, body: Any) -> dict[str, Any]:
        messages = body if isinstance(body, list) else [body]
        ids = [message.get("id") for message in messages]
        base = (ids[0] or "").rpartition(":")[0]
        if len(ids) > 1 and ids != [f"{base}:{index}" for index in range(len(ids))]:
            raise Refused(400, 40031, "Invalid publish request (invalid client-specified id)")
        for message in messages:
            size = len((message.get("name") or "").encode()) + len(sized(message.get("data")))
            if size > MESSAGE_AT_MOST:
                raise Refused(400, 40009, f"Maximum message length exceeded ({size})")
        now = int(time.time() * 1000)
        serials = [
            self.journal.add(
                {
                    "channel": channel,
                    "id": message.get("id") or f"{time.time_ns()}",
                    "name": message.get("name"),
                    "data": message.get("data"),
                    "encoding": message.get("encoding"),
                    "timestamp": now,
                }
            )
            for message in messages
        ]
        return {"channel": channel, "messageId": ids[0], "serials": serials}

    def next_fault(self, channel: str) -> dict[str, Any]:
        """The first that is for this channel, taken off once it happened as often as it should."""
        for fault in self.faults:
            if fault.get("channel") in (None, channel):
                if fault.get("skip", 0) > 0:
                    fault["skip"] -= 1
                    return {}
                fault["times"] = fault.get("times", 1) - 1
                if fault["times"] <= 0:
                    self.faults.remove(fault)
                return fault
        return {}

    # -- who may --

    def authenticate(self, header: str, channel: str) -> None:
        kind, _, given = header.partition(" ")
        try:
            credential = base64.b64decode(given).decode()
        except ValueError:
            credential = ""
        if kind == "Basic":
            if not hmac.compare_digest(credential, self.key):
                raise Refused(401, 40101, "Invalid credentials")
        elif kind == "Bearer":
            self.check_token(credential)
        else:
            raise Refused(401, 40101, "No authentication information provided")
        operations = [*self.capability.get(channel, ()), *self.capability.get("*", ())]
        if "*" not in operations and "publish" not in operations:
            raise Refused(401, 40160, "Action not permitted")

    def token(self, name: str, wanted: dict[str, Any]) -> dict[str, Any]:
        """Answer a signed TokenRequest (RSA9): each field and a newline, under the key's secret."""
        own, _, secret = self.key.partition(":")
        fields = ("keyName", "ttl", "capability", "clientId", "timestamp", "nonce")
        signed = "".join(f"{wanted.get(field) or ''}\n" for field in fields)
        mac = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
        if name != own or wanted.get("mac") != base64.b64encode(mac).decode():
            raise Refused(401, 40101, "Invalid credentials")
        if abs(time.time() * 1000 - wanted["timestamp"]) > 120_000:
            raise Refused(401, 40104, "Timestamp not current")
        now = time.time()
        return {
            "token": self.signed(int(now + TOKEN_LIVES)),
            "keyName": own,
            "issued": int(now * 1000),
            "expires": int((now + TOKEN_LIVES) * 1000),
            "capability": json.dumps(self.capability),
        }

    def check_token(self, token: str) -> None:
        """Tokens outlive a restart: they carry their end and a signature, not a place in memory."""
        expires = token.rpartition("!")[0].rpartition("!")[2]
        if not expires.isdigit() or not hmac.compare_digest(self.signed(int(expires)), token):
            raise Refused(401, 40140, "Token not recognised")
        if int(expires) < time.time():
            raise Refused(401, 40142, "Token expired")

    def signed(self, expires: int) -> str:
        mac = hmac.new(self.key.encode(), str(expires).encode(), hashlib.sha256).hexdigest()
        return f"{self.key.partition(':')[0]}!{expires}!{mac}"

    # -- the control door --

    def control(self, request: Request) -> Any:
        match request.method, request.path.removeprefix("/control/"):
            case "POST", "forget":
                self.journal.clear()
                self.faults.clear()
                self.key, self.capability = json.loads(request.body), CAPABILITY
            case "POST", "faults":
                self.faults += json.loads(request.body)
            case "DELETE", "faults":
                self.faults.clear()
            case "POST", "key":
                self.key = json.loads(request.body)
            case "POST", "capability":
                self.capability = json.loads(request.body)
            case "GET", "messages":
                after = int(request.query.get("after", "0"))
                return {"messages": self.journal.messages[after:], "repeats": self.journal.repeats}
            case _:
                raise Refused(404, 40400, "No such route")
        return {"faults": self.faults}


def decoded(request: Request) -> Any:
    if request.headers.get("content-type") == MSGPACK:
        return msgpack.unpackb(request.body)
    return json.loads(request.body)


def sized(data: Any) -> bytes:
    if isinstance(data, bytes):
        return data
    return (data if isinstance(data, str) else json.dumps(data)).encode()


def answer(request: Request, status: int, body: Any) -> Response:
    if request.headers.get("accept", "").startswith(MSGPACK):
        return Response(status, MSGPACK, msgpack.packb(body))
    return Response(status, JSON, json.dumps(body).encode())


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.standins.ably")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--key", default="app.key:secret")
    parser.add_argument("--tls", type=Path, help="certificate and private key in one file")
    given = parser.parse_args()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if given.tls else None
    if tls:
        tls.load_cert_chain(given.tls)
    stand_in = StandIn(Journal(given.state), given.key)
    async with await serve(stand_in.handle, given.port, tls=tls) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
