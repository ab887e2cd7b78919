"""Who sent this delivery: signature schemes of webhook senders, checked on the raw bytes of the body.

Every scheme compares in constant time, takes two live secrets for a change-over and answers anything malformed
with `SignatureRejected`. Settings that could never verify anything raise `SignatureSettingsError`; `check_settings`
asks beforehand.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from aicflow import JsonError, read_json

from aicflow_trigger.errors import SignatureRejected, SignatureSettingsError
from aicflow_trigger.hmacs import (
    MAX_CANDIDATES,
    Algorithm,
    Encoding,
    Headers,
    base64_keys,
    check_time,
    decode_digest,
    header_bytes,
    matches,
    text_keys,
)

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
