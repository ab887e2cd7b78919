"""The formats that are asserted: date-time, date, time, email, uri, uuid, ipv4, ipv6. Others only describe."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from types import MappingProxyType
from typing import Final

_DATE: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
_TIME: Final = re.compile(r"(\d\d):(\d\d):(\d\d)(?:\.\d{1,30})?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII)
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_LOCAL: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\x80-\U0010ffff-]{1,64}")
_LABEL: Final = re.compile(
    r"[A-Za-z0-9\x80-\U0010ffff](?:[A-Za-z0-9\x80-\U0010ffff-]{0,61}[A-Za-z0-9\x80-\U0010ffff])?"
)
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_URI_TEXT: Final = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*")


def _date(text: str) -> bool:
    found = _DATE.fullmatch(text)
    if not found:
        return False
    year, month, day = map(int, found.groups())
    if not 1 <= month <= 12 or day < 1:
        return False
    # Python's calendar starts with year 1; RFC 3339 has a year 0000, a leap year.
    return day <= monthrange(year or 2000, month)[1]


def _time(text: str) -> bool:
    found = _TIME.fullmatch(text)
    if not found:
        return False
    hour, minute, second = (int(found[index]) for index in (1, 2, 3))
    offset = 0
    if found[4]:
        ahead, more = int(found[5]), int(found[6])
        if ahead > 23 or more > 59:
            return False
        offset = (ahead * 60 + more) * (1 if found[4] == "+" else -1)
    if hour > 23 or minute > 59 or second > 60:
        return False
    # A leap second is the last of a day of universal time.
    return second < 60 or (hour * 60 + minute - offset) % 1440 == 1439


def _date_time(text: str) -> bool:
    # RFC 3339 lets a blank stand for the T; nobody else reads it, so it is refused.
    return len(text) > 11 and text[10] in "Tt" and _date(text[:10]) and _time(text[11:])


def _email(text: str) -> bool:
    local, at, domain = text.rpartition("@")
    if not at or len(domain) > 253 or not _LOCAL.fullmatch(local):
        return False
    if local[0] == "." or local[-1] == "." or ".." in local:
        return False
    return all(_LABEL.fullmatch(label) for label in domain.split("."))


def _uri(text: str) -> bool:
    scheme = _SCHEME.match(text)
    if not scheme or not _URI_TEXT.fullmatch(text) or text.count("#") > 1:
        return False
    rest = text[scheme.end() :]
    if not rest.startswith("//"):
        return not _brackets(rest)
    authority = re.split(r"[/?#]", rest[2:], maxsplit=1)[0]
    if _brackets(rest[2 + len(authority) :]):
        return False
    user, _, host = authority.rpartition("@")
    if host.startswith("["):
        inner, close, port = host[1:].partition("]")
        if not close or not (_ipv6(inner) or inner[:1] in "vV"):
            return False
        return not _brackets(user) and re.fullmatch(r"(?::[0-9]*)?", port) is not None
    name, _, port = host.partition(":")
    return not _brackets(user + name) and re.fullmatch(r"[0-9]*", port) is not None


def _brackets(text: str) -> bool:
    return "[" in text or "]" in text


def _uuid(text: str) -> bool:
    return _UUID.fullmatch(text) is not None


def _ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return text.isascii()


def _ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return "%" not in text


FORMATS: Final[Mapping[str, Callable[[str], bool]]] = MappingProxyType(
    {
        "date": _date,
        "date-time": _date_time,
        "email": _email,
        "ipv4": _ipv4,
        "ipv6": _ipv6,
        "time": _time,
        "uri": _uri,
        "uuid": _uuid,
    }
)
