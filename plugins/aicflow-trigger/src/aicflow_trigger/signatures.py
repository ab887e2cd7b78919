"""Who sent this delivery: signature schemes of webhook senders, API keys and passwords, checked on raw bytes.

Every scheme compares in constant time, takes two live secrets for a change-over and answers anything malformed
with `SignatureRejected`. Settings that could never verify anything raise `SignatureSettingsError`; `check_settings`
asks beforehand.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from aicflow import JsonError, read_json

from aicflow_trigger.errors import SignatureRejected, SignatureSettingsError

Algorithm = Literal["sha256", "sha512", "sha1"]
Encoding = Literal["hex", "base64"]

MAX_HEADER: Final = 8_192
MAX_CANDIDATES: Final = 16
MAX_SECRETS: Final = 2  # the live one, and the one before it while senders change over

_DIGESTS: Final = {"sha256": hashlib.sha256, "sha512": hashlib.sha512, "sha1": hashlib.sha1}
_LATEST_TIME: Final = 1 << 53


class Headers:
    """A request's headers, found whatever their case. A header sent twice with different values is refused."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._values: dict[str, str] = {}
        self._twice: set[str] = set()
        for name, value in headers.items():
            folded = name.lower()
            if self._values.setdefault(folded, value) != value:
                self._twice.add(folded)

    def get(self, name: str) -> str | None:
        """The header's value without surrounding blanks; None when it is missing or empty."""
        folded = name.lower()
        if folded in self._twice:
            raise SignatureRejected(f"the header {name} was sent twice with different values")
        value = self._values.get(folded, "").strip(" \t")
        if len(value) > MAX_HEADER:
            raise SignatureRejected(f"the header {name} is longer than {MAX_HEADER} characters")
        return value or None

    def need(self, name: str) -> str:
        """The header's value. Errors: `SignatureRejected` when it is missing or empty."""
        value = self.get(name)
        if value is None:
            raise SignatureRejected(f"the header {name} is missing")
        return value


def text_keys(secrets: Sequence[str], most: int = MAX_SECRETS) -> list[bytes]:
    """Keys that are used as the bytes of their text. Errors: `SignatureSettingsError`."""
    return [_encoded(secret) for secret in _live(secrets, most)]


def base64_keys(secrets: Sequence[str], prefix: str) -> list[bytes]:
    """Keys written as base64 behind a prefix that may be left away. Errors: `SignatureSettingsError`."""
    keys = []
    for secret in _live(secrets):
        text = secret.removeprefix(prefix)
        try:
            key = base64.b64decode(_encoded(text) + b"=" * (-len(text) % 4), validate=True)
        except binascii.Error:
            key = b""
        if not key:
            raise SignatureSettingsError(
                f"a secret of this kind is base64, usually with {prefix} in front; this one is not"
            )
        keys.append(key)
    return keys


def _live(secrets: Sequence[str], most: int = MAX_SECRETS) -> Sequence[str]:
    if not 1 <= len(secrets) <= most:
        raise SignatureSettingsError(f"from 1 to {most} live secrets are needed, not {len(secrets)}")
    if not all(secrets):
        raise SignatureSettingsError("a secret is empty: anyone could sign with it")
    return secrets


def _encoded(secret: str) -> bytes:
    try:
        return secret.encode()
    except UnicodeEncodeError as error:
        raise SignatureSettingsError("a secret holds characters that are not text") from error


def check_time(text: str, now: float, window: float, header: str) -> int:
    """A sender's Unix time in seconds, if it lies within `window` seconds of `now` either way."""
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and int(text) < _LATEST_TIME):
        raise SignatureRejected(f"the time in {header} is not a number of seconds")
    sent = int(text)
    if sent < now - window:
        raise SignatureRejected(
            f"the time in {header} is {now - sent:.0f} s ago; at most {window:g} s are allowed. "
            "Resend the delivery with a new signature, or check the clocks"
        )
    if sent > now + window:
        raise SignatureRejected(f"the time in {header} is {sent - now:.0f} s ahead of this server's clock")
    return sent


def decode_digest(text: str, encoding: Encoding) -> bytes | None:
    """The bytes of a digest as sent; None when it is not well formed."""
    try:
        if encoding == "hex":
            return bytes.fromhex(text) if text.isascii() and text.isalnum() else None
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None


