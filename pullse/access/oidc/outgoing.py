"""
Calls to providers: short, small, and to the address that was named alone.

No redirect is followed, nothing is unpacked, and whatever goes wrong is `Failed`, whose text is
for the log: a provider's words never get to a browser.
"""

import asyncio
import re
from functools import cache
from ssl import SSLContext
from typing import Any

import httpx
import msgspec

from pullse.kit.db import Struct

PATIENCE = 8.0
"""Seconds for a whole answer."""
AT_MOST = 256 * 1024
"""Bytes of an answer."""


class Failed(Exception):
    """A provider can't be reached, or what it answers makes no sense."""


class Answered(Struct, frozen=True):
    status: int
    body: bytes

    def read(self) -> dict[str, Any]:
        """The JSON object that it is. Raises `Failed`."""
        try:
            found = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Failed("its answer is not JSON") from error
        if not isinstance(found, dict):
            raise Failed("its answer is not a JSON object")
        return found


async def get(url: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """Raises `Failed`, also for any status but 200."""
    answered = await call("GET", url, headers)
    if answered.status != 200:
        raise Failed(f"{url} answered {answered.status}")
    return answered.read()


async def call(
    method: str,
    url: str,
    headers: dict[str, str] | None = None,
    form: dict[str, str] | None = None,
) -> Answered:
    """Raises `Failed`."""
    sent = {"Accept": "application/json", "Accept-Encoding": "identity", **(headers or {})}
    body = bytearray()
    try:
        async with (
            asyncio.timeout(PATIENCE),
            httpx.AsyncClient(verify=authorities(), timeout=PATIENCE) as client,
            client.stream(method, url, headers=sent, data=form) as response,
        ):
            async for part in response.aiter_raw():
                body += part
                if len(body) > AT_MOST:
                    raise Failed(f"{url} answered more than {AT_MOST // 1024} KiB")
            return Answered(response.status_code, bytes(body))
    except TimeoutError as error:
        raise Failed(f"{url} took more than {PATIENCE:.0f} s to answer") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise Failed(
            f"{url} can't be reached: {said(str(error) or type(error).__name__)}"
        ) from error


@cache
def authorities() -> SSLContext:
    """Reading all of them takes a while."""
    return httpx.create_ssl_context()


def said(text: object) -> str:
    """What somebody else wrote, for a line of the log."""
    return re.sub(r"[^\x20-\x7e]", "?", str(text))[:200]
