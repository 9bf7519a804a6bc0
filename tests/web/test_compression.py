"""What is sent small, to whom, and what never is."""

import gzip
import re

import pytest

from pullse.kit import compression
from pullse.kit.db import Database
from pullse.kit.edge import Edge
from pullse.web.frame import ASSETS
from tests.access.sign_in import hire_with_password
from tests.web.visiting import send, sign_in, visitor


@pytest.mark.parametrize(
    ("accept", "takes"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("br, gzip, deflate", True),
        ("GZIP", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("identity", False),
        ("*", True),
        ("*;q=0", False),
        ("*, gzip;q=0", False),
        ("gzip;q=x", False),
        ("\xff", False),
        (",;=" * 1000, False),
    ],
)
def test_who_takes_it_small(accept: str | None, takes: bool) -> None:
    assert compression.takes_gzip(accept) == takes


async def test_a_page_is_sent_small_to_who_takes_it(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada")
    async with visitor(served, **{"Accept-Encoding": "identity"}) as client:
        await sign_in(client)
        whole = await client.get("/account")
        assert "content-encoding" not in whole.headers
        assert whole.headers["vary"] == "accept-encoding"
        small = await client.get("/account", headers={"Accept-Encoding": "gzip"})
        assert small.headers["content-encoding"] == "gzip"
        assert small.headers["vary"] == "accept-encoding"
        assert int(small.headers["content-length"]) < len(whole.content) / 2
        assert "</html>" in small.text


@pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense"])
async def test_a_page_that_another_site_asks_for_tells_nothing_by_its_size(
    site: str, served: Edge, database: Database
) -> None:
    await hire_with_password(database, "Ada")
    async with visitor(served, **{"Accept-Encoding": "gzip"}) as client:
        await sign_in(client)
        answer = await client.get("/account", headers={"Sec-Fetch-Site": site})
        assert answer.status_code == 200
        assert "content-encoding" not in answer.headers


async def test_what_is_shown_once_is_sent_as_it_is(served: Edge, database: Database) -> None:
    await hire_with_password(database, "Ada")
    async with visitor(served, **{"Accept-Encoding": "gzip"}) as client:
        await sign_in(client)
        answer = await send(client, "/account/tokens", {"name": "x", "expires": "30"})
        assert 'id="once"' in answer.text
        assert "content-encoding" not in answer.headers


async def test_an_asset_is_the_same_small_or_whole(served: Edge) -> None:
    async with visitor(served, **{"Accept-Encoding": "identity"}) as client:
        for name in ("pullse.css", "pullse.js", "icons.svg", "http.js"):
            address = ASSETS.address(name)
            whole = await client.get(address)
            assert "content-encoding" not in whole.headers
            async with client.stream("GET", address, headers={"Accept-Encoding": "gzip"}) as answer:
                raw = b"".join([each async for each in answer.aiter_raw()])
                assert answer.headers["content-encoding"] == "gzip"
                assert answer.headers["vary"] == "accept-encoding"
                assert gzip.decompress(raw) == whole.content
                assert len(raw) < len(whole.content)


async def test_what_a_script_imports_is_asked_for_at_once(served: Edge) -> None:
    """Not only after the script has come, and only what is there."""
    for name in ASSETS.names:
        if name.endswith(".js") and name != "pullse.js":
            for other in ASSETS.imports([name]):
                assert ASSETS.address(other)
    assert {"http.js", "keys.js"} <= set(ASSETS.imports(["command-palette.js"]))
    written = re.findall(r"from '\./([\w-]+\.js)'", ASSETS.text("command-palette.js"))
    assert set(written) <= set(ASSETS.imports(["command-palette.js"]))
