"""
Lets PostgreSQL's own programs reach a database just as the driver does, TLS included.

The programs that come with the wheel know no TLS. So they talk to a socket in a private
folder, and what they say goes on from here over the connection that the URL asks for.
"""

import asyncio
import os
import shutil
import socket
import ssl
import struct
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from pullse.kit.db import Endpoint

PORT = 5432  # names the socket file
TLS_PLEASE = struct.pack("!ii", 8, 80877103)
CHUNK = 1 << 18
AUTHENTICATION, PASSED, SASL = b"R", 0, 10
TIED_TO_TLS = b"SCRAM-SHA-256-PLUS"

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def environment(endpoint: Endpoint) -> AsyncIterator[dict[str, str]]:
    """What libpq needs to know; the password is in it, so that no command line shows it."""
    given = {
        "PATH": os.defpath,
        "LC_ALL": "C",
        "PGUSER": endpoint.user,
        "PGDATABASE": endpoint.database,
        "PGOPTIONS": endpoint.options,
        "PGAPPNAME": "pullse backup",
        "PGCONNECT_TIMEOUT": "15",
        "PGSSLMODE": "disable",
        "PGGSSENCMODE": "disable",
    }
    if endpoint.password is not None:
        given["PGPASSWORD"] = endpoint.password
    if endpoint.tls is None:
        yield given | {"PGHOST": endpoint.host, "PGPORT": str(endpoint.port)}
        return
    folder = tempfile.mkdtemp(prefix="pullse-")  # open to its owner alone
    try:
        path = Path(folder) / f".s.PGSQL.{PORT}"
        async with Bridge(endpoint).listening(path):
            yield given | {"PGHOST": folder, "PGPORT": str(PORT)}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Bridge:
    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._talks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self, path: Path) -> AsyncIterator[None]:
        server = await asyncio.start_unix_server(self._accept, path)
        try:
            yield
        finally:
            server.close()
            if self._talks:  # the program is gone, so they are about to end
                await asyncio.wait(self._talks, timeout=5)
            for talk in self._talks:
                talk.cancel()
            await asyncio.gather(*self._talks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.ensure_future(self._talk((reader, writer)))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _talk(self, program: Streams) -> None:
        """Both ways until one side ends; what was said before is still handed over."""
        try:
            with suppress(OSError, ssl.SSLError, asyncio.IncompleteReadError):
                server = await dial(self._endpoint)
                try:
                    await either_way(program, server)
                finally:
                    await hang_up(server[1])
        finally:
            await hang_up(program[1])


async def dial(endpoint: Endpoint) -> Streams:
    """Raises OSError or ssl.SSLError."""
    connected = await asyncio.to_thread(
        socket.create_connection, (endpoint.host, endpoint.port), 10
    )
    try:
        connected.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(connected, TLS_PLEASE)
        async with asyncio.timeout(10):
            answer = await loop.sock_recv(connected, 1)
        if answer != b"S" and endpoint.tls_is_needed:
            raise ConnectionError("the server has no TLS")
        if answer != b"S":
            return await asyncio.open_connection(sock=connected)
        return await asyncio.open_connection(
            sock=connected, ssl=endpoint.tls, server_hostname=endpoint.host
        )
    except BaseException:
        connected.close()
        raise


async def either_way(program: Streams, server: Streams) -> None:
    ways = [
        asyncio.ensure_future(pass_on(program[0], server[1])),
        asyncio.ensure_future(answers(server[0], program[1])),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def answers(server: asyncio.StreamReader, program: asyncio.StreamWriter) -> None:
    """
    Until the program is let in, message by message.

    The kind of authentication that is tied to the TLS connection is not offered to it, since
    its own connection has none; the driver does without it too.
    """
    is_in = False
    while not is_in:
        kind, length = struct.unpack("!ci", await server.readexactly(5))
        body = await server.readexactly(length - 4)
        if kind == AUTHENTICATION:
            code = struct.unpack("!i", body[:4])[0]
            is_in = code == PASSED
            if code == SASL:
                body = body.replace(TIED_TO_TLS + b"\0", b"", 1)
        program.write(struct.pack("!ci", kind, len(body) + 4) + body)
        await program.drain()
    await pass_on(server, program)


async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while chunk := await source.read(CHUNK):
        target.write(chunk)
        await target.drain()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """After what was written has left; at once when it can't within 5 s."""
    writer.close()
    try:
        with suppress(OSError, ssl.SSLError, TimeoutError):
            async with asyncio.timeout(5):
                await writer.wait_closed()
    finally:
        writer.transport.abort()
