"""
Whose word is taken for where a request comes from.

Anybody can send `X-Forwarded-For`. It is read only from addresses that were named, from its
right end, where the nearest of them wrote: the first address that is no trusted proxy's is
the client's. What stands left of it was written by strangers.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

KNOWN_AT_MOST = 4096


class Proxies:
    """Those that are trusted; nobody, if none is named."""

    def __init__(self, networks: Sequence[Network] = ()) -> None:
        self.networks = tuple(networks)
        self._trusts = lru_cache(KNOWN_AT_MOST)(self._look)

    def read(self, scope: Any) -> None:
        """Put the client and the scheme that a trusted proxy tells of into the scope."""
        client = scope.get("client")
        peer = address_of(client[0]) if client else None
        if peer is None or not self._trusts(peer):
            return
        given = scope["headers"]
        chain = b",".join(value for name, value in given if name == b"x-forwarded-for")
        scope["client"] = (str(self._client(peer, chain.decode("latin-1"))), 0)
        schemes = b",".join(value for name, value in given if name == b"x-forwarded-proto")
        scheme = schemes.rpartition(b",")[2].strip().lower()
        if scheme in (b"http", b"https"):
            scope["scheme"] = scheme.decode()

    def _client(self, peer: Address, chain: str) -> Address:
        nearest = peer
        while chain:
            chain, _, last = chain.rpartition(",")
            told = address_of(without_port(last.strip()))
            if told is None:
                break
            nearest = told
            if not self._trusts(told):
                break
        return nearest

    def _look(self, address: Address) -> bool:
        return any(address in network for network in self.networks)


NOBODY = Proxies()


@lru_cache(KNOWN_AT_MOST)
def address_of(text: str) -> Address | None:
    """An IPv4 address is one also in the clothes of IPv6."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def without_port(text: str) -> str:
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
