"""The body of a row of events: consecutive events as JSON lines, with what all events say replaced by single bytes.

Those bytes are control characters, which JSON never holds. zlib would be as small, but hands the interpreter lock over
twice a body, which cost a tenth of the executions a second. Bodies that begin with `{` are as earlier versions wrote
them."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from typing import Final

from aicflow.kernel.errors import EventsDamaged
from aicflow.kernel.values import loads

MOST: Final = 65_536
"""Bytes up to which a body is packed."""

_MARK: Final = b"\x01"
_SUM: Final = 4
_SECOND: Final = re.compile(rb'"time":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.)')
_EXECUTION, _TIME = b"\x01", b"\x02"
# part of the format, applied in this order: others may be added at the end, none be changed. Not \t, \n and \r, which
# may stand between the parts of JSON
_WORDS: Final = tuple(
    zip(
        (bytes([code]) for code in range(3, 32) if code not in (9, 10, 13)),
        (
            b'Z","type":"step.started\x01"node_id":"',
            b'Z","type":"step.succeeded\x01"node_id":"',
            b'","attempt":1,"data":{}}\n{"seq":',
            b'","attempt":1,"data":{"port":"main","output":',
            b'Z","type":"execution.queued\x01"data":{"workflow_id":"',
            b'","version":1,"trigger":"api"}}',
            b'Z","type":"execution.started\x01"data":{"engine":"langgraph"}}\n{"seq":',
            b'Z","type":"execution.succeeded\x01"data":{"output":',
            b'Z","type":"step.failed\x01"node_id":"',
            b'Z","type":"step.skipped\x01"node_id":"',
            b'Z","type":"step.log\x01"node_id":"',
            b'","attempt":1,"data":{"level":"info","message":"',
            b'","attempt":1,"data":{"error":{"code":"',
            b'}}\n{"seq":',
            b'{"seq":',
            b'"data":{"error":{"code":"',
            b'","error_type":"',
        ),
        strict=False,
    )
)


def pack(execution_id: str, events: Sequence[bytes]) -> bytes:
    """The body that holds the events."""
    body = b"\n".join(events)
    if len(body) > MOST:
        return body
    found = _SECOND.search(body, 0, 100)
    second = found[1] if found else b""
    packed = body.replace(_head(execution_id), _EXECUTION)
    if second:
        packed = packed.replace(b',"time":"' + second, _TIME)
    for code, word in _WORDS:
        packed = packed.replace(word, code)
    return b"".join((_MARK, zlib.crc32(body).to_bytes(_SUM), second, b"\n", packed))


def unpack(execution_id: str, first_seq: int, last_seq: int, body: bytes) -> list[bytes]:
    """The events of a row. Raises EventsDamaged when they are not those that it says."""
    try:
        text = _text(execution_id, body)
        lines = text.split(b"\n")
        events = loads(b"[" + b",".join(lines) + b"]")
        numbers = [event["seq"] for event in events if type(event["type"]) is str]
        is_whole = body[:1] != _MARK or zlib.crc32(text).to_bytes(_SUM) == body[1 : 1 + _SUM]
        if is_whole and numbers == list(range(first_seq, last_seq + 1)):
            return lines
    except (ValueError, TypeError, KeyError):
        pass
    raise EventsDamaged(execution_id, first_seq, last_seq)


def readable(execution_id: str, body: bytes) -> dict[int, bytes]:
    """By number, the events that can still be read from a damaged body."""
    found: dict[int, bytes] = {}
    for line in _text(execution_id, body).split(b"\n"):
        try:
            event = loads(line)
            if type(event["seq"]) is int and type(event["type"]) is str and type(event["data"]) is dict:
                found.setdefault(event["seq"], line)
        except (ValueError, TypeError, KeyError):
            continue
    return found


def _text(execution_id: str, body: bytes) -> bytes:
    if body[:1] != _MARK:
        return body
    second, _, text = body[1 + _SUM :].partition(b"\n")
    for code, word in reversed(_WORDS):
        text = text.replace(code, word)
    return text.replace(_TIME, b',"time":"' + second).replace(_EXECUTION, _head(execution_id))


def _head(execution_id: str) -> bytes:
    return f'","execution_id":"{execution_id}",'.encode()
