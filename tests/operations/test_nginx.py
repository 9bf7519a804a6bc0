"""The nginx of docs/operations.md, as it is shown there, before a `pullse serve`."""

import asyncio
import json
import re
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import trustme
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.cli.program import AUTHORIZED, ROOT, TOKEN, running
from tests.operations.servers import answers, eventually, free_port, needed, open_folder

NGINX = Path("/usr/sbin/nginx")
NAME = "help.example.com"
CLIENT = "127.0.0.2"
"""An address from which no proxy comes, but which reaches loopback."""
AROUND = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/pullse.conf;
}}
"""
JSON = {"content-type": "application/json"}
FACT = {"title": "Help", "description": "It broke."}


class Site(NamedTuple):
    direct: str
    """Past nginx."""
    plain: int
    secure: int
    trust: ssl.SSLContext

    def client(self, *, direct: bool = False, **headers: str) -> httpx.AsyncClient:
        """Somebody at `CLIENT`, who knows the operator's token."""
        base = self.direct if direct else f"https://127.0.0.1:{self.secure}"
        transport = httpx.AsyncHTTPTransport(verify=self.trust, local_address=CLIENT)
        given = {**AUTHORIZED, "host": NAME, **headers}
        return httpx.AsyncClient(
            transport=transport, base_url=base, headers=given, timeout=10, event_hooks=NAMED
        )


async def named(request: httpx.Request) -> None:
    request.extensions["sni_hostname"] = NAME


NAMED: Any = {"request": [named]}


def documented() -> str:
    (block,) = re.findall(r"```nginx\n(.*?)```", (ROOT / "docs/operations.md").read_text(), re.S)
    return str(block)


def moved(block: str, **places: str) -> str:
    """The same at ports and in a folder that a test may use."""
    for shown, ours in places.items():
        assert block.count(shown) >= 1, shown
        block = block.replace(shown, ours)
    return block


