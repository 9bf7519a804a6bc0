"""Socket.IO on Node, as its documentation has it: a room, and an HTTP call that emits to it.

It keeps messages in memory alone and loses them for whoever is away. npm fetches it.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import servers
from bench.gateways.model import Absent, Caller, Gateway, Way

VERSION = "4.8.4"
PROGRAM = Path(__file__).with_name("socket_io.mjs")
# Engine.IO: 0 opens, 2 asks whether we are here, 3 says so; 40 connects.
WAY = Way("/socket.io/?EIO=4&transport=websocket", [("0{", "40"), ("40{", "")], replies={"2": "3"})


@contextmanager
def socket_io() -> Iterator[Gateway]:
    """Raises Absent."""
    if not (shutil.which("node") and shutil.which("npm")):
        raise Absent("Socket.IO is not measured: node and npm are not installed.")
    with tempfile.TemporaryDirectory(prefix="pullse-bench-") as folder:
        fetch(folder)
        shutil.copy(PROGRAM, folder)
        command = ["node", str(Path(folder) / PROGRAM.name)]
        with servers.running(command, {"NODE_ENV": "production"}) as (process, log):
            url = servers.printed_address(process, log)
            caller = Caller(url)
            yield Gateway(
                f"Socket.IO {VERSION}",
                url,
                process.pid,
                WAY,
                lambda text: caller.call("POST", "/publish", {"name": "note", "data": text}),
            )


def fetch(folder: str) -> None:
    try:
        subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", f"socket.io@{VERSION}"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=180,
            check=True,
        )
    except (subprocess.SubprocessError, OSError) as problem:
        raise Absent(f"Socket.IO is not measured: npm could not fetch it ({problem}).") from problem
