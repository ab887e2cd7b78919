"""TLS configuration from PEM text."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
from aicflow import PermanentError
from aicflow.net import public_context

from aicflow_http.params import Tls

__all__ = ["tls_context"]


def tls_context(tls: Tls | None) -> ssl.SSLContext:
    """The context for connections with these certificates. Raises PermanentError with the pointer of what is wrong."""
    if tls is None:
        return public_context()
    public = tls.ca is None and tls.verify
    context = httpx2.create_ssl_context() if public else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls.ca is not None:
        try:
            context.load_verify_locations(cadata=tls.ca)
        except (ssl.SSLError, ValueError, TypeError):  # TypeError: not ASCII
            raise _bad("/tls/ca", "is not a certificate in PEM") from None
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.client_cert is not None:
        _load_client(context, tls)
    elif tls.client_key is not None:
        raise _bad("/tls/client_key", "needs client_cert beside it")
    return context


def _load_client(context: ssl.SSLContext, tls: Tls) -> None:
    # Always a password: without one, OpenSSL would ask for it on the terminal and hang the process.
    password = tls.client_key_password or "-"
    pem = f"{tls.client_cert}\n{tls.client_key or ''}\n".encode()
    with _file_of(pem) as path:
        try:
            context.load_cert_chain(path, password=password)
        except (ssl.SSLError, ValueError, OSError):
            raise _bad(
                "/tls/client_cert",
                "and its key cannot be used: they must be PEM, belong together, and the password must fit",
            ) from None


@contextmanager
def _file_of(data: bytes) -> Iterator[str]:
    """A file with the data, for OpenSSL, which reads keys from files only; in memory where the system can."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("aicflow-pem", os.MFD_CLOEXEC)
        try:
            os.write(fd, data)
            yield f"/proc/self/fd/{fd}"
        finally:
            os.close(fd)
    else:
        with tempfile.TemporaryDirectory() as folder:  # readable by its owner only
            path = os.path.join(folder, "client.pem")
            with open(path, "wb") as file:
                file.write(data)
            yield path


def _bad(pointer: str, message: str) -> PermanentError:
    return PermanentError(f"{pointer[1:].replace('/', '.')} {message}.", code="http-tls", pointer=pointer)
