"""The tests' own net: what a test leaves open is told to that test."""

import asyncio
import contextlib
import ssl
from pathlib import Path

import pytest
import trustme

from tests import sockets


def test_what_is_left_open_is_told_once() -> None:
    async def forget() -> str:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        server.close()
        kept.extend((reader, writer))
        return str(writer.get_extra_info("sockname")[1])

    kept: list[object] = []
    port = asyncio.run(forget())
    with pytest.raises(AssertionError, match=f"left open: .*{port}"):
        sockets.check()
    sockets.check()


def test_a_goodbye_over_tls_is_waited_for(tmp_path: Path) -> None:
    """Asked to close, it waits for the other side's answer, which may come after a test's end."""
    authority, both = trustme.CA(), tmp_path / "both.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(both)
    ours, theirs = ssl.create_default_context(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.configure_trust(ours)
    theirs.load_cert_chain(both)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    async def hang_up() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=theirs)
        address = server.sockets[0].getsockname()
        _, writer = await asyncio.open_connection(*address, ssl=ours, server_hostname="localhost")
        server.close()
        writer.close()

    asyncio.run(hang_up())
    sockets.check()
