"""JSON values as YAML that people like to read: block style, plain words unquoted, code as literal blocks. Everything
else is written as JSON, which is YAML too."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["to_yaml"]

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./()+-]*(?: [A-Za-z0-9_./()+-]+)*\Z")
_MEANS_SOMETHING: Final = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan", "inf"})
_UNSEEN: Final = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff]")
_BLOCK_BREAKER: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff]"
)
_SHORT: Final = 100


def to_yaml(value: Any) -> str:
    """The JSON value as YAML text."""
    return "\n".join(_lines(value, 0, "")) + "\n"


def _lines(value: Any, indent: int, first: str) -> Iterator[str]:
    """The lines of a value; `first` stands before it on its first line (`key:`, `-`)."""
    lead = first + " " if first else ""
    if isinstance(value, str) and "\n" in value and (block := _block(value, indent)) is not None:
        yield lead + block[0]
        yield from block[1]
        return
    if not value or not isinstance(value, Mapping | list) or _is_short(value):
        yield lead + _inline(value)
        return
    if first:
        yield first
    space = " " * indent
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _entry(item, indent, space + _scalar(str(key)) + ":")
        return
    for item in value:
        if isinstance(item, Mapping) and item and not _is_short(item):
            nested = list(_lines(item, indent + 2, ""))
            yield f"{space}- {nested[0].lstrip(' ')}"
            yield from nested[1:]
        else:
            yield from _lines(item, indent + 2, space + "-")


def _entry(item: Any, indent: int, head: str) -> Iterator[str]:
    yield from _lines(item, indent + 2, head)


def _is_short(value: Any) -> bool:
    """Whether a list or object is small and plain enough for one line."""
    items = value.values() if isinstance(value, Mapping) else value
    simple = all(not isinstance(item, Mapping | list) or not item for item in items)
    return simple and len(value) <= 4 and len(_inline(value)) <= _SHORT // 2 and "\\n" not in _inline(value)


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(str(key))}: {_inline(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        plain = _PLAIN.match(value) and len(value) < 200
        return value if plain and value.lower() not in _MEANS_SOMETHING else _quoted(value)
    if isinstance(value, float):
        text = json.dumps(value)
        # YAML 1.1 readers take 1e16 for text: they want a point and a sign
        mantissa, exponent, power = text.partition("e")
        if exponent:
            mantissa = mantissa if "." in mantissa else mantissa + ".0"
            text = f"{mantissa}e{power if power[0] in '+-' else '+' + power}"
        return text
    return json.dumps(value, ensure_ascii=False)


def _quoted(text: str) -> str:
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def _block(text: str, indent: int) -> tuple[str, list[str]] | None:
    """A text of several lines as a literal block, when it can be one."""
    if _BLOCK_BREAKER.search(text) or not text.strip() or text[0] in " \n\t":
        return None
    body = text.rstrip("\n")
    ending = text[len(body) :]
    mark = {"": "-", "\n": ""}.get(ending, "+")
    space = " " * max(indent, 2)
    lines = [space + line if line else "" for line in body.split("\n")]
    return f"|{mark}", lines + [""] * (len(ending) - 1)
