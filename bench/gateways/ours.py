"""The gateway of `pullse serve`: one worker, a key of its own, messages kept in PostgreSQL."""

import base64
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count

from bench import data, servers
from bench.cluster import Base
from bench.gateways.model import Caller, Gateway, Way

FREE = "bench"
MESSAGES = f"/channels/{FREE}/messages"
ACTIVITY = "tickets-activity"
CONNECTED, ATTACHED = '"action":4', '"action":11'


@dataclass(frozen=True)
class Ours:
    """A server, and a key to its gateway."""

    server: servers.Server
    key: str

    def gateway(self, channel: str = FREE) -> Gateway:
        publish = self.change() if channel == ACTIVITY else self.say()
        server = self.server
        return Gateway("pullse", server.url, server.process.pid, self.way(channel), publish)

    def way(self, channel: str) -> Way:
        attach = json.dumps({"action": 10, "channel": channel})
        return Way(self.path, [(CONNECTED, attach), (ATTACHED, "")])

    def way_back(self) -> Way:
        """For who was here: the same connection, from the place where it was cut."""
        attach = {"action": 10, "channel": FREE, "channelSerial": "{serial}", "flags": 32}
        steps = [(CONNECTED, json.dumps(attach)), (ATTACHED, "")]
        return replace(self.way(FREE), path=self.path + "&resume={key}", steps=steps)

    @property
    def path(self) -> str:
        return f"/?v=3&format=json&heartbeats=true&key={self.key}"

    def say(self) -> Callable[[str], None]:
        """Publish on the free channel by REST."""
        call = self.rest().call
        return lambda text: call("POST", MESSAGES, {"name": "note", "data": text})

    def say_all(self) -> Callable[[list[str]], None]:
        """Publish many on the free channel by one call."""
        call = self.rest().call
        return lambda texts: call(
            "POST", MESSAGES, [{"name": "note", "data": text} for text in texts]
        )

    def rest(self) -> Caller:
        credentials = base64.b64encode(self.key.encode()).decode()
        return Caller(self.server.url, {"Authorization": f"Basic {credentials}"})

    def change(self) -> Callable[[str], None]:
        """Change one ticket after the other; the text is part of the title."""
        caller = Caller(self.server.url, {"Authorization": f"Bearer {servers.TOKEN}"})
        numbers = count()

        def change(text: str) -> None:
            ticket = data.ticket_id(next(numbers) % data.TICKETS + 1)
            caller.call("PATCH", f"/api/tickets/{ticket}", {"title": text})

        return change


@contextmanager
def ours(base: Base) -> Iterator[Ours]:
    with servers.ours(base) as server:
        yield Ours(server, new_key(base))


def new_key(base: Base) -> str:
    """For everything, made as a team makes it."""
    with tempfile.TemporaryDirectory(prefix="pullse-bench-") as folder:
        made = subprocess.run(
            [sys.executable, "-m", "pullse", "keys", "create"],
            cwd=folder,
            env=servers.clean(servers.of_team(base)),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    return made.stdout.splitlines()[0]
