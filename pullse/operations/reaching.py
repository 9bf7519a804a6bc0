"""One connection for an operator's tool; when it can't be had, a sentence on why and what to do."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pullse.errors import Refusal
from pullse.kit.db import Address, Db, connect

SAYINGS = {
    "28P01": ("The password or the user is wrong.", "Correct the user and password in {name}."),
    "28000": (
        "The server lets this user in only in another way ({said}).",
        "Add ?sslmode=require to {name}, or allow this machine in the server's pg_hba.conf.",
    ),
    "3D000": ("There is no such database.", "Create it (CREATE DATABASE …), or correct {name}."),
    "53300": ("All of its connections are in use.", "Raise max_connections or use a pooler."),
    "57P03": ("The server is starting up or shutting down.", "Try again in a moment."),
    "42704": (
        "The server doesn't know an option that is in the URL ({said}).",
        "Remove that option from {name}: it belongs to another driver.",
    ),
}


class Unreachable(Exception):
    """`remedy` says what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


@asynccontextmanager
async def reached(address: Address, name: str = "DATABASE_URL") -> AsyncIterator[tuple[Db, Any]]:
    """Raises `Unreachable`. `name` is the setting that the address comes from."""
    try:
        connection = await connect(address)
    except Exception as error:
        raise unreachable(error, name) from error
    try:
        yield Db(connection), connection
    finally:
        connection.terminate()


def explained(refusal: Refusal, name: str = "DATABASE_URL") -> Refusal:
    """The same for an operator: what callers of the API are not told."""
    cause = refusal.__cause__
    if not isinstance(cause, Exception):
        return refusal
    found = unreachable(cause, name)
    return Refusal(f"The database: {found} {found.remedy}")


def unreachable(error: Exception, name: str) -> Unreachable:
    """The driver's errors are known by their code and by what the system says."""
    said = " ".join(str(error).split())
    if "startup parameter" in said:
        return Unreachable(
            f"A transaction pooler answers there ({said}).",
            f"Add pgbouncer=true to the query of {name}, and set DATABASE_DIRECT_URL to the "
            "server itself.",
        )
    if found := SAYINGS.get(str(getattr(error, "sqlstate", ""))):
        text, remedy = found
        return Unreachable(text.format(said=said), remedy.format(name=name))
    if isinstance(error, ssl.SSLCertVerificationError):
        return Unreachable(
            f"The server's certificate can't be trusted ({error.verify_message}).",
            f"Give the file of its certificate authority in {name} (sslrootcert=…), and its name "
            "as the certificate has it.",
        )
    if "rejected SSL" in said:
        return Unreachable(
            "The server has no TLS, and it is asked for.",
            f"Turn TLS on at the server, or remove sslmode from {name}.",
        )
    if isinstance(error, FileNotFoundError):
        return Unreachable(
            "A file that the URL names is not there (sslrootcert, sslcert, a socket's folder).",
            f"Correct its path in {name}.",
        )
    if isinstance(error, TimeoutError):
        said = "no answer within 10 s"
    return Unreachable(
        f"It can't be reached ({said or type(error).__name__}).",
        f"See that the server runs, that {name} has its address, and that no firewall is between.",
    )
