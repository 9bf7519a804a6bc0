"""PostgreSQL's own limit for the statements that our server runs, by pgbench.

The SQL is imported from the application, so the two can't drift apart; here its parameters are
only given values. 8 clients, prepared statements, over the same Unix socket as the server.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.cluster import Base
from bench.load import Failed
from pullse.kit import postgres

CLIENTS = 8


def rate(base: Base, scripts: Sequence[str], *, seconds: float) -> float:
    """Transactions a second, one of the scripts each, connecting not counted.

    Raises when one failed. `:n` is there for scripts that count their own transactions.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [program(), "-n", f"-c{CLIENTS}", "-j2", "-Mprepared", "-Dn=-1"]
        command.append(f"-T{max(1, round(seconds))}")
        for number, script in enumerate(scripts):
            file = Path(folder) / f"{number}.sql"
            file.write_text(script)
            command += ["-f", str(file)]
        done = subprocess.run(
            [*command, base.url], capture_output=True, text=True, timeout=seconds + 60, check=False
        )
    found = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    failed = re.search(r"number of failed transactions: ([1-9]\d*)", done.stdout)
    if done.returncode or not found or failed:
        said = "\n".join(done.stderr.splitlines()[:5])
        raise Failed(f"pgbench, exit status {done.returncode}:\n{said}\n{scripts[0]}")
    return float(found[1])


def script(sql: str, values: Mapping[int, str], *settings: str) -> str:
    """The statement with an SQL expression for each `$n`, behind pgbench's own `\\set` lines."""
    filled = re.sub(r"\$(\d+)", lambda found: values[int(found[1])], sql)
    return "\n".join([*(f"\\set {each}" for each in settings), f"{filled.strip()};\n"])


# The id of the ticket numbered :i, as data.ticket_id makes it.
ID = "CAST('00000000-0000-7000-8000-' || lpad(to_hex(CAST(:i AS bigint)), 12, '0') AS uuid)"


def program() -> str:
    """pgbench from beside the PostgreSQL that runs, else from PATH or Debian's folders."""
    beside = postgres.find().bin / "pgbench"
    if beside.exists():
        return str(beside)
    if on_path := shutil.which("pgbench"):
        return on_path
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/pgbench"))
    if not debian:
        raise Failed("There is no pgbench: on Debian, apt-get install postgresql.")
    return str(debian[-1])
