"""How a connection begins: who is it, may it come in, and is it somebody who was here?"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pullse.gateway import connections
from pullse.gateway.auth import Credentials
from pullse.gateway.errors import NO_VERSION, UNKNOWN_CONNECTION, Failure
from pullse.gateway.saying import RATE
from pullse.gateway.wire import FRAME_AT_MOST, MESSAGE_AT_MOST, Action, Outgoing

if TYPE_CHECKING:
    from pullse.gateway.connection import Connection


async def greet(connection: Connection) -> None:
    """Who is it, and is it somebody who was here?"""
    credentials = Credentials.read(connection.headers, connection.query)
    connection.headers = {}
    check_version(connection.query.get("v"))
    connection.identity = await connection.gateway.keyring.identify(credentials)
    connection.mind_the_end()
    await connection.sessions.ready()
    error = None
    key = connection.query.get("resume") or connection.query.get("recover")
    is_resumed = key is not None and await resume(connection, key)
    if not is_resumed:
        if key is not None:
            error = Failure(UNKNOWN_CONNECTION, "This connection can't be resumed.")
        connection.id, connection.secret = connections.new_id(), connections.new_secret()
        await connection.sessions.open(connection)
    connection.query = {"heartbeats": connection.query.get("heartbeats", "")}
    await connection.sessions.ready()  # it may have gone to rest meanwhile
    connection.gateway.keyring.check(connection.identity)  # nobody was told meanwhile
    if connection.is_open:
        tell_connected(connection, error)


async def resume(connection: Connection, key: str) -> bool:
    id_, _, secret = key.partition("!")
    # Who recovers is another client: the key of the one before is void from now on.
    fresh = connections.recovering() if "recover" in connection.query else None
    before = await connection.sessions.resume(connection, id_, secret, fresh)
    if before is None:
        return False
    connection.secret = fresh or secret
    return True


def tell_connected(connection: Connection, error: Failure | None = None) -> None:
    details = {
        "connectionKey": f"{connection.id}!{connection.secret}",
        "maxMessageSize": MESSAGE_AT_MOST,
        "maxFrameSize": FRAME_AT_MOST,
        "maxInboundRate": RATE,
        "maxOutboundRate": 1000,
        "connectionStateTtl": connections.TTL * 1000,
        "maxIdleInterval": connection.idle,
        "serverId": "pullse",
    }
    if connection.identity.client_id is not None:
        details["clientId"] = connection.identity.client_id
    connection.send(
        Outgoing(
            Action.CONNECTED,
            connection_id=connection.id,
            connection_details=details,
            timestamp=int(time.time() * 1000),
            error=error.info if error else None,
        )
    )


def check_version(text: str | None) -> None:
    """2 is the first that resumes by channel serials; later ones only add."""
    head = (text or "").partition(".")[0]
    if not (head.isascii() and head.isdigit() and len(head) < 5 and int(head) >= 2):
        raise Failure(NO_VERSION, "v: the version of the protocol, 2 or later.")
