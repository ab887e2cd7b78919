"""Where a request comes from, behind the reverse proxies that the operator trusts."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

ADDRESS: Final = "aicflow.address"
"""Where the address of who sends a request is in an ASGI scope."""

type Address = IPv4Address | IPv6Address
type Network = IPv4Network | IPv6Network


@lru_cache(maxsize=1024)
def networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Addresses and networks as networks. Raises ValueError."""
    return tuple(_network(text) for text in texts)


def _network(text: str) -> Network:
    try:
        return ip_network(text.strip())
    except ValueError as error:
        if "host bits" in str(error):
            whole = ip_network(text.strip(), strict=False)
            raise ValueError(f"{text!r} has bits beyond its prefix; the network is {whole}") from None
        raise ValueError(f"{text!r} is not an address or a network such as 10.0.0.0/8 or 2001:db8::/32") from None


def is_among(address: str | None, places: Iterable[Network]) -> bool:
    """Whether the address lies in one of the networks."""
    read = _address(address or "")
    return read is not None and any(read.version == place.version and read in place for place in places)


class Proxies:
    """The reverse proxies in front of this host. Raises ValueError."""

    def __init__(self, listed: tuple[str, ...]) -> None:
        self._networks = networks(listed)
        self.client = lru_cache(4096)(self._client)  # the same few clients come again and again

    def __contains__(self, address: object) -> bool:
        return is_among(str(address), self._networks)

    def _client(self, peer: str | None, forwarded: str) -> str | None:
        """The address of who sends the request: of the connection, or behind a trusted proxy the rightmost hop of
        `X-Forwarded-For` that is no trusted proxy. What stands left of it anyone can write. A hop that is no address
        ends the search at the proxy that passed it on."""
        found = _address(peer or "")
        for hop in reversed(forwarded.split(",") if forwarded else ()):
            if found is None or str(found) not in self:
                break
            before = _address(_without_port(hop.strip()))
            if before is None:
                break
            found = before
        return str(found) if found is not None else peer


@lru_cache(4096)
def counted(address: str | None) -> str:
    """Whose requests are counted together: an IPv4 address, the network of 64 bits of an IPv6 one."""
    found = _address(address or "")
    return str(ip_network((found, 64), strict=False)) if isinstance(found, IPv6Address) else address or ""


def _without_port(hop: str) -> str:
    """`192.0.2.1:1234` and `[2001:db8::1]:1234` without the port that some proxies add."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def _address(text: str) -> Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
