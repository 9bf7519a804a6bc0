"""nchan, a module of nginx, in C: the messages of the last minutes, in memory, for late comers.

Measured where Debian's libnginx-mod-nchan is installed.
"""

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import memory, servers
from bench.gateways.model import Absent, Caller, Gateway, Way
from bench.load import Failed

MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
CONFIGURATION = """
load_module {module};
worker_processes 1;
daemon off;
pid {folder}/pid;
error_log stderr;
worker_rlimit_nofile {files};
events {{ worker_connections {files}; }}
http {{
  access_log off;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    nchan_channel_id bench;
    location = /subscribe {{ nchan_subscriber websocket; nchan_subscriber_first_message newest; }}
    location = /publish {{ nchan_publisher; nchan_message_timeout 2m; }}
  }}
}}
"""
# Said once the handshake is through; there is nothing to ask for.
WAY = Way("/subscribe", [("\r\n\r\n", "")])
PATIENCE = 10.0


@contextmanager
def nchan(files: int) -> Iterator[Gateway]:
    """With that many open files at most. Raises Absent."""
    if not (MODULE.exists() and shutil.which("nginx")):
        raise Absent("nchan is not measured: Debian's libnginx-mod-nchan is not installed.")
    port = servers.free_port()
    with tempfile.TemporaryDirectory(prefix="pullse-bench-") as folder:
        file = Path(folder) / "nginx.conf"
        file.write_text(CONFIGURATION.format(module=MODULE, folder=folder, files=files, port=port))
        with servers.running(["nginx", "-c", str(file)], {}) as (process, log):
            url = f"http://127.0.0.1:{port}"
            pid = worker(process.pid, log)
            caller = Caller(url)
            yield Gateway(
                f"nchan ({version()})",
                url,
                pid,
                WAY,
                lambda text: caller.call("POST", "/publish", {"name": "note", "data": text}),
            )


def worker(master: int, log: Path) -> int:
    """The process that has the connections."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        for pid in memory.processes():
            if memory.parent_of(pid) == master:
                time.sleep(0.2)  # it listens before it is forked, and takes this long at most
                return pid
        time.sleep(0.05)
    raise Failed(f"nginx did not start:\n{log.read_text()}")


def version() -> str:
    told = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr
    found = re.search(r"nginx/([\d.]+)", told)
    return f"nginx {found[1]}" if found else "nginx"
