"""How failures are named: what may be tried again, what may not, and which message says so.

Codes: http-timeout, http-connect, http-cut, http-tls, http-proxy, http-protocol, http-status; elsewhere http-refused,
http-url, http-header, http-body, http-auth, http-redirect, http-too-large, http-encoding, http-parse, http-pagination.
"""

from __future__ import annotations

import ssl
from http import HTTPStatus

import httpx2
from aicflow import NodeError, PermanentError, TransientError
from aicflow.net import Progress

from aicflow_http.params import HttpRequestParams

_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "QUERY", "PROPFIND", "REPORT", "SEARCH"})
_AGAIN = frozenset({408, 425, 429})
_NOT_DONE = frozenset({425, 429})  # by their definition the request was turned away, not carried out
_EXCERPT = 500
# The peer fell silent or left: ssl's way to say it, but nothing is wrong with TLS.
_NOT_TLS = (
    ssl.SSLEOFError,
    ssl.SSLSyscallError,
    ssl.SSLWantReadError,
    ssl.SSLWantWriteError,
    ssl.SSLZeroReturnError,
)


def may_repeat(params: HttpRequestParams) -> bool:
    """Whether sending the request twice does no more than sending it once."""
    return params.method in _IDEMPOTENT or params.retry_non_idempotent or params.idempotency_header is not None


def transport_error(error: Exception, progress: Progress, params: HttpRequestParams, where: str) -> NodeError:
    """The failure of a request that got no (whole) response. Messages of the libraries are not repeated: they may hold
    header values."""
    problem = _tls_problem(error)
    if problem is not None:
        return PermanentError(
            f"{where}: {problem}.", code="http-tls", hint="See 'tls' for private certificate authorities."
        )
    match error:
        case httpx2.ConnectTimeout():
            message, code = f"no connection within {params.timeouts.connect:g} s", "http-timeout"
        case httpx2.ReadTimeout() | httpx2.WriteTimeout():
            message, code = f"nothing came for {params.timeouts.read:g} s", "http-timeout"
        case TimeoutError() | httpx2.PoolTimeout():
            message, code = f"no complete response within {params.timeouts.total:g} s", "http-timeout"
        case httpx2.ConnectError():
            message, code = _connect_problem(error), "http-connect"
        case httpx2.ProxyError():
            if "407" in str(error)[:4]:
                return PermanentError(f"{where}: the proxy wants credentials (407).", code="http-proxy")
            message, code = f"the proxy refused: {str(error)[:3]}", "http-proxy"
        case httpx2.RemoteProtocolError():
            message, code = "the response is not valid HTTP, or was cut off", "http-cut"
        case httpx2.LocalProtocolError() | httpx2.UnsupportedProtocol():
            return PermanentError(f"{where}: the request cannot be written as HTTP.", code="http-protocol")
        case _:
            message, code = "the connection broke", "http-cut"
    return _weighed(f"{where}: {message}", code, params, repeatable=not progress.sent or may_repeat(params))


def status_error(status: int, said: str, params: HttpRequestParams, where: str, wait: float | None) -> NodeError:
    """The failure that a status from 400 is. `said`: the response's text, already without secrets,
    because it is cut."""
    try:
        phrase = " " + HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    excerpt = " ".join(said.split(maxsplit=_EXCERPT)[:_EXCERPT])[:_EXCERPT]
    shown = f": {excerpt}" if excerpt else ""
    message = f"{where} answered {status}{phrase}{shown}"
    details = {"status": status}
    if status in _AGAIN or status >= 500:
        repeatable = status in _NOT_DONE or may_repeat(params)
        return _weighed(message, "http-status", params, repeatable=repeatable, wait=wait, details=details)
    return PermanentError(_sentence(message), code="http-status", details=details)


def _weighed(
    message: str,
    code: str,
    params: HttpRequestParams,
    *,
    repeatable: bool,
    wait: float | None = None,
    details: dict[str, int] | None = None,
) -> NodeError:
    if repeatable:
        return TransientError(_sentence(message), code=code, retry_after=wait, details=details)
    return PermanentError(
        _sentence(message),
        code=code,
        details=details,
        hint=f"It may have been carried out, so {params.method} is not tried again. "
        "Set 'idempotency_header' if the server knows one, or 'retry_non_idempotent'.",
    )


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?", "…", "}", "]", ">")) else text + "."


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and len(found) < 10:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _tls_problem(error: Exception) -> str | None:
    """What is wrong with certificates or TLS, when trying again cannot help."""
    for cause in _chain(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the server's certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, _NOT_TLS):
            return f"TLS failed: {(cause.reason or 'unknown reason').replace('_', ' ').lower()}"
    return None


def _connect_problem(error: Exception) -> str:
    for cause in _chain(error):
        if isinstance(cause, ConnectionRefusedError):
            return "the connection was refused"
    text = str(error)
    return text if "cannot be resolved" in text or "has no address" in text else "no connection could be made"
