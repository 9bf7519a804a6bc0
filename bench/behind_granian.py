"""Our application, all of it, behind granian instead of uvicorn: `python -m bench.behind_granian`.

Only for the comparison of the two; everything else is as `pullse serve` has it.
"""

import asyncio
import os
import signal

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from bench.servers import TOKEN, free_port
from pullse import app, server, settings
from pullse.kit import background
from pullse.kit.db import open_database
from pullse.kit.guard import BearerToken
from pullse.kit.tail import Tail


async def main() -> None:
    found = settings.load()
    database = await open_database(os.environ["DATABASE_URL"], size=found.pool_size)
    tail = Tail(database)
    edge = app.build(database, tail, BearerToken(TOKEN))
    port = free_port()
    granian = Server(
        edge, port=port, interface=Interfaces.ASGINL, http=HTTPModes.http1, log_enabled=False
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, granian.stop)
    try:
        readers = server.readers(found, database, tail)
        async with background.running({"tail": tail.run, **readers}):
            print(f"http://127.0.0.1:{port}", flush=True)
            await granian.serve()
            tail.close()
    finally:
        await database.close()


if __name__ == "__main__":
    uvloop.run(main())
