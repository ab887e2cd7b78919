"""Lists of hosts as an operator writes them: names, `*.suffix`, addresses, CIDR ranges, each with an optional port."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Self

import httpx2

from aicflow.kernel.errors import AICFlowError
from aicflow.net.addresses import NAT64, Address, Network, judged, refusal


def is_host(url: httpx2.URL) -> bool:
    """Whether the URL has a host, and one that is written as names and addresses are."""
    return _HOST.match(url.raw_host.decode("ascii", "replace")) is not None


def plain_host(host: str) -> str:
    """The name as it is compared: lower case, without brackets and without the dot that ends a full name."""
    return host.strip("[]").lower().removesuffix(".")


@dataclass(frozen=True, slots=True)
class HostRule:
    """One entry: a range of addresses, or a name (`suffix`: any name below it). `port` None is any port."""

    network: Network | None = None
    name: str | None = None
    suffix: bool = False
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one entry. Raises AICFlowError."""
        if "/" in text:
            try:
                return cls(network=ip_network(text, strict=False))
            except ValueError:
                raise _unreadable(text, "it is not a CIDR range such as 10.1.0.0/16") from None
        host, port = _split_port(text)
        try:
            return cls(network=ip_network(host.strip("[]")), port=port)
        except ValueError:
            pass
        suffix = host.startswith("*.")
        return cls(name=_ascii(text, host[2:] if suffix else host), suffix=suffix, port=port)

    def names(self, host: str, port: int) -> bool:
        """Whether the entry is about this host by its name."""
        if self.name is None or self.port not in (None, port):
            return False
        return host.endswith("." + self.name) if self.suffix else host == self.name

    def covers(self, address: Address, port: int) -> bool:
        """Whether the entry is a range that holds this address."""
        if self.network is None or self.port not in (None, port):
            return False
        return address.version == self.network.version and address in self.network


@dataclass(frozen=True, slots=True)
class HostRules:
    """A list of entries; `everything` when `*` is among them."""

    rules: tuple[HostRule, ...] = ()
    everything: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a comma list. Raises AICFlowError that names the entry which cannot be read."""
        entries = [entry.strip().lower() for entry in text.split(",") if entry.strip()]
        return cls(tuple(HostRule.parse(entry) for entry in entries if entry != "*"), "*" in entries)

    def names(self, host: str, port: int) -> bool:
        """Whether the host is listed by name."""
        return self.everything or any(rule.names(plain_host(host), port) for rule in self.rules)

    def holds(self, host: str, port: int) -> bool:
        """Whether the host is listed, by its name or as the address that it is written as."""
        try:
            return self.covers(ip_address(plain_host(host)), port)
        except ValueError:
            return self.names(host, port)

    def covers(self, address: Address, port: int) -> bool:
        """Whether the address is listed. A NAT64 address in a listed range must carry an IPv4 address that is public or
        listed itself, or the range would open every private network behind the translator."""
        address = judged(address)
        if self.everything:
            return True
        if not any(rule.covers(address, port) for rule in self.rules):
            return False
        if isinstance(address, IPv6Address) and address in NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
            return refusal(inner) is None or self.covers(inner, port)
        return True


NO_HOSTS = HostRules()
_NAME = re.compile(r"[a-z0-9._-]+\Z")
_HOST = re.compile(r"[A-Za-z0-9._-]+\Z|[0-9A-Fa-f:.]+\Z")


def _split_port(text: str) -> tuple[str, int | None]:
    if text.startswith("["):
        host, _, rest = text.partition("]")
        host, port = host + "]", rest.removeprefix(":")
        if rest and not rest.startswith(":"):
            raise _unreadable(text, "only a port may follow the bracket")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        host, port = text, ""
    if not port:
        return host, None
    if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
        raise _unreadable(text, "its port is not a number from 1 to 65535")
    return host, int(port)


def _ascii(text: str, name: str) -> str:
    try:
        host = plain_host(httpx2.URL(f"http://{name}/").raw_host.decode("ascii"))
    except (httpx2.InvalidURL, UnicodeError):
        host = ""
    if not host or any(not part for part in host.split(".")) or not _NAME.match(host) or _is_address(host):
        raise _unreadable(text, "it is not a host name")
    return host


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _unreadable(text: str, why: str) -> AICFlowError:
    return AICFlowError(
        f"The host list entry {text!r} cannot be read: {why}.",
        hint="Entries are separated by commas: host, host:port, *.suffix, an address, a CIDR range, or *.",
    )
