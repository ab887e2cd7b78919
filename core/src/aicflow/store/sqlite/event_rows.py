"""The body of a row of events: consecutive events as JSON lines, deflated when that is smaller.

A deflated body is zlib's format, with its checksum, against the words below: events differ in little but their values.
Bodies that are not deflated begin with `{`, as those of earlier versions do."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

from aicflow.kernel.errors import EventsDamaged
from aicflow.kernel.values import loads

__all__ = ["pack", "readable", "unpack"]

MOST: Final = 16_384
"""Bytes up to which a body is deflated, which takes a moment of the event loop: some 0.2 ms for so many."""

_WINDOW, _MEMORY = 12, 5
_WORDS: Final = (
    b'"wait":{"reason":"answer","until":null}}"key":"name":"id":"status":"error":null"type":"step.cancelled"'
    b'"type":"execution.resumed""type":"execution.waiting""type":"execution.cancelled"'
    b'"type":"step.log","level":"info","message":"","type":"step.waiting"'
    b'"type":"step.retrying","retry_at":"","type":"step.skipped"'
    b'"type":"step.failed","data":{"error":{"code":"","message":"","node_id":"","attempt":1,"error_type":"","pointer":"/'
    b'","hint":"","details":{"reason":""}}}}\n"type":"execution.failed"'
    b'{"seq":1,"time":"2026-11-28T00:00:00.000000Z","type":"execution.queued","execution_id":"ex_01m8h7","data":'
    b'{"workflow_id":"","version":1,"trigger":"api"}}\n'
    b'{"seq":2,"time":"2026-12-01T10:00:00.000000Z","type":"execution.started","execution_id":"ex_01m8h7","data":'
    b'{"engine":"langgraph"}}\n'
    b'{"seq":9,"time":"2027-01-01T10:00:00.000000Z","type":"execution.succeeded","execution_id":"ex_01m8h7","data":'
    b'{"output":{"result":"","ok":true}}}\n'
    b'{"seq":3,"time":"2027-01-01T10:00:00.000000Z","type":"step.started","execution_id":"ex_01m8h7","node_id":"a",'
    b'"attempt":1,"data":{}}\n'
    b'{"seq":4,"time":"2027-01-01T10:00:00.000000Z","type":"step.succeeded","execution_id":"ex_01m8h7","node_id":"a",'
    b'"attempt":1,"data":{"port":"main","output":'
)
# part of the format: what is deflated names it by its checksum, so other words go beside it, never in its place


def pack(events: Sequence[bytes]) -> bytes:
    """The body that holds the events."""
    body = b"\n".join(events)
    if len(body) > MOST:
        return body
    packer = zlib.compressobj(6, zlib.DEFLATED, _WINDOW, _MEMORY, zlib.Z_DEFAULT_STRATEGY, _WORDS)
    packed = packer.compress(body) + packer.flush()
    return packed if len(packed) < len(body) else body


def unpack(execution_id: str, first_seq: int, last_seq: int, body: bytes) -> list[bytes]:
    """The events of a row. Raises EventsDamaged when they are not those that it says."""
    try:
        lines = _text(body).split(b"\n")
        events = loads(b"[" + b",".join(lines) + b"]")
        if [(event["seq"], type(event["type"])) for event in events] == [
            (n, str) for n in range(first_seq, last_seq + 1)
        ]:
            return lines
    except (ValueError, TypeError, KeyError, zlib.error):
        pass
    raise EventsDamaged(execution_id, first_seq, last_seq)


def readable(body: bytes) -> dict[int, bytes]:
    """By number, the events that can still be read from a damaged body."""
    found: dict[int, bytes] = {}
    try:
        text = _text(body)
    except zlib.error:
        text = _beginning(body)
    for line in text.split(b"\n"):
        try:
            event = loads(line)
            if type(event["seq"]) is int and type(event["type"]) is str and type(event["data"]) is dict:
                found.setdefault(event["seq"], line)
        except (ValueError, TypeError, KeyError):
            continue
    return found


def _text(body: bytes) -> bytes:
    if body[:1] == b"{":
        return body
    unpacker = zlib.decompressobj(_WINDOW, _WORDS)
    text = unpacker.decompress(body, MOST)
    if not unpacker.eof:
        raise zlib.error("the stream is cut off")
    return text


def _beginning(body: bytes) -> bytes:
    """What comes before the place where the stream is damaged."""
    unpacker = zlib.decompressobj(_WINDOW, _WORDS)
    text = b""
    for i in range(len(body)):
        try:
            text += unpacker.decompress(body[i : i + 1])
        except zlib.error:
            break
    return text
