"""From calls to httpx2 requests and back, and what their exceptions mean; shared by both clients. Sends nothing."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies

import httpx2
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from aicflow_sdk.call import Call
from aicflow_sdk.config import Address
from aicflow_sdk.effects import Closed, Unreached
from aicflow_sdk.errors import ConnectionFailed, RequestTimeout
from aicflow_sdk.replies import Reply

__all__ = ["LOST", "SOCKET_ERRORS", "Wire"]

LOST: Final = Closed(1006, "the connection was lost")
SOCKET_ERRORS: Final = (OSError, InvalidHandshake, InvalidURI, TimeoutError, EOFError)
_PROTOCOL: Final = "aicflow.v1"
_LARGEST_MESSAGE: Final = 256 * 1024 * 1024
_NEVER_SENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)


@cache
def _version() -> str:
    try:
        return version("aicflow-sdk")
    except PackageNotFoundError:
        return "0"


@dataclass(frozen=True, slots=True)
class Wire:
    """The server's address, the seconds given to a reply and to connecting, and the TLS settings."""

    address: Address
    timeout: float
    connect_timeout: float
    tls: ssl.SSLContext | None

    def client_options(self) -> dict[str, Any]:
        """The options of the httpx2 client. Redirects are not followed: the key would go along."""
        # loading certificates takes tens of milliseconds, which a plain server on this machine need not cost
        plain = self.address.url.startswith("http://") and not getproxies()
        return {
            "verify": self.tls if self.tls is not None else not plain,
            "follow_redirects": False,
            "timeout": httpx2.Timeout(self.timeout, connect=self.connect_timeout),
        }

    def request(self, call: Call[Any]) -> dict[str, Any]:
        """The arguments of httpx2's `request`."""
        headers = {"accept": "application/json", **self._headers(), **call.headers}
        if call.body is not None:
            headers["content-type"] = call.content_type
        return {
            "method": call.method,
            "url": self.address.url + call.path,
            "headers": headers,
            "content": call.body,
            "timeout": httpx2.Timeout(self.timeout + call.patience, connect=self.connect_timeout),
        }

    def socket(self, path: str) -> tuple[str, dict[str, Any]]:
        """The address of a stream and the options of websockets' `connect`."""
        scheme, _, rest = (self.address.url + path).partition("://")
        secure = scheme == "https"
        options: dict[str, Any] = {
            "additional_headers": {k: v for k, v in self._headers().items() if k != "user-agent"},
            "user_agent_header": self._headers()["user-agent"],
            "subprotocols": [_PROTOCOL],
            "compression": None,
            "open_timeout": self.connect_timeout,
            "close_timeout": 1,
            "max_size": _LARGEST_MESSAGE,
        }
        if secure and self.tls is not None:
            options["ssl"] = self.tls
        return f"{'wss' if secure else 'ws'}://{rest}", options

    def unreached(self, error: httpx2.RequestError) -> Unreached:
        """What an exception of httpx2 means."""
        host = self._host()
        sent = not isinstance(error, _NEVER_SENT)
        if isinstance(error, httpx2.TimeoutException):
            what = "did not answer in time" if sent else "could not be reached in time"
            return Unreached(RequestTimeout(f"{host} {what} ({type(error).__name__}).", hint=self._hint()), sent)
        what = "broke the connection" if sent else "cannot be reached"
        return Unreached(ConnectionFailed(f"{host} {what}: {_reason(error)}.", hint=self._hint()), sent)

    def unopened(self, error: Exception) -> Unreached | Reply:
        """What an exception while opening a stream means; the reply when the server refused it with one."""
        if isinstance(error, InvalidStatus):
            response = error.response
            headers = {name.lower(): value for name, value in response.headers.raw_items()}
            return Reply(response.status_code, headers, bytes(response.body or b""))
        return Unreached(
            ConnectionFailed(f"The stream at {self._host()} cannot be opened: {_reason(error)}.", hint=self._hint()),
            sent=False,
        )

    def _headers(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self.address.api_key}", "user-agent": f"aicflow-sdk/{_version()}"}

    def _host(self) -> str:
        return f"The server at {self.address.url}"

    def _hint(self) -> str:
        local = urlsplit(self.address.url).hostname in ("127.0.0.1", "localhost", "::1")
        return "Is it running? Start it with `aicflow serve`." if local else "Check the address and the network."


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).rstrip(".")


def closed(error: ConnectionClosed) -> Closed:
    """How a stream was closed."""
    frame = error.rcvd
    return Closed(int(frame.code), frame.reason) if frame is not None else LOST
