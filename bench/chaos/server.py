"""The `pullse dev` that is killed: started as anybody would, killed only by its own ids."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from tests.standins.process import KEY, free_port

ROOT = Path(__file__).parents[2]
READY_WITHIN = 60.0
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Server:
    def __init__(self, folder: Path, ably_port: int) -> None:
        self.port = free_port()
        self._data = folder / "data"
        self._log = folder / "pullse.log"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PULLSE_", "ABLY_", "SUPABASE_", "DATABASE_"))
            and name != "PORT"
        }
        self._environment = clean | {
            "PYTHONPATH": str(ROOT),
            "ABLY_API_KEY": KEY,
            "PULLSE_ABLY_HOST": "127.0.0.1",
            "PULLSE_ABLY_PORT": str(ably_port),
            "PULLSE_ABLY_TLS": "false",
        }

    def start(self) -> None:
        """Returns at once; `wait` waits."""
        command = [sys.executable, "-m", "pullse", "dev", "--port", str(self.port)]
        command += ["--data-dir", str(self._data)]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait(self) -> float:
        """Seconds until it is ready; raises if it does not come."""
        started = time.monotonic()
        while True:
            with suppress(OSError):
                url = f"http://127.0.0.1:{self.port}/health/ready"
                with OPENER.open(url, timeout=5) as answer:
                    if answer.status == 200:
                        return time.monotonic() - started
            if self._process is None or self._process.poll() is not None:
                raise SystemExit(f"The server ended by itself:\n{self.log()}")
            if time.monotonic() - started > READY_WITHIN:
                raise SystemExit(f"Not ready after {READY_WITHIN:.0f} s:\n{self.log()}")
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def kill_postgres(self) -> bool:
        """The postmaster of our own data directory; False when it is not there right now."""
        folder = self._data / "postgres"
        try:
            lines = (folder / "postmaster.pid").read_text().splitlines()
            pid, command = int(lines[0]), Path(f"/proc/{lines[0]}/cmdline").read_bytes()
        except (OSError, ValueError, IndexError):
            return False
        if Path(lines[1]) != folder.resolve() or str(folder).encode() not in command:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return True

    def stop(self) -> bool:
        """Gracefully; say whether nothing of it is left after 5 s."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        until = time.monotonic() + 5
        while self.left_over() and time.monotonic() < until:
            time.sleep(0.1)
        return not self.left_over()

    def left_over(self) -> list[int]:
        """Processes whose command names our data directory."""
        found = []
        for folder in Path("/proc").iterdir():
            with suppress(OSError):
                if (
                    folder.name.isdigit()
                    and str(self._data).encode() in (folder / "cmdline").read_bytes()
                ):
                    found.append(int(folder.name))
        return found

    def log(self) -> str:
        return self._log.read_text(errors="replace")[-3000:]
