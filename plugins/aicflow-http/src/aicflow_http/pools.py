"""Connection pools, shared by all steps of a process: one for each TLS and proxy configuration."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
from aicflow import PermanentError
from aicflow.net import Guard, Pool, ProxyChoice, public_context

from aicflow_http.params import Tls

_MOST_POOLS = 64


class Pools:
    """Opens pools when they are first needed and closes the longest unused ones beyond a bound."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._pools: OrderedDict[tuple[Tls | None, ProxyChoice | None], Pool] = OrderedDict()

    def get(self, tls: Tls | None, proxy: ProxyChoice | None) -> Pool:
        """The pool for a configuration. Raises PermanentError for certificates that cannot be read."""
        key = (tls, proxy)
        if key not in self._pools:
            self._pools[key] = Pool(self._guard, _tls_context(tls), proxy)
        self._pools.move_to_end(key)
        while len(self._pools) > _MOST_POOLS:
            self._pools.popitem(last=False)[1].close()
        return self._pools[key]

    def close(self) -> None:
        """Close all connections."""
        while self._pools:
            self._pools.popitem()[1].close()


def _tls_context(tls: Tls | None) -> ssl.SSLContext:
    """The context for connections with these certificates. Raises PermanentError with the pointer of what is wrong."""
    if tls is None:
        return public_context()
    public = tls.ca is None and tls.verify
    context = httpx2.create_ssl_context() if public else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls.ca is not None:
        try:
            context.load_verify_locations(cadata=tls.ca)
        except (ssl.SSLError, ValueError, TypeError):  # TypeError: not ASCII
            raise _bad_tls("/tls/ca", "is not a certificate in PEM") from None
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.client_cert is not None:
        # Always a password: without one, OpenSSL would ask for it on the terminal and hang the process.
        password = tls.client_key_password or "-"
        with _pem_file(f"{tls.client_cert}\n{tls.client_key or ''}\n".encode()) as path:
            try:
                context.load_cert_chain(path, password=password)
            except (ssl.SSLError, ValueError, OSError):
                raise _bad_tls(
                    "/tls/client_cert",
                    "and its key cannot be used: they must be PEM, belong together, and the password must fit",
                ) from None
    elif tls.client_key is not None:
        raise _bad_tls("/tls/client_key", "needs client_cert beside it")
    return context


@contextmanager
def _pem_file(data: bytes) -> Iterator[str]:
    """A file with the data, for OpenSSL, which reads keys from files only; in memory where the system can."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("aicflow-pem", os.MFD_CLOEXEC)
        try:
            os.write(fd, data)
            yield f"/proc/self/fd/{fd}"
        finally:
            os.close(fd)
    else:
        with tempfile.NamedTemporaryFile(delete_on_close=False) as file:  # readable by its owner only
            file.write(data)
            file.close()
            yield file.name


def _bad_tls(pointer: str, message: str) -> PermanentError:
    return PermanentError(f"{pointer[1:].replace('/', '.')} {message}.", code="http-tls", pointer=pointer)
