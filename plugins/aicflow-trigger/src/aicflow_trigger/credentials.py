"""Who sent this delivery: user name and password, or an API key, compared in constant time."""

import base64
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

from aicflow_trigger.errors import SignatureRejected, SignatureSettingsError
from aicflow_trigger.hmacs import Headers, header_bytes, text_keys

MAX_KEYS: Final = 10


def verify_basic(username: str, passwords: Sequence[str], headers: Mapping[str, str]) -> None:
    """Check HTTP basic authentication (RFC 7617, UTF-8) against a user name and one or two live passwords.

    Errors: `SignatureRejected`; answer 401 with `WWW-Authenticate: Basic realm="…", charset="UTF-8"`.
    """
    if ":" in username:
        raise SignatureSettingsError("a user name of basic authentication cannot hold a colon")
    expected = [username.encode("utf-8", "surrogatepass") + b":" + password for password in text_keys(passwords)]
    scheme, _, encoded = Headers(headers).need("Authorization").partition(" ")
    if scheme.lower() != "basic":
        raise SignatureRejected("the header Authorization is not of the form: Basic <credentials>")
    try:
        given = base64.b64decode(encoded.strip(" "), validate=True)
    except ValueError as error:
        raise SignatureRejected("the credentials in Authorization are not base64") from error
    _require_any(expected, given, "the user name or the password is wrong")


def verify_api_key(header: str, keys: Sequence[str], headers: Mapping[str, str], prefix: str = "") -> None:
    """Check an API key in a header, behind a prefix such as "Bearer " (any case), against up to ten live keys.

    Errors: `SignatureRejected`.
    """
    expected = text_keys(keys, MAX_KEYS)
    value = Headers(headers).need(header)
    if value[: len(prefix)].lower() != prefix.lower():
        raise SignatureRejected(f"the header {header} does not begin with {prefix.strip()}")
    _require_any(expected, header_bytes(value[len(prefix) :]), f"the key in {header} is wrong")


def _require_any(expected: Sequence[bytes], given: bytes, reason: str) -> None:
    found = False
    for candidate in expected:
        found |= hmac.compare_digest(candidate, given)
    if not found:
        raise SignatureRejected(reason)