@contextmanager
def nginx(folder: Path, behind: int, plain: int, secure: int) -> Iterator[None]:
    places = {
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ssl;": f"listen 127.0.0.1:{secure} ssl;",
        "127.0.0.1:3000;": f"127.0.0.1:{behind};",
        "/etc/pullse/tls/": f"{folder}/",
    }
    (folder / "pullse.conf").write_text(moved(documented(), **places))
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder))
    log = folder / "error.log"
    process = subprocess.Popen(
        [NGINX, "-p", folder, "-e", log, "-c", folder / "nginx.conf"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: answers(secure) or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
async def site(database_url: str) -> AsyncIterator[Site]:
    needed(NGINX, "nginx")
    settings = {
        "DATABASE_URL": database_url,
        "PULLSE_API_TOKEN": TOKEN,
        "PULLSE_SECRET": "a-secret-for-the-tests-of-nginx-alone",
        "PULLSE_HOSTS": NAME,
        "PULLSE_PROXIES": "127.0.0.1",
        "PULLSE_RATE": "2",
    }
    authority = trustme.CA()
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    plain, secure = free_port(), free_port()
    with (
        open_folder() as folder,
        running("serve", "--host", "127.0.0.1", "--port", "0", **settings) as pullse,
    ):
        ours = authority.issue_cert(NAME)
        ours.private_key_pem.write_to_path(folder / "privkey.pem")
        for pem in ours.cert_chain_pems:
            pem.write_to_path(folder / "fullchain.pem", append=True)
        url = await pullse.url()
        with nginx(folder, int(url.rpartition(":")[2]), plain, secure):
            yield Site(url, plain, secure, trust)


async def test_all_goes_through_it(site: Site) -> None:
    """One pullse and one nginx: starting them is what takes time."""
    await check_calls(site)
    await check_names(site)
    await check_addresses(site)
    await check_streams(site)
    await check_web_sockets(site)
    await check_rates(site)


async def check_calls(site: Site) -> None:
    async with site.client() as client:
        made = await client.post("/api/tickets", json=FACT)
        assert made.status_code == 201
        assert made.headers["strict-transport-security"].startswith("max-age=31536000")
        assert len(made.headers.get_list("content-security-policy")) == 1
        config = (await client.get("/api/realtime/config")).json()["data"]["client_options"]
        assert (config["endpoint"], config["tlsPort"]) == (NAME, 443)
        large = await client.post("/api/tickets", json={**FACT, "description": "x" * (1 << 20)})
        assert large.status_code == 413
        whole = await client.post("/api/tickets", content=b" " * (1 << 20), headers=JSON)
        assert (whole.status_code, whole.json()["code"]) == (400, "malformed")
        assert (await client.get("/time")).status_code == 200
    async with httpx.AsyncClient(headers={"host": NAME}) as client:
        away = await client.get(f"http://127.0.0.1:{site.plain}/api/tickets?limit=1")
        assert (away.status_code, away.headers["location"]) == (
            301,
            f"https://{NAME}/api/tickets?limit=1",
        )


async def check_names(site: Site) -> None:
    async with site.client(host="evil.example") as client:
        answer = await client.get("/api/tickets")
        assert (answer.status_code, answer.json()["code"]) == (403, "foreign_host")


async def check_addresses(site: Site) -> None:
    """Whatever the client says of itself, the audit trail has where it came from."""
    lie = {"x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https"}
    for direct in (False, True):
        async with site.client(direct=direct, **lie) as client:
            name = f"Direct {direct}"
            made = await client.post("/api/tokens", json={"name": name, "role": "read_only"})
            assert made.status_code == 201, made.text
            assert ("strict-transport-security" in made.headers) is not direct
            assert await audited(client) == {CLIENT}
    # the proxy itself, whose word counts
    headers = AUTHORIZED | {"host": NAME} | lie
    async with httpx.AsyncClient(base_url=site.direct, headers=headers) as client:
        made = await client.post("/api/tokens", json={"name": "Proxy's", "role": "read_only"})
        assert "strict-transport-security" in made.headers
        assert await audited(client) == {CLIENT, "203.0.113.9"}


async def audited(client: httpx.AsyncClient) -> set[str]:
    """Where those came from who made tokens."""
    rows = (await client.get("/api/audit?name=token.created&limit=200")).json()["data"]["records"]
    return {row["address"] for row in rows}


async def check_streams(site: Site) -> None:
    """A fact arrives while the stream goes on, so nothing waits for a buffer to be full."""
    accept = {"accept": "text/event-stream"}
    async with site.client() as client, client.stream("GET", "/api/events", headers=accept) as got:
        assert got.status_code == 200
        lines = got.aiter_lines()
        await asyncio.wait_for(anext(lines), 5)
        started = time.monotonic()
        await client.post("/api/tickets", json={**FACT, "title": "In time"})
        async with asyncio.timeout(10):
            async for line in lines:
                if line.startswith("data:") and "ticket.created" in line:
                    break
        assert time.monotonic() - started < 5


async def check_web_sockets(site: Site) -> None:
    async with site.client() as client:
        token = (await client.get("/api/realtime/token")).json()["token"]
    path = f"/?v=6&format=json&access_token={token}"
    options: dict[str, Any] = {"ssl": site.trust, "host": "127.0.0.1", "port": site.secure}
    async with connect(f"wss://{NAME}:{site.secure}{path}", proxy=None, **options) as socket:
        connected = json.loads(await asyncio.wait_for(socket.recv(), 10))
        assert connected["action"] == 4
        await socket.send(json.dumps({"action": 10, "channel": "tickets-updates"}))
        async with asyncio.timeout(10):
            while json.loads(await socket.recv())["action"] != 11:
                pass
    with pytest.raises(InvalidStatus) as refused:
        async with connect(
            f"wss://evil.example:{site.secure}{path}",
            proxy=None,
            server_hostname=NAME,
            **options,
        ):
            pass
    assert refused.value.response.status_code == 403


async def check_rates(site: Site) -> None:
    """The setting arrives, and what is told of it; the operator has none."""
    async with site.client() as client:
        new = {"name": "In a hurry", "role": "read_only"}
        token = (await client.post("/api/tokens", json=new)).json()["data"]["token"]
        for _ in range(30):
            answer = await client.get("/api/tickets?limit=1")
            assert (answer.status_code, "ratelimit" in answer.headers) == (200, False)
    async with site.client(authorization=f"Bearer {token}") as client:
        got = [await client.get("/api/tickets?limit=1") for _ in range(60)]
    assert {each.status_code for each in got} == {200, 429}
    assert {each.headers["ratelimit-policy"] for each in got} == {'"default";q=20;w=10'}
    assert {each.headers["retry-after"] for each in got if each.status_code == 429} == {"1"}
