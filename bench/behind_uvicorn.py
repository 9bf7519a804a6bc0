"""Our application, all of it, behind uvicorn instead of granian: `python -m bench.behind_uvicorn`.

Only for the comparison of the two; everything else is as `pullse serve` has it.
"""

import os

import uvicorn
import uvloop

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
    config = uvicorn.Config(
        edge,
        port=port,
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
    )
    try:
        readers = server.readers(found, database, tail)
        async with background.running({"tail": tail.run, **readers}):
            print(f"http://127.0.0.1:{port}", flush=True)
            await uvicorn.Server(config).serve()
            tail.close()
    finally:
        await database.close()


if __name__ == "__main__":
    uvloop.run(main())
