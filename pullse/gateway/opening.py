"""Real time as a process has it: the gateway, or Ably in its place."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pullse.gateway.auth import Keyring
from pullse.gateway.hub import Hub
from pullse.gateway.rest import SEGMENTS, Rest
from pullse.gateway.sandbox import Sandbox
from pullse.gateway.service import Gateway
from pullse.gateway.sessions import Sessions
from pullse.kit import events
from pullse.kit.db import Database
from pullse.kit.edge import Annex
from pullse.kit.tail import Tail
from pullse.settings import Ably


@dataclass(frozen=True)
class Realtime:
    """What gives out tokens; with `ably`, for Ably, and there is no gateway."""

    keyring: Keyring | None = None
    ably: Ably | None = None
    gateway: Gateway | None = None
    sessions: Sessions | None = None

    @property
    def annex(self) -> Annex | None:
        if self.gateway is None or self.sessions is None:
            return None
        return Annex(Rest(self.gateway), SEGMENTS, self.sessions.accept)

    @property
    def works(self) -> Mapping[str, Callable[[], Any]]:
        """What has to run beside it for as long as the process does."""
        if self.gateway is None or self.sessions is None:
            return {}
        return {"hub": self.gateway.hub.run, "sessions": self.sessions.run}

    def close(self) -> None:
        """Streams end; sockets are told by the server."""
        if self.gateway is not None:
            self.gateway.closing.set()

    async def stop(self) -> None:
        """When the sockets are closed."""
        if self.sessions is not None:
            await self.sessions.stop()


async def opened(
    database: Database, tail: Tail, keyring: Keyring, sandbox: Sandbox | None = None
) -> Realtime:
    """The gateway of this process."""
    async with database.session() as db:
        epoch = (await events.end(db)).epoch
    gateway = Gateway(database, tail, keyring, Hub(database, tail, epoch), sandbox)
    return Realtime(keyring, None, gateway, Sessions(gateway))
