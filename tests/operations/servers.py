"""PostgreSQL on TCP with passwords and TLS, PgBouncer before it, and pullse, as processes."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import pytest
import trustme

from pullse.kit.postgres import Account

DEBIAN = Path("/usr/lib/postgresql/15/bin")
PGBOUNCER = Path("/usr/sbin/pgbouncer")
PASSWORD = "p:a/s s@w%r?d"
OVER_TLS, PLAIN = "tls_only", "plain"


def needed(program: Path, package: str) -> None:
    if program.exists():
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{program} is missing; CI installs {package}")
    pytest.skip(f"{program} is missing (apt install {package})")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def eventually(what: Callable[[], object], seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.02)


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextmanager
def open_folder() -> Iterator[Path]:
    """One that the account of PostgreSQL can reach; pytest's own is closed when root runs it."""
    folder = Path(tempfile.mkdtemp(prefix="pullse-test-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Server:
    """
    PostgreSQL 15 that listens on TCP, and wants a password by SCRAM.

    The role `tls_only` may come in over TLS alone, as at Supabase; the role `plain` either way.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.data = folder / "data"
        self.account = Account.owning(self.data)
        self.authority, self.stranger = folder / "ca.pem", folder / "stranger.pem"
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.data.mkdir(mode=0o700)
        self.account.give(self.data)
        initdb = [DEBIAN / "initdb", "-D", self.data, "-U", "postgres", "-E", "UTF8", "-N"]
        status, _, said = self.account.run([*initdb, "--locale=C.UTF-8", "-A", "trust"])
        assert status == 0, said
        self._certify()
        (self.data / "pg_hba.conf").write_text(
            "local   all all            trust\n"
            f"hostssl all {OVER_TLS} 127.0.0.1/32 scram-sha-256\n"
            f"host    all {PLAIN} 127.0.0.1/32 scram-sha-256\n"
        )
        self.start()
        roles = "".join(f"CREATE ROLE {r} LOGIN PASSWORD '{PASSWORD}';" for r in (OVER_TLS, PLAIN))
        self.sql(roles)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _certify(self) -> None:
        ours, other = trustme.CA(), trustme.CA()
        ours.cert_pem.write_to_path(self.authority)
        other.cert_pem.write_to_path(self.stranger)
        certificate = ours.issue_cert("localhost")
        for name, blobs in (
            ("server.key", [certificate.private_key_pem]),
            ("server.crt", certificate.cert_chain_pems),
        ):
            path = self.data / name
            path.write_bytes(b"".join(blob.bytes() for blob in blobs))
            path.chmod(0o600)
            self.account.give(path)

    def start(self) -> None:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.data),
            "ssl": "on",
            "max_connections": "60",
            "shared_buffers": "32MB",
            "checkpoint_timeout": "1h",
        }
        command: list[str | Path] = [DEBIAN / "postgres", "-D", self.data]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        log = (self.folder / "postgres.log").open("ab")
        with log:
            self._process = self.account.popen(command, stdout=log.fileno(), stderr=log.fileno())
        eventually(lambda: self._psql("SELECT 1", "postgres").returncode == 0, 20)

    def stop(self, number: int = signal.SIGINT) -> None:
        if self._process:
            self._process.send_signal(number)
            self._process.wait(20)
            self._process = None

    def sql(self, statement: str, database: str = "postgres") -> str:
        """As its administrator."""
        done = self._psql(statement, database)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _psql(self, statement: str, database: str) -> subprocess.CompletedProcess[str]:
        words = [DEBIAN / "psql", "-XAtq", "-h", self.data, "-p", str(self.port), "-U", "postgres"]
        status, out, said = self.account.run([*words, "-d", database, "-c", statement])
        return subprocess.CompletedProcess([], status, out, said)

    def create(self, name: str, owner: str = PLAIN) -> str:
        """A new database's name."""
        self.sql(f"CREATE DATABASE {name} OWNER {owner}")
        return name

    def url(self, name: str, role: str = PLAIN, host: str = "localhost", **query: str) -> str:
        asked = "&".join(f"{key}={quote(value, safe='')}" for key, value in query.items())
        secret = quote(PASSWORD, safe="")
        return f"postgresql://{role}:{secret}@{host}:{self.port}/{name}" + (asked and f"?{asked}")


class Pooler:
    """PgBouncer in transaction mode, with the settings that it comes with."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.port = free_port()
        self.authority = server.authority
        self._server = server
        self._folder = folder / f"pgbouncer-{self.port}"
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        account = self._server.account
        self._folder.mkdir()
        self._folder.chmod(0o755)
        users, config = self._folder / "users.txt", self._folder / "pgbouncer.ini"
        users.write_text(f'"{PLAIN}" "{PASSWORD}"\n')
        config.write_text(
            "[databases]\n"
            f"* = host=127.0.0.1 port={self._server.port}\n"
            "[pgbouncer]\n"
            "pool_mode = transaction\n"
            "default_pool_size = 8\n"
            "listen_addr = 127.0.0.1\n"
            f"listen_port = {self.port}\n"
            "unix_socket_dir =\n"
            "auth_type = scram-sha-256\n"
            f"auth_file = {users}\n"
        )
        log = (self._folder / "pgbouncer.log").open("ab")
        with log:
            self._process = account.popen(
                [PGBOUNCER, config], stdout=log.fileno(), stderr=log.fileno()
            )
        eventually(lambda: answers(self.port))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    def url(self, name: str, query: str = "?pgbouncer=true") -> str:
        secret = quote(PASSWORD, safe="")
        return f"postgresql://{PLAIN}:{secret}@127.0.0.1:{self.port}/{name}{query}"


class Product:
    """`pullse …` as a user starts it, in a folder without .env and without our environment."""

    def __init__(self, folder: Path, *words: str, **settings: str) -> None:
        self.url = ""
        self._log = folder / f"pullse-{time.monotonic_ns()}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pullse", *(words or ("dev", "--port", "0"))],
                cwd=folder,
                env={"PATH": os.defpath, "HOME": str(folder), **settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def __enter__(self) -> Self:
        try:
            eventually(lambda: "API  " in self.said or self.process.poll() is not None, 30)
            assert self.process.poll() is None, self.said
        except BaseException:
            self.stop()
            raise
        self.url = self.said.partition("serves on ")[2].split()[0]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
            if self.process.poll() is None:
                self.process.kill()
        return self.process.wait()


def pullse(folder: Path, *words: str, **settings: str) -> tuple[int, str]:
    """Exit status and output of a command that ends by itself."""
    done = Product(folder, *words, **settings)
    try:
        return done.process.wait(60), done.said
    finally:
        done.stop()
