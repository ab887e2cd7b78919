"""The guard against requests that are turned inward: every address is checked at the moment it is dialled."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address

import httpx2

from aicflow.kernel.errors import PermanentError
from aicflow.net.addresses import Address, refusal
from aicflow.net.host_rules import HostRules, plain_host

_LOOKUP_SECONDS = 5.0  # seconds to wait for a name that the proxy will look up anyway

type Resolver = Callable[[str, int], Awaitable[Sequence[str]]]


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """The addresses of a host by the operating system, in its order of preference. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(info[4][0]) for info in found]


class Guard:
    """Resolves a host once, checks all its addresses, and returns those to dial. `pointer`: the param that a refusal
    points to."""

    def __init__(self, allow: HostRules, resolver: Resolver = system_resolver, *, pointer: str = "/url") -> None:
        self._allow = allow
        self._resolver = resolver
        self._pointer = pointer

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses that may be dialled. Raises PermanentError when any of them is refused, so that a name with one
        public and one private address gets nowhere; ConnectError when the name cannot be resolved."""
        name = plain_host(host)
        literal = read_literal(name, self._pointer)
        if literal is not None:
            self._check(name, port, literal)
            return [str(literal)]
        try:
            found = list(dict.fromkeys(await self._resolver(name, port)))
        except (OSError, UnicodeError) as error:
            raise httpx2.ConnectError(f"the name {name} cannot be resolved") from error
        if not found:
            raise httpx2.ConnectError(f"the name {name} has no address")
        for text in found:
            self._check(name, port, ip_address(text))
        return found

    async def check_behind_proxy(self, host: str, port: int) -> None:
        """As far as can be known here, whether a proxy may be asked for this host: addresses are checked, and names too
        when they resolve on this machine. A name that does not is for the proxy to judge."""
        try:
            async with asyncio.timeout(_LOOKUP_SECONDS):
                await self.addresses(host, port)
        except (httpx2.ConnectError, TimeoutError):
            return

    def _check(self, host: str, port: int, address: Address) -> None:
        reason = refusal(address)
        if reason is None or self._allow.names(host, port) or self._allow.covers(address, port):
            return
        where = f"{host}:{port}" if host == str(address) else f"{host}:{port} is at {address}, which"
        raise PermanentError(
            f"The request was refused: {where} is {reason}.",
            code="http-refused",
            pointer=self._pointer,
            hint=f"An operator can allow it: AICFLOW_HTTP_ALLOW_HOSTS={_entry(host, port)}",
        )


def _entry(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def read_literal(name: str, pointer: str) -> Address | None:
    """The address that the host is written as, None for a name. Raises PermanentError for an address in disguise
    (`0x7f.1`, `2130706433`, `0177.0.0.1`): what it means depends on who reads it."""
    try:
        return ip_address(name)
    except ValueError:
        pass
    last = name.rpartition(".")[2]
    if last.isdigit() or last.startswith("0x") or ":" in name:
        raise PermanentError(
            f"The request was refused: the host {name!r} is not a plain IP address.",
            code="http-refused",
            pointer=pointer,
            hint="Write four decimal numbers, such as 192.0.2.10, or an IPv6 address in brackets.",
        )
    return None
