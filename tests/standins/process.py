"""A stand-in for Ably as a process of its own, to be told to fail, killed and started again."""

import json
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
KEY = "app.key:secret"


class Ably:
    """Ends with its block. `messages` are what it holds, oldest first."""

    def __init__(
        self, folder: Path, *, key: str = KEY, tls: Path | None = None, trust: Path | None = None
    ) -> None:
        self.port = free_port()
        self._folder = folder
        self._key = key
        self._tls = tls
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if trust is not None:
            context = ssl.create_default_context(cafile=str(trust))
            handlers.append(urllib.request.HTTPSHandler(context=context))
        self._opener = urllib.request.build_opener(*handlers)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Ably":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.standins.ably", "--port", str(self.port)]
        command += ["--state", str(self._folder / "ably.jsonl"), "--key", self._key]
        command += ["--tls", str(self._tls)] if self._tls else []
        with (self._folder / "ably.log").open("ab") as output:
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdout=output, stderr=output, stdin=subprocess.DEVNULL
            )
        until = time.monotonic() + 20
        while True:
            try:
                self.call("GET", "/time")
            except OSError:
                if time.monotonic() > until or self._process.poll() is not None:
                    raise
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        """With -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def forget(self) -> None:
        """As new: holds nothing, fails never, knows its first key."""
        if self._process is None:
            self.start()
        self.call("POST", "/control/forget", self._key)

    def fail(self, how: str, **more: Any) -> None:
        """`how` is one of StandIn.publish; `more` are channel, times, skip and seconds."""
        self.call("POST", "/control/faults", [{"how": how, **more}])

    def be_well(self) -> None:
        self.call("DELETE", "/control/faults")

    def set_key(self, key: str) -> None:
        self.call("POST", "/control/key", key)

    def set_capability(self, capability: dict[str, list[str]]) -> None:
        self.call("POST", "/control/capability", capability)

    def messages(self, channel: str | None = None) -> list[dict[str, Any]]:
        found = self.call("GET", "/control/messages")["messages"]
        return [each for each in found if channel in (None, each["channel"])]

    @property
    def repeats(self) -> int:
        """How many messages came again with an id that is known, since the last start."""
        return int(self.call("GET", "/control/messages?after=1000000000")["repeats"])

    def call(self, method: str, path: str, body: Any = None) -> Any:
        scheme = "https" if self._tls else "http"
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{scheme}://127.0.0.1:{self.port}{path}", content, method=method
        )
        with self._opener.open(request, timeout=30) as response:
            return json.loads(response.read())


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
