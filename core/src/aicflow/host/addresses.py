"""Where a request comes from, behind the reverse proxies that the operator trusts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

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


def client_address(scope: Mapping[str, Any], proxies: tuple[Network, ...]) -> str | None:
    """The address of who sends the request: of the connection, or behind a trusted proxy the rightmost hop of
    `X-Forwarded-For` that is no trusted proxy. What stands left of it anyone can write. A hop that is no address ends
    the search at the proxy that passed it on."""
    peer: str | None = scope["client"][0] if scope.get("client") else None
    if not is_among(peer, proxies):
        return peer
    values = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    for hop in reversed(b",".join(values).decode("latin-1").split(",") if values else []):
        found = _address(_without_port(hop.strip()))
        if found is None:
            return peer
        peer = str(found)
        if not is_among(peer, proxies):
            return peer
    return peer


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
