"""JSON values: their types, when they are equal, pointers into them, and reading them strictly."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, Never

_TYPES: Final = {
    type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string", list: "array",
    tuple: "array", dict: "object",
}  # fmt: skip


_PLAIN: Final = frozenset({int, bool, type(None)})
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s\[\]{},:"]+')


def json_type(value: object) -> str:
    """The JSON type of a value; `integer` for a Python integer, `number` for a float, the class's name for others."""
    return _TYPES.get(type(value)) or type(value).__name__


def schema_type(value: object) -> str:
    """The JSON type of a value as JSON Schema has it: a number without a fraction is an `integer`, 1.0 too."""
    return "integer" if isinstance(value, float) and value.is_integer() else json_type(value)


def escape_pointer(key: str) -> str:
    """One key as a reference token of an RFC 6901 JSON pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def pointer(*path: str | int) -> str:
    """The JSON pointer (RFC 6901) of a path: `pointer("a/b", 0)` is `/a~1b/0`, the root is the empty text."""
    return "".join(f"/{part}" if isinstance(part, int) else "/" + escape_pointer(part) for part in path)


def pointer_keys(pointer: str) -> list[str]:
    """The keys of a JSON pointer: of `/a~1b/0`, `a/b` and `0`."""
    return [key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:]]


def json_equal(left: object, right: object, visit: Callable[[object, object, int], None] | None = None) -> bool:
    """Whether two values are the same JSON value: numbers by amount (1 is 1.0), everything else by type and content
    (true is not 1). `visit` is called with each pair that is more than two integers, booleans or nulls, and how deep it
    is, before the two are compared."""
    walks: list[Iterator[tuple[object, object]]] = [iter(((left, right),))]
    while walks:
        for a, b in walks[-1]:
            kind = type(a)
            if kind in _PLAIN and kind is type(b):
                if a != b:
                    return False
                continue
            if visit is not None:
                visit(a, b, len(walks))
            if isinstance(a, dict):
                if not isinstance(b, dict) or a.keys() != b.keys():
                    return False
                walks.append(iter([(value, b[key]) for key, value in a.items()]))
                break
            if isinstance(a, list | tuple):
                if not isinstance(b, list | tuple) or len(a) != len(b):
                    return False
                walks.append(zip(a, b, strict=True))
                break
            if a != b or isinstance(a, bool) is not isinstance(b, bool):
                return False
        else:
            walks.pop()
    return True


class JsonError(ValueError):
    """The text is not JSON that is accepted. `code` is `syntax`, `encoding`, `duplicate-key`, `number` or `too-deep`;
    the message continues a sentence ("The document …"). `line` and `column` count from 1, None where a depth is
    exceeded or a key is duplicate."""

    def __init__(self, code: str, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message if line is None else f"{message} (line {line}, column {column})")
        self.code = code
        self.message = message
        self.line = line
        self.column = column


def read_json(data: bytes | str, max_depth: int = 64) -> Any:
    """The value of a JSON text; bytes are UTF-8, with or without a byte order mark. Raises JsonError.

    Beyond RFC 8259 it refuses what two readers could take differently or none could pass on: duplicate keys,
    NaN and Infinity, integers of more than 4,300 digits, numbers past a float's range, half surrogate pairs, nesting
    over `max_depth`.
    """
    try:
        text = data if isinstance(data, str) else data.decode("utf-8-sig")
        value = _DECODER.decode(text)
        if text.count("[") + text.count("{") > max_depth:
            _check_depth(value, max_depth)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair cannot be encoded
    except json.JSONDecodeError as error:
        reason = error.msg[:1].lower() + error.msg[1:].removesuffix(" at")
        raise JsonError("syntax", f"is not JSON: {reason}", error.lineno, error.colno) from None
    except UnicodeDecodeError as error:
        lines = error.object[: error.start].decode("utf-8", "replace").split("\n")
        message = f"is not UTF-8 at byte {error.start}"
        raise JsonError("encoding", message, len(lines), len(lines[-1]) + 1) from None
    except UnicodeEncodeError:
        message = "holds half of a surrogate pair (\\ud800 to \\udfff)"
        raise JsonError("syntax", message, *_position(text, _is_half)) from None
    except RecursionError:
        raise _too_deep(max_depth) from None
    except _BadNumber as error:
        word = str(error)
        code, what = (
            ("syntax", f"{word}, which is not JSON; send null or text")
            if word.endswith(("N", "y"))
            else ("number", "a number too large for a float; send it as text")
        )
        raise JsonError(code, f"holds {what}", *_position(text, lambda token: token == word)) from None
    except JsonError:
        raise
    except ValueError:  # of Python's int()
        message = "holds an integer of more than 4,300 digits; send it as text"
        raise JsonError(
            "number", message, *_position(text, lambda token: token[0] != '"' and len(token) > 4_300)
        ) from None
    return value


class _BadNumber(Exception):
    """Carries the number out of the decoder's hooks."""


def _position(text: str, is_it: Callable[[str], bool]) -> tuple[int, int] | tuple[None, None]:
    """Line and column of the first such token."""
    for found in _TOKEN.finditer(text):
        if is_it(found[0]):
            start = found.start()
            return text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
    return None, None


def _is_half(token: str) -> bool:
    if "\\u" not in token:
        return False
    try:
        json.loads(token).encode()
    except UnicodeEncodeError:
        return True
    return False


def _too_deep(max_depth: int) -> JsonError:
    return JsonError("too-deep", f"is nested deeper than {max_depth} levels")


def _check_depth(value: Any, max_depth: int) -> None:
    """Walk down level by level, so that a deep value costs no call stack."""
    containers = [value] if isinstance(value, dict | list) else []
    for _ in range(max_depth):
        containers = [
            child
            for container in containers
            for child in (container.values() if isinstance(container, dict) else container)
            if isinstance(child, dict | list)
        ]
        if not containers:
            return
    raise _too_deep(max_depth)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise JsonError("duplicate-key", f"has the duplicate key {key[:100]!a}")
            seen.add(key)
    return read


def _float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise _BadNumber(text)
    return number


def _constant(text: str) -> Never:
    raise _BadNumber(text)


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_constant=_constant)
