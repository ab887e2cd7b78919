"""JSON from strangers: strict, bounded, and everything that it lets in can be written out again."""

import json
from typing import Any, Final, Never

from aicflow_trigger.errors import BodyRejected

MAX_DEPTH: Final = 64
_LONGEST_INTEGER: Final = 4_300  # digits; what Python and every other door of the product take


class _Refused(Exception):
    """Carries a message out of the decoder's hooks."""


def decode_json(body: bytes | str, max_depth: int = MAX_DEPTH) -> Any:
    """The value of a JSON text; bytes are UTF-8. Errors: `BodyRejected` with status 400.

    Beyond RFC 8259 it refuses what two readers could take differently or none could pass on: repeated keys,
    NaN and Infinity, integers of more than 4,300 digits, numbers past a float's range, half surrogate pairs, nesting
    over `max_depth`.
    """
    try:
        text = body if isinstance(body, str) else body.decode("utf-8-sig")
        value = _DECODER.decode(text)
        if text.count("[") + text.count("{") > max_depth:
            _check_depth(value, max_depth)
        if "\\u" in text:
            # An escaped half of a surrogate pair is text that cannot be encoded.
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, column {error.colno}"
        raise BodyRejected(400, f"the body is not valid JSON at {at}: {error.msg}") from None
    except UnicodeDecodeError as error:
        raise BodyRejected(400, f"the JSON body is not UTF-8 at byte {error.start}") from None
    except UnicodeEncodeError:
        raise BodyRejected(400, "the JSON body holds half of a surrogate pair (\\ud800 to \\udfff)") from None
    except RecursionError:
        raise _too_deep(max_depth) from None
    except _Refused as refusal:
        raise BodyRejected(400, f"the JSON body {refusal}") from None
    return value


def _too_deep(max_depth: int) -> BodyRejected:
    return BodyRejected(400, f"the JSON body is nested deeper than {max_depth} levels")


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
                raise _Refused(f"has the duplicate key {key[:100]!a}")
            seen.add(key)
    return read


def _integer(text: str) -> int:
    if len(text) - text.startswith("-") > _LONGEST_INTEGER:
        raise _Refused(f"holds an integer of more than {_LONGEST_INTEGER:,} digits; send it as text")
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise _Refused("holds a number too large for a float; send it as text")
    return number


def _constant(text: str) -> Never:
    raise _Refused(f"holds {text}, which is not JSON; send null or text")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