def matches(
    keys: Sequence[bytes], parts: Iterable[bytes], candidates: Sequence[bytes], algorithm: Algorithm = "sha256"
) -> bool:
    """Whether any candidate is the HMAC of the joined parts under any key; every pair is compared, in constant time."""
    message = b"".join(parts)
    found = False
    for key in keys:
        expected = hmac.new(key, message, _DIGESTS[algorithm]).digest()
        for candidate in candidates:
            found |= hmac.compare_digest(expected, candidate)
    return found


def header_bytes(text: str) -> bytes:
    """A header's text as the bytes that came over the wire (servers decode headers as Latin-1)."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


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


Preset = Literal["standard-webhooks", "github", "stripe", "slack", "plain"]

REPLAY_WINDOW: Final = 300.0

_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", re.ASCII)
_DELIVERY_ID: Final = re.compile(r"[\x21-\x7e]{1,256}")


@dataclass(frozen=True, slots=True)
class Verified:
    """A delivery whose signature holds: the sender's id of it, if it gave one, and its signed time (Unix seconds).

    `delivery_id` is a header of its own under standard-webhooks (signed), github and plain (not signed); for stripe
    the event's `id` and for slack its `event_id`, both from the signed body. `timestamp` is always signed. `key` tells
    deliveries apart by what is signed: the id where it is, else a digest of the signed bytes.
    """

    delivery_id: str | None
    timestamp: int | None
    key: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class PlainScheme:
    """The preset "plain": an HMAC over the body alone, in one header.

    `prefix` stands before the digest ("sha256="). `delivery_header` names the header with the delivery's id.
    A plain signature carries no time, so an old delivery can be replayed unless its id is remembered.
    """

    header: str = "X-Signature"
    algorithm: Algorithm = "sha256"
    encoding: Encoding = "hex"
    prefix: str = ""
    delivery_header: str | None = None


@dataclass(frozen=True, slots=True)
class _Delivery:
    secrets: Sequence[str]
    headers: Headers
    body: bytes
    now: float
    window: float
    plain: PlainScheme = field(default_factory=PlainScheme)


def verify(
    preset: Preset,
    secrets: Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    now: float,
    *,
    window: float = REPLAY_WINDOW,
    plain: PlainScheme | None = None,
) -> Verified:
    """Check a delivery; `now` is Unix time in seconds, `window` how far its own time may lie from it.

    Errors: `SignatureRejected` (answer 401), `SignatureSettingsError` (the trigger is set up wrongly).
    """
    check_settings(preset, secrets, plain)
    delivery = _Delivery(secrets, Headers(headers), body, now, window, plain or PlainScheme())
    return _SCHEMES[preset](delivery)


def check_settings(preset: Preset, secrets: Sequence[str], plain: PlainScheme | None = None) -> None:
    """Refuse what could never verify a delivery. Errors: `SignatureSettingsError`."""
    if preset not in _SCHEMES:
        raise SignatureSettingsError(f"{preset!r} is not one of {', '.join(get_args(Preset))}")
    if preset == "standard-webhooks":
        base64_keys(secrets, "whsec_")
    else:
        text_keys(secrets)
    scheme = plain or PlainScheme()
    for name in (scheme.header, scheme.delivery_header or "X"):
        if not _HEADER_NAME.fullmatch(name):
            raise SignatureSettingsError(f"{name!r} is not the name of a header")
    if scheme.algorithm not in get_args(Algorithm) or scheme.encoding not in get_args(Encoding):
        raise SignatureSettingsError(f"{scheme.algorithm!r} in {scheme.encoding!r} is not supported")


def _standard_webhooks(delivery: _Delivery) -> Verified:
    keys = base64_keys(delivery.secrets, "whsec_")
    name = delivery.headers.need("webhook-id")
    sent = delivery.headers.need("webhook-timestamp")
    timestamp = check_time(sent, delivery.now, delivery.window, "webhook-timestamp")
    candidates = [
        digest
        for item in _limited(delivery.headers.need("webhook-signature").split(" "), "webhook-signature")
        if item.startswith("v1,") and (digest := decode_digest(item[3:], "base64"))
    ]
    if not candidates:
        raise SignatureRejected("webhook-signature holds no v1 signature")
    parts = (header_bytes(name), b".", header_bytes(sent), b".", delivery.body)
    _require(matches(keys, parts, candidates), "webhook-signature")
    delivery_id = _delivery_id(name, "webhook-id")
    return Verified(delivery_id, timestamp, delivery_id)


def _github(delivery: _Delivery) -> Verified:
    _plain_digest(delivery, PlainScheme("X-Hub-Signature-256", prefix="sha256="))
    name = delivery.headers.get("X-GitHub-Delivery")
    return Verified(None if name is None else _delivery_id(name, "X-GitHub-Delivery"), None, _digest(delivery.body))


def _stripe(delivery: _Delivery) -> Verified:
    keys = text_keys(delivery.secrets)
    items = _limited(delivery.headers.need("Stripe-Signature").split(","), "Stripe-Signature")
    pairs = [item.strip(" \t").partition("=") for item in items]
    times = {value for name, _, value in pairs if name == "t"}
    if len(times) != 1:
        raise SignatureRejected("Stripe-Signature does not hold exactly one time (t=)")
    sent = times.pop()
    timestamp = check_time(sent, delivery.now, delivery.window, "Stripe-Signature")
    candidates = [digest for name, _, value in pairs if name == "v1" and (digest := decode_digest(value, "hex"))]
    if not candidates:
        raise SignatureRejected("Stripe-Signature holds no v1 signature")
    _require(matches(keys, (header_bytes(sent), b".", delivery.body), candidates), "Stripe-Signature")
    delivery_id = _id_in_body(delivery.body, "id")
    return Verified(delivery_id, timestamp, delivery_id or _digest(header_bytes(sent), delivery.body))


def _slack(delivery: _Delivery) -> Verified:
    keys = text_keys(delivery.secrets)
    sent = delivery.headers.need("X-Slack-Request-Timestamp")
    timestamp = check_time(sent, delivery.now, delivery.window, "X-Slack-Request-Timestamp")
    version, _, text = delivery.headers.need("X-Slack-Signature").partition("=")
    digest = decode_digest(text, "hex") if version == "v0" else None
    if not digest:
        raise SignatureRejected("X-Slack-Signature is not v0= and a hexadecimal digest")
    _require(matches(keys, (b"v0:", header_bytes(sent), b":", delivery.body), [digest]), "X-Slack-Signature")
    delivery_id = _id_in_body(delivery.body, "event_id")
    return Verified(delivery_id, timestamp, delivery_id or _digest(header_bytes(sent), delivery.body))


def _plain(delivery: _Delivery) -> Verified:
    _plain_digest(delivery, delivery.plain)
    header = delivery.plain.delivery_header
    name = delivery.headers.get(header) if header else None
    delivery_id = None if name is None or header is None else _delivery_id(name, header)
    return Verified(delivery_id, None, _digest(delivery.body))


def _plain_digest(delivery: _Delivery, scheme: PlainScheme) -> None:
    keys = text_keys(delivery.secrets)
    value = delivery.headers.need(scheme.header)
    if not value.startswith(scheme.prefix):
        raise SignatureRejected(f"{scheme.header} does not begin with {scheme.prefix}")
    digest = decode_digest(value.removeprefix(scheme.prefix), scheme.encoding)
    if not digest:
        raise SignatureRejected(f"{scheme.header} is not a digest in {scheme.encoding}")
    _require(matches(keys, (delivery.body,), [digest], scheme.algorithm), scheme.header)


def _digest(*signed: bytes) -> str:
    return "sha256:" + hashlib.sha256(b".".join(signed)).hexdigest()


def _limited(items: list[str], header: str) -> list[str]:
    if len(items) > MAX_CANDIDATES:
        raise SignatureRejected(f"{header} holds more than {MAX_CANDIDATES} items")
    return items


def _require(matched: bool, header: str) -> None:
    if not matched:
        raise SignatureRejected(
            f"the signature in {header} does not fit the body as received: check that the secret is the sender's "
            "and that nothing on the way rewrites the body"
        )


def _delivery_id(text: str, header: str) -> str:
    if not _DELIVERY_ID.fullmatch(text):
        raise SignatureRejected(f"{header} is not an id of up to 256 visible ASCII characters")
    return text


def _id_in_body(body: bytes, key: str) -> str | None:
    """The sender's id of the event, where that stands in the (signed) body and no header names the delivery."""
    try:
        value = read_json(body)
    except JsonError:
        return None
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) and _DELIVERY_ID.fullmatch(found) else None


_SCHEMES: Final[dict[Preset, Callable[[_Delivery], Verified]]] = {
    "standard-webhooks": _standard_webhooks,
    "github": _github,
    "stripe": _stripe,
    "slack": _slack,
    "plain": _plain,
}
